"""What help says of the options of a sweep, such as `jobs`, and of a search, such as `trials`."""

from genbench.cli.layout import examples_section, help_section, help_table, indented
from genbench.settings.setting import Setting, written
from genbench.settings.sweep import SEARCH_OPTIONS, SWEEP_OPTIONS

SEARCH_WORDS = ["model=beta-vae", "beta=interval(0.1,10)", "optimize=validation.negative_elbo"]
EXAMPLE_VALUES = {
    "direction": "minimize",
    "pruner": "hyperband",
    "search": "gp",
    "together": "true",
    "wait": "true",
}


def sweep_section() -> str:
    """The options of a sweep and of a search with their defaults, for `genbench --help`."""
    of_sweep = [one for name, one in SWEEP_OPTIONS.items() if name not in SEARCH_OPTIONS]
    return "\n\n".join(
        [
            help_section("Options of a sweep, with -m", [_row(one) for one in of_sweep]),
            help_section(
                "Options of a search, with -m hydra/sweeper=optuna",
                [_row(one) for one in SEARCH_OPTIONS.values()],
            ),
        ]
    )


def sweep_pages(name: str) -> list[str]:
    """The page of `genbench help NAME` for an option of a sweep, if there is one."""
    if name not in SWEEP_OPTIONS:
        return []
    option, is_search = SWEEP_OPTIONS[name], name in SEARCH_OPTIONS
    words = ["model=vae", "seed=0,1"]
    if is_search:
        words = ["hydra/sweeper=optuna", *SEARCH_WORDS]
    value = [] if name == "optimize" else [f"{name}={EXAMPLE_VALUES.get(name, '2')}"]
    examples = examples_section(["genbench", "-m", *words, *value])
    of = "every search, -m hydra/sweeper=optuna" if is_search else "every sweep"
    table = "\n".join(help_table([("allowed", [_allowed(option)]), ("part of", [of])]))
    return ["\n\n".join([name, indented(option.meaning), table, examples])]


def _row(option: Setting) -> tuple[str, list[str]]:
    return option.name, [f"{option.meaning} [{_allowed(option)}]"]


def _allowed(option: Setting) -> str:
    return f"{option.in_words()}; default {written(option.default)}"

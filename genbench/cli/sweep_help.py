"""What help says of the options of a sweep, such as `jobs`."""

from genbench.cli.layout import examples_section, help_section, help_table, indented
from genbench.settings.setting import Setting, written
from genbench.settings.sweep import SWEEP_OPTIONS


def sweep_section() -> str:
    """The options of a sweep with their defaults, for `genbench --help`."""
    rows = [(s.name, [f"{s.meaning} [{_allowed(s)}]"]) for s in SWEEP_OPTIONS.values()]
    return help_section("Options of a sweep, with -m", rows)


def sweep_pages(name: str) -> list[str]:
    """The page of `genbench help NAME` for an option of a sweep, if there is one."""
    if name not in SWEEP_OPTIONS:
        return []
    option = SWEEP_OPTIONS[name]
    value = {"optimize": "fid", "together": "true"}.get(name, "2")
    examples = examples_section(["genbench", "-m", "model=vae", "seed=0,1", f"{name}={value}"])
    table = "\n".join(help_table([("allowed", [_allowed(option)]), ("part of", ["every sweep"])]))
    return ["\n\n".join([name, indented(option.meaning), table, examples])]


def _allowed(option: Setting) -> str:
    return f"{option.in_words()}; default {written(option.default)}"

"""What --help, `genbench help NAME`, `models` and `datasets` print, from the settings classes and
configs/.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from genbench.cli.defaults import (
    declared_settings,
    defaults_in_words,
    exceptions,
    owners,
    owners_in_words,
    usual_default,
    with_own_auto,
)
from genbench.cli.layout import HelpRow, examples_section, help_section, help_table, indented
from genbench.cli.sweep_help import sweep_pages, sweep_section
from genbench.config.choice_files import GROUPS
from genbench.config.experiments import EXPERIMENT, experiments, preset_of
from genbench.config.registry import Registry
from genbench.settings.names import nearest
from genbench.settings.setting import Setting, written
from genbench.settings.sweep import SWEEP_OPTIONS
from genbench.utils.errors import UserError


def settings_help(usage: str, registry: Registry) -> str:
    """Every setting once, under the models or datasets that have it, with the default that holds
    in each.
    """
    parts = [usage]
    for group in GROUPS:
        parts.append(
            help_section(
                f"{group}=NAME",
                [(c, _about(f"{group}/{c}", registry)[:1]) for c in registry.names(group)],
            )
        )
    sections: dict[str, list[HelpRow]] = {}
    for setting, defaults in declared_settings(registry).items():
        text = f"{setting.described} [{setting.in_words()}; default {defaults_in_words(defaults)}]"
        sections.setdefault(f"Settings of {owners_in_words(defaults, registry)}", []).append(
            (setting.name, [text])
        )
    parts += [help_section(title, rows) for title, rows in sections.items()]
    parts.append(sweep_section())
    usual = " ".join(f"{group}={registry.default_choice(group)}" for group in GROUPS)
    parts.append(
        f"Without more, genbench trains {usual}. "
        "What a run leaves is in outputs/, or in hydra.run.dir=FOLDER."
    )
    parts.append("genbench help NAME describes one model, dataset or setting in full.")
    parts.append("In Python, genbench.fit(...) does the same; see help(genbench).")
    parts.append(
        "genbench --hydra-help explains Hydra's own options, such as -m, --cfg and --config-dir."
    )
    return "\n\n".join(parts)


def choices_help(group: str, registry: Registry) -> str:
    """Every choice of a group: what it is, its source, the settings of its own."""
    rows = []
    for choice in registry.names(group):
        paragraphs = _about(f"{group}/{choice}", registry)
        if choice in registry.readable(group):
            names = ", ".join(setting.name for setting in _own(group, choice, registry))
            paragraphs = [*paragraphs, f"settings: {names}"]
        rows.append((choice, [*paragraphs, ""]))
    return (
        help_section(f"{group}=NAME", rows).rstrip()
        + "\n\ngenbench help NAME describes one of them in full."
    )


def experiments_help(registry: Registry) -> str:
    """Every experiment with the first line about it."""
    listed = experiments(registry)
    width = max(map(len, listed), default=0)
    lines = (f"  {name:{width}}  {_said(name, registry)}" for name in listed)
    return "\n".join(lines)


def _said(name: str, registry: Registry) -> str:
    """The first line about an experiment, or why it cannot be used."""
    from genbench.config.request import check_experiment  # imports Hydra, which takes a while

    try:
        needed = check_experiment(name, registry)
        about = " ".join(registry.about(f"{EXPERIMENT}/{name}")[:1])
        return " ".join([*([f"(with {' '.join(needed)})"] if needed else []), about])
    except UserError as error:
        return f"cannot be used: {error}"


def name_help(word: str, registry: Registry) -> str:
    """All about what is called so: a model, a dataset, a setting or a group; UserError with the
    nearest name otherwise.

    `model=vae` and `beta=4` are read as `vae` and `beta`.
    """
    key, _, value = word.partition("=")
    name = value if value and key in (*GROUPS, EXPERIMENT) else key
    pages = [
        _choice_page(group, name, registry) for group in GROUPS if name in registry.names(group)
    ]
    if name in GROUPS:
        pages.append(choices_help(name, registry))
    if name == EXPERIMENT:
        pages.append(experiments_help(registry))
    if name in experiments(registry):
        pages.append(_experiment_page(name, registry))
    pages += [
        _setting_page(s, defaults, registry)
        for s, defaults in declared_settings(registry).items()
        if s.name == name
    ]
    pages += sweep_pages(name)
    if not pages:
        near = nearest(name, names(registry))
        fix = (
            f"did you mean 'genbench help {near}'?"
            if near
            else "see 'genbench --help' for all of them, 'genbench evaluate --list' for measures"
        )
        what = "no model, dataset, experiment or setting is called so"
        raise UserError(name or word or "help", what, fix=fix)
    return "\n\n\n".join(pages)


def command_help(command: str, registry: Registry) -> str:
    """All about a command on a run, and its options."""
    what, *more = registry.about(f"command/{command}")
    options = _own("command", command, registry)
    usual = getattr(registry.declared(f"command/{command}"), "usual_folder", None)
    words = ["genbench", command, usual or "outputs/RUN"]
    return "\n\n".join(
        [
            f"genbench {command} {'[FOLDER]' if usual else 'RUN'} [NAME=VALUE ...]",
            indented(what),
            "\n".join(indented(line) for line in more),
            help_section("Options", [_row(setting, setting.default, {}) for setting in options]),
            examples_section(words, [*words, *_overrides(options[0], 1)]),
        ]
    )


def names(registry: Registry) -> list[str]:
    """All that `genbench help` knows."""
    choices = [choice for group in GROUPS for choice in registry.names(group)]
    return [
        *GROUPS,
        *choices,
        *experiments(registry),
        *dict.fromkeys(setting.name for setting in declared_settings(registry)),
        *SWEEP_OPTIONS,
    ]


def _experiment_page(name: str, registry: Registry) -> str:
    rows = [(key, [written(value)]) for key, value in preset_of(name, registry).items()]
    return "\n\n".join(
        [
            f"{EXPERIMENT}={name}",
            *map(indented, registry.about(f"{EXPERIMENT}/{name}")),
            help_section("What it sets", rows),
            examples_section(["genbench", f"{EXPERIMENT}={name}"]),
        ]
    )


def _choice_page(group: str, choice: str, registry: Registry) -> str:
    own = _own(group, choice, registry)
    objective, *sources = registry.about(f"{group}/{choice}") or [""]
    command = ["genbench", f"{group}={choice}", *_required(own)]
    usual = {s.name: usual_default(s.default, f"{group}={choice}", registry) for s in own}
    plain = [replace(s, default=usual[s.name][0]) for s in own if not s.required]
    sweep = next((_overrides(s, 3) for s in plain if len(_values(s)) > 1), [])
    return "\n\n".join(
        [
            f"{group}={choice}",
            indented(objective),
            *(["\n".join(indented(line) for line in sources)] if sources else []),
            help_section("Settings of its own", [_row(s, *usual[s.name]) for s in own]),
            help_section("Settings of every run", _shared_rows(group, choice, registry)),
            examples_section(command, ["genbench", "-m", *command[1:], *sweep] if sweep else []),
        ]
    )


def _setting_page(setting: Setting, defaults: dict[str, Any], registry: Registry) -> str:
    shared = "" in defaults
    have = owners(defaults)
    usual = {f"{group}={registry.default_choice(group)}" for group in GROUPS}
    owner = [] if shared or usual & {*have} else have[:1]
    beside = [
        other
        for choice in owner
        for other in registry.settings(choice.replace("=", "/")).values()
        if other.name != setting.name
    ]
    setting = replace(
        setting, default=defaults["" if shared else (owner or sorted(usual & {*have}))[0]]
    )
    rows = [
        ("allowed", [setting.in_words()]),
        ("default", [defaults_in_words(defaults)]),
        ("part of", [owners_in_words(defaults, registry)]),
    ]
    return "\n\n".join(
        [
            setting.name,
            indented(setting.described),
            "\n".join(help_table(rows)),
            examples_section(["genbench", *owner, *_required(beside), *_overrides(setting, 1)]),
        ]
    )


def _own(group: str, choice: str, registry: Registry) -> list[Setting]:
    """The settings that a choice brings along, those of its own file first."""
    own = registry.own_first(f"{group}/{choice}").values()
    return [with_own_auto(setting, group, choice, registry) for setting in own]


def _shared_rows(group: str, choice: str, registry: Registry) -> list[HelpRow]:
    """The settings of every run with the default that holds beside this choice, and where another
    choice changes it.
    """
    rows = []
    for setting, defaults in declared_settings(registry).items():
        if "" in defaults:
            mine = f"{group}={choice}"
            stronger = GROUPS if mine not in defaults else GROUPS[: GROUPS.index(group)]
            own = {
                c.removeprefix(f"{mine} "): v
                for c, v in defaults.items()
                if c.startswith(f"{mine} ")
            }
            others = {
                c: v
                for c, v in defaults.items()
                if c.partition("=")[0] in stronger and not c.startswith(f"{group}=")
            }
            described = with_own_auto(setting, group, choice, registry)
            rows.append(_row(described, defaults.get(mine, defaults[""]), own | others))
    return rows


def _row(setting: Setting, default: Any, others: dict[str, Any]) -> HelpRow:
    name = (
        setting.example
        if replace(setting, default=default).required
        else f"{setting.name}={written(default)}"
    )
    return name, [setting.described, "; ".join([setting.in_words(), *exceptions(others)])]


def _about(path: str, registry: Registry) -> list[str]:
    """What a choice is, then its source; or why it cannot be used."""
    problem = registry.problem(path)
    return registry.about(path) if problem is None else [f"cannot be used: {problem}"]


def _values(setting: Setting) -> list[str]:
    """Some values to show, the default and more if more can be thought of, each allowed where the
    setting has an effect.
    """
    default = setting.default
    number = isinstance(default, (int, float)) and not isinstance(default, bool)
    more = (2 * default or 1) if number else 2
    try:
        setting.check(more, _beside(setting))
    except UserError:
        return setting.words()
    words = setting.words()
    return words if len(words) > 1 else [*words, written(more)]


def _beside(setting: Setting) -> dict[str, str]:
    """Another setting that this one needs to have an effect, if any."""
    needed = setting.alternatives[0].conditions[:1]
    return {condition.name: condition.value for condition in needed}


def _overrides(setting: Setting, count: int) -> list[str]:
    """Words of a command that set it to its default and others, or to one other."""
    if setting.required:
        return [setting.example]
    values = _values(setting)
    chosen = values[:count] if count > 1 else values[1:2] or values
    return [f"{k}={v}" for k, v in _beside(setting).items()] + [
        f"{setting.name}={','.join(chosen)}"
    ]


def _required(settings: Iterable[Setting]) -> list[str]:
    """Words of a command that give the settings without a default."""
    return [setting.example for setting in settings if setting.required]

"""What --help, `genbench help NAME`, `models` and `datasets` print, from the settings classes and configs/."""

import shlex
import textwrap
from collections.abc import Iterable
from dataclasses import replace
from shutil import get_terminal_size
from typing import Any

from genbench.config.registry import GROUPS, Registry
from genbench.config.validation import known_settings
from genbench.settings.fields import ConditionalDefault
from genbench.settings.names import nearest
from genbench.settings.setting import Setting, written
from genbench.utils.errors import UserError

Row = tuple[str, list[str]]  # a name, and the paragraphs beside it


def settings_help(usage: str, registry: Registry) -> str:
    """Every setting once, under the models or datasets that have it, with the default that holds in each."""
    parts = [usage]
    for group in GROUPS:
        parts.append(
            _section(
                f"{group}=NAME",
                [(c, _about(f"{group}/{c}", registry)[:1]) for c in registry.names(group)],
            )
        )
    sections: dict[str, list[Row]] = {}
    for setting, defaults in _declared(registry).items():
        text = f"{setting.meaning} [{setting.in_words()}; default {_defaults(defaults)}]"
        sections.setdefault(f"Settings of {_who(defaults, registry)}", []).append(
            (setting.name, [text])
        )
    parts += [_section(title, rows) for title, rows in sections.items()]
    usual = " ".join(f"{group}={registry.default_choice(group)}" for group in GROUPS)
    parts.append(
        f"Without more, genbench trains {usual}. What a run leaves is in outputs/, or in hydra.run.dir=FOLDER."
    )
    parts.append("genbench help NAME tells all about one model, dataset or setting.")
    parts.append("From Python, genbench.fit(...) runs one too; help(genbench) tells how.")
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
        _section(f"{group}=NAME", rows).rstrip()
        + "\n\ngenbench help NAME tells all about one of them."
    )


def name_help(word: str, registry: Registry) -> str:
    """All about what is called so: a model, a dataset, a setting or a group; UserError with the nearest name otherwise.

    `model=vae` and `beta=4` are read as `vae` and `beta`.
    """
    key, _, value = word.partition("=")
    name = value if value and key in GROUPS else key
    pages = [
        _choice_page(group, name, registry) for group in GROUPS if name in registry.names(group)
    ]
    pages += [choices_help(name, registry)] * (name in GROUPS)
    pages += [
        _setting_page(s, defaults, registry)
        for s, defaults in _declared(registry).items()
        if s.name == name
    ]
    if not pages:
        near = nearest(name, names(registry))
        fix = (
            f"did you mean 'genbench help {near}'?"
            if near
            else "see 'genbench --help' for all of them, 'genbench evaluate --list' for measures"
        )
        raise UserError(name, "no model, dataset or setting is called so", fix=fix)
    return "\n\n\n".join(pages)


def command_help(command: str, registry: Registry) -> str:
    """All about a command on a run, and its options."""
    what, *more = registry.about(f"command/{command}")
    options = _own("command", command, registry)
    words = ["genbench", command, "outputs/RUN"]
    return "\n\n".join(
        [
            f"genbench {command} RUN [NAME=VALUE ...]",
            _indented(what),
            "\n".join(_indented(line) for line in more),
            _section("Options", [_row(setting, setting.default, {}) for setting in options]),
            _examples(words, [*words, *_overrides(options[0], 1)]),
        ]
    )


def names(registry: Registry) -> list[str]:
    """All that `genbench help` knows."""
    choices = [choice for group in GROUPS for choice in registry.names(group)]
    return [*GROUPS, *choices, *dict.fromkeys(setting.name for setting in _declared(registry))]


def _choice_page(group: str, choice: str, registry: Registry) -> str:
    own = _own(group, choice, registry)
    objective, *sources = registry.about(f"{group}/{choice}") or [""]
    command = ["genbench", f"{group}={choice}", *_required(own)]
    usual = {s.name: _usual(s.default, f"{group}={choice}", registry) for s in own}
    plain = [replace(s, default=usual[s.name][0]) for s in own]
    sweep = next((_overrides(s, 3) for s in plain if len(_values(s)) > 1), [])
    return "\n\n".join(
        [
            f"{group}={choice}",
            _indented(objective),
            *(["\n".join(_indented(line) for line in sources)] if sources else []),
            _section("Settings of its own", [_row(s, *usual[s.name]) for s in own]),
            _section("Settings of every run", _shared_rows(group, choice, registry)),
            _examples(command, ["genbench", "-m", *command[1:], *sweep] if sweep else []),
        ]
    )


def _setting_page(setting: Setting, defaults: dict[str, Any], registry: Registry) -> str:
    shared = "" in defaults
    have = _owners(defaults)
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
        ("default", [_defaults(defaults)]),
        ("part of", [_who(defaults, registry)]),
    ]
    return "\n\n".join(
        [
            setting.name,
            _indented(setting.meaning),
            "\n".join(_table(rows)),
            _examples(["genbench", *owner, *_required(beside), *_overrides(setting, 1)]),
        ]
    )


def _own(group: str, choice: str, registry: Registry) -> list[Setting]:
    """The settings that a choice brings along, those of its own file first."""
    return list(registry.own_first(f"{group}/{choice}").values())


def _shared_rows(group: str, choice: str, registry: Registry) -> list[Row]:
    """The settings of every run with the default that holds beside this choice, and where another choice changes it."""
    rows = []
    for setting, defaults in _declared(registry).items():
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
            rows.append(_row(setting, defaults.get(mine, defaults[""]), own | others))
    return rows


def _row(setting: Setting, default: Any, others: dict[str, Any]) -> Row:
    name = (
        setting.example
        if replace(setting, default=default).required
        else f"{setting.name}={written(default)}"
    )
    return name, [setting.meaning, "; ".join([setting.in_words(), *_exceptions(others)])]


def _declared(registry: Registry) -> dict[Setting, dict[str, Any]]:
    """Every setting, its default left out, and the default that each `model=NAME` or `dataset=NAME` gives it.

    The default of a setting of every run is that of "".
    """
    found = {
        replace(setting, default=None): {"": setting.default}
        for setting in registry.shared().values()
    }
    for group in GROUPS:
        for choice in registry.readable(group):
            path = f"{group}/{choice}"
            for setting in [*found]:
                value = registry.value(path, setting.name)
                if "" in found[setting] and value is not None:
                    found[setting] |= _by_condition(f"{group}={choice}", value, registry)
            for setting in registry.settings(path).values():
                found.setdefault(replace(setting, default=None), {}).update(
                    _by_condition(f"{group}={choice}", setting.default, registry)
                )
    return found


def _usual(default: Any, choice: str, registry: Registry) -> tuple[Any, dict[str, Any]]:
    """The default of a choice where the command sets nothing else, and others by `NAME=VALUE`."""
    if not isinstance(default, ConditionalDefault):
        return default, {}
    usual = default.beside(_plain_values(choice, registry))
    others = {f"{default.name}={value}": other for value, other in default.choices}
    return usual, {condition: other for condition, other in others.items() if other != usual}


def _plain_values(choice: str, registry: Registry) -> dict[str, Any]:
    """What a default can depend on, in a command that only makes this choice."""
    chosen = {group: registry.default_choice(group) for group in GROUPS}
    chosen |= [choice.split("=")]
    known = known_settings(registry, **chosen)
    kind = registry.value(f"dataset/{chosen['dataset']}", "dataset.kind")
    return {name: setting.default for name, setting in known.items()} | {"dataset.kind": kind}


def _by_condition(choice: str, default: Any, registry: Registry) -> dict[str, Any]:
    """The defaults of a choice: the usual one by its name, others by its name and `NAME=VALUE`."""
    usual, others = _usual(default, choice, registry)
    return {
        choice: usual,
        **{f"{choice} {condition}": other for condition, other in others.items()},
    }


def _about(path: str, registry: Registry) -> list[str]:
    """What a choice is, then its source; or why it cannot be used."""
    problem = registry.problem(path)
    return registry.about(path) if problem is None else [f"cannot be used: {problem}"]


def _owners(defaults: dict[str, Any]) -> list[str]:
    """The choices that a setting belongs to, or that change it."""
    return [choice for choice in defaults if choice and " " not in choice]


def _who(defaults: dict[str, Any], registry: Registry) -> str:
    if "" in defaults:
        return "every run"
    group = next(iter(defaults)).partition("=")[0]
    owners = [choice.partition("=")[2] for choice in _owners(defaults)]
    return (
        f"every {group}" if owners == registry.readable(group) else f"{group}={', '.join(owners)}"
    )


def _defaults(defaults: dict[str, Any]) -> str:
    """The default of every run, or else the commonest, then the exceptions."""
    owners = _owners(defaults)
    values = [written(defaults[owner]) for owner in owners]
    usual = written(defaults[""]) if "" in defaults else max(values, key=values.count)
    conditional = {c: v for c, v in defaults.items() if " " in c}
    conditions = {c.partition(" ")[2]: v for c, v in conditional.items()}
    if {f"{owner} {condition}" for owner in owners for condition in conditions} == {*conditional}:
        shown = [f"{written(v)} with {condition}" for condition, v in conditions.items()]
    else:
        shown = _exceptions(conditional)
    others = {owner: defaults[owner] for owner in owners if written(defaults[owner]) != usual}
    return "; ".join([usual, *_exceptions(others), *shown])


def _exceptions(defaults: dict[str, Any]) -> list[str]:
    """`100 with dataset=grid, ring`, and so on."""
    found: dict[tuple[str, str], list[str]] = {}
    for choice, value in defaults.items():
        group, _, name = choice.partition("=")
        found.setdefault((written(value), group), []).append(name)
    return [
        f"{value} with {group}={', '.join(choices)}" for (value, group), choices in found.items()
    ]


def _values(setting: Setting) -> list[str]:
    """Some values to show, the default and more if more can be thought of, each allowed where the setting has an effect."""
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


def _examples(*commands: list[str]) -> str:
    return "\n".join(
        [
            "Examples" if len(commands) > 1 else "Example",
            *(f"  {shlex.join(words)}" for words in commands if words),
        ]
    )


def _section(title: str, rows: list[Row]) -> str:
    return "\n".join([*_wrap(title, ""), *_table(rows)])


def _table(rows: Iterable[Row]) -> list[str]:
    """Names on the left, their paragraphs beside them; below a name that would leave them too little room."""
    rows = list(rows)
    gap = min(max((len(name) for name, _ in rows), default=0) + 4, max(28, _width() // 3))
    lines = []
    for name, paragraphs in rows:
        beside = [line for text in paragraphs for line in _wrap(text, " " * gap)]
        if len(name) + 4 <= gap:
            beside[:1] = [f"  {name}".ljust(gap) + "".join(beside[:1])[gap:]]
        else:
            beside.insert(0, f"  {name}")
        lines += [line.rstrip() for line in beside]
    return lines


def _indented(text: str) -> str:
    return "\n".join(_wrap(text, "  "))


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _width(),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _width() -> int:
    return max(60, min(120, get_terminal_size().columns))

"""What --help and `genbench models` print, read from the declarations in configs/."""

import textwrap
from dataclasses import replace
from shutil import get_terminal_size

from .settings import GROUPS, Catalogue, Setting


def settings_help(usage: str, catalogue: Catalogue) -> str:
    """Every setting once, under the models or datasets that have it, with the default that holds in each."""
    lines = [usage]
    for group in GROUPS:
        lines += ["", f"{group}=NAME"]
        lines += _table([(c, " ".join(catalogue.about(f"{group}/{c}")[:1])) for c in catalogue.names(group)])
    shared = catalogue.shared()
    users: dict[Setting, dict[str, object]] = {s: {} for s in shared.values()}
    for group in GROUPS:
        for choice in catalogue.names(group):
            for setting in catalogue.settings(f"{group}/{choice}").values():
                declared = replace(setting, default=None)
                users.setdefault(declared, {})[f"{group}={choice}"] = setting.default
    for setting in shared.values():
        for group in GROUPS:
            for choice in catalogue.names(group):
                default = catalogue.value(f"{group}/{choice}", setting.name)
                if default is not None:
                    users[setting][f"{group}={choice}"] = default
    sections: dict[str, list] = {}
    for setting, defaults in users.items():
        if setting.name in shared:
            title, default = "every run", [_plain(setting.default)] + [f"{c} {_plain(v)}" for c, v in defaults.items()]
        else:
            title, default = _who(defaults, catalogue), _defaults(defaults)
        text = f"{setting.meaning} [{setting.allowed}; default {', '.join(default)}]"
        sections.setdefault(title, []).append((setting.name, text))
    for title, rows in sections.items():
        lines += [""] + textwrap.wrap(f"Settings of {title}", _width()) + _table(rows)
    return "\n".join(lines + ["", "genbench --hydra-help explains Hydra's own options, such as -m, --cfg and --config-dir."])


def _who(defaults: dict[str, object], catalogue: Catalogue) -> str:
    group = next(iter(defaults)).partition("=")[0]
    names = [choice.partition("=")[2] for choice in defaults]
    return f"every {group}" if names == catalogue.names(group) else f"{group}={', '.join(names)}"


def _defaults(defaults: dict[str, object]) -> list[str]:
    """The commonest default, then the exceptions by name."""
    values = [_plain(v) for v in defaults.values()]
    common = max(values, key=values.count)
    return [common] + [f"{c.partition('=')[2]} {_plain(v)}" for c, v in defaults.items() if _plain(v) != common]


def _plain(value) -> str:
    return "null" if value is None else str(value)


def models_help(catalogue: Catalogue) -> str:
    """Every model: its objective, its source, the settings of its own."""
    rows = []
    for name in catalogue.names("model"):
        own = sorted(catalogue.settings(f"model/{name}"))
        rows.append((name, " ".join(catalogue.about(f"model/{name}")) + f" Settings: {', '.join(own)}."))
    return "\n".join(_table(rows))


def _table(rows: list[tuple[str, str]]) -> list[str]:
    gap = max((len(name) for name, _ in rows), default=0) + 4
    return [
        line
        for name, text in rows
        for line in textwrap.wrap(text, _width(), initial_indent=f"  {name}".ljust(gap), subsequent_indent=" " * gap) or [f"  {name}"]
    ]


def _width() -> int:
    return max(60, min(120, get_terminal_size().columns))

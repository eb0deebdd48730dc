"""The catalogue of what is declared: models, datasets and commands, and the settings of each, from the files in configs/."""

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from genbench.config.settings import FIXED, Setting, declarations, flatten, varying
from genbench.utils.errors import UserError
from genbench.utils.files import MOST_YAML, Unreadable, parse_yaml, read_text

GROUPS = (
    "model",
    "dataset",
)  # what a run is chosen from; what the former sets wins over what the latter does
CODE = {"model": "class", "dataset": "loader"}  # what names the code of each
EXAMPLES = {
    group: f"such as {group}: {{name: mine, {part}: my_module.{part.title()}}}"
    for group, part in CODE.items()
}


class Registry:
    """Everything declared under one or more config folders; an earlier folder hides a later one's files."""

    def __init__(self, folders: list[Path]):
        self.folders = [Path(f) for f in folders]
        self._read: dict[str, tuple[dict, list[str], dict[str, Setting]]] = {}
        self._chains: dict[str, list[str]] = {}

    def names(self, group: str) -> list[str]:
        """The choices of a group, such as the models, in alphabetical order; hidden files are none."""
        files = [file for folder in self.folders for file in (folder / group).glob("*.yaml")]
        return sorted({file.stem for file in files if not file.name.startswith(".")})

    def file(self, path: str) -> Path:
        """Where a config is read from. UserError where there is no such file."""
        places = [folder / f"{path}.yaml" for folder in self.folders]
        found = next(filter(os.path.lexists, places), None)
        if found is None:
            raise UserError(
                path, "no such config file", fix=f"put {path}.yaml into {self.folders[0]}"
            )
        if not os.path.exists(found):
            raise UserError(
                str(found),
                "is a link to a file that is not there",
                os.path.realpath(found),
                "bring it back, or remove the link",
            )
        return found

    def require_named(self, group: str, choice: str) -> None:
        """UserError where the file of a choice does not say what it is called and which code it stands for."""
        for name in (f"{group}.name", f"{group}.{CODE[group]}"):
            if self.value(f"{group}/{choice}", name) is None:
                raise UserError(
                    f"{self.file(f'{group}/{choice}')}: {name}", "is missing", fix=EXAMPLES[group]
                )

    def let_import(self) -> None:
        """Let Python find modules in a user's own folders, which their YAML files name classes and loaders of."""
        sys.path += [str(folder) for folder in self.folders[:-1] if str(folder) not in sys.path]

    def default_choice(self, group: str) -> str:
        """What a run has of a group where the command names none."""
        listed = self._defaults("config")
        found = [entry[group] for entry in listed if isinstance(entry, dict) and group in entry]
        if not found:
            fix = f"add {{{group}: NAME}} to its defaults list"
            raise UserError(
                str(self.file("config")), f"names no {group} for commands that name none", fix=fix
            )
        return found[0]

    def about(self, path: str) -> list[str]:
        """The comment lines at the head of a file: what it is, then its source."""
        return self._file(path)[1]

    def chain(self, path: str, within: tuple[str, ...] = ()) -> list[str]:
        """The file and those that its defaults list includes, in the order in which they are applied.

        UserError if one includes itself; `within` are the files that led here.
        """
        if path in within:
            raise UserError(
                f"{path}.yaml",
                "includes itself",
                " > ".join([*within, path]),
                "correct its defaults list",
            )
        if path not in self._chains:
            group = path.rpartition("/")[0]
            found: list[str] = []
            for entry in [*self._defaults(path), "_self_"]:
                if entry == "_self_":
                    part = [path]
                elif isinstance(entry, str):
                    part = self.chain(
                        entry[1:] if entry.startswith("/") else f"{group}/{entry}", (*within, path)
                    )
                else:
                    part = []
                found = [
                    p for p in found if p not in part
                ] + part  # what comes later wins, so the last place counts
            self._chains[path] = found
        return self._chains[path]

    def _defaults(self, path: str) -> list:
        """The defaults list of a file."""
        listed = self._file(path)[0].get("defaults") or []
        if not isinstance(listed, list):
            raise UserError(
                f"{path}.yaml: defaults",
                "must be a list",
                listed,
                "such as defaults: [/base/latent, _self_]",
            )
        return listed

    def settings(self, path: str) -> dict[str, Setting]:
        """Every setting of a file by dotted name, inherited ones included, each with the default that holds there."""
        known: dict[str, Setting] = {}
        for part in self.chain(path):
            values, _, declared = self._file(part)
            known |= declared
            for name, value in values.items():
                if name in known:
                    known[name] = replace(known[name], default=value)
        return known

    def own_first(self, path: str) -> dict[str, Setting]:
        """The same, what the file itself declares before what it shares with others."""
        settings = self.settings(path)
        files = list(dict.fromkeys(setting.file for setting in settings.values()))
        return dict(sorted(settings.items(), key=lambda item: -files.index(item[1].file)))

    def value(self, path: str, name: str) -> Any:
        """What a file, or one it includes, sets `name` to (declared or not); None if it does not."""
        values = [self._file(part)[0].get(name) for part in self.chain(path)]
        return next((v for v in reversed(values) if v is not None), None)

    def shared(self) -> dict[str, Setting]:
        """The settings that every run has."""
        return self.settings("config")

    def owners(self, name: str) -> list[str]:
        """The models and datasets that have a setting of this name."""
        return [
            choice
            for group in GROUPS
            for choice in self.names(group)
            if name in self.settings(f"{group}/{choice}")
        ]

    def _file(self, path: str):
        if path not in self._read:
            file = self.file(path)
            try:
                text = read_text(
                    Path(os.path.realpath(file)), MOST_YAML
                )  # one's own configs may well be links
                content = parse_yaml(text, file) or {}
            except Unreadable as error:
                raise UserError(str(file), error.what, fix="correct the file") from error
            if not isinstance(content, dict):
                raise UserError(
                    str(file), "holds no settings by name", fix="write NAME: VALUE in each line"
                )
            _check_fixed(file, content)
            if path != "config" and file.parent.parent != self.folders[-1]:
                _check_no_hydra(file, text, content)
            values = {name: varying(value) for name, value in flatten(content).items()}
            lines = text.splitlines()
            head = [
                line[2:]
                for line in lines[
                    : next((i for i, x in enumerate(lines) if not x.startswith("#")), None)
                ]
            ]
            head = [line for line in head if not line.startswith("@package")]
            self._read[path] = values, head, declarations(lines, values, str(file))
        return self._read[path]


def _check_fixed(file: Path, content: dict) -> None:
    """UserError where what a file says of a model or dataset itself is no text."""
    for group in GROUPS:
        node = content.get(group, {})
        if not isinstance(node, dict):
            raise UserError(f"{file}: {group}", "must be NAME: VALUE pairs", node, EXAMPLES[group])
        for name in sorted(FIXED):
            of, _, part = name.partition(".")
            if of == group and part in node and not (isinstance(node[part], str) and node[part]):
                raise UserError(f"{file}: {name}", "must be a text", node[part], EXAMPLES[group])


def _check_no_hydra(file: Path, text: str, content: dict) -> None:
    """UserError where a file of one's own has settings of Hydra, which might write wherever links in a run's folder lead."""
    listed = content.get("defaults")
    entries = [
        str(key)
        for entry in (listed if isinstance(listed, list) else [])
        for key in (entry if isinstance(entry, dict) else [entry])
    ]
    package = re.search(r"(?m)^#\s*@package\s+hydra\b", text)
    if (
        "hydra" in content
        or package
        or any(re.search(r"(^|[\s/@])hydra\b", entry) for entry in entries)
    ):
        raise UserError(
            f"{file}: hydra", "is set on the command line only", fix="remove it from the file"
        )


def builtin_registry(config_dir: str | None = None) -> Registry:
    """What the configs beside the package (a checkout) or in it (an installation) declare, after a user's own."""
    here = Path(__file__).resolve().parent.parent
    configs = next(
        c for c in (here / "configs", here.parent / "configs") if (c / "config.yaml").is_file()
    )
    if config_dir is None:
        return Registry([configs])
    if not os.path.isdir(config_dir):
        raise UserError(
            "--config-dir",
            "no such folder",
            config_dir,
            "give a folder that holds model/ or dataset/",
        )
    return Registry([Path(config_dir).resolve(), configs])

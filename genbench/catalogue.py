"""The catalogue of what is declared: models, datasets and commands, and the settings of each, from the files in configs/."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import MOST_YAML, Unreadable, parse_yaml, read_text
from .settings import Setting, declarations, flatten, varying

GROUPS = ("model", "dataset")  # what a run is chosen from; what the former sets wins over what the latter does


class Catalogue:
    """Everything declared under one or more config folders; an earlier folder hides a later one's files."""

    def __init__(self, folders: list[Path]):
        self.folders = [Path(f) for f in folders]
        self._read: dict[str, tuple[dict, list[str], dict[str, Setting]]] = {}

    def names(self, group: str) -> list[str]:
        """The choices of a group, such as the models, in alphabetical order."""
        return sorted({f.stem for folder in self.folders for f in (folder / group).glob("*.yaml")})

    def let_import(self) -> None:
        """Let Python find modules in a user's own folders, which their YAML files name classes and loaders of."""
        sys.path += [str(folder) for folder in self.folders[:-1] if str(folder) not in sys.path]

    def default_choice(self, group: str) -> str:
        """What a run has of a group where the command names none."""
        return next(d[group] for d in self.value("config", "defaults") if isinstance(d, dict) and group in d)

    def about(self, path: str) -> list[str]:
        """The comment lines at the head of a file: what it is, then its source."""
        return self._file(path)[1]

    def chain(self, path: str, within: tuple[str, ...] = ()) -> list[str]:
        """The file and those that its defaults list includes, in the order in which they are applied.

        UserError if one includes itself; `within` are the files that led here.
        """
        if path in within:
            raise UserError(f"{path}.yaml", "includes itself", " > ".join([*within, path]), "correct its defaults list")
        group = path.rpartition("/")[0]
        found: list[str] = []
        listed = self._file(path)[0].get("defaults") or []
        if not isinstance(listed, list):
            raise UserError(f"{path}.yaml: defaults", "must be a list", listed, "such as defaults: [/base/latent, _self_]")
        for entry in [*listed, "_self_"]:
            if entry == "_self_":
                found = [p for p in found if p != path] + [path]
            elif isinstance(entry, str):
                found += self.chain(entry[1:] if entry.startswith("/") else f"{group}/{entry}", (*within, path))
        return found

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
        return [choice for group in GROUPS for choice in self.names(group) if name in self.settings(f"{group}/{choice}")]

    def _file(self, path: str):
        if path not in self._read:
            file = next((f for folder in self.folders if (f := folder / f"{path}.yaml").exists()), None)
            if file is None:
                raise UserError(path, "no such config file", fix=f"put {path}.yaml into {self.folders[0]}")
            try:
                text = read_text(Path(os.path.realpath(file)), MOST_YAML)  # one's own configs may well be links
                content = parse_yaml(text, file) or {}
            except Unreadable as error:
                raise UserError(str(file), error.what, fix="correct the file") from error
            if not isinstance(content, dict):
                raise UserError(str(file), "holds no settings by name", fix="write NAME: VALUE in each line")
            values = {name: varying(value) for name, value in flatten(content).items()}
            lines = text.splitlines()
            head = [line[2:] for line in lines[: next((i for i, x in enumerate(lines) if not x.startswith("#")), None)]]
            head = [line for line in head if not line.startswith("@package")]
            self._read[path] = values, head, declarations(lines, values, str(file))
        return self._read[path]

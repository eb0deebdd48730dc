"""Every model, dataset and command there is, with its settings: the classes that declare them, the
presets in configs/.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from genbench.config.choice_files import CODE, EXAMPLES, GROUPS, read_choice, require_typable
from genbench.config.declarations import settings_class
from genbench.config.values import flatten
from genbench.settings.base import Settings, own_first, settings_of
from genbench.settings.commands import COMMAND_OPTIONS
from genbench.settings.run import RunSettings
from genbench.settings.setting import Setting
from genbench.utils.errors import UserError
from genbench.utils.text import quoted

SHARED = settings_of(RunSettings)


class Registry:
    """Everything under one or more config folders; an earlier folder hides a later one's files."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self._read: dict[str, tuple[dict[str, Any], list[str]]] = {}
        self._chains: dict[str, list[str]] = {}
        self._classes: dict[str, type[Settings]] = {}
        self._settings: dict[str, dict[str, Setting]] = {}
        self._problems: dict[str, UserError | None] = {}
        self._merged: dict[str, dict[str, Any]] = {}

    def own_words(self, written: Callable[[Path], str] = quoted) -> list[str]:
        """What a command needs to read the same configs: `--config-dir FOLDER`, or nothing where
        there are none of a user's own. The folder is written as one types it, or by `str` in full.
        """
        own = self.folders[:-1]  # the last are those of genbench
        return [word for folder in own for word in ("--config-dir", written(folder))]

    def names(self, group: str) -> list[str]:
        """The choices of a group, such as the models, in alphabetical order; hidden files are
        none.
        """
        if group == "command":
            return sorted(COMMAND_OPTIONS)
        files = [file for folder in self.folders for file in (folder / group).glob("*.yaml")]
        return sorted({file.stem for file in files if not file.name.startswith(".")})

    def readable(self, group: str) -> list[str]:
        """The choices whose settings can be read; a damaged file of a user's own leaves the others
        usable.
        """
        return [choice for choice in self.names(group) if self.problem(f"{group}/{choice}") is None]

    def problem(self, path: str) -> UserError | None:
        """Why a choice cannot be used, if it cannot."""
        if path not in self._problems:  # help asks for every setting of every choice
            self._problems[path] = self._found_problem(path)
        return self._problems[path]

    def _found_problem(self, path: str) -> UserError | None:
        group, _, choice = path.partition("/")
        try:
            if group in GROUPS:
                require_typable(group, choice)
            self.settings(path)
            self.about(path)
        except UserError as error:
            return error
        return None

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
        """UserError where the file of a choice lacks the code that it stands for, or its name.

        A run records the name, by which other commands find the file again.
        """
        path = f"{group}/{choice}"
        for name in (f"{group}.name", f"{group}.{CODE[group]}"):
            if self._preset(path, name) is None:
                raise UserError(f"{self.file(path)}: {name}", "is missing", fix=EXAMPLES[group])
        named = self._preset(path, f"{group}.name")
        if named != choice:
            what, fix = "must be the name of the file", f"{group}: {{name: {choice}}}"
            raise UserError(f"{self.file(path)}: {group}.name", what, named, fix)

    def let_import(self) -> None:
        """Let Python find modules in a user's own folders, whose YAML files name classes and
        loaders.
        """
        sys.path += [str(folder) for folder in self.folders[:-1] if str(folder) not in sys.path]

    def default_choice(self, group: str) -> str:
        """The choice of a group for commands that make none."""
        listed = self._defaults("config")
        found = [entry[group] for entry in listed if isinstance(entry, dict) and group in entry]
        if not found:
            fix = f"add {{{group}: NAME}} to its defaults list"
            raise UserError(
                str(self.file("config")), f"names no {group} for commands that name none", fix=fix
            )
        return found[0]

    def about(self, path: str) -> list[str]:
        """What a choice is, then its source: the comment at the head of its file, or the docstring
        of a command.
        """
        group, _, choice = path.partition("/")
        if group == "command":
            paragraphs = (COMMAND_OPTIONS[choice].__doc__ or "").split("\n\n")
            return [" ".join(paragraph.split()) for paragraph in paragraphs]
        return self._file(path)[1]

    def declared(self, path: str) -> type[Settings]:
        """The class that declares the settings of a choice, such as `model/vae`, or of `config`,
        which every run has.

        UserError where a user's own code cannot be imported.
        """
        if path not in self._classes:
            group, _, choice = path.partition("/")
            if path == "config":
                declared: type[Settings] = RunSettings
            elif group == "command":
                declared = COMMAND_OPTIONS[choice]
            else:
                self.let_import()
                self.require_named(group, choice)
                name = f"{group}.{CODE[group]}"
                key = name if self._is_builtin(path) else f"{self.file(path)}: {name}"
                declared = settings_class(group, self._preset(path, name), key)
            self._classes[path] = declared
        return self._classes[path]

    def settings(self, path: str) -> dict[str, Setting]:
        """The settings of a choice by dotted name, with its defaults; those of every run are only
        in `config`.
        """
        if path not in self._settings:
            group = path.partition("/")[0]
            presets = self._presets(path)
            declared = settings_of(self.declared(path), "dataset." * (group == "dataset"))
            self._settings[path] = {
                name: replace(setting, default=presets.get(name, setting.default))
                for name, setting in declared.items()
                if group != "model" or name not in SHARED
            }
        return {**self._settings[path]}

    def own_first(self, path: str) -> dict[str, Setting]:
        """The same, those that only this choice has before those that it shares with others."""
        ordered = own_first(self.declared(path), self.settings(path).values())
        return {setting.name: setting for setting in ordered}

    def value(self, path: str, name: str) -> Any:
        """The value that a choice gives to any key of a run's config; None where it leaves the key
        alone.
        """
        preset = self._preset(path, name)
        if preset is not None or path.partition("/")[0] not in GROUPS:
            return preset
        declared = self.declared(path)
        if path.startswith("dataset/"):
            name = name.removeprefix("dataset.") if name.startswith("dataset.") else ""
            info = declared.model_fields.get(name)
            return None if info is None else info.get_default()
        setting = settings_of(declared).get(name)
        inherited = name in SHARED and setting is not None and setting == SHARED[name]
        return None if setting is None or inherited else setting.default

    def shared(self) -> dict[str, Setting]:
        """The settings that every run has."""
        return self.settings("config")

    def owners(self, name: str) -> list[str]:
        """The models and datasets that have a setting of this name."""
        return [
            choice
            for group in GROUPS
            for choice in self.readable(group)
            if name in self.settings(f"{group}/{choice}")
        ]

    def _preset(self, path: str, name: str) -> Any:
        """What a file, or one it includes, sets a key to."""
        return self._presets(path).get(name)

    def _presets(self, path: str) -> dict[str, Any]:
        """The values of a file and of those it includes, by dotted name; null where a later file
        says nothing else.
        """
        if path.startswith("command/"):
            return {}
        if path not in self._merged:
            found: dict[str, Any] = {}
            for part in self._chain(path):
                found |= self._file(part)[0]
            self._merged[path] = found
        return self._merged[path]

    def _chain(self, path: str, within: tuple[str, ...] = ()) -> list[str]:
        """The file and those that its defaults list includes, in the order in which they are
        applied.

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
            found: list[str] = []
            for part in self._included(path, within):
                found = [p for p in found if p not in part] + part  # the last place counts
            self._chains[path] = found
        return self._chains[path]

    def _included(self, path: str, within: tuple[str, ...]) -> Iterator[list[str]]:
        """What each entry of a file's defaults list includes; the file itself where the list says
        `_self_`, or last.
        """
        group = path.rpartition("/")[0]
        entries = [entry for entry in self._defaults(path) if isinstance(entry, str)]
        for entry in entries if "_self_" in entries else [*entries, "_self_"]:
            if entry == "_self_":
                yield [path]
            elif not entry.startswith("settings/"):
                included = entry[1:] if entry.startswith("/") else f"{group}/{entry}"
                yield self._chain(included, (*within, path))

    def _defaults(self, path: str) -> list[Any]:
        """The defaults list of a file."""
        listed = self._file(path)[0].get("defaults") or []
        if not isinstance(listed, list):
            raise UserError(
                f"{path}.yaml: defaults",
                "must be a list",
                listed,
                "such as defaults: [vae, _self_]",
            )
        return listed

    def _is_builtin(self, path: str) -> bool:
        return self.file(path).parent.parent == self.folders[-1]

    def _file(self, path: str) -> tuple[dict[str, Any], list[str]]:
        """The values of a file by dotted name, and the lines of the comment at its head."""
        if path not in self._read:
            file = self.file(path)
            by_user = path != "config" and file.parent.parent != self.folders[-1]
            content, head = read_choice(file, by_user)
            self._read[path] = flatten(content), head
        return self._read[path]


def builtin_registry(config_dir: str | None = None) -> Registry:
    """What the configs next to the package (a checkout) or in it (an installation) hold, after a
    user's own.
    """
    if config_dir is None:
        return _builtin()
    if not os.path.isdir(config_dir):
        raise UserError(
            "--config-dir",
            "no such folder",
            config_dir,
            "give a folder that holds model/ or dataset/",
        )
    return Registry([Path(config_dir).resolve(), *_builtin().folders])


@cache  # what ships does not change while the program runs
def _builtin() -> Registry:
    package = Path(__file__).resolve().parent.parent
    found = (folder / "configs" for folder in (package, package.parent))
    return Registry([next(f for f in found if (f / "config.yaml").is_file())])

"""What commands for a finished run start from: the settings in its folder, and the options beside
it.
"""

import copy
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genbench.config.choice_files import CODE, GROUPS
from genbench.config.registry import Registry
from genbench.config.validation import check_config, known_settings
from genbench.config.values import Loader, flatten
from genbench.settings.base import Settings
from genbench.settings.commands import CommandOptions
from genbench.settings.names import nearest
from genbench.settings.setting import written
from genbench.utils.errors import UserError
from genbench.utils.files import Unreadable, parse_yaml, read_yaml
from genbench.utils.schema import CONFIG
from genbench.utils.text import quoted

ADDED = ("logger",)  # settings that runs of earlier versions lack
# The same of models, each with other settings that only these models have, and with its value then.
ADDED_TO_MODELS: dict[str, tuple[set[str], Any]] = {
    "ema": ({"optimizer"}, 0.0),
    "bound": ({"n_components", "n_init", "tol"}, False),
}
# And the same of datasets.
ADDED_TO_DATASETS: dict[str, tuple[set[str], Any]] = {"header": ({"missing"}, "auto")}


def recorded(folder: Path, registry: Registry, settings: dict | None = None) -> dict:
    """The checked config of a run that its directory holds. UserError if it is lost or damaged, or
    of another version.

    `settings` are what `read_settings` returns, where the caller has read them already.
    """
    file = folder / "config.yaml"
    config = completed(copy.deepcopy(settings or read_settings(folder)))
    for name in ADDED:
        config.setdefault(name, registry.shared()[name].default)
    for group in GROUPS:
        choice = config[group]["name"]
        if choice not in registry.names(group):
            raise UserError(
                group, f"no such {group}", choice, "give the --config-dir the run was started with"
            )
        # Which code runs is for configs/ to say, never for the folder of a run, which may be
        # somebody else's.
        registry.require_named(group, choice)
        config[group][CODE[group]] = registry.value(f"{group}/{choice}", f"{group}.{CODE[group]}")
    try:
        return check_config(config, registry)
    except UserError as error:
        raise UserError(
            str(file),
            f"is damaged, or of another version: {error.key}: {error.what}",
            error.got,
            _again(folder),
        ) from error


def completed(config: dict) -> dict:
    """The settings of a run of any version, with those of its model and its data that it lacks."""
    found = _added(config, ADDED_TO_MODELS) | config
    dataset = config.get("dataset")
    if isinstance(dataset, dict):
        found["dataset"] = _added(dataset, ADDED_TO_DATASETS) | dataset
    return found


def _added(settings: dict, added: dict[str, tuple[set[str], Any]]) -> dict:
    return {name: value for name, (beside, value) in added.items() if beside <= {*settings}}


def as_recorded_then(config: dict) -> list[dict]:
    """The settings as earlier versions had them, without some of those that they lacked."""
    forms = [_without(config, ADDED_TO_MODELS)]
    dataset = config.get("dataset")
    if isinstance(dataset, dict):
        then = _without(dataset, ADDED_TO_DATASETS)
        forms += [form | {"dataset": then} for form in (config, *forms)]
    return forms


def _without(settings: dict, added: dict[str, tuple[set[str], Any]]) -> dict:
    return {
        name: value
        for name, value in settings.items()
        if name not in added or value != added[name][1]
    }


def require_once(names: Iterable[str]) -> None:
    """UserError for an option that a command is given twice, as one of the values would be lost."""
    for name, times in Counter(names).items():
        if times > 1:
            raise UserError(name, f"is given {times} times", fix="give it once")


def read_settings(folder: Path) -> dict:
    """The content of config.yaml in the directory of a run. Unreadable if it is lost or damaged."""
    file = folder / "config.yaml"
    if not os.path.lexists(file):
        is_folder = os.path.isdir(folder)  # glob fails on a name that no folder can have
        if is_folder and any([*folder.glob("status.json"), *folder.glob("checkpoint-*.pt")]):
            raise Unreadable(file, "is gone", _again(folder))
        raise UserError(
            str(folder), "is not a run directory", fix="give one that holds a config.yaml"
        )
    try:
        return read_yaml(file, CONFIG)
    except Unreadable as error:
        raise Unreadable(file, error.what, _again(folder)) from error


def _again(folder: Path) -> str:
    """The way out where the settings are lost: the command has them, and so has a checkpoint."""
    return f"repeat the run's own command with hydra.run.dir={quoted(folder)}"


def given(name: str, text: str) -> Any:
    """The value that is given to an option on the command line, as YAML has it; the text itself
    where that is none.
    """
    try:
        return parse_yaml(text, name, Loader)
    except Unreadable:
        return text


def options(command: str, words: list[str], registry: Registry) -> tuple[Path, Settings]:
    """The folder of a run and the checked options, that the words `RUN [NAME=VALUE ...]` give a
    command. Some commands need no folder: they look at all runs in the usual one.

    The class of the command declares the options. Those that are not given are at their defaults.
    """
    known = registry.own_first(f"command/{command}")
    declared = registry.declared(f"command/{command}")
    assert issubclass(declared, CommandOptions)
    is_unnamed = not words or ("=" in words[0] and words[0].partition("=")[0] in known)
    if is_unnamed and declared.usual_folder is not None:
        words = [declared.usual_folder, *words]
    elif is_unnamed:
        raise UserError(
            command, "needs the directory of a finished run", fix=f"genbench {command} outputs/RUN"
        )
    values = {name: setting.default for name, setting in known.items()}
    for word in words[1:]:
        name, equals, text = word.partition("=")
        if name not in known or not equals:
            near = nearest(name, known)
            fix = (
                f"did you mean '{near}={known[near].words()[0]}'?"
                if near
                else f"it has {', '.join(known)}"
            )
            raise UserError(name, f"{command} has no such option", word, fix)
        values[name] = given(name, text)
    require_once(word.partition("=")[0] for word in words[1:])
    checked = {name: setting.check(values[name], values) for name, setting in known.items()}
    return Path(words[0]), declared.from_checked(checked)


def given_overrides(config: dict, registry: Registry) -> list[str]:
    """Overrides that give these settings."""
    model, dataset, values = config["model"]["name"], config["dataset"]["name"], flatten(config)
    known = known_settings(registry, model, dataset, values)
    own = [
        f"{name}={written(values[name])}" for name in known if values[name] != known[name].default
    ]
    return [f"model={model}", f"dataset={dataset}", *own]

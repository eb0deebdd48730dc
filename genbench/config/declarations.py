"""Finds the settings class of a model or dataset: the package's own by name, a user's by importing
its code.
"""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from genbench.config.choice_files import PLACES
from genbench.settings.base import Settings, settings_of
from genbench.settings.builtin import builtin_settings
from genbench.settings.datasets import DatasetSettings
from genbench.settings.run import RunSettings
from genbench.utils.errors import UserError

GENERAL: dict[str, type[Settings]] = {"model": RunSettings, "dataset": DatasetSettings}


def settings_class(group: str, code: str, key: str) -> type[Settings]:
    """The settings class of a model's class or a dataset's loader, which a dotted path names.

    That of a user's own model is the annotation of its attribute `settings`, inherited ones
    included; that of a loader the annotation of its argument. Only a user's own code is imported
    for it. UserError, about `key`, where the code cannot be imported.
    """
    builtin = builtin_settings(code)
    if builtin is not None:
        return builtin
    annotation = _annotation(_imported(code, key))
    if isinstance(annotation, type) and issubclass(annotation, GENERAL[group]):
        return annotation
    return GENERAL[group]


def typed(config: Mapping[str, Any]) -> RunSettings:
    """A checked config as the settings class of its model, with that of its dataset in it."""
    declared = settings_class("model", config["model"]["class"], "model.class")
    built = declared.from_checked({**config, "dataset": typed_dataset(config["dataset"])})
    assert isinstance(built, RunSettings)
    return built


def typed_dataset(config: Mapping[str, Any]) -> DatasetSettings:
    """The part of a checked config that is about the dataset, as its settings class."""
    declared = settings_class("dataset", config["loader"], "dataset.loader")
    built = declared.from_checked(config)
    assert isinstance(built, DatasetSettings)
    return built


def local_settings(config: Mapping[str, Any]) -> set[str]:
    """The dotted names of the dataset's settings that hold a path of this machine.

    `dataset.path` may be the name of a published dataset instead, which everybody may see.
    """
    values = {f"dataset.{name}": value for name, value in config["dataset"].items()}
    declared = settings_class("dataset", config["dataset"]["loader"], "dataset.loader")
    known = settings_of(declared, "dataset.")
    paths = {name for name in values if name in known and known[name].is_path}
    for name in values.keys() & PLACES:
        words = known[name].words() if name in known else []
        value = values[name]
        if isinstance(value, str) and value not in words:
            paths |= {name} if os.path.isabs(value) or os.path.exists(value) else set()
    return paths


def data_name(config: Mapping[str, Any]) -> str:
    """The published name of the data in `dataset.path`, else the name of the dataset."""
    dataset = config["dataset"]
    is_published = dataset.get("path") and "dataset.path" not in local_settings(config)
    return str(dataset["path"] if is_published else dataset["name"])


def _imported(path: str, key: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise UserError(
            key, f"cannot be imported: {error}", path, "correct the path or install the module"
        ) from error


def _annotation(code: type | Callable[..., Any]) -> Any:
    """What a class says its `settings` are, or a function its first argument."""
    if not isinstance(code, type):
        parameters = [*inspect.signature(code).parameters.values()]
        return _evaluated(parameters[0].annotation, code) if parameters else None
    for base in code.__mro__:
        if "settings" in inspect.get_annotations(base):
            return _evaluated(inspect.get_annotations(base)["settings"], base)
    return None


def _evaluated(annotation: Any, code: Any) -> Any:
    """An annotation, also where `from __future__ import annotations` has made it a string."""
    if not isinstance(annotation, str):
        return annotation
    return vars(sys.modules[code.__module__]).get(annotation)

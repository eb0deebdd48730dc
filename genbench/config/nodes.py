"""The defaults of settings classes as configs that Hydra composes: `settings/run`,
`settings/model/vae` and so on.
"""

import importlib
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from genbench.config.array_choice import inferred_kind
from genbench.config.choice_files import GROUPS
from genbench.config.registry import SHARED, Registry
from genbench.settings.base import Settings, settings_of
from genbench.settings.fields import ConditionalDefault

_stored_for: list[Registry] = []  # the registry whose settings Hydra's store holds, at most one


def store_settings(registry: Registry) -> None:
    """Give Hydra the defaults of every run, model and dataset; config.yaml includes those of the
    chosen ones.
    """
    if _stored_for == [registry]:
        return
    store = ConfigStore.instance()
    node = {name: setting.default for name, setting in SHARED.items()}
    store.store("run", node, group="settings", package="_global_")
    for group in GROUPS:
        for choice in registry.readable(group):
            declared = registry.declared(f"{group}/{choice}")
            node = _dataset(declared) if group == "dataset" else _model(declared)
            store.store(choice, node, group=f"settings/{group}", package="_global_")
    _stored_for[:] = [registry]


def hide_stored(folder: Path) -> None:
    """Remove from Hydra's store the launchers and sweepers that have a file in this folder.

    A published plugin of the same name may be installed, such as hydra-joblib-launcher, and Hydra
    would check our file by its fields.
    """
    stored = ConfigStore.instance().repo.get("hydra", {})
    for file in folder.glob("hydra/*/*.yaml"):
        stored.get(file.parent.name, {}).pop(file.name, None)


def _model(declared: type[Settings]) -> dict[str, Any]:
    """The defaults of a model's own settings, and of those of every run that it changes."""
    return {
        name: _default(declared, name, setting.default)
        for name, setting in settings_of(declared).items()
        if SHARED.get(name) != setting
    }


def _dataset(declared: type[Settings]) -> dict[str, Any]:
    kind = declared.model_fields["kind"].default
    values = {name: setting.default for name, setting in settings_of(declared).items()}
    return {"dataset": ({} if kind is None else {"kind": kind}) | values}


def _default(declared: type[Settings], name: str, default: Any) -> Any:
    """A default; one that depends on another setting as a call of the resolver below."""
    if not isinstance(default, ConditionalDefault):
        return default
    return f"${{default:{declared.__module__},{declared.__qualname__},{name}}}"


def _resolve(module: str, qualname: str, name: str, *, _root_: Any) -> Any:
    """The default of a setting that depends on another one of the config that is being composed."""
    declared = getattr(importlib.import_module(module), qualname)
    default = settings_of(declared)[name].default

    def value_of(other: str) -> Any:
        value = OmegaConf.select(_root_, other)
        if value is None and other == "dataset.kind":
            dataset = _root_.dataset
            return inferred_kind(dataset.loader, {f"dataset.{n}": dataset[n] for n in dataset})
        return value

    return default.resolved(value_of)


# At import, because the workers of a parallel launcher import no more than a job needs.
OmegaConf.register_new_resolver("default", _resolve, replace=True)

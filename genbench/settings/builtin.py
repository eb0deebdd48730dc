"""Finds the settings class of a model or dataset of the package by its name, so that the code,
which imports torch, need not be imported.

`VAESettings` is that of the model `genbench.models.vae.VAE`. A loader whose name no class bears has
that of its module: `PublishedSettings` is that of `genbench.data.published.mnist`.
"""

from types import ModuleType

from genbench.settings import (
    adversarial,
    autoencoders,
    classical,
    datasets,
    densities,
    diffusion,
    groups,
    own_data,
    picture_sets,
)
from genbench.settings.base import Settings


def _by_name(*modules: ModuleType) -> dict[str, type[Settings]]:
    """The settings classes of some modules by their names in lower case."""
    return {
        name.lower(): found
        for module in modules
        for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, Settings)
    }


_CLASSES = {
    "models": _by_name(adversarial, autoencoders, classical, densities, diffusion, groups),
    "data": _by_name(datasets, own_data, picture_sets),
}


def builtin_settings(code: str) -> type[Settings] | None:
    """The settings class of a model's class or a dataset's loader, which a dotted path names; None
    if the package has none for it.
    """
    package, *places = code.split(".")
    if package != "genbench" or places[0] not in _CLASSES:
        return None
    known = _CLASSES[places[0]]
    names = [f"{place.replace('_', '').lower()}settings" for place in reversed(places[1:])]
    return next((known[name] for name in names if name in known), None)

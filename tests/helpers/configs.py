"""The real configs, composed and made small, and the models found in them."""

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import create_model

from genbench.config.compose import resolved
from genbench.config.registry import builtin_registry
from genbench.data.loading import load_data
from genbench.data.types import Data, Split
from genbench.experiment import build
from genbench.model import Model
from genbench.settings.base import Settings
from genbench.settings.fields import ConditionalDefault
from genbench.settings.setting import Setting
from genbench.utils.errors import UserError
from genbench.utils.imports import locate

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
MODELS = sorted(f.stem for f in (CONFIGS / "model").glob("*.yaml"))

# Small enough to train in a moment; a setting that a model does not have is left out.
SMALL = {
    "hidden": [16],
    "layers": 2,
    "channels": 4,
    "dense": 16,
    "latent_dim": 3,
    "n_components": 3,
    "projections": 5,
    "pseudo_inputs": 5,
    "features": 4,
}
SMALL |= {"width": 16, "depth": 1, "sampling_steps": 3, "likelihood_steps": 4}
SMALL |= {"n_critic": 2, "n_discriminator": 2, "discriminator_hidden": [8]}


def own_class(model: str) -> str:
    """The class that a model's YAML names."""
    return builtin_registry().value(f"model/{model}", "model.class")


# One model of each class: of those that are the same class the plainest.
PLAINEST = [*{own_class(name): name for name in sorted(MODELS, key=len, reverse=True)}.values()]

# Some of each family, which the plain tests take; with -m models the others have their turn.
FAMILIES = {"pca", "kmeans", "gmm", "kde", "vae", "gan", "edm"}
EVERY_CLASS = [
    name if name in FAMILIES else pytest.param(name, marks=pytest.mark.models) for name in PLAINEST
]


def settings_with(settings: Settings, **values: Any) -> Settings:
    """The settings with other values, also of fields that their class lacks."""
    new = values.keys() - type(settings).model_fields.keys()
    made = create_model("Made", __base__=type(settings), **{name: (Any, None) for name in new})
    return made.model_construct(**{**dict(settings), **values})


def config_of(model: str, *overrides: str, dataset: str = "digits") -> dict:
    """The real config of a model with these overrides, checked as the command line would."""
    return copy.deepcopy(_composed(f"model={model}", f"dataset={dataset}", *overrides))


@cache  # Hydra takes a third of a second
def _composed(model: str, dataset: str, *overrides: str) -> dict:
    registry = builtin_registry()
    settings = (
        s
        for choice in (model, dataset)
        for s in registry.settings(choice.replace("=", "/")).values()
    )
    required = [setting.example for setting in settings if setting.required]
    return resolved([model, dataset, *required, *overrides], registry)


def defaults(dataset: str) -> dict:
    """A dataset's real settings."""
    return config_of("pca", dataset=dataset)["dataset"]


def own_settings(model: str) -> dict:
    """What a model's YAML and those it includes declare."""
    return builtin_registry().settings(f"model/{model}")


def defaults_of(setting: Setting) -> list:
    """The default, or those that go with the values of another setting."""
    default = setting.default
    return (
        [value for _, value in default.cases]
        if isinstance(default, ConditionalDefault)
        else [default]
    )


def small_config(model: str, *overrides: str, dataset: str = "digits") -> dict:
    """A model's real config on few points and with small shapes; its layers are fully connected unless an override says."""
    own = own_settings(model)
    network = next(
        (o.removeprefix("network=") for o in overrides if o.startswith("network=")), "mlp"
    )
    idle = {"mlp": ("channels", "dense"), "conv": ("hidden", "width")}[network]
    small = [
        f"{k}={v}" for k, v in ({"network": network} | SMALL).items() if k in own and k not in idle
    ]
    few = ["epochs=4", "batch_size=50", "dataset.limit=130", "device=cpu", "evaluation=none"]
    return config_of(model, *few, *small, *overrides, dataset=dataset)


def built(config: dict, data: Data) -> Model:
    """The model for this data; skips the test where the model is not for such data."""
    try:
        return build(config, data)
    except UserError as error:
        if " needs " in str(error):
            pytest.skip(str(error))
        raise


def accepts(model: str, name: str, value) -> bool:
    """Whether a model has this setting, and takes this value beside its defaults."""
    if name not in own_settings(model):
        return False
    try:
        config = small_config(model, f"{name}={value}")
        build(config, load_data(config["dataset"], torch.device("cpu")))
    except UserError:
        return False
    return True


REMEMBERING = {
    "patience": 2,
    "annealing": "linear",
    "ema": 0.9,
    "grad_clip": 1.0,
    "instance_noise": 0.1,
    "bound": True,
}


def config_with_all_state(model: str, *overrides: str, dataset: str = "digits") -> dict:
    """A small config in which the model has as much to remember as it can."""
    remembered = [
        f"{name}={value}" for name, value in REMEMBERING.items() if accepts(model, name, value)
    ]
    return small_config(model, "draw_every=2", *remembered, *overrides, dataset=dataset)


def suited(model: str, data):
    """The data, or where the model gives probabilities of dots and they count none, the data as 0 and 1."""
    made = locate(config_of(model)["model"]["class"], "model.class")
    if data.spec.trials or not getattr(made, "mass", False):
        return data
    parts = {
        name: Split((part.values() > 0.5).float(), part.y) for name, part in data.splits.items()
    }
    return data._replace(splits=parts, spec=data.spec._replace(unit=True, trials=1))


ERROR = re.compile(r"genbench: error: [^:]+: .+; fix: .+")  # all that a command may say on stderr


class Nowhere:
    """A run that keeps the logged points and nothing else."""

    def __init__(self):
        self.points = []

    def restore(self, at, model, stopping):
        return False

    def log(self, epoch, point, images_per_second):
        self.points.append(point)

    def draw(self, epoch, model, data):
        pass

    def save(self, at, model, stopping, may_skip=False):
        pass


def sketch(self, model, epoch):
    """What `Viewer.watched` and `finished` are, but for a moment's work."""
    pixels = torch.randint(256, (50, 50, 3), generator=torch.Generator().manual_seed(epoch)).byte()
    return iter([("samples" if epoch % 2 else "codes", pixels)])

"""Builds a model from its settings, for the data that it is to learn from."""

from collections.abc import Callable
from functools import partial

import torch

from genbench.data.fitting import standardizes
from genbench.data.types import Data, DataSpec
from genbench.model import Model
from genbench.models.standardized import Standardized
from genbench.settings.run import RunSettings
from genbench.training.defaults import resolve_auto
from genbench.training.gradient import GradientModel
from genbench.training.memory import require_room_for_model
from genbench.utils.rng import fold


def build_model(chosen: type[Model], settings: RunSettings, data: Data) -> Model:
    """A model of this class for this data and on its device, with `auto` replaced in its settings.

    The initial weights are a function of the seed. UserError for settings that do not fit the data.
    """
    resolved = resolve_auto(settings, chosen, data)
    return blank_model(chosen, resolved, data.spec, data.train.device)


def blank_model(
    chosen: type[Model], settings: RunSettings, spec: DataSpec, device: torch.device
) -> Model:
    """A model with these resolved settings for data points of this kind, before it is trained."""
    make: Callable[..., Model] = partial(_made, chosen)
    if standardizes(settings.dataset, spec):
        make = partial(Standardized, inner_class=make)
    require_room_for_model(make, chosen, spec, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(settings.seed, "weights"))
        model = make(spec, settings)
    model = model.float() if device.type == "mps" else model  # mps has no double precision
    return model.to(device)


def _made(chosen: type[Model], spec: DataSpec, settings: RunSettings) -> Model:
    """A model of this class, with averages of its weights if the settings ask for them."""
    model = chosen(spec, settings)
    if isinstance(model, GradientModel) and model.settings.ema:
        model.keep_average()
    return model

"""Small models and data whose measures are known."""

import torch

from genbench.data.types import Data, DataSpec, Split
from genbench.evaluation.card import card
from genbench.evaluation.context import Evaluation
from genbench.model import Model
from genbench.settings.run import ModelChoice, RunSettings
from genbench.utils.rng import generator
from helpers.configs import settings_with

CPU = torch.device("cpu")


def normal(n, d, seed):
    return torch.randn(n, d, generator=generator(seed))


def made(train, test, y=None, unit=False, classes=0):
    """A dataset of these points; labels y are those of both parts."""
    parts = {"train": Split(train, y), "test": Split(test, y)}
    return Data("made", parts, DataSpec(tuple(train.shape[1:]), unit, classes=classes))


def model_with(data, latent_dim=None, **abilities):
    """A model that can what these functions can."""
    settings = settings_with(
        RunSettings(seed=0, model=ModelChoice(name="made")), latent_dim=latent_dim
    )
    model = Model(data.spec, settings)
    for name, ability in abilities.items():
        object.__setattr__(model, name, ability)
    return model


def numbers(model, data, *names, **more):
    """The values of these measures by name."""
    return {
        entry["name"]: entry["value"] for entry in card(Evaluation(model, data, {}, **more), names)
    }


def entry(name, value, **more):
    """An entry of a card, as far as the diagnosis looks at it."""
    return {"name": name, "value": value, "n": {"samples": 1000, "test": 1000}, "low": None} | more

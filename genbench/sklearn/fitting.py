"""Fits a model to arrays in memory: no file is written, and nothing is printed unless asked for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from genbench.config.registry import Registry
from genbench.data.types import Data, DataSpec, Split
from genbench.model import Model
from genbench.models.build import blank_model, build_model
from genbench.runs.progress import Display
from genbench.settings.datasets import DatasetSettings, ImageSettings, VectorSettings
from genbench.settings.fields import ConditionalDefault, is_auto
from genbench.settings.groups import EarlyStoppingSettings, GradientSettings
from genbench.settings.run import ModelChoice, RunSettings
from genbench.settings.setting import Setting
from genbench.sklearn.parameters import BY_DATA
from genbench.training.defaults import length
from genbench.training.loop import NullRecorder, Position, fit_model
from genbench.training.stopping import EarlyStopping
from genbench.utils.rng import generator

# The least length of training, in steps, where epochs='auto': an estimator is fitted many times in
# a search.
LEAST_STEPS, LEAST_EPOCHS = 1000, 40


@dataclass(frozen=True)
class Points:
    """Points [n, *shape] as a model takes them, their labels [n] or None, and what they are."""

    x: torch.Tensor
    y: torch.Tensor | None
    spec: DataSpec

    def data(self, share: float | None, seed: int) -> Data:
        """The points as data to train on, with a share of them, if any, to validate on."""
        splits = {"train": Split(self.x, self.y)}
        if share is not None:
            order = torch.randperm(len(self.x), generator=generator(seed, "parts"))
            size = min(len(order) - 1, math.ceil(share * len(order)))
            whole = splits["train"]
            splits = {"train": whole.at(order[size:]), "validation": whole.at(order[:size])}
        return Data("memory", splits, self.spec)


def settings_for(
    model: str,
    given: Mapping[str, tuple[Setting, Any]],
    dataset: DatasetSettings,
    registry: Registry,
) -> RunSettings:
    """The checked settings of a model, given values of some by name; others have their defaults.

    A value of 'auto' that a setting does not know leaves the default to the other settings.
    UserError for what the command line would refuse.
    """
    path = f"model/{model}"
    declared = registry.declared(path)
    assert issubclass(declared, RunSettings)
    presets = {name: setting.default for name, setting in registry.settings(path).items()}
    for name in ("epochs", "batch_size"):
        preset = registry.value(path, name)
        presets |= {} if preset is None else {name: preset}
    chosen = {name: _plain(value) for name, (_, value) in given.items()}
    chosen = {name: v for name, v in chosen.items() if not _is_open(given[name][0], v)}
    others = presets | chosen | {"dataset.kind": dataset.kind}
    others["dataset.standardize"] = getattr(dataset, "standardize", False)

    def value_of(name: str) -> Any:
        """The value that a setting has beside the others."""
        value = others.get(name)
        return value.resolved(value_of) if isinstance(value, ConditionalDefault) else value

    others |= {name: value_of(name) for name in others}
    known = {name: setting for name, (setting, _) in given.items() if name in chosen}
    checked = {
        name: setting.check(chosen[name], others)
        for name, setting in known.items()
        if chosen[name] != setting.default
    }
    choice = ModelChoice(name=model, class_=registry.value(path, "model.class"))
    fixed = {"dataset": dataset, "model": choice}
    ours = {name: value for name, value in others.items() if "." not in name}
    return declared.from_checked(ours | checked | fixed)


def _is_open(setting: Setting, value: Any) -> bool:
    """Whether a value leaves a setting to the default that goes with the others."""
    return isinstance(setting.default, ConditionalDefault) and value == BY_DATA


def _plain(value: Any) -> Any:
    """Python's own number for one of NumPy's, also in a list, and a list for a tuple or array."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def dataset_settings(image_shape: tuple[int, ...] | None, standardize: bool) -> DatasetSettings:
    """What the settings of a run would say of points in memory."""
    if image_shape is not None:
        return ImageSettings(name="memory")
    return VectorSettings(name="memory", standardize=standardize)


def fit_points(
    chosen: type[Model],
    settings: RunSettings,
    points: Points,
    *,
    validation: float,
    verbose: bool,
) -> tuple[Model, int]:
    """A model of this class, fitted to the points, and the number of its epochs."""
    stops = isinstance(settings, EarlyStoppingSettings) and settings.patience is not None
    data = points.data(validation if stops else None, settings.seed)
    if is_auto(settings.epochs) and getattr(settings, "steps", None) is None:
        settings = settings.model_copy(update=usual_length(chosen, settings, len(data.train)))
    model = build_model(chosen, settings, data)
    recorder = ConsoleRecorder(settings.model.name) if verbose else NullRecorder()
    fitted = fit_model(model, data, recorder, model.settings)
    model.fit_posthoc(data.train, seed=settings.seed)
    return model, fitted.epochs


def usual_length(chosen: type[Model], settings: RunSettings, n: int) -> dict[str, int]:
    """The batch size and the epochs of a model on n points, where the settings leave them open."""
    found = length(settings, n, chosen)
    if isinstance(settings, GradientSettings):
        batches = math.ceil(n / found["batch_size"])
        found["epochs"] = max(LEAST_EPOCHS, math.ceil(LEAST_STEPS / batches))
    return found


class ConsoleRecorder(NullRecorder):
    """Shows the progress of training, and keeps nothing."""

    def __init__(self, title: str) -> None:
        self.display = Display(title)

    def restore(self, at: Position, model: Model, stopping: EarlyStopping) -> bool:
        """Show how many epochs there will be."""
        may_end = model.until_converged or stopping.patience is not None
        self.display.start(math.ceil(at.total / at.of), model.criterion, may_end)
        return False

    def log(
        self, epoch: int, point: dict[str, dict[str, float]], *, images_per_second: float
    ) -> None:
        """Show the terms of an epoch."""
        self.display.epoch(epoch, point, f"{images_per_second:,.0f}/s")


@dataclass(frozen=True)
class SavedModel:
    """What a fitted model consists of, on the CPU, without what only training needs."""

    chosen: type[Model]
    settings: RunSettings
    spec: DataSpec
    weights: dict[str, torch.Tensor]
    posthoc: dict[str, torch.Tensor]

    @classmethod
    def of(cls, chosen: type[Model], model: Model) -> "SavedModel":
        """What this model consists of."""
        weights, posthoc = (
            {name: tensor.detach().cpu() for name, tensor in state.items()}
            for state in (model.state_dict(), model.posthoc_state())
        )
        return cls(chosen, model.settings, model.spec, weights, posthoc)

    def model(self) -> Model:
        """The model, on the CPU."""
        model = blank_model(self.chosen, self.settings, self.spec, torch.device("cpu"))
        known = model.state_dict()  # without what is fitted after training
        model.load_state_dict({name: self.weights[name] for name in known})
        model.load_posthoc_state(self.posthoc)
        return model

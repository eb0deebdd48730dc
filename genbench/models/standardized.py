"""A model that is trained on standardized values, and takes and returns values in data units."""

import functools
from collections.abc import Callable
from typing import Any

import torch

from genbench.data.preprocessing import summed
from genbench.data.types import Batch, DataSpec, Split
from genbench.model import Logs, Model
from genbench.settings.run import RunSettings
from genbench.visualizations import DataUnits, Visualization

# Methods whose first argument is points, and those that return points.
TAKE_POINTS = ("encode", "posterior", "classify", "log_prob", "score")
RETURN_POINTS = ("decode", "sample_from_latent", "sample")
# Attributes that the wrapper takes over from the inner model.
SAME_ATTRIBUTES: tuple[str, ...] = (
    "criterion",
    "until_converged",
    "shuffles",
    "stores_training_data",
    "log_prob_kind",
    "conditional",
    "splits_batches",
)
SAME_ATTRIBUTES += ("is_discrete", "bounded", "invertible")


class Standardized(Model):
    """Any model, trained on (x - mean) / deviation, where both are those of each value over the
    training points.

    A constant value is divided by 1. Arguments and results are in data units, log p(x) and the
    score include the derivative of the division, and codes and the terms of the objective are those
    of standardized values.
    """

    is_standardized = True
    mean: torch.Tensor  # [*shape]
    deviation: torch.Tensor  # [*shape]

    def __init__(
        self, spec: DataSpec, settings: RunSettings, inner_class: Callable[..., Model]
    ) -> None:
        super().__init__(spec, settings)
        self.register_buffer("mean", torch.zeros(spec.shape, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(spec.shape, dtype=torch.float64))
        self.inner = inner_class(spec._replace(unit=False, trials=None), settings)
        # The inner model for the current labels, set by `conditioned_on`; a tuple hides it from
        # `state_dict`.
        self.labelled: tuple[Model, ...] = ()
        for name in SAME_ATTRIBUTES:
            setattr(self, name, getattr(self.inner, name))

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            inner = super().__getattr__("inner")
        attribute = getattr((*self.labelled, inner)[0], name)
        if name not in TAKE_POINTS + RETURN_POINTS:
            return attribute

        # The wrapper keeps the signature, which shows whether the method takes a number of
        # importance samples.
        @functools.wraps(attribute)
        def in_data_units(x: Any, *args: Any, **kwargs: Any) -> Any:
            y = attribute(self.standard(x) if name in TAKE_POINTS else x, *args, **kwargs)
            if name in RETURN_POINTS:
                return self.restored(y)
            if name == "log_prob":
                return y - self.deviation.log().sum().to(y)
            return y / self.deviation.to(y) if name == "score" else y

        return in_data_units

    def standard(self, x: torch.Tensor) -> torch.Tensor:
        """Standardized values [n, *shape] of points [n, *shape]."""
        return ((x.to(self.mean) - self.mean) / self.deviation).float()

    def restored(self, x: torch.Tensor) -> torch.Tensor:
        """Points [n, *shape] of standardized values [n, *shape]."""
        return (x.to(self.mean) * self.deviation + self.mean).float()

    def part(self, train: Split) -> Split:
        """Training points, standardized."""
        return train.transformed(self.standard)

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        mean, deviation = summed(train, self.mean.dtype).moments
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self.inner.setup(self.part(train), seed=seed, steps=steps)

    def initialise(self, train: Split, *, seed: int) -> None:
        self.inner.initialise(self.part(train), seed=seed)

    def within(self, batch: Batch) -> tuple[Model, Batch]:
        return self.inner.within(Batch(self.standard(batch.x), batch.y))

    def step(self, batch: Batch) -> Logs:
        return self.inner.step(Batch(self.standard(batch.x), batch.y))

    def combine(self) -> None:
        self.inner.combine()

    def end_epoch(self) -> Logs:
        return self.inner.end_epoch()

    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        return self.inner.evaluate(Batch(self.standard(batch.x), batch.y), rng)

    def held_out(self, batch: Batch, rng: torch.Generator) -> Logs:
        return self.inner.held_out(Batch(self.standard(batch.x), batch.y), rng)

    def fit_posthoc(self, train: Split, *, seed: int) -> None:
        self.inner.fit_posthoc(self.part(train), seed=seed)

    def for_inference(self) -> Model:
        self.inner = self.inner.for_inference()
        return self

    def posthoc_state(self) -> dict[str, torch.Tensor]:
        return self.inner.posthoc_state()

    def load_posthoc_state(self, state: dict) -> None:
        self.inner.load_posthoc_state(state)

    def warnings(self) -> list[str]:
        return self.inner.warnings()

    def training_state(self) -> dict:
        return self.inner.training_state()

    def load_training_state(self, state: dict) -> None:
        self.inner.load_training_state(state)

    def conditioned_on(self, y: torch.Tensor | None) -> Model:
        labelled = self.inner.conditioned_on(y)
        if labelled is self.inner:
            return self
        other = self.__class__.__new__(self.__class__)
        other.__dict__.update(self.__dict__)
        other.__dict__["labelled"] = (labelled,)
        return other

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        units = DataUnits(self.restored, self.standard, self.deviation)
        shown = self.inner.visualizations(self.standard(x), rng)
        return {name: one.in_units(units) for name, one in shown.items()}

    @property
    def together(self) -> int:
        """With how many runs the inner model was trained."""
        return self.inner.together

    @together.setter
    def together(self, count: int) -> None:
        self.inner.together = count

    @property
    def converged(self) -> bool:
        """Whether the inner model has converged."""
        return self.inner.converged

    @property
    def sampler(self) -> str:
        """What the inner model's `sample` draws from."""
        return self.inner.sampler

    @property
    def latent_dim(self) -> int | None:
        """The dimension of the inner model's codes."""
        return self.inner.latent_dim

    @property
    def size(self) -> int:
        """How many numbers the inner model consists of."""
        return self.inner.size

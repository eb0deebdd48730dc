"""The contract between the training loop and every model.

The loop calls these methods, in this order:

- `setup` before the first batch, also when a run is resumed: optimisers, generators;
- `initialise` before the first batch of a new run: initial values that depend on the data;
- `step` for each batch;
- `end_epoch` after each epoch;
- `evaluate` for the same terms on data that the model does not learn from;
- `fit_posthoc` once after training, for what needs the finished weights.

A run may be stopped between any two batches, wherever a loop calls `signals.check` (which iterating
over data does), but not within `step`. `end_epoch` may call it as long as it has changed nothing
yet.

Gradient models learn in `step`. Closed-form and EM models accumulate sufficient statistics in
`step` and solve in `end_epoch`. The loop assumes nothing else, so one loop trains all of them.

A model's capabilities are the optional methods that it implements: `encode(x)` and `decode(z)`;
`codes(n, rng)` and `sample(n, rng)`, which draw codes and points; `log_prob(x)` and its gradient
`score(x)`. `supports(model, "sample")` says whether an object has one, which may depend on its
settings (see `available_if`). What a conditional model returns depends on labels: callers write
`model.conditioned_on(y).encode(x)`, with labels y or None, for all models alike.
"""

import copy
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, ClassVar, overload

import torch
from torch import nn

from genbench.data.types import Batch, DataSpec, Split
from genbench.settings.changes import with_sampling
from genbench.settings.run import RunSettings
from genbench.visualizations import Visualization

# Scalars on the device: means over the data points that they were computed on.
Logs = dict[str, torch.Tensor]


class Model(nn.Module):
    """One epoch is a `step` per batch, then `end_epoch`.

    Everything that describes the fit is a parameter or a buffer, so `state_dict` holds all of it.
    What only training needs (optimisers, counters) is in `training_state`.
    """

    # True if a run usually ends early, so that its last epoch is not known in advance.
    until_converged = False
    # False if an epoch's result does not depend on the order of points; they are then read in the
    # order in which they are stored, which is faster.
    shuffles = True
    # The term of `evaluate` that training lowers; None where there is none, as in a game.
    criterion: str | None = None
    # What latent_dim=auto means, unless the data have fewer dimensions.
    default_latent_dim = 16
    # What batch_size=auto means, unless there are few points.
    default_batch_size = 128
    # What epochs=auto means, by the network: so many, or as many as it takes to make so many steps.
    default_lengths: ClassVar[Mapping[str, tuple[int, int]]] = {
        "mlp": (40, 4000),
        "conv": (18, 4000),
    }
    # True if the terms of the objective are those of standardized values, not of the data's units.
    is_standardized = False
    # True if the fit consists of the training data, so that measuring it on them is meaningless.
    stores_training_data = False
    # "exact", or which bound `log_prob` returns.
    log_prob_kind = "exact"
    # True if the methods depend on the labels given to `conditioned_on`.
    conditional = False
    # True if `log_prob` takes so long that pictures of the density do without it.
    slow_log_prob = False
    # True if `log_prob` is that of a probability, False if that of a density.
    is_discrete = False
    # True if `log_prob` is defined for values in [0, 1] only.
    bounded = False
    # True if `decode` undoes `encode`, up to rounding or a solver's error, whatever was learnt.
    # Reconstructions then show nothing about the model, and are neither measured nor drawn.
    invertible = False

    # Whether points are drawn, and codes decoded, one value after the other: a program of that is
    # as long as a point has values.
    value_by_value = False

    # True if the processes of one run may each learn from a share of every batch, as the loss and
    # its terms are means over points, or `step` adds up sums that `combine` completes. No class
    # inherits it, as it may compute something else; without it every process learns from whole
    # batches, which is right for any model, but no faster.
    splits_batches = False

    # How many runs, this one among them, its training was done together with.
    together = 1

    # A subclass narrows the type to its own settings class, so that a misspelt name is an error.
    settings: RunSettings

    # Capabilities. They are declared for type checkers only: no attribute exists unless a subclass
    # defines it.
    encode: Callable[..., torch.Tensor]
    decode: Callable[..., torch.Tensor]
    codes: Callable[..., torch.Tensor]
    sample: Callable[..., torch.Tensor]
    log_prob: Callable[..., torch.Tensor]
    score: Callable[..., torch.Tensor]
    posterior: Callable[..., tuple[torch.Tensor, torch.Tensor]]

    @classmethod
    def largest(cls, settings: RunSettings, points: int, size: int) -> dict[str, int]:
        """The upper bounds of settings that follow from the number of training points and of values
        in each point.

        A larger value is refused, and `auto` stays within the bound. Settings without a bound are
        not listed.
        """
        return {}

    @classmethod
    def automatic(cls, settings: RunSettings, points: int, size: int) -> dict[str, Any]:
        """What `auto` stands for in settings of this model, besides those that `largest` lists,
        with so many training points of so many values.
        """
        return {}

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "splits_batches" not in vars(cls):
            cls.splits_batches = False

    def __init__(self, spec: DataSpec, settings: RunSettings) -> None:
        super().__init__()
        self.spec, self.settings = spec, settings

    @property
    def converged(self) -> bool:
        """Whether training can end before its last epoch."""
        return False

    @property
    def sampler(self) -> str:
        """What `sample` draws from, in a word or two: the model itself, its prior, or a density of
        its codes.
        """
        return "model"

    @property
    def source_of_codes(self) -> str:
        """What `codes` draws from, in words."""
        return "the prior"

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        """Prepare to learn from `train` in at most `steps` steps; UserError for data that cannot be
        learnt from.
        """

    def initialise(self, train: Split, *, seed: int) -> None:
        """Set initial values that depend on the data, such as the centres of clusters."""

    def within(self, batch: Batch) -> tuple["Model", Batch]:
        """The model that learns, and the batch as it sees it: a wrapper has another one inside."""
        return self, batch

    def step(self, batch: Batch) -> Logs:
        """Learn from one batch."""
        raise NotImplementedError

    def combine(self) -> None:
        """Turn sums over this process's shares of the epoch into those over all processes.

        Called before `end_epoch`, and before an epoch that is stopped is saved, where several
        processes split batches.
        """

    def end_epoch(self) -> Logs:
        """Learn from the epoch that just ended."""
        return {}

    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        """The objective's terms on held-out data, as means over the batch."""
        raise NotImplementedError

    def held_out(self, batch: Batch, rng: torch.Generator) -> Logs:
        """Estimates, as means over the batch, that are only valid on data that the model has not
        learnt from.
        """
        return {}

    def fit_posthoc(self, train: Split, *, seed: int) -> None:
        """Fit what needs the finished weights, such as a density of the codes, and add it to
        `state_dict`.
        """

    def for_inference(self) -> "Model":
        """The trained model for use alone, which computes once what follows from its parameters.

        It may be this object, changed, which is not to be trained or saved any more.
        """
        return self

    def posthoc_state(self) -> dict[str, torch.Tensor]:
        """What `fit_posthoc` has fitted, apart from the weights."""
        return {}

    def load_posthoc_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what `posthoc_state` returned, instead of fitting it again."""

    def warnings(self) -> list[str]:
        """What users should know about the fit, such as empty clusters, each with the setting to
        change.
        """
        return []

    def sampled_with(self, changes: Mapping[str, Any]) -> "Model":
        """The model, with the same weights, with other values of its `sampling_settings`."""
        other = copy.copy(self)
        other.settings = with_sampling(self.settings, changes)
        return other

    def conditioned_on(self, y: torch.Tensor | None) -> "Model":
        """The model for points with labels y [n], or one label for all; an unconditional model
        returns itself.
        """
        return self

    def training_state(self) -> dict[str, Any]:
        """What resuming needs beyond `state_dict`, between any two batches: tensors, numbers,
        strings, lists, dicts.
        """
        return {}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore what `training_state` returned; called after `setup`."""

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        """What only this model can show, by name, for held-out points x [n, *shape]: data, which
        others draw.
        """
        return {}

    @property
    def latent_dim(self) -> int | None:
        """The dimension of the codes; None if there are no codes, or codes are not vectors."""
        return getattr(self.settings, "latent_dim", None)  # which not every settings class has

    @property
    def size(self) -> int:
        """How many numbers the fit consists of."""
        tensors = (*self.parameters(), *self.buffers())
        return sum(t.numel() for t in tensors if t.dtype != torch.bool)

    @property
    def device(self) -> torch.device:
        """The device of the model's tensors."""
        tensors = chain(self.parameters(), self.buffers())  # lazily: a step asks for it
        return next(tensors, torch.empty(0)).device


# The optional methods of a model.
CAPABILITIES = ("encode", "decode", "codes", "sample", "log_prob", "score", "posterior")


def supports(model: Model, *capabilities: str) -> bool:
    """Whether this object has all of these capabilities."""
    return all(hasattr(model, capability) for capability in capabilities)


def loses_information(model: Model) -> bool:
    """Whether the model encodes and decodes, and reconstructions show what is lost in between."""
    return supports(model, "encode", "decode") and not model.invertible


class Capability:
    """A method that an object has only while a condition holds."""

    def __init__(self, method: Callable[..., Any], condition: Callable[[Any], bool]) -> None:
        self.method, self.condition = method, condition
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, model: None, owner: type) -> "Capability": ...
    @overload
    def __get__(self, model: Model, owner: type) -> Callable[..., torch.Tensor]: ...
    def __get__(
        self, model: Model | None, owner: type
    ) -> "Capability | Callable[..., torch.Tensor]":
        if model is None:
            return self
        if not self.condition(model):
            raise AttributeError(f"this {owner.__name__} has no {self.method.__name__}")
        return self.method.__get__(model, owner)


def available_if(
    condition: Callable[[Any], bool],
) -> Callable[[Callable[..., torch.Tensor]], Capability]:
    """Make a method a capability that an object has only while `condition(self)` holds."""
    return lambda method: Capability(method, condition)

"""The contract between the loop and every model.

    setup      before the first batch, also of a resumed run: optimisers, generators
    initialise before the first batch of a fresh run only: what is learnt starts here
    step       learn from one batch
    end_epoch  learn from one whole pass
    evaluate   the same terms on data that is not learnt from
    fit_posthoc once after training: what stands on the finished weights

A run may be stopped between any two batches, wherever a loop looks whether to (`signals.check`, which visiting data
does), but not within `step`; `end_epoch` may look as long as it has changed nothing.

Gradient models learn in `step`. Closed-form and EM models add up sufficient statistics in `step` and solve in
`end_epoch`. Nothing else is assumed, so one loop trains all of them.

An ability is a method a model may have: `encode(x)` and `decode(z)`; `codes(n, rng)` and `sample(n, rng)` draw codes
and points; `log_prob(x)` and its gradient `score(x)`. Whoever wants one asks `supports(model, "sample")`; it belongs to the
object, not the class (see `available_if`). A conditional model has its abilities beside labels: `model.conditioned_on(y).encode(x)`
is how everybody calls them, for labels y or None.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from genbench.config.settings import Settings
from genbench.data.types import Batch, DataSpec, Split

Logs = dict[
    str, torch.Tensor
]  # scalars on the device; a mean over the data points they were computed on


class Model(nn.Module):
    """A pass over the data is one `step` per batch, then `end_epoch`.

    Whatever describes the fit is a parameter or a buffer, so `state_dict` is the whole answer; what only the fitting
    needs (optimisers, counters) is in `training_state`.
    """

    converged = False  # True ends the run early
    until_converged = False  # True if a run usually ends early, so that its last epoch is not known
    criterion: str | None = (
        None  # the term of `evaluate` that training lowers; None where there is none, as in a game
    )
    default_latent_dim = 16  # what latent_dim=auto is, unless the data have fewer dimensions
    default_batch_size = 128  # what batch_size=auto is, unless the data are few
    stores_training_data = False  # True if the fit is the training data themselves, so that measuring it on them tells nothing
    log_prob_kind = "exact"  # or of which bound `log_prob` is the value
    conditional = False  # True if what it does depends on labels, which `conditioned_on` tells it
    sampler = "model"  # what `sample` draws from, in a word or two: the model itself, its prior, a density of its codes
    is_discrete = False  # True if `log_prob` is of a probability, False if of a density
    bounded = False  # True if `log_prob` is defined for values in [0, 1] only

    @classmethod
    def largest(cls, s: Settings, points: int, size: int) -> dict[str, int]:
        """The largest value of each setting that so many training points, of `size` values each, bound.

        A larger one is refused, and `auto` stays within. A setting without a bound is not among them.
        """
        return {}

    def __init__(self, spec: DataSpec, s: Settings):
        super().__init__()
        self.spec, self.s = spec, s

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        """Get ready to learn from `train` in at most `steps` steps, or refuse data that cannot be learnt from."""

    def initialise(self, train: Split, *, seed: int) -> None:
        """Start what is learnt from the data themselves, such as the centres of clusters."""

    def step(self, batch: Batch) -> Logs:
        """Learn from one batch."""
        raise NotImplementedError

    def end_epoch(self) -> Logs:
        """Learn from the pass that just ended."""
        return {}

    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        """The objective's terms on held-out data, as means over the batch."""
        raise NotImplementedError

    def held_out(self, batch: Batch, rng: torch.Generator) -> Logs:
        """Estimates, as means over the batch, that are honest only on data that was not learnt from."""
        return {}

    def fit_posthoc(self, train: Split, *, seed: int) -> None:
        """Fit what stands on the finished weights, such as a density on the codes; `state_dict` then has it too."""

    def posthoc_state(self) -> dict[str, torch.Tensor]:
        """What `fit_posthoc` fitted, apart from the weights."""
        return {}

    def load_posthoc_state(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what `posthoc_state` returned, instead of fitting it anew."""

    def warnings(self) -> list[str]:
        """What a user should know of the fit, such as clusters without points, each with the setting to change."""
        return []

    def conditioned_on(self, y: torch.Tensor | None) -> "Model":
        """The model for points with labels y [n], or one for all: itself, unless it depends on them."""
        return self

    def training_state(self) -> dict:
        """What resuming needs beyond `state_dict`, between any two batches: tensors, numbers, strings, lists and dicts only."""
        return {}

    def load_training_state(self, state: dict) -> None:
        """Take back what `training_state` returned; called after `setup`."""

    def views(self, x: torch.Tensor, rng: torch.Generator) -> "dict[str, View]":
        """What this model alone can show, by name, on held-out points x [n, *shape]: data, which others draw."""
        return {}

    @property
    def latent_dim(self) -> int | None:
        """The dimension of the vector space of the codes; None if codes are no vectors, or there are none."""
        return self.s.get("latent_dim")

    @property
    def size(self) -> int:
        """How many numbers the fit consists of."""
        return sum(
            t.numel() for t in (*self.parameters(), *self.buffers()) if t.dtype != torch.bool
        )

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next((t for t in (*self.parameters(), *self.buffers())), torch.empty(0)).device


ABILITIES = (
    "encode",
    "decode",
    "codes",
    "sample",
    "log_prob",
    "score",
    "posterior",
)  # what a model may be able to do


class View(NamedTuple):
    """Something to be drawn: its kind (see `figures.renderer.VIEWS`), a note of what it shows, and the data."""

    kind: str
    note: str
    data: dict


def supports(model: Model, *abilities: str) -> bool:
    """Whether this object has all of these abilities."""
    return all(hasattr(model, ability) for ability in abilities)


def available_if(condition: Callable[[Model], bool]):
    """Make a method an ability that an object has only while `condition(self)` holds."""

    class Ability:
        def __init__(self, method):
            self.method = method
            self.__doc__ = method.__doc__

        def __get__(self, model, owner=None):
            if model is None:
                return self
            if not condition(model):
                raise AttributeError(f"this {owner.__name__} has no {self.method.__name__}")
            return self.method.__get__(model, owner)

    return Ability

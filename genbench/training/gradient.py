"""Models that descend the gradient of a loss."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from genbench.data.types import Batch, DataSpec, Split
from genbench.model import Logs
from genbench.settings.groups import AnnealingSettings, GradientSettings
from genbench.training import shares
from genbench.training.arithmetic import Compiled, casting, rounding
from genbench.training.averaging import AveragedWeights, key_of
from genbench.training.optim import (
    annealing,
    load_optimizer_state,
    optimizer,
    rate,
    scale_rates,
)
from genbench.utils.errors import UserError
from genbench.utils.rng import fold

LossNoise = dict[str, torch.Tensor]
LossWeights = Mapping[str, float]
LossAndTerms = tuple[torch.Tensor, Logs]


class Objective(NamedTuple):
    """A loss and the parameters that move to lower it. A game, such as a GAN, has several."""

    loss: str = "loss"  # name of a method (batch, noise, weights) -> (scalar, terms to log)
    parameters: str | tuple[str, ...] = ""  # prefix, or prefixes, of the names of its parameters
    every: int = 1  # it takes a step on every k-th batch
    lr: float | None = None  # its learning rate; None is the setting `lr`


def laid_out_as(parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The gradient with the strides of its parameter, which fused optimisers need.

    Second derivatives of convolutions on a GPU come with other strides, for example.
    """
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


class GradientModel(AveragedWeights):
    """A model that descends the gradient of a loss; a GAN is one with two objectives.

    A loss is a pure function of (batch, noise, weights): it draws nothing, keeps nothing, and does
    not branch on values, so that `torch.func` can differentiate and batch it. `weights` holds the
    settings that `loss_weights` names; members of an ensemble may differ in them. What else a step
    reads or changes is in parameters and buffers, which are changed in place.
    """

    settings: GradientSettings

    criterion: str | None = "loss"
    objectives: dict[str, Objective] = {"model": Objective()}
    loss_weights: tuple[str, ...] = ()

    def __init__(self, spec: DataSpec, settings: GradientSettings) -> None:
        super().__init__(spec, settings)
        values = settings.values()
        self.weights: dict[str, float] = {name: values[name] for name in self.loss_weights}

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        """All the randomness that the loss of this objective needs for n data points."""
        return {}

    def coupled(
        self, objective: str, batch: Batch, noise: LossNoise, learning: bool
    ) -> tuple[Batch, LossNoise]:
        """The batch and the noise of a loss after what pairs one with the other, such as optimal
        transport, or makes one of the other; `learning` says whether a step follows.

        It is computed outside `torch.func`, for each member of an ensemble by itself.
        """
        return batch, noise

    def after_step(self, objective: str) -> None:
        """What follows a step of this objective, such as projecting its parameters onto a
        constraint.
        """

    def tensors_after(self, method: str, *arguments: Any) -> dict[str, torch.Tensor]:
        """Call a method that changes tensors in place; returns all parameters and buffers by
        name.
        """
        self(method, *arguments)
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def parameters_of(self, objective: str) -> dict[str, nn.Parameter]:
        """The parameters that this objective moves, by name."""
        prefixes = self.objectives[objective].parameters
        if self.raw_weights is None:
            return {name: p for name, p in self.named_parameters() if name.startswith(prefixes)}
        moving = {name: p for name, p in self.raw_by_name.items() if name.startswith(prefixes)}
        return {f"raw_weights.{key_of(name)}": p for name, p in moving.items()}

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        self.seed, self.steps, self.clock = seed, steps, 0
        self.batches = -(-len(train) // self.settings.batch_size)  # in an epoch
        self.rng = torch.Generator(self.device)
        self.point_dimensions: dict[str, dict[str, list[int]]] = {}
        self.moved = {name: list(self.parameters_of(name).values()) for name in self.objectives}
        self.optimizers = {
            name: optimizer(self.moved[name], self.settings, lr)
            for name, lr in self.learning_rates.items()
        }
        self.compiled = Compiled(self.step_loss, self.settings, self.device)

    def step(self, batch: Batch) -> Logs:
        with shares.without_empty_share(batch) as batch:
            return self._step(batch)

    def _step(self, batch: Batch) -> Logs:
        logs: Logs = {}
        weights, due, device = self.annealed(self.clock), self.due, self.rng.device
        self.copy_initial_weights()
        for name in due:
            noise = self.noise_now(name, shares.batch_size(len(batch.x)))
            noise = shares.own_noise(noise, partial(self.point_dimension, name))
            pair = self.coupled(name, batch, noise, learning=True)
            moved = self.moved[name]
            with rounding(self.settings, device):
                with casting(self.settings, device):
                    loss, terms = self.compiled(name, *pair, self.compiled.weights(weights))
                gradients = torch.autograd.grad(loss, moved)
            averaged, terms = shares.average_shares(gradients, self.compiled.kept(terms))
            for parameter, gradient in zip(moved, averaged, strict=True):
                parameter.grad = laid_out_as(parameter, gradient)
            if self.settings.grad_clip is not None:
                norm = torch.nn.utils.clip_grad_norm_(moved, self.settings.grad_clip)
                terms[f"{name}_gradient_norm"] = norm
            scale_rates(self.optimizers[name], self.rate_now)
            self.optimizers[name].step()
            self.at_raw_weights("after_step", name)
            logs |= terms
        if self.averages_move(due):
            self.move_averages()
        self.clock += 1
        return logs

    @property
    def learning_rates(self) -> dict[str, float]:
        """The learning rate of each objective, before the schedule."""
        return {name: o.lr or self.settings.lr for name, o in self.objectives.items()}

    @property
    def due(self) -> list[str]:
        """The objectives that take a step on the next batch."""
        return [name for name, o in self.objectives.items() if (self.clock + 1) % o.every == 0]

    @property
    def rate_now(self) -> float:
        """The factor of the learning rates in the next step."""
        return rate(self.clock, self.steps, self.batches, self.settings)

    def noise_now(self, objective: str, n: int) -> LossNoise:
        """The noise of the next step of this objective, for n data points."""
        return self.draw_noise(
            objective, n, self.rng.manual_seed(fold(self.seed, self.clock, objective))
        )

    def point_dimension(self, objective: str, name: str) -> int | None:
        """Which dimension of this noise of an objective is that of the points; None if it has none.

        UserError if the noise has another form with more points.
        """
        if objective not in self.point_dimensions:
            few, more = (self.draw_noise(objective, n, self.rng) for n in (2, 3))
            self.point_dimensions[objective] = {
                key: [d for d in range(few[key].dim()) if few[key].shape[d] != more[key].shape[d]]
                for key in few
            }
        grown = self.point_dimensions[objective][name]
        if len(grown) > 1:
            what = f"the noise {name} of {type(self).__name__} grows in several dimensions"
            raise UserError("splits_batches", what, True, "splits_batches = False", code=1)
        return grown[0] if grown else None

    def annealed(self, clock: int) -> dict[str, float]:
        """The weights at this step; `evaluate` uses their full values."""
        settings = self.settings
        if not isinstance(settings, AnnealingSettings) or settings.annealing == "none":
            return self.weights
        share = annealing(clock, self.batches, settings)
        return {name: value * share for name, value in self.weights.items()}

    def end_epoch(self) -> Logs:
        rates = {"lr": self.settings.lr}
        rates |= {f"{name}_lr": o.lr for name, o in self.objectives.items() if o.lr is not None}
        factor = rate(self.clock - 1, self.steps, self.batches, self.settings)
        used = {name: value * factor for name, value in rates.items()}
        weights = self.annealed(self.clock - 1)
        if weights is not self.weights:
            used |= weights
        return {name: torch.tensor(value) for name, value in used.items()}

    @torch.no_grad()
    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        logs: Logs = {}
        for name in self.objectives:
            noise = self.draw_noise(name, len(batch.x), rng)
            pair = self.coupled(name, batch, noise, learning=False)
            logs |= self.loss_and_terms(name, *pair, self.weights)[1]
        return logs

    def loss_and_terms(
        self, objective: str, batch: Batch, noise: LossNoise, weights: LossWeights
    ) -> LossAndTerms:
        """The loss of an objective on a batch, and its terms, with the loss itself under the name
        of its method.
        """
        method = self.objectives[objective].loss
        loss, terms = self(method, batch, noise, weights)
        return loss, {method: loss, **terms}

    def step_loss(
        self, objective: str, batch: Batch, noise: LossNoise, weights: LossWeights
    ) -> LossAndTerms:
        """`loss_and_terms` at the weights that gradient steps move."""
        found: LossAndTerms = self.at_raw_weights(
            "loss_and_terms", objective, batch, noise, weights
        )
        return found

    def training_state(self) -> dict[str, Any]:
        optimizers = {name: o.state_dict() for name, o in self.optimizers.items()}
        return {"clock": self.clock, "optimizers": optimizers}

    def load_training_state(self, state: dict[str, Any]) -> None:
        self.clock = state["clock"]
        for name, one in self.optimizers.items():
            load_optimizer_state(one, state["optimizers"][name])

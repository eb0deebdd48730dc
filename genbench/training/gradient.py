"""Models that descend the gradient of a loss."""

from typing import NamedTuple

import torch
from torch import nn

from genbench.config.settings import Settings
from genbench.data.types import Batch, DataSpec
from genbench.model import Logs, Model
from genbench.training.optim import annealing, optimizer, rate, take_back
from genbench.utils.rng import fold


class Objective(NamedTuple):
    """One side of the game that training is: it moves its own parameters to lower its own loss.

    Where a model has a setting NAME_lr for the player NAME, that is its learning rate, unless it is null.
    """

    loss: str = "loss"  # name of a method (batch, noise, hp) -> (scalar, logs)
    parameters: str | tuple[str, ...] = (
        ""  # prefix, or prefixes, of the parameters that this player moves
    )
    every: int = 1  # it moves on every k-th batch


def laid_out_as(parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The gradient with the strides of its parameter, which fused optimisers ask for: second derivatives of
    convolutions on a GPU, for one, come with others."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


class GradientModel(Model):
    """A model that descends the gradient of a loss; a GAN is one with two players.

    A loss is a pure function of (batch, noise, hp): it draws nothing, remembers nothing, and does not branch on
    values, so that `torch.func` can differentiate and batch it. `weights` holds the numbers of the settings that `loss_weights`
    names; members of an ensemble may differ in them.
    """

    criterion = "loss"
    objectives: dict[str, Objective] = {"model": Objective()}
    loss_weights: tuple[str, ...] = ()

    def __init__(self, spec: DataSpec, s: Settings):
        super().__init__(spec, s)
        self.weights = {name: s[name] for name in self.loss_weights}

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """All the randomness that this player's loss needs for n data points."""
        return {}

    def after_step(self, objective: str) -> None:
        """What follows this player's move, such as bringing its parameters back to where they may be."""

    def forward(self, method: str, *args):
        """Call any method by name, so that `torch.func.functional_call` can reach it."""
        return getattr(self, method)(*args)

    def parameters_of(self, objective: str) -> dict[str, nn.Parameter]:
        """The parameters that this player moves, by name."""
        return {
            n: p
            for n, p in self.named_parameters()
            if n.startswith(self.objectives[objective].parameters)
        }

    def setup(self, train, *, seed, steps):
        self.seed, self.steps, self.clock = seed, steps, 0
        self.batches = -(-len(train) // self.s.batch_size)  # in an epoch
        self.rng = torch.Generator(self.device)
        self.moved = {name: list(self.parameters_of(name).values()) for name in self.objectives}
        self.optimizers = {
            name: optimizer(self.moved[name], self.s, self.s.get(f"{name}_lr"))
            for name in self.objectives
        }

    def step(self, batch):
        logs = {}
        factor, weights = (
            rate(self.clock, self.steps, self.batches, self.s),
            self.annealed(self.clock),
        )
        for name, objective in self.objectives.items():
            if (self.clock + 1) % objective.every:
                continue
            loss, terms = self.compute_loss(
                name, batch, self.rng.manual_seed(fold(self.seed, self.clock, name)), weights
            )
            for parameter, gradient in zip(
                self.moved[name], torch.autograd.grad(loss, self.moved[name]), strict=True
            ):
                parameter.grad = laid_out_as(parameter, gradient)
            if self.s.grad_clip is not None:
                terms[f"{name}_gradient_norm"] = torch.nn.utils.clip_grad_norm_(
                    self.moved[name], self.s.grad_clip
                )
            for group in self.optimizers[name].param_groups:
                group["lr"] = group["initial_lr"] * factor
            self.optimizers[name].step()
            self.after_step(name)
            logs |= terms
        self.clock += 1
        return {name: value.detach() for name, value in logs.items()}

    def annealed(self, clock: int) -> dict[str, float]:
        """The numbers as the step of this clock weighs them; `evaluate` takes them at their full value."""
        if self.s.get("annealing", "none") == "none":
            return self.weights
        share = annealing(clock, self.batches, self.s)
        return {name: value * share for name, value in self.weights.items()}

    def end_epoch(self):
        rates = {
            name: self.s[name]
            for name in ("lr", *(f"{objective}_lr" for objective in self.objectives))
            if self.s.get(name)
        }
        factor = rate(self.clock - 1, self.steps, self.batches, self.s)
        used = {name: value * factor for name, value in rates.items()}
        weights = self.annealed(self.clock - 1)
        if weights is not self.weights:
            used |= weights
        return {name: torch.tensor(value) for name, value in used.items()}

    @torch.no_grad()
    def evaluate(self, batch, rng):
        logs = {}
        for name in self.objectives:
            logs |= self.compute_loss(name, batch, rng, self.weights)[1]
        return logs

    def compute_loss(
        self, name: str, batch: Batch, rng: torch.Generator, weights: dict
    ) -> tuple[torch.Tensor, Logs]:
        """A player's loss on a batch, and its terms with the loss itself under the name of its method."""
        loss, terms = self(
            self.objectives[name].loss, batch, self.draw_noise(name, len(batch.x), rng), weights
        )
        return loss, {self.objectives[name].loss: loss, **terms}

    def training_state(self):
        return {
            "clock": self.clock,
            "optimizers": {n: o.state_dict() for n, o in self.optimizers.items()},
        }

    def load_training_state(self, state):
        self.clock = state["clock"]
        for name, one in self.optimizers.items():
            take_back(one, state["optimizers"][name])

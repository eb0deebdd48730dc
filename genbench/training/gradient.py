"""Models that descend the gradient of a loss."""

from typing import NamedTuple

import torch
from torch import nn

from genbench.config.settings import Settings
from genbench.data.types import Batch, Space
from genbench.model import Logs, Model
from genbench.training.optim import annealing, optimizer, rate, take_back
from genbench.utils.rng import fold


class Player(NamedTuple):
    """One side of the game that training is: it moves its own parameters to lower its own loss.

    Where a model has a setting NAME_lr for the player NAME, that is its learning rate, unless it is null.
    """

    loss: str = "loss"  # name of a method (batch, noise, hp) -> (scalar, logs)
    owns: str | tuple[str, ...] = ""  # prefix, or prefixes, of the parameters that this player moves
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
    values, so that `torch.func` can differentiate and batch it. `hp` holds the numbers of the settings that `numbers`
    names; members of an ensemble may differ in them.
    """

    criterion = "loss"
    players: dict[str, Player] = {"model": Player()}
    numbers: tuple[str, ...] = ()

    def __init__(self, space: Space, s: Settings):
        super().__init__(space, s)
        self.hp = {name: s[name] for name in self.numbers}

    def draw(self, player: str, n: int, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """All the randomness that this player's loss needs for n data points."""
        return {}

    def settle(self, player: str) -> None:
        """What follows this player's move, such as bringing its parameters back to where they may be."""

    def forward(self, method: str, *args):
        """Call any method by name, so that `torch.func.functional_call` can reach it."""
        return getattr(self, method)(*args)

    def owned(self, player: str) -> dict[str, nn.Parameter]:
        """The parameters that this player moves, by name."""
        return {n: p for n, p in self.named_parameters() if n.startswith(self.players[player].owns)}

    def setup(self, train, *, seed, steps):
        self.seed, self.steps, self.clock = seed, steps, 0
        self.batches = -(-len(train) // self.s.batch_size)  # in an epoch
        self.rng = torch.Generator(self.device)
        self.moved = {name: list(self.owned(name).values()) for name in self.players}
        self.optimizers = {name: optimizer(self.moved[name], self.s, self.s.get(f"{name}_lr")) for name in self.players}

    def step(self, batch):
        logs = {}
        factor, hp = rate(self.clock, self.steps, self.batches, self.s), self.annealed(self.clock)
        for name, player in self.players.items():
            if (self.clock + 1) % player.every:
                continue
            loss, terms = self.play(name, batch, self.rng.manual_seed(fold(self.seed, self.clock, name)), hp)
            for parameter, gradient in zip(self.moved[name], torch.autograd.grad(loss, self.moved[name]), strict=True):
                parameter.grad = laid_out_as(parameter, gradient)
            if self.s.grad_clip is not None:
                terms[f"{name}_gradient_norm"] = torch.nn.utils.clip_grad_norm_(self.moved[name], self.s.grad_clip)
            for group in self.optimizers[name].param_groups:
                group["lr"] = group["initial_lr"] * factor
            self.optimizers[name].step()
            self.settle(name)
            logs |= terms
        self.clock += 1
        return {name: value.detach() for name, value in logs.items()}

    def annealed(self, clock: int) -> dict[str, float]:
        """The numbers as the step of this clock weighs them; `evaluate` takes them at their full value."""
        if self.s.get("annealing", "none") == "none":
            return self.hp
        share = annealing(clock, self.batches, self.s)
        return {name: value * share for name, value in self.hp.items()}

    def end_epoch(self):
        rates = {name: self.s[name] for name in ("lr", *(f"{player}_lr" for player in self.players)) if self.s.get(name)}
        factor = rate(self.clock - 1, self.steps, self.batches, self.s)
        used = {name: value * factor for name, value in rates.items()}
        hp = self.annealed(self.clock - 1)
        if hp is not self.hp:
            used |= hp
        return {name: torch.tensor(value) for name, value in used.items()}

    @torch.no_grad()
    def evaluate(self, batch, rng):
        logs = {}
        for name in self.players:
            logs |= self.play(name, batch, rng, self.hp)[1]
        return logs

    def play(self, name: str, batch: Batch, rng: torch.Generator, hp: dict) -> tuple[torch.Tensor, Logs]:
        """A player's loss on a batch, and its terms with the loss itself under the name of its method."""
        loss, terms = self(self.players[name].loss, batch, self.draw(name, len(batch.x), rng), hp)
        return loss, {self.players[name].loss: loss, **terms}

    def progress(self):
        return {"clock": self.clock, "optimizers": {n: o.state_dict() for n, o in self.optimizers.items()}}

    def resume(self, progress):
        self.clock = progress["clock"]
        for name, one in self.optimizers.items():
            take_back(one, progress["optimizers"][name])

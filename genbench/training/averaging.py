"""Averages of weights over the steps of training (Polyak & Juditsky 1992)."""

from collections.abc import Collection
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from genbench.data.types import DataSpec
from genbench.model import Model
from genbench.settings.groups import GradientSettings


def key_of(name: str) -> str:
    """The key in `raw_weights` of the parameter of this name; a key has no dots."""
    return name.replace(".", "/")


class AveragedWeights(Model):
    """A model whose weights may be averaged, as the setting `ema` says.

    With it, gradient steps move copies of the parameters, `raw_weights`. The parameters themselves
    are the averages of these, so that all that is measured, drawn and exported comes from averages.
    There is one set of buffers.
    """

    settings: GradientSettings

    # The objective after whose steps averages move; None for once after each batch.
    average_follows: str | None = None
    averaged: torch.Tensor  # how many steps the averages have seen, with `ema`
    clock: int  # how many batches the model has learnt from

    def __init__(self, spec: DataSpec, settings: GradientSettings) -> None:
        super().__init__(spec, settings)
        self.raw_weights: nn.ParameterDict | None = None

    def forward(self, method: str, *args: Any) -> Any:
        """Call any method by name, so that `torch.func.functional_call` can reach it."""
        return getattr(self, method)(*args)

    def keep_average(self) -> None:
        """Let the parameters be averages from now on; called once, when a model with `ema` has been
        built.
        """
        moving = {name: p for name, p in self.named_parameters() if p.requires_grad}
        copies = {key_of(name): nn.Parameter(p.detach().clone()) for name, p in moving.items()}
        self.raw_weights = nn.ParameterDict(copies)
        for parameter in moving.values():
            parameter.requires_grad_(False)
        self.register_buffer("averaged", torch.zeros((), dtype=torch.long))

    def averages(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Each average, with the weight that it follows."""
        own = dict(self.named_parameters())
        return [(own[name], weight) for name, weight in self.raw_by_name.items()]

    def averages_move(self, due: Collection[str]) -> bool:
        """Whether there are averages that move after a batch on which these objectives take a
        step.
        """
        return hasattr(self, "averaged") and self.average_follows in (None, *due)

    @torch.no_grad()
    def move_averages(self) -> None:
        """Move each average towards its weight by a share 1 - ema of the way.

        Early on the share is larger, 9 / (10 + steps), because the first weights are random and
        should be forgotten.
        """
        self.averaged += 1
        share = torch.clamp(9 / (10 + self.averaged), min=1 - self.settings.ema)
        for mean, now in self.averages():
            mean.copy_(mean.lerp(now, share.to(mean)))  # lerp_ cannot be batched

    @torch.no_grad()
    def copy_initial_weights(self) -> None:
        """Before the first step, let it begin from what `initialise` has set."""
        if self.clock == 0 and self.raw_weights is not None:
            for mean, now in self.averages():
                now.copy_(mean)

    @property
    def raw_by_name(self) -> dict[str, nn.Parameter]:
        """`raw_weights` by the names of their averages."""
        if self.raw_weights is None:
            return {}
        return {key.replace("/", "."): weight for key, weight in self.raw_weights.items()}

    def at_raw_weights(self, method: str, *arguments: Any) -> Any:
        """Call a method with the weights that gradient steps move, in place of their averages."""
        if self.raw_weights is None:
            return self(method, *arguments)
        return functional_call(self, {**self.raw_by_name}, (method, *arguments))

    @property
    def size(self) -> int:
        """How many numbers the fit consists of: weights and their averages count once."""
        if not hasattr(self, "averaged"):
            return super().size
        followed = (weight for _, weight in self.averages())
        return super().size - sum(t.numel() for t in (*followed, self.averaged))

"""Networks whose outputs depend on earlier variables only, by masks on their weights (Germain et
al. 2015, arXiv:1502.03509).

Variables have an order. Each unit has a degree: that of an input is its place in the order, from 1
on, and a hidden unit of degree m sees units below it of degrees up to m. An output sees units of
degrees below its own place, hence nothing of its own variable or of later ones.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from genbench.nn.networks import ACTIVATIONS
from genbench.utils.rng import generator


class MaskedLinear(nn.Linear):
    """y = (M * W) x + b with a mask M [out, in] of zeros and ones, which is not learnt."""

    mask: torch.Tensor

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.bool())

    @property
    def masked_weight(self) -> torch.Tensor:
        """M * W, [out, in]."""
        return self.weight * self.mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, in] -> [n, out]."""
        return F.linear(x, self.masked_weight, self.bias)


class MaskedNetwork(nn.Module):
    """Maps rows x [n, D] to [n, outputs, D]: to numbers for each variable that depend only on those
    before it in the order.

    order    the D variables in the order in which one depends on those before it
    hidden   widths of the hidden layers; none makes a map that is linear
    """

    def __init__(
        self, order: Sequence[int], hidden: Sequence[int], outputs: int, activation: str
    ) -> None:
        super().__init__()
        self.order, self.outputs = [*order], outputs
        size = len(self.order)
        place = {variable: k for k, variable in enumerate(self.order, 1)}
        self.degrees = [[place[variable] for variable in range(size)]]
        self.degrees += [spread_degrees(width, size) for width in hidden]
        degrees = [torch.tensor(each) for each in self.degrees]
        masks = [above[:, None] >= below for below, above in pairwise(degrees)]
        masks.append((degrees[0][:, None] > degrees[-1]).repeat(outputs, 1))
        self.layers = nn.ModuleList([MaskedLinear(mask) for mask in masks])
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *hidden, last = self._linear
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x).unflatten(1, (self.outputs, len(self.order)))

    @property
    def _linear(self) -> list[MaskedLinear]:
        """The layers, as what they are to type checkers."""
        return [layer for layer in self.layers if isinstance(layer, MaskedLinear)]

    def in_order(self, n: int, value: Callable[[int, torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Rows [n, D] whose variables are computed one after the other: `value(i, raw)` is variable
        i [n] given the network's numbers for it, raw [n, outputs].

        Each unit is computed once, as soon as all that it depends on is known. So D steps take
        together what one call of the network takes, apart from what a step costs by itself.
        """
        *hidden, last = self._linear
        # Of each level the units that are known, in ascending order of their degrees. They are all
        # that the units of the next degree see, so that no mask is needed.
        known: list[torch.Tensor | None] = [None] * len(self.degrees)
        weights = [layer.weight for layer in self._linear]
        weights[0] = weights[0][:, self.order]
        for place, variable in enumerate(self.order):
            for i, layer in enumerate(hidden):
                degrees = self.degrees[i + 1]
                rows = slice(bisect_left(degrees, place), bisect_right(degrees, place))
                if rows.start < rows.stop:
                    linear = _from_known(known[i], weights[i][rows], layer.bias[rows], n)
                    known[i + 1] = _appended(known[i + 1], self.activation(linear))
            rows = slice(variable, None, len(self.order))
            raw = _from_known(known[-1], weights[-1][rows], last.bias[rows], n)
            known[0] = _appended(known[0], value(variable, raw)[:, None])
        assert known[0] is not None
        return known[0][:, [place - 1 for place in self.degrees[0]]]


def _from_known(
    units: torch.Tensor | None, weight: torch.Tensor, bias: torch.Tensor, n: int
) -> torch.Tensor:
    """A linear layer of the first units [n, k], with as many columns of its weight."""
    if units is None:
        return bias.expand(n, len(bias))
    return F.linear(units, weight[:, : units.shape[1]], bias)


def _appended(units: torch.Tensor | None, more: torch.Tensor) -> torch.Tensor:
    return more if units is None else torch.cat([units, more], 1)


def spread_degrees(width: int, size: int) -> list[int]:
    """The degrees of a hidden layer, in ascending order and evenly spread over 1, ..., size - 1, so
    that a layer with fewer units than variables still sees all of them.
    """
    most = max(1, size - 1)
    return [1 + k * most // width for k in range(width)]


def random_order(size: int, *keys: int | str) -> list[int]:
    """The variables 0, ..., size - 1 in an order that is a function of these keys."""
    order: list[int] = torch.randperm(size, generator=generator(*keys), device="cpu").tolist()
    return order

"""Invertible maps of rows [n, D] whose log-determinants are known: the parts of normalising flows.

`forward` leads from data to codes, and returns with them log |det dz/dx| [n], in nats.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from genbench.nn.masked import MaskedNetwork
from genbench.nn.networks import ACTIVATIONS

# The logarithm of a scale that a layer learns stays within this distance of 0, so that no step of
# the training can make a density explode. Several layers together reach much further.
MOST_LOG_SCALE = 3.0


def bounded_log_scale(raw: torch.Tensor) -> torch.Tensor:
    """The logarithm of a scale, from the output of a network, which it equals near 0."""
    return MOST_LOG_SCALE * (raw / MOST_LOG_SCALE).tanh()


class Bijection(nn.Module):
    """An invertible map of rows [n, D]."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """z [n, D] of x [n, D], and log |det dz/dx| [n]."""
        raise NotImplementedError

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        """x [n, D] of z [n, D]."""
        raise NotImplementedError

    def initialise(self, x: torch.Tensor) -> None:
        """Set what depends on the data, given rows x [n, D] as this map will see them."""


class Chain(Bijection):
    """Maps one after the other."""

    def __init__(self, maps: Iterable[Bijection]) -> None:
        super().__init__()
        self.maps = nn.ModuleList(maps)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = x.new_zeros(x.shape[:1])
        for each in self.maps:
            x, log_determinant = each(x)
            total = total + log_determinant
        return x, total

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        for each in reversed(self.maps):
            assert isinstance(each, Bijection)
            z = each.inverse(z)
        return z

    def initialise(self, x: torch.Tensor) -> None:
        for each in self.maps:
            assert isinstance(each, Bijection)
            each.initialise(x)
            x, _ = each(x)


class Logit(Bijection):
    """z = logit(margin + (1 - 2 margin) x) of values in [0, 1] (Papamakarios et al. 2017,
    arXiv:1705.07057, section 4.3, with the margin 1e-6 for MNIST).

    The inverse leads into [0, 1]: what lies beyond it by up to the margin is brought to its edge.
    """

    def __init__(self, margin: float = 1e-6) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        width = 1 - 2 * self.margin
        # 1 - y is computed from 1 - x, as y itself has few digits left to tell it from 1.
        log_y, log_rest = (self.margin + width * x).log(), (self.margin + width * (1 - x)).log()
        return log_y - log_rest, (math.log(width) - log_y - log_rest).sum(1)

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        return ((z.sigmoid() - self.margin) / (1 - 2 * self.margin)).clamp(0, 1)


class Standardization(Bijection):
    """z = (x - mean) / deviation of each value, both fixed: those of the rows of `initialise`.

    A constant value is divided by 1.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (x - self.mean) / self.deviation, -self.deviation.log().sum().expand(x.shape[0])

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        return z * self.deviation + self.mean

    def initialise(self, x: torch.Tensor) -> None:
        deviation = x.std(0, correction=0)
        is_constant = deviation <= 1e-6 * x.abs().amax(0)
        self.mean.copy_(x.mean(0))
        self.deviation.copy_(torch.where(is_constant, 1.0, deviation))


class AffineCoupling(Bijection):
    """z = x where `kept`, and z = x exp(s) + t elsewhere, where s and t are functions of the kept
    values (Dinh et al. 2017, arXiv:1605.08803, equations 4 and 5).

    Before training it is the identity.
    """

    kept: torch.Tensor

    def __init__(self, kept: torch.Tensor, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        self.register_buffer("kept", kept.bool())
        layers: list[nn.Module] = []
        size = width = len(kept)
        for wide in hidden:
            layers += [nn.Linear(width, wide), ACTIVATIONS[activation]()]
            width = wide
        last = nn.Linear(width, 2 * size)
        _set_to_zero(last)
        self.net = nn.Sequential(*layers, last, nn.Unflatten(1, (2, size)))

    def scales_and_shifts(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """s and t [n, D] for rows whose kept values are those of x [n, D]; 0 where `kept`."""
        raw = self.net(x * self.kept) * ~self.kept
        return bounded_log_scale(raw[:, 0]), raw[:, 1]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        s, t = self.scales_and_shifts(x)
        return x * s.exp() + t, s.sum(1)

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        s, t = self.scales_and_shifts(z)
        return (z - t) * (-s).exp()


class MaskedAutoregression(Bijection):
    """z_i = (x_i - mu_i) exp(-alpha_i), where mu_i and alpha_i are functions of the variables
    before x_i in an order (Papamakarios et al. 2017, arXiv:1705.07057, equations 4 and 5).

    Before training it is the identity. The inverse takes a step for each variable.
    """

    def __init__(self, order: Sequence[int], hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        self.net = MaskedNetwork(order, hidden, 2, activation)
        _set_to_zero(self.net.layers[-1])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mu, raw = self.net(x).unbind(1)
        alpha = bounded_log_scale(raw)
        return (x - mu) * (-alpha).exp(), -alpha.sum(1)

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        def value(i: int, raw: torch.Tensor) -> torch.Tensor:
            return z[:, i] * bounded_log_scale(raw[:, 1]).exp() + raw[:, 0]

        return self.net.in_order(z.shape[0], value)


def _set_to_zero(layer: nn.Module) -> None:
    assert isinstance(layer, nn.Linear)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)

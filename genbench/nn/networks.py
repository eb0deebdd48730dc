"""Neural networks from a shape to a vector and back, built from the settings `network`,
`activation` and their own.

No network has a state, as batch normalisation would have, so that losses stay pure functions.
"""

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import NamedTuple, Protocol

from torch import nn

from genbench.settings.groups import NetworkSettings
from genbench.utils.errors import UserError

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
CONVOLVING = (nn.Conv1d, nn.ConvTranspose1d, nn.Conv2d, nn.ConvTranspose2d)
LEAST_SIDE = 8  # smaller images are not halved


def encoder(shape: tuple[int, ...], width: int, s: NetworkSettings) -> nn.Sequential:
    """A network from data [n, *shape] to vectors [n, width]."""
    return initialised(NETWORKS[s.network].encoder(shape, width, s), s)


def decoder(width: int, shape: tuple[int, ...], s: NetworkSettings) -> nn.Sequential:
    """A network from vectors [n, width] to data [n, *shape]: the encoder's layers in reverse."""
    return initialised(NETWORKS[s.network].decoder(width, shape, s), s)


def initialised(net: nn.Sequential, s: NetworkSettings) -> nn.Sequential:
    """The network, with weights drawn anew with standard deviation `init_std` if it is set; biases
    are zero then.
    """
    if s.init_std != "auto":
        for layer in net.modules():
            if isinstance(layer, (nn.Linear, *CONVOLVING)):
                nn.init.normal_(layer.weight, std=s.init_std)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return net


def between(width: int, s: NetworkSettings) -> list[nn.Module]:
    """Normalisation (if on) and activation after a layer with `width` features or channels."""
    # With one group, it normalises over features, or over channels and pixels.
    norm = [nn.GroupNorm(1, width)] if s.norm == "layer" else []
    return [*norm, ACTIVATIONS[s.activation]()]


class MLP:
    """Fully connected layers of the widths `hidden`."""

    @staticmethod
    def encoder(shape: tuple[int, ...], width: int, s: NetworkSettings) -> nn.Sequential:
        return nn.Sequential(nn.Flatten(), *MLP.layers([prod(shape), *s.hidden, width], s))

    @staticmethod
    def decoder(width: int, shape: tuple[int, ...], s: NetworkSettings) -> nn.Sequential:
        return nn.Sequential(
            *MLP.layers([width, *reversed(s.hidden), prod(shape)], s), nn.Unflatten(1, shape)
        )

    @staticmethod
    def layers(widths: list[int], s: NetworkSettings) -> list[nn.Module]:
        """Linear maps, with normalisation (if it is on) and activations between them."""
        layers: list[nn.Module] = [nn.Linear(widths[0], widths[1])]
        for before, after in pairwise(widths[1:]):
            layers += [*between(before, s), nn.Linear(before, after)]
        return layers


class Kind(NamedTuple):
    """The convolutions of images, or of signals.

    Each layer shrinks its input by the factor `stride` along every axis, as long as no axis is
    shorter than `least`. Kernels are twice as long.
    """

    down: Callable[..., nn.Module]
    up: Callable[..., nn.Module]
    stride: int
    least: int

    @property
    def form(self) -> tuple[int, int, int]:
        """Kernel, stride and padding of a layer."""
        return 2 * self.stride, self.stride, self.stride // 2


# By the number of axes. Quarters of a signal are as large as halves of both sides of an image.
CONVOLUTIONS = {
    1: Kind(nn.Conv1d, nn.ConvTranspose1d, 4, 2 * LEAST_SIDE),
    2: Kind(nn.Conv2d, nn.ConvTranspose2d, 2, LEAST_SIDE),
}


class Conv:
    """Convolutions, then one fully connected layer of the width `dense`.

    Each convolution halves the image and doubles the channels, while its smaller side is at least
    8. An image that is smaller than that has the fully connected layer only. A signal is quartered,
    while its length is at least 16.

    Kernels of 4 at stride 2 (Radford et al. 2016, arXiv:1511.06434) are a multiple of the stride,
    so that transposed convolutions cover every pixel equally and leave no checkerboard (Odena et
    al. 2016). Half of an odd side is rounded down, and `output_padding` restores the lost row or
    column.
    """

    @staticmethod
    def encoder(shape: tuple[int, ...], width: int, s: NetworkSettings) -> nn.Sequential:
        stages = Conv.stages(shape, s)
        kind = CONVOLUTIONS[len(shape) - 1]
        layers: list[nn.Module] = []
        for before, after in pairwise(stages):
            layers += [kind.down(before[0], after[0], *kind.form), *between(after[0], s)]
        return nn.Sequential(
            *layers, nn.Flatten(), *MLP.layers([prod(stages[-1]), *Conv.dense(s), width], s)
        )

    @staticmethod
    def decoder(width: int, shape: tuple[int, ...], s: NetworkSettings) -> nn.Sequential:
        stages = Conv.stages(shape, s)[::-1]
        kind = CONVOLUTIONS[len(shape) - 1]
        layers: list[nn.Module] = [
            *MLP.layers([width, *Conv.dense(s), prod(stages[0])], s),
            nn.Unflatten(1, stages[0]),
        ]
        for small, large in pairwise(stages):
            lost = tuple(side % kind.stride for side in large[1:])
            up = kind.up(small[0], large[0], *kind.form, lost)
            layers += [*between(small[0], s), up]
        return nn.Sequential(*layers)

    @staticmethod
    def dense(s: NetworkSettings) -> list[int]:
        """The widths of the fully connected layers: `dense`, or none if it is 0."""
        return [s.dense] if s.dense else []

    @staticmethod
    def stages(shape: tuple[int, ...], s: NetworkSettings) -> list[tuple[int, ...]]:
        """The channels and sides of the image or signal before and after each convolution.
        UserError if `shape` is that of neither.
        """
        kind = CONVOLUTIONS.get(len(shape) - 1)
        if kind is None:
            what = "needs images or signals, and points have the shape"
            what = f"{what} {'x'.join(map(str, shape))}"
            raise UserError("network", what, s.network, "network=mlp")
        stages, channels = [shape], s.channels
        while min(stages[-1][1:]) >= kind.least:
            stages.append((channels, *(side // kind.stride for side in stages[-1][1:])))
            channels *= 2
        return stages


class Architecture(Protocol):
    """A pair of functions that build networks."""

    @staticmethod
    def encoder(shape: tuple[int, ...], width: int, s: NetworkSettings) -> nn.Sequential:
        """A network from data [n, *shape] to vectors [n, width]."""

    @staticmethod
    def decoder(width: int, shape: tuple[int, ...], s: NetworkSettings) -> nn.Sequential:
        """A network from vectors [n, width] to data [n, *shape]."""


NETWORKS: dict[str, type[Architecture]] = {"mlp": MLP, "conv": Conv}

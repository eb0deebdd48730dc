"""Neural networks from a shape to a vector and back, built from the settings `network`, `hidden`, `activation`."""

from itertools import pairwise
from math import prod

from torch import nn

from .settings import Settings

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky-relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def encoder(shape: tuple[int, ...], width: int, s: Settings) -> nn.Module:
    """A network from data [n, *shape] to vectors [n, width]."""
    return nn.Sequential(nn.Flatten(), *_layers([prod(shape), *s.hidden, width], s))


def decoder(width: int, shape: tuple[int, ...], s: Settings) -> nn.Module:
    """A network from vectors [n, width] to data [n, *shape], its hidden layers the encoder's in reverse."""
    return nn.Sequential(*_layers([width, *reversed(s.hidden), prod(shape)], s), nn.Unflatten(1, shape))


def _layers(widths: list[int], s: Settings) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), ACTIVATIONS[s.activation]()]
    return layers[:-1]

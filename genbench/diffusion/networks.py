"""Networks from noisy points, times and perhaps classes to points: residual layers, and a U-Net.

Their last layer starts at zero, and each residual block as the identity, so that a network first
returns zero. Time and class shift and scale what each block has normalised (Perez et al. 2018,
arXiv:1709.07871; Peebles & Xie 2023, arXiv:2212.09748).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from genbench.data.types import DataSpec
from genbench.nn.networks import ACTIVATIONS, LEAST_SIDE
from genbench.settings.diffusion import DenoiserSettings
from genbench.utils.errors import UserError

WAVES = 16  # sines, and as many cosines, that stand for a time
HIGHEST = 200.0  # angular frequency of the fastest
FEW_VALUES, FEW_WAVES = 16, 8  # points of at most so many values are seen with so many waves each


class Waves(nn.Module):
    """Adds sines and cosines of each value to vectors [n, size], without which networks are slow to
    learn what changes fast (Tancik et al. 2020, arXiv:2006.10739).
    """

    frequencies: torch.Tensor

    def __init__(self, size: int, waves: int, highest: float = 32.0) -> None:
        super().__init__()
        self.features = (1 + 2 * waves) * size
        frequencies = torch.logspace(0, math.log10(highest), waves)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        angles = (x[:, :, None] * self.frequencies).flatten(1)
        return torch.cat([x, angles.sin(), angles.cos()], 1)


class Conditioning(nn.Module):
    """A vector [n, width] for times of order one, and for labels where there are classes.

    The label `classes` stands for no label.
    """

    def __init__(self, width: int, classes: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.waves = Waves(1, WAVES, HIGHEST)
        self.times = nn.Sequential(
            nn.Linear(self.waves.features, width), activation(), nn.Linear(width, width)
        )
        self.labels = nn.Embedding(classes + 1, width) if classes else None
        self.activation = activation()

    def forward(self, t: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
        """The vector for times t and labels y, both [n], or [1] for all; y is None where there are
        no classes.
        """
        found = self.times(self.waves(t[:, None]))
        if self.labels is not None and y is not None:
            found = found + self.labels(y)
        return self.activation(found)


class Modulated(nn.Module):
    """Normalises features or channels, then scales and shifts each by a condition [n, width], or
    [1, width] for all.
    """

    def __init__(self, norm: nn.Module, features: int, width: int) -> None:
        super().__init__()
        self.norm = norm
        self.change = zeroed(nn.Linear(width, 2 * features))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        scale, shift = self.change(condition).chunk(2, 1)
        shape = (*scale.shape, *[1] * (x.dim() - 2))
        return self.norm(x) * (1 + scale.reshape(shape)) + shift.reshape(shape)


def over_features(features: int, width: int) -> Modulated:
    """Of vectors, over all features."""
    return Modulated(nn.LayerNorm(features, elementwise_affine=False), features, width)


def over_groups(channels: int, width: int) -> Modulated:
    """Of images, over groups of channels (Wu & He 2018, arXiv:1803.08494)."""
    norm = nn.GroupNorm(groups_of(channels), channels, affine=False)
    return Modulated(norm, channels, width)


class ResidualLayer(nn.Module):
    """Two fully connected layers, beside what they add to."""

    def __init__(self, width: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.norm = over_features(width, width)
        self.first, self.activation = nn.Linear(width, width), activation()
        self.second = zeroed(nn.Linear(width, width))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return x + self.second(self.activation(self.first(self.norm(x, condition))))


class ResidualLayers(nn.Module):
    """Fully connected layers around a stream of `width` features, for points of any shape."""

    def __init__(self, spec: DataSpec, s: DenoiserSettings, classes: int) -> None:
        super().__init__()
        activation = ACTIVATIONS[s.activation]
        self.condition = Conditioning(s.width, classes, activation)
        self.waves = Waves(spec.size, FEW_WAVES if spec.size <= FEW_VALUES else 0)
        self.enter = nn.Linear(self.waves.features, s.width)
        self.blocks = nn.ModuleList(ResidualLayer(s.width, activation) for _ in range(s.depth))
        self.leave = over_features(s.width, s.width)
        self.out = zeroed(nn.Linear(s.width, spec.size))

    def forward(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
        condition = self.condition(t, y)
        h = self.enter(self.waves(x.flatten(1)))
        for block in self.blocks:
            h = block(h, condition)
        return self.out(self.leave(h, condition)).view_as(x)


class Attention(nn.Module):
    """Self-attention with one head over the places of an image (Vaswani et al. 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups_of(channels), channels)
        self.project = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.project(self.norm(x)).flatten(2).chunk(3, 1)
        weights = (q.transpose(1, 2) @ k / math.sqrt(q.shape[1])).softmax(-1)
        return x + self.out((v @ weights.transpose(1, 2)).view_as(x))


class ResidualConvolutions(nn.Module):
    """Two convolutions, each after a normalisation, beside what they add to."""

    def __init__(self, before: int, after: int, s: DenoiserSettings, width: int) -> None:
        super().__init__()
        activation = ACTIVATIONS[s.activation]
        self.first_norm = over_groups(before, width)
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second_norm = over_groups(after, width)
        self.second = zeroed(nn.Conv2d(after, after, 3, padding=1))
        self.activation = activation()
        self.beside = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        h = self.first(self.activation(self.first_norm(x, condition)))
        h = self.second(self.activation(self.second_norm(h, condition)))
        return self.beside(x) + h


class UNet(nn.Module):
    """Convolutions down to a small image and up again, with connections across (Ronneberger et al.
    2015, arXiv:1505.04597; Ho et al. 2020), for images of any size.

    Each level halves the image and doubles the channels while its smaller side is at least 8. Each
    pixel of the first level is a patch of the image, of side `patch`, which makes large images
    cheap; missing rows and columns are filled with zeros.
    """

    def __init__(self, spec: DataSpec, s: DenoiserSettings, classes: int) -> None:
        super().__init__()
        if len(spec.shape) != 3:
            what = f"needs images, and points have the shape {'x'.join(map(str, spec.shape))}"
            raise UserError("network", what, s.network, "network=mlp")
        channels, *sides = spec.shape
        self.patch = (2 if min(sides) >= 2 * LEAST_SIDE else 1) if s.patch == "auto" else s.patch
        width = 4 * s.channels
        self.condition = Conditioning(width, classes, ACTIVATIONS[s.activation])
        levels, side = [s.channels], -(-min(sides) // self.patch)
        while side >= LEAST_SIDE:
            levels.append(2 * levels[-1])
            side = -(-side // 2)
        values = channels * self.patch**2
        self.enter = nn.Conv2d(values, s.channels, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        kept, current = [s.channels], s.channels
        for level, c in enumerate(levels):
            if level:
                self.shrink.append(nn.Conv2d(current, c, 3, stride=2, padding=1))
                kept.append(c)
                current = c
            self.down.append(
                nn.ModuleList(ResidualConvolutions(c, c, s, width) for _ in range(s.depth))
            )
            kept += [c] * s.depth
        self.middle = ResidualConvolutions(current, current, s, width)
        self.attention = Attention(current) if s.attention else nn.Identity()
        for level, c in reversed([*enumerate(levels)]):
            blocks = nn.ModuleList()
            for _ in range(s.depth + 1):
                blocks.append(ResidualConvolutions(current + kept.pop(), c, s, width))
                current = c
            self.up.append(blocks)
            if level:
                self.grow.append(nn.Conv2d(c, levels[level - 1], 3, padding=1))
                current = levels[level - 1]
        self.leave = over_groups(current, width)
        self.activation = ACTIVATIONS[s.activation]()
        self.out = zeroed(nn.Conv2d(current, values, 3, padding=1))

    def forward(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
        condition = self.condition(t, y)
        height, width = x.shape[2:]
        lacking = (0, -width % self.patch, 0, -height % self.patch)
        h = self.enter(F.pixel_unshuffle(F.pad(x, lacking), self.patch))
        kept = [h]
        for level, blocks in enumerate(self.down):
            if level:
                h = self.shrink[level - 1](h)
                kept.append(h)
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, condition)
                kept.append(h)
        h = self.attention(self.middle(h, condition))
        for level, blocks in enumerate(self.up):
            for block in blocks:  # type: ignore[attr-defined]
                h = block(torch.cat([h, kept.pop()], 1), condition)
            if level < len(self.grow):
                h = self.grow[level](F.interpolate(h, size=kept[-1].shape[2:]))
        h = self.out(self.activation(self.leave(h, condition)))
        return F.pixel_shuffle(h, self.patch)[..., :height, :width]


def zeroed(layer: Any) -> Any:
    """The layer with weights and biases of zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def groups_of(channels: int) -> int:
    """The largest number of groups, at most 8, that divides the channels."""
    return math.gcd(channels, 8)


DENOISERS: dict[str, Callable[[DataSpec, DenoiserSettings, int], nn.Module]] = {
    "mlp": ResidualLayers,
    "conv": UNet,
}

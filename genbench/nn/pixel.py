"""A network that sees of an image, at each value, only the values before it in raster order: the
gated PixelCNN (van den Oord et al. 2016, arXiv:1606.05328).
"""

from collections.abc import Callable, Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

FIRST_KERNEL = 7  # of the first layer, as in the paper


def channels_of(features: int, channels: int) -> torch.Tensor:
    """To which channel of a pixel each of the features [features] belongs: in order, and as evenly
    as possible.
    """
    return torch.arange(features) * channels // features


def gated(x: torch.Tensor) -> torch.Tensor:
    """tanh(a) sigmoid(b) of the first and the second half of the features (equation 2)."""
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()


class RowConvolution(nn.Conv2d):
    """A convolution over pixels to the left and the pixel itself, of which each feature sees only
    the features of its own channel and those before it; if `strict`, only of those before it.

    Rows [n, features, height, width] must come with a border of `reach` columns on the left.
    `halves` says that the result is to be gated, so that the two halves have the same channels.
    """

    mask: torch.Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: int,
        *,
        reach: int = 0,
        strict: bool = False,
        halves: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, (1, reach + 1))
        seen, of = channels_of(inputs, channels), channels_of(outputs, channels)
        if halves:
            of = channels_of(outputs // 2, channels).repeat(2)
        mask = torch.ones(self.weight.shape, dtype=torch.bool)
        mask[:, :, 0, -1] = seen < of[:, None] if strict else seen <= of[:, None]
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight * self.mask
        if x.shape[2:] == weight.shape[2:]:  # a single pixel, for which a product is faster
            return F.linear(x.flatten(1), weight.flatten(1), self.bias)[:, :, None, None]
        return F.conv2d(x, weight, self.bias)


class GatedLayer(nn.Module):
    """A layer of the vertical stack, which sees the rows above, and of the horizontal one, which
    sees the pixels to the left and, through the vertical one, the rows above (figure 2).

    Each sees all pixels that its kernel allows: a single masked convolution would be blind to some
    above and to the right. A kernel reaches `reach` pixels to each side.
    """

    def __init__(
        self, inputs: int, features: int, kernel: int, channels: int, is_first: bool
    ) -> None:
        super().__init__()
        self.reach, self.is_first = kernel // 2, is_first
        self.vertical = nn.Conv2d(inputs, 2 * features, (self.reach + 1, 2 * self.reach + 1))
        self.link = nn.Conv2d(2 * features, 2 * features, 1)
        self.horizontal = RowConvolution(
            inputs, 2 * features, channels, reach=self.reach, strict=is_first, halves=True
        )
        self.out = RowConvolution(features, features, channels)

    def forward(self, above: torch.Tensor, left: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The features of both stacks, [n, features, height, width] each, from those before."""
        reach = self.reach
        above, linked = self.down(F.pad(above, (reach, reach, reach, 0)))
        return above, self.across(F.pad(left, (reach, 0, 0, 0)), linked)

    def down(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The vertical stack's features, and what it tells the horizontal one, of rows with a
        border of `reach` on the left, on the right and above.
        """
        found = self.vertical(rows)
        return gated(found), self.link(found)

    def across(self, row: torch.Tensor, linked: torch.Tensor) -> torch.Tensor:
        """The horizontal stack's features of rows with a border of `reach` on the left."""
        found = self.out(gated(self.horizontal(row) + linked))
        return found if self.is_first else found + row[..., self.reach :]

    def blank(self, n: int, height: int, width: int) -> torch.Tensor:
        """Zeros [n, inputs, height, width] in the place of inputs."""
        weight = self.vertical.weight
        return weight.new_zeros(n, weight.shape[1], height, width)


class PixelNetwork(nn.Module):
    """From images [n, C, height, width] to several numbers for each value, [n, numbers, C, height,
    width], which depend on the values before it alone: those of pixels above and to the left, and
    of the same pixel those of channels before.
    """

    def __init__(
        self, channels: int, numbers: int, features: int, layers: int, kernel: int, centred: bool
    ) -> None:
        super().__init__()
        self.channels, self.centred = channels, centred
        self.layers = nn.ModuleList(
            GatedLayer(
                features if i else channels,
                features,
                kernel if i else FIRST_KERNEL,
                channels,
                is_first=i == 0,
            )
            for i in range(layers)
        )
        self.head = nn.Sequential(
            nn.ReLU(),
            RowConvolution(features, features, channels),
            nn.ReLU(),
            RowConvolution(features, channels * numbers, channels),
        )

    @property
    def stack(self) -> Iterable[GatedLayer]:
        """The gated layers, from the first to the last."""
        return cast(Iterable[GatedLayer], self.layers)

    def inputs(self, x: torch.Tensor) -> torch.Tensor:
        """Values as the first layer sees them: if they lie in [0, 1], the black of an image differs
        from the zeros around it.
        """
        return 2 * x - 1 if self.centred else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left = self.inputs(x)
        above = F.pad(left, (0, 0, 1, 0))[:, :, :-1]  # a row sees those above it only
        for layer in self.stack:
            above, left = layer(above, left)
        return self.outputs(left)

    def outputs(self, features: torch.Tensor) -> torch.Tensor:
        """The numbers for each value [n, numbers, C, ...] from features [n, features, ...]."""
        return self.head(features).unflatten(1, (self.channels, -1)).transpose(1, 2)

    @torch.no_grad()
    def generate(
        self, n: int, height: int, width: int, draw: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """n images [n, C, height, width], value by value: `draw` makes values [n, 1, 1, 1] from the
        numbers for them [n, numbers, 1, 1, 1].

        Every feature is computed once and kept while it is needed, so that an image costs about
        as much as one pass of the network (Ramachandran et al. 2017, arXiv:1704.06001).
        """
        layers = [*self.stack]
        x = layers[0].blank(n, height, width)
        # What the vertical stack sees at each layer: the last rows, with a border on both sides.
        rows = [layer.blank(n, layer.reach + 1, width + 2 * layer.reach) for layer in layers]
        for i in range(height):
            above = self.inputs(x[:, :, i - 1 : i]) if i else torch.zeros_like(x[:, :, :1])
            linked = []
            for k, layer in enumerate(layers):
                above = F.pad(above, (layer.reach, layer.reach, 0, 0))
                rows[k] = torch.cat([rows[k][:, :, 1:], above], 2)
                above, link = layer.down(rows[k])
                linked.append(link)
            # What the horizontal stack sees at each layer: this row, with a border on the left.
            seen = [layer.blank(n, 1, width + layer.reach) for layer in layers]
            for j in range(width):
                for c in range(self.channels):
                    left = self.inputs(x[:, :, i : i + 1, j : j + 1])
                    for layer, row, link in zip(layers, seen, linked):
                        row[..., j + layer.reach] = left[..., 0]
                        window = row[..., j : j + layer.reach + 1]
                        left = layer.across(window, link[..., j : j + 1])
                    value = draw(self.outputs(left)[:, :, c : c + 1])
                    x[:, c : c + 1, i : i + 1, j : j + 1] = value
                # The next pixel's first layer sees the values that were missing from this one.
                seen[0][..., j + layers[0].reach] = self.inputs(x[:, :, i : i + 1, j])
        return x

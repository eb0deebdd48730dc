"""Preprocessing of loaded data: resized images, and the moments that tables are standardized by.

Images are resized here and not by `resize` of torchvision.transforms.v2: of floats it gives the
same, by the same call of torch, and bytes it rounds otherwise (a fifth of the pixels differ, by up
to 21 of 255), so that results would change.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from genbench.data.lazy import LazyArray, Values
from genbench.data.prepared import derived
from genbench.data.types import RawDataset, Split
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.memory import require_room

# Numbers of which moments are computed at once; those of the 55,000 images of MNIST are fewer.
SUMMED_WHOLE = 2**26
IMAGES_AT_ONCE = 1000  # images that are resized between two checks for a signal


def resized(source: RawDataset, size: list[int] | None) -> RawDataset:
    """The images stretched to this height and width; None leaves them.

    Whole-number pixels in [0, 1] become bytes again. UserError if the data are not images.
    """
    if size is None or list(source.x.shape[2:]) == size:
        return source
    if source.x.dim() != 4:
        raise UserError("dataset.resize", "the data are no images", size, "leave it out")
    to_bytes = source.unit and not source.x.is_floating_point()
    images = len(source.x) + (0 if source.test_x is None else len(source.test_x))
    if not isinstance(source.x, LazyArray):
        require_room_for_images(images, source.x.shape[1], size, 1 if to_bytes else 4)

    def stretched(chunk: torch.Tensor) -> torch.Tensor:
        signals.check()
        values = chunk.float() * source.scale
        values = F.interpolate(values, size, mode="bicubic", antialias=True)
        if source.unit:
            values = values.clamp(0, 1)
        return (values * 255).round().byte() if to_bytes else values

    def all_stretched(x: Values) -> Values:
        made = map(stretched, x.split(IMAGES_AT_ONCE))
        if not isinstance(x, LazyArray):
            return torch.cat([*made])
        origin = {"images": x.identity, "size": size, "scale": source.scale, "unit": source.unit}
        dtype = torch.uint8 if to_bytes else torch.float32
        return derived(origin, f"{len(x):,} images", made, (*x.shape[:2], *size), dtype)

    test_x = None if source.test_x is None else all_stretched(source.test_x)
    scale = 1 / 255 if to_bytes else 1.0
    return source._replace(x=all_stretched(source.x), test_x=test_x, scale=scale, trials=None)


def require_room_for_images(images: int, channels: int, size: list[int], width: int) -> None:
    """UserError for so many images of this height and width, each value of so many bytes, that
    they cannot fit the memory twice: one by one, and put together.
    """
    needed = 2 * images * channels * math.prod(size) * width
    require_room("dataset.resize", f"{images:,} images", needed, size, "a smaller height and width")


class Summed(NamedTuple):
    """The mean, the standard deviation and the largest size of each value, all [*shape]."""

    mean: torch.Tensor
    deviation: torch.Tensor
    largest: torch.Tensor

    @property
    def moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean, and the deviation, which is 1 where a value is constant; those of signals
        [channels, length] are the same along a channel.
        """
        mean, deviation, largest = self
        if mean.dim() == 2:
            shape, mean = mean.shape, mean.mean(1, keepdim=True)
            variance = self.deviation.square() + (self.mean - mean).square()
            deviation = variance.mean(1, keepdim=True).sqrt().expand(shape)
            mean, largest = mean.expand(shape), largest.amax(1, keepdim=True)
        constant = deviation <= torch.finfo(torch.float32).eps * largest
        return mean, torch.where(constant, 1.0, deviation)


def moments_of(source: RawDataset) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Mean [*shape] and standard deviation [*shape] of each value of all training points of a table
    or of signals, where the deviation of a constant value is 1; None for images and for known
    densities.
    """
    if source.x.dim() == 4 or source.density is not None:
        return None
    if source.x.shape.numel() > SUMMED_WHOLE:
        return summed(Split(source.x, None, source.scale), torch.float64).moments
    return _summed_whole(source.x[:].double() * source.scale).moments


def summed(split: Split, dtype: torch.dtype) -> Summed:
    """What the values of a split are like, computed in this precision, or in double precision a
    chunk at a time where there are so many values that a copy of them would take much memory.
    """
    if len(split) * math.prod(split.shape) > SUMMED_WHOLE:
        return _summed_chunks(x.double() for x in split.chunks())
    return _summed_whole(split.values().to(dtype))


def _summed_whole(x: torch.Tensor) -> Summed:
    return Summed(x.mean(0), x.std(0, correction=0), x.abs().amax(0))


def _summed_chunks(chunks: Iterable[torch.Tensor]) -> Summed:
    # Centred sums merged pairwise (Chan et al. 1979): no cancellation far from zero.
    count = 0
    mean, squares, largest = (torch.zeros((), dtype=torch.float64) for _ in range(3))
    for x in chunks:
        n, own = len(x), x.mean(0)
        shift = own - mean.to(own)
        squares = squares.to(own) + (x - own).square().sum(0)
        squares += shift.square() * (count * n / (count + n))
        count += n
        mean = mean.to(own) + shift * (n / count)
        largest = torch.maximum(largest.to(own), x.abs().amax(0))
    return Summed(mean, (squares / count).sqrt(), largest)

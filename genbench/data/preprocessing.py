"""Preprocessing of loaded data: resized images, and the moments that tables are standardized by.

Images are resized here and not by `resize` of torchvision.transforms.v2: of floats it gives the
same, by the same call of torch, and bytes it rounds otherwise (a fifth of the pixels differ, by up
to 21 of 255), so that results would change.
"""

import math

import torch
import torch.nn.functional as F

from genbench.data.types import RawDataset
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.memory import require_room

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
    require_room_for_images(images, source.x.shape[1], size, 1 if to_bytes else 4)

    def stretched(x: torch.Tensor) -> torch.Tensor:
        chunks = []
        for chunk in x.split(IMAGES_AT_ONCE):
            signals.check()
            values = chunk.float() * source.scale
            values = F.interpolate(values, size, mode="bicubic", antialias=True)
            if source.unit:
                values = values.clamp(0, 1)
            chunks.append((values * 255).round().byte() if to_bytes else values)
        return torch.cat(chunks)

    test_x = None if source.test_x is None else stretched(source.test_x)
    scale = 1 / 255 if to_bytes else 1.0
    return source._replace(x=stretched(source.x), test_x=test_x, scale=scale, trials=None)


def require_room_for_images(images: int, channels: int, size: list[int], width: int) -> None:
    """UserError for so many images of this height and width, each value of so many bytes, that
    they cannot fit the memory twice: one by one, and put together.
    """
    needed = 2 * images * channels * math.prod(size) * width
    require_room("dataset.resize", f"{images:,} images", needed, size, "a smaller height and width")


def moments_of(source: RawDataset) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The `moments` of all training points of a table; None for images and for known densities."""
    if source.x.dim() != 2 or source.density is not None:
        return None
    return moments(source.x.double() * source.scale)


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean [*shape] and standard deviation [*shape] of points x [n, *shape].

    The deviation of a constant value is 1.
    """
    mean, deviation = x.mean(0), x.std(0, correction=0)
    constant = deviation <= torch.finfo(torch.float32).eps * x.abs().amax(0)
    return mean, torch.where(constant, 1.0, deviation)

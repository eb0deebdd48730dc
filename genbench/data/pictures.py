"""What one picture is once it is decoded, and what the headers of many show.

Pictures are decoded by Pillow: torchvision's `decode_image` gives the same bytes for JPEG, but
reads no BMP, PPM or TIFF, drops transparency without a background, and cannot be interrupted.
Nothing here needs torch, so that processes which decode pictures start fast.
"""

import math
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from statistics import median_low
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageMode, ImageOps, UnidentifiedImageError

from genbench.utils.pictures import PILLOW_WARNINGS
from genbench.utils.signals import check

DEPTH = (0, 65535)  # values of 16 bits
# The most pixels of a picture whose size is inferred: where most pictures have one size, and where
# they do not. Networks on a CPU take minutes with the latter.
MOST_PIXELS_ALIKE, MOST_PIXELS_OTHERWISE = 128 * 128, 64 * 64
SIDES_ARE_MULTIPLES_OF = 4  # where a size is inferred, as convolutions halve images
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # an EXIF tag, and its values for exchanged sides

PixelSize: TypeAlias = tuple[int, int]  # height and width
Opener: TypeAlias = Callable[[], AbstractContextManager[Image.Image]]


class Undecodable(NamedTuple):
    """Why something is no picture; `is_unknown` if not even its format is known."""

    reason: str
    is_unknown: bool = False


Decoded: TypeAlias = np.ndarray | Undecodable


class PictureForm(NamedTuple):
    """What all pictures become: their size (None leaves it), and 1, 3 or `auto` channels."""

    size: PixelSize | None
    channels: int | str


class Expected(NamedTuple):
    """What pictures are like, as the headers of some of them show.

    `sizes` says how many have each size. `channels` are 3 unless all of these are grey, and
    `bytes_per_value` is 2 if one of them has 16 bits.
    """

    sizes: Counter[PixelSize]
    channels: int
    bytes_per_value: int

    @property
    def commonest(self) -> PixelSize | None:
        """The size that most of them have, None if no header can be read."""
        return self.sizes.most_common(1)[0][0] if self.sizes else None

    def bytes_each(self, form: PictureForm) -> int:
        """How many bytes a picture of this form takes."""
        height, width = form.size or self.commonest or (1, 1)
        channels = self.channels if form.channels == "auto" else int(form.channels)
        return height * width * channels * self.bytes_per_value


def expected(openers: Iterable[Opener]) -> Expected:
    """What these pictures are like."""
    sizes: Counter[PixelSize] = Counter()
    channels = depth = 1
    with PILLOW_WARNINGS.filtered():
        for opened in openers:
            check()
            with suppress(Exception), opened() as image:  # a damaged picture has no vote
                sizes[_upright_size(image)] += 1
                channels = channels if _is_grey(image) else 3
                depth = 2 if image.mode.startswith("I") else depth
    return Expected(sizes, channels, depth)


def _upright_size(image: Image.Image) -> PixelSize:
    with suppress(Exception):  # decoding ignores damaged EXIF data, too
        if image.getexif().get(ORIENTATION) in TURNED:
            return image.width, image.height
    return image.height, image.width


def inferred_size(sizes: Counter[PixelSize]) -> PixelSize | None:
    """The size to give to all pictures: that of most of them if it is small enough, else about
    their median height and width, with as few pixels as a CPU can train on. None without sizes.
    """
    if not sizes:
        return None
    size, count = sizes.most_common(1)[0]
    if 2 * count > sizes.total() and math.prod(size) <= MOST_PIXELS_ALIKE:
        return size
    if 2 * count <= sizes.total():
        heights, widths = zip(*sizes.elements(), strict=True)
        size = median_low(heights), median_low(widths)
    shrinking = min(1.0, math.sqrt(MOST_PIXELS_OTHERWISE / math.prod(size)))
    height, width = (_rounded(side * shrinking) for side in size)
    return height, width


def _rounded(side: float) -> int:
    step = SIDES_ARE_MULTIPLES_OF
    return max(step, step * round(side / step))


def decoded_picture(opened: Opener, form: PictureForm) -> Decoded:
    """A picture [H, W, C], or why it is none."""
    check()
    try:
        return _picture(opened, form)
    except Exception as error:  # a damaged picture may make its decoder raise anything
        return Undecodable(str(error), isinstance(error, UnidentifiedImageError))


def decoded_block(openers: Sequence[Opener], form: PictureForm) -> list[Decoded]:
    """Several pictures, or why they are none."""
    return [decoded_picture(opened, form) for opened in openers]


def decoded_in_process(openers: Sequence[Opener], form: PictureForm) -> list[Decoded]:
    """The same in a process of its own, which Ctrl-C does not end.

    It reaches all processes of a terminal, and it is for the first one to end the others.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with PILLOW_WARNINGS.filtered():
        return decoded_block(openers, form)


def _is_grey(image: Image.Image) -> bool:
    return ImageMode.getmode(image.mode).basemode == "L"


def _picture(opened: Opener, form: PictureForm) -> np.ndarray:
    """A picture as bytes [H, W, C], or with 16 bits, upright, with transparent parts on white.

    C is 1 for a grey picture unless `channels` is 3.
    """
    with PILLOW_WARNINGS.filtered(), opened() as original:
        image = ImageOps.exif_transpose(original)
        image.load()
    if image.mode == "F":
        raise ValueError("floating-point values have no agreed white")
    if image.mode.startswith("I"):
        return _sixteen_bits(image, form)
    grey = _is_grey(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert(
        "L" if form.channels == 1 or (grey and form.channels == "auto") else "RGB"
    )
    if form.size:
        image = image.resize(form.size[::-1])
    return np.asarray(image).reshape(image.height, image.width, -1)


def _sixteen_bits(image: Image.Image, form: PictureForm) -> np.ndarray:
    """A grey picture of 16 bits [H, W, C], which `convert` would clip at 255."""
    values = np.asarray(image).astype(np.float32)
    if values.min() < DEPTH[0] or values.max() > DEPTH[1]:
        raise ValueError("values are beyond 16 bits")
    if form.size:
        resized = np.asarray(Image.fromarray(values).resize(form.size[::-1]))
        values = resized.clip(values.min(), values.max())  # bicubic interpolation overshoots edges
    channels = 3 if form.channels == 3 else 1
    return np.repeat(values.round().astype(np.uint16)[..., None], channels, axis=2)

"""Decoding of picture files, by as many threads as torch uses, and what their headers show.

Pictures are decoded by Pillow: torchvision's `decode_image` gives the same bytes for JPEG, but
reads no BMP, PPM or TIFF, drops transparency without a background, and cannot be interrupted.
Threads rather than processes, because Pillow decodes without Python's global lock, and a script of
a user's own needs no guard against being imported again.
"""

from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageMode, ImageOps

from genbench.settings.datasets import ImageFolderSettings
from genbench.utils.pictures import PILLOW_WARNINGS, opened_picture
from genbench.utils.signals import check

DEPTH = (0, 65535)  # values of 16 bits
HEADERS = 1000  # that are read to learn what most pictures are like
BYTES_AT_ONCE, FILES_AT_ONCE = 2**22, 64  # that a thread decodes before it hands them over

Decoded: TypeAlias = tuple[Path, np.ndarray | Exception]  # a picture, or why it is none


class Expected(NamedTuple):
    """What pictures are like, as the headers of up to 1,000 of them show.

    `size` is the height and width that most of them have, None if no header can be read. `channels`
    are 3 unless all of these are grey, and `bytes_per_value` is 2 if one of them has 16 bits.
    """

    size: tuple[int, int] | None
    channels: int
    bytes_per_value: int

    def bytes_each(self, s: ImageFolderSettings) -> int:
        """How many bytes a picture takes in the size and with the channels of the settings."""
        height, width = s.resize or self.size or (1, 1)
        channels = self.channels if s.channels == "auto" else s.channels
        return height * width * channels * self.bytes_per_value


def expected(files: list[Path]) -> Expected:
    """What most of these pictures are like."""
    sizes: Counter[tuple[int, int]] = Counter()
    channels = depth = 1
    for file in files[:: 1 + len(files) // HEADERS]:
        check()
        with suppress(Exception), opened_picture(file) as image:  # a damaged picture has no vote
            sizes[image.height, image.width] += 1
            channels = channels if _is_grey(image) else 3
            depth = 2 if image.mode.startswith("I") else depth
    return Expected(sizes.most_common(1)[0][0] if sizes else None, channels, depth)


def decoded_pictures(
    files: list[Path], bytes_each: int, s: ImageFolderSettings
) -> Iterator[Decoded]:
    """Every file in order with its picture [H, W, C], or with the error that its decoder raised.

    `bytes_each` is about how large pictures are, so that few bytes wait for who reads them.
    """
    size = max(1, min(FILES_AT_ONCE, BYTES_AT_ONCE // bytes_each))
    blocks = (files[start : start + size] for start in range(0, len(files), size))
    threads = min(torch.get_num_threads(), -(-len(files) // size))
    with PILLOW_WARNINGS.filtered():
        if threads <= 1:
            for block in blocks:
                yield from map(lambda file: _tried(file, s), block)
            return
        pool = ThreadPoolExecutor(threads)
        waiting: deque[Future[list[Decoded]]] = deque()
        try:
            for block in blocks:
                waiting.append(pool.submit(_decoded_block, block, s))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decoded_block(files: list[Path], s: ImageFolderSettings) -> list[Decoded]:
    return [_tried(file, s) for file in files]


def _tried(file: Path, s: ImageFolderSettings) -> Decoded:
    check()
    try:
        return file, _picture(file, s)
    except Exception as error:  # a damaged picture may make its decoder raise anything
        return file, error


def _is_grey(image: Image.Image) -> bool:
    return ImageMode.getmode(image.mode).basemode == "L"


def _picture(file: Path, s: ImageFolderSettings) -> np.ndarray:
    """One file as bytes [H, W, C], or with 16 bits, upright, with transparent parts on white.

    C is 1 for a grey picture unless `channels` is 3.
    """
    with PILLOW_WARNINGS.filtered(), opened_picture(file) as opened:
        image = ImageOps.exif_transpose(opened)
        image.load()
    if image.mode == "F":
        raise ValueError("floating-point values have no agreed white")
    if image.mode.startswith("I"):
        return _sixteen_bits(image, s)
    grey = _is_grey(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if s.channels == 1 or (grey and s.channels == "auto") else "RGB")
    if s.resize:
        image = image.resize(s.resize[::-1])
    return np.asarray(image).reshape(image.height, image.width, -1)


def _sixteen_bits(image: Image.Image, s: ImageFolderSettings) -> np.ndarray:
    """A grey picture of 16 bits [H, W, C], which `convert` would clip at 255."""
    values = np.asarray(image).astype(np.float32)
    if values.min() < DEPTH[0] or values.max() > DEPTH[1]:
        raise ValueError("values are beyond 16 bits")
    if s.resize:
        resized = np.asarray(Image.fromarray(values).resize(s.resize[::-1]))
        values = resized.clip(values.min(), values.max())  # bicubic interpolation overshoots edges
    channels = 3 if s.channels == 3 else 1
    return np.repeat(values.round().astype(np.uint16)[..., None], channels, axis=2)

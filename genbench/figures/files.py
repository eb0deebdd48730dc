"""Pictures as the bytes of files: PNG and animated GIF, and PNG files as pictures."""

import contextlib
import io
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from genbench.utils import signals

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PNG = b"\x89PNG\r\n\x1a\n"  # what every such file begins with
LARGEST = 40_000_000  # pixels of a picture that is read


def png(picture: torch.Tensor) -> bytes:
    """A picture as the bytes of a PNG file; one without colours as a grey one, which is smaller."""
    from PIL import Image

    signals.check()
    pixels, out = picture.numpy(), io.BytesIO()
    first, *others = np.moveaxis(pixels, 2, 0)
    is_grey = all(np.array_equal(first, other) for other in others)
    image = Image.fromarray(first if is_grey else pixels)
    image.save(out, "png", compress_level=3)  # twice as fast as the default, and hardly larger
    return out.getvalue()


def read_png(content: bytes) -> "Picture":
    """The picture that a PNG file holds, decoded. ValueError for anything else: no other decoder is
    ever asked, as Pillow's for PostScript starts another program.
    """
    from PIL import Image

    if not content.startswith(PNG):
        raise ValueError("is no PNG file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of Pillow, about pictures that are absurdly large
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                if image.width * image.height > LARGEST:
                    raise ValueError(f"is too large: {image.width:,} x {image.height:,} pixels")
                image.load()
                return image
    except ValueError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
        raise ValueError(f"cannot be drawn: {error or type(error).__name__}") from error


def animation(frames: Sequence[bytes], longest: int = 60) -> tuple[bytes, int]:
    """PNG files as the bytes of one GIF film that ends with a pause; of many frames every k-th, and
    the last.

    Also how many of these are left out as they are no PNG files; where fewer than two are left,
    there is no film.
    """
    step = max(1, math.ceil(len(frames) / longest))
    kept, images = [*frames[:-1][::step], *frames[-1:]], []
    for frame in kept:
        with contextlib.suppress(ValueError):
            images.append(read_png(frame))
    lost = len(kept) - len(images)
    if len(images) < 2:
        return b"", lost
    if all(i.mode == "L" for i in images):  # 64 greys look the same and make the file half as large
        images = [i.point(lambda grey: grey // 4 * 255 // 63) for i in images]
    else:
        images = [i.convert("RGB") for i in images]
    images = [i if i.size == images[-1].size else i.resize(images[-1].size) for i in images]
    out = io.BytesIO()
    images[0].save(
        out,
        "gif",
        save_all=True,
        append_images=images[1:],
        duration=[300] * (len(images) - 1) + [2000],
        loop=0,
    )
    return out.getvalue(), lost

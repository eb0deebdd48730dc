"""dSprites: white shapes on black, with the factors that each was drawn from."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import torch

from genbench.config.data_folders import PUBLISHED
from genbench.data.lazy import Values
from genbench.data.prepared import derived, fits
from genbench.data.readers import damaged
from genbench.data.types import RawDataset
from genbench.settings.picture_sets import DSPRITES_FILE, DSpritesSettings
from genbench.utils.errors import UserError
from genbench.utils.signals import check

SHAPES = ("square", "ellipse", "heart")
FACTOR_NAMES = ("color", "shape", "scale", "orientation", "posX", "posY")
SPRITES_AT_ONCE = 4096  # that are unpacked between two checks for a signal


def dsprites(s: DSpritesSettings) -> RawDataset:
    """The 737,280 images [1, 64, 64] of zeros and ones of dSprites (Matthey et al. 2017).

    The label is the shape, and `factors` are what each image was drawn from, numbered from 0.
    UserError for a file that does not hold them.
    """
    (file,) = PUBLISHED["dsprites"].paths(Path(s.root)).values()
    assert file.name == DSPRITES_FILE
    try:
        with zipfile.ZipFile(file) as archive:
            with archive.open("latents_classes.npy") as member:
                factors = _factors(file, member)
            with archive.open("imgs.npy") as member:
                x = _images(file, member, len(factors))
    except UserError:
        raise
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(file, f"cannot be read: {error}") from error
    y = factors[:, FACTOR_NAMES.index("shape")]
    return RawDataset(
        x,
        y,
        None,
        None,
        unit=True,
        trials=1,
        names=SHAPES,
        factors=factors,
        factor_names=FACTOR_NAMES,
    )


def _factors(file: Path, member: IO[bytes]) -> torch.Tensor:
    factors = np.lib.format.read_array(member, allow_pickle=False)
    is_right = (
        factors.ndim == 2 and factors.shape[1] == len(FACTOR_NAMES) and factors.dtype.kind == "i"
    )
    if not is_right or factors.min() < 0 or factors[:, 1].max() >= len(SHAPES):
        raise damaged(file, f"expected {len(FACTOR_NAMES)} whole numbers from 0 for each image")
    return torch.from_numpy(factors).long()


def _images(file: Path, member: IO[bytes], count: int) -> Values:
    """The images [N, 1, 64, 64], which are unpacked a few at a time."""
    np.lib.format.read_magic(member)
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(member)
    if dtype != np.uint8 or is_fortran or len(shape) != 3 or shape[0] != count:
        what = f"expected images of bytes, and a row of factors for each of {count:,}"
        raise damaged(file, what, f"{dtype} {list(shape)}")
    point = (1, *shape[1:])
    chunks = _chunks(file, member, count, point)
    if fits(count * int(np.prod(point))):
        x = torch.empty((count, *point), dtype=torch.uint8)
        start = 0
        for chunk in chunks:
            x[start : start + len(chunk)] = chunk
            start += len(chunk)
        return x
    status = file.stat()
    origin = {"dsprites": str(file.resolve()), "bytes": status.st_size, "time": status.st_mtime_ns}
    return derived(origin, f"{count:,} images", chunks, (count, *point), torch.uint8)


def _chunks(
    file: Path, member: IO[bytes], count: int, point: tuple[int, ...]
) -> Iterator[torch.Tensor]:
    each = int(np.prod(point))
    for start in range(0, count, SPRITES_AT_ONCE):
        check()
        n = min(SPRITES_AT_ONCE, count - start)
        content = member.read(n * each)
        if len(content) != n * each:
            raise damaged(file, f"expected {count:,} images, and it ends in image {start:,}")
        chunk = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(n, *point)
        if chunk.max() > 1:
            raise damaged(file, f"expected zeros and ones in images {start:,} to {start + n - 1:,}")
        yield chunk

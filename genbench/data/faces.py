"""Reader of Labeled Faces in the Wild: JPEG pictures in a folder for each person."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from genbench.data.readers import Files, Member, PublishedSplits, damaged
from genbench.utils.pictures import opened_picture
from genbench.utils.signals import check

if TYPE_CHECKING:
    from PIL import Image

FULL_SIZE = (250, 250)
BOX = (78, 70, 172, 195)  # left, upper, right, lower: the face
SIZE = (47, 62)  # width and height: half of the box


def faces(files: Files, least: int = 60) -> tuple[PublishedSplits, Sequence[str]]:
    """Faces of everybody with at least `least` pictures: cropped, halved, grey, in random order.

    `files` are named NAME/PICTURE.jpg, below any folder. The result is that of scikit-learn's
    fetch_lfw_people with resize=0.5, times 255 and rounded: images of 62x47 pixels.
    """
    people: dict[str, list[Path | Member]] = {}
    for name in sorted(files, key=lambda name: name.split("/")):
        people.setdefault(name.split("/")[-2].replace("_", " "), []).append(files[name])
    most = max(map(len, people.values()))
    if most < least:
        what = f"expected somebody with at least {least} pictures"
        raise damaged(files[next(iter(files))], what, most)
    names = sorted(name for name in people if len(people[name]) >= least)
    pictures = [(_face(file), y) for y, name in enumerate(names) for file in people[name]]
    order = np.arange(len(pictures))
    np.random.RandomState(42).shuffle(order)  # as scikit-learn does
    x, y = zip(*(pictures[i] for i in order), strict=True)
    return [(torch.from_numpy(np.stack(x))[:, None], torch.tensor(y))], names


def _face(file: Path | Member) -> np.ndarray:
    """The middle of a picture, as bytes [62, 47]."""
    check()
    try:
        with _opened(file) as image:
            if image.size != FULL_SIZE:  # known before any pixel is unpacked
                raise ValueError(f"expected 250x250 pixels, got {image.height}x{image.width}")
            middle = image.convert("RGB").crop(BOX).resize(SIZE)
    except Exception as error:  # a damaged picture may make its decoder raise anything
        raise damaged(file, f"cannot be read: {error}") from error
    grey = (np.asarray(middle, np.float32) / 255).mean(axis=2)
    return (grey * 255).round().astype(np.uint8)


def _opened(file: Path | Member) -> AbstractContextManager["Image.Image"]:
    """The JPEG picture, of which only the header has been read."""
    if isinstance(file, Path):
        return opened_picture(file, ("JPEG",))
    from PIL import Image  # heavy, and no other dataset here needs it

    return Image.open(BytesIO(file.content), formats=["JPEG"])

"""Formats that images are published in, read without trusting them: whatever is wrong with a file is a UserError.

A reader takes files by their names, each a `Path` or a `Member` of an archive, and returns parts, pairs of images
(bytes [N, C, H, W]) and labels (integers [N]), to train on and to test on if the publishers say which; then the names of
the labels.
"""

import gzip
import math
import pickle
import re
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from operator import index
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from genbench.utils.errors import UserError
from genbench.utils.files import opened
from genbench.utils.signals import check

Parts = list[tuple[torch.Tensor, torch.Tensor | None]]


@dataclass(frozen=True)
class Member:
    """A file out of an archive; it is called as a path would be."""

    archive: Path
    name: str
    content: bytes

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


LONGEST_TEXT = 200_000_000  # bytes; the longest of the files of binarized MNIST has 78,400,000
LONGEST = 1 << 28  # bytes of a file that is read at once; a batch of CIFAR-10 has 31,000,000
Files = Mapping[str, Path | Member]


def members(archive: Path, wanted: re.Pattern) -> dict[str, Member]:
    """The files of a .tar.gz whose whole name is `wanted`, by the first group of it.

    They stay in memory, so that no name, link or device in the archive can reach anything outside of it.
    """
    found = {}
    with tarfile.open(archive, "r|gz") as tar:  # a stream: read once, from its beginning to its end
        for member in tar:
            check()
            match = wanted.fullmatch(member.name)
            if (
                match and member.isreg() and not member.issparse()
            ):  # a sparse file may claim any length
                found[match[1]] = Member(archive, member.name, tar.extractfile(member).read())
    return found


def damaged(file: Path | Member, what: str, got=None) -> UserError:
    """The error of a file that is not what it should be."""
    return UserError(str(file), what, got, "replace it by the file as published")


def idx(files: Files, names: Sequence[str]) -> tuple[Parts, Sequence[str]]:
    """Images and labels as MNIST has them: four files in the IDX format (LeCun et al. 1998), packed by gzip or not."""
    parts = []
    for part in ("train", "t10k"):
        images, labels = files[f"{part}-images-idx3-ubyte"], files[f"{part}-labels-idx1-ubyte"]
        x, y = _idx_bytes(images, 3)[:, None], _idx_bytes(labels, 1).long()
        _check_labels(y, len(x), len(names), labels)
        if parts and x.shape[1:] != parts[0][0].shape[1:]:
            expected, got = ("x".join(map(str, some.shape[2:])) for some in (parts[0][0], x))
            raise damaged(images, f"expected images of {expected}, as there are to train on", got)
        parts.append((x, y))
    return parts, names


def _idx_bytes(path: Path, dimensions: int) -> torch.Tensor:
    """The unsigned bytes of an IDX file: a magic number, a size for each dimension as 4 bytes, the highest first, values."""
    magic = bytes([0, 0, 8, dimensions])  # 8 says unsigned bytes
    with open(opened(path, links=True), "rb") as stored:
        packed = stored.read(2) == b"\x1f\x8b"
        stored.seek(0)
        with gzip.GzipFile(fileobj=stored) if packed else nullcontext(stored) as file:
            try:
                header = bytes(_at_most(file, 4 + 4 * dimensions))
                if header[:4] != magic:
                    raise damaged(
                        path,
                        f"expected the magic number {magic.hex()}: bytes in {dimensions} dimension{'s' * (dimensions > 1)}",
                        header[:4].hex(),
                    )
                shape = [int.from_bytes(header[i : i + 4], "big") for i in range(4, len(header), 4)]
                size = math.prod(shape) if len(header) == 4 + 4 * dimensions else 0
                if not size:
                    raise damaged(path, f"expected {dimensions} sizes of at least 1", shape)
                if size > LONGEST:
                    raise damaged(
                        path, f"expected at most {LONGEST:,} bytes after its header", shape
                    )
                content = _at_most(
                    file, size + 1
                )  # one more, which must not be there; what gzip says of itself follows it
            except (OSError, EOFError, zlib.error) as error:
                raise damaged(
                    path, f"cannot be unpacked: {error}" if packed else f"cannot be read: {error}"
                ) from error
    if len(content) != size:
        got = f"{len(content):,}" if len(content) < size else "more"
        raise damaged(
            path,
            f"expected {size:,} bytes after its header, which says {' x '.join(map(str, shape))}",
            got,
        )
    return torch.frombuffer(content, dtype=torch.uint8).view(shape)


def _at_most(file: BinaryIO, size: int) -> bytearray:
    """The next bytes of a file, however many it claims to have: memory grows only by what is there."""
    found = bytearray()
    while len(found) < size and (chunk := file.read(min(size - len(found), 1 << 20))):
        check()
        found += chunk
    return found


def _content(file: Path | Member) -> bytes:
    """All of a file. ValueError for one of absurd size."""
    if isinstance(file, Member):
        return file.content
    with open(opened(file, links=True), "rb") as stored:
        content = bytes(_at_most(stored, LONGEST + 1))
    if len(content) > LONGEST:
        raise ValueError(f"it has more than {LONGEST:,} bytes")
    return content


def _check_labels(y: torch.Tensor, count: int, classes: int, file: Path | Member) -> None:
    if len(y) != count:
        raise damaged(file, f"expected {count:,} labels, one for each image", f"{len(y):,}")
    wrong = ((y < 0) | (y >= classes)).nonzero()
    if len(wrong):
        raise damaged(
            file,
            f"label {int(wrong[0])} (from 0) should be from 0 to {classes - 1}",
            int(y[wrong[0]]),
        )


def amat(files: Files, names: Sequence[str], side: int) -> tuple[Parts, Sequence[str]]:
    """Black-and-white images as text: a line of zeros and ones, with blanks between, for each image of side x side pixels.

    `names` are the files to train, to validate and to test on; the images of the second follow those of the first. There
    are no labels.
    """
    train, valid, test = (_amat_bytes(files[name], side) for name in names)
    return [(torch.cat([train, valid]), None), (test, None)], ()


def _amat_bytes(path: Path, side: int) -> torch.Tensor:
    with open(opened(path, links=True), "rb") as file:
        text = np.frombuffer(_at_most(file, LONGEST_TEXT + 1), np.uint8)
    if len(text) > LONGEST_TEXT:
        raise damaged(path, f"expected at most {LONGEST_TEXT:,} bytes", "more")
    digit = (text == ord("0")) | (text == ord("1"))
    line = text == ord("\n")
    strange = (~(digit | line | (text == ord(" ")) | (text == ord("\r")))).nonzero()[0]
    if len(strange):
        raise damaged(
            path,
            f"expected zeros and ones, and byte {strange[0]:,} (from 0) is another",
            bytes([text[strange[0]]]),
        )
    if (digit[1:] & digit[:-1]).any():
        raise damaged(
            path,
            f"expected a blank between values, as after byte {int((digit[1:] & digit[:-1]).argmax()):,}",
        )
    starts = np.concatenate([[0], line.nonzero()[0] + 1])
    starts = starts[starts < len(text)]
    widths = (
        np.add.reduceat(digit, starts, dtype=np.int64) if len(starts) else starts
    )  # values in each line
    wrong = (widths != side * side).nonzero()[0]
    if not len(widths) or len(wrong):
        got = f"{widths[wrong[0]]:,} in line {wrong[0] + 1:,}" if len(wrong) else "no line"
        raise damaged(path, f"expected {side * side} values in each line", got)
    return torch.from_numpy(text[digit] - ord("0")).view(-1, 1, side, side)


def cifar(files: Files) -> tuple[Parts, Sequence[str]]:
    """CIFAR-10's six batches: pickles of images, planes of 32x32 bytes, and labels (Krizhevsky 2009)."""
    try:
        names = [str(name) for name in _plain(files["batches.meta"])["label_names"]]
    except (KeyError, TypeError) as error:
        raise damaged(files["batches.meta"], "expected the names of the labels") from error
    batches = {
        name: _cifar_batch(files[name], len(names))
        for name in sorted(files)
        if name != "batches.meta"
    }
    test = batches.pop("test_batch")
    x, y = (torch.cat(some) for some in zip(*batches.values()))
    return [(x, y), test], names


def _cifar_batch(file: Path | Member, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    batch = _plain(file)
    try:
        _, shape, kind, transposed, values = batch["data"].state  # as numpy writes arrays
        values = (
            values.encode("latin-1") if isinstance(values, str) else values
        )  # what Python 2 wrote
        n, width = shape
        if (
            width != 3 * 32 * 32
            or kind.arguments[0] != "u1"
            or transposed
            or n * width != len(values)
        ):
            raise ValueError(
                f"{shape} of type {kind.arguments[0]}, stored in {len(values):,} bytes"
            )
        x = torch.frombuffer(bytearray(values), dtype=torch.uint8).view(n, 3, 32, 32)
        y = torch.tensor(
            [index(label) for label in batch["labels"]]
        )  # which takes nothing but whole numbers
    except Exception as error:  # nothing is known of what the pickle holds
        raise damaged(file, "expected rows of 3,072 bytes and their labels", error) from error
    _check_labels(y, n, classes, file)
    return x, y


class _Array:
    """What a pickle says of an array or of its type; nothing acts on it."""

    def __init__(self, *arguments):
        self.arguments, self.state = arguments, ()

    def __setstate__(self, state):
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Unpickles plain values, and arrays as `_Array`: numpy itself is never called, nor anything else that has a name."""

    known = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    }

    def find_class(self, module: str, name: str):
        """Called for every name in a pickle."""
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which images do not need")
        return _Array


def _plain(file: Path | Member):
    """The value that a pickle holds."""
    try:
        return _Unpickler(BytesIO(_content(file)), encoding="latin-1").load()
    except Exception as error:  # damaged pickles raise whatever they stumble over
        raise damaged(file, f"cannot be unpickled: {error}") from error


def faces(files: Files, least: int = 60) -> tuple[Parts, Sequence[str]]:
    """The faces of people of whom there are at least so many pictures, cropped, halved and grey, in mixed order.

    `files` are NAME/PICTURE.jpg in any folder. What comes back is that of scikit-learn's fetch_lfw_people with
    resize=0.5, times 255 and rounded: 62x47 pixels.
    """
    people: dict[str, list[Path | Member]] = {}
    for name in sorted(files, key=lambda name: name.split("/")):
        people.setdefault(name.split("/")[-2].replace("_", " "), []).append(files[name])
    most = max(map(len, people.values()))
    if most < least:
        raise damaged(
            files[next(iter(files))], f"expected somebody with at least {least} pictures", most
        )
    people = {name: people[name] for name in sorted(people) if len(people[name]) >= least}
    pictures = [(_face(file), y) for y, some in enumerate(people.values()) for file in some]
    order = np.arange(len(pictures))
    np.random.RandomState(42).shuffle(order)
    x, y = zip(*(pictures[i] for i in order))
    return [(torch.from_numpy(np.stack(x))[:, None], torch.tensor(y))], [*people]


def _face(file: Path | Member) -> np.ndarray:
    """The middle of a picture, as bytes [62, 47]."""
    from PIL import Image

    check()
    try:
        with Image.open(BytesIO(_content(file)), formats=["JPEG"]) as image:
            if image.size != (250, 250):  # known before any pixel is unpacked
                raise ValueError(f"expected 250x250 pixels, got {image.height}x{image.width}")
            middle = image.convert("RGB").crop((78, 70, 172, 195)).resize((47, 62))
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
        raise damaged(file, f"cannot be read: {error}") from error
    grey = (np.asarray(middle, np.float32) / 255).mean(axis=2)
    return (grey * 255).round().astype(np.uint8)

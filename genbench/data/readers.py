"""Readers of two formats of images: IDX (MNIST and its relatives) and text (binarized MNIST).

Files are not trusted: whatever is wrong with one is a UserError. Users have such files of their
own, for which no digest can be pinned, so torchvision does not serve here as it does in
`genbench.data.vision`: release 0.29 takes one label for two images, and labels of no class; reads a
file at once, whatever its size (2 GiB of zeros take 4.9 GB of memory); reads unpacked files only;
and waits forever on a named pipe. Importing it takes 1.4 s, reading MNIST here 0.05 s.

A reader takes files by name, each a `Path` or a `Member` of an archive. It returns the splits that
the publishers made, for training and, if they made one, for the test, and the names of the labels.
A split is a pair of images (bytes [N, C, H, W]) and labels (integers [N], or None).
"""

import gzip
import io
import math
import zlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
import torch

from genbench.utils.errors import UserError
from genbench.utils.files import opened
from genbench.utils.signals import check

LONGEST_TEXT = 200_000_000  # bytes; the longest file of binarized MNIST has 78,400,000
LONGEST = 1 << 28  # bytes of a file that is read at once; a batch of CIFAR-10 has 31,000,000
READ_SIZE = 1 << 20  # bytes that are read between two checks for a signal
IDX_BYTES = bytes([0, 0, 8])  # how an IDX file of unsigned bytes begins
GZIP = b"\x1f\x8b"  # how a file packed by gzip begins


@dataclass(frozen=True)
class Member:
    """A file from a verified archive. Errors show its name as that of a path."""

    archive: Path
    name: str
    content: bytes

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


Stream = IO[bytes] | gzip.GzipFile
Files = Mapping[str, Path | Member]
PublishedSplits = list[tuple[torch.Tensor, torch.Tensor | None]]


def damaged(file: Path | Member, what: str, got: object = None) -> UserError:
    """The error for a file that is not as it was published."""
    return UserError(str(file), what, got, "replace it by the file as published")


def read_content(file: Path | Member) -> bytes:
    """All of a file. ValueError above `LONGEST` bytes, OSError if it cannot be read."""
    if isinstance(file, Member):
        return file.content
    with open(opened(file, links=True), "rb") as stored:
        content = bytes(read_at_most(stored, LONGEST + 1))
    if len(content) > LONGEST:
        raise ValueError(f"it has more than {LONGEST:,} bytes")
    return content


def require_labels(y: torch.Tensor, count: int, classes: int, file: Path | Member) -> None:
    """UserError unless there are `count` labels from 0 to classes - 1."""
    if len(y) != count:
        raise damaged(file, f"expected {count:,} labels, one for each image", f"{len(y):,}")
    wrong = ((y < 0) | (y >= classes)).nonzero()
    if len(wrong):
        what = f"label {int(wrong[0])} (from 0) should be from 0 to {classes - 1}"
        raise damaged(file, what, int(y[wrong[0]]))


def idx(
    files: Files, names: Sequence[str], first: int = 0
) -> tuple[PublishedSplits, Sequence[str]]:
    """Images and labels in MNIST's four IDX files (LeCun et al. 1998), packed by gzip or not.

    The files number the labels, which `names` lists, from `first`.
    """
    splits: PublishedSplits = []
    for split in ("train", "t10k"):
        images, labels = files[f"{split}-images-idx3-ubyte"], files[f"{split}-labels-idx1-ubyte"]
        x, y = _idx_bytes(images, 3)[:, None], _idx_bytes(labels, 1).long() - first
        require_labels(y, len(x), len(names), labels)
        if splits and x.shape[1:] != splits[0][0].shape[1:]:
            trained, tested = ("x".join(map(str, some.shape[2:])) for some in (splits[0][0], x))
            raise damaged(images, f"expected images of {trained}, as in the training set", tested)
        splits.append((x, y))
    return splits, names


def _idx_bytes(path: Path | Member, dimensions: int) -> torch.Tensor:
    """The unsigned bytes of an IDX file.

    It holds a magic number, a size of 4 bytes (highest first) for each dimension, and the values.
    """
    with _opened(path) as stored:
        packed = stored.read(len(GZIP)) == GZIP
        stored.seek(0)
        with gzip.GzipFile(fileobj=stored) if packed else nullcontext(stored) as file:
            try:
                shape = _idx_shape(file, path, dimensions)
                size = math.prod(shape)
                # One byte more, which must not be there. gzip checks its sum when it sees the end.
                content = read_at_most(file, size + 1)
            except (OSError, EOFError, zlib.error) as error:
                verb = "unpacked" if packed else "read"
                raise damaged(path, f"cannot be {verb}: {error}") from error
    if len(content) != size:
        sizes = " x ".join(map(str, shape))
        got = f"{len(content):,}" if len(content) < size else "more"
        raise damaged(path, f"expected {size:,} bytes after its header, which says {sizes}", got)
    return torch.frombuffer(content, dtype=torch.uint8).view(shape)


def _opened(file: Path | Member) -> BinaryIO:
    if isinstance(file, Member):
        return io.BytesIO(file.content)
    return open(opened(file, links=True), "rb")


def _idx_shape(file: Stream, path: Path | Member, dimensions: int) -> list[int]:
    """The sizes in the header of an IDX file; UserError if they are none, or absurd."""
    length, magic = 4 + 4 * dimensions, IDX_BYTES + bytes([dimensions])
    header = bytes(read_at_most(file, length))
    if header[:4] != magic:
        what = f"expected the magic number {magic.hex()}: bytes in {dimensions} dimension"
        raise damaged(path, what if dimensions == 1 else f"{what}s", header[:4].hex())
    shape = [int.from_bytes(header[i : i + 4], "big") for i in range(4, len(header), 4)]
    if len(header) < length or not math.prod(shape):
        raise damaged(path, f"expected {dimensions} sizes of at least 1", shape)
    if math.prod(shape) > LONGEST and isinstance(path, Path):  # EMNIST's have 547,178,688
        raise damaged(path, f"expected at most {LONGEST:,} bytes after its header", shape)
    return shape


def read_at_most(file: Stream, size: int) -> bytearray:
    """The next `size` bytes, or fewer at the end: memory grows only by what is there."""
    content = bytearray()
    while len(content) < size and (chunk := file.read(min(size - len(content), READ_SIZE))):
        check()
        content += chunk
    return content


def amat(files: Files, names: Sequence[str], side: int) -> tuple[PublishedSplits, Sequence[str]]:
    """Black-and-white images as text, a line for each: side x side zeros and ones between blanks.

    `names` are the files to train, to validate and to test on. The images of the second follow
    those of the first. There are no labels.
    """
    train, valid, test = (_amat_bytes(files[name], side) for name in names)
    return [(torch.cat([train, valid]), None), (test, None)], ()


def _amat_bytes(path: Path | Member, side: int) -> torch.Tensor:
    """The images [N, 1, side, side] of a text file, as bytes 0 or 1."""
    assert isinstance(path, Path), "no dataset has text files in an archive"
    with open(opened(path, links=True), "rb") as file:
        text = np.frombuffer(read_at_most(file, LONGEST_TEXT + 1), np.uint8)
    if len(text) > LONGEST_TEXT:
        raise damaged(path, f"expected at most {LONGEST_TEXT:,} bytes", "more")
    digit = (text == ord("0")) | (text == ord("1"))
    newline = text == ord("\n")
    other = ~(digit | newline | (text == ord(" ")) | (text == ord("\r")))
    if other.any():
        first = int(other.argmax())
        what = f"expected zeros and ones, and byte {first:,} (from 0) is another"
        raise damaged(path, what, bytes([text[first]]))
    adjacent = digit[1:] & digit[:-1]
    if adjacent.any():
        what = f"expected a blank between values, as after byte {int(adjacent.argmax()):,}"
        raise damaged(path, what)
    starts = np.concatenate([[0], newline.nonzero()[0] + 1])
    starts = starts[starts < len(text)]
    if not len(starts):
        raise damaged(path, f"expected {side * side} values in each line", "no line")
    values_per_line = np.add.reduceat(digit, starts, dtype=np.int64)
    wrong = (values_per_line != side * side).nonzero()[0]
    if len(wrong):
        got = f"{values_per_line[wrong[0]]:,} in line {wrong[0] + 1:,}"
        raise damaged(path, f"expected {side * side} values in each line", got)
    return torch.from_numpy(text[digit] - ord("0")).view(-1, 1, side, side)

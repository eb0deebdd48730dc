"""Reader of CIFAR-10's batches, which are pickles, without running what a pickle asks for.

torchvision's CIFAR10 calls `pickle.load` on files that only an MD5 sum vouches for. Here numpy is
never called, nor anything else by name: the bytes of an array are taken from plain values.
"""

import pickle
from collections.abc import Sequence
from io import BytesIO
from operator import index
from pathlib import Path
from typing import Any

import torch

from genbench.data.readers import (
    Files,
    Member,
    PublishedSplits,
    damaged,
    read_content,
    require_labels,
)

SHAPE = (3, 32, 32)
WIDTH = 3 * 32 * 32  # bytes of an image


def cifar(files: Files) -> tuple[PublishedSplits, Sequence[str]]:
    """CIFAR-10's six batches: images as planes of 32x32 bytes, and labels (Krizhevsky 2009)."""
    try:
        names = [str(name) for name in _unpickled(files["batches.meta"])["label_names"]]
    except (KeyError, TypeError) as error:
        raise damaged(files["batches.meta"], "expected the names of the labels") from error
    batches = {
        name: _batch(files[name], len(names)) for name in sorted(files) if name != "batches.meta"
    }
    test = batches.pop("test_batch")
    x, y = (torch.cat(some) for some in zip(*batches.values(), strict=True))
    return [(x, y), test], names


def _batch(file: Path | Member, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The images [N, 3, 32, 32] and labels [N] of a batch."""
    batch = _unpickled(file)
    try:
        # The state of an array, as numpy writes it: version, shape, type, order, bytes.
        _, (n, width), dtype, is_fortran, values = batch["data"].state
        if isinstance(values, str):  # as Python 2 wrote bytes
            values = values.encode("latin-1")
        kind = dtype.arguments[0]
        if width != WIDTH or kind != "u1" or is_fortran or n * width != len(values):
            raise ValueError(f"{(n, width)} of type {kind}, stored in {len(values):,} bytes")
        x = torch.frombuffer(bytearray(values), dtype=torch.uint8).view(n, *SHAPE)
        y = torch.tensor([index(label) for label in batch["labels"]])  # refuses fractions
    except Exception as error:  # the pickle may hold anything
        raise damaged(file, "expected rows of 3,072 bytes and their labels", error) from error
    require_labels(y, n, classes, file)
    return x, y


class _Array:
    """What a pickle says of an array or of its type. Nothing acts on it."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Unpickles plain values, and arrays as `_Array`; refuses every other name."""

    known = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
    }

    def find_class(self, module: str, name: str) -> type[_Array]:
        """Called for every name in a pickle."""
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which images do not need")
        return _Array


def _unpickled(file: Path | Member) -> Any:
    """The value that a pickle holds."""
    try:
        return _Unpickler(BytesIO(read_content(file)), encoding="latin-1").load()
    except Exception as error:  # a damaged pickle may raise anything
        raise damaged(file, f"cannot be unpickled: {error}") from error

"""Arrays of points that stay in a file, of which only what is asked for is read into memory."""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

CPU = torch.device("cpu")
NUMBERS_AT_ONCE = 2**22  # numbers of a chunk: 16 MiB in single precision

Index: TypeAlias = slice | torch.Tensor  # positions along the first dimension


@dataclass(frozen=True, eq=False)
class LazyArray:
    """Values [N, *shape] that are read when they are indexed, always into new memory.

    It has what a dataset needs of a tensor's methods. The operating system keeps in memory what was
    read of a file as long as nothing else needs the room.

    read    returns values [n, *shape] at positions [n] of what is stored, on any device
    stored  how many points are stored
    key     identifies what is stored
    rows    positions [N] of these points among what is stored, in 4 bytes each unless they are very
            many; None if they are all of it
    device  where values are moved to once they are read
    """

    read: Callable[[torch.Tensor], torch.Tensor]
    stored: int
    point: tuple[int, ...]
    dtype: torch.dtype
    key: str
    rows: torch.Tensor | None = None
    device: torch.device = CPU

    def __len__(self) -> int:
        return self.stored if self.rows is None else len(self.rows)

    @property
    def shape(self) -> torch.Size:
        """[N, *shape], as of a tensor."""
        return torch.Size((len(self), *self.point))

    @property
    def nbytes(self) -> int:
        """How much memory all values would take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def dim(self) -> int:
        """The number of dimensions."""
        return 1 + len(self.point)

    def is_floating_point(self) -> bool:
        """Whether the values are not whole numbers."""
        return self.dtype.is_floating_point

    def __getitem__(self, index: Index) -> torch.Tensor:
        """The values at these positions, in new memory. A mask [N] is an index, too."""
        return self.read(self._positions(index)).to(self.device)

    def _positions(self, index: Index) -> torch.Tensor:
        if isinstance(index, slice):
            if self.rows is not None:
                return self.rows[index]
            return torch.arange(*index.indices(self.stored))
        index = index.cpu()
        index = index.nonzero().flatten() if index.dtype == torch.bool else index
        return index if self.rows is None else self.rows[index]

    def at(self, index: Index) -> "LazyArray":
        """The array of the points at these positions. Nothing is read."""
        # Copied, as few of many positions would otherwise keep all of them in memory.
        small = torch.int32 if self.stored < 2**31 else torch.int64
        return replace(self, rows=self._positions(index).to(small, copy=True))

    def to(self, device: torch.device | str) -> "LazyArray":
        """The same array, from which values are moved to another device."""
        return replace(self, device=torch.device(device))

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """All values, `size` points at a time."""
        return (self[start : start + size] for start in range(0, len(self), size))

    @property
    def identity(self) -> str:
        """A digest of which values these are, and in which order."""
        digest = hashlib.sha256(self.key.encode())
        if self.rows is not None:
            digest.update(self.rows.numpy().data)
        return digest.hexdigest()


def spread(n: int, most: int) -> Index:
    """Positions of at most `most` of n points, evenly spaced because points may be sorted."""
    return slice(None) if n <= most else torch.arange(most) * n // most


Values: TypeAlias = torch.Tensor | LazyArray


def picked(x: Values, index: Index) -> torch.Tensor:
    """The points at these positions, which are not counted from the end, in memory.

    On a CPU `index_select` copies a point as a whole, in a third of the time of an index.
    """
    if isinstance(x, torch.Tensor) and isinstance(index, torch.Tensor) and x.is_cpu:
        return x.index_select(0, index)
    return x[index]


def select(x: Values, index: Index) -> Values:
    """The points at these positions: a copy of those of a tensor, and nothing read of a file."""
    return x.at(index) if isinstance(x, LazyArray) else x[index]


def moved(x: Values, device: torch.device | str) -> Values:
    """The values on another device, where those of 16 bits take 32: not every kind of GPU can index
    unsigned numbers of 16 bits.
    """
    if isinstance(x, torch.Tensor) and x.dtype == torch.uint16:
        x = x if torch.device(device).type == "cpu" else x.int()
    return x.to(device)


def points_at_once(x: Values) -> int:
    """How many points of such values make a chunk."""
    return max(1, NUMBERS_AT_ONCE // max(1, math.prod(x.shape[1:])))


def read_chunks(x: Values) -> Iterator[torch.Tensor]:
    """All values, a chunk at a time."""
    yield from x.split(points_at_once(x))

"""Types for data: what a loader returns, its splits, batches, and facts about one point.

A split is one tensor on the device, or an array in a file. It is read in batches that are slices.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from genbench.data.density import Density
from genbench.data.layout import Layout
from genbench.data.lazy import Index, LazyArray, Values, moved, picked, read_chunks, select, spread
from genbench.utils import signals
from genbench.utils.rng import generator

READ_AT_ONCE = 16  # batches, on a GPU, where more points take no longer to read than few


class DataSpec(NamedTuple):
    """What one data point is.

    shape    (channels, height, width) or (features,)
    unit     whether values lie in [0, 1]
    trials   a value is the share of this many yes-or-no dots that are set (one in binary data),
             which makes a binomial its exact distribution; None if values are no such share
    cell     width of the cell that a value was drawn from if uniform noise hides whole numbers
    classes  labels are below this number; 0 if there are none
    absent   labels below `classes` that no training point has
    """

    shape: tuple[int, ...]
    unit: bool
    trials: int | None = None
    cell: float = 1.0
    classes: int = 0
    absent: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Number of values in one data point."""
        return math.prod(self.shape)


class Batch(NamedTuple):
    """Points and their labels.

    x  float [n, *shape]
    y  int64 [n] class labels, -1 where they are hidden; None if the data have no labels
    """

    x: torch.Tensor
    y: torch.Tensor | None


class Noise(NamedTuple):
    """Randomness that belongs to the data, such as a random binarization.

    setting       name of the setting that asks for this noise
    once          value of that setting for which the noise is drawn only once
    scale         what raw values are multiplied by before the draw
    draw          turns values [n, *shape] into a draw of the same shape
    trials, cell  the fields of `DataSpec` that describe a draw
    """

    setting: str
    once: str
    scale: float
    draw: Callable[[torch.Tensor, torch.Generator], torch.Tensor]
    trials: int | None = None
    cell: float = 1.0


@dataclass(frozen=True)
class Split:
    """One split of a dataset.

    raw      values [N, *shape] as they were loaded; times `scale` they are the data
    y        labels [N], as in `Batch`
    noise    drawn anew at every visit of a point
    factors  what else is known of each point, as whole numbers [N, K]; None if nothing is
    """

    raw: Values
    y: torch.Tensor | None
    scale: float = 1.0
    noise: Noise | None = None
    factors: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one point."""
        return tuple(self.raw.shape[1:])

    @property
    def device(self) -> torch.device:
        """Where the values are once they are read."""
        return self.raw.device

    def values(self, index: Index = slice(None)) -> torch.Tensor:
        """Data points as float32 [n, *shape], before noise."""
        return self._scaled(self.raw[index])

    def _scaled(self, x: torch.Tensor) -> torch.Tensor:
        return x.float() if self.scale == 1 else x.to(torch.float32, copy=True).mul_(self.scale)

    def chunks(self) -> Iterator[torch.Tensor]:
        """All points as `values` returns them, a chunk at a time.

        Raises Interrupted between two chunks if the program is asked to stop.
        """
        for raw in read_chunks(self.raw):
            signals.check()
            yield self._scaled(raw)

    def transformed(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "Split":
        """The points after a function of values [n, *shape] to float32 of the same shape, without
        noise. Those in a file are read and transformed when they are asked for.
        """
        if not isinstance(self.raw, LazyArray):
            return Split(function(self.values()), self.y, factors=self.factors)
        lazy = LazyArray(
            lambda rows: function(self.values(rows)),
            len(self),
            self.raw.point,
            torch.float32,
            key=f"{self.raw.identity} transformed",
            device=self.device,
        )
        return Split(lazy, self.y, factors=self.factors)

    def batches(
        self,
        size: int,
        *,
        order: int | None = None,
        draw: int = 0,
        skip: int = 0,
        share: Callable[[int], slice] | None = None,
    ) -> Iterator[Batch]:
        """Every point once, in batches of `size`, of which the last may be smaller.

        `order` seeds a random order; None keeps the stored one. `draw` seeds the noise. The first
        `skip` batches are left out. Of each batch of n points, only the rows `share(n)` are read.
        Raises Interrupted between two batches if the program is asked to stop.
        """
        if share is not None:
            yield from self._shares(size, order, draw, skip, share)
            return
        n, device = len(self), self.device
        permutation = self._permutation(order)
        several = size * (1 if device.type == "cpu" else READ_AT_ONCE)
        for start in range(skip * size, n, several):
            rows = slice(start, start + several)
            index = rows if permutation is None else permutation[rows]
            read = self._scaled(picked(self.raw, index)).split(size)
            labels = [None] * len(read) if self.y is None else picked(self.y, index).split(size)
            for i, (x, y) in enumerate(zip(read, labels, strict=True)):
                signals.check()
                if self.noise is not None:
                    rng = generator(draw, start + i * size, device=device)
                    x = self.noise.draw(x, rng).float()
                yield Batch(x, y)

    def _permutation(self, order: int | None) -> torch.Tensor | None:
        """The positions of all points in the random order of this seed."""
        rng = None if order is None else torch.Generator().manual_seed(order)
        return None if rng is None else torch.randperm(len(self), generator=rng).to(self.device)

    def _shares(
        self, size: int, order: int | None, draw: int, skip: int, share: Callable[[int], slice]
    ) -> Iterator[Batch]:
        """The rows `share(n)` of every batch of n points."""
        permutation = self._permutation(order)
        for start in range(skip * size, len(self), size):
            signals.check()
            rows = share(min(size, len(self) - start))
            own = slice(start + rows.start, start + rows.stop)
            read = own if self.noise is None else slice(start, start + size)
            x = self.values(read if permutation is None else permutation[read])
            if self.noise is not None:  # which is drawn for the whole batch
                rng = generator(draw, start, device=x.device)
                x = self.noise.draw(x, rng).float()[rows]
            index = own if permutation is None else permutation[own]
            yield Batch(x, None if self.y is None else self.y[index])

    def at(self, index: Index) -> "Split":
        """The points at these positions."""
        y = None if self.y is None else self.y[index]
        factors = None if self.factors is None else self.factors[index]
        return replace(self, raw=select(self.raw, index), y=y, factors=factors)

    def first(self, n: int | None) -> "Split":
        """The first n points; None is all of them."""
        return self.at(slice(n))

    def spread(self, most: int) -> "Split":
        """At most `most` points, evenly spaced over all."""
        return self.at(spread(len(self), most))

    def to(self, device: torch.device | str) -> "Split":
        """The same split on another device."""
        y, factors = (None if one is None else one.to(device) for one in (self.y, self.factors))
        return replace(self, raw=moved(self.raw, device), y=y, factors=factors)


class RawDataset(NamedTuple):
    """What a loader returns: points to split into training and validation, and points to test on.

    x, y            points [N, *shape], which times `scale` are the data; labels [N] or None. Points
                    that do not fit the memory are a `LazyArray`
    test_x, test_y  the same for the test; if `test_x` is None, the setting `test_size` says how
                    many of the points are set aside for it
    unit, trials    as in `DataSpec`
    density         the true density, for data drawn from one
    names           names of the labels 0, 1, ..., if they have any
    skipped         files that were left out, each with the reason
    ordered         whether the last points are for validation, rather than random ones
    validation      how many of the last points were published for validation: as many as `val_size`
                    is if it is `auto`
    factors         whole numbers [N, K] that say more of each point than its label, such as where
                    in an image something is; `test_factors` are those of the test points
    factor_names    names [K] of the factors
    layout          how points turn back into what the user gave
    fill            learns from training points [n, D] how to fill in NaN in other points
    """

    x: Values
    y: torch.Tensor | None
    test_x: Values | None
    test_y: torch.Tensor | None
    unit: bool
    scale: float = 1.0
    trials: int | None = None
    density: Density | None = None
    names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    ordered: bool = False
    validation: int = 0
    factors: torch.Tensor | None = None
    test_factors: torch.Tensor | None = None
    factor_names: tuple[str, ...] = ()
    layout: Layout | None = None
    fill: Callable[[torch.Tensor], Callable[[torch.Tensor], torch.Tensor]] | None = None


class Reference(NamedTuple):
    """All labelled training images of a dataset, independent of which of them a run keeps.

    Features for comparing runs are learnt from these.

    digest    digest of what `read` returns
    classes   number of classes
    held_out  whether the dataset has a test set of its own; if not, test points are among these
    read      loads the dataset anew, so that no second copy of the images stays in memory
    """

    digest: str
    classes: int
    held_out: bool
    read: Callable[[], Split]


class Data(NamedTuple):
    """A dataset ready to train on.

    splits     "train", "validation" (unless val_size=0) and "test"
    digest     SHA-256 of all points and labels
    reference  None for data that are not images with classes
    moments    mean and standard deviation [*shape] of each value of a table, whose columns may have
               different units, or signal; None for images and for data from a known density

    The other fields are those of `RawDataset`.
    """

    name: str
    splits: dict[str, Split]
    spec: DataSpec
    density: Density | None = None
    names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    digest: str = ""
    reference: Reference | None = None
    moments: tuple[torch.Tensor, torch.Tensor] | None = None
    layout: Layout | None = None
    factor_names: tuple[str, ...] = ()

    def called(self, label: int) -> str:
        """The name of a label."""
        return self.names[label] if self.names else str(label)

    @property
    def train(self) -> Split:
        """The training split."""
        return self.splits["train"]

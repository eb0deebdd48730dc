"""The shares of a batch, and of other work, that the processes of one run have.

In a run of one process a share is everything. Of several processes, each learns from its share of
every batch if the model says so by `splits_batches`, else all of them learn from whole batches.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import torch

from genbench.data.types import Batch, Split
from genbench.model import Logs
from genbench.training import ranks
from genbench.training.processes import process_count, process_rank
from genbench.training.ranks import NamedTensors

Dealt = TypeVar("Dealt")


@dataclass(frozen=True)
class BatchShare:
    """The part of a batch of `of` points that one of `count` processes learns from."""

    of: int
    rank: int
    count: int

    @property
    def rows(self) -> slice:
        """The positions in the batch; the shares of all processes differ by one point at most."""
        return slice(self.of * self.rank // self.count, self.of * (self.rank + 1) // self.count)

    @property
    def weight(self) -> float:
        """The part of the batch's mean that comes from this share's."""
        return (self.rows.stop - self.rows.start) / self.of


# Of the batch that is learnt from, unless every process has all of it.
_share: BatchShare | None = None


def own_share(n: int) -> BatchShare:
    """This process's share of a batch of n points."""
    return BatchShare(n, process_rank(), process_count())


def own_rows(n: int) -> slice:
    """This process's positions in a batch of n points."""
    return own_share(n).rows


@contextmanager
def sharing(n: int | None) -> Iterator[None]:
    """In this block the model gets its share of a batch of n points; None is a whole batch."""
    global _share
    before = _share
    _share = None if n is None or process_count() == 1 else own_share(n)
    try:
        yield
    finally:
        _share = before


@contextmanager
def without_empty_share(batch: Batch) -> Iterator[Batch]:
    """The batch, or all of it where it has fewer points than there are processes: a mean needs
    a point.
    """
    if _share is None or _share.of >= _share.count:
        yield batch
        return
    everything = Batch(
        ranks.gather_points(batch.x), None if batch.y is None else ranks.gather_points(batch.y)
    )
    with sharing(None):
        yield everything


def batch_size(n: int) -> int:
    """How many points the batch has of which this process has n, so as to draw noise for all."""
    return n if _share is None else _share.of


def own_noise(noise: NamedTensors, dimension: Callable[[str], int | None]) -> NamedTensors:
    """This process's share of the noise of a whole batch; `dimension` says of each tensor which of
    its dimensions is that of the points, if it has one.
    """
    if _share is None:
        return noise
    start, n = _share.rows.start, _share.rows.stop - _share.rows.start
    places = {name: dimension(name) for name in noise}
    return {
        name: tensor if (place := places[name]) is None else tensor.narrow(place, start, n)
        for name, tensor in noise.items()
    }


def average_shares(
    gradients: Sequence[torch.Tensor], terms: Logs
) -> tuple[Sequence[torch.Tensor], Logs]:
    """Gradients and terms of the mean over the whole batch, given those over each share."""
    if process_count() == 1:
        return gradients, terms
    weight = 1 / process_count() if _share is None else _share.weight
    tensors = [*gradients, *terms.values()]
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors]) * weight
    parts = ranks.all_reduced(flat).split([tensor.numel() for tensor in tensors])
    found = [part.view(like.shape).to(like.dtype) for part, like in zip(parts, tensors)]
    return found[: len(gradients)], dict(zip(terms, found[len(gradients) :]))


def whole_batch(x: torch.Tensor) -> torch.Tensor:
    """The values of the whole batch [n, ...], given those of this process's share of it.

    For a statistic that is no mean over points, such as a distance between two samples. Gradients
    flow back to all processes.
    """
    if _share is None:
        return x
    found: torch.Tensor = _Whole.apply(x, _share)
    return found


class _Whole(torch.autograd.Function):
    """Values of all shares. Losses are averaged with their weights, and so are these gradients."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, share: BatchShare) -> torch.Tensor:
        ctx.share = share
        everything = x.new_zeros(share.of, *x.shape[1:])
        everything[share.rows] = x
        return ranks.all_reduced(everything)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        share = ctx.share
        total = ranks.all_reduced((upstream * share.weight).contiguous())
        return total[share.rows] / share.weight, None


def own_batches(part: Split, size: int) -> Iterator[tuple[int, Batch]]:
    """The batches of a part that this process computes with, each with its number among all.

    They are whole, so that a result for a batch does not depend on the number of processes.
    """
    count = -(-len(part) // size)
    block = own_rows(count)
    batches = islice(part.batches(size, skip=block.start), block.stop - block.start)
    return enumerate(batches, block.start)


def dealt(items: Iterable[Dealt]) -> Iterator[Dealt]:
    """Those of the items that fall to this process, as if cards were dealt."""
    return islice(items, process_rank(), None, process_count())

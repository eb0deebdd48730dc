"""Distances between samples in blocks that fit into memory, and the least size of a sample."""

from collections.abc import Iterator

import torch

from genbench.utils import signals

# Distances held at once: 32 MiB, so that 10,000 points meet 10,000 others in little memory.
PAIRS_AT_ONCE = 2**22
# Rows that suffice to make good use of the other points, which each block reads anew: blocks of
# more rows leave the processor's cache.
FEWEST_ROWS = 128


def row_blocks(x: torch.Tensor, y: torch.Tensor) -> Iterator[slice]:
    """Blocks of rows of x [n, D] whose distances to all of y [m, D] are held at once.

    Raises Interrupted between two blocks if the program is asked to stop.
    """
    step = max(1, min(PAIRS_AT_ONCE // len(y), FEWEST_ROWS + x.shape[1] // 2))
    for start in range(0, len(x), step):
        signals.check()
        yield slice(start, start + step)


def require_points(least: int, *samples: torch.Tensor) -> None:
    """ValueError if a sample has fewer than `least` points."""
    if min(map(len, samples)) < least:
        sizes = " and ".join(str(len(sample)) for sample in samples)
        raise ValueError(f"each sample needs at least {least} points, got {sizes}")

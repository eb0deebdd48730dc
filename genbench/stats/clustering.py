"""Distances of points to centres, k-means++ starts and Lloyd's iterations.

Distances are products of matrices, of points relative to an origin among them: no digits are lost
to data that lie far from zero. Points of many values are multiplied in single precision, which
halves the time. Sums over points are in double precision.
"""

import math

import torch

from genbench.utils import signals

SINGLE_FROM = 128  # values of a point from which on products take most of the time
COLUMNS_AT_ONCE = 128  # fewer would be slow to multiply
IN_CACHE = 2**19  # numbers in single precision that stay in the processor's cache
ON_DEVICE = 2**26  # numbers that a GPU processes together, so that it is never idle


def wide(x: torch.Tensor) -> torch.Tensor:
    """The values in double precision, or in single precision on Apple's GPUs, which lack it."""
    return x.to(torch.float32 if x.device.type == "mps" else torch.float64)


def distance_rows(x: torch.Tensor) -> torch.Tensor:
    """Data [n, *shape] as rows [n, D] in the precision in which distances are computed."""
    return x.flatten(1).float() if x[0].numel() >= SINGLE_FROM else wide(x.flatten(1))


def in_cache(x: torch.Tensor, width: int) -> tuple[torch.Tensor, ...]:
    """Rows x [n, ...] in parts that stay in the processor's cache while they are processed, given
    how many numbers each row needs. On a GPU the parts are larger.
    """
    return x.split(max(1, (IN_CACHE if x.is_cpu else ON_DEVICE) // width))


def squares(x: torch.Tensor) -> torch.Tensor:
    """x'x [D, D] of rows x [n, D], of which only the blocks above the diagonal are computed.

    NumPy has a product for this, but its threads and torch's wait for one another.
    """
    d = x.shape[1]
    product = x.new_empty(d, d)
    for start in range(0, d, COLUMNS_AT_ONCE):
        end = start + COLUMNS_AT_ONCE
        product[start:end, start:] = x[:, start:end].T @ x[:, start:]
        product[end:, start:end] = product[start:end, end:].T
    return product


def squared_distances(x: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Squared distances [n, K] of points [n, D] to centres [K, D], never below zero."""
    return (x.square().sum(1, keepdim=True) - 2 * x @ centres.T + centres.square().sum(1)).clamp(
        min=0
    )


def squared_lengths(x: torch.Tensor) -> torch.Tensor:
    """The sums of squares [n] of rows [n, D]."""
    return torch.linalg.vector_norm(x, dim=1).square()  # without a copy of x


def nearest_centre(x: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest of the centres [K, D] to each of the points [n, D]: its squared distance [n] less
    the point's own squared length, and its index [n].
    """
    centres = centres.to(x)
    reduced, index = torch.addmm(centres.square().sum(1), x, centres.T, alpha=-2).min(1)
    return reduced, index


def one_hot(index: torch.Tensor, k: int, like: torch.Tensor) -> torch.Tensor:
    """A matrix [n, K] with a 1 in the column of each index [n], in the precision of `like`."""
    return torch.nn.functional.one_hot(index, k).to(like)


def totals(x: torch.Tensor, index: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The number [K] and the sum [K, D] of the points [n, D] with each index [n] below k."""
    if x.device.type == "cpu":
        sums = x.new_zeros(k, x.shape[1]).index_add_(0, index, x)
        return wide(torch.bincount(index, minlength=k)), wide(sums)
    member = one_hot(index, k, like=x)  # elsewhere index_add_ adds in any order
    return wide(member.sum(0)), wide(member.T @ x)


def plus_plus(x: torch.Tensor, k: int, rng: torch.Generator) -> torch.Tensor:
    """The positions [k] of starting centres among points [N, D]: greedy k-means++ (Arthur &
    Vassilvitskii 2007).

    Each next centre is the best of a few candidates, which are drawn with probability proportional
    to their squared distance from the centres so far. If every point is a centre already, points
    are drawn at random.
    """
    x = x - x.mean(0)
    squares = x.square().sum(1)

    def reached(candidates: torch.Tensor) -> torch.Tensor:
        """Squared distances [candidates, N]."""
        products = torch.addmm(squares, x[candidates], x.T, alpha=-2)
        return products.add_(squares[candidates, None]).clamp_(min=0)

    trials = 2 + int(math.log(k))
    chosen = [torch.randint(len(x), (1,), generator=rng, device=x.device)]
    least = reached(chosen[0]).squeeze(0)
    for _ in range(k - 1):
        signals.check()
        total = wide(least).cumsum(0)
        drawn = torch.rand(trials, generator=rng, device=x.device, dtype=total.dtype)
        if total[-1] > 0:
            candidates = torch.searchsorted(total, drawn * total[-1]).clamp(max=len(x) - 1)
        else:
            candidates = (drawn * len(x)).long()
        left = torch.minimum(least, reached(candidates))
        best = wide(left).sum(1).argmin()
        chosen.append(candidates[best : best + 1])
        least = left[best]
    return torch.cat(chosen)


def lloyd(x: torch.Tensor, k: int, rng: torch.Generator, iterations: int) -> torch.Tensor:
    """k centres [k, D] of points [N, D] after some of Lloyd's iterations from k-means++ starts."""
    origin = x.mean(0)
    shifted = distance_rows(x - origin)
    centres = wide(shifted[plus_plus(shifted, k, rng)])
    for _ in range(iterations):
        signals.check()
        parts = [
            totals(part, nearest_centre(part, centres)[1], k)
            for part in in_cache(shifted, shifted.shape[1])
        ]
        counts = torch.stack([count for count, _ in parts]).sum(0)[:, None]
        sums = torch.stack([total for _, total in parts]).sum(0)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return centres + origin

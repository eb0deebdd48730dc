"""Distances of points to centres, k-means++ starts and Lloyd's iterations.

Distances are products of matrices, of points relative to an origin among them: no digits are lost
to data that lie far from zero. Points of many values are multiplied in single precision, which
halves the time. Sums over points are in double precision.
"""

import math

import torch

from genbench.data.lazy import spread
from genbench.data.types import Split
from genbench.stats.products import in_cache, product, wide
from genbench.utils import signals

SINGLE_FROM = 128  # values of a point from which on products take most of the time
MANY_CENTRES = 32  # from which on k-means++ takes longer than sketching the points
SAMPLE, DIRECTIONS = 4096, 96  # points that choose the subspace of a sketch; its dimensions

# Numbers of the points among which components begin: so many are all taken, as those of MNIST, and
# of more than these, fewer, but so many points for each component.
MOST_TO_START, FEWER_TO_START, POINTS_EACH = 2**26, 2**24, 64


def distance_rows(x: torch.Tensor) -> torch.Tensor:
    """Data [n, *shape] as rows [n, D] in the precision in which distances are computed."""
    return x.flatten(1).float() if x[0].numel() >= SINGLE_FROM else wide(x.flatten(1))


def starting_rows(train: Split, k: int) -> torch.Tensor:
    """Points [N, D] among which k components begin, as rows in which distances are computed.

    They are all points, unless those are so many that they would take much memory. Then they are
    evenly spread over all: a start needs few points for each component, and the epochs that follow
    see all of them.
    """
    size = math.prod(train.shape)
    if len(train) * size > MOST_TO_START:
        train = train.spread(max(FEWER_TO_START // size, POINTS_EACH * k))
    return distance_rows(train.values())


def squared_distances(x: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Squared distances [n, K] of points [n, D] to centres [K, D], never below zero."""
    return (x.square().sum(1, keepdim=True) - 2 * x @ centres.T + centres.square().sum(1)).clamp(
        min=0
    )


def squared_lengths(x: torch.Tensor) -> torch.Tensor:
    """The sums of squares [n] of rows [n, D]."""
    return torch.linalg.vector_norm(x, dim=1).square()  # without a copy of x


class NearestCentre:
    """Finds the nearest of centres [K, D], which are relative to the same origin as the points, for
    many parts of them.
    """

    def __init__(self, centres: torch.Tensor, like: torch.Tensor) -> None:
        centres = centres.to(like)
        self.factors, self.squares = -2 * centres, centres.square().sum(1)

    def to(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The nearest centre to each of the points [n, D]: its squared distance [n] less the
        point's own squared length, and its index [n].
        """
        reduced, index = product(x, self.factors).add_(self.squares).min(1)
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


class Sketch:
    """Lower bounds on distances between points x [N, D], from few numbers for each point.

    These are its coordinates in a subspace with most of the variance, and the length of what is
    left of it: two such rests are at least as far apart as their lengths.
    """

    def __init__(self, x: torch.Tensor, lengths: torch.Tensor) -> None:
        sample = x[spread(len(x), SAMPLE)]
        basis = sample[spread(len(sample), DIRECTIONS)].T
        for _ in range(2):  # iterations of a subspace towards the leading principal components
            basis = torch.linalg.qr(sample.T @ (sample @ basis)).Q
        within = torch.cat([product(part, basis.T) for part in in_cache(x, x.shape[1])])
        rest = (lengths - within.square().sum(1)).clamp(min=0).sqrt()
        self.codes, self.lengths = torch.cat([within, rest[:, None]], 1), lengths

    def within(self, least: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """The positions of all points that may be nearer to any of the candidates than `least`
        [N], and of some others.
        """
        products = torch.addmm(self.lengths, self.codes[candidates], self.codes.T, alpha=-2)
        bounds = products.add_(self.lengths[candidates, None])
        return (bounds < least).any(0).nonzero().flatten()


def plus_plus(x: torch.Tensor, k: int, rng: torch.Generator) -> torch.Tensor:
    """The positions [k] of starting centres among points [N, D]: greedy k-means++ (Arthur &
    Vassilvitskii 2007).

    Each next centre is the best of a few candidates, which are drawn with probability proportional
    to their squared distance from the centres so far. If every point is a centre already, points
    are drawn at random.
    """
    x = x - x.mean(0)
    lengths = squared_lengths(x)
    everywhere = torch.arange(len(x), device=x.device)
    many = x.is_cpu and k >= MANY_CENTRES and x.shape[1] >= SINGLE_FROM and len(x) >= SAMPLE
    sketch = Sketch(x, lengths) if many else None

    def reached(rows: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """Squared distances [candidates, rows]."""
        if rows is everywhere:
            products = torch.addmm(lengths, x[candidates], x.T, alpha=-2)
            return products.add_(lengths[candidates, None]).clamp_(min=0)
        parts = [
            torch.addmm(lengths[part], x[candidates], x.index_select(0, part).T, alpha=-2)
            for part in in_cache(rows, x.shape[1])
        ]
        return torch.cat(parts, 1).add_(lengths[candidates, None]).clamp_(min=0)

    trials = 2 + int(math.log(k))
    chosen = [torch.randint(len(x), (1,), generator=rng, device=x.device)]
    least = reached(everywhere, chosen[0]).squeeze(0)
    for _ in range(k - 1):
        signals.check()
        total = wide(least).cumsum(0)
        drawn = torch.rand(trials, generator=rng, device=x.device, dtype=total.dtype)
        if total[-1] > 0:
            candidates = torch.searchsorted(total, drawn * total[-1]).clamp(max=len(x) - 1)
        else:
            candidates = (drawn * len(x)).long()
        rows = everywhere if sketch is None else sketch.within(least, candidates)
        left = torch.minimum(least[rows], reached(rows, candidates))
        best = wide(left).sum(1).argmin()
        chosen.append(candidates[best : best + 1])
        least[rows] = left[best]
    return torch.cat(chosen)


def lloyd(x: torch.Tensor, k: int, rng: torch.Generator, iterations: int) -> torch.Tensor:
    """k centres [k, D] of points [N, D] after some of Lloyd's iterations from k-means++ starts."""
    origin = x.mean(0)
    shifted = distance_rows(x - origin)
    centres = wide(shifted[plus_plus(shifted, k, rng)])
    for _ in range(iterations):
        signals.check()
        nearest = NearestCentre(centres, like=shifted)
        parts = [
            totals(part, nearest.to(part)[1], k) for part in in_cache(shifted, shifted.shape[1])
        ]
        counts = torch.stack([count for count, _ in parts]).sum(0)[:, None]
        sums = torch.stack([total for _, total in parts]).sum(0)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return centres + origin

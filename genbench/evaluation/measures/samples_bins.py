"""Whether samples fall into the same bins as training points: clusters of the latter."""

import math
import warnings
from statistics import NormalDist

import torch

from genbench.evaluation.context import Draw, Evaluation
from genbench.evaluation.registry import SHARE, measure
from genbench.stats import divergences
from genbench.stats.intervals import Measured
from genbench.utils import signals

BINS, LEVEL = 100, 0.05  # how many bins there are, and at what level they are tested
NDB = "Richardson & Weiss 2018, arXiv:1805.12462"


def clustered(e: Evaluation) -> tuple[torch.Tensor, torch.Tensor]:
    """The centres [bins, D] of clusters of training points by their values, and the cluster [n] of
    each.
    """
    points = e.values(e.train)
    bins = min(e.asked.bins or min(BINS, len(points) // 10, len(e.test) // 10), len(points))
    e.need(bins > 1)
    return cluster_points(points, bins)


def binned(e: Evaluation) -> tuple[torch.Tensor, torch.Tensor, int]:
    """The bins of training points [n] and of samples [m], and how many bins there are."""
    centres, mine = e.once(clustered, of_data=True)
    return mine, members(e.values(e.unseen), centres), len(centres)


@measure("sample", group="samples", unit="share of bins", better="lower", source=NDB, within=SHARE)
def ndb(e: Evaluation) -> Measured:
    """Share of the bins, clusters of training points, that hold another share of the samples than
    of the training points at the 5 % level: .05 by chance.

    100 bins (fewer where there are not ten points for each), by k-means on the points' values; or
    the bins and the level that were asked for.
    """
    mine, theirs, bins = e.once(binned)
    level = e.asked.level or LEVEL
    n = {"samples": len(theirs), "train": len(mine), "bins": bins}
    return e.resampled(
        lambda of: different_bins(of(mine), of(theirs), bins, level) / bins,
        n,
        on="train",
        features=e.values.name,
        of="" if level == LEVEL else f"at the level {level:g}",
    )


@measure(
    "sample", group="samples", unit="nats", better="lower", source=NDB, within=(0.0, math.log(2))
)
def bin_divergence(e: Evaluation) -> Measured:
    """Jensen-Shannon divergence between the shares of training points and of samples in the bins of
    `ndb`.

    About (bins - 1) (1 / n + 1 / m) / 8 by chance, for n training points and m samples.
    """
    mine, theirs, bins = e.once(binned)
    n = {"samples": len(theirs), "train": len(mine), "bins": bins}

    def divergence(of: Draw) -> torch.Tensor:
        return divergences.jsd_discrete(
            *(
                torch.bincount(of(some), minlength=bins).double() / len(some)
                for some in (mine, theirs)
            )
        )

    return e.resampled(divergence, n, on="train", features=e.values.name)


def cluster_points(x: torch.Tensor, bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The centres [bins, D] of clusters of points x [n, D], by k-means, and the cluster [n] of
    each.
    """
    from sklearn.cluster import k_means
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    signals.check()
    with (
        warnings.catch_warnings(),
        threadpool_limits(1),
    ):  # several threads add up in an order that varies
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # fewer distinct points than bins, some of which stay empty
        centres, member, _ = k_means(x.numpy(), bins, n_init=1, max_iter=20, random_state=0)
    return torch.as_tensor(centres).double(), torch.as_tensor(member).long()


def members(y: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """The nearest centre [m] of each point y [m, D]."""
    return torch.cat([torch.cdist(part.double(), centres).argmin(1) for part in y.split(1000)])


def different_bins(x: torch.Tensor, y: torch.Tensor, bins: int, level: float = LEVEL) -> int:
    """How many bins hold significantly more or less of y than of x, the bins of points [n] and [m]:
    by a z-test of two proportions.
    """
    z = -NormalDist().inv_cdf(level / 2)  # 1 - level / 2 rounds to 1 at small levels
    (a, n), (b, m) = (
        (torch.bincount(points, minlength=bins).double(), len(points)) for points in (x, y)
    )
    pooled = (a + b) / (n + m)
    spread = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
    return int(((a / n - b / m).abs() > z * spread).sum())

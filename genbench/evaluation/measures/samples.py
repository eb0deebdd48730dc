"""How samples compare with test points, and with the training points that they must not copy."""

from functools import partial
from typing import Any

import torch

from genbench.data.lazy import spread
from genbench.evaluation.context import FEW, Evaluation
from genbench.evaluation.registry import POSITIVE, SHARE, measure
from genbench.stats import kernels, transport
from genbench.stats.intervals import Measured, parts
from genbench.utils.rng import generator

DIRECTIONS = 200  # that points are projected on
MOST_FEATURES = 2048  # whose covariance can be rooted in seconds


def each(n: int) -> dict[str, int]:
    """The sizes of as many samples as test points."""
    return {"samples": n, "test": n}


@measure(
    "sample",
    group="samples",
    unit="squared distance of features",
    better="lower",
    source="Heusel et al. 2017, arXiv:1706.08500",
    headline=True,
    within=POSITIVE,
    only="with at most 2,048 features or test points",
)
def fid(e: Evaluation) -> Measured:
    """Fréchet distance of Gaussians with the moments of the samples' and of the test points'
    features.

    The features are not those of Inception: it compares with no published FID. It is too large for
    few points, the more so the more features there are (Chong & Forsyth 2020). Not of more than
    2,048 features of as many points, whose covariances take long.
    """
    e.need(len(e.test) > 1 and min(e.test_features.shape) <= MOST_FEATURES)
    x, y = e.test_features, e.sample_features
    return e.resampled(
        lambda of: transport.frechet_distance(of(x), of(y)),
        each(len(x)),
        FEW,
        features=e.features.name,
    )


@measure(
    "sample",
    group="samples",
    unit="squared MMD of features",
    better="lower",
    source="Bińkowski et al. 2018, arXiv:1801.01401",
)
def kid(e: Evaluation) -> Measured:
    """Kernel distance of the samples' and the test points' features: squared MMD with the kernel
    (x'y / d + 1)^3.

    Unbiased, so that it may be a little below zero.
    """
    e.need(len(e.test) > 1)
    found = parts(kernels.polynomial_mmd, e.test_features, e.sample_features)
    return found.of(float).measured(each(len(e.test)), features=e.features.name)


PRDC = "Naeem et al. 2020, arXiv:2002.09797"


def by_neighbours(e: Evaluation, name: str) -> Measured:
    """One of the four measures that compare distances to nearest neighbours."""
    return e.neighbours.of(lambda found: found[name]).measured(
        each(len(e.test)), features=e.features.name
    )


@measure(
    "sample",
    group="samples",
    unit="share of samples",
    better="higher",
    source="Kynkäänniemi et al. 2019, arXiv:1904.06991",
    within=SHARE,
)
def precision(e: Evaluation) -> Measured:
    """Share of samples that are nearer to a test point than its 5th neighbour: they look like
    data. No headline, as samples that are all the mean of the data may have 1.
    """
    return by_neighbours(e, "precision")


@measure(
    "sample",
    group="samples",
    unit="share of test points",
    better="higher",
    source="Kynkäänniemi et al. 2019, arXiv:1904.06991",
    within=SHARE,
)
def recall(e: Evaluation) -> Measured:
    """Share of test points nearer to a sample than its 5th neighbour is: how much of the data is
    reached.
    """
    return by_neighbours(e, "recall")


@measure(
    "sample",
    group="samples",
    unit="balls around a sample, over 5",
    better="higher",
    source=PRDC,
    within=POSITIVE,
)
def density(e: Evaluation) -> Measured:
    """Mean number of test points whose 5th neighbour is farther than the sample, over 5: precision
    that outliers of the data raise less. May exceed 1.
    """
    return by_neighbours(e, "density")


@measure(
    "sample",
    group="samples",
    unit="share of test points",
    better="higher",
    source=PRDC,
    headline=True,
    within=SHARE,
)
def coverage(e: Evaluation) -> Measured:
    """Share of test points that have a sample nearer than their 5th neighbour: recall that odd
    samples do not raise.
    """
    return by_neighbours(e, "coverage")


@measure(
    "sample",
    group="samples",
    unit="values",
    better="lower",
    source="Rabin et al. 2012; Bonneel et al. 2015",
    within=POSITIVE,
)
def sliced_wasserstein(e: Evaluation) -> Measured:
    """Sliced 2-Wasserstein distance of samples and test points: the root of the mean square over
    200 directions.
    """
    e.need(len(e.test) > 1)
    return sliced(
        e, e.values(e.x), e.values(e.samples), n=each(len(e.test)), features=e.values.name
    )


def sliced(
    e: Evaluation, x: torch.Tensor, y: torch.Tensor, n: dict[str, int], **more: Any
) -> Measured:
    """The sliced 2-Wasserstein distance of points x and y [n, d] over 200 random directions."""
    directions = torch.randn(
        DIRECTIONS,
        x.shape[1],
        generator=generator(e.model.settings.seed, "card", "directions"),
        dtype=torch.float64,
    )
    directions /= directions.norm(dim=1, keepdim=True)
    found = parts(transport.mean_wasserstein, x.double() @ directions.T, y.double() @ directions.T)
    return found.of(lambda square: float(square) ** 0.5).measured(n, **more)


@measure(
    "sample",
    group="samples",
    unit="squared MMD of values",
    better="lower",
    source="Gretton et al. 2012, JMLR 13:723",
)
def mmd(e: Evaluation, most: int = 5000) -> Measured:
    """Squared maximum mean discrepancy of samples and test points, with a Gaussian kernel as wide
    as the test points' median distance.

    Unbiased, so that it may be a little below zero.
    """
    x, y = (e.values(points[spread(len(points), most)]) for points in (e.x, e.samples))
    e.need(len(x) > 1)
    found = parts(partial(kernels.squared_mmd, bandwidth=kernels.median_distance(x)), x, y)
    return found.of(float).measured(each(len(x)), features=e.values.name)

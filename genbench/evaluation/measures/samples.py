"""How samples compare with test points, and with the training points that they must not copy."""

import math
import warnings
from functools import partial
from statistics import NormalDist
from typing import NamedTuple

import torch

from genbench.data.types import spread
from genbench.evaluation.context import FEW, Evaluation
from genbench.evaluation.registry import POSITIVE, SHARE, measure
from genbench.stats import divergences, kernels, neighbours, transport
from genbench.stats.intervals import Measured, around, parts
from genbench.utils import signals
from genbench.utils.rng import generator

DIRECTIONS, BINS, LEVEL = 200, 100, 0.05
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
    """Fréchet distance of Gaussians with the moments of the samples' and of the test points' features.

    The features are not those of Inception: it compares with no published FID. It is too large for few points, the more
    so the more features there are (Chong & Forsyth 2020). Not of more than 2,048 features of as many points, whose
    covariances take long.
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
    """Kernel distance of the samples' and the test points' features: squared MMD with the kernel (x'y / d + 1)^3.

    Unbiased, so that it may be a little below zero.
    """
    e.need(len(e.test) > 1)
    found = parts(kernels.polynomial_mmd, e.test_features, e.sample_features)
    return found.of(float).measured(each(len(e.test)), features=e.features.name)


PRDC = "Naeem et al. 2020, arXiv:2002.09797"


def by_neighbours(e: Evaluation, name: str) -> Measured:
    """One of the numbers that neighbours tell."""
    return e.neighbours.of(lambda found: found[name]).measured(
        each(len(e.test)), features=e.features.name
    )


@measure(
    "sample",
    group="samples",
    unit="share of samples",
    better="higher",
    source="Kynkäänniemi et al. 2019, arXiv:1904.06991",
    headline=True,
    within=SHARE,
)
def precision(e: Evaluation) -> Measured:
    """Share of samples nearer to a test point than its 5th neighbour is: how many look like data."""
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
    """Share of test points nearer to a sample than its 5th neighbour is: how much of the data is reached."""
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
    """Mean number of test points whose 5th neighbour is farther than the sample, over 5: precision that outliers of the
    data raise less. May exceed 1."""
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
    """Share of test points that have a sample nearer than their 5th neighbour: recall that odd samples do not raise."""
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
    """Sliced 2-Wasserstein distance of samples and test points: the root of the mean square over 200 directions."""
    e.need(len(e.test) > 1)
    return sliced(
        e, e.values(e.x), e.values(e.samples), n=each(len(e.test)), features=e.values.name
    )


def sliced(e: Evaluation, x: torch.Tensor, y: torch.Tensor, n: dict[str, int], **more) -> Measured:
    """The sliced 2-Wasserstein distance of points x and y [n, d] over 200 random directions."""
    directions = torch.randn(
        DIRECTIONS,
        x.shape[1],
        generator=generator(e.model.s.seed, "card", "directions"),
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
    """Squared maximum mean discrepancy of samples and test points, with a Gaussian kernel as wide as the test points'
    median distance.

    Unbiased, so that it may be a little below zero.
    """
    x, y = (e.values(points[spread(len(points), most)]) for points in (e.x, e.samples))
    e.need(len(x) > 1)
    found = parts(partial(kernels.mmd, bandwidth=kernels.median_distance(x)), x, y)
    return found.of(float).measured(each(len(x)), features=e.values.name)


NDB = "Richardson & Weiss 2018, arXiv:1805.12462"


def clustered(e: Evaluation) -> tuple[torch.Tensor, torch.Tensor]:
    """The centres [bins, D] of clusters of training points by their values, and the cluster [n] of each."""
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
    """Share of the bins, clusters of training points, that hold another share of the samples than of the training points
    at the 5 % level: .05 by chance.

    100 bins (fewer where there are not ten points for each), by k-means on the points' values; or the bins and the level
    that were asked for.
    """
    mine, theirs, bins = e.once(binned)
    level = e.asked.level or LEVEL
    n = {"samples": len(theirs), "train": len(mine), "bins": bins}
    more = {
        "on": "train",
        "features": e.values.name,
        "of": "" if level == LEVEL else f"at the level {level:g}",
    }
    return e.resampled(
        lambda of: different_bins(of(mine), of(theirs), bins, level) / bins, n, **more
    )


@measure(
    "sample", group="samples", unit="nats", better="lower", source=NDB, within=(0.0, math.log(2))
)
def bin_divergence(e: Evaluation) -> Measured:
    """Jensen-Shannon divergence between the shares of training points and of samples in the bins of `ndb`.

    About (bins - 1) (1 / n + 1 / m) / 8 by chance, for n training points and m samples.
    """
    mine, theirs, bins = e.once(binned)
    n = {"samples": len(theirs), "train": len(mine), "bins": bins}

    def divergence(of):
        return divergences.jsd_discrete(
            *(
                torch.bincount(of(some), minlength=bins).double() / len(some)
                for some in (mine, theirs)
            )
        )

    return e.resampled(divergence, n, on="train", features=e.values.name)


def cluster_points(x: torch.Tensor, bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The centres [bins, D] of clusters of points x [n, D], by k-means, and the cluster [n] of each."""
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
    """How many bins hold significantly more or less of y than of x, the bins of points [n] and [m]: by a z-test of two
    proportions."""
    z = NormalDist().inv_cdf(1 - level / 2)
    (a, n), (b, m) = (
        (torch.bincount(points, minlength=bins).double(), len(points)) for points in (x, y)
    )
    pooled = (a + b) / (n + m)
    spread = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
    return int(((a / n - b / m).abs() > z * spread).sum())


# --- classes and modes ----------------------------------------------------------------------------------------


def classes(e: Evaluation) -> tuple[torch.Tensor, torch.Tensor]:
    """The classes [n] that the classifier takes test points and samples for, of those that the data have."""
    e.need(e.features.classes > 1)
    return tuple(e.features.predict(points, e.classes) for points in (e.x, e.samples))


def counts(e: Evaluation, found: torch.Tensor) -> torch.Tensor:
    """How many points are of each class [classes]."""
    return torch.bincount(found, minlength=e.features.classes).double()


@measure("sample", group="samples", unit="classes", better="higher", only="on data with labels")
def classes_covered(e: Evaluation) -> Measured:
    """Number of classes, by a classifier, that have at least a tenth of the share of samples that they have of the data."""
    data, samples = (counts(e, found) for found in e.once(classes))
    covered = (data > 0) & (samples / samples.sum() >= 0.1 * data / data.sum())
    return Measured(
        int(covered.sum()),
        each(len(e.test)),
        features=e.features.name,
        total=int((data > 0).sum()),
    )


@measure(
    "sample",
    group="samples",
    unit="nats",
    better="lower",
    source="Santurkar et al. 2018, arXiv:1711.00970",
    within=POSITIVE,
    only="on data with labels",
)
def class_divergence(e: Evaluation) -> Measured:
    """KL divergence of the classes that samples are taken for from those that test points are taken for.

    Half a point is added to each class, so that it is finite.
    """
    x, y = e.once(classes)

    def divergence(of):
        data, samples = (counts(e, of(found)) + 0.5 for found in (x, y))
        return divergences.kl_discrete(samples / samples.sum(), data / data.sum())

    return e.resampled(divergence, each(len(x)), features=e.features.name)


@measure(
    "sample",
    group="samples",
    unit="nats",
    better="lower",
    source="Santurkar et al. 2018, arXiv:1711.00970",
    within=POSITIVE,
    only="on data with labels",
)
def class_imbalance(e: Evaluation) -> Measured:
    """KL divergence of the classes that samples are taken for from all that the data have being as frequent: 0 where they
    are, log K where only one of K is there."""
    x, y = e.once(classes)
    there = counts(e, x) > 0
    y = y[there[y]]
    e.need(len(y) > 0)

    def divergence(of):
        shares = counts(e, of(y))[there] / len(y)
        return divergences.kl_discrete(shares, torch.full_like(shares, 1 / len(shares)))

    return e.resampled(divergence, each(len(x)), features=e.features.name)


@measure("sample", group="samples", unit="share of test points", better="higher")
def classifier_accuracy(e: Evaluation) -> Measured | None:
    """Accuracy on test points of the classifier whose features and classes are used: what they are worth, not the model."""
    e.need(e.features.classes > 1 and e.test.y is not None and not e.real)
    of = "" if e.data.reference.held_out else "points that it was trained on"
    return e.mean(
        e.features.predict(e.x, e.classes) == e.test.y.cpu(), features=e.features.name, of=of
    )


def near_modes(e: Evaluation, n: int = 10_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Of n samples, those [n] within 3 standard deviations of the nearest mode of a known density, and its number [n]."""
    e.need(e.data.density is not None and e.data.density.modes is not None)
    density, samples = (
        e.data.density,
        torch.cat([part.cpu() for part in e.draw(n, "modes")]).double(),
    )
    distance, mode = torch.cdist(samples, density.modes).min(1)
    return distance < 3 * density.scales[mode], mode


@measure(
    "sample",
    group="samples",
    unit="modes",
    better="higher",
    source="Srivastava et al. 2017, arXiv:1705.07761",
    headline=True,
    only="on data whose modes are known",
)
def modes(e: Evaluation) -> Measured:
    """Number of modes of a known density near which, within 3 standard deviations, at least .5 % of the samples lie."""
    near, mode = e.once(near_modes)
    there = len(e.data.density.modes)
    found = torch.bincount(mode[near], minlength=there) >= 0.005 * len(near)
    return Measured(int(found.sum()), {"samples": len(near)}, on="the density", total=there)


@measure(
    "sample",
    group="samples",
    unit="modes",
    better="higher",
    source="Srivastava et al. 2017, arXiv:1705.07761",
    only="on data whose modes are known",
)
def modes_loose(e: Evaluation) -> Measured:
    """Number of modes of a known density near which, within 3 standard deviations, any of 2,500 samples lies, as published."""
    near, mode = (points[:2500] for points in e.once(near_modes))
    return Measured(
        len(mode[near].unique()),
        {"samples": len(near)},
        on="the density",
        total=len(e.data.density.modes),
    )


@measure(
    "sample",
    group="samples",
    unit="share of samples",
    better="higher",
    source="Srivastava et al. 2017, arXiv:1705.07761",
    headline=True,
    only="on data whose modes are known",
)
def high_quality(e: Evaluation) -> Measured:
    """Share of samples within 3 standard deviations of any mode of a known density."""
    near, _ = e.once(near_modes)
    return e.mean(near, on="the density", n={"samples": len(near)})


# --- memory ---------------------------------------------------------------------------------------------------


class InTraining(NamedTuple):
    """Test points and samples as rows of values, each with the nearest training point."""

    test: torch.Tensor
    samples: torch.Tensor
    nearest: neighbours.Nearest  # of the test points, then of the samples


def in_training(e: Evaluation, most: int = 2000) -> InTraining:
    """The nearest training points of test points and of samples, at most so many of each."""
    e.need(not e.real)  # training points are their own nearest
    fresh, generated = (e.values(points[spread(len(points), most)]) for points in (e.x, e.samples))
    nearest = neighbours.Nearest(torch.cat([fresh, generated]))
    for x, _ in e.data.train.batches(1000):
        nearest.see(e.values(x.cpu()))
    return InTraining(fresh, generated, nearest)


@measure(
    "sample",
    group="samples",
    unit="ratio of distances",
    source="defined here, after Meehan et al. 2020",
    within=POSITIVE,
)
def memorisation(e: Evaluation) -> Measured:
    """Median distance of samples to the nearest training point, over that of test points.

    Near 1 samples are as new as unseen data; near 0 they are copies; far above 1 they are far from all data. Distances are
    between values, of all training points. Blurred samples are near to everything; noise hides copies: see `copied`.
    """
    found = e.once(in_training)
    usual, ours = found.nearest.distance.split([len(found.test), len(found.samples)])
    e.need(float(usual.median()) > 0)
    n = {"samples": len(ours), "test": len(usual), "train": len(e.data.train)}
    return e.resampled(
        lambda of: of(ours).median() / of(usual).median(), n, on="train", features=e.values.name
    )


@measure(
    "sample",
    group="samples",
    unit="share of samples",
    better="lower",
    source="defined here, after Jiralerspong et al. 2023, arXiv:2302.04440",
    headline=True,
    within=(-math.inf, 1.0),
)
def copied(e: Evaluation) -> Measured:
    """Share of samples that are tied to one training point, as copies are, with or without noise: by how much more often
    than by chance the nearest of all data, test points and training points, is a training point.

    1 of copies; about 0, or below, of samples that owe no more to training points than test points do.
    """
    found, train = e.once(in_training), len(e.data.train)
    test, n = len(e.x), len(found.samples)
    fresh = neighbours.Nearest(found.samples).see(e.values(e.x))
    seen, index = (some[len(found.test) :] for some in (found.nearest.square, found.nearest.index))
    of_test = (fresh.square < seen).double() + (fresh.square == seen).double() / 2
    # A share of the samples belongs to each point of the data. Were training and test points drawn from all of these
    # by lot, as of a model that knows neither, the sum over the latter would be hypergeometric in mean and variance.
    shares = torch.zeros(test + train, dtype=torch.float64)
    shares.index_add_(0, fresh.index, of_test / n).index_add_(0, test + index, (1 - of_test) / n)
    expected = test / (test + train)
    error = float((test * (1 - expected) * shares.var()).sqrt()) / expected
    more = {"on": "train", "features": e.values.name}
    value = 1 - float(shares[:test].sum()) / expected
    return around(value, error, n, {"samples": n, "test": test, "train": train}, more)

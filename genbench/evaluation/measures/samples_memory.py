"""Whether samples copy training points."""

import math
from typing import NamedTuple

import torch

from genbench.data.lazy import spread
from genbench.evaluation.context import Evaluation
from genbench.evaluation.registry import POSITIVE, measure
from genbench.stats import neighbours
from genbench.stats.intervals import Measured, around


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

    Near 1 samples are as new as unseen data; near 0 they are copies; far above 1 they are far from
    all data. Distances are between values, of all training points. Blurred samples are near to
    everything; noise hides copies: see `copied`.
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
    """Share of samples that are tied to one training point, as copies are, with or without noise:
    by how much more often than by chance the nearest of all data, test points and training
    points, is a training point.

    1 of copies; about 0, or below, of samples that owe no more to training points than test points
    do.
    """
    found, train = e.once(in_training), len(e.data.train)
    test, n = len(e.x), len(found.samples)
    fresh = neighbours.Nearest(found.samples).see(e.values(e.x))
    seen, index = (some[len(found.test) :] for some in (found.nearest.square, found.nearest.index))
    of_test = (fresh.square < seen).double() + (fresh.square == seen).double() / 2
    # A share of the samples belongs to each point of the data. Were training and test points drawn
    # from all of these by lot, as for a model that knows neither, the sum over the latter would be
    # hypergeometric in mean and variance.
    shares = torch.zeros(test + train, dtype=torch.float64)
    shares.index_add_(0, fresh.index, of_test / n).index_add_(0, test + index, (1 - of_test) / n)
    expected = test / (test + train)
    error = float((test * (1 - expected) * shares.var()).sqrt()) / expected
    more = {"on": "train", "features": e.values.name}
    value = 1 - float(shares[:test].sum()) / expected
    return around(value, error, n, {"samples": n, "test": test, "train": train}, more)

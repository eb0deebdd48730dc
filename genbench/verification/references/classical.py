"""What scikit-learn computes for clusterings, mixtures and kernel density estimates.

Each function takes the runs of one seed in the order of their recipe, and returns what was
measured, or a pair (measured, expected). Except for the value to be checked, nothing uses a model's
own arithmetic; all is in double precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.settings.classical import ComponentSettings
from genbench.verification.references.linear import training_points

if TYPE_CHECKING:
    from genbench.trained import Trained


def continued_inertia(runs: list[Trained]) -> tuple[float, float]:
    """The inertia of the second run, and scikit-learn's from the centres that the first run
    reached, on training points.
    """
    from sklearn.cluster import k_means

    first, last = runs
    x, k = training_points(first), cluster_count(first)
    _, _, inertia = k_means(
        x,
        k,
        init=first.decode(np.arange(k)).flatten(1).double().numpy(),
        n_init=1,
        max_iter=1000,
        tol=0,
    )
    return last.metrics["train"]["inertia"], inertia / len(x)


def limit_of_mixtures(runs: list[Trained]) -> tuple[float, float]:
    """The inertia that EM reaches for a mixture of N(mu_k, sigma^2 I) with weights 1/K, where sigma
    is a thousandth of the distances, and that of k-means; both from the centres that the first run
    reached.

    The mixture is one of genbench's, whose means alone are moved. Infinite if any training point is
    in another cluster than k-means has it in.
    """
    import torch

    from genbench.models.diagonal_covariances import Spherical

    first, last = runs
    k = cluster_count(first)
    x = torch.from_numpy(training_points(first))
    means = first.decode(np.arange(k)).flatten(1).double()
    sigma = 1e-3 * (last.metrics["train"]["inertia"] / x.shape[1]) ** 0.5
    width = torch.full((k, 1), sigma, dtype=x.dtype)
    weights = torch.full((k,), 1 / k, dtype=x.dtype)
    is_moving = True
    while is_moving:
        mixture = Spherical(weights.log(), means, width, reg_covar=0.0)
        prepared = mixture.prepared(x)
        responsibilities = mixture.joint_of(prepared).softmax(1)
        sums = mixture.moments(prepared, responsibilities)
        shifts = sums["shifts"] / sums["counts"][:, None]
        means, is_moving = means + shifts, bool(shifts.abs().max() > 1e-9 * sigma)
    theirs = last.encode(last.data.train.values())
    if not torch.equal(responsibilities.argmax(1), torch.as_tensor(theirs)):
        return np.inf, last.metrics["train"]["inertia"]
    inertia = (x[:, None] - means).square().sum(2).amin(1).mean()
    return float(inertia), last.metrics["train"]["inertia"]


def inertia_ratio(runs: list[Trained]) -> float:
    """The inertia of the training points, as a multiple of the best of scikit-learn's from 20
    starts.
    """
    from sklearn.cluster import k_means

    (run,) = runs
    x = training_points(run)
    _, _, inertia = k_means(x, cluster_count(run), n_init=20, max_iter=1000, tol=0, random_state=0)
    return run.metrics["train"]["inertia"] / (inertia / len(x))


def cluster_count(run: Trained) -> int:
    """How many clusters a clustering has."""
    settings = run.model.settings
    assert isinstance(settings, ComponentSettings)
    return settings.n_components


def mixture_score_gap(runs: list[Trained]) -> float:
    """How far a Gaussian mixture's mean log density of test points is from scikit-learn's with the
    same parameters.

    As a share of it; the largest of the runs, which differ in the form of their covariances.
    """
    from sklearn.mixture import GaussianMixture

    gaps = []
    for run in runs:
        model: Any = run.model
        form = model.settings.covariance
        weights, means, covariances = (
            getattr(model.mixture, name).cpu().numpy()
            for name in ("weights", "means", "covariances")
        )
        theirs = GaussianMixture(len(weights), covariance_type=form)
        theirs.weights_, theirs.means_ = weights, means
        if form in ("diag", "spherical"):
            theirs.precisions_cholesky_ = (
                covariances.reshape(means.shape if form == "diag" else weights.shape) ** -0.5
            )
        else:
            theirs.precisions_cholesky_ = np.swapaxes(
                np.linalg.inv(np.linalg.cholesky(covariances)), -1, -2
            )
        x = run.data.splits["test"].values()
        score = theirs.score(x.flatten(1).double().cpu().numpy())
        gaps.append(abs(float(run.log_prob(x).double().mean()) - score) / abs(score))
    return max(gaps)


def kernel_density(runs: list[Trained]) -> tuple[float, float]:
    """The mean log density of up to 2,000 test points, and scikit-learn's with the same bandwidth.

    A single leaf has scikit-learn add up all kernels, one by one, which is why no more points are
    compared: with its usual leaves, far from all points, it is off by any factor.
    """
    from sklearn.neighbors import KernelDensity

    (run,) = runs
    x = run.data.splits["test"].spread(2000).values()
    points = training_points(run)
    model: Any = run.model
    theirs = KernelDensity(bandwidth=float(model.bandwidth), leaf_size=len(points)).fit(points)
    return float(run.log_prob(x).double().mean()), float(
        theirs.score_samples(x.flatten(1).double().numpy()).mean()
    )


def last_objective(runs: list[Trained]) -> tuple[float, float]:
    """The objective on the training data of the second run, and of the first."""
    first, second = (run.metrics["train"][run.model.criterion] for run in runs)
    return second, first

"""What recipes compare with: exact values by NumPy, SciPy and scikit-learn, from the data and the parameters that were fitted.

Each takes the runs of one seed in the order of their recipe and returns a number, or a pair (ours, expected). Nothing here
uses a model's own arithmetic, but for the answer that is to be checked; all is in double precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .experiment import Trained

Array = np.ndarray


def projection_error(runs: list[Trained]) -> tuple[float, float]:
    """The squared error of a training point as measured, and the least one of codes of this dimension.

    That is what the singular values leave out (Eckart & Young 1936, doi:10.1007/BF02288367).
    """
    (run,) = runs
    x = _points(run)
    singular = np.linalg.svd(x - x.mean(0), compute_uv=False)
    return run.metrics["train"]["squared_error"], float(np.square(singular[run.model.latent_dim :]).sum() / len(x))


def subspace_angle(runs: list[Trained]) -> float:
    """The largest principal angle, in degrees, between what a linear decoder spans and the data's principal directions."""
    from scipy.linalg import subspace_angles

    (run,) = runs
    weights, _ = _affine_decoder(run)
    _, vectors = np.linalg.eigh(np.cov(_points(run).T))
    return float(np.rad2deg(subspace_angles(weights, vectors[:, -run.model.latent_dim :]).max()))


def log_density(runs: list[Trained]) -> tuple[float, float]:
    """The mean log density of the training points, and the highest of a Gaussian N(m, W W' + s2 I) with W of the codes' rank."""
    (run,) = runs
    return float(run.log_prob(run.data.train.values()).double().mean()), _highest_log_density(_points(run), run.model.latent_dim)


def linear_bound(runs: list[Trained]) -> tuple[float, float]:
    """A linear VAE's bound or its exact log-likelihood, whichever is further from the highest log-likelihood, and that.

    Means over the training points. With decoder N(Wz + b, s2 I) the data are N(b, W W' + s2 I), and the bound has a
    closed form, so nothing is drawn. At their best all three are equal (Lucas et al. 2019, arXiv:1911.02469, section 4).
    """
    (run,) = runs
    x = _points(run)
    weights, offset = _affine_decoder(run)
    exact = _log_density(x, offset, weights, _noise(run))
    highest = _highest_log_density(x, run.model.latent_dim)
    return max(_closed_bound(run), exact, key=lambda ours: abs(ours - highest)), highest


def estimated_bound(runs: list[Trained]) -> tuple[float, float]:
    """The ELBO of the training points as a run estimates it, from a draw for each, and its closed form; of a linear VAE."""
    (run,) = runs
    return -run.metrics["train"]["negative_elbo"], _closed_bound(run)


def continued_inertia(runs: list[Trained]) -> tuple[float, float]:
    """The inertia of the second run, and scikit-learn's from the centres that the first run reached, on training points."""
    from sklearn.cluster import k_means

    first, last = runs
    x, k = _points(first), first.model.s.n_components
    _, _, inertia = k_means(x, k, init=first.decode(np.arange(k)).flatten(1).double().numpy(), n_init=1, max_iter=1000, tol=0)
    return last.metrics["train"]["inertia"], inertia / len(x)


def inertia_ratio(runs: list[Trained]) -> float:
    """The inertia of the training points, as a multiple of the best of scikit-learn's from 20 starts."""
    from sklearn.cluster import k_means

    (run,) = runs
    x = _points(run)
    _, _, inertia = k_means(x, run.model.s.n_components, n_init=20, max_iter=1000, tol=0, random_state=0)
    return run.metrics["train"]["inertia"] / (inertia / len(x))


def mixture_score_gap(runs: list[Trained]) -> float:
    """How far a Gaussian mixture's mean log density of test points is from scikit-learn's with the same parameters.

    As a share of it; the largest of the runs, which differ in the form of their covariances.
    """
    from sklearn.mixture import GaussianMixture

    gaps = []
    for run in runs:
        model, form = run.model, run.model.s.covariance
        weights, means, covariances = (getattr(model, name)[model.best].cpu().numpy() for name in ("weights", "means", "covariances"))
        theirs = GaussianMixture(len(weights), covariance_type=form)
        theirs.weights_, theirs.means_ = weights, means
        if form in ("diag", "spherical"):
            theirs.precisions_cholesky_ = covariances.reshape(means.shape if form == "diag" else weights.shape) ** -0.5
        else:
            theirs.precisions_cholesky_ = np.swapaxes(np.linalg.inv(np.linalg.cholesky(covariances)), -1, -2)
        x = run.data.parts["test"].values()
        score = theirs.score(x.flatten(1).double().cpu().numpy())
        gaps.append(abs(float(run.log_prob(x).double().mean()) - score) / abs(score))
    return max(gaps)


def _points(run: Trained) -> Array:
    """The training points as rows [n, D]."""
    return run.data.train.values().flatten(1).double().cpu().numpy()


def _affine_decoder(run: Trained) -> tuple[Array, Array]:
    """W [D, d] and b [D] of a decoder that is Wz + b, from its answers at zero and at the unit vectors."""
    d = run.model.latent_dim
    x = run.decode(np.concatenate([np.zeros((1, d)), np.eye(d)])).flatten(1).double().numpy()
    return (x[1:] - x[0]).T, x[0]


def _noise(run: Trained) -> float:
    """s2, the variance of a Gaussian likelihood."""
    return run.model.likelihood.sigma.item() ** 2


def _log_density(x: Array, mean: Array, weights: Array, s2: float) -> float:
    """The mean log density of points x [n, D] under N(mean, C) with C = W W' + s2 I, of W [D, d].

    Tipping & Bishop 1999, equation 4: of x, only the second moments around the mean matter.
    """
    covariance, centred = weights @ weights.T + s2 * np.eye(len(mean)), x - mean
    distance = np.trace(np.linalg.solve(covariance, centred.T @ centred / len(x)))
    return float(-0.5 * (len(mean) * np.log(2 * np.pi) + np.linalg.slogdet(covariance).logabsdet + distance))


def _highest_log_density(x: Array, d: int) -> float:
    """The highest mean log density of points x [n, D] under N(m, W W' + s2 I) with W of rank d.

    Tipping & Bishop 1999, equations 7 and 8.
    """
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    s2 = values[:-d].mean()
    return _log_density(x, x.mean(0), vectors[:, -d:] * np.sqrt(values[-d:] - s2), s2)


def _closed_bound(run: Trained) -> float:
    """The mean ELBO of the training points, in closed form for a decoder N(Wz + b, s2 I), with the encoder's q(z|x)."""
    import torch

    x, (weights, offset), s2 = _points(run), _affine_decoder(run), _noise(run)
    with torch.no_grad():
        mean, logvar = (part.double().cpu().numpy() for part in run.model.encoder(run.data.train.values()).chunk(2, -1))
    variance = np.exp(logvar)
    error = np.square(x - offset - mean @ weights.T).sum(1) + variance @ np.square(weights).sum(0)
    fit = -0.5 * (error / s2 + len(offset) * np.log(2 * np.pi * s2))
    divergence = 0.5 * (variance + mean**2 - 1 - logvar).sum(1)
    return float((fit - divergence).mean())

"""Exact values for linear models: PCA, linear autoencoders and linear VAEs.

Each function takes the runs of one seed in the order of their recipe, and returns what was
measured, or a pair (measured, expected). Except for the value to be checked, nothing uses a model's
own arithmetic; all is in double precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from genbench.trained import Trained

Array = np.ndarray


def projection_error(runs: list[Trained]) -> tuple[float, float]:
    """The squared error of a training point as measured, and the least one of codes of this
    dimension.

    That is what the singular values leave out (Eckart & Young 1936, doi:10.1007/BF02288367).
    """
    (run,) = runs
    x = training_points(run)
    singular = np.linalg.svd(x - x.mean(0), compute_uv=False)
    return run.metrics["train"]["squared_error"], float(
        np.square(singular[codes_dimension(run) :]).sum() / len(x)
    )


def subspace_angle(runs: list[Trained]) -> float:
    """The largest principal angle, in degrees, between what a linear decoder spans and the data's
    principal directions.
    """
    from scipy.linalg import subspace_angles

    (run,) = runs
    weights, _ = affine_decoder(run)
    _, vectors = np.linalg.eigh(np.cov(training_points(run).T))
    return float(np.rad2deg(subspace_angles(weights, vectors[:, -codes_dimension(run) :]).max()))


def log_density(runs: list[Trained]) -> tuple[float, float]:
    """The mean log density of the training points, and the highest of a Gaussian N(m, W W' + s2 I)
    with W of the codes' rank.
    """
    (run,) = runs
    return float(run.log_prob(run.data.train.values()).double().mean()), highest_log_density(
        training_points(run), codes_dimension(run)
    )


def linear_bound(runs: list[Trained]) -> tuple[float, float]:
    """A linear VAE's bound or its exact log-likelihood, whichever is further from the highest
    log-likelihood, and that.

    Means over the training points. With decoder N(Wz + b, s2 I) the data are N(b, W W' + s2 I), and
    the bound has a closed form, so nothing is drawn. At their best all three are equal (Lucas et
    al. 2019, arXiv:1911.02469, section 4).
    """
    (run,) = runs
    x = training_points(run)
    weights, offset = affine_decoder(run)
    exact = gaussian_log_density(x, offset, weights, noise_variance(run))
    highest = highest_log_density(x, codes_dimension(run))
    return max(closed_bound(run), exact, key=lambda ours: abs(ours - highest)), highest


def estimated_bound(runs: list[Trained]) -> tuple[float, float]:
    """The ELBO of the training points as a run estimates it, from a draw for each, and its closed
    form; of a linear VAE.
    """
    (run,) = runs
    return -run.metrics["train"]["negative_elbo"], closed_bound(run)


def importance_bound(runs: list[Trained]) -> tuple[float, float]:
    """The importance-weighted bound with 5,000 draws on 200 test points of a linear VAE, and their
    exact log-likelihood.
    """
    import torch

    (run,) = runs
    x = run.data.splits["test"].values(slice(200))
    with torch.no_grad():
        ours = float(run.model.log_prob(x, 5000).mean())
    weights, offset = affine_decoder(run)
    return ours, gaussian_log_density(
        x.flatten(1).double().numpy(), offset, weights, noise_variance(run)
    )


def training_points(run: Trained) -> Array:
    """The training points as rows [n, D]."""
    return run.data.train.values().flatten(1).double().cpu().numpy()


def codes_dimension(run: Trained) -> int:
    """The dimension of the codes, which every model of these recipes has."""
    dimension = run.model.latent_dim
    assert dimension is not None
    return dimension


def affine_decoder(run: Trained) -> tuple[Array, Array]:
    """W [D, d] and b [D] of a decoder that is Wz + b, from its answers at zero and at the unit
    vectors.
    """
    d = codes_dimension(run)
    x = run.decode(np.concatenate([np.zeros((1, d)), np.eye(d)])).flatten(1).double().numpy()
    return (x[1:] - x[0]).T, x[0]


def noise_variance(run: Trained) -> float:
    """s2, the variance of a Gaussian likelihood."""
    model: Any = run.model
    return model.likelihood.sigma.item() ** 2


def gaussian_log_density(x: Array, mean: Array, weights: Array, s2: float) -> float:
    """The mean log density of points x [n, D] under N(mean, C) with C = W W' + s2 I, of W [D, d].

    Tipping & Bishop 1999, equation 4: of x, only the second moments around the mean matter.
    """
    covariance, centred = weights @ weights.T + s2 * np.eye(len(mean)), x - mean
    distance = np.trace(np.linalg.solve(covariance, centred.T @ centred / len(x)))
    return float(
        -0.5 * (len(mean) * np.log(2 * np.pi) + np.linalg.slogdet(covariance).logabsdet + distance)
    )


def highest_log_density(x: Array, d: int) -> float:
    """The highest mean log density of points x [n, D] under N(m, W W' + s2 I) with W of rank d.

    Tipping & Bishop 1999, equations 7 and 8.
    """
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    s2 = values[:-d].mean()
    return gaussian_log_density(x, x.mean(0), vectors[:, -d:] * np.sqrt(values[-d:] - s2), s2)


def closed_bound(run: Trained) -> float:
    """The mean ELBO of the training points, in closed form for a decoder N(Wz + b, s2 I), with the
    encoder's q(z|x).
    """
    import torch

    model: Any = run.model
    x, (weights, offset), s2 = training_points(run), affine_decoder(run), noise_variance(run)
    with torch.no_grad():
        mean, logvar = (
            part.double().cpu().numpy()
            for part in model.encoder(run.data.train.values()).chunk(2, -1)
        )
    variance = np.exp(logvar)
    error = np.square(x - offset - mean @ weights.T).sum(1) + variance @ np.square(weights).sum(0)
    fit = -0.5 * (error / s2 + len(offset) * np.log(2 * np.pi * s2))
    divergence = 0.5 * (variance + mean**2 - 1 - logvar).sum(1)
    return float((fit - divergence).mean())

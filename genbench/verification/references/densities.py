"""Exact values for data that are drawn from a known density.

Each function takes the runs of one seed in the order of their recipe, and returns what was
measured, or a pair (measured, expected). Except for the value to be checked, nothing uses a model's
own arithmetic; all is in double precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.settings.autoencoders import DAESettings
from genbench.verification.references.linear import Array

if TYPE_CHECKING:
    from genbench.trained import Trained


def score_cosine(runs: list[Trained]) -> float:
    """The mean cosine between a model's score and the exact one of the smoothed density, at 20,000
    points drawn from it.
    """
    (run,) = runs
    ours, exact = _scores(run)
    return float(
        (
            np.sum(ours * exact, 1) / (np.linalg.norm(ours, axis=1) * np.linalg.norm(exact, axis=1))
        ).mean()
    )


def score_error(runs: list[Trained]) -> float:
    """The root mean squared error of a model's score, relative to the root mean square of the exact
    one, at such points.
    """
    (run,) = runs
    ours, exact = _scores(run)
    return float(np.sqrt(np.square(ours - exact).sum() / np.square(exact).sum()))


def share_near_modes(runs: list[Trained]) -> float:
    """The share of 10,000 samples within 3 sqrt(sigma^2 + sigma_noise^2) of a mode; zero if a mode
    has none of them.
    """
    (run,) = runs
    density: Any = run.data.density
    x = run.sample(10_000, seed=0).double().numpy()
    distance = np.linalg.norm(x[:, None] - density.means.numpy(), axis=2)
    mode, reach = distance.argmin(1), 3 * np.hypot(density.scales.numpy(), corruption_level(run))
    near = distance.min(1) < reach[mode]
    return float(near.mean()) if len(np.unique(mode[near])) == len(reach) else 0.0


def corruption_level(run: Trained) -> float:
    """The standard deviation of the noise that a denoising autoencoder was trained on."""
    settings = run.model.settings
    assert isinstance(settings, DAESettings)
    return settings.level


def jensen_shannon(runs: list[Trained]) -> tuple[float, float]:
    """A discriminator's bound on the Jensen-Shannon divergence between the data's density and N(0,
    I), on test data, and that divergence by the midpoint rule; of the run in which they are
    furthest apart.
    """
    from scipy.stats import multivariate_normal

    found = []
    for run in runs:
        density: Any = run.data.density
        d = run.data.spec.size
        side = (np.arange(1200) + 0.5) / 1200 * 24 - 12
        grid = np.stack(np.meshgrid(*[side] * d), -1).reshape(-1, d)
        means, scales, weights = (
            density.means.numpy(),
            density.scales.numpy(),
            density.weights.numpy(),
        )
        p = sum(
            w * multivariate_normal(m, s**2 * np.eye(d)).pdf(grid)
            for m, s, w in zip(means, scales, weights)
        )
        q = multivariate_normal(np.zeros(d), np.eye(d)).pdf(grid)
        mixed = (p + q) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = [np.where(a > 0, a * np.log(a / mixed), 0) for a in (p, q)]
            gap = np.sum(terms[0] + terms[1]) / 2
        found.append((run.metrics["test"]["jsd_bound"], float(gap * (24 / 1200) ** d)))
    return max(found, key=lambda pair: abs(pair[0] - pair[1]))


def earth_mover(runs: list[Trained]) -> tuple[float, float]:
    """A critic's estimate of the Wasserstein-1 distance between N(m, I) and N(0, I), on test data,
    and that distance, |m|; of the run in which they are furthest apart.
    """
    pairs: list[tuple[float, float]] = []
    for run in runs:
        density: Any = run.data.density
        distance = float(np.linalg.norm(density.means.numpy()))
        pairs.append((run.metrics["test"]["wasserstein"], distance))
    return max(pairs, key=lambda pair: abs(pair[0] / pair[1] - 1))


def _scores(run: Trained) -> tuple[Array, Array]:
    """A model's score, and grad log of the data's density with its corruption, a mixture of
    Gaussians of variance sigma^2 + sigma_noise^2, both [n, D] at points drawn from the latter.
    """
    density: Any = run.data.density
    rng = np.random.default_rng(0)
    means, weights = density.means.numpy(), density.weights.numpy()
    variances = density.scales.numpy() ** 2 + corruption_level(run) ** 2
    k = rng.choice(len(means), 20_000, p=weights)
    x = (
        means[k] + np.sqrt(variances[k])[:, None] * rng.standard_normal((len(k), means.shape[1]))
    ).astype(np.float32)
    centred = x[:, None] - means
    joint = np.log(weights) - 0.5 * (
        np.square(centred).sum(2) / variances + means.shape[1] * np.log(variances)
    )
    share = np.exp(joint - joint.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    return run.score(x).double().numpy(), -((share / variances)[:, :, None] * centred).sum(1)

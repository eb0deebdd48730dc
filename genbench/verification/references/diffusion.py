"""Exact values for diffusion models and flows of data whose density is known.

Each function takes the runs of one seed, and returns what was measured. The density of noised data
is again a mixture of Gaussians, so the best prediction and the score are known; they are computed
here anew, in double precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.verification.references.linear import Array

if TYPE_CHECKING:
    from genbench.trained import Trained

DRAWS = 50_000  # of a point, a time and noise
COMPARED_AT = (0.05, 0.2, 0.4, 0.6, 0.9)  # as shares of the last time, where scores are compared
PAIRED = 4096  # samples and test points, for distances between them


def excess_over_least_loss(runs: list[Trained]) -> float:
    """By what share the loss of a model, on draws that it was not trained on, is above the least
    possible one on the same draws; that of the run where it is most.

    ValueError for a loss that is below the least possible one by more than a standard error.
    """
    return max(_excess(run) for run in runs)


def least_score_cosine(runs: list[Trained]) -> float:
    """The mean cosine of a model's score and the exact one at points drawn from the noised density,
    at the worst of five times, of the worst run.
    """
    return min(_score_cosine(run, share) for run in runs for share in COMPARED_AT)


def squared_transport_cost(runs: list[Trained]) -> float:
    """The squared 2-Wasserstein distance of 4,096 samples and as many test points, by the best
    pairing.
    """
    (run,) = runs
    return _squared_transport_cost(run)


def squared_transport_cost_of_one_step(runs: list[Trained]) -> float:
    """The same of samples by a single one of Euler's steps."""
    (run,) = runs
    return _squared_transport_cost(run, sampler="euler", sampling_steps=1)


def _squared_transport_cost(run: Trained, **sampling: Any) -> float:
    from scipy.optimize import linear_sum_assignment

    x = run.data.splits["test"].spread(PAIRED).values().double().numpy()
    y = run.sample(len(x), seed=0, **sampling).double().numpy()
    cost = np.square(x[:, None] - y).sum(2)
    return float(cost[linear_sum_assignment(cost)].mean())


def modes_with_good_samples(runs: list[Trained]) -> float:
    """The share of 10,000 samples within three standard deviations of a mode, if every mode has
    one, or 0.
    """
    (run,) = runs
    density: Any = run.data.density
    x, means = run.sample(10_000, seed=0).double().numpy(), density.means.double().numpy()
    distances = np.linalg.norm(x[:, None] - means, axis=2)
    mode = distances.argmin(1)
    good = distances.min(1) < 3 * density.scales.double().numpy()[mode]
    return float(good.mean()) if len({*mode[good]}) == len(means) else 0.0


def _excess(run: Trained) -> float:
    loss, least = _losses(run)
    gap = loss - least
    error = gap.std() / len(gap) ** 0.5
    if gap.mean() < -error:
        what = f"loss of {loss.mean():.6g} is below the least possible one, {least.mean():.6g}"
        raise ValueError(f"{what}, by more than its standard error, {error:.2g}")
    return float(loss.mean() / least.mean() - 1)


def _score_cosine(run: Trained, share: float) -> float:
    model, rng = _diffusion(run), np.random.default_rng(0)
    t = share * model.path.last
    x, x_t, alpha, sigma = _noised(run, rng, np.full(20_000, t))
    exact = (alpha * _posterior_mean(run, x_t, alpha, sigma) - x_t) / sigma**2
    ours = _score(model, x_t, t)
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(exact, axis=1)
    return float((np.sum(ours * exact, 1) / norms).mean())


def _diffusion(run: Trained) -> Any:
    return run.model


def _standard_density(run: Trained) -> tuple[Array, Array, Array]:
    """The means [K, D], scales [K] and weights [K] of the data as the network sees them."""
    density: Any = run.data.density
    model = _diffusion(run)
    mean, deviation = float(model.mean), float(model.deviation)
    means = (density.means.double().numpy() - mean) / deviation
    weights = density.weights.double().numpy()  # of single precision, as the data were drawn
    scales = density.scales.double().numpy() / deviation
    return means, scales, weights / weights.sum()


def _noised(run: Trained, rng: np.random.Generator, t: Array) -> tuple[Array, Array, Array, Array]:
    """Standardized points drawn from the density, the same with noise of times t [n], and the
    path's alpha and sigma [n, 1].
    """
    import torch

    means, scales, weights = _standard_density(run)
    k = rng.choice(len(means), len(t), p=weights)
    x = means[k] + scales[k, None] * rng.standard_normal((len(t), means.shape[1]))
    at = _diffusion(run).path.at(torch.from_numpy(t).double())
    alpha, sigma = at.alpha.numpy()[:, None], at.sigma.numpy()[:, None]
    return x, alpha * x + sigma * rng.standard_normal(x.shape), alpha, sigma


def _posterior_mean(run: Trained, x_t: Array, alpha: Array, sigma: Array) -> Array:
    """E[x | x_t] [n, D] under the density."""
    means, scales, weights = _standard_density(run)
    variances = alpha**2 * scales**2 + sigma**2  # [n, K]
    centred = x_t[:, None] - alpha[:, :, None] * means
    squares = np.square(centred).sum(2) / variances
    joint = np.log(weights) - (squares + means.shape[1] * np.log(variances)) / 2
    shares = np.exp(joint - joint.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    gain = alpha * scales**2 / variances
    return (shares[:, :, None] * (means + gain[:, :, None] * centred)).sum(1)


def _losses(run: Trained) -> tuple[Array, Array]:
    """The weighted squared errors [n] of the model and of the best prediction, on equal draws."""
    import torch

    model, rng = _diffusion(run), np.random.default_rng(0)
    noise = model.draw_noise("model", DRAWS, torch.Generator().manual_seed(0))
    x, x_t, alpha, sigma = _noised(run, rng, noise["t"].double().numpy())
    at = model.path.at(noise["t"])
    with torch.no_grad():
        found = model.process.denoise(torch.from_numpy(x_t).float(), noise["t"])
    weights = 1 / np.square(model.prediction.gain(at).numpy())
    ours = np.square(found.x.double().numpy() - x).sum(1)
    least = np.square(_posterior_mean(run, x_t, alpha, sigma) - x).sum(1)
    return weights * ours, weights * least


def _score(model: Any, x_t: Array, t: float) -> Array:
    import torch

    with torch.no_grad():
        found = model.process.score(torch.from_numpy(x_t).float(), t)
    return found.double().numpy()

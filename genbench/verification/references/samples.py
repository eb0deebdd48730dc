"""Published measures of samples and of likelihoods: coverage, Parzen windows, importance-weighted
bounds.

Each function takes the runs of one seed in the order of their recipe, and returns what was
measured, or a pair (measured, expected). Except for the value to be checked, nothing uses a model's
own arithmetic; all is in double precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.verification.references.linear import Array

if TYPE_CHECKING:
    import torch

    from genbench.trained import Trained


def bound_200(runs: list[Trained]) -> float:
    """The mean importance-weighted bound with 200 draws on log p(x) of all test points."""
    (run,) = runs
    return _bound(run, 200)


def bound_5000(runs: list[Trained]) -> float:
    """The same with 5,000 draws."""
    (run,) = runs
    return _bound(run, 5000)


def gain_in_bound(runs: list[Trained]) -> float:
    """By how much the mean bound with 200 draws of the last run exceeds that of the first; nats."""
    return _bound(runs[-1], 200) - _bound(runs[0], 200)


def _bound(run: Trained, draws: int) -> float:
    import torch

    with torch.no_grad():
        parts = [
            run.model.log_prob(batch.x, draws).double().sum()
            for batch in run.data.splits["test"].batches(1000)
        ]
    return float(torch.stack(parts).sum()) / len(run.data.splits["test"])


def gaussian_of_logits(runs: list[Trained]) -> float:
    """The mean log density of the test points' logits under the likeliest Gaussian of those of the
    training points; nats. The density is that of logit(1e-6 + (1 - 2e-6) x), not of x.
    """
    from scipy.special import logit

    (run,) = runs
    x, test = (
        logit(1e-6 + (1 - 2e-6) * run.data.splits[name].values().flatten(1).double().numpy())
        for name in ("train", "test")
    )
    covariance, centred = np.cov(x.T, bias=True), test - x.mean(0)
    distance = np.trace(np.linalg.solve(covariance, centred.T @ centred / len(test)))
    constant = len(covariance) * np.log(2 * np.pi)
    return float(-0.5 * (constant + np.linalg.slogdet(covariance).logabsdet + distance))


def coverage_of_equals(runs: list[Trained]) -> float:
    """The coverage of 10,000 draws from N(0, I) in 1,000 dimensions by as many others, k = 5."""
    return _equals(10_000)["coverage"]


def mean_coverage_of_equals(runs: list[Trained]) -> tuple[float, float]:
    """The mean coverage over 20 pairs of 1,000 draws from N(0, I) in 1,000 dimensions, k = 5, and
    what is expected of any two samples of one density: 1 - prod_i (n - i) / (2n - i), i = 1 to k
    (Naeem et al. 2020, lemma 2).
    """
    n, k = 1000, 5
    ours = np.mean([_equals(n, seed)["coverage"] for seed in range(20)])
    return float(ours), float(1 - np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)]))


def precision_of_equals(runs: list[Trained]) -> float:
    """The precision of such draws."""
    return _equals(10_000)["precision"]


def coverage_ratio(runs: list[Trained]) -> float:
    """The coverage of the last run's samples, over that of the first run's."""
    return _coverage(runs[-1]) / _coverage(runs[0])


def least_step_in_coverage(runs: list[Trained]) -> float:
    """The smallest gain in coverage from a run to the next: above zero if they come in the order of
    the recipe.
    """
    return float(np.diff([_coverage(run) for run in runs]).min())


def _coverage(run: Trained, n: int = 5000) -> float:
    """The coverage of samples by values, k = 5: as many as there are test points, at most n.

    It compares samplers of one decoder's codes fairly. Between decoders it favours blurred samples,
    which are near to everything.
    """
    from genbench.stats.neighbours import prdc

    x = run.data.splits["test"].spread(n).values().flatten(1)
    return prdc(x, run.sample(len(x), seed=0).flatten(1), 5)["coverage"]


def parzen_window(runs: list[Trained]) -> float:
    """The mean log density of test points under Gaussian kernels around 10,000 samples, in nats.

    Their width is the one of logspace(-1, 0, 10) that makes 1,000 validation points likeliest
    (Goodfellow et al. 2014, arXiv:1406.2661, section 5). It ranks models wrongly by hundreds of
    nats (Wu et al. 2017, arXiv:1611.04273).
    """
    import torch

    (run,) = runs
    return _parzen_window(torch.cat([run.sample(1000, seed=i) for i in range(10)]), run)


def parzen_window_of_data(runs: list[Trained]) -> float:
    """The same of 10,000 training points in the place of samples."""
    (run,) = runs
    return _parzen_window(run.data.train.spread(10_000).values(), run)


def distance_to_ring(runs: list[Trained]) -> float:
    """The squared sliced 2-Wasserstein distance between the codes of all test points, in the plane,
    and as many draws from a ring, spread evenly over directions and over distances of 0.8 to 1.

    Two sets of 10,000 such draws are 1e-4 apart.
    """
    (run,) = runs
    rng, codes = (
        np.random.default_rng(0),
        run.encode(run.data.splits["test"].values()).double().cpu().numpy(),
    )
    around, radius = 2 * np.pi * rng.random(len(codes)), rng.uniform(0.8, 1, len(codes))
    ring = radius[:, None] * np.stack([np.cos(around), np.sin(around)], 1)
    angles = np.pi * np.arange(180) / 180
    ours, exact = (
        np.sort(points @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)
        for points in (codes, ring)
    )
    return float(np.square(ours - exact).mean())


def gain_in_parzen_window(runs: list[Trained]) -> float:
    """The `parzen_window` of the last run's samples minus that of the first run's; nats."""
    return parzen_window(runs[-1:]) - parzen_window(runs[:1])


def _parzen_window(samples: torch.Tensor, run: Trained) -> float:
    """See `parzen_window`; of these samples [n, *shape]."""
    import torch

    samples = samples.flatten(1).double()
    validation, test = (
        run.data.splits[name].values().flatten(1).double() for name in ("validation", "test")
    )

    def mean(x: torch.Tensor, widths: Array) -> Array:
        d, sums = x.shape[1], np.zeros(len(widths))
        for part in x.split(1000):
            squared = torch.cdist(part, samples).square()
            sums += [float((squared / (-2 * h * h)).logsumexp(1).sum()) for h in widths]
        return sums / len(x) - np.log(len(samples)) - d * (np.log(widths) + 0.5 * np.log(2 * np.pi))

    widths = np.logspace(-1, 0, 10)
    return float(mean(test, widths[[mean(validation[:1000], widths).argmax()]])[0])


def _equals(n: int, seed: int = 0) -> dict[str, float]:
    """Precision, recall, density and coverage of n draws from N(0, I) in 1,000 dimensions given as
    many others.
    """
    import torch

    from genbench.stats.neighbours import prdc

    a, b = (
        torch.as_tensor(np.random.default_rng([seed, i]).standard_normal((n, 1000))) for i in (0, 1)
    )
    return prdc(a, b, 5)

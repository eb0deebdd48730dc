"""What recipes compare with: exact values by NumPy, SciPy and scikit-learn, from the data and the parameters that were fitted.

Each takes the runs of one seed in the order of their recipe and returns a number, or a pair (ours, expected). Nothing here
uses a model's own arithmetic, but for the answer that is to be checked; all is in double precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from genbench.trained import Trained

Array = np.ndarray


def projection_error(runs: list[Trained]) -> tuple[float, float]:
    """The squared error of a training point as measured, and the least one of codes of this dimension.

    That is what the singular values leave out (Eckart & Young 1936, doi:10.1007/BF02288367).
    """
    (run,) = runs
    x = _points(run)
    singular = np.linalg.svd(x - x.mean(0), compute_uv=False)
    return run.metrics["train"]["squared_error"], float(
        np.square(singular[run.model.latent_dim :]).sum() / len(x)
    )


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
    return float(run.log_prob(run.data.train.values()).double().mean()), _highest_log_density(
        _points(run), run.model.latent_dim
    )


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
    _, _, inertia = k_means(
        x,
        k,
        init=first.decode(np.arange(k)).flatten(1).double().numpy(),
        n_init=1,
        max_iter=1000,
        tol=0,
    )
    return last.metrics["train"]["inertia"], inertia / len(x)


def inertia_ratio(runs: list[Trained]) -> float:
    """The inertia of the training points, as a multiple of the best of scikit-learn's from 20 starts."""
    from sklearn.cluster import k_means

    (run,) = runs
    x = _points(run)
    _, _, inertia = k_means(
        x, run.model.s.n_components, n_init=20, max_iter=1000, tol=0, random_state=0
    )
    return run.metrics["train"]["inertia"] / (inertia / len(x))


def mixture_score_gap(runs: list[Trained]) -> float:
    """How far a Gaussian mixture's mean log density of test points is from scikit-learn's with the same parameters.

    As a share of it; the largest of the runs, which differ in the form of their covariances.
    """
    from sklearn.mixture import GaussianMixture

    gaps = []
    for run in runs:
        model, form = run.model, run.model.s.covariance
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


# --- densities that are known ---------------------------------------------------------------------------------


def score_cosine(runs: list[Trained]) -> float:
    """The mean cosine between a model's score and the exact one of the smoothed density, at 20,000 points drawn from it."""
    (run,) = runs
    ours, exact = _scores(run)
    return float(
        (
            np.sum(ours * exact, 1) / (np.linalg.norm(ours, axis=1) * np.linalg.norm(exact, axis=1))
        ).mean()
    )


def score_error(runs: list[Trained]) -> float:
    """The root mean squared error of a model's score, relative to the root mean square of the exact one, at such points."""
    (run,) = runs
    ours, exact = _scores(run)
    return float(np.sqrt(np.square(ours - exact).sum() / np.square(exact).sum()))


def share_near_modes(runs: list[Trained]) -> float:
    """The share of 10,000 samples within 3 sqrt(sigma^2 + sigma_noise^2) of a mode; zero if a mode has none of them."""
    (run,) = runs
    density, x = run.data.density, run.sample(10_000, seed=0).double().numpy()
    distance = np.linalg.norm(x[:, None] - density.means.numpy(), axis=2)
    mode, reach = distance.argmin(1), 3 * np.hypot(density.scales.numpy(), run.model.s.level)
    near = distance.min(1) < reach[mode]
    return float(near.mean()) if len(np.unique(mode[near])) == len(reach) else 0.0


def jensen_shannon(runs: list[Trained]) -> tuple[float, float]:
    """A discriminator's bound on the Jensen-Shannon divergence between the data's density and N(0, I), on test data, and
    that divergence by the midpoint rule; of the run in which they are furthest apart."""
    from scipy.stats import multivariate_normal

    found = []
    for run in runs:
        density, d = run.data.density, run.data.spec.size
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
            gap = sum(np.where(a > 0, a * np.log(a / mixed), 0) for a in (p, q)).sum() / 2
        found.append((run.metrics["test"]["jsd_bound"], float(gap * (24 / 1200) ** d)))
    return max(found, key=lambda pair: abs(pair[0] - pair[1]))


def earth_mover(runs: list[Trained]) -> tuple[float, float]:
    """A critic's estimate of the Wasserstein-1 distance between N(m, I) and N(0, I), on test data, and that distance, |m|;
    of the run in which they are furthest apart."""
    found = [
        (run.metrics["test"]["wasserstein"], float(np.linalg.norm(run.data.density.means.numpy())))
        for run in runs
    ]
    return max(found, key=lambda pair: abs(pair[0] / pair[1] - 1))


def importance_bound(runs: list[Trained]) -> tuple[float, float]:
    """The importance-weighted bound with 5,000 draws on 200 test points of a linear VAE, and their exact log-likelihood."""
    import torch

    (run,) = runs
    x = run.data.splits["test"].values(slice(200))
    with torch.no_grad():
        ours = float(run.model.log_prob(x, 5000).mean())
    weights, offset = _affine_decoder(run)
    return ours, _log_density(x.flatten(1).double().numpy(), offset, weights, _noise(run))


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


def kernel_density(runs: list[Trained]) -> tuple[float, float]:
    """The mean log density of up to 2,000 test points, and scikit-learn's with the same bandwidth.

    A single leaf has scikit-learn add up all kernels, one by one, which is why no more points are
    compared: with its usual leaves, far from all points, it is off by any factor.
    """
    from sklearn.neighbors import KernelDensity

    (run,) = runs
    x = run.data.splits["test"].spread(2000).values()
    points = _points(run)
    theirs = KernelDensity(bandwidth=float(run.model.bandwidth), leaf_size=len(points)).fit(points)
    return float(run.log_prob(x).double().mean()), float(
        theirs.score_samples(x.flatten(1).double().numpy()).mean()
    )


def last_objective(runs: list[Trained]) -> tuple[float, float]:
    """The objective on the training data of the second run, and of the first."""
    first, second = (run.metrics["train"][run.model.criterion] for run in runs)
    return second, first


# --- samples --------------------------------------------------------------------------------------------------


def coverage_of_equals(runs: list[Trained]) -> float:
    """The coverage of 10,000 draws from N(0, I) in 1,000 dimensions by as many others, k = 5."""
    return _equals(10_000)["coverage"]


def mean_coverage_of_equals(runs: list[Trained]) -> tuple[float, float]:
    """The mean coverage over 20 pairs of 1,000 draws from N(0, I) in 1,000 dimensions, k = 5, and what is expected of any
    two samples of one density: 1 - prod_i (n - i) / (2n - i), i = 1 to k (Naeem et al. 2020, lemma 2)."""
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
    """The smallest gain in coverage from a run to the next: above zero if they come in the order of the recipe."""
    return float(np.diff([_coverage(run) for run in runs]).min())


def _coverage(run: Trained, n: int = 5000) -> float:
    """The coverage of samples by values, k = 5: as many as there are test points, at most n.

    A fair judge of where samples come from, as of different samplers of one decoder's codes. Between decoders it favours
    blurred samples, which are near to everything.
    """
    from genbench.stats.neighbours import prdc

    x = run.data.splits["test"].spread(n).values().flatten(1)
    return prdc(x, run.sample(len(x), seed=0).flatten(1), 5)["coverage"]


def parzen_window(runs: list[Trained]) -> float:
    """The mean log density of test points under Gaussian kernels around 10,000 samples, in nats.

    Their width is the one of logspace(-1, 0, 10) that makes 1,000 validation points likeliest (Goodfellow et al. 2014,
    arXiv:1406.2661, section 5). It ranks models wrongly by hundreds of nats (Wu et al. 2017, arXiv:1611.04273).
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
    """By how much the last run's samples have a higher `parzen_window` than the first run's; nats."""
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
    """Precision, recall, density and coverage of n draws from N(0, I) in 1,000 dimensions given as many others."""
    import torch

    from genbench.stats.neighbours import prdc

    a, b = (
        torch.as_tensor(np.random.default_rng([seed, i]).standard_normal((n, 1000))) for i in (0, 1)
    )
    return prdc(a, b, 5)


def _scores(run: Trained) -> tuple[Array, Array]:
    """A model's score, and grad log of the data's density with its corruption, a mixture of Gaussians of variance
    sigma^2 + sigma_noise^2, both [n, D] at points drawn from the latter."""
    density, rng = run.data.density, np.random.default_rng(0)
    means, weights = density.means.numpy(), density.weights.numpy()
    variances = density.scales.numpy() ** 2 + run.model.s.level**2
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
    return float(
        -0.5 * (len(mean) * np.log(2 * np.pi) + np.linalg.slogdet(covariance).logabsdet + distance)
    )


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
        mean, logvar = (
            part.double().cpu().numpy()
            for part in run.model.encoder(run.data.train.values()).chunk(2, -1)
        )
    variance = np.exp(logvar)
    error = np.square(x - offset - mean @ weights.T).sum(1) + variance @ np.square(weights).sum(0)
    fit = -0.5 * (error / s2 + len(offset) * np.log(2 * np.pi * s2))
    divergence = 0.5 * (variance + mean**2 - 1 - logvar).sum(1)
    return float((fit - divergence).mean())

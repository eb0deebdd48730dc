"""Divergences between distributions and between samples of them: pure functions, in nats where they are entropies.

All take and return torch tensors; a sample is [n, D], a row a point. All but `sliced_wasserstein`, a term of an
objective, compute in double precision whatever they are given, for most are small differences of large numbers; a
device without it, such as mps, must hand over copies on the CPU.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch

from genbench.utils import signals

BLOCK = (
    2**22
)  # pairwise distances held at once: 32 MiB, so that 10,000 points meet 10,000 in little memory

KERNELS = {
    "rbf": lambda u: (-u).exp(),
    "imq": lambda u: 1 / (1 + u),
}  # of u = |x - y|^2 / (2 bandwidth^2); 1 at 0

LogDensity = Callable[[torch.Tensor], torch.Tensor]  # points [n, D] to nats [n]


class Estimate(NamedTuple):
    """A number that is not exact, with how far off it may be; both scalars."""

    value: torch.Tensor
    error: torch.Tensor


# Distributions over finitely many outcomes.


def kl_discrete(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """KL(p || q) [...] of probability vectors [..., K], in nats (Kullback & Leibler 1951).

    Infinite where p has an outcome that q rules out; 0 log 0 = 0. ValueError if a vector is not a distribution.
    """
    p, q = _probabilities(p), _probabilities(q)
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)


def jsd_discrete(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence [...] of probability vectors [..., K], in nats: 0 to log 2 (Lin 1991).

    The mean of KL(p || m) and KL(q || m), m the mean of p and q. ValueError if a vector is not a distribution.
    """
    p, q = _probabilities(p), _probabilities(q)
    # 2p / (p + q) for p / m: halving the smallest of numbers would make m zero where p is not.
    return sum((torch.xlogy(a, 2 * a) - torch.xlogy(a, p + q)).sum(-1) for a in (p, q)) / 2


def _probabilities(p: torch.Tensor) -> torch.Tensor:
    p = p.double()
    if not (
        (p >= 0).all() and ((p.sum(-1) - 1).abs() < 1e-5).all()
    ):  # single precision keeps a sum to about 1e-7
        raise ValueError(
            "probabilities must be at least 0 and sum to 1; divide counts by their sum"
        )
    return p


# Distributions with a density.


def kl_gaussians(
    mean0: torch.Tensor, cov0: torch.Tensor, mean1: torch.Tensor, cov1: torch.Tensor
) -> torch.Tensor:
    """KL(N(mean0, cov0) || N(mean1, cov1)), a scalar in nats, of means [D] and covariances [D, D].

    torch.linalg.LinAlgError if a covariance is not positive definite.
    """
    mean, variance = _relative(mean0, cov0, mean1, cov1)
    return (variance - 1 - variance.log() + mean**2).sum() / 2


def jsd_gaussians(
    mean0: torch.Tensor, cov0: torch.Tensor, mean1: torch.Tensor, cov1: torch.Tensor
) -> torch.Tensor:
    """Jensen-Shannon divergence, a scalar in nats, of Gaussians with means [D] and covariances [D, D], for any D.

    It has no closed form, but is an integral over one real variable, here right to about 1e-14. With l = log(p / q)
    and softplus(l) = log(1 + e^l), it is log 2 - E_p[softplus(-l)] / 2 - E_q[softplus(l)] / 2, or

        log 2 - 1/2 int sqrt(p q) k(l) dx,    k(l) = e^(l/2) softplus(-l) + e^(-l/2) softplus(l).

    A Fourier transform writes k as a sum of imaginary powers of p / q, as int log(1 + u) u^(-a-1) du = pi / (a sin(pi a))
    over u > 0 for 0 < Re a < 1, and integrals of powers of Gaussians are known:

        log 2 - 1/4 int phi(t) / ((1/4 + t^2) cosh(pi t)) dt,    phi(t) = int p^s q^(1-s) dx,    s = 1/2 + i t.

    torch.linalg.LinAlgError if a covariance is not positive definite.
    """
    mean, variance = _relative(mean0, cov0, mean1, cov1)
    # The integrand falls like e^(-pi |t|) and is analytic for |Im t| < 1/2, so that a sum with steps of h is off by
    # about e^(-pi / h), here e^-50, whatever the Gaussians, for |phi| <= 1.
    t = torch.arange(-12, 12.01, 1 / 16, dtype=torch.float64, device=mean.device)[:, None]
    s = 0.5 + 1j * t
    z = 1 - s + s * variance  # its real part is positive, so that its logarithm has no jumps
    log_phi = (s * variance.log() - z.log() - (0.25 + t**2) * mean**2 / z).sum(1) / 2
    weights = 1 / ((0.25 + t**2) * (math.pi * t).cosh()).squeeze(1) / 16
    return math.log(2) - (log_phi.exp().real * weights).sum() / 4


def _relative(mean0, cov0, mean1, cov1) -> tuple[torch.Tensor, torch.Tensor]:
    """The first Gaussian's mean [D] and variances [D] in coordinates where it is uncorrelated and the second N(0, I)."""
    root0, root1 = torch.linalg.cholesky(cov0.double()), torch.linalg.cholesky(cov1.double())
    shift = mean0.double() - mean1.double()
    solved = torch.linalg.solve_triangular(
        root1, torch.cat([root0, shift[:, None]], 1), upper=False
    )
    axes, scales, _ = torch.linalg.svd(solved[:, :-1])
    return axes.T @ solved[:, -1], scales**2


def jsd_quadrature(
    log_p: LogDensity, log_q: LogDensity, box: Sequence[tuple[float, float]], points: int = 2**18
) -> Estimate:
    """Jensen-Shannon divergence, in nats, of densities in one or two dimensions: the midpoint rule on a grid in a box.

    `log_p` and `log_q` map points [n, D] on the CPU to nats [n]; `box` is a (low, high) for each of the D dimensions;
    `points` is about how many the grid has in all. Of Gaussians in a box that holds them, a spacing of the narrower
    one's standard deviation leaves less than 1e-3, half of it 1e-5 and a quarter 1e-8.

    The error is the difference from a grid of three times the spacing, much above the real one where densities are
    smooth, and log 2 times the mean mass that the grid finds too little or too much: what lies outside the box adds
    no more.
    """
    side = 3 * max(1, round(points ** (1 / len(box)) / 3))
    steps = [(high - low) / side for low, high in box]
    axes = [
        low + step * (torch.arange(side, dtype=torch.float64) + 0.5)
        for (low, _), step in zip(box, steps)
    ]
    x = torch.cartesian_prod(*axes).reshape(-1, len(box))
    p, q = (torch.cat([log(some).double() for some in x.split(2**14)]) for log in (log_p, log_q))
    values = (p.exp() * _log_ratio(p, q) + q.exp() * _log_ratio(q, p)).reshape(
        [side] * len(box)
    ) / 2
    fine = values.mean()
    coarse = values[
        (slice(1, None, 3),) * len(box)
    ].mean()  # the centres of blocks of 3 cells a side
    volume = math.prod(steps) * side ** len(box)
    missed = sum((1 - volume * log.exp().mean()).abs() for log in (p, q)) / 2
    return Estimate(volume * fine, volume * (fine - coarse).abs() + math.log(2) * missed)


def jsd_monte_carlo(
    log_p: LogDensity, log_q: LogDensity, x: torch.Tensor, y: torch.Tensor
) -> Estimate:
    """Jensen-Shannon divergence, in nats, of two densities, from samples x [n, D] of p and y [m, D] of q.

    `log_p` and `log_q` map points [n, D] to nats [n]. The estimate is unbiased; its error is one standard error.
    ValueError if a sample has fewer than 2 points.
    """
    _need(2, x, y)
    of_x, of_y = (
        _log_ratio(log_p(x).double(), log_q(x).double()),
        _log_ratio(log_q(y).double(), log_p(y).double()),
    )
    return Estimate(
        (of_x.mean() + of_y.mean()) / 2, (of_x.var() / len(x) + of_y.var() / len(y)).sqrt() / 2
    )


def _log_ratio(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """log(p / m), m the mean of p and q; log 2 where neither has mass."""
    return math.log(2) - torch.where(
        log_p > -math.inf, torch.logaddexp(torch.zeros_like(log_p), log_q - log_p), 0
    )


# Optimal transport.


def wasserstein_1d(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """1-Wasserstein distance, a scalar in the units of the data, of samples x [n] and y [m] of numbers.

    The area between their distribution functions, which is that between their quantile functions (Vallender 1974).
    ValueError if a sample is empty.
    """
    _need(1, x, y)
    x, y = x.double().sort().values, y.double().sort().values
    z = torch.cat([x, y]).sort().values
    below_x, below_y = (
        torch.searchsorted(sample, z[:-1], right=True).double() / len(sample) for sample in (x, y)
    )
    return ((below_x - below_y).abs() * z.diff()).sum()


def sliced_wasserstein(x: torch.Tensor, y: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Squared sliced 2-Wasserstein distance between two samples [n, d] of equal size, a scalar.

    The mean over unit `directions` [L, d] of the mean squared gap between sorted projections (Kolouri et al. 2018,
    equation 9, without a root per direction).
    """
    return mean_wasserstein(x @ directions.T, y @ directions.T)


def mean_wasserstein(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The mean over columns of the squared 2-Wasserstein distance between those of x and y [n, L], a scalar."""
    return (x.sort(0).values - y.sort(0).values).square().mean()


def w2_gaussians(
    mean0: torch.Tensor, cov0: torch.Tensor, mean1: torch.Tensor, cov1: torch.Tensor
) -> torch.Tensor:
    """Squared 2-Wasserstein distance, a scalar, of Gaussians with means [D] and covariances [D, D], singular or not.

    |mean0 - mean1|^2 + tr(cov0 + cov1 - 2 (cov0 cov1)^(1/2)) (Dowson & Landau 1982).
    ValueError if a covariance has a negative eigenvalue, beyond rounding in single precision.
    """
    return _w2_by_roots(mean0.double() - mean1.double(), _root(cov0), _root(cov1))


def _w2_by_roots(shift: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The same of the means' difference [D] and of any a [D, r] and b [D, s] with cov0 = a a' and cov1 = b b'.

    tr (cov0 cov1)^(1/2) is the sum of singular values of a'b [r, s]. Eigenvalues of the product would have to be
    rooted, which makes 1e-8 of a rounding error of 1e-16 wherever one should be zero.
    """
    mixed = torch.linalg.svdvals(a.T @ b).sum()
    return (shift.square().sum() + a.square().sum() + b.square().sum() - 2 * mixed).clamp(min=0)


def _root(cov: torch.Tensor) -> torch.Tensor:
    """A [D, D] with A A' = cov."""
    values, vectors = torch.linalg.eigh(cov.double())
    if values[0] < -1e-5 * values[-1].abs():
        raise ValueError(f"a covariance cannot have the eigenvalue {float(values[0]):g}")
    return vectors * values.clamp(min=0).sqrt()


def frechet_distance(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Fréchet distance, a scalar, of features x [n, D] and y [m, D]: `w2_gaussians` of their means and covariances.

    With features of the Inception network it is the FID (Heusel et al. 2017). It is too large for small samples, the more
    so the more dimensions: compare only numbers from equally many points (Chong & Forsyth 2020). Where there are fewer
    points than dimensions, its cost grows with their number instead.
    ValueError if a sample has fewer than 2 points.
    """
    _need(2, x, y)
    x, y = x.double(), y.double()
    return _w2_by_roots(x.mean(0) - y.mean(0), _root_of_moments(x), _root_of_moments(y))


def _root_of_moments(x: torch.Tensor) -> torch.Tensor:
    """A [D, r] with A A' the covariance of points [n, D]: of few points, they themselves, so that r = n."""
    root = (x - x.mean(0)).T / (len(x) - 1) ** 0.5
    return root if len(x) <= len(root) else _root(root @ root.T)


# Samples alone, by the distances between their points.


def mmd(
    x: torch.Tensor,
    y: torch.Tensor,
    kernel: str = "rbf",
    bandwidth: float | torch.Tensor | None = None,
) -> torch.Tensor:
    """Squared maximum mean discrepancy of samples x [n, D] and y [m, D], a scalar (Gretton et al. 2012, equation 3).

    With u = |x - y|^2 / (2 bandwidth^2) the kernel is `rbf`, e^-u, or the inverse multiquadric `imq`, 1 / (1 + u)
    (which in Tolstikhin et al. 2018 has a bandwidth of the prior's standard deviation times the root of D). The default
    bandwidth is `median_distance(x, y)`; numbers compare only at the same one, such as that of the data alone.

    Unbiased at a bandwidth given beforehand, so that it is below zero about as often as above when the distributions are
    equal. ValueError if a sample has fewer than 2 points; KeyError for another kernel.
    """
    _need(2, x, y)
    x, y = x.double(), y.double()
    scale = 2 * (median_distance(x, y) if bandwidth is None else bandwidth) ** 2

    return _unbiased(lambda a, b: KERNELS[kernel](torch.cdist(a, b) ** 2 / scale), x, y)


def polynomial_mmd(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Squared maximum mean discrepancy of features x [n, D] and y [m, D] with the kernel (x'y / D + 1)^3, a scalar.

    With features of the Inception network it is the KID (Bińkowski et al. 2018). Unbiased, so that it may be below zero.
    ValueError if a sample has fewer than 2 points.
    """
    _need(2, x, y)
    x, y = x.double(), y.double()

    return _unbiased(lambda a, b: (a @ b.T / a.shape[1] + 1).pow(3), x, y)


def _unbiased(
    kernel: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """The unbiased squared maximum mean discrepancy of samples x [n, D] and y [m, D] for a symmetric kernel, which
    makes [r, s] of points [r, D] and [s, D]."""

    def among(a):
        """The mean over pairs of different points: of each pair only once."""
        total = 0.0
        for rows in _blocks(a, a):
            here = kernel(a[rows], a[rows])
            total += here.sum() - here.diagonal().sum() + 2 * kernel(a[rows], a[rows.stop :]).sum()
        return total / (len(a) * (len(a) - 1))

    between = sum(kernel(x[rows], y).sum() for rows in _blocks(x, y)) / (len(x) * len(y))
    return among(x) + among(y) - 2 * between


def median_distance(*samples: torch.Tensor) -> torch.Tensor:
    """The median distance, a scalar, between points of all samples [n, D] taken together (Gretton et al. 2012, section 8).

    Of more than 1,000 points, every second, third... counts, to that many. 1 where the median is zero.
    """
    every = -(-sum(map(len, samples)) // 1000)
    median = torch.pdist(torch.cat([sample[::every].double() for sample in samples])).median()
    return torch.where(median > 0, median, 1)


def prdc(
    real: torch.Tensor, fake: torch.Tensor, k: int, real_radius: torch.Tensor | None = None
) -> dict[str, float]:
    """Precision, recall, density and coverage of features fake [m, D] given real [n, D].

    A ball reaches from a point to its k-th nearest neighbour in the point's own sample, which lies just outside.
    `precision` is the share of fake points in a real ball and `recall` that of real points in a fake one (Kynkäänniemi et
    al. 2019), `density` the mean number of real balls around a fake point, over k, and `coverage` the share of real balls
    with a fake point (Naeem et al. 2020, whose package `prdc` this equals). Density may exceed 1.

    `real_radius` are the `radii` of the real points, if they are known.

    Whether a point is inside a ball that ends at it is subject to rounding.
    ValueError if k is below 1 or a sample has not more than k points.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    _need(k + 1, real, fake)
    real, fake = real.double(), fake.double()
    real_radius, fake_radius = (
        radii(real, k) if real_radius is None else real_radius,
        radii(fake, k),
    )
    hits = torch.zeros(
        len(fake), dtype=torch.long, device=fake.device
    )  # real balls around each fake point
    recalled = covered = 0
    for rows in _blocks(real, fake):
        distance = torch.cdist(real[rows], fake)
        inside = distance < real_radius[rows, None]
        hits += inside.sum(0)
        covered += int(inside.any(1).sum())
        recalled += int((distance < fake_radius).any(1).sum())
    return {
        "precision": float((hits > 0).double().mean()),
        "recall": recalled / len(real),
        "density": float(hits.double().mean()) / k,
        "coverage": covered / len(real),
    }


def share_within(
    real: torch.Tensor, fake: torch.Tensor, k: int, radius: torch.Tensor | None = None
) -> float:
    """The share of fake [m, D] points nearer to a real one [n, D] than its k-th nearest neighbour is: `prdc`'s precision.

    `radius` are the `radii` of the real points, if they are known.

    ValueError as there, but `fake` may have any number of points above none.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    _need(k + 1, real)
    _need(1, fake)
    real, fake = real.double(), fake.double()
    radius = radii(real, k) if radius is None else radius
    inside = [(torch.cdist(fake[rows], real) < radius).any(1) for rows in _blocks(fake, real)]
    return float(torch.cat(inside).double().mean())


class Nearest:
    """The nearest of other points, exactly, to each of some points x [n, D]; the others come in parts.

    `distance` [n] is in double precision, from differences. `index` [n] counts the others in the order in which they
    came; -1 before any did. Which pairs are worth that is found by |x|^2 - 2 x'y + |y|^2, fast but off by as much as
    the rounding of its terms: every pair counts that could be the nearest within that error.
    """

    def __init__(self, x: torch.Tensor):
        self.x, self.centre = (
            x.double(),
            x.double().mean(0),
        )  # far from the centre small differences are lost
        self.square = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        self.index = torch.full((len(x),), -1, device=x.device)
        self.seen = 0

    @property
    def distance(self) -> torch.Tensor:
        """The distance [n] to the nearest so far."""
        return self.square.sqrt()

    def see(self, y: torch.Tensor) -> "Nearest":
        """Look at more of the others, y [m, D]."""
        y = y.double()
        for rows in _blocks(self.x, y):
            self._see(rows, y)
        self.seen += len(y)
        return self

    def _see(self, rows: slice, y: torch.Tensor) -> None:
        x, best = self.x[rows], self.square[rows]
        for dtype in (torch.float32, torch.float64):  # double where single leaves many in doubt
            maybe = _may_be_nearest(x - self.centre, y - self.centre, best, dtype)
            if len(maybe) <= 4 * len(x):
                break
        for i, j in ((pair[:, 0], pair[:, 1]) for pair in maybe.split(max(1, BLOCK // x.shape[1]))):
            square = (x[i] - y[j]).square().sum(1)
            least = best.scatter_reduce(0, i, square, "amin")
            nearest = square == least[i]
            nearer = nearest & (square < best[i])
            self.index[rows].scatter_(
                0, i[nearer].flip(0), self.seen + j[nearer].flip(0)
            )  # the first of several
            best.copy_(least)


def _may_be_nearest(
    x: torch.Tensor, y: torch.Tensor, best: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """Pairs [k, 2] of rows of x [n, D] and y [m, D] that may be nearer than the row's best squared distance [n] and
    than all other rows of y, as far as this precision can tell."""
    a, b = x.to(dtype), y.to(dtype)
    squares = a.square().sum(1)[:, None], b.square().sum(1)
    # Sums of D products are off by at most D roundings of the sum of their sizes.
    error = (x.shape[1] + 8) * torch.finfo(dtype).eps * 2 * (squares[0] + squares[1].max())
    about = squares[0] + squares[1] - 2 * a @ b.T
    limit = torch.minimum(best.to(dtype)[:, None] + error, about.amin(1, keepdim=True) + 2 * error)
    return (about <= limit).nonzero()


def radii(x: torch.Tensor, k: int) -> torch.Tensor:
    """The distance [n], in double precision, from each point [n, D] to its k-th nearest other."""
    x = x.double()
    # The nearest of all is the point itself.
    return torch.cat(
        [
            torch.cdist(x[rows], x).topk(k + 1, dim=1, largest=False).values[:, -1]
            for rows in _blocks(x, x)
        ]
    )


def _blocks(x: torch.Tensor, y: torch.Tensor) -> Iterator[slice]:
    """Rows of x to take at a time, so that their distances to all of y take little memory."""
    step = max(1, BLOCK // len(y))
    for start in range(0, len(x), step):
        signals.check()
        yield slice(start, start + step)


def _need(least: int, *samples: torch.Tensor) -> None:
    if min(map(len, samples)) < least:
        raise ValueError(
            f"each sample needs at least {least} points, got {' and '.join(str(len(s)) for s in samples)}"
        )

"""Wasserstein distances of numbers, projections, Gaussians and features (the Fréchet distance).

Everything but `sliced_wasserstein`, a term of a training objective, is computed in double
precision; a device without it, such as mps, must pass CPU copies.
"""

import torch

from genbench.stats.blocks import require_points


def wasserstein_1d(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """1-Wasserstein distance, a scalar in the units of the data, of numbers x [n] and y [m].

    It is the area between their distribution functions (Vallender 1974). ValueError if a sample is
    empty.
    """
    require_points(1, x, y)
    x, y = x.double().sort().values, y.double().sort().values
    z = torch.cat([x, y]).sort().values
    cdf_x, cdf_y = (
        torch.searchsorted(sample, z[:-1], right=True).double() / len(sample) for sample in (x, y)
    )
    return ((cdf_x - cdf_y).abs() * z.diff()).sum()


def squared_sliced_wasserstein(
    x: torch.Tensor, y: torch.Tensor, directions: torch.Tensor
) -> torch.Tensor:
    """Squared sliced 2-Wasserstein distance between two samples [n, d] of equal size, a scalar.

    The mean over unit `directions` [L, d] of the mean squared gap between sorted projections
    (Kolouri et al. 2018, equation 9, without a root per direction).
    """
    return mean_wasserstein(x @ directions.T, y @ directions.T)


def mean_wasserstein(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The mean over columns of x and y [n, L] of their squared 2-Wasserstein distance, a scalar."""
    return (x.sort(0).values - y.sort(0).values).square().mean()


def w2_gaussians(
    mean0: torch.Tensor, cov0: torch.Tensor, mean1: torch.Tensor, cov1: torch.Tensor
) -> torch.Tensor:
    """Squared 2-Wasserstein distance, a scalar, of Gaussians: means [D], covariances [D, D].

    The covariances may be singular. The distance is
    |mean0 - mean1|^2 + tr(cov0 + cov1 - 2 (cov0 cov1)^(1/2)) (Dowson & Landau 1982).
    ValueError if a covariance has a negative eigenvalue, beyond rounding in single precision.
    """
    return _w2_by_roots(mean0.double() - mean1.double(), _root(cov0), _root(cov1))


def _w2_by_roots(shift: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The same from the difference of means [D] and roots a [D, r], b [D, s] of the covariances.

    cov0 = a a' and cov1 = b b', so that tr (cov0 cov1)^(1/2) is the sum of the singular values of
    a'b [r, s]. The eigenvalues of the product would need a root, which turns a rounding error of
    1e-16 into 1e-8 where one is zero.
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
    """Fréchet distance, a scalar, of features x [n, D] and y [m, D].

    It is `w2_gaussians` of their means and covariances.
    With features of the Inception network it is the FID (Heusel et al. 2017). Small samples make it
    too large, the more so the more dimensions there are: compare only results from equally many
    points (Chong & Forsyth 2020). With fewer points than dimensions its cost grows with the points.
    ValueError if a sample has fewer than 2 points.
    """
    require_points(2, x, y)
    x, y = x.double(), y.double()
    return _w2_by_roots(x.mean(0) - y.mean(0), _covariance_root(x), _covariance_root(y))


def _covariance_root(x: torch.Tensor) -> torch.Tensor:
    """A [D, r] with A A' the covariance of points [n, D]; with few points r = n."""
    root = (x - x.mean(0)).T / (len(x) - 1) ** 0.5
    return root if len(x) <= len(root) else _root(root @ root.T)

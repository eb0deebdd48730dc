"""Maximum mean discrepancy between samples, with three kernels.

A sample is [n, D], a row a point. Everything but `multiscale_mmd`, a term of a training objective,
is computed in double precision, because the results are small differences of large numbers; a
device without it, such as mps, must pass CPU copies.
"""

from collections.abc import Callable

import torch

from genbench.stats.blocks import require_points, row_blocks
from genbench.stats.clustering import squared_distances

Kernel = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # [r, D] and [s, D] to [r, s]

# Functions of u = |x - y|^2 / (2 bandwidth^2), which are 1 at 0.
KERNELS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "rbf": lambda u: (-u).exp(),
    "imq": lambda u: 1 / (1 + u),
}
MEDIAN_POINTS = 1000  # points that the median distance is taken of
# Of the kernels that `multiscale_mmd` adds up, as shares of the scale it is given: those of the
# code of Tolstikhin et al. 2018, github.com/tolstikhin/wae.
WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def squared_mmd(
    x: torch.Tensor,
    y: torch.Tensor,
    kernel: str = "rbf",
    bandwidth: float | torch.Tensor | None = None,
) -> torch.Tensor:
    """Squared maximum mean discrepancy of samples x [n, D] and y [m, D], a scalar.

    Gretton et al. 2012, equation 3.

    With u = |x - y|^2 / (2 bandwidth^2) the kernel is `rbf`, e^-u, or the inverse multiquadric
    `imq`, 1 / (1 + u) (in Tolstikhin et al. 2018 its bandwidth is the prior's standard deviation
    times the root of D). The default bandwidth is `median_distance(x, y)`. Results compare only at
    the same bandwidth, such as that of the data alone.

    Unbiased if the bandwidth was chosen beforehand: for equal distributions it is negative about as
    often as positive. ValueError if a sample has fewer than 2 points; KeyError for another kernel.
    """
    require_points(2, x, y)
    x, y = x.double(), y.double()
    scale = 2 * (median_distance(x, y) if bandwidth is None else bandwidth) ** 2
    return _unbiased(lambda a, b: KERNELS[kernel](torch.cdist(a, b) ** 2 / scale), x, y)


def multiscale_mmd(x: torch.Tensor, y: torch.Tensor, scale: float) -> torch.Tensor:
    """Squared maximum mean discrepancy of samples x [n, D] and y [m, D], a scalar, in their
    precision.

    The kernel is the sum over widths w of c / (c + |x - y|^2), c = w * scale, so that its gradient
    fades neither near nor far (Tolstikhin et al. 2018, section 4). Unbiased, as `squared_mmd` is;
    of a sample of one point, which has no pairs, the mean over pairs counts as 0.
    """

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        squared = squared_distances(a, b)
        return torch.stack([w * scale / (w * scale + squared) for w in WIDTHS]).sum(0)

    def within(a: torch.Tensor) -> torch.Tensor:
        values = kernel(a, a)
        return (values.sum() - values.diagonal().sum()) / max(1, len(a) * (len(a) - 1))

    return within(x) + within(y) - 2 * kernel(x, y).mean()


def polynomial_mmd(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Squared maximum mean discrepancy of features x [n, D] and y [m, D], a scalar.

    The kernel is (x'y / D + 1)^3. With features of the Inception network it is the KID (Bińkowski
    et al. 2018). It is unbiased, so that it may be negative. ValueError if a sample has
    fewer than 2 points.
    """
    require_points(2, x, y)
    return _unbiased(lambda a, b: (a @ b.T / a.shape[1] + 1).pow(3), x.double(), y.double())


def _unbiased(kernel: Kernel, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The unbiased squared discrepancy of samples x [n, D] and y [m, D] for a symmetric kernel."""

    def within(a: torch.Tensor) -> torch.Tensor:
        """The mean over pairs of different points, computed once per pair."""
        total = torch.zeros((), dtype=a.dtype, device=a.device)
        for rows in row_blocks(a, a):
            block = kernel(a[rows], a[rows])
            later = kernel(a[rows], a[rows.stop :])
            total += block.sum() - block.diagonal().sum() + 2 * later.sum()
        return total / (len(a) * (len(a) - 1))

    total = torch.zeros((), dtype=x.dtype, device=x.device)
    for rows in row_blocks(x, y):
        total += kernel(x[rows], y).sum()
    return within(x) + within(y) - 2 * total / (len(x) * len(y))


def median_distance(*samples: torch.Tensor) -> torch.Tensor:
    """The median distance, a scalar, between points of all samples [n, D] together.

    Gretton et al. 2012, section 8. It is taken of every second, third... point if there are more
    than 1,000. A median of zero becomes 1.
    """
    every = -(-sum(map(len, samples)) // MEDIAN_POINTS)
    median = torch.pdist(torch.cat([sample[::every].double() for sample in samples])).median()
    return torch.where(median > 0, median, 1)

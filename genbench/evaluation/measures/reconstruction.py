"""How near decode(encode(x)) is to test points."""

import math

import torch
import torch.nn.functional as F

from genbench.evaluation.context import Evaluation
from genbench.evaluation.registry import POSITIVE, measure
from genbench.stats.intervals import Measured

WIDTH, SIGMA = 11, 1.5  # of the window that structural similarity looks through
LEAST = 1e-10  # squared error that counts; a perfect reconstruction has 100 dB


def squared_errors(e: Evaluation) -> torch.Tensor:
    """The mean squared error per value of each test point [n]; of a table, per standardized
    value.
    """
    return (e.values(e.reconstructions) - e.values(e.x)).double().square().mean(1)


def raw_squared_errors(e: Evaluation) -> torch.Tensor:
    """The mean squared error per value of each test point [n], in the units of the data."""
    return (e.reconstructions - e.x).double().square().flatten(1).mean(1)


@measure(
    "encode",
    "decode",
    group="reconstruction",
    unit="squared error per value",
    better="lower",
    headline=True,
    within=POSITIVE,
)
def mse(e: Evaluation) -> Measured:
    """Mean squared error per value of decode(encode(x)), of a table per standardized value.

    The columns of a table have units of their own: in these, the column with the largest numbers
    would be all that counts.
    """
    unit = "" if e.data.moments is None else "squared error per standardized value"
    return e.mean(e.once(squared_errors), unit=unit)


@measure(
    "encode",
    "decode",
    group="reconstruction",
    unit="dB",
    better="higher",
    source="Huynh-Thu & Ghanbari 2008, doi:10.1049/el:20080522",
    within=(-math.inf, -10 * math.log10(LEAST)),
    only="on data in [0, 1]",
)
def psnr(e: Evaluation) -> Measured | None:
    """Peak signal-to-noise ratio of reconstructions: the mean over points of -10 log10 of their
    mean squared error.

    Of data in [0, 1], whose peak is 1; at most 100 dB.
    """
    return (
        e.mean(-10 * e.once(raw_squared_errors).clamp(min=LEAST).log10())
        if e.data.spec.unit
        else None
    )


@measure(
    "encode",
    "decode",
    group="reconstruction",
    unit="index",
    better="higher",
    source="Wang et al. 2004, doi:10.1109/TIP.2003.819861",
    within=(-1.0, 1.0),
    only="on images in [0, 1] with sides of at least 11",
)
def ssim(e: Evaluation) -> Measured | None:
    """Mean structural similarity of test images and their reconstructions, from -1 to 1 for equal
    ones.

    Of images in [0, 1] with sides of at least 11, wherever the window of 11x11 lies within the
    image.
    """
    if not (e.images and e.data.spec.unit and min(e.data.spec.shape[1:]) >= WIDTH):
        return None
    pairs = zip(e.x.split(e.block), e.reconstructions.split(e.block))
    return e.mean(torch.cat([structural_similarity(x, again) for x, again in pairs]))


def structural_similarity(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """SSIM [n] of images x and y [n, c, h, w] in [0, 1], h and w at least 11: the mean over windows
    and channels of

        (2 mx my + C1) (2 sxy + C2) / ((mx^2 + my^2 + C1) (sx^2 + sy^2 + C2)),
        C1 = .01^2, C2 = .03^2,

    with means and covariances weighted by a Gaussian of standard deviation 1.5 (Wang et al. 2004,
    equation 13).
    """
    x, y = x.double(), y.double()
    mx, my = _blurred(x), _blurred(y)
    vx, vy, cov = _blurred(x * x) - mx**2, _blurred(y * y) - my**2, _blurred(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return (
        ((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
        .flatten(1)
        .mean(1)
    )


def _blurred(x: torch.Tensor) -> torch.Tensor:
    """Means [n, c, h - 10, w - 10] under the window: one dimension after the other, as a Gaussian
    is a product.
    """
    at = torch.arange(WIDTH, dtype=x.dtype) - WIDTH // 2
    window = (-(at**2) / (2 * SIGMA**2)).exp()
    window = (window / window.sum()).to(x)
    n, c, h, w = x.shape
    rows = F.conv2d(x.reshape(n * c, 1, h, w), window.reshape(1, 1, -1, 1))
    return F.conv2d(rows, window.reshape(1, 1, 1, -1)).unflatten(0, (n, c))

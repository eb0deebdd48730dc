"""Products of matrices: of parts that stay in the processor's cache, by its widest instructions."""

import torch
import torch.nn.functional as F

from genbench.utils.processor import made_by_amd
from genbench.utils.tracing import is_traced

IN_CACHE = 2**19  # numbers in single precision that stay in the processor's cache
ON_DEVICE = 2**26  # numbers that a GPU processes together, so that it is never idle
COLUMNS_AT_ONCE = 112  # fewer would be slow to multiply, and more would multiply more twice
IMAGES = 16  # with fewer of them, convolutions of one thread are products of MKL too
WORTHWHILE = 2**20  # multiplications that take longer than the detour by a convolution


def wide(x: torch.Tensor) -> torch.Tensor:
    """The values in double precision, or in single precision on Apple's GPUs, which lack it."""
    return x.to(torch.float32 if x.device.type == "mps" else torch.float64)


def in_cache(x: torch.Tensor, width: int, least: int = 1) -> tuple[torch.Tensor, ...]:
    """Rows x [n, ...] in parts that stay in the processor's cache while they are processed, given
    how many numbers each row needs. Parts of fewer than `least` rows do not pay. On a GPU the parts
    are larger. In a trace, which holds for any number of rows, all of them are one part.
    """
    if is_traced():
        return (x,)
    rows = max(least, (IN_CACHE if x.is_cpu else ON_DEVICE) // width)
    return x.split(max(1, rows - rows % IMAGES if rows > IMAGES else rows))


def product(x: torch.Tensor, y: torch.Tensor, plus: torch.Tensor | None = None) -> torch.Tensor:
    """x y' [n, m] of rows x [n, D] and y [m, D], in their precision; and `plus` [m] to each row.

    MKL, which multiplies matrices for torch, uses half the width of the registers of AMD's
    processors. oneDNN, which convolves for torch, uses all of it, and convolutions with kernels of
    one pixel are such products. On Intel's, MKL is the faster one.
    """
    if is_traced():
        return F.linear(x, y, plus)
    n = len(x) - len(x) % IMAGES
    if not (widens(x) and n * y.numel() >= WORTHWHILE):
        return F.linear(x, y, plus)
    pixels = x[:n].reshape(IMAGES, n // IMAGES, 1, -1).permute(0, 3, 1, 2)
    found = F.conv2d(pixels, y[:, :, None, None], plus).permute(0, 2, 3, 1).reshape(n, len(y))
    return found if n == len(x) else torch.cat([found, F.linear(x[n:], y, plus)])


def widens(x: torch.Tensor) -> bool:
    """Whether oneDNN multiplies such values, and with wider registers than MKL does."""
    return (
        x.is_cpu
        and x.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and made_by_amd()
    )


def squares(x: torch.Tensor) -> torch.Tensor:
    """x'x [D, D] of rows x [n, D], in their precision."""
    if x.shape[1] <= COLUMNS_AT_ONCE:  # a single block, which needs no other order of the values
        return mirrored(x.T @ x)
    found = x.new_zeros(x.shape[1], x.shape[1])
    add_squares(found, x.T.contiguous())
    return mirrored(found)


def add_squares(total: torch.Tensor, columns: torch.Tensor) -> None:
    """Add x x' of columns x [D, n] to `total` [D, D], of which only the blocks below the diagonal
    are computed: `mirrored` completes it.

    NumPy has a product for this, but its threads and torch's wait for one another.
    """
    for start in range(0, len(columns), COLUMNS_AT_ONCE):
        block = slice(start, start + COLUMNS_AT_ONCE)
        total[start:, block] += product(columns[start:], columns[block])


def mirrored(total: torch.Tensor) -> torch.Tensor:
    """The symmetric matrix [D, D] with this one's values on and below the diagonal."""
    return total.tril() + total.tril(-1).T

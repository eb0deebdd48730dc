"""How far an axis reaches over values of any size, also huge, constant or partly infinite ones."""

import numpy as np
import torch

# Values whose difference is a smaller share of their size are drawn as equal: in single precision
# most of it is rounding, and matplotlib cannot place ticks between them.
NARROWEST = 1e-6


def axis_range(*values: torch.Tensor | np.ndarray, margin: float = 0.0) -> tuple[float, float]:
    """The least and the largest finite value, with a margin on either side as a share of the range.

    The range of equal values is as wide as the values are large. It is computed in double
    precision, as the range of values that fit single precision may not fit it.
    """
    flat = np.concatenate([_flat(some) for some in values])
    finite = flat[np.isfinite(flat)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    size = max(abs(low), abs(high))
    if high - low <= NARROWEST * size:
        half = 0.5 * (size or 1.0)
        low, high = low - half, high + half
    room = margin * (high - low)
    return low - room, high + room


def places(low: float, high: float, n: int) -> torch.Tensor:
    """n evenly spaced numbers [n] in single precision; those beyond it are its largest ones."""
    most = torch.finfo(torch.float32).max
    return torch.linspace(low, high, n, dtype=torch.float64).clamp(-most, most).float()


def _flat(values: torch.Tensor | np.ndarray) -> np.ndarray:
    return torch.as_tensor(values).detach().cpu().double().flatten().numpy()

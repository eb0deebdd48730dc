"""Measured numbers with 95 % intervals, which say how much other points would change them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

Z = 1.959964  # 95 % of a normal distribution lie within this many standard deviations
FEWEST = 3  # points that an interval needs: the spread of two says next to nothing
MANY = 2000  # points above which repeating a statistic on nearly all of them takes long


class Measured(NamedTuple):
    """A number with its interval and what it was measured from.

    n          sizes of the sets it was measured from, by name
    on         the split of the data
    low, high  a 95 % interval, as other points would give another number; None if there is none
    features   what points were compared by
    of         what else two numbers must agree in to be compared
    total      the largest possible value of a count
    unit       set if it depends on the data
    """

    value: float
    n: dict[str, int]
    on: str = "test"
    low: float | None = None
    high: float | None = None
    features: str | None = None
    of: str = ""
    total: int | None = None
    unit: str = ""


def mean(values: torch.Tensor, n: dict[str, int], **more: Any) -> Measured:
    """The mean of a value per point [n]; `more` are other fields of `Measured`."""
    count, value = len(values), float(values.double().mean())
    if _too_few(count, n):
        return Measured(value, n, **more)
    if values.dtype == torch.bool:
        low, high = _wilson(value, count)
        return Measured(value, n, low=low, high=high, **more)
    return around(value, float(values.double().std()) / count**0.5, count, n, more)


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's interval (1927) for a share of `count` points, which stays between 0 and 1."""
    scale = 1 + Z**2 / count
    centre = share + Z**2 / (2 * count)
    reach = Z * (share * (1 - share) / count + Z**2 / (4 * count**2)) ** 0.5
    return (centre - reach) / scale, (centre + reach) / scale


def around(
    value: float, error: float, count: int, n: dict[str, int], more: dict[str, Any]
) -> Measured:
    """A number with Student's interval, whose standard error was estimated from `count` numbers.

    There is none without scatter, because that does not prove that the number is exact.
    """
    from scipy.special import stdtrit  # heavy, and only intervals need it

    if _too_few(count, n) or not math.isfinite(error) or error == 0:
        return Measured(value, n, **more)
    reach = float(stdtrit(count - 1, 0.975)) * error
    return Measured(value, n, low=value - reach, high=value + reach, **more)


def _too_few(count: int, n: dict[str, int]) -> bool:
    """Whether the numbers, or the points or pairs behind them, are too few for an interval."""
    sizes = [size for what, size in n.items() if what in ("test", "samples", "pairs")]
    return min([count, *sizes]) < FEWEST


class Parts(NamedTuple):
    """A statistic of all points, and of parts of them.

    `scale` times the spread over the parts is its standard error. Parts are used instead of
    resampling because resampled points would be neighbours of themselves.
    """

    whole: Any
    parts: list[Any]
    scale: float

    def of(self, choose: Callable[[Any], float]) -> "Parts":
        """One number of a statistic that has several."""
        return Parts(choose(self.whole), [choose(part) for part in self.parts], self.scale)

    def measured(self, n: dict[str, int], **more: Any) -> Measured:
        """The number with its interval; without one if the parts do not differ."""
        if len({*self.parts}) < 2:
            return Measured(self.whole, n, **more)
        error = float(torch.tensor(self.parts).double().std()) * self.scale
        return around(self.whole, error, len(self.parts), n, more)


def parts(statistic: Callable[..., Any], *sets: torch.Tensor) -> Parts:
    """A statistic of sets of points, and of ten parts of them.

    A part is all but a tenth (the jackknife, Tukey 1958), or a tenth if there are many points. A
    tenth is every tenth point, because points may be sorted. There are no parts if a tenth would
    have fewer than ten points.
    """
    least = min(map(len, sets))
    jackknife = least <= MANY
    values = []
    for i in range(10 if least >= 100 else 0):
        tenths = [torch.arange(len(points)) % 10 == i for points in sets]
        masks = [~tenth for tenth in tenths] if jackknife else tenths
        values.append(statistic(*(points[mask] for points, mask in zip(sets, masks, strict=True))))
    return Parts(statistic(*sets), values, (9 if jackknife else 1) / 10**0.5)

"""Numbers with the intervals in which other points would have put them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

Z = 1.959964  # standard errors that 95 % of a normal distribution lie within
FEWEST = 3  # points that an interval needs: the spread of two says next to nothing
MANY = 2000  # points above which measuring anew nearly all of them takes long


class Measured(NamedTuple):
    """A number: the sizes `n` of what it was measured from, and the part of the data it is `on`.

    `low` and `high` are a 95 % interval, as other points would give another number. `features` are those that points
    were compared by, `of` what else two numbers must agree in to be compared. `total` is the largest
    value there can be, of a number that counts. `unit` is set where it depends on the data.
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


def mean(values: torch.Tensor, n: dict[str, int], **more) -> Measured:
    """The mean of a value per point [n]."""
    count, value = len(values), float(values.double().mean())
    if _too_few(count, n):
        return Measured(value, n, **more)
    if values.dtype == torch.bool:  # Wilson's (1927), as a share lies between 0 and 1
        scale = 1 + Z**2 / count
        centre, reach = (
            value + Z**2 / (2 * count),
            Z * (value * (1 - value) / count + Z**2 / (4 * count**2)) ** 0.5,
        )
        return Measured(
            value, n, low=(centre - reach) / scale, high=(centre + reach) / scale, **more
        )
    return around(value, float(values.double().std()) / count**0.5, count, n, more)


def around(value: float, error: float, count: int, n: dict[str, int], more: dict) -> Measured:
    """A number with Student's interval for a standard error that was estimated from so many numbers."""
    from scipy.special import stdtrit

    if (
        _too_few(count, n) or not math.isfinite(error) or error == 0
    ):  # which no scatter is no proof of
        return Measured(value, n, **more)
    reach = float(stdtrit(count - 1, 0.975)) * error
    return Measured(value, n, low=value - reach, high=value + reach, **more)


def _too_few(count: int, n: dict[str, int]) -> bool:
    """Whether so many numbers, or the test points, samples or pairs behind them, are too few for an interval."""
    return (
        min([count, *(size for what, size in n.items() if what in ("test", "samples", "pairs"))])
        < FEWEST
    )


class Parts(NamedTuple):
    """What compares points with one another, of all of them and of parts; `scale` times the spread over the parts is its
    standard error. Resampled points would be neighbours of themselves."""

    whole: Any
    parts: list
    scale: float

    def of(self, choose: Callable[[Any], float]) -> "Parts":
        """One number of several."""
        return Parts(choose(self.whole), [choose(part) for part in self.parts], self.scale)

    def measured(self, n: dict[str, int], **more) -> Measured:
        """The number with its interval; without one where the parts do not differ."""
        if len({*self.parts}) < 2:
            return Measured(self.whole, n, **more)
        error = float(torch.tensor(self.parts).double().std()) * self.scale
        return around(self.whole, error, len(self.parts), n, more)


def parts(statistic: Callable[..., Any], *sets: torch.Tensor) -> Parts:
    """A statistic of sets of points, and of parts of them: all but a tenth (the jackknife, Tukey 1958), or where they are
    many, a tenth.

    A tenth are each tenth points, as they may be sorted; there are no parts where that were less than ten.
    """
    least = min(map(len, sets))
    jackknife, found = least <= MANY, []
    for i in range(10 if least >= 100 else 0):
        inside = [torch.arange(len(points)) % 10 == i for points in sets]
        found.append(
            statistic(*(points[~it if jackknife else it] for points, it in zip(sets, inside)))
        )
    return Parts(statistic(*sets), found, (9 if jackknife else 1) / 10**0.5)

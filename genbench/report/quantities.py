"""What a number measures, the number with its interval, and both in words."""

from typing import NamedTuple

from genbench.utils.schema import least_shown
from genbench.utils.text import number

SAMPLES = "samples"  # the group of a report card that depends on what samples are drawn from
SAME = 1e-6  # the relative difference up to which numbers differ only by rounding


class Quantity(NamedTuple):
    """What a number measures. Two numbers may be compared only if they agree in all of this."""

    name: str
    group: str  # the part of the data, or the section of a report card
    on: str = ""
    model: str = ""  # for terms of an objective, which compare only within one model
    n: str = ""  # how many points it was measured from, in words
    features: str = ""
    of: str = ""
    total: float | None = None  # the number that it counts out of
    unit: str = ""
    better: str = ""  # lower, higher or, where that is not known, nothing


class Value(NamedTuple):
    """A number with its 95 % interval, where there is one.

    Over several seeds it is their mean. `lacking` seeds do not have the number, and `within` is the
    average half-width of the interval that each of the other runs measured.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    seeds: int = 1
    lacking: int = 0
    within: float = 0.0


def in_range(quantity: Quantity, value: Value) -> Value:
    """A value for comparing and showing: an estimate of a share, the lower the better, is at least
    0.
    """
    least = least_shown(quantity.unit, quantity.better)
    low, high = (None if end is None else max(end, least) for end in value[1:3])
    return value._replace(mean=max(value.mean, least), low=low, high=high)


def brief_value(value: Value | None) -> str:
    """A number in three digits, and how far its interval over the seeds reaches.

    Of one seed, the interval follows if it is at least as wide as the number is large: the number
    alone would say more than is known.
    """
    if value is None:
        return ""
    spread = ""
    if value.low is not None and value.high is not None:
        if value.seeds > 1:
            spread = f" ± {_reach(value.mean, value.high)}"
        elif value.high - value.low >= abs(value.mean):
            spread = f" ({value.low:.2g} to {value.high:.2g})"
    return brief_number(value.mean) + spread + _lacking(value)


def brief_number(value: float) -> str:
    """A number in three digits, or all of its whole ones."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def full(value: Value | None) -> str:
    """A number in five digits, with how far its interval over the seeds reaches, or its ends."""
    if value is None:
        return ""
    if value.low is None or value.high is None:
        spread = ""
    elif value.seeds > 1:
        spread = f" ± {_reach(value.mean, value.high)}"
    else:
        spread = f" [{value.low:.3g}, {value.high:.3g}]"
    return number(value.mean) + spread + _lacking(value)


def _reach(mean: float, high: float) -> str:
    reach = high - mean
    if reach <= SAME * abs(mean):  # rounding
        return "0"
    return f"{reach:,.0f}" if reach >= 10 else f"{reach:.2g}"


def _lacking(value: Value) -> str:
    return f" ({value.seeds} of {value.seeds + value.lacking} seeds)" if value.lacking else ""

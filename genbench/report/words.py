"""Numbers, settings and lists in words, as tables and sentences of a report show them."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from genbench.config.settings import written
from genbench.utils.text import number

if TYPE_CHECKING:
    from genbench.report.measured import Value

MOST_NAMES = 3  # in a list within a sentence
SAME = 1e-6  # the relative difference up to which numbers differ only by rounding


def short(value: Any) -> str:
    """A value as one types it, without a fraction that says nothing."""
    return f"{value:g}" if isinstance(value, float) else written(value)


def is_number(value: Any) -> bool:
    """Whether a value is a number; True and False are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def printable(value: Any) -> Any:
    """The same nested value, its texts without what would steer a terminal or break a file."""
    if isinstance(value, dict):
        return {printable(k): printable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [printable(v) for v in value]
    if isinstance(value, str):
        return "".join(c if c.isprintable() else "\ufffd" for c in value)
    return value


def slug(text: str) -> str:
    """A text as the name of a file."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip("-.")[:120]


def listed(words: Iterable[str], most: int = MOST_NAMES) -> str:
    """Words as a list in a sentence, which ends with how many more there are."""
    words = [*words]
    if len(words) > most + 1:
        words = [*words[:most], f"{number(len(words) - most)} more"]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def brief(value: "Value | None") -> str:
    """A number in three digits, and how far its interval over the seeds reaches."""
    if value is None:
        return ""
    spread = f" ± {_reach(value)}" if value.seeds > 1 and value.high is not None else ""
    shown = f"{value.mean:,.0f}" if abs(value.mean) >= 1000 else f"{value.mean:.3g}"
    return shown + spread + _lacking(value)


def full(value: "Value | None") -> str:
    """A number in five digits, with how far its interval over the seeds reaches, or its ends."""
    if value is None:
        return ""
    if value.low is None or value.high is None:
        spread = ""
    elif value.seeds > 1:
        spread = f" ± {_reach(value)}"
    else:
        spread = f" [{value.low:.3g}, {value.high:.3g}]"
    return number(value.mean) + spread + _lacking(value)


def _reach(value: "Value") -> str:
    reach = value.high - value.mean
    if reach <= SAME * abs(value.mean):  # rounding
        return "0"
    return f"{reach:,.0f}" if reach >= 10 else f"{reach:.2g}"


def _lacking(value: "Value") -> str:
    return f" ({value.seeds} of {value.seeds + value.lacking} seeds)" if value.lacking else ""


def on_log(values: Iterable[float]) -> bool:
    """Whether an axis of these values is better spaced by their logarithms."""
    tried = sorted(set(values))
    return len(tried) > 1 and tried[-1] > 10 * tried[0] > 0

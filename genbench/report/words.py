"""Numbers, settings and lists in words, as tables and sentences of a report show them."""

import re
from collections.abc import Iterable
from typing import Any, TypeGuard

from genbench.settings.setting import written
from genbench.utils.text import number

MOST_NAMES = 3  # in a list within a sentence


def short(value: Any) -> str:
    """A value as one types it, without a fraction that says nothing."""
    return f"{value:g}" if isinstance(value, float) else written(value)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number; True and False are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def printable(value: Any) -> Any:
    """The same nested value, its texts without what would steer a terminal or break a file."""
    if isinstance(value, dict):
        return {printable(k): printable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [printable(v) for v in value]
    if isinstance(value, str) and not value.isprintable():
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


def on_log(values: Iterable[float]) -> bool:
    """Whether an axis of these values is better spaced by their logarithms."""
    tried = sorted(set(values))
    return len(tried) > 1 and tried[-1] > 10 * tried[0] > 0

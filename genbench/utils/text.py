"""Numbers, sizes, times and paths in words, as people read them."""

import os
import shlex
from pathlib import Path

from genbench.utils.errors import plain


def counted(count: int, noun: str) -> str:
    """A count with its noun, in words: 1 epoch, 2 epochs."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def number(value: float | None, digits: int = 5) -> str:
    """A number with so many significant digits; None, which stands for nan in JSON, is nan."""
    if value is None:
        return "nan"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """A time in words: 0.4 s, 19 s, 3.2 min, 1.5 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"


def aligned(rows: list[list[str]], sides: str) -> list[str]:
    """Rows of cells as lines, in columns as wide as their longest cell.

    `sides` has a character per column: `<` aligns it left, `>` right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths)).rstrip()
        for row in rows
    ]


def quoted(path: Path) -> str:
    """A path as one types it into a shell, relative to the working directory if shorter."""
    relative = os.path.relpath(path)
    shorter = relative if len(relative) < len(str(path)) else str(path)
    if shorter.isprintable():
        return shlex.quote(shorter)
    escaped = plain(shorter.replace("\\", r"\\").replace("'", r"\'"))
    return f"$'{escaped}'"  # escapes that bash, zsh and similar shells read

"""How help is laid out as text: sections, and tables of names with paragraphs on their right."""

import shlex
import textwrap
from collections.abc import Iterable
from shutil import get_terminal_size

HelpRow = tuple[str, list[str]]  # a name, and the paragraphs beside it


def examples_section(*commands: list[str]) -> str:
    """The words of each command as one line."""
    return "\n".join(
        [
            "Examples" if len(commands) > 1 else "Example",
            *(f"  {shlex.join(words)}" for words in commands if words),
        ]
    )


def help_section(title: str, rows: list[HelpRow]) -> str:
    """A title, and a table below it."""
    return "\n".join([*wrapped(title, ""), *help_table(rows)])


def help_table(rows: Iterable[HelpRow]) -> list[str]:
    """Names on the left, and their paragraphs on the right.

    The paragraphs stand below a name that would leave them too little room.
    """
    rows = list(rows)
    gap = min(max((len(name) for name, _ in rows), default=0) + 4, max(28, _width() // 3))
    lines = []
    for name, paragraphs in rows:
        beside = [line for text in paragraphs for line in wrapped(text, " " * gap)]
        if len(name) + 4 <= gap:
            beside[:1] = [f"  {name}".ljust(gap) + "".join(beside[:1])[gap:]]
        else:
            beside.insert(0, f"  {name}")
        lines += [line.rstrip() for line in beside]
    return lines


def indented(text: str) -> str:
    """A paragraph two columns from the left."""
    return "\n".join(wrapped(text, "  "))


def wrapped(text: str, indent: str) -> list[str]:
    """The lines of a paragraph, which is as wide as the terminal allows."""
    return textwrap.wrap(
        text,
        _width(),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _width() -> int:
    return max(60, min(120, get_terminal_size().columns))

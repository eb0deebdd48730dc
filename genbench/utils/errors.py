"""The error that a user reads: a single line that says what is wrong and what to do."""

import sys
from typing import Any

from genbench.utils import torchrun


class UserError(ValueError):
    """Something the user can fix: a setting, a file, the data, a device.

    `key` names the setting or file, `what` says what is wrong with it, `got` is the offending value
    and `fix` what to do. `code` is the exit status: 2 for a wrong request, 1 for a failed run.
    """

    def __init__(self, key: str, what: str, got: Any = None, fix: str = "", code: int = 2) -> None:
        self.key, self.what, self.got, self.fix, self.code = key, what, got, fix, code
        shown = "" if got is None else f" (got {_short(str(got))})"
        line = f"{key}: {what}{shown}" + (f"; fix: {fix}" if fix else "")
        super().__init__(plain(" ".join(line.split())))

    def __reduce__(self) -> tuple:  # launchers pickle the errors of jobs in other processes
        return type(self), (self.key, self.what, self.got, self.fix, self.code)


class Pruned(Exception):
    """A search has ended a run early, as others do better; no failure. Its text says why."""


class ReportedError(UserError):
    """A failure that another process of the run reports, so that this one is silent."""


def plain(text: str) -> str:
    """A text of unknown origin as one line that can be printed and drawn.

    Control characters, line ends and bytes that are not UTF-8 become escapes, as in Python.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(c: str) -> str:
    if c.isprintable():
        return c
    if "\udc80" <= c <= "\udcff":  # what Python makes of a byte of a file's name that is not UTF-8
        return f"\\x{ord(c) - 0xDC00:02x}"
    return c.encode("unicode_escape").decode()


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."


def report(error: UserError) -> None:
    """Print the one line of a failure, unless another process prints it."""
    if not isinstance(error, ReportedError):
        # What processes other than the first print goes nowhere, but for this.
        stream = sys.__stderr__ if torchrun.is_follower() else sys.stderr
        print(f"genbench: error: {error}", file=stream, flush=True)


def lacks_memory(error: BaseException) -> bool:
    """Whether an error of Python or torch says that there is not enough memory."""
    return (
        isinstance(error, MemoryError)
        or "allocate memory" in str(error)
        or "Storage size calculation overflowed" in str(error)
        or "CUDA out of memory" in str(error)
    )


def unexpected(error: BaseException) -> UserError:
    """The line for an error that no code foresaw. Its traceback goes to a file that it names."""
    import tempfile
    import traceback

    if lacks_memory(error):
        return UserError("memory", "does not suffice", fix="ask for less at once", code=1)
    with tempfile.NamedTemporaryFile(
        "w", prefix="genbench-", suffix=".log", encoding="utf-8", delete=False
    ) as file:
        file.writelines(traceback.format_exception(error))
    return UserError(
        "unexpected",
        f"{type(error).__name__}: {error}",
        fix=f"see the traceback in {file.name}",
        code=1,
    )

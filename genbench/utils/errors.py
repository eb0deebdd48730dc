"""The one kind of error a user is meant to read: a single line that says what to do."""

import sys


class UserError(ValueError):
    """Something the user can mend: a setting, a file, the data, a device.

    `key` names the setting or file, `what` says what is wrong with it, `got` is the offending value and `fix`
    what to do. `code` is the exit status: 2 for a wrong request, 1 for a run that failed underway.
    """

    def __init__(self, key: str, what: str, got=None, fix: str = "", code: int = 2):
        self.key, self.what, self.got, self.fix, self.code = key, what, got, fix, code
        shown = "" if got is None else f" (got {_short(str(got))})"
        line = f"{key}: {what}{shown}" + (f"; fix: {fix}" if fix else "")
        super().__init__(plain(" ".join(line.split())))

    def __reduce__(self):  # launchers that run jobs in other processes send errors back pickled
        return type(self), (self.key, self.what, self.got, self.fix, self.code)


def plain(text: str) -> str:
    """A text of anybody as one line that can be printed and drawn.

    Control characters, line ends and bytes of names that are not UTF-8 become escapes, as in Python.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(c: str) -> str:
    if c.isprintable():
        return c
    if "\udc80" <= c <= "\udcff":  # what Python makes of a byte of a file's name that is not UTF-8
        return f"\\x{ord(c) - 0xDC00:02x}"
    return c.encode("unicode_escape").decode()


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def report(error: UserError) -> None:
    """The one line a failure prints."""
    print(f"genbench: error: {error}", file=sys.stderr, flush=True)


def lacks_memory(error: BaseException) -> bool:
    """Whether an error, which may be torch's own for a CPU or a GPU, says that the memory does not suffice."""
    return (
        isinstance(error, MemoryError)
        or "allocate memory" in str(error)
        or "CUDA out of memory" in str(error)
    )


def unexpected(error: BaseException) -> UserError:
    """The error for one that nobody foresaw: its traceback goes to a file, which the line names."""
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

"""Open regular files and nothing else, so that no link is followed and no pipe is waited for."""

import errno
import os
import stat
from pathlib import Path

from genbench.utils.errors import UserError

CHUNK = 1 << 22  # bytes between two looks at whether to stop
KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotAFile(OSError):
    """A link, folder, pipe, socket or device where a regular file should be."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(errno.EINVAL, f"it is {kind}", str(path))


class Unreadable(UserError):
    """A file is lost or damaged: missing, not a regular file, too large, or of the wrong form."""

    def __init__(
        self,
        path: Path | str,
        what: str,
        fix: str = "bring back an undamaged copy, or move it away",
    ) -> None:
        super().__init__(str(path), what, fix=fix)

    def __reduce__(self) -> tuple:
        return type(self), (self.key, self.what, self.fix)


def kind(path: Path) -> str:
    """What is at `path` instead of a regular file; empty if there is a regular file, or nothing."""
    try:
        return KINDS.get(stat.S_IFMT(os.lstat(path).st_mode), "")
    except OSError:
        return ""


def opened(path: Path, flags: int = os.O_RDONLY, links: bool = False) -> int:
    """Open the regular file at `path` and return its descriptor, which the caller closes.

    A link may lead to somebody else's file, and a pipe or a device may wait forever, so these are
    never opened. With `links`, a link to a regular file is allowed: a user may choose such data.
    Raises OSError if there is nothing, and NotAFile for anything else than a regular file.
    """
    other = "" if links else kind(path)
    if other:
        raise NotAFile(path, other)
    file = os.open(path, flags | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW), 0o666)
    mode = os.fstat(file).st_mode
    if not stat.S_ISREG(mode):  # behind a link, or because it has changed since
        os.close(file)
        raise NotAFile(path, KINDS.get(stat.S_IFMT(mode), "no regular file"))
    return file

"""Append to files and change them in place: whole lines or nothing, and only our own files."""

import os
from collections.abc import Callable
from pathlib import Path

from genbench.utils.files.opening import CHUNK, kind, opened
from genbench.utils.files.writing import CannotWrite, replace, set_aside

MAX_COPIED = 1 << 30  # bytes of a file that is copied because it has a second name


def _open_own(path: Path, flags: int = os.O_CREAT) -> int:
    """Open the file at `path` for changes in place and return its descriptor.

    A file may have a second name elsewhere, as in copies made by `cp -l`. It is replaced by a copy
    first, so that the other name keeps its content, or set aside if it is too large to copy.
    """
    flags |= os.O_RDWR | os.O_APPEND
    file = opened(path, flags)
    status = os.fstat(file)
    if status.st_nlink == 1:
        return file
    with open(file, "rb") as content:
        if status.st_size > MAX_COPIED:
            set_aside(path, f"has a second name and {status.st_size:,} bytes")
        else:
            replace(path, iter(lambda: content.read(CHUNK), b""), status.st_size)
    return opened(path, flags)


def append(path: Path, content: bytes) -> None:
    """Add all of `content` to a file, or raise CannotWrite and add nothing."""
    try:
        file = _open_own(path)
    except OSError as error:
        raise CannotWrite.because(error, path, len(content)) from error
    before = os.fstat(file).st_size
    try:
        remaining = memoryview(content)
        while remaining:  # a disk that is nearly full takes a part of it
            remaining = remaining[os.write(file, remaining) :]
    except OSError as error:
        os.ftruncate(file, before)
        raise CannotWrite.because(error, path, len(content)) from error
    finally:
        os.close(file)


def truncate(path: Path, size: int) -> None:
    """Cut a file to `size` bytes."""
    _in_place(path, size, lambda file: os.ftruncate(file, size))


def sync(path: Path) -> None:
    """Force what was appended to a file onto the disk."""
    _in_place(path, 0, os.fsync)


def _in_place(path: Path, size: int, change: Callable[[int], None]) -> None:
    try:
        file = _open_own(path, 0)
        try:
            change(file)
        finally:
            os.close(file)
    except OSError as error:
        raise CannotWrite.because(error, path, size) from error


class AppendOnlyFile:
    """A file that this process appends to, which notices when somebody else changes it."""

    def __init__(self, path: Path) -> None:
        """Continue the file, or create it. Anything but a regular file is set aside.

        Raises CannotWrite if there is no room.
        """
        self.path = path
        if kind(path):
            set_aside(path)
        self.append(b"")

    def append(self, content: bytes) -> None:
        """Add all of `content`, or raise CannotWrite and add nothing."""
        append(self.path, content)
        self._seen = self._identity()

    def truncate(self, size: int) -> None:
        """Cut it to `size` bytes."""
        truncate(self.path, size)
        self._seen = self._identity()

    @property
    def is_unchanged(self) -> bool:
        """Whether nobody else has removed, replaced or changed the file."""
        return self._identity() == self._seen and not kind(self.path)

    @property
    def still_exists(self) -> bool:
        """Whether the file is the same, though others may have appended to it."""
        *identity, size = self._identity()
        same = identity == [*self._seen[:2]]
        # A new file may get the inode number of a removed one, but is shorter.
        return same and size >= self._seen[2] and not kind(self.path)

    def _identity(self) -> tuple[int, int, int]:
        try:
            status = os.lstat(self.path)
        except OSError:
            return -1, -1, -1
        return status.st_dev, status.st_ino, status.st_size

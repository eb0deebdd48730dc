"""The lock of a folder, which one process holds at a time.

We lock with `lockf` instead of the package filelock, whose `flock` outlives a killed process while
its children live. Besides, filelock does not name the process that holds the lock, and does not
notice a folder that is replaced while it is locked.
"""

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from genbench.utils.errors import UserError
from genbench.utils.files import CannotWrite, folder_error, kind, opened, set_aside, write

OWNER = re.compile(rb"\d{0,20}\0*")  # the content of a lock: the number of a process, or nothing
HEAD = 64  # bytes by which a lock is recognised


def is_lock(path: Path) -> bool:
    """Whether a run may lock the file at `path`: it is missing, not regular, or such a lock."""
    with suppress(OSError), open(opened(path), "rb") as file:
        return OWNER.fullmatch(file.read(HEAD)) is not None
    return True


_held: set[tuple[int, int]] = set()  # device and inode of the locks that this process holds


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder. Nothing is written.

    A lock of this process is known without opening its file, because closing that would end it.
    """
    path = folder / ".lock"
    with suppress(OSError):
        if _place(os.lstat(path)) in _held:
            return True
        with open(opened(path), "rb") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


def _place(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


class InUse(UserError):
    """Another process holds the folder."""


class Lock:
    """The lock of a folder, held until it is released or the process ends, however it ends."""

    def __init__(self, folder: Path, setting: str = "hydra.run.dir") -> None:
        """`setting` is the one that chooses another folder, which errors name."""
        self.folder = folder
        self.fix = f"choose another {setting}=FOLDER"
        self.file: TextIO | None = None
        # An open descriptor keeps the folder's inode number from being given to another folder.
        self.descriptor: int | None = None

    def acquire(self) -> None:
        """Make the folder and lock it. InUse if another process holds it, else UserError."""
        self.release()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            while not self._lock_file(self.folder / ".lock"):
                pass
            self.descriptor = os.open(self.folder, os.O_RDONLY)
        except OSError as error:
            raise folder_error(error, self.folder, self.fix) from error

    def _lock_file(self, path: Path) -> bool:
        """Lock the file at `path`; False if it was replaced meanwhile: the caller tries again."""
        if kind(path):
            set_aside(path)
        flags = os.O_RDWR | os.O_CREAT
        file = open(opened(path, flags), "r+", errors="replace")  # noqa: SIM115 (stays open)
        descriptor = file.fileno()
        if OWNER.fullmatch(os.pread(descriptor, HEAD, 0)) is None:
            file.close()
            set_aside(path, "was written by another program")
            return False
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = file.read(20).strip()
            file.close()
            what = f"process {owner if owner.isdecimal() else 'another'} is at work here"
            raise InUse(str(self.folder), what, fix=f"wait for it, or {self.fix}") from None
        self.file = file
        _held.add(_place(os.fstat(descriptor)))
        if self.held and os.fstat(descriptor).st_nlink == 1:
            return True
        if self.held:  # a copy made by `cp -l` shares the file
            write(path, b"")
        self.release()
        return False

    @property
    def held(self) -> bool:
        """Whether the lock is still in its place: it, or the folder, may have been removed."""
        if self.file is None:
            return False
        try:
            place = os.lstat(self.folder / ".lock")
            return os.path.samestat(os.fstat(self.file.fileno()), place)
        except OSError:
            return False

    @property
    def moved(self) -> bool:
        """Whether another folder has taken the place of the one that was locked."""
        if self.descriptor is None:
            return False
        try:
            return not os.path.samestat(os.fstat(self.descriptor), os.stat(self.folder))
        except OSError:
            return False

    def write_owner(self) -> None:
        """Write the number of this process into the lock, for others to see.

        CannotWrite if there is no room. Nothing is buffered, as closing the lock would write it.
        """
        assert self.file is not None
        owner = str(os.getpid()).encode()
        try:
            os.ftruncate(self.file.fileno(), 0)
            os.pwrite(self.file.fileno(), owner, 0)
        except OSError as error:
            raise CannotWrite.because(error, self.folder / ".lock", len(owner)) from error

    def release(self) -> None:
        """Unlock the folder."""
        if self.file is not None:
            _held.discard(_place(os.fstat(self.file.fileno())))
            self.file.close()
            self.file = None
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

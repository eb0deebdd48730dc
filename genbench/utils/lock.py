"""The lock of a folder, which one process holds at a time.

Locks of the file system hold on one machine. On others they may not be seen, or not exist. So the
file names the machine, and its time is renewed as long as the process lives: where another machine
is named, a time that is still renewed stands for the lock.

We lock with `lockf` instead of the package filelock, whose `flock` outlives a killed process while
its children live. Besides, filelock does not name the process that holds the lock, and does not
notice a folder that is replaced while it is locked.
"""

import errno
import fcntl
import os
import re
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.files import CannotWrite, folder_error, kind, opened, set_aside, write

# The content of a lock: the number of a process and the name of its machine, or nothing.
OWNER = re.compile(rb"(?:(\d{1,20})(?: ([\w.-]{1,255}))?)?\0*")
HEAD = 300  # bytes by which a lock is recognised
BEAT = 10.0  # seconds after which the time of a lock is renewed
SILENCE = 60.0  # seconds without that, after which a process of another machine is gone
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # of a file system without locks


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
            is_free = _is_lockable(file.fileno(), fcntl.LOCK_SH)
            if is_free is False:
                return True
            _, machine = _owner(file.fileno())
            if machine and (is_free is None or machine != _machine()):
                return time.time() - os.fstat(file.fileno()).st_mtime < SILENCE
    return False


def _is_lockable(descriptor: int, kind_of_lock: int) -> bool | None:
    """Whether a file can be locked, which it is then. None if the file system has no locks."""
    try:
        fcntl.lockf(descriptor, kind_of_lock | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def _owner(descriptor: int) -> tuple[str, str]:
    """The process and the machine that a lock names; empty where it names none."""
    found = OWNER.fullmatch(os.pread(descriptor, HEAD, 0))
    return ((found[1] or b"").decode(), (found[2] or b"").decode()) if found else ("", "")


def _machine() -> str:
    """The name of this machine, as locks have it."""
    return re.sub(r"[^\w.-]", "-", socket.gethostname())[:255]


def _is_renewed(path: Path) -> bool:
    """Whether a process renews the time of a lock. It takes a while to see that none does."""
    ends, first = time.monotonic() + 2.5 * BEAT, _time_of(path)
    while time.monotonic() < ends:
        signals.check()
        if _time_of(path) != first:
            return True
        time.sleep(0.1)
    return False


def _time_of(path: Path) -> int:
    """When a file was changed. It is opened, as network file systems look at the server then."""
    with open(opened(path), "rb") as file:
        return os.fstat(file.fileno()).st_mtime_ns


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
        self.released = threading.Event()
        self.renewing: threading.Thread | None = None

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
        (owner, machine), is_free = _owner(descriptor), _is_lockable(descriptor, fcntl.LOCK_EX)
        is_elsewhere = bool(machine) and (is_free is None or machine != _machine())
        if is_free is False or (is_elsewhere and _is_renewed(path)):
            file.close()
            place = f" of {machine}" if is_elsewhere else ""
            what = f"process {owner or 'another'}{place} is at work here"
            raise InUse(str(self.folder), what, fix=f"wait for it, or {self.fix}")
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
        """Write this process and its machine into the lock, for others to see, and renew its time.

        CannotWrite if there is no room. Nothing is buffered, as closing the lock would write it.
        """
        assert self.file is not None
        owner = f"{os.getpid()} {_machine()}".encode()
        try:
            os.ftruncate(self.file.fileno(), 0)
            os.pwrite(self.file.fileno(), owner, 0)
        except OSError as error:
            raise CannotWrite.because(error, self.folder / ".lock", len(owner)) from error
        if self.renewing is None:
            self.released.clear()
            self.renewing = threading.Thread(target=self._renew, daemon=True)
            self.renewing.start()

    def _renew(self) -> None:
        while not self.released.wait(BEAT):
            with suppress(OSError, AttributeError, ValueError):
                os.utime(self.file.fileno())  # type: ignore[union-attr]

    def release(self) -> None:
        """Unlock the folder. It names nobody then, so that no other machine waits."""
        if self.renewing is not None:
            self.released.set()
            self.renewing.join()
            self.renewing = None
            with suppress(OSError, AttributeError, ValueError):
                os.ftruncate(self.file.fileno(), 0)  # type: ignore[union-attr]
        if self.file is not None:
            _held.discard(_place(os.fstat(self.file.fileno())))
            self.file.close()
            self.file = None
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

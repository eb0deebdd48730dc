"""The lock of a run's folder: one process at a time."""

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

from genbench.utils.errors import UserError
from genbench.utils.files import folder_error, kind, opened, set_aside, write

OWNER = re.compile(rb"\d{0,20}\0*")  # all that a lock holds: the number of a process, if that
HEAD = 64  # bytes by which a lock is told from another program's file


def is_lock(path: Path) -> bool:
    """Whether a run may lock the file at `path`: there is none, no regular one, or one that a run wrote."""
    with suppress(OSError), open(opened(path), "rb") as file:
        return OWNER.fullmatch(file.read(HEAD)) is not None
    return True


class Lock:
    """A folder held by one process, until it lets go or ends, however it ends.

    `lockf` rather than `flock`, which lives on in a killed process's children.
    """

    def __init__(self, folder: Path, setting: str = "hydra.run.dir"):
        """`setting` is the one that chooses another folder, which an error names."""
        self.folder, self.setting, self.file = folder, setting, None
        self.place: int | None = (
            None  # the folder that was taken, held open lest another gets its number
        )

    def take(self) -> None:
        """UserError if another process holds the folder, or it cannot be written."""
        elsewhere = f"choose another {self.setting}=FOLDER"
        self.release()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            while not self._hold(self.folder / ".lock", elsewhere):
                pass
            self.place = os.open(self.folder, os.O_RDONLY)
        except OSError as error:
            raise folder_error(error, self.folder, elsewhere) from error

    def _hold(self, path: Path, elsewhere: str) -> bool:
        """Lock the file at `path`; False if somebody has replaced it meanwhile, so that it is to be tried again."""
        if kind(path):
            set_aside(path)
        file = open(opened(path, os.O_RDWR | os.O_CREAT), "r+", errors="replace")  # noqa: SIM115 (closing it would let go)
        if OWNER.fullmatch(os.pread(file.fileno(), HEAD, 0)) is None:
            file.close()
            set_aside(path, "was written by another program")
            return False
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = file.read(20).strip()
            file.close()
            what = f"process {owner if owner.isdecimal() else 'another'} is at work here"
            raise UserError(str(self.folder), what, fix=f"wait for it, or {elsewhere}") from None
        self.file = file
        if self.held and os.fstat(file.fileno()).st_nlink == 1:
            return True
        if self.held:  # a copy made by `cp -l` has the same file
            write(path, b"")
        self.release()
        return False

    @property
    def held(self) -> bool:
        """Whether the lock at this path is the one that was taken; not so if it, or the folder, was removed or replaced."""
        try:
            return self.file is not None and os.path.samestat(
                os.fstat(self.file.fileno()), os.lstat(self.folder / ".lock")
            )
        except OSError:
            return False

    @property
    def moved(self) -> bool:
        """Whether there is a folder at this path, and another one than that which was taken."""
        try:
            return self.place is not None and not os.path.samestat(
                os.fstat(self.place), os.stat(self.folder)
            )
        except OSError:
            return False

    def sign(self) -> None:
        """Tell others whose it is."""
        self.file.seek(0)
        self.file.truncate()
        self.file.write(str(os.getpid()))
        self.file.flush()

    def release(self) -> None:
        """Let go."""
        if self.file is not None:
            self.file.close()
            self.file = None
        if self.place is not None:
            os.close(self.place)
            self.place = None

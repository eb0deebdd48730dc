"""Write whole files so that a crash or a full disk leaves the old file or the new one.

Libraries for atomic writes rename a temporary file. None of them also forces the folder onto the
disk, sets aside what is no regular file, and says how much room is needed, so this is our own.
"""

import errno
import json
import logging
import math
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from genbench.utils.errors import UserError
from genbench.utils.files.opening import NotAFile, kind

FULL = (errno.ENOSPC, errno.EDQUOT)
TEMPORARY = re.compile(r"\..+\.genbench-\d+\.tmp")  # no name that another program gives


class CannotWrite(UserError):
    """A file that there is no room or no permission for."""

    @classmethod
    def because(cls, error: OSError, path: Path, size: int) -> "CannotWrite":
        """The error for `size` bytes that the system refused to write."""
        what = f"cannot be written: {error.strerror or error}"
        fix = "choose another folder, then repeat the command"
        if not os.path.isdir(path.parent):
            what = "cannot be written: its folder is gone"
            fix = "bring the folder back or choose another, then repeat the command"
        elif isinstance(error, NotAFile):
            fix = "move it away, then repeat the command"
        elif error.errno == errno.EFBIG:
            what += f"; it takes {size:,} bytes"
            fix = "allow larger files (see 'ulimit -f'), then repeat the command"
        elif error.errno in FULL:
            free = shutil.disk_usage(path.parent).free
            what += f"; it takes {size:,} bytes, and {free:,} bytes are free"
            fix = "make room, then repeat the command"
        return cls(str(path), what, fix=fix, code=1)


def write(path: Path, content: bytes) -> None:
    """Replace the file at `path`. A crash at any moment leaves either the old file or the new one.

    A temporary file in the same folder is written, synced and renamed; then the folder is synced,
    because the rename itself must reach the disk. Anything but a regular file is set aside.
    Raises CannotWrite if the disk is full or the folder cannot be written.
    """
    replace(path, [content], len(content))


def temporary_of(path: Path) -> Path:
    """Where this process writes `path` before it renames it; see `sweep_temporaries`."""
    return path.with_name(f".{path.name}.genbench-{os.getpid()}.tmp")


def replace(path: Path, pieces: Iterable[bytes], size: int) -> None:
    """Write as `write` does, for `size` bytes that come piece by piece."""
    temporary = temporary_of(path)
    try:
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        if kind(path):
            set_aside(path)
        rename(temporary, path)
    except OSError as error:
        if not kind(temporary):
            with suppress(OSError):  # a read-only file system does not let one remove files either
                temporary.unlink(missing_ok=True)
        raise CannotWrite.because(error, path, size) from error


def rename(temporary: Path, path: Path) -> None:
    """Rename a synced file to `path`, and force the rename onto the disk."""
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def set_aside(path: Path, why: str = "") -> Path:
    """Rename what is at `path` to NAME.damaged, warn, and return the new path; delete nothing."""
    from genbench.utils.console import echo  # lazy, because rich takes a while to import

    why = why or f"is {kind(path) or 'damaged'}"
    # TensorBoard reads every file with the word "tfevents" in its name.
    name = path.name.replace("tfevents", "events")
    numbers = ["", *(f"-{i}" for i in range(2, 1000))]
    names = (path.with_name(f"{name}.damaged{number}") for number in numbers)
    aside = next(name for name in names if not os.path.lexists(name))
    os.rename(path, aside)
    text = f"warning: {path.name} {why}, and set aside as {aside.name}"
    logging.getLogger("genbench").info(text)
    echo(text)
    return aside


def sweep_temporaries(folder: Path) -> None:
    """Remove the temporary files of a crashed `write`. The caller holds the folder's lock."""
    for stale in folder.glob(".*.tmp"):
        if TEMPORARY.fullmatch(stale.name) and not kind(stale):
            stale.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON (NaN and infinities become null)."""
    write(path, (json.dumps(finite(value), indent=2, allow_nan=False) + "\n").encode())


def finite(value: Any) -> Any:
    """The same nested value with every number that JSON cannot hold replaced by None."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Durable files: whatever a run writes is written here. A file is either all there or not there, and a line likewise."""

import json
import math
import os
import shutil
from pathlib import Path

from .errors import UserError


class CannotWrite(UserError):
    """A file that there is no room or no permission for."""

    @classmethod
    def because(cls, error: OSError, path: Path, size: int) -> "CannotWrite":
        """The error for `size` bytes that the system refused to take."""
        try:
            free = f"{shutil.disk_usage(path.parent).free:,} bytes are free"
        except OSError:
            free = "its folder is gone"
        what = f"cannot be written: {error.strerror or error}; it takes {size:,} bytes, and {free}"
        return cls(str(path), what, fix="make room, then repeat the command", code=1)


def write(path: Path, content: bytes) -> None:
    """Replace `path` by `content` so that a crash at any moment leaves either the old file or the new one.

    A temporary in the same folder is written and synced, then renamed over the target, then the folder is synced
    (the rename itself must reach the disk). Raises CannotWrite when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        rename(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CannotWrite.because(error, path, len(content)) from error


def rename(temporary: Path, path: Path) -> None:
    """Let a synced file be the one at `path`, and the disk know."""
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def append(path: Path, content: bytes) -> None:
    """Add `content` to a file, or on CannotWrite nothing of it."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise CannotWrite.because(error, path, len(content)) from error
    before = os.fstat(file).st_size
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]  # a disk that is nearly full takes a part
    except OSError as error:
        os.ftruncate(file, before)
        raise CannotWrite.because(error, path, len(content)) from error
    finally:
        os.close(file)


def sync(path: Path) -> None:
    """Force what was appended to a file onto the disk."""
    try:
        with open(path, "ab") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise CannotWrite.because(error, path, 0) from error


def write_json(path: Path, value) -> None:
    """Write strict JSON (NaN and infinities become null)."""
    write(path, (json.dumps(finite(value), indent=2, allow_nan=False) + "\n").encode())


def finite(value):
    """The same nested value with every number that JSON cannot hold replaced by None."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sweep_temporaries(folder: Path) -> None:
    """Remove what a crash inside `write` left behind. Call it only while holding the run's lock."""
    for stale in folder.glob(".*.tmp"):
        stale.unlink(missing_ok=True)

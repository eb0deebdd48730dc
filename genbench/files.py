"""Durable files: whatever a run writes whole is written here, and is either all there or not there."""

import json
import math
import os
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Replace `path` by `content` so that a crash at any moment leaves either the old file or the new one.

    A temporary in the same folder is written and synced, then renamed over the target, then the folder is synced
    (the rename itself must reach the disk). Raises OSError when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sync(path: Path) -> None:
    """Force what was appended to a file onto the disk."""
    with open(path, "ab") as file:
        os.fsync(file.fileno())


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

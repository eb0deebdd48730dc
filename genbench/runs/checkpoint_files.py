"""Checkpoint files by their names, which say how far the run was and carry a SHA-256.

Nothing here imports torch: a command finds out in an instant whether a run is done.
"""

import os
import re
from pathlib import Path

from genbench.utils.files import Unreadable, digest_of, opened
from genbench.utils.memory import MEMORY

NAME = re.compile(r"checkpoint-(\d{6,})-(\d{6,})-([0-9a-f]{64})\.pt")
ARCHIVE_END = b"PK\5\6"  # the first of the last 22 bytes of a file that torch writes


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, newest first by the epochs and batches in their names."""
    found = []
    for path in folder.glob("checkpoint-*.pt"):
        match = NAME.fullmatch(path.name)
        if match:
            found.append((int(match[1]), int(match[2]), path.name, path))
    return [path for *_, path in sorted(found, reverse=True)]


def is_intact(path: Path) -> bool:
    """Whether the SHA-256 of a file is the one that its name ends in."""
    try:
        return _ends_like_an_archive(path) and digest_of(path, MEMORY) == path.stem[-64:]
    except Unreadable:
        return False


def _ends_like_an_archive(path: Path) -> bool:
    """Tell a file that was cut or filled with zeros at a glance, even if it has 50 GB."""
    try:
        with open(opened(path), "rb") as file:
            file.seek(-22, os.SEEK_END)
            return file.read(4) == ARCHIVE_END
    except OSError:
        return False

"""The latest of a run that may be at work: its newest epoch, without reading all of its files."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from genbench.utils.files import opened
from genbench.utils.schema import point

TAIL = 1 << 14  # bytes at the end of metrics.jsonl, in which the last line is whole


def last_point(folder: Path) -> dict[str, Any]:
    """The last whole line of metrics.jsonl: an epoch, and terms by part; empty if there is none."""
    with suppress(OSError, ValueError), open(opened(folder / "metrics.jsonl"), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - TAIL))
        *lines, _ = file.read(TAIL).split(b"\n")
        for line in reversed(lines):
            found = json.loads(line)
            if point(found):
                return found
    return {}

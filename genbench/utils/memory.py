"""How much memory this machine has, and the refusal of what cannot fit it."""

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from genbench.utils.errors import UserError

# Where Linux says how much a container may use: "max", or a number too large, is no limit.
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def _memory() -> int:
    """Bytes of memory of this machine, or that this program's container may use."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in LIMITS:
        with suppress(OSError, ValueError):
            found.append(int(Path(file).read_text(encoding="ascii")))
    return min(found)


MEMORY = _memory()


def require_room(key: str, what: str, size: float, got: Any, fix: str, half: bool = False) -> None:
    """UserError about a setting `key` whose value makes something of more bytes than fit the
    memory, or half of it.
    """
    room = MEMORY / 2 if half else MEMORY
    if size > room:
        takes = f"{size / 2**30:,.3g} GiB" if math.isfinite(size) else "more than 8 EiB"
        has = f"{room / 2**30:,.3g} GiB"
        whole = f"half of this machine's is {has}" if half else f"this machine has {has}"
        raise UserError(key, f"{what} would take {takes} of memory, and {whole}", got, fix)

"""How much memory this machine has, and the refusal of what cannot fit it."""

import math
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from genbench.utils.errors import UserError

CONTROL_GROUPS = "/sys/fs/cgroup"
# What Linux calls the most that a control group may use, by the version of such groups. The content
# is "max", or a number too large, where there is no limit.
LIMITS = {"2": "memory.max", "1": "memory.limit_in_bytes"}


def memory(groups: str = CONTROL_GROUPS, own: str = "/proc/self/cgroup") -> int:
    """Bytes of memory of this machine, or that this program, its container or its job may use.

    The limits are those of `ulimit`, of the control group (as of a container or of a job on a
    cluster), and of the groups above it.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft = resource.getrlimit(kind)[0]
        if soft != resource.RLIM_INFINITY:
            found.append(soft)
    for file in _limit_files(Path(groups), Path(own)):
        with suppress(OSError, ValueError):
            found.append(int(file.read_text(encoding="ascii")))
    return min(found)


def _limit_files(groups: Path, own: Path) -> Iterator[Path]:
    """The files that may hold limits; in a container, the groups of a program may be at the top."""
    yield from (groups / LIMITS["2"], groups / "memory" / LIMITS["1"])
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                root = groups / controllers
                name = LIMITS["1" if controllers else "2"]
                inside = [root / path.lstrip("/"), *(root / path.lstrip("/")).parents]
                yield from (folder / name for folder in inside if folder.is_relative_to(root))


MEMORY = memory()


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

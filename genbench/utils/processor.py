"""The processor of this machine."""

import platform
from functools import cache
from pathlib import Path


@cache
def made_by_amd() -> bool:
    """Whether AMD made this processor; False where the system does not say who did."""
    cpuinfo = Path("/proc/cpuinfo")  # on Linux; on Windows Python knows
    text = cpuinfo.read_text() if cpuinfo.exists() else platform.processor()
    return "AuthenticAMD" in text

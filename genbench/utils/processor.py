"""The processor of this machine."""

import platform
from functools import cache
from pathlib import Path


@cache
def made_by_amd() -> bool:
    """Whether it is one of AMD's, as far as the system tells."""
    told = Path("/proc/cpuinfo")  # Linux; Windows and macOS tell it to Python
    return "AuthenticAMD" in (told.read_text() if told.exists() else platform.processor())

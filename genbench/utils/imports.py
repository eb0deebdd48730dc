"""Importing: large libraries in less time, and what a YAML file names by its dotted path."""

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from genbench.utils.errors import UserError


def locate(path: str, key: str) -> Any:
    """The object at a dotted path; UserError that names the setting `key` if there is none."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        fix = "correct the path or install the module"
        raise UserError(key, f"cannot be imported: {error}", path, fix) from error


@contextmanager
def importing() -> Iterator[None]:
    """Let no garbage be collected while large libraries are imported.

    They make very many objects and no garbage, which takes a third of the time to find out.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

"""Importing: large libraries in less time, and what a YAML file names by its dotted path."""

import gc
import importlib
import importlib.util
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


def optional(module: str, extra: str, key: str) -> Any:
    """A module that only some users have; UserError naming the extra of genbench that installs it.

    `key` is the setting or command that needs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        what = f"needs {module.partition('.')[0]}: {error}"
        raise UserError(key, what, fix=pip_line(extra)) from error


def is_installed(*modules: str) -> bool:
    """Whether all of these modules can be found, without importing them."""
    return all(importlib.util.find_spec(module) is not None for module in modules)


def pip_line(extra: str) -> str:
    """The command that installs an extra of genbench."""
    return f"pip install 'genbench[{extra}]'"


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


def imported_extra(name: str, what: str, extra: str = "tables") -> Any:
    """An optional package. UserError that says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        fix = f"pip install 'genbench[{extra}]'"
        raise UserError(name, f"is needed to read {what} and is not installed", fix=fix) from error

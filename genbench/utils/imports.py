"""Importing what a YAML file names by its dotted path: a model's class, a dataset's loader."""

import importlib
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

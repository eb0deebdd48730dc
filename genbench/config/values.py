"""The values of settings by dotted name, and numbers in YAML as Hydra reads them."""

import re
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as it is to Hydra."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), [*"-+0123456789"]
)


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

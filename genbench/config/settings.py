"""What settings are called: dotted names, the names that others use, and the nearest one to a misspelt name."""

import re
from typing import Any

import yaml

FIXED = {
    "model.name",
    "model.class",
    "dataset.name",
    "dataset.loader",
    "dataset.kind",
}  # set by a YAML file, not by a user


class Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as it is to Hydra."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), [*"-+0123456789"]
)


class Settings(dict):
    """A model's or dataset's settings, read as attributes; `lambda`, a word of Python, as `s["lambda"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

"""Other names that settings are accepted under: all data of one's own are in `dataset.path`.

They are replaced at the entrance, so that files of runs know one name only.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from genbench.config.registry import Registry


def with_declared_names(given: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """Settings by the names that their dataset declares, which `given` may choose."""
    datasets = [given.get("dataset") or registry.default_choice("dataset")]
    return {_declared(name, datasets, registry): value for name, value in given.items()}


def words_with_declared_names(words: Iterable[str], registry: Registry) -> list[str]:
    """The same for the words of a command, each NAME=VALUE; a sweep may choose several datasets."""
    words = [*words]
    chosen = [word.partition("=")[2] for word in words if word.startswith("dataset=")]
    datasets = [name for value in chosen for name in value.split(",")]
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        found.append(f"{_declared(name, datasets, registry)}{equals}{value}")
    return found


def _declared(name: str, datasets: Iterable[Any], registry: Registry) -> str:
    """The name that the first of these datasets has for a setting; the name itself where none has
    another.
    """
    if not name.startswith("dataset."):
        return name
    for dataset in datasets:
        if dataset not in registry.readable("dataset"):
            continue
        known = registry.settings(f"dataset/{dataset}")
        other = next((s.name for s in known.values() if name in s.other_names), None)
        if name not in known and other is not None:
            return other
    return name

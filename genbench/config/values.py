"""The values of settings by dotted name, and YAML as Hydra reads it."""

import re
from typing import Any

import yaml

from genbench.utils.files.parsing import BoundedLoader

DATE = "tag:yaml.org,2002:timestamp"


class Loader(BoundedLoader):
    """YAML as Hydra reads it: 1e-3 is a number, a date is text, and no key comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node. ConstructorError, as for all damaged YAML, if a key repeats."""
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":  # which merges mappings
                if key.value in keys:
                    problem = f"the key {key.value} is there twice, again"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                keys.add(key.value)
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), [*"-+0123456789"]
)
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != DATE]
    for first, resolvers in Loader.yaml_implicit_resolvers.items()
}


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

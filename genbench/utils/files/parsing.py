"""Parse JSON and YAML of unknown origin within bounds on depth and size."""

import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from genbench.utils.files.opening import Unreadable

MAX_DEPTH = 50  # levels of a nested value
MAX_VALUES = 200_000  # in a nested value, where an alias counts as all that it stands for
UNPARSABLE = (
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    OverflowError,
    RecursionError,
    MemoryError,
    yaml.YAMLError,
)  # what parsers raise for damaged text


class BoundedLoader(yaml.SafeLoader):
    """Plain YAML that stops where it is nested too deeply: PyYAML takes seconds over the rest."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node and those in it. ValueError if they are nested too deeply."""
        self.depth += 1
        if self.depth > MAX_DEPTH + 1:  # as `require_bounded` counts from 0
            raise ValueError("it is nested too deeply")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def parse_yaml(text: str, path: Path | str, loader: type[yaml.SafeLoader] = BoundedLoader) -> Any:
    """The value of YAML text from the file at `path`; Unreadable as in `read_yaml`."""
    try:
        reader = loader(text)
        try:
            node = reader.get_single_node()
            if node is None:
                return None
            require_bounded(node, _nodes_in)  # before merge keys and aliases are expanded
            value = reader.construct_document(node)
        finally:
            reader.dispose()
        require_bounded(value)
        return value
    except UNPARSABLE as error:
        kind = "it is not valid YAML: " if isinstance(error, yaml.YAMLError) else ""
        raise Unreadable(path, f"is damaged: {kind}{parse_error(error)}") from error


def parse_json(text: str) -> Any:
    """The value of JSON text. Raises one of UNPARSABLE if it is damaged."""
    value = json.loads(text)
    require_bounded(value)
    return value


def _values_in(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return itertools.chain(value.keys(), value.values())
    return value if isinstance(value, (list, tuple, set)) else ()


def _nodes_in(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return itertools.chain.from_iterable(node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def require_bounded(value: Any, values_in: Callable[[Any], Iterable[Any]] = _values_in) -> None:
    """ValueError for a nested value that is too deep or too large to walk through.

    A value that contains itself is too deep. Text that is not Unicode is refused, too, because it
    cannot be written. `values_in` gives the parts of a value.
    """
    remaining, count = [(value, 0)], 0
    while remaining:
        item, depth = remaining.pop()
        count += 1
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        if count > MAX_VALUES:
            raise ValueError("it stands for too many values")
        if isinstance(item, str):
            item.encode()
        else:
            remaining += [(inner, depth + 1) for inner in values_in(item)]


def parse_error(error: BaseException) -> str:
    """Why text could not be parsed, without any of the text."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    mark = getattr(error, "problem_mark", None)  # PyYAML's own message quotes the file
    if mark is not None:
        return f"{getattr(error, 'problem', 'error')} in line {mark.line + 1}"
    return " ".join(str(error).split()) or type(error).__name__

"""Docstrings of estimators and their methods in the form of numpydoc: of a class from what is
declared of its model, of a method from what the parameters of that name are everywhere.
"""

import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import TypeVar

from genbench.config.registry import Registry
from genbench.sklearn.parameters import EstimatorParameter

LINE = 96
ATTRIBUTES = {
    "model_": ("Model", "the fitted model, a module of torch"),
    "n_iter_": ("int", "how many epochs the fit took"),
    "n_features_in_": ("int", "how many columns X had in `fit`"),
    "feature_names_in_": (
        "ndarray of shape (n_features_in_,)",
        "their names, if X was a DataFrame whose columns all have texts as names",
    ),
}
# What parameters of methods are, unless a method says otherwise.
METHOD_PARAMETERS = {
    "X": ("array-like of shape (n_samples, n_features)", "the points"),
    "y": ("None", "ignored"),
    "n_samples": ("int, default=1", "how many points to draw"),
    "random_state": (
        "int, RandomState instance or None, default=None",
        "the same whole number draws the same points; None draws new ones at every call",
    ),
}
SCORE = ("score", "float", "the higher, the better")
Method = TypeVar("Method", bound=Callable)


def numpydoc(
    name: str, kind: str, text: str, **others: tuple[str, str]
) -> Callable[[Method], Method]:
    """What adds sections to the docstring of a method: its parameters, and that it returns this.

    `others` are parameters that mean something else here than elsewhere.
    """

    def documented(method: Method) -> Method:
        known = METHOD_PARAMETERS | others
        names = [name for name in inspect.signature(method).parameters if name != "self"]
        parts = [
            inspect.cleandoc(method.__doc__ or ""),
            _section("Parameters", [_entry(name, *known[name]) for name in names]),
            _section("Returns", [_entry(name, kind, text)]),
        ]
        method.__doc__ = "\n\n".join(parts) + "\n"
        return method

    return documented


def class_docstring(
    model: str,
    parameters: Sequence[EstimatorParameter],
    attributes: dict[str, tuple[str, str]],
    registry: Registry,
) -> str:
    """The docstring of a model's estimator."""
    summary, *sources = registry.about(f"model/{model}")
    parts = [_wrapped(summary, "")]
    parts.append(_section("Parameters", [_parameter(one) for one in parameters]))
    rows = [_entry(name, kind, text) for name, (kind, text) in (ATTRIBUTES | attributes).items()]
    parts.append(_section("Attributes", rows))
    if sources:
        parts.append(_section("References", [_wrapped(" ".join(sources), "")]))
    return "\n\n".join(parts) + "\n"


def _parameter(one: EstimatorParameter) -> str:
    kind, meaning = one.kind, one.meaning
    if len(f"{one.name} : {kind}, default={one.default!r}") > LINE:
        # This line cannot be broken, so that the text has the values.
        kind, meaning = "str", f"{meaning}; {kind.strip('{}')}"
    return _entry(one.name, f"{kind}, default={one.default!r}", meaning)


def _entry(name: str, kind: str, text: str) -> str:
    """One entry of a section: a name, what it is, and what it means."""
    if text[:2].isalpha():  # no formula, such as p(x|z)
        text = text[0].upper() + text[1:]
    return f"{name} : {kind}\n{_wrapped(f'{text}.', '    ')}"


def _section(title: str, entries: Sequence[str]) -> str:
    return "\n".join([title, "-" * len(title), *entries])


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(
        inspect.cleandoc(text), LINE, initial_indent=indent, subsequent_indent=indent
    )

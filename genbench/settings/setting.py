"""One setting as help, completion and checks see it, read from a field of a settings class."""

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import ConfigDict, TypeAdapter
from pydantic.fields import FieldInfo

from genbench.settings.fields import (
    LARGEST_FLOAT,
    LARGEST_INT,
    SMALLEST_FLOAT,
    AlsoCalled,
    AutoMeans,
    Condition,
    OnlyWith,
    Or,
    Shown,
    Without,
)
from genbench.settings.names import nearest_value
from genbench.utils.errors import UserError

SIGNS = {Ge: (">=", "["), Gt: (">", "("), Le: ("<=", "]"), Lt: ("<", ")")}
NOTES = (Or, OnlyWith, AutoMeans, AlsoCalled)  # which say nothing of the type
STRICT = ConfigDict(strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Alternative:
    """One of the things that a setting may be, and the conditions of which one must hold, if there
    are any.
    """

    text: str  # as help calls it: `float >= 0`, `auto`, `folder`
    words: tuple[str, ...] = ()  # values that completion offers
    conditions: tuple[Condition, ...] = ()
    annotation: Any = field(default=None, compare=False, repr=False)

    def prefixed(self, prefix: str) -> "Alternative":
        """The same for a group of settings whose dotted names begin with the prefix."""
        conditions = tuple(Condition(prefix + c.name, c.value) for c in self.conditions)
        return replace(self, conditions=conditions)

    def in_force(self, others: Mapping[str, Any]) -> bool:
        """Whether it is allowed with these other settings."""
        return not self.conditions or any(c.holds(others) for c in self.conditions)

    def convert(self, value: Any) -> Any:
        """The value in the declared type; ValueError for a value that is not of it."""
        if get_origin(self.annotation) is Literal:
            (word,) = get_args(self.annotation)
            if type(value) is not type(word) or value != word:  # True equals 1
                raise ValueError(value)
            return value
        return self._adapter.validate_python(value)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation, config=STRICT)


@dataclass(frozen=True)
class Setting:
    """One declared setting: dotted name, what it may be, what it means, its default and the class
    that declares it.
    """

    name: str
    alternatives: tuple[Alternative, ...]
    meaning: str
    default: Any
    declared_in: str
    auto: str = ""  # what `auto` stands for, where that depends on the model
    other_names: tuple[str, ...] = ()  # that are accepted, too, with the group

    @property
    def described(self) -> str:
        """What it means, what `auto` stands for, and what else it may be called."""
        auto = f"; auto is {self.auto}" if self.auto else ""
        others = "".join(f"; {name} means the same" for name in self.other_names)
        return f"{self.meaning}{auto}{others}"

    def in_force(self, others: Mapping[str, Any]) -> list[Alternative]:
        """What is allowed with these other settings; nothing where the setting has no effect."""
        return [alternative for alternative in self.alternatives if alternative.in_force(others)]

    def check(self, value: Any, others: Mapping[str, Any]) -> Any:
        """The value in its declared type (4 becomes 4.0 for a float).

        UserError if it is not allowed with the other settings, which are given by dotted name.
        """
        in_force = self.in_force(others)
        value = _listed(value)
        for alternative in in_force:
            try:
                converted = alternative.convert(value)
            except (ValueError, OverflowError):
                continue
            require_computable(self.name, converted)
            return converted
        if not in_force:
            if value == self.default:
                return value
            conditions = self.conditions
            other = conditions[0].name
            wanted = " or ".join(str(condition) for condition in conditions)
            what = f"has no effect with {other}={others.get(other)}"
            raise UserError(self.name, what, written(value), f"leave it out, or set {wanted}")
        if value is None and self.required:
            raise UserError(self.name, f"must be given: {self.meaning}", fix=self.example)
        allowed = [word for alternative in in_force for word in alternative.words]
        near = nearest_value(written(value), allowed)
        usual = allowed[:1] if value == self.default else [written(self.default)]  # a wrong preset
        example = f"{self.name}={usual[0]}" if usual and not self.required else self.example
        raise UserError(
            self.name,
            f"must be {self.in_words(others)}",
            written(value),
            f"such as {self.name}={near}" if near else f"such as {example}",
        )

    @property
    def conditions(self) -> list[Condition]:
        """The values of other settings that it, or a part of what it may be, depends on."""
        return list(dict.fromkeys(c for a in self.alternatives for c in a.conditions))

    @property
    def is_folder(self) -> bool:
        """Whether it names a folder."""
        return any(alternative.text == "folder" for alternative in self.alternatives)

    @property
    def is_file(self) -> bool:
        """Whether it names a file."""
        return any(alternative.text == "file" for alternative in self.alternatives)

    @property
    def is_path(self) -> bool:
        """Whether it names a folder or a file, which the working directory is a part of."""
        return self.is_folder or self.is_file

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is None and all(a.text != "null" for a in self.alternatives)

    @property
    def example(self) -> str:
        """How a setting without a default is given."""
        first = self.alternatives[0]
        return f"{self.name}={first.words[0] if first.words else first.text.upper()}"

    def words(self) -> list[str]:
        """Values one need not invent, as they are typed: the words that are allowed, and the
        default.
        """
        offered = [word for alternative in self.alternatives for word in alternative.words]
        return list(dict.fromkeys([*offered, *([] if self.required else [written(self.default)])]))

    def in_words(self, others: Mapping[str, Any] | None = None) -> str:
        """What is allowed, and with which other settings; conditions that these others meet go
        unsaid.
        """
        texts: dict[tuple[str, ...], list[str]] = {}
        for alternative in self.alternatives:
            always = alternative.in_force(others or {})
            beside = () if always else tuple(str(c) for c in alternative.conditions)
            texts.setdefault(beside, []).append(alternative.text)
        link = " with " if () in texts else ", only with "
        return ", or ".join(
            " | ".join(some) + (link + " or ".join(beside) if beside else "")
            for beside, some in texts.items()
        )


def require_computable(name: str, value: Any) -> None:
    """UserError for a number, in lists too, that models and files cannot hold.

    Whole numbers must fit 64 bits, others single precision without becoming infinite or zero.
    """
    for number in value if isinstance(value, list) else []:
        require_computable(name, number)
    if isinstance(value, int) and not abs(value) <= LARGEST_INT:
        what = "must be a whole number that fits 64 bits"
        raise UserError(name, what, written(value), f"give at most {LARGEST_INT}")
    if isinstance(value, float) and abs(value) > LARGEST_FLOAT:
        what = "is beyond the numbers of single precision, in which models compute"
        raise UserError(name, what, written(value), f"give a size of at most {LARGEST_FLOAT:.3g}")
    if isinstance(value, float) and 0 < abs(value) < SMALLEST_FLOAT:
        what = "is too near zero for single precision, in which models compute"
        fix = f"give 0, or a size of at least {SMALLEST_FLOAT:.3g}"
        raise UserError(name, what, written(value), fix)


def written(value: Any) -> str:
    """A value as one types it on the command line."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(written(v) for v in value)}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def alternatives_of(annotation: Any, metadata: Iterable[Any] = ()) -> list[Alternative]:
    """What an annotation allows, one by one; `metadata` is what `Annotated` adds to it."""
    metadata = [
        entry
        for entries in ((m.metadata if isinstance(m, FieldInfo) else [m]) for m in metadata)
        for entry in entries
    ]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return alternatives_of(arguments[0], [*arguments[1:], *metadata])
    words = [word for entry in metadata if isinstance(entry, Or) for word in entry.words]
    if origin in (Union, types.UnionType):
        found = [part for member in arguments for part in alternatives_of(member)]
    elif origin is Literal:
        left_out = {w for entry in metadata if isinstance(entry, Without) for w in entry.words}
        found = [
            Alternative(str(value), (str(value),), annotation=Literal[value])
            for value in arguments
            if value not in left_out
        ]
    else:
        found = [_plain(annotation, [m for m in metadata if not isinstance(m, NOTES)])]
    found += [Alternative(word, (word,), annotation=Literal[word]) for word in words]
    conditions = tuple(
        condition
        for entry in metadata
        if isinstance(entry, OnlyWith)
        for condition in entry.conditions
    )
    return [replace(a, conditions=conditions) for a in found] if conditions else found


def _plain(annotation: Any, metadata: list[Any]) -> Alternative:
    """A type that is no union, with its bounds."""
    whole = Annotated[(annotation, *metadata)] if metadata else annotation
    shown = next((entry for entry in metadata if isinstance(entry, Shown)), None)
    if shown:
        return Alternative(shown.text, shown.examples, annotation=whole)
    if annotation in (None, type(None)):
        return Alternative("null", annotation=type(None))
    if annotation is bool:
        return Alternative("bool", ("true", "false"), annotation=bool)
    if annotation is str:
        return Alternative("text", annotation=whole)
    if get_origin(annotation) is list:
        items = " or ".join(item.text for item in alternatives_of(*get_args(annotation)))
        length = [f"{m.min_length} " for m in metadata if isinstance(m, MinLen)]
        return Alternative(f"list of {''.join(length)}{items}", annotation=whole)
    return Alternative(f"{annotation.__name__}{_bounds(metadata)}", annotation=whole)


def _bounds(metadata: list[Any]) -> str:
    """` >= 0`, ` in [0, 1)` or nothing."""
    bounds = [
        (*SIGNS[type(m)], str(getattr(m, type(m).__name__.lower())).replace("e-0", "e-"))
        for m in metadata
        if type(m) in SIGNS
    ]
    if len(bounds) == 2:
        (_, opening, low), (_, closing, high) = bounds
        return f" in {opening}{low}, {high}{closing}"
    return "".join(f" {sign} {bound}" for sign, _, bound in bounds)


def _listed(value: Any) -> Any:
    """The value with lists for tuples, which Python users may give."""
    return [_listed(v) for v in value] if isinstance(value, (list, tuple)) else value

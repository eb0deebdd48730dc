"""What fields of settings classes are built from: types with bounds, conditions, defaults."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Or:
    """Words that a setting accepts besides its type, such as `auto`.

    A model never sees them: they are replaced, once the data are known, before it is built. So the
    setting keeps the plain type, which is what type checkers should see.
    """

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.union_schema(
            [core_schema.literal_schema(list(self.words)), handler(source)]
        )


@dataclass(frozen=True)
class AutoMeans:
    """Says what `auto` stands for in all models, for help that is not about one of them."""

    text: str


@dataclass(frozen=True)
class AlsoCalled:
    """Another name that a setting is accepted under, without the group."""

    name: str


@dataclass(frozen=True)
class MayDiffer:
    """Says that runs which differ in nothing but such numbers can be trained together.

    `switches` is whether zero is different from other numbers, as it leaves a term out.
    """

    switches: bool = False


@dataclass(frozen=True)
class Without:
    """Words of a setting's type that it does not accept here; a subclass may.

    Type checkers see one type in all classes, as a subclass may not accept more than its base.
    """

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.literal_schema(
            [word for word in get_args(source) if word not in self.words]
        )


def _word(value: Any) -> str:
    """A value as one writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Condition:
    """A value of another setting that a setting, or one of the things it may be, needs to have an
    effect.
    """

    name: str
    value: str

    def holds(self, others: Mapping[str, Any]) -> bool:
        """Whether the other setting has this value; others are by dotted name."""
        return _word(others.get(self.name)) == self.value

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


@dataclass(frozen=True)
class OnlyWith:
    """Says that a setting, or one member of its union of types, is allowed only with one of these
    conditions.
    """

    conditions: tuple[Condition, ...]


def only_with(**values: str | tuple[str, ...]) -> OnlyWith:
    """`only_with(optimizer=("sgd", "rmsprop"))`: at least one of these settings has one of these
    values.
    """
    return OnlyWith(
        tuple(
            Condition(name, value)
            for name, wanted in values.items()
            for value in ((wanted,) if isinstance(wanted, str) else wanted)
        )
    )


@dataclass(frozen=True)
class Shown:
    """How help calls a type that is written as a pattern or converted, and values that completion
    offers.
    """

    text: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConditionalDefault:
    """A default that depends on the value of another setting; the first choice is the usual one."""

    name: str
    choices: tuple[tuple[str, Any], ...]

    def beside(self, others: Mapping[str, Any]) -> Any:
        """The default with these other settings; it may depend on yet another one."""
        return dict(self.choices).get(_word(others.get(self.name)), self.usual)

    def resolved(self, value_of: Callable[[str], Any]) -> Any:
        """The default with other settings, whose values are looked up by dotted name."""
        default = self.beside({self.name: value_of(self.name)})
        return default.resolved(value_of) if isinstance(default, ConditionalDefault) else default

    @property
    def cases(self) -> list[tuple[dict[str, str], Any]]:
        """Every default that it may be, each with the values of other settings that it needs."""
        found: list[tuple[dict[str, str], Any]] = []
        for value, default in self.choices:
            nested = isinstance(default, ConditionalDefault)
            cases = default.cases if nested else [({}, default)]
            found += [({self.name: value, **others}, one) for others, one in cases]
        return found

    @property
    def usual(self) -> Any:
        """The default where the other setting is not known."""
        return self.choices[0][1]


def default_by(name: str, /, **choices: Any) -> Any:
    """A field's default by the value of another setting: `default_by("network", mlp=1e-3,
    conv=2e-3)`.

    The dotted name of a dataset's setting begins with `dataset.`. A choice may be such a default
    itself.
    """
    return ConditionalDefault(name, tuple(choices.items()))


def steps_by(mlp: int, conv: int | None) -> Any:
    """A default of `steps` by the network; none for tables, which have so few points that in as
    many steps a network learns them by heart.
    """
    by_network = default_by("network", mlp=mlp, conv=conv)
    by_kind = default_by("dataset.kind", images=by_network, vectors=None, signals=None)
    return default_by("dataset.standardize", false=by_network, true=None, auto=by_kind)


def _as_text(path: Any) -> Any:
    """A `pathlib.Path` as text; anything else as it is."""
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _absolute_if_there(path: str) -> str:
    """A path to a folder in full; a text that names none as it is."""
    full = _absolute(path)
    return full if os.path.isdir(full) or path.startswith("~") else path


Auto = Or("auto")
# Defaults that are not yet a value of their setting's type: the data decide the number when a run
# starts, and the user must name the folder.
AUTO: Any = "auto"
TO_BE_NAMED: Any = None


def is_auto(value: object) -> bool:
    """Whether a setting still waits for the data to decide it."""
    return value == AUTO


LARGEST_INT = 2**63 - 1  # of 64 bits
SMALLEST_FLOAT, LARGEST_FLOAT = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # of single precision

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
AtLeastOne = Annotated[int, Field(ge=1)]
AtLeastTwo = Annotated[int, Field(ge=2)]
Weight = Annotated[NonNegative, MayDiffer(switches=True)]  # of a term of a loss
OwnRate = Annotated[Positive | None, MayDiffer()]  # of one network; None is `lr`
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_INT)]
Folder = Annotated[
    str, BeforeValidator(_as_text), AfterValidator(_absolute), Shown("folder")
]  # so that a run can be resumed from anywhere
FolderOrName = Annotated[
    str, BeforeValidator(_as_text), AfterValidator(_absolute_if_there), Shown("folder or name")
]
File = Annotated[str, BeforeValidator(_as_text), AfterValidator(_absolute), Shown("file")]
CudaDevice = Annotated[str, Field(pattern=r"^cuda:\d+$"), Shown("cuda:N", ("cuda:0",))]
Device = Literal["auto", "cpu", "cuda"] | CudaDevice | Literal["mps"]

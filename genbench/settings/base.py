"""The base class of settings classes, and the settings that a class declares."""

import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator

from genbench.settings.fields import AlsoCalled, AutoMeans, ConditionalDefault, MayDiffer
from genbench.settings.setting import Setting, alternatives_of
from genbench.utils.errors import UserError

_annotations = cache(inspect.get_annotations)  # those of a class itself, asked for often
Self = TypeVar("Self", bound="Settings")
CHECKED: dict[str, bool] = {}  # validation context of values that were checked before


class Settings(BaseModel):
    """Base class of settings classes.

    A field with a description is a setting; one without is fixed by configs/ and cannot be set on
    the command line. Types are strict (no text becomes a number), and no number is infinite or NaN.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,  # `lambda_`, as Python spells it, besides `lambda`
        defer_build=True,  # dozens of classes are declared, and a command needs few
    )

    # What `auto` stands for in models with these settings, by the name of the setting: where that
    # is not the same in all models, and where a base class says something else.
    autos: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """TypeError where pydantic, which looks at bases from left to right, passes over a nearer
        declaration.
        """
        super().__pydantic_init_subclass__(**kwargs)
        for name, info in cls.model_fields.items():
            nearest = next(
                base
                for base in cls.__mro__
                if issubclass(base, Settings) and name in _annotations(base)
            )
            default = nearest.model_fields[name].default
            if info.default is not default and info.default != default:
                raise TypeError(
                    f"{cls.__name__}: the default of {name} in {nearest.__name__} is lost; "
                    f"name {nearest.__name__} first among the bases"
                )

    @model_validator(mode="before")
    @classmethod
    def fill_in_conditional_defaults(cls, given: Any) -> Any:
        """Give settings whose default depends on another setting the default that holds here."""
        if not isinstance(given, Mapping):
            return given
        given = {cls._python_name(name): value for name, value in given.items()}

        def value(name: str) -> Any:
            of, _, part = name.rpartition(".")
            if of:
                found = given.get(of)
                return found.get(part) if isinstance(found, Mapping) else getattr(found, part, None)
            if name in given or name not in cls.model_fields:
                return given.get(name)
            default = cls.model_fields[name].default
            if isinstance(default, ConditionalDefault):
                return default.resolved(value)
            return default

        missing = [
            name
            for name, info in cls.model_fields.items()
            if name not in given and isinstance(info.default, ConditionalDefault)
        ]
        return given | {name: value(name) for name in missing}

    @classmethod
    def from_checked(cls: type[Self], values: Mapping[str, Any]) -> Self:
        """Settings with the values of a config that was checked, by the names that users know.

        Which settings have no effect depends on presets, which a class does not know, so that is
        not checked again. UserError for values that are not allowed.
        """
        try:
            return cls.model_validate(values, context=CHECKED)
        except ValidationError as error:
            raise user_error(error, cls.__name__) from None

    @model_validator(mode="after")
    def check_as_the_command_line_does(self: Self, info: ValidationInfo) -> Self:
        """Refuse, above all, a setting that has no effect with the values of others."""
        if info.context is CHECKED:
            return self
        values = self.values()
        for name, setting in settings_of(type(self)).items():
            if values[name] is not setting.default:
                setting.check(values[name], values)
        return self

    @classmethod
    def _python_name(cls, name: str) -> str:
        """`lambda_` for `lambda`."""
        return next((n for n, info in cls.model_fields.items() if info.alias == name), name)

    def values(self) -> dict[str, Any]:
        """The values of all fields by the names that users know, which may be words of Python."""
        return {
            info.alias or name: getattr(self, name)
            for name, info in type(self).model_fields.items()
        }


def user_error(error: ValidationError, key: str) -> UserError:
    """The message for values that pydantic refuses: that of our validator, or pydantic's own, about
    `key`.
    """
    first = error.errors()[0]
    found = first.get("ctx", {}).get("error")
    if isinstance(found, UserError):
        return found
    name = ".".join(map(str, first["loc"])) or key
    given = first["input"] if first["loc"] else None
    return UserError(name, str(found or first["msg"]), given, fix="see 'genbench --help'")


@cache
def settings_of(declared: type[Settings], prefix: str = "") -> dict[str, Setting]:
    """The settings that a class declares or inherits, by dotted name, the most general ones first.

    The prefix is `dataset.` for those of a dataset.
    """
    found = {}
    for python_name, info in declared.model_fields.items():
        if info.description is None:
            continue
        name = f"{prefix}{info.alias or python_name}"
        latest = next(
            c for c in declared.__mro__ if python_name in vars(c).get("__annotations__", {})
        )
        if latest is not declared and issubclass(latest, Settings):  # as it is there: found once
            found[name] = settings_of(latest, prefix)[name]
            continue
        alternatives = alternatives_of(info.annotation, info.metadata)
        found[name] = Setting(
            name,
            tuple(alternative.prefixed(prefix) for alternative in alternatives),
            info.description,
            info.get_default(call_default_factory=True),
            _declared_in(declared, python_name),
            next((entry.text for entry in info.metadata if isinstance(entry, AutoMeans)), ""),
            tuple(f"{prefix}{e.name}" for e in info.metadata if isinstance(e, AlsoCalled)),
        )
    return found


def structure(declared: type[Settings], values: Mapping[str, Any]) -> str:
    """What is the same in settings of this class, by name, of runs that can be trained together."""
    fixed = dict(values)
    for name, marker in _may_differ(declared).items():
        fixed[name] = marker.switches and fixed[name] == 0
    return str(sorted(fixed.items()))


def switches(declared: type[Settings]) -> list[str]:
    """The settings of this class that are weights of a loss."""
    return [name for name, marker in _may_differ(declared).items() if marker.switches]


@cache
def _may_differ(declared: type[Settings]) -> dict[str, MayDiffer]:
    """The settings in which runs that train together may differ, by the names that users know."""
    return {
        info.alias or name: marker
        for name, info in declared.model_fields.items()
        for marker in info.metadata
        if isinstance(marker, MayDiffer)
    }


def auto_of(declared: type[Settings], name: str) -> str:
    """What `auto` stands for in models with these settings; "" where all models agree."""
    found = (vars(base).get("autos", {}).get(name) for base in declared.__mro__)
    return next(filter(None, found), "")


def own_first(declared: type[Settings], settings: Iterable[Setting]) -> list[Setting]:
    """Settings of a class: those it declares itself, then those of each class it inherits from."""
    rank = {_path(base): i for i, base in enumerate(declared.__mro__)}
    return sorted(settings, key=lambda setting: rank[setting.declared_in])


def _declared_in(declared: type[Settings], name: str) -> str:
    """The most general class that declares a field as this one does; others may only change its
    default.
    """
    bases = [base for base in declared.__mro__ if name in _annotations(base)]
    annotation = _annotations(bases[0])[name]
    same = [base for base in bases if _annotations(base)[name] is annotation]
    return _path(same[-1])


def _path(base: type) -> str:
    return f"{base.__module__}.{base.__qualname__}"

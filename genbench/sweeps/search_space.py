"""What a search varies: the settings of a command that are given as ranges or as lists of values.

All of it is checked before the first trial: both ends of each range, with every choice of the
others, by the classes that declare the settings.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep

from genbench.config.choice_files import GROUPS
from genbench.config.overrides import parsed
from genbench.config.registry import Registry
from genbench.config.request import check_job, require_given_once, require_setting_words
from genbench.config.validation import ASIDE
from genbench.utils import signals
from genbench.utils.errors import UserError

MOST_COMBINATIONS = 500  # of choices that are checked; of more, each value once
# Settings that do not belong in a search: with other data or seeds numbers do not compare, and the
# others change no result.
NOT_SEARCHED = {"seed", "dataset", *ASIDE} - {"epochs", "steps"}
SPACE_EXAMPLE = "'beta=interval(0.1,10)', 'lr=log(1e-4,1e-2)' or n_components=2,4,8"

TrialValue = float | int | str


@dataclass(frozen=True)
class Range:
    """A setting that is a number between two ends, both included.

    `step` is the distance between neighbours, None where all numbers between the ends count.
    """

    name: str
    low: float
    high: float
    step: float | None = None
    is_log: bool = False
    is_whole: bool = False

    @property
    def ends(self) -> list[TrialValue]:
        """The values that are checked."""
        return [self.low, self.high]


@dataclass(frozen=True)
class Choice:
    """A setting that is one of some values, as they are typed."""

    name: str
    words: tuple[str, ...]


Dimension = Range | Choice


@dataclass(frozen=True)
class Space:
    """The settings that are the same in all trials, as overrides, and those that a search varies.

    `names` are the settings in the order of the command.
    """

    fixed: Mapping[str, str]
    dimensions: tuple[Dimension, ...]
    names: tuple[str, ...]

    def overrides(self, values: Mapping[str, TrialValue]) -> list[str]:
        """The overrides of the trial with these values of what is varied."""
        chosen = {**self.fixed, **values}
        return [f"{name}={chosen[name]}" for name in self.names]

    @property
    def described(self) -> dict[str, Any]:
        """What makes trials of two commands comparable, as JSON keeps it."""
        varied = {dimension.name: asdict(dimension) for dimension in self.dimensions}
        for one in varied.values():
            one.update({key: list(value) for key, value in one.items() if isinstance(value, tuple)})
        return {"fixed": dict(self.fixed), "varied": varied}

    def corners(self) -> list[dict[str, TrialValue]]:
        """Values to check: the lower and the upper ends of all ranges, with each combination of
        choices or, where these are many, with each choice beside the first of the others.
        """
        choices = [one for one in self.dimensions if isinstance(one, Choice)]
        ranges = [one for one in self.dimensions if isinstance(one, Range)]
        combinations: Iterable[dict[str, TrialValue]]
        if math.prod(len(one.words) for one in choices) <= MOST_COMBINATIONS:
            pairs = [[(one.name, word) for word in one.words] for one in choices]
            combinations = map(dict, itertools.product(*pairs))
        else:
            first: dict[str, TrialValue] = {one.name: one.words[0] for one in choices}
            combinations = [first | {one.name: word} for one in choices for word in one.words]
        ends = [{one.name: one.ends[i] for one in ranges} for i in range(2 if ranges else 1)]
        return [chosen | some for chosen in combinations for some in ends]


def search_space(words: Sequence[str], registry: Registry, commands: Iterable[str] = ()) -> Space:
    """The space of a command's settings. UserError, before any trial, for what cannot run.

    `commands` are the words that would have been a command of their own, had they come first.
    """
    require_setting_words(words, registry, commands)
    overrides = parsed([*words])
    require_given_once(overrides)
    dimensions = tuple(
        _dimension(override, registry) for override in overrides if override.is_sweep_override()
    )
    if not dimensions:
        what, fix = (
            "has nothing to vary",
            f"give a range or several values, such as {SPACE_EXAMPLE}",
        )
        raise UserError("hydra/sweeper=optuna", what, fix=fix)
    varied = {one.name for one in dimensions}
    fixed = {
        override.get_key_element(): override.get_value_element_as_str()
        for override in overrides
        if override.get_key_element() not in varied
    }
    space = Space(fixed, dimensions, tuple(o.get_key_element() for o in overrides))
    checked: set[str] = set()
    for values in space.corners():
        signals.check()
        check_job(space.overrides(values), registry, checked)
    return space


def _dimension(override: Override, registry: Registry) -> Dimension:
    name, value = override.get_key_element(), override.value()
    bare, given = override.key_or_group, (override.input_line or "").partition("=")[2]
    if bare in NOT_SEARCHED or bare.startswith("dataset."):
        what = "is the same in all trials of a search, so that their numbers compare"
        raise UserError(bare, what, given, "give one value; -m without a search runs several")
    if isinstance(value, IntervalSweep):
        return _interval(name, bare, value, given, registry)
    if isinstance(value, RangeSweep):
        return _range(name, value, given)
    if isinstance(value, Glob):
        found = value.filter(registry.names(bare)) if bare in GROUPS else []
    else:
        found = [*dict.fromkeys(override.sweep_string_iterator())]
    if not found:
        raise UserError(bare, "makes no value", given, "give one that there is")
    return Choice(name, tuple(found))


def _interval(name: str, bare: str, value: IntervalSweep, given: str, registry: Registry) -> Range:
    low, high = value.start, value.end
    assert low is not None and high is not None  # Hydra's grammar requires them
    _require_order(bare, low, high, given)
    is_log = "log" in value.tags
    _require_log(bare, low, given, is_log)
    is_whole = isinstance(low, int) and isinstance(high, int)
    if not is_whole and _takes_only_whole_numbers(bare, registry):
        if low % 1 or high % 1:
            what, fix = "is a whole number", f"give whole ends, such as {bare}=interval(2,32)"
            raise UserError(bare, what, given, fix)
        is_whole = True
    if is_whole:
        return Range(name, int(low), int(high), step=1, is_log=is_log, is_whole=True)
    return Range(name, float(low), float(high), is_log=is_log)


def _range(name: str, value: RangeSweep, given: str) -> Range:
    """The values of Hydra's `range`, which leaves out its end."""
    start, stop, step = value.start, value.stop, value.step
    assert start is not None and stop is not None  # Hydra's grammar requires them
    bare = name.lstrip("+")
    if not step > 0:
        raise UserError(bare, "a range has a step above 0", given, "leave the step out")
    last = start + step * (math.ceil((stop - start) / step) - 1)
    _require_order(bare, start, last, given)
    is_log = "log" in value.tags
    _require_log(bare, start, given, is_log)
    is_whole = all(isinstance(number, int) for number in (start, stop, step))
    if is_log and step != 1:
        fix = f"leave the step out, or the logarithm: {bare}=range({start},{stop},{step})"
        raise UserError(bare, "a logarithmic range has no step", given, fix)
    distance = None if is_log and not is_whole else step
    return Range(name, start, last, step=distance, is_log=is_log, is_whole=is_whole)


def _require_order(name: str, low: float, high: float, given: str) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(name, "a range has finite ends", given, f"such as {name}=interval(0.1,10)")
    if not low < high:
        what, fix = "the first end of a range is below the second", "exchange them"
        raise UserError(name, what, given, fix if low > high else f"write {name}={low}")


def _require_log(name: str, low: float, given: str, is_log: bool) -> None:
    if is_log and not low > 0:
        raise UserError(name, "a logarithmic range begins above 0", given, "begin at 1e-4, say")


def _takes_only_whole_numbers(name: str, registry: Registry) -> bool:
    """Whether a setting is a whole number wherever it is declared."""
    paths = [
        "config",
        *(f"{group}/{choice}" for group in GROUPS for choice in registry.readable(group)),
    ]
    declared = [known[name] for known in map(registry.settings, paths) if name in known]
    kinds = {one.text.partition(" ")[0] for setting in declared for one in setting.alternatives}
    return "int" in kinds and "float" not in kinds

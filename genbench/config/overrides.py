"""The words of a command that set values: their grammar, and the jobs that lists of values make."""

import itertools
import math
import os
import re
from collections.abc import Iterable
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import (
    Glob,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException

from genbench.config.choice_files import GROUPS
from genbench.config.registry import Registry
from genbench.utils import signals
from genbench.utils.errors import UserError

# Of a sweep: each job has a folder, and its settings are checked before the first job starts.
MOST_JOBS = 100_000
# What makes Hydra itself write into the folders of runs, without regard to what is there.
HYDRAS_FILES = re.compile(
    r"hydra([./](output_subdir|job_logging|hydra_logging)\b.*|\.(mode|output)\b.*|/output)"
)


def is_hydras(word: str) -> bool:
    """Whether an override is for Hydra itself: where to run and how, not what."""
    return re.match(r"[+~\s]*hydra\b", word) is not None


def without_hydras(words: Iterable[str]) -> list[str]:
    """The overrides that say what to run."""
    return [word for word in words if not is_hydras(word)]


def check_hydras_words(words: Iterable[str]) -> None:
    """UserError for words to Hydra that name no folder, or that write into runs' folders."""
    for word in words:
        name, _, value = re.sub(r"^[+~\s]+", "", word).partition("=")
        if name in ("hydra.run.dir", "hydra.sweep.dir") and value.strip(" '\"") in ("", "null"):
            raise UserError(name, "names no folder", word, f"write {name}=FOLDER, or leave it out")
        if name == "hydra.sweep.subdir":
            what = "a sweep names its folders by the settings of its jobs"
            fix = "leave it out; hydra.sweep.dir=FOLDER chooses the folder they are in"
            raise UserError(name, what, fix=fix)
        plugin = re.fullmatch(r"hydra\.(launcher|sweeper)\._target_", name)
        if plugin:
            fix = f"choose another by hydra/{plugin[1]}=NAME"
            raise UserError(name, "is fixed by Hydra's plugins", value, fix)
        if HYDRAS_FILES.fullmatch(name) and value not in ("null", "none", "disabled"):
            fix = "leave it out; a run keeps its settings and its log itself, and -m makes a sweep"
            raise UserError(name, "is not for a command of genbench to set", value, fix)


def log(start: int | float, end: int | float) -> IntervalSweep:
    """A range in which a search takes small and large numbers alike, as `log(1e-4,1e-2)`."""
    return IntervalSweep(start=float(start), end=float(end), tags={"log"})


def _parser() -> OverridesParser:
    """Hydra's grammar, with `log(a,b)` for its `tag(log,interval(a,b))`."""
    functions = create_functions()
    functions.register("log", log)
    return OverridesParser(functions)


def parsed(words: list[str]) -> list[Override]:
    """The overrides as Hydra reads them. UserError for words that its grammar does not allow."""
    try:
        return _parser().parse_overrides(words)
    except RecursionError as error:
        raise UserError(
            "command line", "a value is nested too deeply", fix="write settings as NAME=VALUE"
        ) from error
    except HydraException as error:
        raise _unreadable(words) from error


def _unreadable(words: list[str]) -> UserError:
    """The error for words that Hydra's grammar does not allow, about the first of them."""
    bad = words[0]
    for bad in words:
        try:
            _parser().parse_override(bad)
        except HydraException:
            break
    name, equals, value = bad.partition("=")
    if not equals or not name:
        return UserError("command line", "is no NAME=VALUE", bad, "write settings as NAME=VALUE")
    if value.rstrip().endswith(","):
        fix = f"leave it out: {name}={value.rstrip(', ')}"
        return UserError(name, "ends in a comma, after which a value is missing", value, fix)
    fix = f"list values as {name}=1,2,3, and quote special characters: '{name}=\"a b\"'"
    return UserError(name, "cannot be read as a value, or as a list of values", value, fix)


def jobs_of(words: list[str], registry: Registry) -> list[list[str]]:
    """The overrides of each job of a sweep: every combination of the values that settings list.

    The jobs come in the order of Hydra's own sweeper: the last setting changes first.
    """
    overrides = parsed(words)
    for override in overrides:
        if override.is_sweep_override() and not override.is_discrete_sweep():
            kind = override.value_type.name.lower() if override.value_type else "such"
            raise UserError(
                override.key_or_group,
                f"a sweep over combinations does not support {kind}",
                override.input_line,
                "list the values as NAME=1,2,3, or search with hydra/sweeper=optuna",
            )
    require_few_jobs(overrides)
    values = {o.get_key_element(): _values(o, registry) for o in overrides}
    pairs = [[f"{key}={value}" for value in some] for key, some in values.items()]
    jobs = []
    for job in itertools.product(*pairs):
        signals.check()
        jobs.append([*job])
    return jobs


def _values(override: Override, registry: Registry) -> list[str]:
    """The values of one override, as text in Hydra's grammar."""
    value = override.value()
    if isinstance(value, Glob):
        return value.filter(registry.names(override.key_or_group))
    if override.is_sweep_override():
        return [*override.sweep_string_iterator()]
    return [override.get_value_element_as_str()]


def require_few_jobs(overrides: Iterable[Override]) -> None:
    """UserError for a sweep of more jobs than anybody can run, before they are listed."""
    count = math.prod(map(_count, (o for o in overrides if o.is_sweep_override())))
    if count > MOST_JOBS:
        shown = f"{count:,}" if count < 10**15 else f"{count:.3g}"
        raise UserError(
            "command line",
            f"asks for {shown} jobs, and a sweep has at most {MOST_JOBS:,}",
            fix="give fewer values",
        )


def _count(override: Override) -> float:
    """How many values a setting is given."""
    value: Any = override.value()
    if isinstance(value, Glob) or not override.is_discrete_sweep():
        return 1
    if not isinstance(value, RangeSweep):
        return len([*itertools.islice(override.sweep_iterator(), MOST_JOBS + 1)])
    assert value.start is not None and value.stop is not None  # Hydra's grammar requires them
    try:
        return max(0, math.ceil((value.stop - value.start) / value.step))
    except ZeroDivisionError:
        raise UserError(
            override.key_or_group,
            "a range has a step other than 0",
            override.input_line,
            "leave the step out",
        ) from None
    except (OverflowError, ValueError):
        return math.inf


def written_for_hydra(words: list[str]) -> list[str]:
    """The words of a user as Hydra wants them.

    There are quotes around letters beyond ASCII, and `+experiment=NAME`, as users of other programs
    write it, is `experiment=NAME`: the group is in our defaults list. A leading `~/` is the home
    folder, which shells leave alone where the name before it has a dot.
    """
    words = [re.sub(r"^\++experiment=", "experiment=", word) for word in words]
    words = [_with_home(word) for word in words]
    return [word if word.isascii() else _quoted(word) for word in words]


def _with_home(word: str) -> str:
    name, equals, value = word.partition("=")
    if not re.search(r"(^|,)[\"']?~(/|[\"',]|$)", value):
        return word
    pieces = []
    for piece in value.split(","):
        bare = piece.strip("\"'")
        is_home = bare == "~" or bare.startswith("~/")
        pieces.append(hydra_value(os.path.expanduser(bare)) if is_home else piece)
    return name + equals + ",".join(pieces)


def _quoted(word: str) -> str:
    name, equals, value = word.partition("=")
    if not equals or re.search(r"[\[\]{}()'\"\\$]", value):
        return word
    pieces = [piece if piece.isascii() else hydra_value(piece) for piece in value.split(",")]
    return f"{name}={','.join(pieces)}"


def hydra_value(text: str) -> str:
    """A text as a value that Hydra's grammar reads back as the same text."""
    plain = re.fullmatch(r"[\w/.-]+", text, re.ASCII)
    return text if plain else QuotedString(text, Quote.double).with_quotes()


def absolute(words: list[str], configs: Iterable[dict], registry: Registry) -> list[str]:
    """The words of jobs with these configs, which mean the same in any working directory."""
    chosen = {f"{group}/{config[group]['name']}" for config in configs for group in GROUPS}
    settings = {
        name: setting for choice in chosen for name, setting in registry.settings(choice).items()
    }

    def anywhere(word: str) -> str:
        key = word.partition("=")[0]
        setting = settings.get(key.lstrip("+"))
        if not setting or not setting.is_path:
            return word
        if "${" in word:
            return word
        (override,) = parsed([word])
        texts = _values(override, registry)
        full = [hydra_value(_absolute(parsed([f"{key}={text}"])[0])) for text in texts]
        return f"{key}={','.join(full)}"

    return [anywhere(word) for word in words]


def _absolute(override: Override) -> str:
    folder = override.value()
    assert isinstance(folder, str)  # as the setting is a folder
    return os.path.abspath(os.path.expanduser(folder))

"""The report card of a trained model: what is measured on every model by what it can do, each
number with what it is of.

A measure is one function `(evaluation) -> Measured | None`, listed by `@measure` in any module of
`genbench.evaluation`; its name is the number's, the first line of its docstring says what it is.
Adding one takes nothing else.
"""

import contextlib
import hashlib
import math
from collections.abc import Collection
from pathlib import Path

import torch

from genbench.data.downloads import cache_folder
from genbench.data.types import Data
from genbench.evaluation.context import USUAL, Asked, Evaluation, Unmeasurable
from genbench.evaluation.diagnosis import diagnose
from genbench.evaluation.registry import Measure, Watch, chosen_measures, measures_of_samples
from genbench.evaluation.yardstick import RealData
from genbench.model import Model, supports
from genbench.stats.intervals import Measured
from genbench.utils import signals
from genbench.utils.files import CannotWrite, read_json_or_empty, write_json
from genbench.utils.schema import ENTRY, kind_of, total_of


@torch.no_grad()
def card(e: Evaluation, names: Collection[str] = (), watch: Watch | None = None) -> list[dict]:
    """The numbers of every measure that applies, or of those with these names or in these groups.

    Each is finite; what cannot be measured on such a model or on so few points is left out.
    UserError for another name. `watch` is called before each.
    """
    chosen = [m for m in chosen_measures(names) if m.applies(e.model)]
    return [entry for entry in _entries(e, chosen, watch).values() if entry is not None]


def _entries(
    e: Evaluation, chosen: list[Measure], watch: Watch | None, what: str = ""
) -> dict[str, dict | None]:
    found = {}
    for i, m in enumerate(chosen, 1):
        if watch is not None:
            watch(i, len(chosen), what + m.name)
        number = measured(m, e)
        found[m.name] = None if number is None else _entry(m, number)
    return found


@torch.no_grad()
def real_data(e: Evaluation, names: Collection[str] = (), watch: Watch | None = None) -> list[dict]:
    """The measures of samples as real data have them: entries as those of `card`.

    They depend on the data, the features and the size alone, and are kept in the cache folder for
    runs with the same.
    """
    chosen = {m.name: m for m in measures_of_samples(names)}
    key = repr(
        (
            _code(),
            torch.__version__,
            e.data.digest,
            e.features.name,
            e.size,
            e.asked.bins,
            e.asked.level,
        )
    )
    file = cache_folder() / "real_data" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
    found = read_json_or_empty(file, {str: (ENTRY, None)}) if e.data.digest else {}
    missing = [m for name, m in chosen.items() if name not in found]
    if missing:
        found |= _entries(RealData(e), missing, watch, "real data, ")
        if e.data.digest:
            with contextlib.suppress(
                OSError, CannotWrite
            ):  # without a cache they are measured anew, and come out the same
                file.parent.mkdir(parents=True, exist_ok=True)
                write_json(file, found)
    return [found[name] for name in chosen if found[name] is not None]


def _code() -> str:
    """A digest of the program's own code that measures, as kept numbers are of the code that
    measured them.
    """
    package = Path(__file__).parent.parent
    files = sorted(
        file for folder in ("evaluation", "stats") for file in (package / folder).rglob("*.py")
    )
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def evaluated(
    model: Model,
    data: Data,
    found: dict[str, dict],
    size: str,
    names: Collection[str] = (),
    asked: Asked = USUAL,
    watch: Watch | None = None,
) -> dict[str, list]:
    """What a report card adds to what a run has `found`: the `card`, the `real_data` to compare it
    with and, of a whole one, a `diagnosis`; nothing if the size is none.
    """
    if size == "none":
        return {}
    e = Evaluation(model, data, found, size, asked=asked)
    made = {"card": card(e, names, watch)}
    if supports(model, "sample"):
        made["real_data"] = real_data(e, names, watch)
    if names:
        return made
    return made | {"diagnosis": diagnose(e, made["card"], made.get("real_data"))}


def measured(m: Measure, e: Evaluation) -> Measured | None:
    """The number of one measure; None if there is none."""
    signals.check()
    try:
        number = m.function(e)
    except Unmeasurable:
        return None
    except torch.linalg.LinAlgError as error:
        e.broken[f"{m.name} cannot be computed ({error})"] = None
        return None
    if number is None or math.isfinite(number.value):
        return number
    e.broken[f"{m.name} is {number.value}"] = None
    return None


def _entry(m: Measure, number: Measured) -> dict:
    known = {"group": m.group, "name": m.name, "unit": number.unit or m.unit, "better": m.better}
    low, high = (
        end if end is None else min(max(end, m.within[0]), m.within[1])
        for end in (number.low, number.high)
    )
    return (
        known
        | {name: value for name, value in number._asdict().items() if name != "unit"}
        | {"low": low, "high": high}
    )


def merged_cards(before: list[dict], now: list[dict]) -> list[dict]:
    """The numbers of two cards of one model; of those that are of the same, the later."""

    def what(entry: dict) -> str:
        same = [entry[key] for key in ("name", "on", "n", "features", "unit")]
        return repr([*same, kind_of(entry), total_of(entry)])

    found = {what(entry): entry for entry in [*before, *now]}
    return [*found.values()]

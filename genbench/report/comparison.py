"""`genbench compare`: the settings in which a few runs differ, and their measures side by side."""

import string
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from pathlib import Path

from rich.text import Text

from genbench.config.registry import Registry
from genbench.report.data_names import with_data_named
from genbench.report.load import RunResult, gathered
from genbench.report.quantities import Quantity, Value, brief_number, full, in_range
from genbench.report.ranking import apart, contests
from genbench.report.rows import TableRow, differing_settings
from genbench.report.table import ARROWS, labels
from genbench.report.words import listed, short
from genbench.utils.console import PipeSafeConsole
from genbench.utils.errors import UserError, plain
from genbench.utils.text import aligned, quoted

MOST_RUNS = 8  # a column for each
MOST_NAMED = 12  # measures in a sentence
LAST = ("test", "validation", "train", "time", "cost")  # groups that come after those of a card
TERMS = {part: f"terms of the objective, {part} data" for part in LAST[:3]}
NOTE = (
    "An interval is about other test points and samples; how much another training changes a "
    "number, runs with other seeds say."
)


@dataclass(frozen=True)
class Difference:
    """A measure of several runs: the number of each and, in words, which is better.

    `better` is the place of the run that is best beyond the intervals, if one is; `close`
    says that there are intervals, and that the best of them overlap.
    """

    quantity: Quantity
    values: list[Value | None]
    better: int | None = None
    close: bool = False
    differs: bool = False  # of a measure in which no direction is better

    def verdict(self, marks: str) -> str:
        """What the numbers say, for runs with these marks."""
        if self.better is not None:
            return f"{marks[self.better]} is {'better' if len(marks) == 2 else 'best'}"
        return "differ" if self.differs else ""


def compare_command(words: Sequence[str], registry: Registry) -> int:
    """Print how the runs in these folders differ, and return the exit status."""
    runs = _runs(words, registry)
    rows = [TableRow(r.model, r.dataset, r.settings, [r], r.metrics.cells) for r in runs]
    marks = string.ascii_uppercase[: len(rows)]
    console = PipeSafeConsole(highlight=False, soft_wrap=True)
    for mark, run in zip(marks, runs, strict=True):
        console.print(f"{mark}  {plain(quoted(run.path))}  {plain(run.title)}", markup=False)
    settings = [*_different_settings(rows)]
    console.print(Text("settings that differ" if settings else "no settings differ", "bold"))
    for line in aligned([["", *marks], *settings], "<" * (1 + len(rows))) if settings else []:
        console.print(plain(line), markup=False)
    found = differences(rows)
    console.print(Text("measures, with 95 % intervals (↑ higher is better, ↓ lower)", "bold"))
    for text, style in _table(found, marks, console.width):
        console.print(Text(plain(text), style))
    for sentence in _sentences(found, marks):
        for line in textwrap.wrap(sentence, min(console.width, 100)):
            console.print(plain(line), markup=False)
    return 0


def _runs(words: Sequence[str], registry: Registry) -> list[RunResult]:
    """The finished runs in these folders. UserError unless each folder is that of one."""
    folders = [Path(word) for word in dict.fromkeys(words)]
    if not 2 <= len(folders) <= MOST_RUNS:
        what = f"needs the folders of two to {MOST_RUNS} finished runs"
        fix = "genbench compare outputs/RUN outputs/RUN; genbench report FOLDER takes any number"
        raise UserError("compare", what, " ".join(words) or None, fix)
    runs: list[RunResult] = []
    for folder in folders:
        found, lost = gathered([folder], registry)
        if [run.path for run in found] != [folder]:
            what = lost[0].reason if lost else "is not the folder of one run"
            raise UserError(str(folder), what, fix="genbench ls FOLDER lists the runs in a folder")
        if found[0].state != "done":
            what = f"has no numbers to compare, as the run is {found[0].state}"
            raise UserError(str(folder), what, fix=f"genbench resume {quoted(folder)}")
        runs += found
    return with_data_named(runs)


def _different_settings(rows: Sequence[TableRow]) -> Iterator[list[str]]:
    """A line for the model, the dataset and each setting in which rows differ: its values.

    A setting that only some models have is listed if somebody chose its value.
    """
    for name in ("model", "dataset"):
        values = [getattr(row, name) for row in rows]
        if len({*values}) > 1:
            yield [f"  {name}", *values]
    chosen = dict.fromkeys(name for row in rows for run in row.runs for name in sorted(run.own))
    lacking = [name for name in chosen if any(name not in row.settings for row in rows)]
    for name in dict.fromkeys([*differing_settings(rows), *lacking]):
        yield [
            f"  {name}",
            *(short(row.settings[name]) if name in row.settings else "–" for row in rows),
        ]


def differences(rows: Sequence[TableRow]) -> list[Difference]:
    """All measures of the rows, in the order of a card; terms of an objective and costs last."""
    quantities = dict.fromkeys(quantity for row in rows for quantity in row.cells)
    return [
        _difference(quantity, rows)
        for quantity in sorted(
            quantities, key=lambda q: LAST.index(q.group) if q.group in LAST else -1
        )
    ]


def _difference(quantity: Quantity, rows: Sequence[TableRow]) -> Difference:
    values = [
        in_range(quantity, row.cells[quantity]) if quantity in row.cells else None for row in rows
    ]
    if quantity.better:
        for contest in contests(rows, [quantity]):
            better = contest.leaders[0] if contest.won else None
            return Difference(quantity, values, better, not contest.won and not contest.uncertain)
        return Difference(quantity, values)
    known = [value for value in values if value is not None]
    differs = any(apart(one, other) for one, other in combinations(known, 2))
    return Difference(quantity, values, differs=differs)


def _table(found: Sequence[Difference], marks: str, width: int) -> Iterator[tuple[str, str]]:
    """The lines of the table of measures, each with its style.

    Intervals are written in the longest form for which there is room.
    """
    named = labels(difference.quantity for difference in found)
    lines: list[str] = []
    for words in (full, _brief, _reaching):
        rows = [
            [
                f"  {named[d.quantity]}{ARROWS.get(d.quantity.better, '')}",
                *map(words, d.values),
                d.verdict(marks),
            ]
            for d in found
        ]
        lines = aligned([["", *marks, ""], *rows], "<" * (2 + len(marks)))
        if max(map(len, lines)) <= width:
            break
    yield lines[0], ""
    for heading, some in groupby(zip(found, lines[1:], strict=True), lambda d: _heading(d[0])):
        yield heading, "bold"
        yield from ((line, "" if d.better is not None or d.differs else "dim") for d, line in some)


def _heading(difference: Difference) -> str:
    """What stands above the measures of a group."""
    group, features = difference.quantity.group, difference.quantity.features
    return ", ".join([TERMS[group], *[features] * bool(features)]) if group in TERMS else group


def _brief(value: Value | None) -> str:
    """A number in three digits with the ends of its interval."""
    if value is None:
        return ""
    if value.low is None or value.high is None:
        return brief_number(value.mean)
    return f"{brief_number(value.mean)} [{value.low:.2g}, {value.high:.2g}]"


def _reaching(value: Value | None) -> str:
    """A number in three digits with how far its interval reaches."""
    if value is None:
        return ""
    if value.low is None or value.high is None:
        return brief_number(value.mean)
    return (
        f"{brief_number(value.mean)} ± {max(value.high - value.mean, value.mean - value.low):.1g}"
    )


def _sentences(found: Sequence[Difference], marks: str) -> Iterator[str]:
    """Which differences are larger than the intervals."""
    better: dict[int, list[str]] = {}
    for difference in found:
        if difference.better is not None:
            better.setdefault(difference.better, []).append(difference.quantity.name)
    for place, names in sorted(better.items()):
        who = f"{marks[place]} is {'better' if len(marks) == 2 else 'best'}"
        yield f"Beyond the intervals, {who} at {listed(names, MOST_NAMED)}."
    close = [difference.quantity.name for difference in found if difference.close]
    if close:
        yield f"Within the intervals: {listed(close, MOST_NAMED)}."
    if not better and not close:
        yield "No measure with an interval compares these runs."
    else:
        yield NOTE

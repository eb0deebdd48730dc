"""Runs beside one another: rows of the same settings but for their seeds, and columns of numbers that compare.

Numbers that were measured in the same way are one column, and no others.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .catalogue import GROUPS, Catalogue
from .console import number
from .results import PARTS, Measure, Result, Trouble, Value, gathered, is_number, is_seed, short, troubles
from .settings import written

# By what a header tells apart measures of the same name: the first of these in which they differ, then the next.
APART = {"group": "", "on": "on ", "model": "of ", "n": "n=", "features": "features ", "of": "of: ", "unit": "in ", "better": ""}
ARROWS = {"lower": " ↓", "higher": " ↑"}
MOST_AT_FIRST = 10  # columns of numbers that are shown before all, where no card says which matter


class Row(NamedTuple):
    """The runs of the same settings with each seed, and the mean of each measure over those that have it."""

    kind: tuple[str, str]
    settings: dict[str, Any]
    runs: list[Result]
    cells: dict[Measure, Value]

    @property
    def data(self) -> tuple:
        """What data the runs are about: numbers on others do not compare."""
        return self.kind[1], *(f"{k}={written(v)}" for k, v in self.settings.items() if k.startswith("dataset."))

    def term(self, name: str) -> Value | None:
        """A term of the objective on held-out data, over the seeds: of the test part if all runs have it there."""
        for part in ("test", "validation"):
            values = [run.numbers.get(part, {}).get(name) for run in self.runs]
            if None not in values:
                return mean([Value(value) for value in values])
        return None

    @property
    def seconds(self) -> float | None:
        """How long a run took, on average."""
        took = [run.numbers["time"]["seconds"] for run in self.runs if "seconds" in run.numbers.get("time", {})]
        return sum(took) / len(took) if took else None


class Report(NamedTuple):
    """What there is to tell of some runs: the rows of their table, its columns, who stands where, and what is missing."""

    rows: list[Row]
    settings: list[str]  # that tell the rows apart
    measures: list[Measure]
    names: dict[Measure, str]  # what tells each apart from all others
    overview: dict[Measure, str]  # those that are shown first, with a short header
    standings: dict[tuple[int, Measure], float]
    missing: list[Trouble]
    found: list[Result]

    @property
    def heads(self) -> dict[Measure, str]:
        """The header of each column: what it is of, in what unit, and which direction is better."""
        return {m: name + f" [{m.unit}]" * bool(m.unit) + ARROWS.get(m.better, "") for m, name in self.names.items()}

    @property
    def best(self) -> set[tuple[int, Measure]]:
        """The number of the row, and the measure, of what is best."""
        return {at for at, standing in self.standings.items() if standing == 1}

    @property
    def title(self) -> str:
        """Models and data in words."""
        models, data = ([*dict.fromkeys(run.kind[i] for run in self.found)] for i in (0, 1))
        named = ", ".join(models) if len(models) < 6 else f"{len(models)} models"
        return f"{named} on {', '.join(data)}" if models else "no finished runs"

    @property
    def counts(self) -> str:
        """How many runs there are, in words."""
        done = sum(len(row.runs) for row in self.rows)
        seeds = sorted({len(row.runs) for row in self.rows})
        of = f" of {'-'.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds each" if seeds and seeds[-1] > 1 else ""
        rows = f"{len(self.rows)} setting{'s' * (len(self.rows) != 1)}{of}"
        return f"{done} run{'s' * (done != 1)} in {rows}" + f"; {len(self.missing)} without results" * bool(self.missing)

    @property
    def kept(self) -> list[tuple[str, list]]:
        """The columns that tell the rows apart: their header, and a value for each row."""
        kinds = [(name, [row.kind[i] for row in self.rows]) for i, name in enumerate(GROUPS)]
        kinds = kinds[:1] + [(name, values) for name, values in kinds[1:] if len(set(values)) > 1]
        settings = [(name, [row.settings.get(name, "") for row in self.rows]) for name in self.settings]
        seeds = [("seeds", [len(row.runs) for row in self.rows])]
        return [*kinds, *settings, *seeds * any(len(row.runs) > 1 for row in self.rows)]

    @property
    def note(self) -> str:
        """How to read a number at a glance."""
        several = "±: 95 % by Student's t over the seeds. " * any(value.seeds > 1 for row in self.rows for value in row.cells.values())
        marked = "* and bold: the best on the same data, by however little, where one direction is better (↓ lower, ↑ higher). "
        return (several + marked * bool(self.best)).strip()

    @property
    def note_on_all(self) -> str:
        """How to read a number among all."""
        measured = any(value.seeds == 1 and value.low is not None for row in self.rows for value in row.cells.values())
        return "[ ]: the 95 % interval that a run has measured." * measured


def compared(paths: Iterable[Path], catalogue: Catalogue) -> Report:
    """What there is to tell of the runs in and below some folders."""
    found, lost = gathered(paths, catalogue)
    rows = averaged(found)
    measures = ranked(rows)
    overview = {m: name + ARROWS.get(m.better, "") for m, name in numbered(headlines(rows)).items()}
    return Report(rows, telling(rows), measures, labels(measures), overview, standings(rows), troubles(found, lost), found)


def averaged(found: Iterable[Result]) -> list[Row]:
    """A row for all runs that are done and differ in nothing but seeds, of which a repeated one counts once."""
    groups: dict[tuple, dict[str, Result]] = {}
    for result in found:
        if result.state == "done":
            fixed = {name: written(value) for name, value in result.settings.items() if not is_seed(name)}
            groups.setdefault((result.kind, *fixed.items()), {})[result.seeds] = result
    return [_row(list(by_seed.values())) for by_seed in groups.values()]


def _row(runs: list[Result]) -> Row:
    settings = {name: value for name, value in runs[0].settings.items() if not is_seed(name)}
    measures = dict.fromkeys(measure for run in runs for measure in run.measures)
    values = {measure: [run.measures[measure] for run in runs if measure in run.measures] for measure in measures}
    cells = {measure: mean(some)._replace(lacking=len(runs) - len(some)) for measure, some in values.items()}
    return Row(runs[0].kind, settings, runs, cells)


def mean(values: list[Value], level: float = 0.95) -> Value:
    """The mean over the seeds with its interval by Student's t, which takes two; of one seed, what was measured with it."""
    if len(values) == 1:
        return values[0]
    import numpy as np
    from scipy.special import stdtrit

    numbers = np.array([value.mean for value in values], dtype=float)
    half = stdtrit(len(numbers) - 1, (1 + level) / 2) * numbers.std(ddof=1) / math.sqrt(len(numbers))
    centre = float(numbers.mean())
    return Value(centre, centre - float(half), centre + float(half), len(values))


def standings(rows: list[Row]) -> dict[tuple[int, Measure], float]:
    """Where each row stands, by its number, in each measure whose direction is known, among runs on the same data.

    From 0 for the worst to 1 for the best: the share of the other values that it is better than. None where all are alike,
    or where seeds lack the number.
    """
    found = {}
    for data in dict.fromkeys(row.data for row in rows):
        mine = [i for i, row in enumerate(rows) if row.data == data]
        for measure in dict.fromkeys(measure for i in mine for measure in rows[i].cells if measure.better):
            means = {i: rows[i].cells[measure].mean for i in mine if measure in rows[i].cells and not rows[i].cells[measure].lacking}
            order = sorted(set(means.values()), reverse=measure.better == "lower")
            if len(order) > 1:
                found |= {(i, measure): order.index(value) / (len(order) - 1) for i, value in means.items()}
    return found


def differing(rows: list[Row]) -> list[str]:
    """The settings in which the rows differ; one that a model does not have differs from one that it has."""
    return [name for name in dict.fromkeys(name for row in rows for name in row.settings) if _differs(rows, name)]


def telling(rows: list[Row]) -> list[str]:
    """Of the settings in which rows differ, those that somebody chose: not what only follows from model and dataset."""
    kinds = dict.fromkeys(row.kind for row in rows)
    chosen = {name for row in rows for run in row.runs for name in run.own}
    return [
        name
        for name in differing(rows)
        if (name in chosen and len({written(row.settings[name]) for row in rows if name in row.settings}) > 1)
        or any(_differs([row for row in rows if row.kind == kind], name) for kind in kinds)
    ]


def _differs(rows: Iterable[Row], name: str) -> bool:
    return len({written(row.settings[name]) if name in row.settings else None for row in rows}) > 1


def called(row: Row, rows: list[Row], without: Iterable[str] = ()) -> str:
    """What tells a row from the others in words: model, dataset and settings, as far as they differ."""
    names = [kind for i, kind in enumerate(row.kind) if len({other.kind[i] for other in rows}) > 1]
    names += [f"{s}={short(row.settings[s])}" for s in telling(rows) if s in row.settings and s not in without]
    return ", ".join(names)


def ranked(rows: list[Row]) -> list[Measure]:
    """Every measure, those first that compare most runs, whose direction is known, and that are on held-out data."""
    measures = list(dict.fromkeys(measure for row in rows for measure in row.cells))
    after = {"test": 1, "time": 2, "validation": 3, "cost": 4, "train": 5}  # numbers of no card, or that depend on the machine

    def key(measure: Measure) -> tuple:
        covers = sum(measure in row.cells for row in rows)
        sparse = 2 * covers < len(rows) or covers < 2 <= len(rows)
        return sparse, not measure.better, after.get(measure.group, 0 if measure.better else 1.5)

    return sorted(measures, key=key)


def headlines(rows: list[Row]) -> list[Measure]:
    """The few measures that tell at a glance what a model is good at, in the order of a report card."""
    from .card import measures  # which takes torch

    order = [m.name for m in measures().values() if m.headline]
    mine = sorted((m for m in ranked(rows) if m.name in order and m.group not in PARTS), key=lambda m: order.index(m.name))
    found = [m for m in mine if sum(m in row.cells for row in rows) > 1] or mine
    return found or [m for m in ranked(rows) if len({row.cells.get(m) for row in rows}) > (len(rows) > 1)][:MOST_AT_FIRST]


def numbered(measures: Iterable[Measure]) -> dict[Measure, str]:
    """A short header for each measure: its name, and of those of the same name a number."""
    measures = [*measures]
    names = [measure.name for measure in measures]
    return {m: f"{m.name} ({names[:i].count(m.name) + 1})" if names.count(m.name) > 1 else m.name for i, m in enumerate(measures)}


def labels(measures: Iterable[Measure]) -> dict[Measure, str]:
    """A header for each measure: its name, and of measures of the same name all that they differ in."""
    found = {measure: measure.name for measure in measures}
    for field, word in APART.items():
        same: dict[str, list[Measure]] = {}
        for measure, label in found.items():
            same.setdefault(label, []).append(measure)
        for some in same.values():
            if len({getattr(measure, field) for measure in some}) > 1:
                found |= {m: f"{found[m]}, {word}{getattr(m, field)}" for m in some if getattr(m, field)}
    return found


def brief(value: Value | None) -> str:
    """A number in few words: three digits, and how far its interval over the seeds reaches."""
    if value is None:
        return ""
    spread = f" ± {_reach(value)}" if value.seeds > 1 and value.high is not None else ""
    return (f"{value.mean:,.0f}" if abs(value.mean) >= 1000 else f"{value.mean:.3g}") + spread + _lacking(value)


def cell(value: Value | None) -> str:
    """A number in words, with how far its interval reaches, or where it ends."""
    if value is None:
        return ""
    if value.low is None or value.high is None:
        spread = ""
    elif value.seeds > 1:
        spread = f" ± {_reach(value)}"
    else:
        spread = f" [{value.low:.3g}, {value.high:.3g}]"
    return number(value.mean) + spread + _lacking(value)


def _reach(value: Value) -> str:
    reach = value.high - value.mean
    return f"{reach:,.0f}" if reach >= 10 else f"{reach:.2g}"


def _lacking(value: Value) -> str:
    return f" ({value.seeds} of {value.seeds + value.lacking} seeds)" if value.lacking else ""


def swept(rows: list[Row]) -> list[str]:
    """The settings of these rows that have several values, all of them numbers."""
    return [n for n in differing(rows) if all(is_number(row.settings.get(n)) for row in rows)]


def on_log(values: Iterable[float]) -> bool:
    """Whether an axis of these values is better spaced by their logarithms."""
    tried = sorted(set(values))
    return len(tried) > 1 and tried[-1] > 10 * tried[0] > 0


def same_but(rows: Iterable[Row], names: Iterable[str]) -> dict[tuple, list[Row]]:
    """The rows by model, dataset and all their settings but these."""
    found: dict[tuple, list[Row]] = {}
    for row in rows:
        key = (row.kind, *((k, written(v)) for k, v in _without(row.settings, names).items()))
        found.setdefault(key, []).append(row)
    return found


def _without(settings: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in set(names)}

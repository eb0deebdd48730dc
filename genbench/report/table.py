"""Runs beside one another: rows of the same settings but for their seeds, and columns of numbers that compare.

Numbers that were measured in the same way are one column, and no others.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genbench.config.registry import GROUPS, Registry
from genbench.config.settings import written
from genbench.report.load import (
    SAMPLES,
    FailedRun,
    Measure,
    Result,
    Value,
    failed_runs,
    gathered,
    is_number,
    is_seed,
    merged,
    short,
)
from genbench.runs.directory import SPLITS
from genbench.utils.text import number

# By what a header tells apart measures of the same name: the first of these in which they differ, then the next.
APART = {
    "group": "",
    "on": "on ",
    "model": "of ",
    "n": "n=",
    "features": "features ",
    "of": "of: ",
    "unit": "in ",
    "better": "",
}
ARROWS = {"lower": " ↓", "higher": " ↑"}
MOST_AT_FIRST = 10  # columns of numbers that are shown before all, where no card says which matter
SAMPLER = Measure("sampler", SAMPLES)  # the column that says what samples are drawn from
REAL = "real data"  # in the place of a model
BY_THE_CLOCK = (
    "seconds",
    "fit_seconds",
    "images_per_second",
)  # which depend on what else the machine does
SAME = 1e-6  # the relative difference up to which numbers are the same but for rounding


class Row(NamedTuple):
    """The runs of the same settings and data with each seed, and the mean of each measure over those that have it.

    Real data are a row, too, of no runs: the sample measures of training points in place of samples.
    """

    kind: tuple[str, str]
    settings: dict[str, Any]
    runs: list[Result]
    cells: dict[Measure, Value]

    @property
    def sampler(self) -> str:
        """What the samples are drawn from that sample measures are of."""
        return ", ".join(dict.fromkeys(run.sampler for run in self.runs if run.sampler))

    @property
    def data(self) -> tuple:
        """What data the runs are about: numbers on others do not compare."""
        return self.kind[1], *(
            f"{k}={written(v)}" for k, v in self.settings.items() if k.startswith("dataset.")
        )

    def term(self, name: str) -> Value | None:
        """A term of the objective on held-out data, over the seeds: of the test part if all runs have it there."""
        for part in ("test", "validation"):
            values = [run.numbers.get(part, {}).get(name) for run in self.runs]
            if None not in values:
                return mean([Value(value) for value in values])
        return None

    @property
    def fit_seconds(self) -> float | None:
        """How long the model took to learn, on average."""
        took = [
            run.numbers["time"]["fit_seconds"]
            for run in self.runs
            if "fit_seconds" in run.numbers.get("time", {})
        ]
        return sum(took) / len(took) if took else None


class Contest(NamedTuple):
    """Runs on the same data compared by one measure: the numbers of their rows, best first.

    `leaders` are the best and those whose intervals overlap with it, `rivals` all that have the number; `uncertain` says that it
    is not known how sure a number is.
    """

    data: tuple
    measure: Measure
    leaders: list[int]
    rivals: list[int]
    uncertain: bool

    @property
    def won(self) -> bool:
        """Whether one is best beyond doubt."""
        return len(self.leaders) == 1 and not self.uncertain


class Report(NamedTuple):
    """What there is to say of some runs: the rows of their table, its columns, which are best, and what is missing."""

    rows: list[Row]
    real: list[Row]  # the sample measures of real data, to compare with
    settings: list[str]  # that tell the rows apart
    measures: list[Measure]
    names: dict[Measure, str]  # what tells each apart from all others
    overview: dict[Measure, str]  # those that are shown first, with a short header
    standings: dict[tuple[int, Measure], float]
    contests: list[Contest]
    missing: list[FailedRun]
    found: list[Result]

    @property
    def lines(self) -> list[Row]:
        """All rows of a table, real data last."""
        return [*self.rows, *self.real]

    @property
    def heads(self) -> dict[Measure, str]:
        """The header of each column: what it is of, in what unit, and which direction is better."""
        return {
            m: name + f" [{m.unit}]" * bool(m.unit) + ARROWS.get(m.better, "")
            for m, name in self.names.items()
        }

    @property
    def best(self) -> set[tuple[int, Measure]]:
        """The number of the row, and the measure, of what is best beyond doubt: its interval is apart from all others."""
        return {(c.leaders[0], c.measure) for c in self.contests if c.won}

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
        repeated = sum(len(run.folders) - 1 for row in self.rows for run in row.runs)
        seeds = sorted({len(row.runs) for row in self.rows})
        of = (
            f" of {'-'.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds each"
            if seeds and seeds[-1] > 1
            else ""
        )
        rows = f"{len(self.rows)} setting{'s' * (len(self.rows) != 1)}{of}"
        more = f"; {repeated} more of the same settings, seed and data as one of these" * bool(
            repeated
        )
        more += f"; {len(self.missing)} without results" * bool(self.missing)
        return f"{done} run{'s' * (done != 1)} in {rows}{more}"

    @property
    def kept(self) -> list[tuple[str, list]]:
        """The columns that tell the rows apart: their header, and a value for each row."""
        kinds = [(name, [row.kind[i] for row in self.lines]) for i, name in enumerate(GROUPS)]
        kinds = kinds[:1] + [(name, values) for name, values in kinds[1:] if len(set(values)) > 1]
        shown = [
            name for name in self.settings if SAMPLER not in self.overview or name != SAMPLER.name
        ]
        settings = [(name, [row.settings.get(name, "") for row in self.lines]) for name in shown]
        seeds = [("seeds", [len(row.runs) or "" for row in self.lines])]
        return [*kinds, *settings, *seeds * any(len(row.runs) > 1 for row in self.rows)]

    @property
    def kept_in_all(self) -> list[tuple[str, list]]:
        """The same with every setting in which rows differ, whoever chose it."""
        kinds = [(name, [row.kind[i] for row in self.lines]) for i, name in enumerate(GROUPS)]
        shown = [
            name
            for name in differing(self.rows)
            if SAMPLER not in self.names or name != SAMPLER.name
        ]
        settings = [(name, [row.settings.get(name, "") for row in self.lines]) for name in shown]
        return [*kinds, *settings, ("seeds", [len(row.runs) or "" for row in self.lines])]

    def text(self, row: Row, measure: Measure, words: Callable[[Value | None], str]) -> str:
        """What stands in a cell, numbers in such words."""
        return row.sampler if measure == SAMPLER else words(row.cells.get(measure))

    @property
    def note(self) -> str:
        """How to read a number at a glance."""
        several = "±: 95 % by Student's t over the seeds. " * any(
            value.seeds > 1 for row in self.rows for value in row.cells.values()
        )
        alone = any(
            value.seeds == 1 for at in self.best for value in [self.rows[at[0]].cells[at[1]]]
        )
        marked = (
            "* and bold: the best on the same data, where one direction is better (↓ lower, ↑ higher) and its 95 % interval is "
            "apart from all others. "
        )
        once = "With one seed that interval says nothing of another training: seed=0,1,2 does. "
        return (several + marked * bool(self.best) + once * alone).strip()

    @property
    def note_on_all(self) -> str:
        """How to read a number among all."""
        measured = any(
            value.seeds == 1 and value.low is not None
            for row in self.rows
            for value in row.cells.values()
        )
        return "[ ]: the 95 % interval that a run has measured." * measured


def compared(paths: Iterable[Path], registry: Registry) -> Report:
    """What there is to say of the runs in and below some folders."""
    found, lost = gathered(paths, registry)
    rows = averaged(found)
    measures = _with_sampler(ranked(rows), rows)
    shown = _with_sampler(headlines(rows), rows)
    overview = {m: name + ARROWS.get(m.better, "") for m, name in numbered(shown).items()}
    contests = [c for m in measures for c in held(rows, m)]
    missing = failed_runs(found, lost)
    return Report(
        rows,
        yardsticks(rows),
        telling(rows),
        measures,
        labels(measures),
        overview,
        standings(rows),
        contests,
        missing,
        found,
    )


def _with_sampler(measures: list[Measure], rows: list[Row]) -> list[Measure]:
    """The measures with the sampler before the first that is of samples, where any is known."""
    at = next((i for i, m in enumerate(measures) if m.group == SAMPLES), None)
    return (
        measures
        if at is None or not any(row.sampler for row in rows)
        else [*measures[:at], SAMPLER, *measures[at:]]
    )


def averaged(found: Iterable[Result]) -> list[Row]:
    """A row for all runs that are done and differ in nothing but their seed; repeats of a run are merged."""
    groups: dict[tuple, dict[str, list[Result]]] = {}
    for result in found:
        if result.state == "done":
            fixed = {
                name: written(value) for name, value in result.settings.items() if not is_seed(name)
            }
            groups.setdefault((result.kind, *fixed.items()), {}).setdefault(result.seed, []).append(
                result
            )
    return [_row([merged(repeats) for repeats in by_seed.values()]) for by_seed in groups.values()]


def _row(runs: list[Result]) -> Row:
    settings = {name: value for name, value in runs[0].settings.items() if not is_seed(name)}
    measures = dict.fromkeys(measure for run in runs for measure in run.measures)
    values = {
        measure: [run.measures[measure] for run in runs if measure in run.measures]
        for measure in measures
    }
    cells = {
        measure: mean(some)._replace(lacking=len(runs) - len(some))
        for measure, some in values.items()
    }
    return Row(runs[0].kind, settings, runs, cells)


def yardsticks(rows: list[Row]) -> list[Row]:
    """For each data, what training points score in place of samples: over the seeds, if it depends on them."""
    found = []
    for data in dict.fromkeys(row.data for row in rows):
        mine = [row for row in rows if row.data == data]
        values: dict[Measure, dict[str, Value]] = {}
        for run in (run for row in mine for run in row.runs):
            for measure, value in run.real.items():
                if any(measure in row.cells for row in mine):
                    values.setdefault(measure, {})[run.seed] = value
        cells = {
            m: mean([*({v.mean: v for v in by_seed.values()}.values())])
            for m, by_seed in values.items()
        }
        if cells:
            settings = {
                name: value
                for name, value in mine[0].settings.items()
                if name.startswith("dataset.")
            }
            found.append(Row((REAL, mine[0].kind[1]), settings, [], cells))
    return found


def mean(values: list[Value], level: float = 0.95) -> Value:
    """The mean over the seeds with its interval by Student's t, which takes two; of one seed, what was measured with it."""
    if len(values) == 1:
        return values[0]
    import numpy as np
    from scipy.special import stdtrit

    numbers = np.array([value.mean for value in values], dtype=float)
    half = (
        stdtrit(len(numbers) - 1, (1 + level) / 2) * numbers.std(ddof=1) / math.sqrt(len(numbers))
    )
    centre = float(numbers.mean())
    within = [(value.high - value.low) / 2 for value in values if value.high is not None]
    return Value(
        centre,
        centre - float(half),
        centre + float(half),
        len(values),
        within=sum(within) / max(1, len(within)),
    )


def standings(rows: list[Row]) -> dict[tuple[int, Measure], float]:
    """Where each row stands, by its number, in each measure whose direction is known, among runs on the same data.

    From 0 for the worst to 1 for the best: the share of the other values that it is better than. None where all are alike,
    or where seeds lack the number.
    """
    found = {}
    for data in dict.fromkeys(row.data for row in rows):
        mine = [i for i, row in enumerate(rows) if row.data == data]
        for measure in dict.fromkeys(
            measure for i in mine for measure in rows[i].cells if measure.better
        ):
            if measure.name in BY_THE_CLOCK:
                continue
            means = {
                i: rows[i].cells[measure].mean
                for i in mine
                if measure in rows[i].cells and not rows[i].cells[measure].lacking
            }
            order = sorted(set(means.values()), reverse=measure.better == "lower")
            if len(order) > 1:
                found |= {
                    (i, measure): order.index(value) / (len(order) - 1)
                    for i, value in means.items()
                }
    return found


def held(rows: list[Row], measure: Measure) -> list[Contest]:
    """The contests by a measure, one for each data on which it has been measured of several rows."""
    found = []
    if not measure.better or measure.name in BY_THE_CLOCK:
        return found
    for data in dict.fromkeys(row.data for row in rows):
        mine = {
            i: row.cells[measure]
            for i, row in enumerate(rows)
            if row.data == data and measure in row.cells
        }
        whole = [i for i, value in mine.items() if not value.lacking]
        order = sorted(whole, key=lambda i: mine[i].mean, reverse=measure.better == "higher")
        if len(mine) > 1 and order and len({value.mean for value in mine.values()}) > 1:
            best = mine[order[0]]
            leaders = [i for i in order if i == order[0] or not apart(best, mine[i])]
            found.append(
                Contest(data, measure, leaders, [*mine], any(mine[i].low is None for i in leaders))
            )
    return found


def apart(one: Value, other: Value) -> bool:
    """Whether the intervals of two numbers are apart, so that one is better beyond doubt.

    Over seeds an interval must hold for other test points, too: the spread over the seeds and the interval that each run
    has measured are added as the errors of independent causes are, by their squares. Numbers without
    an interval are never apart.
    """
    low, high = sorted((one, other), key=lambda value: value.mean)
    if low.high is None or high.low is None or math.isclose(low.mean, high.mean, rel_tol=SAME):
        return False
    return low.mean + math.hypot(low.high - low.mean, low.within) < high.mean - math.hypot(
        high.mean - high.low, high.within
    )


def differing(rows: list[Row]) -> list[str]:
    """The settings in which the rows differ; one that a model does not have differs from one that it has."""
    return [
        name
        for name in dict.fromkeys(name for row in rows for name in row.settings)
        if _differs(rows, name)
    ]


def telling(rows: list[Row]) -> list[str]:
    """Of the settings in which rows differ, those that somebody chose: not what only follows from model and dataset."""
    kinds = dict.fromkeys(row.kind for row in rows)
    chosen = {name for row in rows for run in row.runs for name in run.own}
    return [
        name
        for name in differing(rows)
        if name == "device"  # it never follows from the model, and costs depend on it
        or (
            name in chosen
            and len({written(row.settings[name]) for row in rows if name in row.settings}) > 1
        )
        or any(_differs([row for row in rows if row.kind == kind], name) for kind in kinds)
    ]


def _differs(rows: Iterable[Row], name: str) -> bool:
    return len({written(row.settings[name]) if name in row.settings else None for row in rows}) > 1


def called(row: Row, rows: list[Row], without: Iterable[str] = ()) -> str:
    """What tells a row from the others in words: model, dataset and settings, as far as they differ."""
    names = [kind for i, kind in enumerate(row.kind) if len({other.kind[i] for other in rows}) > 1]
    names += [
        f"{s}={short(row.settings[s])}"
        for s in telling(rows)
        if s in row.settings and s not in without
    ]
    return ", ".join(names)


def ranked(rows: list[Row]) -> list[Measure]:
    """Every measure, those first that compare most runs, whose direction is known, and that are on held-out data."""
    measures = list(dict.fromkeys(measure for row in rows for measure in row.cells))
    after = {
        "test": 1,
        "time": 2,
        "validation": 3,
        "cost": 4,
        "train": 5,
    }  # numbers of no card, or that depend on the machine

    def key(measure: Measure) -> tuple:
        covers = sum(measure in row.cells for row in rows)
        sparse = 2 * covers < len(rows) or covers < 2 <= len(rows)
        return sparse, not measure.better, after.get(measure.group, 0 if measure.better else 1.5)

    return sorted(measures, key=key)


def headlines(rows: list[Row]) -> list[Measure]:
    """The few measures that tell at a glance what a model is good at, in the order of a report card."""
    from genbench.evaluation.registry import measures  # which takes torch

    order = [m.name for m in measures().values() if m.headline]
    mine = sorted(
        (m for m in ranked(rows) if m.name in order and m.group not in SPLITS),
        key=lambda m: order.index(m.name),
    )
    found = [m for m in mine if sum(m in row.cells for row in rows) > 1] or mine
    return (
        found
        or [m for m in ranked(rows) if len({row.cells.get(m) for row in rows}) > (len(rows) > 1)][
            :MOST_AT_FIRST
        ]
    )


def numbered(measures: Iterable[Measure]) -> dict[Measure, str]:
    """A short header for each measure: its name, and of those of the same name a number."""
    measures = [*measures]
    names = [measure.name for measure in measures]
    return {
        m: f"{m.name} ({names[:i].count(m.name) + 1})" if names.count(m.name) > 1 else m.name
        for i, m in enumerate(measures)
    }


def labels(measures: Iterable[Measure]) -> dict[Measure, str]:
    """A header for each measure: its name, and of measures of the same name all that they differ in."""
    found = {measure: measure.name for measure in measures}
    for field, word in APART.items():
        same: dict[str, list[Measure]] = {}
        for measure, label in found.items():
            same.setdefault(label, []).append(measure)
        for some in same.values():
            if len({getattr(measure, field) for measure in some}) > 1:
                found |= {
                    m: f"{found[m]}, {word}{getattr(m, field)}" for m in some if getattr(m, field)
                }
    return found


def brief(value: Value | None) -> str:
    """A number in few words: three digits, and how far its interval over the seeds reaches."""
    if value is None:
        return ""
    spread = f" ± {_reach(value)}" if value.seeds > 1 and value.high is not None else ""
    return (
        (f"{value.mean:,.0f}" if abs(value.mean) >= 1000 else f"{value.mean:.3g}")
        + spread
        + _lacking(value)
    )


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
    if reach <= SAME * abs(value.mean):  # rounding
        return "0"
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

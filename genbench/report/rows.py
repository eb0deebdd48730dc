"""From runs to rows: runs that differ only in their seed are one row with mean values."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from genbench.report.load import RunResult, merged_repeats
from genbench.report.quantities import Quantity, Value
from genbench.report.words import is_number
from genbench.settings.setting import written

REAL = "real data"  # in the place of a model
INTERVAL_LEVEL = 0.95  # of intervals


@dataclass(frozen=True, eq=False)
class TableRow:
    """The runs of the same settings and data, one for each seed, and the mean of each measure.

    Real data are a row, too, without runs: the sample measures of training points.
    """

    model: str
    dataset: str
    settings: dict[str, Any]  # without the seed
    runs: list[RunResult]
    cells: dict[Quantity, Value]

    @cached_property
    def data(self) -> tuple[str, ...]:
        """What identifies the data of the runs: numbers on other data do not compare."""
        own = (f"{n}={written(v)}" for n, v in self.settings.items() if n.startswith("dataset."))
        return self.dataset, *own

    @property
    def sampler(self) -> str:
        """What the samples were drawn from that the sample measures are about."""
        return ", ".join(dict.fromkeys(r.metrics.sampler for r in self.runs if r.metrics.sampler))

    def term(self, name: str) -> Value | None:
        """The mean of a term of the objective over the seeds, on test data if all runs have it."""
        for part in ("test", "validation"):
            terms = [run.metrics.by_part.get(part, {}) for run in self.runs]
            if all(name in some for some in terms):
                return _means((0, {name: Value(some[name])}) for some in terms)[0, name]
        return None

    @property
    def fit_seconds(self) -> float | None:
        """How long the model took to learn, on average."""
        took = [run.metrics.fit_seconds for run in self.runs]
        known = [seconds for seconds in took if seconds is not None]
        return sum(known) / len(known) if known else None


def averaged(runs: Iterable[RunResult]) -> list[TableRow]:
    """A row for all finished runs that differ only in their seed; repeats of a run are merged."""
    done = [run for run in runs if run.state == "done"]
    if not done:
        return []
    table = pd.DataFrame({"run": done, "seed": [run.seed for run in done]})
    table["row"] = pd.factorize(pd.Series([_identity(run) for run in done]))[0]
    of_row: dict[int, list[RunResult]] = {}
    for _, repeats in table.groupby(["row", "seed"], sort=False):
        run = merged_repeats([*repeats["run"]])
        of_row.setdefault(int(repeats["row"].iloc[0]), []).append(run)
    means = _means((i, run.metrics.cells) for i, some in of_row.items() for run in some)
    cells: dict[int, dict[Quantity, Value]] = {i: {} for i in of_row}
    for (i, quantity), value in means.items():
        cells[i][quantity] = value._replace(lacking=len(of_row[i]) - value.seeds)
    return [
        TableRow(some[0].model, some[0].dataset, some[0].fixed_settings, some, cells[i])
        for i, some in of_row.items()
    ]


def _identity(run: RunResult) -> str:
    settings = {name: written(value) for name, value in run.fixed_settings.items()}
    return json.dumps([run.model, run.dataset, settings])


def real_rows(rows: list[TableRow]) -> list[TableRow]:
    """For each data set, what training points score in place of samples."""
    found = []
    for data in dict.fromkeys(row.data for row in rows):
        mine = [row for row in rows if row.data == data]
        measured = {quantity for row in mine for quantity in row.cells}
        scores = (
            (0, {q: v for q, v in run.metrics.real.items() if q in measured})
            for row in mine
            for run in row.runs
        )
        # Runs with the same seed compare with the same training points.
        cells = {quantity: v for (_, quantity), v in _means(scores, are_distinct=False).items()}
        if cells:
            settings = {n: v for n, v in mine[0].settings.items() if n.startswith("dataset.")}
            found.append(TableRow(REAL, mine[0].dataset, settings, [], cells))
    return found


def _means(
    cells: Iterable[tuple[int, dict[Any, Value]]], are_distinct: bool = True
) -> dict[tuple[int, Any], Value]:
    """The mean of each quantity of each row over all its cells, with its interval by Student's t.

    Of a single value, the interval is the one that the run has measured. Where values are not
    distinct measurements, equal ones count once.
    """
    lines = [(i, quantity, *value[:3]) for i, of_run in cells for quantity, value in of_run.items()]
    if not lines:
        return {}
    quantities = [*dict.fromkeys(line[1] for line in lines)]
    codes = {quantity: code for code, quantity in enumerate(quantities)}
    table = pd.DataFrame(
        {
            "row": [line[0] for line in lines],
            "quantity": [codes[line[1]] for line in lines],
            "value": np.array([line[2] for line in lines], dtype=float),
            "low": np.array([line[3] for line in lines], dtype=float),
            "high": np.array([line[4] for line in lines], dtype=float),
        }
    )
    if not are_distinct:
        table = table.drop_duplicates(["row", "quantity", "value"])
    table["half"] = (table["high"] - table["low"]) / 2
    summary = table.groupby(["row", "quantity"], sort=False).agg(
        mean=("value", "mean"),
        deviation=("value", "std"),
        seeds=("value", "size"),
        low=("low", "first"),
        high=("high", "first"),
        within=("half", "mean"),
    )
    return {
        (row, quantities[code]): _mean(line)
        for (row, code), line in zip(summary.index, summary.itertuples(index=False), strict=True)
    }


def _mean(line: Any) -> Value:
    """A line of the summary as a value."""
    if line.seeds > 1:
        reach = (
            float(stdtrit(line.seeds - 1, (1 + INTERVAL_LEVEL) / 2))
            * line.deviation
            / line.seeds**0.5
        )
        within = 0.0 if math.isnan(line.within) else line.within
        return Value(line.mean, line.mean - reach, line.mean + reach, int(line.seeds), 0, within)
    if math.isnan(line.low):
        return Value(line.mean)
    return Value(line.mean, line.low, line.high)


# --- the settings of rows -------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _written_settings(rows: tuple[TableRow, ...]) -> pd.DataFrame:
    """The settings of rows in words, a line for each row; missing where a model has no such."""
    return pd.DataFrame([{n: written(v) for n, v in row.settings.items()} for row in rows])


def differing_settings(rows: Sequence[TableRow]) -> list[str]:
    """The settings that have several values among those rows that have them."""
    counts = _written_settings(tuple(rows)).nunique()
    return [str(name) for name in counts.index[counts > 1]]


@lru_cache(maxsize=1024)
def _chosen(rows: tuple[TableRow, ...]) -> tuple[str, ...]:
    own = {name for row in rows for run in row.runs for name in run.own} | {"device"}
    within_a_kind = {
        name
        for kind in dict.fromkeys((row.model, row.dataset) for row in rows)
        for name in differing_settings([row for row in rows if (row.model, row.dataset) == kind])
    }
    return tuple(name for name in differing_settings(rows) if name in own | within_a_kind)


def chosen_settings(rows: Sequence[TableRow]) -> list[str]:
    """The settings in which rows differ because somebody chose so.

    Those that only follow from the model or the dataset are left out. The device always counts, as
    costs depend on it.
    """
    return [*_chosen(tuple(rows))]


def swept_numbers(rows: Sequence[TableRow]) -> list[str]:
    """The settings of these rows that have several values, all of them numbers."""
    return [
        n for n in differing_settings(rows) if all(is_number(row.settings.get(n)) for row in rows)
    ]


def same_but(rows: Sequence[TableRow], names: Iterable[str]) -> list[list[TableRow]]:
    """The rows in groups with the same model, dataset and settings, apart from these settings."""
    rows = [*rows]
    if not rows:
        return []
    fixed = _written_settings(tuple(rows)).drop(columns=[*names], errors="ignore").fillna("")
    fixed = fixed.loc[:, fixed.nunique() > 1]
    keys = [pd.Series([row.model for row in rows]), pd.Series([row.dataset for row in rows])]
    groups = fixed.groupby([*keys, *(fixed[name] for name in fixed)], sort=False).indices
    ordered = sorted(groups.values(), key=lambda places: places[0])
    return [[rows[i] for i in places] for places in ordered]


def other_settings(rows: Sequence[TableRow]) -> list[str]:
    """The settings in which rows differ that only follow from the model or the dataset."""
    return [name for name in differing_settings(rows) if name not in chosen_settings(rows)]

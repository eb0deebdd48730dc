"""The report itself: a table for each dataset, its first columns, and what is missing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from genbench.config.registry import Registry
from genbench.report.data_names import with_data_named
from genbench.report.load import FailedRun, Reasons, RunResult, failed_runs, gathered
from genbench.report.quantities import SAMPLES, Quantity, Value, in_range
from genbench.report.ranking import Contest, contests, is_ranked, standings
from genbench.report.rows import TableRow, averaged, chosen_settings, real_rows
from genbench.report.searches import SearchResult, searches
from genbench.runs.directory import SPLITS
from genbench.utils.text import counted

ARROWS = {"lower": " ↓", "higher": " ↑"}
MOST_AT_FIRST = 10  # columns of numbers that are shown first, where no card says which matter
MOST_EMPTY = 3  # rows without any number that are shown first
LEAST_SHARE = 0.25  # of the rows, for a further column of the same name to be shown first
SAMPLER = Quantity("sampler", SAMPLES)  # the column that says what samples are drawn from
# How a header distinguishes measures of one name: by the first of these in which they differ.
APART = {
    "group": "",
    "on": "on ",
    "model": "of ",
    "n": "from ",
    "features": "by ",
    "of": "of: ",
    "total": "out of ",
    "unit": "in ",
    "better": "",
}


@dataclass(frozen=True)
class Column:
    """A column of numbers: its name, and which measure stands in it, by the data of the row.

    Measures on different data, which nothing compares, share a column.
    """

    name: str
    quantity: Quantity  # one of them, for what they have in common
    by_data: dict[tuple[str, ...], Quantity]

    @property
    def head(self) -> str:
        """The name, with an arrow towards what is better."""
        return self.name + ARROWS.get(self.quantity.better, "")

    @property
    def is_sampler(self) -> bool:
        """Whether it says what samples are drawn from, instead of numbers."""
        return self.quantity == SAMPLER

    def value(self, row: TableRow) -> Value | None:
        """The number of a row, as people read it."""
        quantity = self.by_data.get(row.data, self.quantity)
        value = row.cells.get(quantity)
        return None if value is None else in_range(quantity, value)

    def text(self, row: TableRow, words: Callable[[Value | None], str]) -> str:
        """The cell of a row, its number in such words."""
        return row.sampler if self.is_sampler else words(self.value(row))


@dataclass(frozen=True)
class Section:
    """The runs on one dataset: the rows of their table, its columns, and what is best."""

    dataset: str
    rows: list[TableRow]
    real: list[TableRow]  # the sample measures of real data, which nothing ranks
    columns: list[Column]  # those that are shown first
    standings: dict[tuple[int, Quantity], float]
    contests: list[Contest]

    @property
    def lines(self) -> list[TableRow]:
        """All rows of the table, real data last."""
        return [*self.rows, *self.real]

    @cached_property
    def settings(self) -> list[str]:
        """The settings that distinguish the rows; the sampler has a column of its own."""
        has_sampler = any(column.is_sampler for column in self.columns)
        return [n for n in chosen_settings(self.rows) if n != SAMPLER.name or not has_sampler]

    @cached_property
    def places_with_numbers(self) -> list[int]:
        """The lines that have a number in some first column; all lines where few have none."""
        numbers = [c for c in self.columns if not c.is_sampler]
        places = [i for i, row in enumerate(self.lines) if any(c.value(row) for c in numbers)]
        return places if len(self.lines) - len(places) > MOST_EMPTY else [*range(len(self.lines))]

    @property
    def has_seeds(self) -> bool:
        """Whether some row is of several seeds."""
        return any(len(row.runs) > 1 for row in self.rows)

    @property
    def ranked_columns(self) -> list[Column]:
        """The columns that sentences compare rows by."""
        return [column for column in self.columns if is_ranked(column.quantity)]

    def standing(self, i: int, column: Column) -> float | None:
        """Where a line stands in a column, from 0 to 1."""
        if i >= len(self.rows):
            return None
        return self.standings.get((i, column.by_data.get(self.rows[i].data, column.quantity)))

    @cached_property
    def best(self) -> set[tuple[int, Quantity]]:
        """The lines and measures where one is clearly the best."""
        return {(c.leaders[0], c.quantity) for c in self.contests if c.won}

    def is_best(self, i: int, column: Column) -> bool:
        """Whether a line is clearly the best in a column."""
        row = self.lines[i]
        return (i, column.by_data.get(row.data, column.quantity)) in self.best


@dataclass(frozen=True)
class Report:
    """Some runs compared: a section for each dataset, and the runs without results.

    `own_words` are what a command needs to know the configs of these runs.
    """

    sections: list[Section]
    failed: list[FailedRun]
    runs: list[RunResult]
    own_words: list[str]
    searches: list[SearchResult]

    @cached_property
    def rows(self) -> list[TableRow]:
        """The rows of all sections."""
        return [row for section in self.sections for row in section.rows]

    @cached_property
    def lines(self) -> list[TableRow]:
        """The rows and the real data of all sections."""
        return [row for section in self.sections for row in section.lines]

    @property
    def title(self) -> str:
        """Models and data in words."""
        models = [*dict.fromkeys(row.model for row in self.rows)]
        data = [section.dataset for section in self.sections]
        named = ", ".join(models) if len(models) < 6 else f"{len(models)} models"
        on = ", ".join(data) if len(data) < 6 else f"{len(data)} datasets"
        return f"{named} on {on}" if models else "no finished runs"

    @property
    def counts(self) -> str:
        """How many runs there are, in words."""
        seeds = sorted({len(row.runs) for row in self.rows})
        done = sum(len(row.runs) for row in self.rows)
        text = f"{counted(done, 'run')} in {counted(len(self.rows), 'setting')}"
        if seeds and seeds[-1] > 1:
            ends = dict.fromkeys((seeds[0], seeds[-1]))
            text += f" of {'-'.join(map(str, ends))} seeds each"
        if len(self.sections) > 1:
            text += f" on {len(self.sections)} datasets"
        if repeated := sum(len(run.folders) - 1 for row in self.rows for run in row.runs):
            again = counted(repeated, "repetition")
            text += f"; {again} (the same settings, seed and data) counted once"
        pruned = sum(run.state == "pruned" for run in self.runs)
        text += f"; {pruned} pruned" if pruned else ""
        return text + (f"; {len(self.failed)} without results" if self.failed else "")

    @cached_property
    def quantities(self) -> list[Quantity]:
        """Every measure of any run, those first that compare most rows."""
        return with_sampler(ranked(self.rows), self.rows)

    @cached_property
    def labels(self) -> dict[Quantity, str]:
        """A name for each measure that no other has."""
        return labels(self.quantities)


def compared(paths: Sequence[Path], registry: Registry, reasons: Reasons | None = None) -> Report:
    """The report on the runs in and below some folders; `reasons` are those of `gathered`."""
    found, lost = gathered(paths, registry, reasons)
    runs = with_data_named(found)
    rows = averaged(runs)
    datasets = dict.fromkeys(row.dataset for row in rows)
    sections = [section([row for row in rows if row.dataset == name]) for name in datasets]
    own_words, found_searches = registry.own_words(), searches(paths)
    return Report(sections, failed_runs(runs, lost), runs, own_words, found_searches)


def section(rows: list[TableRow]) -> Section:
    """The section of rows on one dataset."""
    return Section(
        rows[0].dataset,
        rows,
        real_rows(rows),
        first_columns(rows),
        standings(rows),
        contests(rows, ranked(rows)),
    )


# --- which measures, in which order, under which name ---------------------------------------------


def ranked(rows: Sequence[TableRow]) -> list[Quantity]:
    """Every measure, those first that compare most rows and have a direction."""
    quantities = dict.fromkeys(quantity for row in rows for quantity in row.cells)
    # After those of a card come numbers outside it, and those that depend on the machine.
    after = {"test": 1.0, "time": 2.0, "validation": 3.0, "cost": 4.0, "train": 5.0}

    def key(quantity: Quantity) -> tuple[bool, bool, float]:
        covers = sum(quantity in row.cells for row in rows)
        sparse = 2 * covers < len(rows) or covers < 2 <= len(rows)
        usual = 0.0 if quantity.better else 1.5
        return sparse, not quantity.better, after.get(quantity.group, usual)

    return sorted(quantities, key=key)


def first_columns(rows: Sequence[TableRow]) -> list[Column]:
    """The columns of the few measures that say at a glance what a model is good at."""
    from genbench.evaluation.registry import headlines  # imports torch

    names = headlines()
    order = ranked(rows)
    mine = [q for q in order if q.name in names and q.group not in SPLITS]
    columns = _columns(sorted(mine, key=lambda q: names.index(q.name)), rows)
    if not columns:
        some = [q for q in order if len({row.cells.get(q) for row in rows}) > (len(rows) > 1)]
        columns = _columns(some[:MOST_AT_FIRST], rows)
    return _with_sampler_column(columns, rows)


def _columns(quantities: Iterable[Quantity], rows: Sequence[TableRow]) -> list[Column]:
    """Columns of these measures, those that compare rows or, where none does, all.

    Of several measures of one name on the same data, each has a column with a number.
    """
    places: dict[tuple[str, int], dict[tuple[str, ...], Quantity]] = {}
    for quantity in quantities:
        for data in dict.fromkeys(row.data for row in rows if quantity in row.cells):
            k = 1
            while data in places.setdefault((quantity.name, k), {}):
                k += 1
            places[quantity.name, k][data] = quantity
    columns = [
        Column(n, next(iter(by_data.values())), by_data) for (n, _), by_data in places.items()
    ]
    counts = [sum(column.value(row) is not None for row in rows) for column in columns]
    columns = [
        column
        for (_, k), column, count in zip(places, columns, counts, strict=True)
        if count >= (2 if k == 1 else max(2, LEAST_SHARE * len(rows)))
    ] or columns
    names = [column.name for column in columns]
    return [
        replace(c, name=f"{c.name} ({names[: i + 1].count(c.name)})")
        if names.count(c.name) > 1
        else c
        for i, c in enumerate(columns)
    ]


def _with_sampler_column(columns: list[Column], rows: Sequence[TableRow]) -> list[Column]:
    quantities = with_sampler([column.quantity for column in columns], rows)
    if SAMPLER not in quantities:
        return columns
    at = quantities.index(SAMPLER)
    return [*columns[:at], Column(SAMPLER.name, SAMPLER, {}), *columns[at:]]


def with_sampler(quantities: list[Quantity], rows: Sequence[TableRow]) -> list[Quantity]:
    """The measures with the sampler before the first measure of samples, where it is known."""
    at = next((i for i, q in enumerate(quantities) if q.group == SAMPLES), None)
    if at is None or not any(row.sampler for row in rows):
        return quantities
    return [*quantities[:at], SAMPLER, *quantities[at:]]


def labels(quantities: Iterable[Quantity]) -> dict[Quantity, str]:
    """A header for each measure: its name and, of measures of the same name, how they differ."""
    found = {quantity: quantity.name for quantity in quantities}
    for field, word in APART.items():
        same: dict[str, list[Quantity]] = {}
        for quantity, label in found.items():
            same.setdefault(label, []).append(quantity)
        for some in same.values():
            if len({getattr(quantity, field) for quantity in some}) > 1:
                for quantity in some:
                    value = getattr(quantity, field)
                    if value not in ("", None):
                        found[quantity] += f", {word}{value}"
    return found

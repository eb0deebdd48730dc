"""Charts of many runs: trade-offs, measures against settings, learning curves, and cost.

Each function takes rows and yields charts by name, as many as there is something to show of.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from genbench.figures.canvas import Canvas
from genbench.report.chart_panels import (
    SINGLE,
    Series,
    draw_panel,
    heat_map,
    label,
    panels,
    space,
    within_bounds,
)
from genbench.report.names import name_of
from genbench.report.quantities import Quantity, Value
from genbench.report.rows import TableRow, differing_settings, same_but, swept_numbers
from genbench.report.search_charts import search_charts
from genbench.report.sweep_curves import curve_picture
from genbench.report.sweep_lines import curves
from genbench.report.table import Report, labels, ranked
from genbench.report.words import is_number, short
from genbench.runs.curves import validation_curve

MOST_LINES, MOST_PANELS, MOST_TICKS, MOST_HEAT_MAPS = 8, 9, 8, 4  # in one picture
Named = tuple[str, Canvas]


class Trade(NamedTuple):
    """Two terms of an objective that a weight trades for one another, with their labels."""

    name: str
    across: str
    x_label: str
    up: str
    y_label: str


RECONSTRUCTION = ("reconstruction", "reconstruction")
TRADES = (
    Trade("rate_against_distortion", "kl", "rate: kl, nats", "nll", "distortion: nll, nats"),
    Trade("kl_against_reconstruction", "kl", "kl, nats", *RECONSTRUCTION),
    Trade(
        "prior_match_against_reconstruction",
        "sliced_wasserstein",
        "sliced Wasserstein distance to the prior",
        *RECONSTRUCTION,
    ),
    Trade("sparsity_against_reconstruction", "sparsity", "sparsity", *RECONSTRUCTION),
)


def charts(report: Report) -> Iterator[Named]:
    """Every chart that the searches and runs of a report give."""
    for search in report.searches:
        yield from search_charts(search)
    yield from trades(report.rows)
    yield from ((curve.file, curve_picture(curve)) for curve in curves(report.runs))
    yield from against_settings(report.rows)
    yield from learning(report.rows)
    yield from heat_maps(report.rows)
    yield from cost(report.rows)


def trades(rows: Sequence[TableRow]) -> Iterator[Named]:
    """Two terms of the objective on held-out data, joined in the order of their weight."""
    for trade in TRADES:
        both = [row for row in rows if row.term(trade.across) and row.term(trade.up)]
        for data, some in _by_data(both):
            if len(some) < 2:
                continue
            lines = [_traded(at, some, trade) for at in same_but(some, _weights(some))]
            note = f"{trade.y_label} against {trade.x_label}; {_seeds_in_words(some)}"
            canvas, (axes,) = panels([""], lines, _title(some), note, **SINGLE)
            draw_panel(axes, lines, trade.x_label, trade.y_label)
            label(axes, lines)
            yield f"{trade.name}_on_{data}", canvas


def _traded(rows: list[TableRow], among: list[TableRow], trade: Trade) -> Series:
    own = [n for n in _weights(rows) if all(is_number(row.settings.get(n)) for row in rows)]
    weights = [name for name in differing_settings(among) if name in own]
    rows = sorted(rows, key=lambda row: [row.settings[name] for name in weights])
    words = [" ".join(f"{n}={short(row.settings[n])}" for n in weights) for row in rows]
    points = [(row.term(trade.across), row.term(trade.up)) for row in rows]
    x = [across for across, _ in points if across is not None]
    y = [up for _, up in points if up is not None]
    return Series(name_of(rows[0], among, weights), x, y, words)


def _weights(rows: Iterable[TableRow]) -> list[str]:
    """The settings that the criteria contain."""
    runs = [run for row in rows for run in row.runs]
    return list(dict.fromkeys(n for run in runs for n in run.metrics.criterion_settings))


def against_settings(rows: Sequence[TableRow]) -> Iterator[Named]:
    """What was measured, besides the criterion, against each number that was swept."""
    for kind, some in _by_kind(rows):
        for setting in swept_numbers(some):
            groups = [
                sorted(at, key=lambda row: row.settings[setting])
                for at in same_but(some, [setting])
                if len(at) > 1
            ][:MOST_LINES]
            # A criterion has a curve of its own.
            criteria = {run.metrics.criterion for row in some for run in row.runs}
            quantities = [
                quantity
                for quantity in ranked(some)
                if not (quantity.model and quantity.name in criteria) and _varies(quantity, groups)
            ][:MOST_PANELS]
            if not quantities:
                continue
            lines = {q: [_against(q, at, some, setting) for at in groups] for q in quantities}
            names = labels(quantities)
            note = f"measures against {setting}; {_seeds_in_words(some)}; those that differ"
            heads = [names[q] + _direction(q) for q in quantities]
            canvas, all_axes = panels(heads, lines[quantities[0]], _title(some), note)
            for axes, quantity in zip(all_axes, quantities, strict=True):
                draw_panel(axes, lines[quantity], setting, quantity.unit)
                tried = [x.mean for line in lines[quantity] for x in line.x]
                space(axes, tried, tried if len(set(tried)) <= MOST_TICKS else ())
            yield f"measures_against_{setting}_{'_on_'.join(kind)}", canvas


def _varies(quantity: Quantity, groups: list[list[TableRow]]) -> bool:
    """Whether a measure on held-out data differs all along some line."""
    if quantity.group in ("train", "cost", "validation"):
        return False
    known = [at for at in groups if all(quantity in row.cells for row in at)]
    return any(len({row.cells[quantity].mean for row in at}) > 1 for at in known)


def _against(
    quantity: Quantity, rows: list[TableRow], among: list[TableRow], setting: str
) -> Series:
    have = [row for row in rows if quantity in row.cells]
    y = [within_bounds(quantity, row.cells[quantity]) for row in have]
    return Series(
        name_of(rows[0], among, [setting]), [Value(row.settings[setting]) for row in have], y
    )


def learning(rows: Sequence[TableRow]) -> Iterator[Named]:
    """The criterion on validation data after each epoch: a panel per model and criterion."""
    shown: dict[str, list[Series]] = {}
    is_cut = False
    for kind, some in _by_kind(rows):
        criteria = dict.fromkeys(row.runs[0].metrics.criterion for row in some)
        for criterion in filter(None, criteria):
            mine = [row for row in some if row.runs[0].metrics.criterion == criterion]
            learnt = [_learnt(row, criterion, name_of(row, mine)) for row in mine]
            lines = [line for line in learnt if len(line.x) > 1]
            if lines:
                lines.sort(key=lambda line: min(y.mean for y in line.y))
                is_cut = is_cut or len(lines) > MOST_LINES
                shown[f"{' on '.join(kind)}: {criterion}"] = lines[:MOST_LINES]
    shown = dict(list(shown.items())[:MOST_PANELS])
    if not shown:
        return
    several = max(len(row.runs) for row in rows) > 1
    note = "learning curves on the validation data; "
    note += "mean and range over the seeds" if several else "after each epoch"
    note += f"; the {MOST_LINES} settings that get lowest" if is_cut else ""
    longest = max(shown.values(), key=len)
    canvas, all_axes = panels([*shown], longest, _title(rows), note)
    for axes, lines in zip(all_axes, shown.values(), strict=True):
        draw_panel(axes, lines, "epoch", "", bands=True)
    yield "learning_curves", canvas


def _learnt(row: TableRow, criterion: str, name: str) -> Series:
    """Means and ranges over the seeds at the epochs that all runs have."""
    points = pd.DataFrame([validation_curve(run.path, criterion) for run in row.runs])
    points = points.dropna(axis="columns")[sorted(points.dropna(axis="columns").columns)]
    y = zip(points.mean(), points.min(), points.max(), strict=True)
    values = [Value(mean, low, high, len(row.runs)) for mean, low, high in y]
    return Series(name, [Value(int(epoch)) for epoch in points.columns], values)


def heat_maps(rows: Sequence[TableRow]) -> Iterator[Named]:
    """The first measure that compares, over each two numbers that were swept together."""
    for kind, some in _by_kind(rows):
        names = swept_numbers(some)
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        for across, up in pairs[:MOST_HEAT_MAPS]:
            largest = max(same_but(some, (across, up)), key=len)
            found = _first_grid(largest, ranked(some), across, up)
            if found is not None:
                quantity, grid = found
                name = labels(ranked(some))[quantity] + _direction(quantity)
                note = f"{name}; {_seeds_in_words(largest)}"
                fixed = name_of(largest[0], some, [across, up])
                note += f"; at {fixed}" if fixed else ""
                canvas = heat_map(grid, _title(some), note)
                yield f"{quantity.name}_over_{across}_and_{up}_{'_on_'.join(kind)}", canvas


def _first_grid(
    rows: list[TableRow], quantities: list[Quantity], across: str, up: str
) -> tuple[Quantity, pd.DataFrame] | None:
    """The first measure that has at least two values of each setting, and its table."""
    for quantity in quantities:
        have = [row for row in rows if quantity in row.cells]
        if quantity.group in ("train", "cost", "time") or len(have) < 4:
            continue
        table = pd.DataFrame(
            {
                across: [row.settings[across] for row in have],
                up: [row.settings[up] for row in have],
                "value": [row.cells[quantity].mean for row in have],
            }
        )
        grid = table.pivot_table(index=up, columns=across, values="value")
        if min(grid.shape) > 1:
            return quantity, grid
    return None


def cost(rows: Sequence[TableRow]) -> Iterator[Named]:
    """How long models took to learn, and how good they are by the measure that most have."""
    for data, some in _by_data([row for row in rows if row.fit_seconds]):
        quantities = [q for q in ranked(some) if q.group not in ("time", "cost")]
        covered = {q: [row for row in some if q in row.cells] for q in quantities}
        quantity = max(covered, key=lambda q: len(covered[q]), default=None)
        if quantity is None or len(covered[quantity]) < 2:
            continue
        lines = []
        for model in dict.fromkeys(row.model for row in covered[quantity]):
            mine = [row for row in covered[quantity] if row.model == model]
            x = [Value(row.fit_seconds or 0.0) for row in mine]
            y = [within_bounds(quantity, row.cells[quantity]) for row in mine]
            lines.append(Series(model, x, y, [name_of(row, mine) for row in mine]))
        name = labels(covered)[quantity]
        note = f"{name} against fit_seconds; {_seeds_in_words(some)}"
        canvas, (axes,) = panels([""], lines, _title(some), note, **SINGLE)
        y_label = name + _direction(quantity)
        draw_panel(axes, lines, "fit_seconds: time to learn, s", y_label, joined=False)
        space(axes, [row.fit_seconds for row in covered[quantity] if row.fit_seconds])
        label(axes, lines)
        yield f"cost_against_{quantity.name}_on_{data}", canvas


# --- words and groups -----------------------------------------------------------------------------


def _direction(quantity: Quantity) -> str:
    return f" ({quantity.better} is better)" if quantity.better else ""


def _title(rows: Sequence[TableRow]) -> str:
    """What all rows share: models, data, and settings that are not at their defaults."""
    models, data = (dict.fromkeys(some) for some in zip(*((r.model, r.dataset) for r in rows)))
    if len(models) > 1:
        return f"{', '.join(models)} on {', '.join(data)}"
    titles = [run.title.split(", ") for row in rows for run in row.runs]
    return ", ".join(part for part in titles[0] if all(part in title for title in titles))


def _seeds_in_words(rows: Sequence[TableRow]) -> str:
    most = max(len(row.runs) for row in rows)
    return f"mean and 95 % interval over {most} seeds" if most > 1 else "one seed"


def _by_kind(rows: Iterable[TableRow]) -> list[tuple[tuple[str, str], list[TableRow]]]:
    groups: dict[tuple[str, str], list[TableRow]] = {}
    for row in rows:
        groups.setdefault((row.model, row.dataset), []).append(row)
    return list(groups.items())


def _by_data(rows: Iterable[TableRow]) -> list[tuple[str, list[TableRow]]]:
    """Rows on the same data by its name, with a number where there are several of that name."""
    groups: dict[tuple[str, ...], list[TableRow]] = {}
    for row in rows:
        groups.setdefault(row.data, []).append(row)
    names = [data[0] for data in groups]
    return [
        (data[0] + (f"_{i + 1}" if names.count(data[0]) > 1 else ""), some)
        for i, (data, some) in enumerate(groups.items())
    ]

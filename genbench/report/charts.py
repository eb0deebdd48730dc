"""Charts of many runs: what is traded for what, measures against settings, learning curves, cost against quality.

Each function takes rows of runs and yields pictures by name, as many as there is something to show of.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from genbench.figures.canvas import CLASSES, INK, SOFT, Canvas, unmathed
from genbench.report.load import Measure, Result, Value, is_number, short
from genbench.report.sweep_curves import curves, drawn
from genbench.report.table import Row, called, differing, labels, on_log, ranked, same_but, swept
from genbench.runs.curves import validation_curve

MOST_LINES, MOST_PANELS = 8, 9  # in one picture
WIDE, HIGH, LINE = 290, 210, 16  # pixels of a panel, and of a line of its legend

# What a weight in the objective trades: the terms across and upwards, and what they are called.
TRADES = {
    "rate_against_distortion": (("kl", "rate: kl, nats"), ("nll", "distortion: nll, nats")),
    "kl_against_reconstruction": (("kl", "kl, nats"), ("reconstruction", "reconstruction")),
    "prior_match_against_reconstruction": (
        ("sliced_wasserstein", "sliced Wasserstein distance to the prior"),
        ("reconstruction",) * 2,
    ),
    "sparsity_against_reconstruction": (
        ("sparsity", "sparsity"),
        ("reconstruction", "reconstruction"),
    ),
}
LABEL_HEIGHTS = (
    4,
    -11,
    13,
    -20,
    22,
    -29,
    31,
)  # points above a mark at which there may be room for its word
Chart = tuple[str, Canvas]


class Line(NamedTuple):
    """Points (x, y) in order, each with an interval where there is one, and perhaps a word."""

    name: str
    x: list[Value]
    y: list[Value]
    words: list[str] = []


def charts(rows: list[Row], found: list[Result]) -> Iterator[Chart]:
    """Every chart that the runs make."""
    yield from trades(rows)
    yield from ((curve.file, drawn(curve)) for curve in curves(found))
    yield from against_settings(rows)
    yield from learning(rows)
    yield from heat_maps(rows)
    yield from cost(rows)


def trades(rows: list[Row]) -> Iterator[Chart]:
    """Two terms of the objective, on held-out data, joined in the order of the weight between them."""
    for name, ((across, x_label), (up, y_label)) in TRADES.items():
        for data, some in _by_data(row for row in rows if row.term(across) and row.term(up)):
            if len(some) > 1:
                lines = [
                    _trade(at, some, across, up) for at in same_but(some, _weights(some)).values()
                ]
                sheet, (axes,) = _panels(
                    [""],
                    lines,
                    f"{y_label} against {x_label}",
                    _title(some),
                    _told(some),
                    wide=440,
                    high=300,
                )
                _draw(axes, lines, x_label, y_label)
                _label(axes, lines)
                yield f"{name}_on_{data}", sheet


def _trade(rows: list[Row], among: list[Row], across: str, up: str) -> Line:
    own = [
        name for name in _weights(rows) if all(is_number(row.settings.get(name)) for row in rows)
    ]
    weights = [name for name in differing(among) if name in own]
    rows = sorted(rows, key=lambda row: [row.settings[name] for name in weights])
    words = [" ".join(f"{name}={short(row.settings[name])}" for name in weights) for row in rows]
    return Line(
        called(rows[0], among, weights),
        [row.term(across) for row in rows],
        [row.term(up) for row in rows],
        words,
    )


def _weights(rows: Iterable[Row]) -> list[str]:
    """The settings that the criteria contain."""
    return list(dict.fromkeys(name for row in rows for run in row.runs for name in run.inside))


def against_settings(rows: list[Row]) -> Iterator[Chart]:
    """What was measured, beside the criterion, against each number that was swept: a panel per measure."""
    for kind, some in _by_kind(rows):
        for setting in swept(some):
            groups = [
                sorted(at, key=lambda row: row.settings[setting])
                for at in same_but(some, [setting]).values()
            ]
            groups = [at for at in groups if len(at) > 1][:MOST_LINES]
            criteria = {
                run.criterion for row in some for run in row.runs
            }  # which have a curve of their own
            measures = [
                m
                for m in ranked(some)
                if not (m.model and m.name in criteria) and _is_told(m, groups)
            ][:MOST_PANELS]
            if not measures:
                continue
            at_setting = {m: [_against(m, at, some, setting) for at in groups] for m in measures}
            names = labels(measures)
            note = f"{_told(some)}; of everything measured, what differs"
            sheet, axes = _panels(
                [names[m] + _direction(m) for m in measures],
                at_setting[measures[0]],
                f"measures against {setting}",
                _title(some),
                note,
            )
            for panel, measure in zip(axes, measures):
                _draw(panel, at_setting[measure], setting, measure.unit)
                tried = [x.mean for line in at_setting[measure] for x in line.x]
                _spaced(panel, tried, tried if len(set(tried)) <= 8 else ())
            yield f"measures_against_{setting}_{'_on_'.join(kind)}", sheet


def _is_told(measure: Measure, groups: list[list[Row]]) -> bool:
    """Whether a measure says something about held-out data all along some line."""
    known = [
        [row.cells[measure].mean for row in at]
        for at in groups
        if all(measure in row.cells for row in at)
    ]
    return measure.group not in ("train", "cost", "validation") and any(
        len(set(values)) > 1 for values in known
    )


def _against(measure: Measure, rows: list[Row], among: list[Row], setting: str) -> Line:
    have = [row for row in rows if measure in row.cells]
    return Line(
        called(rows[0], among, [setting]),
        [Value(row.settings[setting]) for row in have],
        [row.cells[measure] for row in have],
    )


def learning(rows: list[Row]) -> Iterator[Chart]:
    """The criterion on the validation data after each epoch, a panel per model and criterion, a line per setting."""
    panels: dict[str, list[Line]] = {}
    cut = False
    for kind, some in _by_kind(rows):
        for criterion in dict.fromkeys(
            row.runs[0].criterion for row in some if row.runs[0].criterion
        ):
            mine = [row for row in some if row.runs[0].criterion == criterion]
            lines = [
                line
                for row in mine
                for line in [_learnt(row, criterion, called(row, mine))]
                if len(line.x) > 1
            ]
            if lines:
                lines.sort(key=lambda line: min(y.mean for y in line.y))
                cut = cut or len(lines) > MOST_LINES
                panels[f"{' on '.join(kind)}: {criterion}"] = lines[:MOST_LINES]
    shown = dict(list(panels.items())[:MOST_PANELS])
    if not shown:
        return
    longest = max(shown.values(), key=len)
    note = "mean and range over the seeds" if _seeds(rows) > 1 else "after each epoch"
    note += f"; the {MOST_LINES} settings that get lowest" * cut
    sheet, axes = _panels(
        [*shown], longest, "learning curves on the validation data", _title(rows), note
    )
    for panel, lines in zip(axes, shown.values()):
        _draw(panel, lines, "epoch", "", bands=True)
    yield "learning_curves", sheet


def _learnt(row: Row, criterion: str, name: str) -> Line:
    """Means and ranges over the seeds at the epochs that all runs tell of."""
    runs = [validation_curve(run.path, criterion) for run in row.runs]
    epochs = sorted(set.intersection(*(set(points) for points in runs)))
    at = [[points[epoch] for points in runs] for epoch in epochs]
    return Line(
        name,
        [Value(epoch) for epoch in epochs],
        [Value(sum(v) / len(v), min(v), max(v), len(v)) for v in at],
    )


def heat_maps(rows: list[Row], most: int = 4) -> Iterator[Chart]:
    """The first measure that compares, over each two numbers that were swept together."""
    for kind, some in _by_kind(rows):
        names = swept(some)
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        for across, up in pairs[:most]:
            grid = max(same_but(some, (across, up)).values(), key=len)
            measures = [m for m in ranked(some) if m.group not in ("train", "cost", "time")]
            measure = next(
                (
                    m
                    for m in measures
                    if _is_grid([row for row in grid if m in row.cells], across, up)
                ),
                None,
            )
            if measure is not None:
                values = {
                    (row.settings[across], row.settings[up]): row.cells[measure].mean
                    for row in grid
                    if measure in row.cells
                }
                note = f"{labels(measures)[measure]}{_direction(measure)}; {_told(grid)}"
                beside = called(grid[0], some, [across, up])
                sheet = _heat(
                    values, across, up, _title(some), note + f"; at {beside}" * bool(beside)
                )
                yield f"{measure.name}_over_{across}_and_{up}_{'_on_'.join(kind)}", sheet


def _is_grid(rows: list[Row], *names: str) -> bool:
    return len(rows) > 3 and all(len({row.settings[name] for row in rows}) > 1 for name in names)


def _heat(
    values: dict[tuple[float, float], float], across: str, up: str, title: str, note: str
) -> Canvas:
    x, y = (sorted({at[i] for at in values}) for i in (0, 1))
    shades = np.array([[values.get((a, b), np.nan) for a in x] for b in y])
    wide, high = max(300, 62 * len(x)), max(160, 40 * len(y))
    sheet = Canvas(wide + 180, high + 50, title, unmathed(note))
    axes = sheet.axes(70, 4, wide, high)
    drawn = axes.imshow(shades, origin="lower", aspect="auto", cmap="cividis")
    middle = (np.nanmin(shades) + np.nanmax(shades)) / 2
    for (i, j), value in np.ndenumerate(shades):
        if not np.isnan(value):
            axes.text(
                j,
                i,
                f"{value:.4g}",
                ha="center",
                va="center",
                size=8,
                color="white" if value < middle else "black",
            )
    axes.set_xticks(range(len(x)), [f"{v:g}" for v in x])
    axes.set_yticks(range(len(y)), [f"{v:g}" for v in y])
    axes.set(xlabel=across, ylabel=up)
    bar = sheet.figure.colorbar(drawn, cax=sheet.axes(wide + 90, 4, 12, high))
    bar.ax.tick_params(colors=SOFT, labelsize=8)
    return sheet


def cost(rows: list[Row]) -> Iterator[Chart]:
    """How long models took to learn, and how good they are by the first measure that most have."""
    for data, some in _by_data(row for row in rows if row.fit_seconds):
        covered = {
            m: [row for row in some if m in row.cells]
            for m in ranked(some)
            if m.group not in ("time", "cost")
        }
        measure = max(covered, key=lambda m: len(covered[m]), default=None)
        if measure is None or len(covered[measure]) < 2:
            continue
        by_model = {
            model: [r for r in covered[measure] if r.kind[0] == model]
            for model in dict.fromkeys(r.kind[0] for r in some)
        }
        lines = [
            Line(
                model,
                [Value(r.fit_seconds) for r in mine],
                [r.cells[measure] for r in mine],
                [called(r, mine) for r in mine],
            )
            for model, mine in by_model.items()
            if mine
        ]
        name = labels(covered)[measure]
        sheet, (axes,) = _panels(
            [""],
            lines,
            f"{name} against fit_seconds",
            _title(some),
            _told(some),
            wide=440,
            high=300,
        )
        _draw(
            axes, lines, "fit_seconds: time to learn, s", name + _direction(measure), joined=False
        )
        _spaced(axes, [row.fit_seconds for row in covered[measure]])
        _label(axes, lines)
        yield f"cost_against_{measure.name}_on_{data}", sheet


# --- how they are drawn ---------------------------------------------------------------------------------------


def _panels(
    names: list[str],
    lines: list[Line],
    what: str,
    title: str,
    note: str,
    wide: int = WIDE,
    high: int = HIGH,
):
    """A sheet and its panels, three in a row, each with room below for a legend of so many lines."""
    legend = LINE * len(lines) * (len(lines) > 1 or bool(lines[0].name)) + 8
    columns, left = min(3, len(names)), 62
    down = 18 + high + 40 + legend
    rows = -(-len(names) // columns)
    sheet = Canvas(columns * (wide + left + 12), rows * down, title, unmathed(f"{what}; {note}"))
    axes = []
    for i, name in enumerate(names):
        panel = sheet.axes(
            left + (i % columns) * (wide + left + 12), 18 + (i // columns) * down, wide, high
        )
        panel.set_title(unmathed(name), size=9, color=INK, loc="left")
        panel.grid(color="#eeeeee", lw=0.8)
        panel.set_axisbelow(True)
        axes.append(panel)
    return sheet, axes


def _draw(axes, lines: list[Line], x_label: str, y_label: str, bands=False, joined=True) -> None:
    """Lines in a panel with their intervals, as bands or as bars, and a legend below."""
    for line, colour in zip(lines, [*CLASSES, *["#777777"] * len(lines)]):
        x, y = (np.array([value.mean for value in some]) for some in (line.x, line.y))
        style = {"lw": 1.6 if joined else 0, "marker": "" if bands else "o", "ms": 5}
        axes.plot(x, y, color=colour, label=unmathed(line.name), **style)
        if bands:
            axes.fill_between(x, *_ends(line.y), color=colour, alpha=0.15, lw=0)
        else:
            axes.vlines(x, *_ends(line.y), color=colour, lw=1)
            axes.hlines(y, *_ends(line.x), color=colour, lw=1)
    axes.set(xlabel=unmathed(x_label), ylabel=unmathed(y_label))
    if any(line.name for line in lines):
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(-0.02, -38 / axes.bbox.height),
            frameon=False,
            fontsize=8,
            borderpad=0,
        )


def _label(axes, lines: list[Line]) -> None:
    """The words of points beside them, where no other word is; to be called when the axes have their final scale and limits.

    A word stands inwards of its point, where there is room, and above it; if that place is taken, below or further away.
    """
    axes.autoscale_view()
    points = [
        (x.mean, y.mean, word) for line in lines for x, y, word in zip(line.x, line.y, line.words)
    ]
    middle = (axes.bbox.x0 + axes.bbox.x1) / 2
    taken = []  # boxes of words
    for x, y, word in points:
        at, _ = axes.transData.transform((x, y))
        side, reach = ("left", 5) if at <= middle else ("right", -5)
        place = {
            "xytext": (reach, 4),
            "textcoords": "offset points",
            "ha": side,
            "size": 7,
            "color": SOFT,
        }
        text = axes.annotate(unmathed(word), (x, y), **place)
        for up in LABEL_HEIGHTS:
            text.set_position((reach, up))
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def _ends(values: list[Value]) -> np.ndarray:
    """The ends of the intervals [2, n]; the values themselves where there are none."""
    ends = [
        [v.mean if v.low is None else v.low, v.mean if v.high is None else v.high] for v in values
    ]
    return np.array(ends, dtype=float).reshape(-1, 2).T


def _spaced(axes, values: list[float], ticks: Iterable[float] = ()) -> None:
    """An axis that suits the values, with plain numbers below it: at these ticks, or where they are round."""
    from matplotlib.ticker import LogLocator, NullLocator

    if on_log(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    if ticks:
        axes.set_xticks(sorted(set(ticks)))


def _direction(measure: Measure) -> str:
    return f" ({measure.better} is better)" * bool(measure.better)


def _title(rows: list[Row]) -> str:
    """What all rows share: models, data, and settings that are not at their defaults."""
    if len({row.kind[0] for row in rows}) > 1:
        return " on ".join(", ".join(dict.fromkeys(row.kind[i] for row in rows)) for i in (0, 1))
    titles = [run.title.split(", ") for row in rows for run in row.runs]
    return ", ".join(part for part in titles[0] if all(part in title for title in titles))


def _told(rows: list[Row]) -> str:
    return f"mean and 95 % interval over {_seeds(rows)} seeds" if _seeds(rows) > 1 else "one seed"


def _seeds(rows: list[Row]) -> int:
    return max(len(row.runs) for row in rows)


def _by(rows: Iterable[Row], key: Callable) -> list[tuple]:
    groups: dict = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.items())


def _by_kind(rows: Iterable[Row]) -> list[tuple[tuple[str, str], list[Row]]]:
    return _by(rows, lambda row: row.kind)


def _by_data(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Rows on the same data, under a name that is the data's, and a number where settings of it differ."""
    groups = _by(rows, lambda row: row.data)
    several = {data[0] for data, _ in groups if sum(other[0] == data[0] for other, _ in groups) > 1}
    return [
        (data[0] + f"_{i + 1}" * (data[0] in several), some)
        for i, (data, some) in enumerate(groups)
    ]

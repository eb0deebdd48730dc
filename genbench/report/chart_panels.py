"""How charts are drawn: panels of lines with intervals, words next to points, heat maps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from genbench.figures.canvas import CLASSES, INK, SOFT, Canvas, unmathed
from genbench.report.bounds import bounded
from genbench.report.quantities import Quantity, Value, in_range
from genbench.report.words import on_log

WIDE, HIGH, LEGEND_LINE = 290, 210, 16  # pixels of a panel, and of a line of its legend
LEFT, ABOVE, BELOW, GAP = 62, 18, 40, 12  # pixels around a panel
PANELS_IN_A_ROW = 3
SINGLE = {"wide": 440, "high": 300}  # pixels of a panel that is alone
LABEL_HEIGHTS = (4, -11, 13, -20, 22, -29, 31)  # points above a mark where a word may stand
OTHER_COLOUR = "#777777"
LEVEL = 1e-5  # of its values, a range of an axis that only rounding fills
MOST_FINE = 1000  # times the least value, up to which an axis has room for ticks at 1, 2 and 5


@dataclass(frozen=True)
class Series:
    """Points (x, y) in order, each with an interval where there is one, and perhaps a word."""

    name: str
    x: list[Value]
    y: list[Value]
    words: list[str] = field(default_factory=list)


def panels(
    names: Sequence[str],
    lines: Sequence[Series],
    title: str,
    note: str,
    wide: int = WIDE,
    high: int = HIGH,
) -> tuple[Canvas, list[Any]]:
    """A canvas with an empty panel for each name, and room below each for a legend of the lines."""
    has_legend = len(lines) > 1 or bool(lines[0].name)
    legend = LEGEND_LINE * len(lines) * has_legend + 8
    columns = min(PANELS_IN_A_ROW, len(names))
    across, down = wide + LEFT + GAP, ABOVE + high + BELOW + legend
    canvas = Canvas(columns * across, -(-len(names) // columns) * down, title, unmathed(note))
    found = []
    for i, name in enumerate(names):
        row, column = divmod(i, columns)
        axes = canvas.axes(LEFT + column * across, ABOVE + row * down, wide, high)
        axes.set_title(unmathed(name), size=9, color=INK, loc="left")
        axes.grid(color="#eeeeee", lw=0.8)
        axes.set_axisbelow(True)
        found.append(axes)
    return canvas, found


def draw_panel(
    axes: Any,
    lines: Sequence[Series],
    x_label: str,
    y_label: str,
    bands: bool = False,
    joined: bool = True,
) -> None:
    """Lines in a panel with their intervals, as bands or as bars, and a legend below."""
    colours = [*CLASSES, *[OTHER_COLOUR] * len(lines)]
    for line, colour in zip(lines, colours, strict=False):
        x, y = (np.array([value.mean for value in some]) for some in (line.x, line.y))
        style = {"lw": 1.6 if joined else 0, "marker": "" if bands else "o", "ms": 5}
        axes.plot(x, y, color=colour, label=unmathed(line.name), **style)
        if bands:
            axes.fill_between(x, *_ends(line.y), color=colour, alpha=0.15, lw=0)
        else:
            axes.vlines(x, *_ends(line.y), color=colour, lw=1)
            axes.hlines(y, *_ends(line.x), color=colour, lw=1)
    axes.set(xlabel=unmathed(x_label), ylabel=unmathed(y_label))
    low, high = axes.get_ylim()
    least = LEVEL * max(abs(low), abs(high))
    if high - low < least:  # all alike but for rounding: to be drawn as a level line
        axes.set_ylim((low + high - least) / 2, (low + high + least) / 2)
    if any(line.name for line in lines):
        below = (-0.02, -38 / axes.bbox.height)
        style = {"frameon": False, "fontsize": 8, "borderpad": 0}
        axes.legend(loc="upper left", bbox_to_anchor=below, **style)


def label(axes: Any, lines: Sequence[Series]) -> None:
    """The words of points next to them, where no other word is.

    To be called when the axes have their final scale and limits. A word stands inwards of its point
    and above it; if that place is taken, below or further away.
    """
    axes.autoscale_view()
    points = [
        (x.mean, y.mean, word)
        for line in lines
        for x, y, word in zip(line.x, line.y, line.words, strict=False)
    ]
    middle = (axes.bbox.x0 + axes.bbox.x1) / 2
    taken: list[Any] = []  # boxes of words
    for x, y, word in points:
        at, _ = axes.transData.transform((x, y))
        side, reach = ("left", 5) if at <= middle else ("right", -5)
        text = axes.annotate(
            unmathed(word),
            (x, y),
            xytext=(reach, LABEL_HEIGHTS[0]),
            textcoords="offset points",
            ha=side,
            size=7,
            color=SOFT,
        )
        for up in LABEL_HEIGHTS:
            text.set_position((reach, up))
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def space(axes: Any, values: Sequence[float], ticks: Sequence[float] = ()) -> None:
    """Suit an axis to the values, with plain numbers at these ticks or where they are round."""
    from matplotlib.ticker import LogLocator, NullLocator

    if on_log(values):
        axes.set_xscale("log")
        has_room = max(values) < MOST_FINE * min(values)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if has_room else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    if ticks:
        axes.set_xticks(sorted(set(ticks)))


def heat_map(grid: pd.DataFrame, title: str, note: str) -> Canvas:
    """The values of a table as shades, its columns across and its index upwards."""
    shades = grid.to_numpy()
    wide, high = max(300, 62 * shades.shape[1]), max(160, 40 * shades.shape[0])
    canvas = Canvas(wide + 180, high + 50, title, unmathed(note))
    axes = canvas.axes(70, 4, wide, high)
    image = axes.imshow(shades, origin="lower", aspect="auto", cmap="cividis")
    middle = (np.nanmin(shades) + np.nanmax(shades)) / 2
    for (i, j), value in np.ndenumerate(shades):
        if not np.isnan(value):
            colour = "white" if value < middle else "black"
            axes.text(j, i, f"{value:.4g}", ha="center", va="center", size=8, color=colour)
    axes.set_xticks(range(len(grid.columns)), [f"{v:g}" for v in grid.columns])
    axes.set_yticks(range(len(grid.index)), [f"{v:g}" for v in grid.index])
    axes.set(xlabel=grid.columns.name, ylabel=grid.index.name)
    bar = canvas.figure.colorbar(image, cax=canvas.axes(wide + 90, 4, 12, high))
    bar.ax.tick_params(colors=SOFT, labelsize=8)
    return canvas


def within_bounds(quantity: Quantity, value: Value) -> Value:
    """A value whose interval ends where the measure does: no squared distance is below 0."""
    value = in_range(quantity, value)
    low, high = bounded(quantity, value)
    return value._replace(low=low, high=high)


def _ends(values: Sequence[Value]) -> np.ndarray:
    """The ends of the intervals [2, n]; the values themselves where there are none."""
    ends = [
        [v.mean if v.low is None else v.low, v.mean if v.high is None else v.high] for v in values
    ]
    return np.array(ends, dtype=float).reshape(-1, 2).T

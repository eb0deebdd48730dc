"""Curves and counts: every function turns numbers into a picture, bytes [height, width, 3]."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from genbench.figures.canvas import (
    BLUE,
    CLASSES,
    GREY,
    ORANGE,
    Canvas,
    Page,
    Theme,
    number_axis,
    text_width,
    unmathed,
)
from genbench.figures.ranges import axis_range, places
from genbench.visualizations import Distribution

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spectrum(shares: torch.Tensor, kept: int, page: Page) -> torch.Tensor:
    """Shares of the variance [D], largest first, as bars (scree); their running sum as a line."""
    canvas = page.canvas(640, 340)
    axes = canvas.panels()[0, 0]
    shown = min(len(shares), max(2 * kept, 20))
    at, values = np.arange(1, shown + 1), shares[:shown].cpu().numpy()
    axes.bar(
        at,
        values,
        width=0.8 if shown < 60 else 1.0,
        color=[BLUE if i <= kept else canvas.theme.backdrop for i in at],
    )
    axes.set(xlabel="component", ylabel="share of the variance", xlim=(0.3, shown + 0.7))
    number_axis(axes.xaxis, shown)
    total = axes.twinx()
    total.plot(at, values.cumsum(), color=ORANGE, lw=2, marker="o" if shown <= 30 else None, ms=3)
    total.set_ylabel("running sum", color=ORANGE, size=9)
    total.tick_params(colors=ORANGE, labelsize=8)
    total.spines[["top", "left"]].set_visible(False)
    total.spines["right"].set_color(ORANGE)
    total.set_ylim(0, 1.02)
    return canvas.picture()


def staircase(
    values: torch.Tensor, bounds: torch.Tensor, names: tuple[str, str], page: Page
) -> torch.Tensor:
    """Values [n] at iterations 1, ..., n as points, and the way of a bound that touches each: from
    it to the bound [n] of its iteration, and straight to the value of the next.

    Later iterations, which make up less than a hundredth of all change, are left out.
    """
    canvas = page.canvas(620, 380)
    axes = canvas.panels()[0, 0]
    ahead = (values - values[-1]).abs()
    values = values[: int((ahead > ahead[0] / 100).sum()) + 1]
    at, heights = np.arange(1, len(values) + 1), values.cpu().double().numpy()
    way = np.stack([heights[1:], bounds[: len(values) - 1].cpu().double().numpy()], 1)[
        :, ::-1
    ].flatten()
    axes.plot(
        np.concatenate([at[:1], at[1:].repeat(2)]),
        np.concatenate([heights[:1], way]),
        color=ORANGE,
        lw=1.5,
        label=names[1],
    )
    axes.plot(at, heights, "o", color=BLUE, ms=4, label=names[0])
    axes.set(xlabel="iteration", ylabel=names[0])
    number_axis(axes.xaxis, len(values))
    canvas.legend(axes)
    return canvas.picture()


def plain_curves(
    at: torch.Tensor, values: dict[str, torch.Tensor], label: str, quantity: str, page: Page
) -> torch.Tensor:
    """Values [n] by name against numbers [n]."""
    canvas = page.canvas(640, 340)
    axes = canvas.panels()[0, 0]
    for (name, line), colour in zip(values.items(), (BLUE, ORANGE, canvas.theme.ink)):
        axes.plot(at.cpu().numpy(), line.cpu().numpy(), color=colour, lw=2, label=name)
    axes.set(xlabel=label, ylabel=quantity)
    if len(values) > 1:
        canvas.legend(axes)
    return canvas.picture()


def histograms(panels: dict[str, Distribution], page: Page) -> torch.Tensor:
    """A histogram per name (many counts on a log scale), with a line at the target, if there is
    one.
    """
    canvas = page.canvas(400 * len(panels), 300)
    drawn = canvas.panels(columns=len(panels))[0]
    for i, (axes, (name, (values, target))) in enumerate(zip(drawn, panels.items())):
        flat = values.detach().flatten().cpu().double().numpy()
        axes.hist(flat, bins=50, range=axis_range(flat), color=BLUE)
        axes.set(
            xlabel=name,
            ylabel="count" if i == 0 else "",
            yscale="log" if values.numel() > 1000 else "linear",
        )
        if target is not None:
            axes.axvline(target, color=ORANGE, lw=2, label=f"target: {target:g}")
            canvas.legend(axes)
    return canvas.picture()


class Line(NamedTuple):
    """A quantity at some values x [n] of a setting: for each part of the data, its mean, least and
    most [n, 3].

    `at` is the point to be marked on the part that is `judged`, and `word` says what it is; None if
    none is.
    """

    name: str
    x: np.ndarray
    parts: dict[str, np.ndarray]
    judged: str
    at: int | None = None
    word: str = ""


def against(lines: Sequence[Line], setting: str, quantity: str, log: bool, page: Page) -> Canvas:
    """A quantity against a setting, on a logarithmic axis or not: of one line a curve per part of
    the data, of several a panel per part with a curve per line.
    """
    parts = list(dict.fromkeys(part for line in lines for part in line.parts))
    if len(lines) == 1:
        wide, panels = (
            520,
            {
                "": [
                    (part, colour, lines[0], part)
                    for part, colour in zip(parts, (GREY, BLUE, ORANGE))
                ]
            },
        )
    else:
        wide = 290
        panels = {
            part: [
                (line.name, colour, line, part)
                for line, colour in zip(lines, CLASSES)
                if part in line.parts
            ]
            for part in parts
        }
    high, gap = 300, 26
    legend = 50 + max(text_width(curve[0], 8) for curves in panels.values() for curve in curves)
    canvas = page.canvas(60 + len(panels) * (wide + gap) + legend, high + 66)
    axes: Axes | None = None
    for i, (name, curves) in enumerate(panels.items()):
        axes = canvas.axes(
            60 + i * (wide + gap), 22, wide, high, sharey=axes, xscale="log" if log else "linear"
        )
        axes.grid(axis="y", color=canvas.theme.grid, lw=0.8)
        for label, colour, line, part in curves:
            mean, least, most = line.parts[part].T
            axes.plot(line.x, mean, color=colour, lw=1.8, marker="o", ms=3.5, label=unmathed(label))
            axes.fill_between(line.x, least, most, color=colour, alpha=0.15, lw=0)
            if line.at is not None and part == line.judged:
                axes.plot(
                    line.x[line.at], mean[line.at], "o", ms=11, mfc="none", mec=colour, mew=1.6
                )
        axes.set(
            xlabel=f"{setting}, logarithmic" if log else setting,
            ylabel="" if i else unmathed(quantity),
        )
        canvas.heading(axes, name)
        axes.tick_params(labelleft=i == 0)
        set_ticks(axes, sorted({x for line in lines for x in line.x.tolist()}), wide)
    assert axes is not None  # there is at least one panel
    if len(lines) == 1 and lines[0].at is not None:
        _explain(axes, lines[0], lines[0].at, canvas.theme)
    canvas.legend(axes, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return canvas


def _explain(axes: "Axes", line: Line, at: int, theme: Theme) -> None:
    """Say where the marked point is, and draw the chord from which an elbow is farthest."""
    x = line.x[at]
    axes.axvline(x, color=theme.ink, lw=0.8, ls=":")
    axes.text(
        x,
        1.02,
        f"{line.word}: {x:g}",
        transform=axes.get_xaxis_transform(),
        size=8,
        color=theme.ink,
        ha="center",
    )
    if line.word == "elbow":
        axes.plot(
            line.x[[0, -1]], line.parts[line.judged][[0, -1], 0], color=theme.soft, lw=0.8, ls="--"
        )


def set_ticks(axes: "Axes", values: list[float], wide: int) -> None:
    """A tick at each of the values, and its number where there is room, from the largest down."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axes.autoscale_view()  # or places on the axis are those of before it was drawn on
    labels, right = [], math.inf
    for value in reversed(values):
        centre = wide * (axes.transData - axes.transAxes).transform((value, 0))[0]
        half = text_width(f"{value:g}", 8) / 2
        fits = centre + half + 5 <= right
        labels.append(f"{value:g}" if fits else "")
        right = centre - half if fits else right
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_major_formatter(FixedFormatter(labels[::-1]))
    axes.xaxis.set_minor_locator(NullLocator())


def on_the_line(
    x: torch.Tensor, curves: dict[str, Callable], points: dict[str, torch.Tensor], page: Page
) -> torch.Tensor:
    """One-dimensional data x [n, 1] as a histogram, other points as outlines, densities p(x) as
    curves.
    """
    canvas = page.canvas(620, 380)
    axes = canvas.panels()[0, 0]
    low, high = axis_range(x, margin=0.1)
    line = places(low, high, 400)[:, None]
    for i, (name, values) in enumerate({"held-out data": x, **points}.items()):
        flat = values.detach().cpu().flatten().double().numpy()
        # Points out of range count too.
        share = np.full(len(flat), 100 / (len(flat) * (high - low)))
        filled = {"histtype": "stepfilled", "color": canvas.theme.backdrop}
        style = filled if i == 0 else {"histtype": "step", "color": ORANGE, "lw": 1.5}
        axes.hist(flat, bins=100, range=(low, high), weights=share, label=name, **style)
    for (name, function), (colour, dash) in zip(
        curves.items(), ((BLUE, "-"), (canvas.theme.ink, ":"))
    ):
        axes.plot(
            line.flatten().numpy(),
            function(line).detach().cpu().numpy(),
            dash,
            color=colour,
            lw=2,
            label=name,
        )
    axes.set(xlabel="x", ylabel="density", xlim=(low, high))
    canvas.legend(axes)
    return canvas.picture()

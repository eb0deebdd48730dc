"""Points that are neither images nor on a plane, and codes: pair plots, profiles, loadings,
scatters.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from genbench.figures.canvas import (
    BLUE,
    CLASSES,
    ORANGE,
    Page,
    Style,
    number_axis,
    text_width,
    unmathed,
)
from genbench.figures.ranges import axis_range

if TYPE_CHECKING:
    from matplotlib.axis import Axis


def pair_plot(
    data: torch.Tensor,
    samples: torch.Tensor,
    features: Sequence[int],
    names: Sequence[str],
    page: Page,
) -> torch.Tensor:
    """Data and samples [n, D] in every two of some features, of these names: histograms on the
    diagonal, clouds of points below it.
    """
    k = len(features)
    canvas = page.canvas(130 * k + 46, 130 * k + 34)
    panels = canvas.panels(k, k)
    clouds = ((samples, ORANGE, "samples"), (data, BLUE, "data"))
    values = [
        (x.detach().cpu()[:, list(features)].double().numpy(), colour, name)
        for x, colour, name in clouds
    ]
    ends = [axis_range(*(x[:, i] for x, *_ in values), margin=0.05) for i in range(k)]
    low, high = zip(*ends)
    for i in range(k):
        for axes in panels[i, i + 1 :]:
            axes.set_axis_off()
        for j, axes in enumerate(panels[i, : i + 1]):
            for x, colour, name in values:
                if i == j:
                    axes.hist(
                        x[:, i],
                        bins=30,
                        range=(low[i], high[i]),
                        density=True,
                        color=colour,
                        label=name,
                        histtype="step",
                        lw=1.5,
                    )
                else:
                    axes.scatter(x[:, j], x[:, i], s=5, color=colour, alpha=0.6, linewidths=0)
            axes.set_xlim(low[j], high[j])
            if i != j:
                axes.set_ylim(low[i], high[i])
            axes.locator_params(nbins=4)
            axes.tick_params(labelsize=7, labelbottom=i == k - 1, labelleft=j == 0 and i > 0)
            if i == j:
                axes.set_yticks([])
            axes.set(
                xlabel=unmathed(_short(names[j], 18)) if i == k - 1 else "",
                ylabel=unmathed(_short(names[i], 18)) if j == 0 and i > 0 else "",
            )
    handles, labels = panels[0, 0].get_legend_handles_labels()
    canvas.legend(panels[0, 1], handles=handles, labels=labels, loc="upper left")
    return canvas.picture()


def profiles(
    named: dict[str, torch.Tensor], features: Sequence[str], page: Page, columns: int = 3
) -> torch.Tensor:
    """A panel per point, with a line over its features, of these names, for each name: its values
    [n, D].
    """
    n, size = next(iter(named.values())).shape
    columns = min(columns, n)
    rows = -(-n // columns)
    canvas = page.canvas(256 * columns + 40, 154 * rows + 50 + room_for(features))
    panels = canvas.panels(rows, columns)
    values = {name: x.detach().cpu().double().numpy() for name, x in named.items()}
    ends = axis_range(*values.values(), margin=0.05)
    colours = [canvas.theme.soft, ORANGE, BLUE, *CLASSES[2:]]
    for axes in panels.flat[n:]:
        axes.set_axis_off()
    for i, axes in enumerate(panels.flat[:n]):
        for (name, x), colour in zip(values.items(), colours):
            style: Style = {"marker": "o", "ms": 3} if size <= 40 else {}
            axes.plot(
                np.arange(1, size + 1), x[i], color=colour, lw=1.5, label=unmathed(name), **style
            )
        axes.set_ylim(ends)
        axes.locator_params(axis="y", nbins=5)
        axes.tick_params(labelsize=7, labelleft=i % columns == 0)
        if i + columns >= n:
            name_axis(axes.xaxis, features, "feature")
        else:
            number_axis(axes.xaxis, size)
            axes.tick_params(labelbottom=False)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    canvas.figure.legend(  # below the panels, as it may be wider than one
        handles,
        labels,
        loc="outside lower left",
        ncols=len(values),
        frameon=False,
        fontsize=8,
        labelcolor=canvas.theme.ink,
    )
    return canvas.picture()


def loadings(
    vectors: torch.Tensor, labels: Sequence[str], features: Sequence[str], page: Page, what: str
) -> torch.Tensor:
    """Vectors [K, D] of these features, a row each with its label, as shades from blue (below zero)
    to red, with a scale for what they are.
    """
    values = vectors.detach().cpu().double().numpy()
    k, size = values.shape
    left = math.ceil(max(text_width(label, 8) for label in labels)) + 14
    wide, high = min(900, max(300, 34 * size)), min(900, max(60, 24 * k))
    below = room_for(features)
    canvas = page.canvas(left + wide, high + 90 + below)
    axes = canvas.axes(left, 0, wide, high)
    most = max(float(np.abs(values).max()), 1e-12)
    drawn = axes.imshow(
        values,
        extent=(0.5, size + 0.5, k + 0.5, 0.5),
        cmap="RdBu_r",
        vmin=-most,
        vmax=most,
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_yticks(range(1, k + 1), labels)
    name_axis(axes.xaxis, features, "feature")
    bar = canvas.figure.colorbar(
        drawn, cax=canvas.axes(left, high + 42 + below, 240, 10), orientation="horizontal"
    )
    bar.set_label(what, size=8, color=canvas.theme.ink)
    bar.ax.tick_params(colors=canvas.theme.soft, labelsize=7)
    return canvas.picture()


MOST_NAMED_FEATURES = 40  # features whose names an axis has room for
LONGEST_NAME = 24  # letters of a feature's name


def are_named(features: Sequence[str]) -> bool:
    """Whether features have names of their own that an axis has room for."""
    return len(features) <= MOST_NAMED_FEATURES and list(features) != [
        f"x{i + 1}" for i in range(len(features))
    ]


def room_for(features: Sequence[str]) -> int:
    """How many pixels the names of features take below an axis, more than their numbers."""
    if not are_named(features):
        return 0
    return math.ceil(max(text_width(_short(name, LONGEST_NAME), 7) for name in features))


def name_axis(axis: "Axis", features: Sequence[str], what: str) -> None:
    """Ticks with the upright names of features where they have some, else with their numbers and
    what they are.
    """
    if not are_named(features):
        number_axis(axis, len(features))
        axis.set_label_text(what)
        return
    names = [unmathed(_short(name, LONGEST_NAME)) for name in features]
    axis.set_ticks(range(1, len(features) + 1), names, rotation=90, fontsize=7)


def scatter(
    z: torch.Tensor,
    y: torch.Tensor | None,
    called: Callable[[int], str],
    prior: torch.Tensor | None,
    names: Sequence[str],
    page: Page,
) -> torch.Tensor:
    """Codes [n, 1 or 2], coloured by class where there are labels, over draws from the prior in
    grey.
    """
    groups = (
        [("", slice(None))]
        if y is None
        else [(_short(called(int(c))), (y == c).cpu().numpy()) for c in y.unique()]
    )
    colours = (
        [BLUE] if len(groups) == 1 else [CLASSES[i % len(CLASSES)] for i in range(len(groups))]
    )
    shown = 1 < len(groups) <= MOST_CLASSES
    columns = 1 + len(groups) // 16
    legend = columns * (max(text_width(name, 8) for name, _ in groups) + 40) + 10 if shown else 0
    canvas = page.canvas(574 + legend, 565)
    axes = canvas.axes(64, 4, 510, 510)
    codes = z.cpu().double().numpy()
    if codes.shape[1] == 1:
        both = [codes[:, 0]]
        if prior is not None:
            both.append(prior[:, 0].cpu().double().numpy())
        style: Style = {"bins": 60, "range": axis_range(*both), "histtype": "stepfilled"}
        if prior is not None:  # scaled to as many draws as there are codes
            weights = np.full(len(prior), len(codes) / len(prior))
            axes.hist(both[1], weights=weights, color=canvas.theme.backdrop, **style)
        style["stacked"] = True
        axes.hist(
            [codes[at, 0] for _, at in groups],
            color=colours,
            label=[unmathed(name) for name, _ in groups],
            **style,
        )
        axes.set(xlabel=names[0], ylabel="count")
    else:
        if prior is not None:
            draws = prior.cpu().numpy()
            grey = canvas.theme.backdrop
            axes.scatter(draws[:, 0], draws[:, 1], s=4, color=grey, linewidths=0)
        for (name, at), colour in zip(groups, colours):
            axes.scatter(
                codes[at, 0],
                codes[at, 1],
                s=6 if len(codes) > 1000 else 16,
                color=colour,
                linewidths=0,
                label=unmathed(name),
            )
        axes.set(xlabel=names[0], ylabel=names[1])
        axes.set_aspect("equal", adjustable="datalim")
    if shown:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        canvas.legend(axes, title="class", title_fontsize=8, ncols=columns, markerscale=2, **place)
    return canvas.picture()


MOST_CLASSES = 30  # in a legend


def _short(name: str, most: int = 30) -> str:
    """A name of at most so many letters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"

"""How images, curves and codes are drawn: every function turns data into a picture, bytes [height, width, 3].

None knows a model. Images are enlarged by a whole factor.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

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
    shades,
    text_width,
    unmathed,
)

# --- images ---------------------------------------------------------------------------------------------------


def paint(
    images: torch.Tensor, signed: bool = False, zoom: int = 1, upscaling: str = "nearest"
) -> np.ndarray:
    """Images [n, channels, height, width] as colours [n, zoom * height, zoom * width, 3] in [0, 1].

    Signed ones (weights, differences) are each scaled by their largest value; of one channel they run from blue over
    white, which is zero, to red; of three, zero is grey.
    Of images with neither one channel nor three, the mean over the channels is shown.
    """
    images = images.detach().float().cpu()
    if images.shape[1] not in (1, 3) or (signed and images.shape[1] == 1):
        images = images.mean(1, keepdim=True)
    if signed:
        images = (
            images / images.flatten(1).abs().amax(1).clamp(min=1e-12)[:, None, None, None] + 1
        ) / 2
    images = enlarged(images, zoom, upscaling).clamp(0, 1)
    if signed and images.shape[1] == 1:
        import matplotlib

        return matplotlib.colormaps["RdBu_r"](images[:, 0].numpy())[..., :3]
    return images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()


def enlarged(images: torch.Tensor, zoom: int, upscaling: str) -> torch.Tensor:
    """Images [n, channels, height, width] enlarged by a whole factor, as `canvas.Page` says."""
    if zoom == 1:
        return images
    if upscaling == "nearest":
        return images.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
    return torch.nn.functional.interpolate(
        images, scale_factor=zoom, mode=upscaling, align_corners=False
    )


def zoom_to(
    images: torch.Tensor, columns: int, rows: int = 1, wide: int = 448, high: int = 900
) -> int:
    """The whole factor that makes so many columns of images about `wide` pixels wide, and the rows at most `high` high."""
    height, width = images.shape[-2:]
    return max(1, min(math.ceil(wide / (columns * width)), high // (rows * height)))


def fitting(images: torch.Tensor, pixels: int = 2**24) -> int:
    """How many images of this size [..., height, width] a picture has room for; at least one."""
    height, width = images.shape[-2:]
    return max(1, pixels // ((height + 2) * (width + 2)))


class Row(NamedTuple):
    """Images [n, channels, height, width] side by side: with a heading above all or above each, a label to the left, a
    caption below each, and perhaps more room above the row."""

    images: torch.Tensor
    heading: str = ""
    headings: Sequence[str] = ()
    label: str = ""
    captions: Sequence[str] = ()
    apart: bool = False


GAP, APART, HEADING, CAPTION = 2, 10, 20, 15  # pixels between images, between groups, and for texts


def mosaic(
    rows: Sequence[Row], page: Page, zoom: int, signed: bool = False, flanks: int = 0
) -> torch.Tensor:
    """Rows of images of one size, each image enlarged `zoom` times; so many columns at either side stand apart."""
    colours = paint(torch.cat([row.images for row in rows]), signed, zoom, page.upscaling)
    high, wide = colours.shape[1:3]
    columns = max(len(row.images) for row in rows)
    lefts = [i * (wide + GAP) + APART * (bool(flanks) and i >= flanks) for i in range(columns)]
    lefts = [
        left + APART * (bool(flanks) and i >= columns - flanks) for i, left in enumerate(lefts)
    ]
    indent = math.ceil(max(text_width(row.label, 8.5) for row in rows))
    indent += 8 * bool(indent)
    tops, end = [], 0
    for row in rows:
        end += APART * (row.apart and bool(tops)) + HEADING * bool(row.heading or row.headings)
        tops.append(end)
        end += high + (CAPTION + GAP if row.captions else 0) + GAP
    canvas = page.canvas(indent + lefts[-1] + wide, end - GAP)
    pixels = np.empty((end - GAP, lefts[-1] + wide, 3), np.float32)
    pixels[:] = _rgb(canvas.theme.ground)
    remaining = iter(colours)
    soft = {"size": 8, "color": canvas.theme.soft, "ha": "center"}
    for row, top in zip(rows, tops):
        canvas.text(indent, top - HEADING + 2, row.heading, size=9)
        canvas.text(indent - 8, top + high / 2, row.label, size=8.5, ha="right", va="center")
        for left in lefts[: len(row.images)]:
            pixels[top : top + high, left : left + wide] = next(remaining)
        for texts, at in ((row.headings, top - HEADING + 4), (row.captions, top + high + 2)):
            for left, text in zip(lefts, texts):
                canvas.text(indent + left + wide / 2, at, text, **soft)
    canvas.image(pixels, left=indent)
    return canvas.picture()


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


def grid(
    images: torch.Tensor,
    page: Page,
    captions: Sequence[str] = (),
    signed=False,
    columns=8,
    wide=448,
) -> torch.Tensor:
    """Images in rows, each with a caption if there are any."""
    columns = min(columns, len(images))
    zoom = zoom_to(images, columns, wide=wide)
    if captions:  # which must not run into one another
        longest = max(text_width(text, 8) for text in captions) + 4
        zoom = max(zoom, math.ceil(longest / images.shape[-1]))
    starts = range(0, len(images), columns)
    rows = [Row(images[i : i + columns], captions=captions[i : i + columns]) for i in starts]
    return mosaic(rows, page, zoom, signed)


def pairs(
    originals: torch.Tensor, again: torch.Tensor, columns: int, heading: str = ""
) -> list[Row]:
    """Rows of images, each above the row of their reconstructions."""
    found = []
    for one, other in zip(originals.split(columns), again.split(columns)):
        found += [Row(one, heading="" if found else heading, apart=True), Row(other)]
    return found


def rows(
    named: dict[str, torch.Tensor], page: Page, headings: Sequence[str] = (), flanks: int = 0
) -> torch.Tensor:
    """A row of images per name, the n-th of every row belonging together; headings above the columns, if any."""
    first = next(iter(named.values()))
    listed = [
        Row(x, label=name, headings=headings if i == 0 else ())
        for i, (name, x) in enumerate(named.items())
    ]
    zoom = zoom_to(first, len(first), len(named), wide=560)
    if headings:
        zoom = max(
            zoom, math.ceil((max(text_width(text, 8) for text in headings) + 4) / first.shape[-1])
        )
    return mosaic(listed, page, zoom, flanks=flanks)


def memberships(images: torch.Tensor | None, shares: torch.Tensor, page: Page) -> torch.Tensor:
    """The shares [n, K] of points in components as a row of shades each, beside the points if they are images [n, ...]."""
    n, components = shares.shape
    width = max(320, 26 * components) if components < 40 else 640
    pixels, left, high = None, 40, 22 * n
    if images is not None:
        colours = paint(images, False, max(1, round(36 / images.shape[2])), page.upscaling)
        high, left = n * (colours.shape[1] + GAP) - GAP, colours.shape[2] + 12
        pixels = np.empty((high, colours.shape[2], 3), np.float32)
        pixels[:] = _rgb(page.theme.ground)
        for i, image in enumerate(colours):
            pixels[i * (len(image) + GAP) :][: len(image)] = image
    canvas = page.canvas(left + width, high + 34)
    if pixels is not None:
        canvas.image(pixels)
    axes = canvas.axes(left, 0, width, high)
    extent = (0.5, components + 0.5, n + 0.5, 0.5)
    style = {
        "cmap": shades(canvas.theme),
        "vmin": 0,
        "vmax": 1,
        "aspect": "auto",
        "interpolation": "nearest",
    }
    axes.imshow(shares.cpu().numpy(), extent=extent, **style)
    axes.set(xlabel="component", ylabel="" if images is not None else "point")
    axes.set_yticks([] if images is not None else range(1, n + 1))
    _number_axis(axes.xaxis, components)
    for i in range(1, n):
        axes.axhline(i + 0.5, color=canvas.theme.ground, lw=2)
    return canvas.picture()


def _number_axis(axis, n: int) -> None:
    """Ticks at whole numbers from 1 to n: at every one, or at a few."""
    step = max(1, math.ceil(n / 20))
    axis.set_ticks([i for i in range(1, n + 1) if i == 1 or i % step == 0])


# --- curves and counts ----------------------------------------------------------------------------------------


def spectrum(shares: torch.Tensor, kept: int, page: Page) -> torch.Tensor:
    """Shares of the variance [D], largest first, as bars (scree), and their running sum as a line."""
    canvas = page.canvas(640, 340)
    axes = canvas.axes(52, 4, 540, 290)
    shown = min(len(shares), max(2 * kept, 20))
    at, values = np.arange(1, shown + 1), shares[:shown].cpu().numpy()
    axes.bar(
        at,
        values,
        width=0.8 if shown < 60 else 1.0,
        color=[BLUE if i <= kept else canvas.theme.backdrop for i in at],
    )
    axes.set(xlabel="component", ylabel="share of the variance", xlim=(0.3, shown + 0.7))
    total = axes.twinx()
    total.plot(at, values.cumsum(), color=ORANGE, lw=2, marker="o" if shown <= 30 else None, ms=3)
    total.set_ylabel("running sum", color=ORANGE, size=9)
    total.tick_params(colors=ORANGE, labelsize=8)
    total.spines[["top", "left"]].set_visible(False)
    total.set_ylim(0, 1.02)
    return canvas.picture()


def histograms(panels: dict[str, tuple[torch.Tensor, float | None]], page: Page) -> torch.Tensor:
    """A histogram per name (many counts on a log scale), with a line at a value that is wanted, if there is one."""
    wide, gap = 330, 70
    canvas = page.canvas(len(panels) * (wide + gap), 300)
    for i, (name, (values, wanted)) in enumerate(panels.items()):
        axes = canvas.axes(50 + i * (wide + gap), 4, wide, 250)
        axes.hist(values.detach().flatten().cpu().numpy(), bins=50, color=BLUE)
        axes.set(
            xlabel=name,
            ylabel="count" if i == 0 else "",
            yscale="log" if values.numel() > 1000 else "linear",
        )
        if wanted is not None:
            axes.axvline(wanted, color=ORANGE, lw=2, label=f"wanted: {wanted:g}")
            canvas.legend(axes)
    return canvas.picture()


class Line(NamedTuple):
    """A quantity at some values x [n] of a setting: for each part of the data, its mean, least and most [n, 3].

    `at` is the point to be marked on the part that is `judged`, and `word` says what it is; None if none is.
    """

    name: str
    x: np.ndarray
    parts: dict[str, np.ndarray]
    judged: str
    at: int | None = None
    word: str = ""


def against(lines: Sequence[Line], setting: str, quantity: str, log: bool, page: Page) -> Canvas:
    """A quantity against a setting, on a logarithmic axis or not: of one line a curve per part of the data, of several
    a panel per part with a curve per line."""
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
    canvas, axes = page.canvas(60 + len(panels) * (wide + gap) + legend, high + 66), None
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
        _tick(axes, sorted({x for line in lines for x in line.x.tolist()}), wide)
    if len(lines) == 1 and lines[0].at is not None:
        _explain(axes, lines[0], canvas.theme)
    canvas.legend(axes, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return canvas


def _explain(axes, line: Line, theme: Theme) -> None:
    """Say where the marked point is, and draw the chord from which an elbow is farthest."""
    x, top = (
        line.x[line.at],
        {"transform": axes.get_xaxis_transform(), "size": 8, "color": theme.ink, "ha": "center"},
    )
    axes.axvline(x, color=theme.ink, lw=0.8, ls=":")
    axes.text(x, 1.02, f"{line.word}: {x:g}", **top)
    if line.word == "elbow":
        axes.plot(
            line.x[[0, -1]], line.parts[line.judged][[0, -1], 0], color=theme.soft, lw=0.8, ls="--"
        )


def _tick(axes, values: list[float], wide: int) -> None:
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


# --- vectors --------------------------------------------------------------------------------------------------


def pair_plot(
    data: torch.Tensor, samples: torch.Tensor, features: Sequence[int], page: Page
) -> torch.Tensor:
    """Data and samples [n, D] in every two of some features: histograms on the diagonal, clouds of points below it."""
    side, gap, left = 118, 8, 46
    k = len(features)
    canvas = page.canvas(left + k * (side + gap), k * (side + gap) + 34)
    clouds = ((samples, ORANGE, "samples"), (data, BLUE, "data"))
    values = [
        (x.detach().cpu()[:, list(features)].double().numpy(), colour, name)
        for x, colour, name in clouds
    ]
    everything = np.concatenate([x for x, *_ in values])
    low, high = everything.min(0), everything.max(0)
    margin = 0.05 * np.maximum(high - low, 1e-6)
    low, high = low - margin, high + margin
    for i in range(k):
        for j in range(i + 1):
            axes = canvas.axes(left + j * (side + gap), i * (side + gap), side, side)
            for x, colour, name in values:
                if i == j:
                    style = {"histtype": "step", "lw": 1.5}
                    axes.hist(
                        x[:, i],
                        bins=30,
                        range=(low[i], high[i]),
                        density=True,
                        color=colour,
                        label=name,
                        **style,
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
                xlabel=f"x{features[j] + 1}" if i == k - 1 else "",
                ylabel=f"x{features[i] + 1}" if j == 0 and i > 0 else "",
            )
            if i == j == 0:
                canvas.legend(axes, loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return canvas.picture()


def profiles(named: dict[str, torch.Tensor], page: Page, columns: int = 3) -> torch.Tensor:
    """A panel per point, with a line over its features for each name: its values [n, D]."""
    n, size = next(iter(named.values())).shape
    wide, high, left, down = 240, 120, 40, 34
    columns = min(columns, n)
    canvas = page.canvas(columns * (wide + 16) + left, -(-n // columns) * (high + down) + 30)
    values = {name: x.detach().cpu().double().numpy() for name, x in named.items()}
    low, high_end = min(x.min() for x in values.values()), max(x.max() for x in values.values())
    margin = 0.05 * max(high_end - low, 1e-6)
    colours = [canvas.theme.soft, ORANGE, BLUE, *CLASSES[2:]]
    for i in range(n):
        axes = canvas.axes(
            left + (i % columns) * (wide + 16), (i // columns) * (high + down) + 24, wide, high
        )
        for (name, x), colour in zip(values.items(), colours):
            style = {"marker": "o", "ms": 3} if size <= 40 else {}
            axes.plot(
                np.arange(1, size + 1), x[i], color=colour, lw=1.5, label=unmathed(name), **style
            )
        axes.set_ylim(low - margin, high_end + margin)
        _number_axis(axes.xaxis, size)
        axes.locator_params(axis="y", nbins=5)
        axes.tick_params(labelsize=7, labelleft=i % columns == 0)
        axes.set_xlabel("feature" if i + columns >= n else "")
        if i == 0:
            canvas.legend(
                axes, loc="lower left", bbox_to_anchor=(0, 1.02), ncols=len(values), borderaxespad=0
            )
    return canvas.picture()


def loadings(vectors: torch.Tensor, labels: Sequence[str], page: Page, what: str) -> torch.Tensor:
    """Vectors [K, D], a row each with its label, as shades from blue (below zero) to red, with a scale for
    what they are."""
    values = vectors.detach().cpu().double().numpy()
    k, size = values.shape
    left = math.ceil(max(text_width(label, 8) for label in labels)) + 14
    wide, high = min(900, max(300, 34 * size)), min(900, max(60, 24 * k))
    canvas = page.canvas(left + wide, high + 90)
    axes = canvas.axes(left, 0, wide, high)
    most = max(float(np.abs(values).max()), 1e-12)
    style = {
        "cmap": "RdBu_r",
        "vmin": -most,
        "vmax": most,
        "aspect": "auto",
        "interpolation": "nearest",
    }
    drawn = axes.imshow(values, extent=(0.5, size + 0.5, k + 0.5, 0.5), **style)
    axes.set(xlabel="feature")
    axes.set_yticks(range(1, k + 1), labels)
    _number_axis(axes.xaxis, size)
    bar = canvas.figure.colorbar(
        drawn, cax=canvas.axes(left, high + 42, 240, 10), orientation="horizontal"
    )
    bar.set_label(what, size=8, color=canvas.theme.ink)
    bar.ax.tick_params(colors=canvas.theme.soft, labelsize=7)
    return canvas.picture()


# --- codes ----------------------------------------------------------------------------------------------------


def codes(
    z: torch.Tensor,
    y: torch.Tensor | None,
    called: Callable[[int], str],
    prior: torch.Tensor | None,
    names: Sequence[str],
    page: Page,
) -> torch.Tensor:
    """Codes [n, 1 or 2], coloured by class where there are labels, over draws from the prior in grey."""
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
    z = z.cpu().numpy()
    if z.shape[1] == 1:
        both = [z[:, 0]] if prior is None else [z[:, 0], prior[:, 0].cpu().numpy()]
        limits = min(map(np.min, both)), max(map(np.max, both))
        style = {"bins": 60, "range": limits, "histtype": "stepfilled"}
        if prior is not None:  # scaled to as many draws as there are codes
            weights = np.full(len(prior), len(z) / len(prior))
            axes.hist(both[1], weights=weights, color=canvas.theme.backdrop, **style)
        style["stacked"] = True
        axes.hist(
            [z[at, 0] for _, at in groups],
            color=colours,
            label=[unmathed(name) for name, _ in groups],
            **style,
        )
        axes.set(xlabel=names[0], ylabel="count")
    else:
        if prior is not None:
            axes.scatter(*prior.cpu().T.numpy(), s=4, color=canvas.theme.backdrop, linewidths=0)
        for (name, at), colour in zip(groups, colours):
            axes.scatter(
                *z[at].T,
                s=6 if len(z) > 1000 else 16,
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

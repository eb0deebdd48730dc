"""How images, curves and codes are drawn: every function turns data into a picture, bytes [height, width, 3].

None knows a model. Pixels of images are drawn whole, enlarged by a whole factor.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from .sheet import BLUE, CLASSES, GREY, INK, ORANGE, SOFT, Sheet, text_width, unmathed

# --- images ---------------------------------------------------------------------------------------------------


def paint(images: torch.Tensor, signed: bool = False) -> np.ndarray:
    """Images [n, channels, height, width] as colours [n, height, width, 3] in [0, 1].

    Signed ones (weights, differences) are each scaled by their largest value; of one channel they run from blue over
    white, which is zero, to red; of three, zero is grey.
    Of images with neither one channel nor three, the mean over the channels is shown.
    """
    images = images.detach().float().cpu()
    if images.shape[1] not in (1, 3) or (signed and images.shape[1] == 1):
        images = images.mean(1, keepdim=True)
    if signed:
        import matplotlib

        scaled = images / images.flatten(1).abs().amax(1).clamp(min=1e-12)[:, None, None, None]
        if images.shape[1] == 1:
            return matplotlib.colormaps["RdBu_r"]((scaled[:, 0].numpy() + 1) / 2)[..., :3]
        images = (scaled + 1) / 2
    return images.clamp(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()


def tile(colours: np.ndarray, columns: int, zoom: int, gap: int = 2, caption: int = 0, band: int = 0) -> np.ndarray:
    """Images [n, height, width, 3] side by side in rows, each enlarged `zoom` times, with room for captions below.

    After every `band` rows there is more room.
    """
    n, height, width, _ = colours.shape
    high, wide = height * zoom + gap + caption, width * zoom + gap
    tops = [row * high + (4 * gap * (row // band) if band else 0) for row in range(math.ceil(n / columns))]
    canvas = np.ones((tops[-1] + high - gap, columns * wide - gap, 3), np.float32)
    for i, image in enumerate(colours):
        top, left = tops[i // columns], (i % columns) * wide
        canvas[top : top + height * zoom, left : left + width * zoom] = image.repeat(zoom, 0).repeat(zoom, 1)
    return canvas


def enlarge(images: torch.Tensor, columns: int, rows: int = 1, wide: int = 448, high: int = 900) -> int:
    """The whole factor that makes so many columns of images about `wide` pixels wide, and the rows at most `high` high."""
    height, width = images.shape[-2:]
    return max(1, min(math.ceil(wide / (columns * width)), high // (rows * height)))


def fitting(images: torch.Tensor, pixels: int = 2**24) -> int:
    """How many images of this size [..., height, width] a picture has room for; at least one."""
    height, width = images.shape[-2:]
    return max(1, pixels // ((height + 2) * (width + 2)))


def grid(images: torch.Tensor, title: str, note: str, captions: Sequence[str] = (), signed=False, columns=8, band=0) -> torch.Tensor:
    """Images in rows, each with a caption if there are any; after every `band` rows there is more room."""
    columns = min(columns, len(images))
    room = 15 if captions else 0
    height, width = images.shape[2:]
    zoom = max(enlarge(images, columns), math.ceil(3 * room / width))  # or captions would run into one another
    pixels = tile(paint(images, signed), columns, zoom, gap=4 if captions else 2, caption=room, band=band)
    sheet = Sheet(pixels.shape[1], pixels.shape[0], title, note)
    sheet.image(pixels)
    high, wide = height * zoom + 4 + room, width * zoom + 4
    for i, text in enumerate(captions):
        sheet.text((i % columns + 0.5) * wide - 2, (i // columns) * high + height * zoom + 2, text, size=7.5, color=SOFT, ha="center")
    return sheet.picture()


def rows(named: dict[str, torch.Tensor], title: str, note: str) -> torch.Tensor:
    """A row of images per name; the n-th of every row belong together."""
    labels, images = list(named), list(named.values())
    n, _, height, width = images[0].shape
    zoom = enlarge(images[0], n, len(images))
    pixels = tile(np.concatenate([paint(i) for i in images]), n, zoom)
    indent = 8 + int(6.2 * max(map(len, labels)))
    sheet = Sheet(pixels.shape[1] + indent, pixels.shape[0], title, note)
    sheet.image(pixels, left=indent)
    for i, label in enumerate(labels):
        sheet.text(indent - 8, (height * zoom + 2) * i + height * zoom / 2, label, size=8.5, ha="right", va="center")
    return sheet.picture()


def memberships(images: torch.Tensor, shares: torch.Tensor, title: str, note: str) -> torch.Tensor:
    """Images [n, ...] in a column, each beside its shares [n, K] as a row of shades."""
    zoom = max(1, round(30 / images.shape[2]))
    pixels = tile(paint(images), 1, zoom)
    width = max(320, 26 * shares.shape[1]) if shares.shape[1] < 40 else 640
    sheet = Sheet(pixels.shape[1] + 12 + width, pixels.shape[0] + 34, title, note)
    sheet.image(pixels)
    axes = sheet.axes(pixels.shape[1] + 12, 0, width, pixels.shape[0])
    axes.imshow(shares.cpu().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(yticks=[], xlabel="component")
    for i in range(1, len(images)):
        axes.axhline(i - 0.5, color="white", lw=2)
    return sheet.picture()


# --- curves and counts ----------------------------------------------------------------------------------------


def spectrum(shares: torch.Tensor, kept: int, title: str, note: str) -> torch.Tensor:
    """Shares of the variance [D], largest first, as bars (scree), and their running sum as a line."""
    sheet = Sheet(640, 340, title, note)
    axes = sheet.axes(52, 4, 540, 290)
    shown = min(len(shares), max(2 * kept, 20))
    at, values = np.arange(1, shown + 1), shares[:shown].cpu().numpy()
    axes.bar(at, values, width=0.8 if shown < 60 else 1.0, color=[BLUE if i <= kept else "#b5cfe0" for i in at])
    axes.set(xlabel="component", ylabel="share of the variance", xlim=(0.3, shown + 0.7))
    total = axes.twinx()
    total.plot(at, values.cumsum(), color=ORANGE, lw=2, marker="o" if shown <= 30 else None, ms=3)
    total.set_ylabel("running sum", color=ORANGE, size=9)
    total.tick_params(colors=ORANGE, labelsize=8)
    total.spines[["top", "left"]].set_visible(False)
    total.set_ylim(0, 1.02)
    return sheet.picture()


def histograms(panels: dict[str, tuple[torch.Tensor, float | None]], title: str, note: str) -> torch.Tensor:
    """A histogram per name (many counts on a log scale), with a line at a value that is wanted, if there is one."""
    wide, gap = 330, 70
    sheet = Sheet(len(panels) * (wide + gap), 300, title, note)
    for i, (name, (values, wanted)) in enumerate(panels.items()):
        axes = sheet.axes(50 + i * (wide + gap), 4, wide, 250)
        axes.hist(values.detach().flatten().cpu().numpy(), bins=50, color=BLUE)
        axes.set(xlabel=name, ylabel="count" if i == 0 else "", yscale="log" if values.numel() > 1000 else "linear")
        if wanted is not None:
            axes.axvline(wanted, color=ORANGE, lw=2, label=f"wanted: {wanted:g}")
            axes.legend(frameon=False, fontsize=8)
    return sheet.picture()


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


def against(lines: Sequence[Line], setting: str, quantity: str, log: bool, title: str, note: str) -> Sheet:
    """A quantity against a setting, on a logarithmic axis or not: of one line a curve per part of the data, of several
    a panel per part with a curve per line."""
    parts = list(dict.fromkeys(part for line in lines for part in line.parts))
    if len(lines) == 1:
        wide, panels = 520, {"": [(part, colour, lines[0], part) for part, colour in zip(parts, (GREY, BLUE, ORANGE))]}
    else:
        wide = 290
        panels = {part: [(line.name, colour, line, part) for line, colour in zip(lines, CLASSES) if part in line.parts] for part in parts}
    high, gap = 300, 26
    legend = 50 + max(text_width(curve[0], 8) for curves in panels.values() for curve in curves)
    sheet, axes = Sheet(round(60 + len(panels) * (wide + gap) + legend), high + 66, title, note), None
    for i, (name, curves) in enumerate(panels.items()):
        axes = sheet.axes(60 + i * (wide + gap), 22, wide, high, sharey=axes, xscale="log" if log else "linear")
        axes.grid(axis="y", color="#eeeeee", lw=0.8)
        for label, colour, line, part in curves:
            mean, least, most = line.parts[part].T
            axes.plot(line.x, mean, color=colour, lw=1.8, marker="o", ms=3.5, label=unmathed(label))
            axes.fill_between(line.x, least, most, color=colour, alpha=0.15, lw=0)
            if line.at is not None and part == line.judged:
                axes.plot(line.x[line.at], mean[line.at], "o", ms=11, mfc="none", mec=colour, mew=1.6)
        axes.set(xlabel=f"{setting}, logarithmic" if log else setting, ylabel="" if i else unmathed(quantity))
        axes.set_title(name, size=9, color=INK)
        axes.tick_params(labelleft=i == 0)
        _tick(axes, sorted({x for line in lines for x in line.x.tolist()}), wide)
    if len(lines) == 1 and lines[0].at is not None:
        _explain(axes, lines[0])
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
    return sheet


def _explain(axes, line: Line) -> None:
    """Tell where the marked point is; draw the chord from which an elbow is farthest."""
    x, top = line.x[line.at], {"transform": axes.get_xaxis_transform(), "size": 8, "color": INK, "ha": "center"}
    axes.axvline(x, color=INK, lw=0.8, ls=":")
    axes.text(x, 1.02, f"{line.word}: {x:g}", **top)
    if line.word == "elbow":
        axes.plot(line.x[[0, -1]], line.parts[line.judged][[0, -1], 0], color=SOFT, lw=0.8, ls="--")


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


# --- codes ----------------------------------------------------------------------------------------------------


def codes(
    z: torch.Tensor,
    y: torch.Tensor | None,
    called: Callable[[int], str],
    prior: torch.Tensor | None,
    names: Sequence[str],
    title: str,
    note: str,
) -> torch.Tensor:
    """Codes [n, 1 or 2], coloured by class where there are labels, over draws from the prior in grey."""
    groups = [(None, slice(None))] if y is None else [(called(int(c)), (y == c).cpu().numpy()) for c in y.unique()]
    longest = max(len(name or "") for name, _ in groups)
    sheet = Sheet(580 + 6 * max(longest, 10), 565, title, note)
    axes = sheet.axes(50, 4, 510, 510)
    z = z.cpu().numpy()
    if z.shape[1] == 1:
        axes.hist(
            [z[at, 0] for _, at in groups],
            bins=60,
            stacked=True,
            histtype="stepfilled",
            color=_colours(groups),
            label=[str(c) for c, _ in groups],
        )
        axes.set(xlabel=names[0], ylabel="count")
        _legend(axes, groups)
        return sheet.picture()
    if prior is not None:
        axes.scatter(*prior.cpu().T.numpy(), s=4, color="#cccccc", linewidths=0)
    for (name, at), colour in zip(groups, _colours(groups)):
        axes.scatter(*z[at].T, s=6 if len(z) > 1000 else 16, color=colour, linewidths=0, label=str(name))
    axes.set(xlabel=names[0], ylabel=names[1])
    axes.set_aspect("equal", adjustable="datalim")
    _legend(axes, groups)
    return sheet.picture()


def _colours(groups) -> list[str]:
    return [BLUE if name is None else CLASSES[i % len(CLASSES)] for i, (name, _) in enumerate(groups)]


def _legend(axes, groups) -> None:
    if 1 < len(groups) <= 30:
        options = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False, "fontsize": 8, "markerscale": 2}
        axes.legend(title="class", title_fontsize=8, ncols=1 + len(groups) // 16, **options)

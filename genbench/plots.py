"""How things are drawn: every function turns data into a picture, bytes [height, width, 3]. None knows a model.

Pixels of images are drawn whole, enlarged by a whole factor. Colours are told apart by colour-blind readers:
classes by Paul Tol's muted palette, quantities by maps whose lightness rises evenly.
"""

import io
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

INK, SOFT, GREY = "#222222", "#6b6b6b", "#8a8a8a"
BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe & Ito
CLASSES = ["#332288", "#CC6677", "#117733", "#DDCC77", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499", "#000000"]  # Tol
LEAST_WIDTH, MARGIN = 480, 16  # pixels


class Sheet:
    """A white page: a title that says whose picture it is, a note that says of what, and axes placed in pixels."""

    def __init__(self, width: int, height: int, title: str, note: str):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.said = f"{title}: {note}".replace(r"\$", "$")
        self.width = max(width + 2 * MARGIN, LEAST_WIDTH)
        bold, plain = {"size": 10.5, "weight": "bold"}, {"size": 9, "color": SOFT}
        titles, notes = (wrapped(text, self.width - 2 * MARGIN, style) for text, style in ((title, bold), (note, plain)))
        self.top = MARGIN + 19 * len(titles) + 17 * len(notes) + 6
        self.height = self.top + height + MARGIN
        self.figure = Figure(figsize=(self.width / 100, self.height / 100), dpi=100)
        FigureCanvasAgg(self.figure)
        self.text(0, MARGIN - 4 - self.top, unmathed("\n".join(titles)), **bold)
        self.text(0, MARGIN - 4 - self.top + 19 * len(titles), "\n".join(notes), **plain)

    def text(self, left: float, top: float, text: str, **style) -> None:
        """Text whose top left corner is so many pixels from the top left corner of the page's body."""
        x, y = (MARGIN + left) / self.width, 1 - (self.top + top) / self.height
        self.figure.text(x, y, text, **{"va": "top", "ha": "left", "color": INK, "linespacing": 1.25, **style})

    def axes(self, left: float, top: float, width: float, height: float, bare: bool = False, **options):
        """Axes over so many pixels of the body; bare ones have neither frame nor ticks."""
        box = [(MARGIN + left) / self.width, 1 - (self.top + top + height) / self.height, width / self.width, height / self.height]
        axes = self.figure.add_axes(box, **options)
        if bare:
            axes.set_axis_off()
        else:
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(SOFT)
            axes.tick_params(colors=SOFT, labelsize=8)
            axes.xaxis.label.set(color=INK, size=9)
            axes.yaxis.label.set(color=INK, size=9)
        return axes

    def image(self, pixels: np.ndarray, left: float = 0, top: float = 0) -> None:
        """An array [height, width, 3], pixel by pixel."""
        axes = self.axes(left, top, pixels.shape[1], pixels.shape[0], bare=True)
        axes.imshow(pixels, interpolation="nearest", aspect="auto")

    def picture(self) -> torch.Tensor:
        """What was drawn."""
        self.figure.canvas.draw()
        return torch.from_numpy(np.array(self.figure.canvas.buffer_rgba())[..., :3])

    def svg(self) -> bytes:
        """What was drawn as lines and text; the same bytes for the same drawing."""
        import matplotlib

        out = io.BytesIO()
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "genbench"}):
            self.figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        return out.getvalue()


def unmathed(text: str) -> str:
    """A text that is drawn as it is: in values that somebody typed, a dollar begins no formula."""
    return text.replace("$", r"\$")


def wrapped(text: str, width: float, style: dict) -> list[str]:
    """Lines of text that are at most so many pixels wide, or one word."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, style["size"], style.get("weight")) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def text_width(text: str, size: float, weight: str | None = None) -> float:
    """How many pixels wide a line of text is."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    return RendererAgg(1, 1, 100).get_text_width_height_descent(text, FontProperties(size=size, weight=weight), ismath=False)[0]


def png(picture: torch.Tensor) -> bytes:
    """A picture as the bytes of a PNG file."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture.numpy()).save(out, "png")
    return out.getvalue()


def film(frames: Sequence[bytes], longest: int = 60) -> bytes:
    """PNG files as the bytes of one GIF film that ends with a pause; of many frames every k-th, and the last."""
    from PIL import Image

    step = math.ceil(len(frames) / longest)
    kept = [*frames[:-1][::step], frames[-1]]
    images = [Image.open(io.BytesIO(frame)).convert("RGB") for frame in kept]
    images = [i if i.size == images[-1].size else i.resize(images[-1].size) for i in images]
    out = io.BytesIO()
    images[0].save(out, "gif", save_all=True, append_images=images[1:], duration=[300] * (len(images) - 1) + [2000], loop=0)
    return out.getvalue()


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


# --- the line and the plane -----------------------------------------------------------------------------------


class Plane:
    """Where two-dimensional data lie: the true density as a shade or, where it is not known, data as grey points."""

    def __init__(self, x: torch.Tensor, density=None):
        low, high = x.amin(0), x.amax(0)
        margin = 0.1 * (high - low).clamp(min=1e-6)
        self.low, self.high = (low - margin).tolist(), (high + margin).tolist()
        self.density, self.data = density, x[:2000]

    @property
    def backdrop(self) -> str:
        """What is drawn below everything else."""
        return "the data" if self.density is None else "the true density"

    @cached_property
    def truth(self) -> np.ndarray:
        """The true density on the mesh, relative to its largest value."""
        return self.relative(self.density.log_prob)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top."""
        return self.low[0], self.high[0], self.low[1], self.high[1]

    def mesh(self, n: int = 200) -> torch.Tensor:
        """Points [n * n, 2] that cover the plane, row by row from the bottom."""
        first, second = (torch.linspace(a, b, n) for a, b in zip(self.low, self.high))
        return torch.stack(torch.meshgrid(first, second, indexing="xy"), -1).flatten(0, 1)

    def values(self, function: Callable[[torch.Tensor], torch.Tensor], n: int = 200) -> np.ndarray:
        """A function of points, on the mesh [n, n]."""
        return torch.cat([function(part).detach().flatten().cpu() for part in self.mesh(n).split(4000)]).reshape(n, n).numpy()

    def relative(self, log_prob: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
        """A density on the mesh, relative to its largest value there, however far that is from 1."""
        logs = self.values(log_prob)
        return np.exp(logs - logs.max())

    def on(self, sheet: Sheet, left=50, top=4, width=510, backdrop=True):
        """Axes of this part of the plane."""
        axes = sheet.axes(left, top, width, width)
        if backdrop and self.density is None:
            axes.scatter(*self.data.T.numpy(), s=3, color="#c8c8c8", linewidths=0)
        elif backdrop:
            shade = self.truth**0.25  # the fourth root shows narrow modes and wide ones in one picture
            axes.imshow(shade, origin="lower", extent=self.extent, cmap="Blues", aspect="auto", vmax=1.3 * shade.max())
        axes.set(xlim=self.extent[:2], ylim=self.extent[2:], xlabel="$x_1$", ylabel="$x_2$")
        axes.set_aspect("equal", adjustable="box")
        return axes


def cloud(points: torch.Tensor, plane: Plane, title: str, note: str) -> torch.Tensor:
    """Points [n, 2] over the backdrop."""
    sheet = Sheet(580, 565, title, note)
    dots(plane.on(sheet), points)
    return sheet.picture()


def dots(axes, points: torch.Tensor, **style) -> None:
    """A cloud of points, or a few marked ones."""
    few = len(points) < 1000
    style = {"s": 24 if few else 3, "color": ORANGE, "alpha": 1 if few else 0.4, "linewidths": 0, **style}
    axes.scatter(*points.detach().cpu().T.numpy(), **style)


def clouds(named: dict[str, torch.Tensor], plane: Plane, title: str, note: str) -> torch.Tensor:
    """A panel of points [n, 2] per name."""
    sheet = Sheet(len(named) * 320, 330, title, note)
    for i, (name, points) in enumerate(named.items()):
        axes = plane.on(sheet, 50 + 320 * i, 20, 250)
        dots(axes, points)
        axes.set_title(name, size=9, color=INK)
    return sheet.picture()


MASSES = (0.99, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1)  # that the regions of a density's contours hold


def contours(log_prob: Callable, plane: Plane, title: str, note: str) -> torch.Tensor:
    """A density in the plane, as the smallest regions that hold given shares of its mass; beside it the true one."""
    panels = {"model": plane.relative(log_prob)} | ({} if plane.density is None else {"truth": plane.truth})
    sheet = Sheet(len(panels) * 400, 390, title, note)
    for i, (name, p) in enumerate(panels.items()):
        axes = plane.on(sheet, 50 + 400 * i, 20, 330, backdrop=False)
        levels = np.unique([level(p, mass) for mass in MASSES])
        axes.contourf(p, levels=[*levels, max(p.max(), levels[-1]) * 1.001], extent=plane.extent, cmap="viridis", extend="neither")
        axes.set_title(name, size=9, color=INK)
    return sheet.picture()


def level(p: np.ndarray, mass: float) -> float:
    """The value of the density, given on an even mesh, above which it holds this share of its mass."""
    largest_first = np.sort(p, axis=None)[::-1]
    held = largest_first.cumsum() / largest_first.sum()
    return largest_first[min(np.searchsorted(held, mass), len(held) - 1)]


def landscape(function: Callable, label: str, clouds: dict[str, torch.Tensor], plane: Plane, title: str, note: str) -> torch.Tensor:
    """A function over the plane as filled contours with a scale, and named clouds of points on it."""
    sheet = Sheet(650, 590, title, note)
    axes = plane.on(sheet, width=500, backdrop=False)
    filled = axes.contourf(plane.values(function), levels=20, extent=plane.extent, cmap="cividis")
    for (name, points), colour in zip(clouds.items(), ("white", ORANGE)):
        dots(axes, points, s=4, color=colour, alpha=0.5, label=name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=2, fontsize=8, markerscale=3, facecolor=GREY, labelcolor="white")
    bar = sheet.figure.colorbar(filled, cax=sheet.axes(565, 4, 14, 500))
    bar.set_label(label, size=9, color=INK)
    bar.ax.tick_params(colors=SOFT, labelsize=8)
    return sheet.picture()


def field(function: Callable, plane: Plane, title: str, note: str, side: int = 24) -> torch.Tensor:
    """A function that gives each point a direction [n, 2], as arrows; of the longest, only the direction is true."""
    sheet = Sheet(580, 565, title, note)
    axes = plane.on(sheet)
    points = plane.mesh(side)
    arrows = function(points).detach().cpu()
    length = arrows.norm(dim=1)
    most = length.quantile(0.8).clamp(min=1e-12)  # far from the data arrows are so long that they would hide all others
    arrows = (arrows / torch.maximum(length, most)[:, None]).numpy()
    cell = max(plane.high[0] - plane.low[0], plane.high[1] - plane.low[1]) / side
    axes.quiver(*points.T.numpy(), *arrows.T, color=ORANGE, angles="xy", scale_units="xy", scale=1 / cell, width=0.0028)
    return sheet.picture()


def on_the_line(x: torch.Tensor, curves: dict[str, Callable], points: dict[str, torch.Tensor], title: str, note: str) -> torch.Tensor:
    """One-dimensional data x [n, 1] as a histogram, other points as outlines, densities p(x) as curves."""
    sheet = Sheet(620, 380, title, note)
    axes = sheet.axes(44, 4, 560, 330)
    low, high = x.min().item(), x.max().item()
    margin = 0.1 * max(high - low, 1e-6)
    low, high = low - margin, high + margin
    line = torch.linspace(low, high, 400)[:, None]
    for i, (name, values) in enumerate({"held-out data": x, **points}.items()):
        values = values.detach().cpu().flatten().numpy()
        share = np.full(len(values), 100 / (len(values) * (high - low)))  # so that points out of range count too
        style = {"histtype": "stepfilled", "color": "#cfcfcf"} if i == 0 else {"histtype": "step", "color": ORANGE, "lw": 1.5}
        axes.hist(values, bins=100, range=(low, high), weights=share, label=name, **style)
    for (name, function), (colour, dash) in zip(curves.items(), ((BLUE, "-"), (INK, ":"))):
        axes.plot(line.flatten().numpy(), function(line).detach().cpu().numpy(), dash, color=colour, lw=2, label=name)
    axes.set(xlabel="x", ylabel="density", xlim=(low, high))
    axes.legend(frameon=False, fontsize=8)
    return sheet.picture()


def components(points: torch.Tensor, weights: torch.Tensor, covariances: torch.Tensor | None, plane: Plane, title: str, note: str):
    """Centres [K, 2] over the backdrop, by size as they weigh, with ellipses of one and two standard deviations."""
    sheet = Sheet(580, 565, title, note)
    axes = plane.on(sheet)
    for k, (point, weight) in enumerate(zip(points.cpu(), weights.cpu())):
        if covariances is not None:
            for deviations in (1, 2):
                outline = ellipse(covariances[k].cpu().numpy(), deviations) + point.numpy()
                axes.plot(*outline.T, color=ORANGE, lw=1.5, alpha=1 / deviations)
        axes.scatter(*point.numpy(), s=20 + 600 * float(weight), color=ORANGE, alpha=0.8, linewidths=0)
        if len(points) <= 30:  # or the numbers would hide one another
            axes.annotate(f"{weight:.0%}", point.numpy(), xytext=(5, 5), textcoords="offset points", size=7.5, color=INK)
    return sheet.picture()


def ellipse(covariance: np.ndarray, deviations: float) -> np.ndarray:
    """Points [100, 2] all around a centre at zero, so many standard deviations away from it."""
    angle = np.linspace(0, 2 * np.pi, 100)
    variances, directions = np.linalg.eigh(covariance)
    return deviations * np.stack([np.cos(angle), np.sin(angle)], 1) * np.sqrt(variances.clip(min=0)) @ directions.T


def blended(points: torch.Tensor, shares: torch.Tensor, plane: Plane, title: str, note: str) -> torch.Tensor:
    """Points [n, 2] in a colour per component, blended by their shares [n, K]; ten colours, then again."""
    from matplotlib.colors import to_rgb

    palette = np.array([to_rgb(CLASSES[k % len(CLASSES)]) for k in range(shares.shape[1])])
    sheet = Sheet(580, 565, title, note)
    axes = plane.on(sheet, backdrop=False)
    axes.scatter(*points.cpu().T.numpy(), s=6, c=(shares.cpu().numpy() @ palette).clip(0, 1), linewidths=0)
    return sheet.picture()


def paths(lines: torch.Tensor, plane: Plane, title: str, note: str) -> torch.Tensor:
    """Curves [n, steps, 2] over the backdrop, each from a light end to a dark one."""
    from matplotlib.collections import LineCollection

    sheet = Sheet(580, 565, title, note)
    axes = plane.on(sheet)
    for line in lines.detach().cpu().numpy():
        pieces = np.stack([line[:-1], line[1:]], 1)
        axes.add_collection(LineCollection(pieces, array=np.linspace(0.3, 1, len(pieces)), cmap="Oranges", clim=(0, 1), lw=1.5))
    return sheet.picture()


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

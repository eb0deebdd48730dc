"""The page that everything is drawn on, with its colours and its text.

matplotlib's constrained layout places the panels of charts, so that no label is cut off or covers
another; this takes 0.03 to 0.1 s a page. It does not serve where axes must have a size: an image
that is enlarged by a whole factor must cover whole pixels, a plane has the aspect of its data, and
words that avoid one another must know how wide a panel is before it is drawn. There, axes are
placed in pixels. Titles are wrapped here because a page is as high as its title requires, and
matplotlib wraps text only while it draws.
"""

import io
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from genbench.utils import signals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import LinearSegmentedColormap


class Theme(NamedTuple):
    """The colours of a page that depend on how light it is: its ground, text, lesser text, grid
    lines, and data that stay in the background.
    """

    ground: str
    ink: str
    soft: str
    grid: str
    backdrop: str


LIGHT = Theme("#ffffff", "#222222", "#6b6b6b", "#eeeeee", "#c8c8c8")
DARK = Theme("#1b1b1b", "#e6e6e6", "#a6a6a6", "#383838", "#5a5a5a")
THEMES = {"light": LIGHT, "dark": DARK}

INK, SOFT, GREY = LIGHT.ink, LIGHT.soft, "#8a8a8a"
BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe & Ito
# Ten colours for ten classes. Any two are at least 28 units of CIEDE2000 apart, each at least 30
# from a light and a dark page, and any two at least 12 as people with deuteranopia or protanopia
# see them (chosen by random search).
CLASSES = [
    "#536cdc",
    "#ff9e1b",
    "#157352",
    "#bf0783",
    "#1fa5b8",
    "#914d06",
    "#fb80ff",
    "#12d286",
    "#a38786",
    "#8b8600",
]
Style = dict[str, Any]  # keyword arguments of matplotlib
LEAST_WIDTH, MARGIN = 480, 16  # pixels


def shades(theme: Theme, colour: str = BLUE) -> "LinearSegmentedColormap":
    """A map of 0 to 1 to colours, from the ground of the page to this one."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", [theme.ground, colour])


class Page(NamedTuple):
    """What a picture says above its drawing (whose it is, and what it shows), and how it looks.

    `upscaling` says how small images are enlarged: "bicubic", which is smooth, or "nearest", pixel
    by pixel.
    """

    title: str
    note: str
    theme: Theme = LIGHT
    upscaling: str = "bicubic"

    def canvas(self, width: float, height: float) -> "Canvas":
        """An empty canvas of this page with a body of so many pixels."""
        return Canvas(round(width), round(height), self.title, self.note, self.theme)


class Canvas:
    """A page: a title that says whose picture it is, a note that says of what, and axes placed in
    pixels.
    """

    def __init__(
        self, width: int, height: int, title: str, note: str, theme: Theme = LIGHT
    ) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.said = f"{title}: {note}".replace(r"\$", "$")
        self.theme = theme
        self.width = max(width + 2 * MARGIN, LEAST_WIDTH)
        bold: Style = {"size": 10.5, "weight": "bold"}
        plain: Style = {"size": 9, "color": theme.soft}
        titles, notes = (
            wrapped_text(text, self.width - 2 * MARGIN, style)
            for text, style in ((title, bold), (note, plain))
        )
        self.top = MARGIN + 19 * len(titles) + 17 * len(notes) + 6
        self.height = self.top + height + MARGIN
        self.figure = Figure(
            figsize=(self.width / 100, self.height / 100), dpi=100, facecolor=theme.ground
        )
        self.agg = FigureCanvasAgg(self.figure)
        self.text(0, MARGIN - 4 - self.top, unmathed("\n".join(titles)), **bold)
        self.text(0, MARGIN - 4 - self.top + 19 * len(titles), "\n".join(notes), **plain)

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """Text; its top left corner is so many pixels from that of the page's body."""
        if not text:
            return
        x, y = (MARGIN + left) / self.width, 1 - (self.top + top) / self.height
        self.figure.text(
            x,
            y,
            text,
            **{"va": "top", "ha": "left", "color": self.theme.ink, "linespacing": 1.25, **style},
        )

    def axes(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        bare: bool = False,
        **options: Any,
    ) -> "Axes":
        """Axes over so many pixels of the body; bare ones have neither frame nor ticks."""
        box = (
            (MARGIN + left) / self.width,
            1 - (self.top + top + height) / self.height,
            width / self.width,
            height / self.height,
        )
        axes = self.figure.add_axes(box, **options)
        if bare:
            axes.set_axis_off()
        else:
            self._style(axes)
        return axes

    def panels(self, rows: int = 1, columns: int = 1) -> np.ndarray:
        """Axes [rows, columns] that, together with labels of any width, fill the body.

        A page has either these or axes in pixels.
        """
        side, below = MARGIN / self.width, MARGIN / self.height
        body = (side, below, 1 - 2 * side, 1 - below - self.top / self.height)
        self.figure.set_layout_engine("constrained", rect=body)
        axes = self.figure.subplots(rows, columns, squeeze=False)
        for panel in axes.flat:
            self._style(panel)
        return axes

    def _style(self, axes: "Axes") -> None:
        """Give axes the colours of the page, and sizes of text."""
        axes.set_facecolor(self.theme.ground)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(self.theme.soft)
        axes.tick_params(which="both", colors=self.theme.soft, labelsize=8)
        axes.xaxis.label.set(color=self.theme.ink, size=9)
        axes.yaxis.label.set(color=self.theme.ink, size=9)
        if axes.get_xscale() == "linear":
            # Longer numbers would run over the label; an offset would have to be added in mind.
            axes.ticklabel_format(scilimits=(-3, 5), useOffset=False)
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_offset_text().set(color=self.theme.soft, size=8)

    def heading(self, axes: "Axes", text: str) -> None:
        """What a panel shows, above it."""
        axes.set_title(text, size=9, color=self.theme.ink)

    def legend(self, axes: "Axes", **style: Any) -> None:
        """A legend without a frame, in the colours of the page."""
        legend = axes.legend(
            **{"frameon": False, "fontsize": 8, "labelcolor": self.theme.ink, **style}
        )
        legend.get_title().set_color(self.theme.ink)

    def image(self, pixels: np.ndarray, left: int = 0, top: int = 0) -> None:
        """Bytes [height, width, 3], pixel by pixel."""
        from genbench.figures.bitmap import Bitmap  # it imports matplotlib

        bottom = self.height - self.top - top - len(pixels)
        self.figure.add_artist(Bitmap(pixels, MARGIN + left, bottom))

    def picture(self) -> torch.Tensor:
        """What was drawn."""
        signals.check()
        self.agg.draw()
        return torch.from_numpy(np.array(self.agg.buffer_rgba())[..., :3])

    def svg(self) -> bytes:
        """What was drawn as lines and text; the same bytes for the same drawing."""
        import matplotlib

        signals.check()
        out = io.BytesIO()
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "genbench"}):
            self.figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        return out.getvalue()


def unmathed(text: str) -> str:
    """A text that is drawn as it is: in values that somebody typed, a dollar begins no formula."""
    return text.replace("$", r"\$")


def wrapped_text(text: str, width: float, style: Style) -> list[str]:
    """Lines of text that are at most so many pixels wide, or one word."""

    def fits(line: str) -> bool:
        return text_width(line, style["size"], style.get("weight")) <= width

    words = text.split()
    if words and fits(" ".join(words)):  # most texts do, and measuring takes time
        return [" ".join(words)]
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and fits(longer):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@lru_cache(1 << 12)
def text_width(text: str, size: float, weight: str | None = None) -> float:
    """How many pixels wide a line of text is."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    return RendererAgg(1, 1, 100).get_text_width_height_descent(
        text, FontProperties(size=size, weight=weight), ismath=False
    )[0]


def number_axis(axis: "Axis", n: int) -> None:
    """Ticks at whole numbers from 1 to n: at every one, or at a few."""
    step = max(1, math.ceil(n / 20))
    axis.set_ticks([i for i in range(1, n + 1) if i == 1 or i % step == 0])

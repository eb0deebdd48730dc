"""The page that everything is drawn on, with its colours and its text, and the files that it
becomes.

Axes are placed in pixels: an image that is enlarged by a whole factor must cover whole pixels, or
its pixels differ in size. matplotlib's constrained layout gives axes whatever room the text leaves.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from genbench.utils import signals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import LinearSegmentedColormap
    from PIL.Image import Image as Picture


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
PNG = b"\x89PNG\r\n\x1a\n"  # what every such file begins with
LARGEST = 40_000_000  # pixels of a picture that is read


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
            wrapped(text, self.width - 2 * MARGIN, style)
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
            axes.set_facecolor(self.theme.ground)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(self.theme.soft)
            axes.tick_params(colors=self.theme.soft, labelsize=8)
            axes.xaxis.label.set(color=self.theme.ink, size=9)
            axes.yaxis.label.set(color=self.theme.ink, size=9)
            if "xscale" not in options:
                axes.ticklabel_format(scilimits=(-3, 5))  # longer numbers would run over the label
            for axis in (axes.xaxis, axes.yaxis):
                axis.get_offset_text().set(color=self.theme.soft, size=8)
        return axes

    def heading(self, axes: "Axes", text: str) -> None:
        """What a panel shows, above it."""
        axes.set_title(text, size=9, color=self.theme.ink)

    def legend(self, axes: "Axes", **style: Any) -> None:
        """A legend without a frame, in the colours of the page."""
        legend = axes.legend(
            **{"frameon": False, "fontsize": 8, "labelcolor": self.theme.ink, **style}
        )
        legend.get_title().set_color(self.theme.ink)

    def image(self, pixels: np.ndarray, left: float = 0, top: float = 0) -> None:
        """An array [height, width, 3], pixel by pixel."""
        axes = self.axes(left, top, pixels.shape[1], pixels.shape[0], bare=True)
        axes.imshow(pixels, interpolation="nearest", aspect="auto")

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


def wrapped(text: str, width: float, style: Style) -> list[str]:
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

    return RendererAgg(1, 1, 100).get_text_width_height_descent(
        text, FontProperties(size=size, weight=weight), ismath=False
    )[0]


def number_axis(axis: "Axis", n: int) -> None:
    """Ticks at whole numbers from 1 to n: at every one, or at a few."""
    step = max(1, math.ceil(n / 20))
    axis.set_ticks([i for i in range(1, n + 1) if i == 1 or i % step == 0])


def png(picture: torch.Tensor) -> bytes:
    """A picture as the bytes of a PNG file; one without colours as a grey one, which is smaller."""
    from PIL import Image

    signals.check()
    pixels, out = picture.numpy(), io.BytesIO()
    grey = (pixels == pixels[..., :1]).all()
    image = Image.fromarray(pixels[..., 0] if grey else pixels)
    image.save(out, "png", compress_level=3)  # twice as fast as the default, and hardly larger
    return out.getvalue()


def read_png(content: bytes) -> "Picture":
    """The picture that a PNG file holds, decoded. ValueError for anything else: no other decoder is
    ever asked, as Pillow's for PostScript starts another program.
    """
    from PIL import Image

    if not content.startswith(PNG):
        raise ValueError("is no PNG file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of Pillow, about pictures that are absurdly large
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                if image.width * image.height > LARGEST:
                    raise ValueError(f"is too large: {image.width:,} x {image.height:,} pixels")
                image.load()
                return image
    except ValueError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
        raise ValueError(f"cannot be drawn: {error or type(error).__name__}") from error


def animation(frames: Sequence[bytes], longest: int = 60) -> tuple[bytes, int]:
    """PNG files as the bytes of one GIF film that ends with a pause; of many frames every k-th, and
    the last.

    Also how many of these are left out as they are no PNG files; where fewer than two are left,
    there is no film.
    """
    step = max(1, math.ceil(len(frames) / longest))
    kept, images = [*frames[:-1][::step], *frames[-1:]], []
    for frame in kept:
        with contextlib.suppress(ValueError):
            images.append(read_png(frame))
    lost = len(kept) - len(images)
    if len(images) < 2:
        return b"", lost
    if all(i.mode == "L" for i in images):  # 64 greys look the same and make the file half as large
        images = [i.point(lambda grey: grey // 4 * 255 // 63) for i in images]
    else:
        images = [i.convert("RGB") for i in images]
    images = [i if i.size == images[-1].size else i.resize(images[-1].size) for i in images]
    out = io.BytesIO()
    images[0].save(
        out,
        "gif",
        save_all=True,
        append_images=images[1:],
        duration=[300] * (len(images) - 1) + [2000],
        loop=0,
    )
    return out.getvalue(), lost

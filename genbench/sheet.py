"""The page that everything is drawn on, with its colours and its text, and the files that it becomes.

Colours are told apart by colour-blind readers: classes by Paul Tol's muted palette, quantities by maps whose lightness
rises evenly.
"""

import io
import math
from collections.abc import Sequence

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

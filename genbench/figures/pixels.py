"""A picture as a figure of matplotlib, which can be saved, combined with others and shown."""

import io

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PER_INCH = 100  # pixels of a picture in an inch of a figure


class PixelFigure(Figure):
    """A picture [height, width, 3] on a figure of as many pixels, which notebooks show."""

    def __init__(self, picture: torch.Tensor) -> None:
        height, width = picture.shape[:2]
        super().__init__(figsize=(width / PER_INCH, height / PER_INCH), dpi=PER_INCH)
        FigureCanvasAgg(self)
        axes = self.add_axes((0, 0, 1, 1))
        axes.imshow(picture.numpy(), interpolation="none", aspect="auto")
        axes.axis("off")

    def _repr_png_(self) -> bytes:
        """The figure as a PNG file, whether or not matplotlib was set up for notebooks."""
        out = io.BytesIO()
        self.savefig(out, format="png")
        return out.getvalue()

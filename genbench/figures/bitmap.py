"""Pixels on a figure, as they are. It imports matplotlib, and so is imported when one draws."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase


class Bitmap(Artist):
    """Bytes [height, width, 3] whose lower left corner is so many pixels from that of the page.

    Text lies above it. matplotlib's own images are resampled whenever they are drawn, also where
    each pixel has its place already, and this takes longer than all else that is drawn with them.
    """

    zorder = 0

    def __init__(self, pixels: np.ndarray, left: int, bottom: int) -> None:
        super().__init__()
        opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
        self.rgba = np.concatenate([pixels, opaque], 2)[::-1]  # from the bottom up
        self.left, self.bottom = left, bottom

    def draw(self, renderer: RendererBase) -> None:
        """Copy the pixels."""
        renderer.draw_image(renderer.new_gc(), self.left, self.bottom, self.rgba)

"""Images in rows and grids: every function turns them into a picture, bytes [height, width, 3].

None knows a model. Images are enlarged by a whole factor, so that each pixel is drawn as it is.

They are laid out here and not by torchvision's `make_grid`, which gives the same pixels for a plain
grid, but has no labels, captions or headings, and no room between groups of rows or columns. A loop
over rows would stay, and every run on images would import torchvision: 1.1 s and 160 MB.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from genbench.figures.canvas import Page, Theme, number_axis, shades, text_width
from genbench.utils.text import counted


def paint(
    images: torch.Tensor, signed: bool = False, zoom: int = 1, upscaling: str = "nearest"
) -> np.ndarray:
    """Images [n, channels, height, width] as colours [n, zoom * height, zoom * width, 3] in [0, 1].

    Signed ones (weights, differences) are each scaled by their largest value; of one channel they
    run from blue over white, which is zero, to red; of three, zero is grey. Of images with neither
    one channel nor three, the mean over the channels is shown.
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


def as_bytes(colours: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] as whole numbers from 0 to 255."""
    return (255 * colours).round().astype(np.uint8)


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
    """The whole factor that makes so many columns of images about `wide` pixels wide, and the rows
    at most `high` high.
    """
    height, width = images.shape[-2:]
    return max(1, min(math.ceil(wide / (columns * width)), high // (rows * height)))


GAP, APART, HEADING, CAPTION = 2, 10, 20, 15  # pixels between images, between groups, and for texts
DRAWN_PIXELS = 2**22  # of a picture
BYTES_PER_PIXEL = 170  # of memory while a picture is drawn, as measured


def fitting(images: torch.Tensor, zoom: int = 1) -> int:
    """How many images of this size [..., height, width], enlarged by a whole factor, a picture has
    room for; at least one.
    """
    height, width = (zoom * side + GAP for side in images.shape[-2:])
    return max(1, DRAWN_PIXELS // (height * width))


def zoom_below(headings: Sequence[str], images: torch.Tensor) -> int:
    """The least whole factor that makes images [..., height, width] as wide as texts above them."""
    longest = max((text_width(text, 8) for text in headings), default=0)
    return math.ceil((longest + 4) / images.shape[-1])


class Row(NamedTuple):
    """Images [n, channels, height, width] side by side: with a heading above all or above each, a
    label to the left, a caption below each, and perhaps more room above the row.
    """

    images: torch.Tensor
    heading: str = ""
    headings: Sequence[str] = ()
    label: str = ""
    captions: Sequence[str] = ()
    apart: bool = False


def mosaic(
    rows: Sequence[Row], page: Page, zoom: int, signed: bool = False, flanks: int = 0
) -> torch.Tensor:
    """Rows of images of one size, each image enlarged `zoom` times; so many columns at either side
    stand apart.
    """
    shown = torch.cat([row.images for row in rows])
    colours = as_bytes(paint(shown, signed, zoom, page.upscaling))
    high, wide = colours.shape[1:3]
    columns = max(len(row.images) for row in rows)
    lefts = [i * (wide + GAP) + APART * (bool(flanks) and i >= flanks) for i in range(columns)]
    lefts = [
        left + APART * (bool(flanks) and i >= columns - flanks) for i, left in enumerate(lefts)
    ]
    indent = math.ceil(max(text_width(row.label, 8.5) for row in rows))
    indent += 8 * bool(indent)
    tops: list[int] = []
    end = 0
    for row in rows:
        end += APART * (row.apart and bool(tops)) + HEADING * bool(row.heading or row.headings)
        tops.append(end)
        end += high + (CAPTION + GAP if row.captions else 0) + GAP
    canvas = page.canvas(indent + lefts[-1] + wide, end - GAP)
    pixels = _ground(end - GAP, lefts[-1] + wide, canvas.theme)
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


def _ground(height: int, width: int, theme: Theme) -> np.ndarray:
    """Bytes [height, width, 3] of the colour of an empty page."""
    from matplotlib.colors import to_rgb

    return np.tile(as_bytes(np.array(to_rgb(theme.ground))), (height, width, 1))


def image_grid(
    images: torch.Tensor,
    page: Page,
    captions: Sequence[str] = (),
    signed: bool = False,
    columns: int = 8,
    wide: int = 448,
) -> torch.Tensor:
    """Images in rows, each with a caption if there are any."""
    columns = min(columns, len(images))
    zoom = zoom_to(images, columns, wide=wide)
    if captions:  # which must not run into one another
        zoom = max(zoom, zoom_below(captions, images))
    starts = range(0, len(images), columns)
    rows = [Row(images[i : i + columns], captions=captions[i : i + columns]) for i in starts]
    return mosaic(rows, page, zoom, signed)


def above(count: int, part: str) -> str:
    """What so many images of a part of the data are, each above the row of its reconstruction."""
    each = ", each" if count > 1 else ""
    return f"{counted(count, f'{part} image')}{each} above its reconstruction"


def pairs(
    originals: torch.Tensor, again: torch.Tensor, columns: int, heading: str = ""
) -> list[Row]:
    """Rows of images, each above the row of their reconstructions."""
    found: list[Row] = []
    for one, other in zip(originals.split(columns), again.split(columns)):
        found += [Row(one, heading="" if found else heading, apart=True), Row(other)]
    return found


def labelled_rows(
    named: dict[str, torch.Tensor], page: Page, headings: Sequence[str] = (), flanks: int = 0
) -> torch.Tensor:
    """A row of images per name, the n-th of every row belonging together; headings above the
    columns, if any.
    """
    first = next(iter(named.values()))
    listed = [
        Row(x, label=name, headings=headings if i == 0 else ())
        for i, (name, x) in enumerate(named.items())
    ]
    zoom = zoom_to(first, len(first), len(named), wide=560)
    if headings:
        zoom = max(zoom, zoom_below(headings, first))
    return mosaic(listed, page, zoom, flanks=flanks)


def shares_of_points(images: torch.Tensor | None, shares: torch.Tensor, page: Page) -> torch.Tensor:
    """The shares [n, K] of points in components as a row of shades each, beside the points if they
    are images [n, ...].
    """
    n, components = shares.shape
    width = max(320, 26 * components) if components < 40 else 640
    pixels, left, high = None, 40, 22 * n
    if images is not None:
        zoom = max(1, round(36 / images.shape[2]))
        colours = as_bytes(paint(images, False, zoom, page.upscaling))
        high, left = n * (colours.shape[1] + GAP) - GAP, colours.shape[2] + 12
        pixels = _ground(high, colours.shape[2], page.theme)
        for i, image in enumerate(colours):
            pixels[i * (len(image) + GAP) :][: len(image)] = image
    canvas = page.canvas(left + width, high + 34)
    if pixels is not None:
        canvas.image(pixels)
    axes = canvas.axes(left, 0, width, high)
    extent = (0.5, components + 0.5, n + 0.5, 0.5)
    axes.imshow(
        shares.cpu().numpy(),
        extent=extent,
        cmap=shades(canvas.theme),
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    axes.set(xlabel="component", ylabel="" if images is not None else "point")
    axes.set_yticks([] if images is not None else range(1, n + 1))
    number_axis(axes.xaxis, components)
    for i in range(1, n):
        axes.axhline(i + 0.5, color=canvas.theme.ground, lw=2)
    return canvas.picture()

"""What a trained model shows of itself in a notebook: its pictures as figures, and its results."""

import base64
import html
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from genbench.data.types import Data
from genbench.evaluation.registry import headlines
from genbench.figures.renderer import FIGURES, FigureRenderer
from genbench.figures.visualizations import draw_visualization
from genbench.model import Model
from genbench.runs.picture_files import pictures_in
from genbench.runs.summary import show_result
from genbench.utils.errors import UserError
from genbench.utils.files import Unreadable, read_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT_COLUMNS = 100  # columns of the results
FIRST_PICTURES = ("samples.png", "reconstructions.png")
LARGEST_PICTURE = 1 << 24  # of a picture

DrawPicture = Callable[[], torch.Tensor | None]


def pictures_of(model: Model, data: Data, epoch: int, part: str = "") -> dict[str, DrawPicture]:
    """What draws each picture that this model has, by name; `part` is the data that it shows."""
    if not data.splits:
        fix = "give them again: genbench.load(RUN, X, y)"
        raise UserError("plot", "a picture shows data, and these are not at hand", fix=fix)
    settings = model.settings
    title = f"{settings.model.name} on {data.name}"
    look = {"theme": settings.theme, "upscaling": settings.upscaling}
    renderer = FigureRenderer(data, settings.seed, title, part, **look)
    renderer.at(epoch)
    found: dict[str, DrawPicture] = {}
    for figure in FIGURES:
        if figure.applies(renderer.kind, model):
            found[figure.name] = partial(figure.show, renderer, model)
    with torch.no_grad():
        shown = model.visualizations(renderer.points(2000), renderer.rng("views"))
    for name, one in shown.items():
        found[name] = partial(draw_visualization, renderer, model, one)
    return found


def drawn(pictures: dict[str, DrawPicture], name: str) -> "Figure":
    """One of these pictures as a figure of matplotlib. UserError for a name that there is not."""
    with torch.no_grad():
        picture = pictures[name]() if name in pictures else None
    if picture is None:
        what = "this model has no such picture of these data"
        raise UserError("plot", what, name, f"choose from {', '.join(pictures) or 'none'}")
    from genbench.figures.pixels import PixelFigure  # imports matplotlib

    return PixelFigure(picture)


def as_html(title: str, folder: Path, metrics: dict[str, Any]) -> str:
    """What the console shows at the end of a run, and the pictures of samples."""
    console = Console(file=io.StringIO(), width=RESULT_COLUMNS, record=True, force_jupyter=False)
    look = f"tensorboard --logdir {folder.parent}"
    show_result(console, title, folder, metrics, headlines(), pictures_in(folder), look)
    text = html.escape(console.export_text())
    images = [_image(folder / name) for name in FIRST_PICTURES]
    return f'<pre style="white-space: pre-wrap">{text}</pre>{"".join(images)}'


def _image(path: Path) -> str:
    """A picture as part of a page; nothing where it cannot be read."""
    try:
        content = base64.b64encode(read_bytes(path, LARGEST_PICTURE)).decode()
    except (Unreadable, OSError):
        return ""
    source = f"data:image/png;base64,{content}"
    return f'<img alt="{path.stem}" src="{source}" style="max-width: 100%">'

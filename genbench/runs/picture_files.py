"""The pictures of a run: PNG files, an animation, and the same in TensorBoard."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from genbench.data.types import Data
from genbench.figures.files import animation, png
from genbench.figures.renderer import FigureRenderer
from genbench.model import Model
from genbench.runs.curve_files import CurveFiles
from genbench.runs.optional_writes import OptionalWrites
from genbench.runs.projector import write_projection
from genbench.settings.run import RunSettings
from genbench.utils.errors import plain
from genbench.utils.files import write
from genbench.utils.text import counted

logger = logging.getLogger("genbench")


class PictureFiles:
    """Draws the pictures of a run, and writes them where there is room."""

    def __init__(
        self,
        folder: Path,
        title: str,
        settings: RunSettings,
        curves: CurveFiles,
        echo: Callable[[str], None],
    ) -> None:
        """`curves` has the loggers; `settings` are those of the run."""
        self.folder, self.title, self.settings = folder, title, settings
        self.curves, self.optional, self.echo = curves, OptionalWrites(echo), echo
        self._renderer: FigureRenderer | None = None
        self._watched: int | None = None  # the epoch of what was watched last, if all was drawn
        self._has_failed = False  # whether something could not be drawn

    def draw_progress(self, epoch: int, model: Model, data: Data) -> None:
        """Draw what is watched while the model trains."""
        self._watched = None
        with self._surviving():
            self.write(epoch, self.renderer(data).watched(model, epoch))
            self._watched = epoch

    def draw_final(self, epoch: int, model: Model, data: Data, *, drawn: bool) -> None:
        """Draw all that the trained model with the weights of `epoch` can show.

        `drawn` says that TensorBoard already has this epoch's pictures of `draw_progress`.
        """
        is_written = self._watched == epoch and "pictures" not in self.optional.given_up
        if not is_written or model.posthoc_state():  # by which samples may have changed
            with self._surviving():
                self.write(epoch, self.renderer(data).watched(model, epoch), in_events=not drawn)
        with self._surviving():
            self.write(epoch, self.renderer(data).finished(model, epoch))
        with self._surviving(), self.optional.tolerate("pictures"):
            self._write_film(epoch)
        with self._surviving(), self.optional.tolerate("pictures"):
            points = self.renderer(data).projection(model)
            if points is not None:
                name = f"codes of {self.title}"
                write_projection(self.folder, name, *points, self.settings.upscaling)

    def _write_film(self, epoch: int) -> None:
        """Write the samples of all epochs as an animation, if there are two or more."""
        frames = self.curves.loggers.pictures(self.tag("samples"))
        encoded, lost = animation(frames)
        if lost:
            what = f"{counted(lost, 'frame')}, which are no PNG pictures"
            self.echo(f"warning: the film leaves out {what}")
        if encoded:
            write(self.folder / "samples.gif", encoded)
            self.curves.loggers.animation(self.tag("film"), encoded, epoch)

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        """Let the run continue where drawing fails in the block, and warn once.

        The traceback is in the log. Hours of training are worth more than a picture.
        """
        try:
            yield
        except Exception as error:
            logger.exception("drawing failed")
            if not self._has_failed:
                self._has_failed = True
                what = plain(f"{type(error).__name__}: {error}")
                self.echo(f"warning: the run goes on without some pictures: {what}; see run.log")

    def renderer(self, data: Data) -> FigureRenderer:
        """The renderer of this run's figures, which chooses its points once."""
        if self._renderer is None:
            look = {"theme": self.settings.theme, "upscaling": self.settings.upscaling}
            self._renderer = FigureRenderer(data, self.settings.seed, self.title, **look)
        return self._renderer

    def tag(self, name: str) -> str:
        """TensorBoard's tag of a picture: a section for its kind, with one card per run."""
        return f"{name}/{self.title}"

    def write(
        self, epoch: int, pictures: Iterable[tuple[str, torch.Tensor]], in_events: bool = True
    ) -> None:
        """Write pictures by name: as PNG files and, if `in_events`, in TensorBoard."""
        for name, picture in pictures:
            encoded = png(picture)
            with self.optional.tolerate("pictures"):
                write(self.folder / f"{name}.png", encoded)
                if in_events:
                    height, width = picture.shape[:2]
                    self.curves.loggers.picture(self.tag(name), encoded, (height, width), epoch)


def pictures_in(folder: Path) -> list[str]:
    """The names of the pictures in a run's folder, samples and reconstructions first."""
    first = ["samples.png", "reconstructions.png"]
    names = sorted(path.name for kind in ("*.png", "*.gif") for path in folder.glob(kind))
    return [name for name in first if name in names] + [name for name in names if name not in first]

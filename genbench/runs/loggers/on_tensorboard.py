"""Curves and pictures in TensorBoard: one event file in the folder of the run."""

from collections.abc import Callable, Mapping
from typing import Any

from genbench.runs.directory import EVENTS
from genbench.runs.loggers.interface import LoggedRun, Logger, tags
from genbench.runs.optional_writes import OptionalWrites
from genbench.runs.tensorboard import Events
from genbench.utils.files import kind, set_aside

CHARTED = ("train", "validation")  # parts of the data that share a chart
CURVES, PICTURES = "curves in tensorboard", "pictures in tensorboard"  # what a full disk may cost
LOST = "its curves are drawn anew, its earlier pictures are lost"


class TensorBoard(Logger):
    """Appends to the event file, which a resumed run cuts back to its checkpoint.

    What finds no room is left out, and the next record is tried again. A file that lacks points
    has no mark, so that a resumed run draws its curves anew.
    """

    name = "tensorboard"

    def __init__(self, run: LoggedRun, echo: Callable[[str], None]) -> None:
        super().__init__(run, echo)
        self.path = run.folder / EVENTS
        self.events: Events  # from `open` on
        self.has_layout = False
        self.optional = OptionalWrites(echo)

    def open(self, epoch: int, mark: dict[str, Any]) -> int:
        known = mark if "bytes" in mark else None
        is_left = not kind(self.path) and self.path.exists() and self.path.stat().st_size > 0
        if epoch and known is None and is_left:
            set_aside(self.path, "was left incomplete")
            self.echo(f"warning: {self.path.name} is begun again; {LOST}")
        self.events = Events(self.path, known)
        self.has_layout = self.events.resumed and epoch > 0
        if self.events.resumed:
            return epoch
        if epoch and known is not None:
            self.echo(f"warning: {self.path.name} is damaged; {LOST}")
        with self.optional.tolerate(CURVES):
            self._begin()
        return 0

    def _begin(self) -> None:
        """Write what an event file begins with."""
        self.has_layout = False
        self.events.hparams(dict(self.run.settings), self.run.title)

    def point(self, point: Mapping[str, Any]) -> None:
        with self.optional.tolerate(CURVES):
            if not self.has_layout:
                self._add_layout(point)
            self.events.scalars(tags(point), point["epoch"])

    def _add_layout(self, point: Mapping[str, Any]) -> None:
        """Give each term a chart with all parts of the data in it.

        Every run has the same one category and names both parts in each chart. TensorBoard merges
        the layouts of all runs, and would lose some charts and repeat others if they differed.
        """
        terms = dict.fromkeys(name for part in CHARTED for name in point.get(part, {}))
        charts = {name: [f"{part}/{name}" for part in CHARTED] for name in terms}
        self.events.layout("training and validation", charts)
        self.has_layout = True

    def final(self, values: Mapping[str, Any], epoch: int) -> None:
        with self.optional.tolerate(CURVES):
            self.events.scalars(values, epoch)
            self.events.ended()
            self.events.sync()

    def picture(self, tag: str, png: bytes, shape: tuple[int, int], epoch: int) -> None:
        with self.optional.tolerate(PICTURES):
            self.events.picture(tag, png, shape, epoch)

    def animation(self, tag: str, gif: bytes, epoch: int) -> None:
        with self.optional.tolerate(PICTURES):
            self.events.picture(tag, gif, (1, 1), epoch)

    def pictures(self, tag: str) -> list[bytes]:
        return self.events.pictures(tag)

    def mark(self) -> dict[str, Any]:
        return {} if CURVES in self.optional.given_up else self.events.mark()

    def sync(self) -> None:
        with self.optional.tolerate(CURVES):
            self.events.sync()

    def repair(self) -> bool:
        if self.events.file.is_unchanged:
            return False
        if kind(self.path) or self.path.exists():
            set_aside(self.path, "was changed by another program")
            self.echo(f"warning: {self.path.name} is begun again; {LOST}")
        else:
            self.echo(f"warning: {self.path.name} was removed; {LOST}")
        with self.optional.tolerate(CURVES):
            self.events = Events(self.path)
            self._begin()
            return True
        return False

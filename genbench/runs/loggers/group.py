"""The loggers that a run has chosen, of which a failing one is left out and costs one warning."""

import importlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from genbench.runs.loggers.interface import LoggedRun, Logger
from genbench.utils.errors import plain
from genbench.utils.imports import pip_line

logger = logging.getLogger("genbench")

LOGGER_CLASSES = {  # by the value of the setting; imported when chosen, as the libraries are large
    "tensorboard": "genbench.runs.loggers.on_tensorboard.TensorBoard",
    "mlflow": "genbench.runs.loggers.on_mlflow.MLflow",
    "wandb": "genbench.runs.loggers.on_wandb.WandB",
    "trackio": "genbench.runs.loggers.on_trackio.Trackio",
}


class LoggerGroup:
    """Passes everything on to each logger that works."""

    def __init__(self, names: Sequence[str], run: LoggedRun, echo: Callable[[str], None]) -> None:
        """`names` are values of the setting `logger`."""
        self.names, self.run, self.echo = names, run, echo
        self.working: list[Logger] = []
        self.is_open = False

    def open(self, epoch: int, mark: dict[str, Any] | None, points: Sequence[dict]) -> None:
        """Begin, or go on after this epoch, and give each logger the points that it lacks."""
        self.is_open = True
        for name in self.names:
            with self._surviving(name):
                module, _, class_name = LOGGER_CLASSES[name].rpartition(".")
                one: Logger = getattr(importlib.import_module(module), class_name)(
                    self.run, self.echo
                )
                self.working.append(one)
                reached = one.open(epoch, mark or {})
                for point in points:
                    if point["epoch"] > reached:
                        one.point(point)

    def point(self, point: Mapping[str, Any]) -> None:
        """One point of every curve."""
        self._each(lambda one: one.point(point))

    def final(self, values: Mapping[str, Any], epoch: int) -> None:
        """The final numbers."""
        self._each(lambda one: one.final(values, epoch))

    def picture(self, tag: str, png: bytes, shape: tuple[int, int], epoch: int) -> None:
        """A picture, as in `Logger`."""
        self._each(lambda one: one.picture(tag, png, shape, epoch))

    def animation(self, tag: str, gif: bytes, epoch: int) -> None:
        """An animation, as in `Logger`."""
        self._each(lambda one: one.animation(tag, gif, epoch))

    def pictures(self, tag: str) -> list[bytes]:
        """The pictures of the first logger that can give them back."""
        found: list[list[bytes]] = []
        self._each(lambda one: found.append(one.pictures(tag)))
        return next(filter(None, found), [])

    def mark(self) -> dict[str, Any] | None:
        """How far the loggers have come; None if none of those that work has a mark."""
        found: dict[str, Any] = {}
        self._each(lambda one: found.update(one.mark()))
        return found or None

    def sync(self) -> None:
        """Force everything onto the disk."""
        self._each(lambda one: one.sync())

    def repair(self, points: Sequence[dict]) -> bool:
        """Let loggers begin again whose files were changed; returns whether one did."""
        repaired: list[Logger] = []
        self._each(lambda one: repaired.append(one) if one.repair() else None)
        for one in repaired:
            with self._surviving(one.name):
                for point in points:
                    one.point(point)
        return bool(repaired)

    def close(self) -> None:
        """Let go of the run."""
        working, self.working = self.working, []
        for one in working:
            with self._surviving(one.name):
                one.close()

    def _each(self, call: Callable[[Logger], None]) -> None:
        for one in list(self.working):
            with self._surviving(one.name):
                call(one)

    @contextmanager
    def _surviving(self, name: str) -> Iterator[None]:
        """Close a logger and leave it out from here on if it fails in the block.

        The traceback is in the log.
        """
        try:
            yield
        except Exception as error:
            logger.exception("logging to %s failed", name)
            failed = [one for one in self.working if one.name == name]
            self.working = [one for one in self.working if one.name != name]
            why = f"{type(error).__name__}: {error}".partition("\n")[0]
            if isinstance(error, ImportError):
                why = f"{error}: {pip_line(name)}"
            what = f"warning: the run goes on without some curves in {name}: {plain(why)}"
            self.echo(f"{what}; a resumed run adds them")
            for one in failed:
                with suppress(Exception):  # one that could not open has nothing to close
                    one.close()

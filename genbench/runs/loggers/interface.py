"""The interface of loggers: programs that record the curves and pictures of a run."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from genbench.utils.files import read_json_or_empty, write_json
from genbench.utils.schema import Maybe, whole

STATE = "loggers.json"  # in the folder of a run
STATE_FORM = {"key": str, "reached": Maybe({str: whole})}


@dataclass(frozen=True)
class LoggedRun:
    """The run that is logged: its folder, its title, and its settings by dotted name."""

    folder: Path
    title: str
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """A name that no other run has, by which loggers find this one again.

        It is drawn when it is first asked for, and kept before anything is logged under it.
        """
        state = self._state()
        if "key" not in state:
            state = {"key": uuid.uuid4().hex}
            write_json(self.folder / STATE, state)
        return str(state["key"])

    def reached(self, logger: str) -> int:
        """The newest epoch that a logger without a memory of its own has taken."""
        return int(self._state().get("reached", {}).get(logger, 0))

    def take_note(self, logger: str, epoch: int) -> None:
        """Remember that a logger has taken an epoch."""
        state = {"key": self.key} | self._state()
        reached = state.get("reached", {}) | {logger: epoch}
        write_json(self.folder / STATE, state | {"reached": reached})

    def _state(self) -> dict[str, Any]:
        return read_json_or_empty(self.folder / STATE, STATE_FORM)


class Logger:
    """A program that shows the points of a run's curves, and perhaps its pictures.

    A logger may raise any Exception: it costs the logger, not the run. Whatever is not overridden
    is something that a logger does not do.
    """

    name: ClassVar[str]  # the value of the setting `logger`

    def __init__(self, run: LoggedRun, echo: Callable[[str], None]) -> None:
        """`echo` writes a line for the user."""
        self.run, self.echo = run, echo

    def open(self, epoch: int, mark: dict[str, Any]) -> int:
        """Begin, or go on after this epoch of the run; 0 is the start.

        `mark` is what `mark` returned then, perhaps with that of other loggers, or empty. Returns
        the last epoch whose point the logger has already; it is given those that follow.
        """
        raise NotImplementedError

    def point(self, point: Mapping[str, Any]) -> None:
        """One point of every curve: the `epoch`, and terms by part of the data."""
        raise NotImplementedError

    def final(self, values: Mapping[str, Any], epoch: int) -> None:
        """The final numbers of a run that ended after this epoch."""
        raise NotImplementedError

    def picture(self, tag: str, png: bytes, shape: tuple[int, int], epoch: int) -> None:
        """A picture of this height and width, as the bytes of a PNG file."""

    def animation(self, tag: str, gif: bytes, epoch: int) -> None:
        """An animation, as the bytes of a GIF file."""

    def pictures(self, tag: str) -> list[bytes]:
        """The pictures with this tag so far, where the logger can give them back."""
        return []

    def mark(self) -> dict[str, Any]:
        """How far the logger has come, for `open`; empty if it knows that by itself."""
        return {}

    def sync(self) -> None:
        """Force what was logged onto the disk."""

    def repair(self) -> bool:
        """Begin again where another program has changed the logger's files.

        Returns whether it did, so that it needs all points once more.
        """
        return False

    def close(self) -> None:
        """Let go of the run, which may go on in another session."""


def tags(point: Mapping[str, Any]) -> dict[str, float]:
    """The values of a point by the names of their curves, without those that are not finite."""
    return {
        f"{'speed' if part == 'time' else part}/{name}": value
        for part, numbers in point.items()
        if part != "epoch"
        for name, value in numbers.items()
        if value is not None
    }

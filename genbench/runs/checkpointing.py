"""Saving a run's state as checkpoints, and restoring the newest good one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from genbench.data.types import Data
from genbench.model import Model
from genbench.runs.checkpoints import Unusable, read_newest, write_checkpoint
from genbench.runs.compatibility import require_same
from genbench.runs.directory import digest
from genbench.runs.facts import machine, require_same_data
from genbench.training.loop import Position
from genbench.training.stopping import EarlyStopping
from genbench.utils.files import kind, set_aside
from genbench.utils.text import counted

ALWAYS_SAVED = 1 << 24  # bytes of checkpoints that a session writes before any is too soon
SAVING_PAUSE = 19  # times as long as a checkpoint took, to the next one


class Checkpointing:
    """The checkpoints of one run, which hold all that an exact resume needs."""

    def __init__(
        self, folder: Path, config: dict, echo: Callable[[str], None], resume: str
    ) -> None:
        """`echo` writes a line; `resume` is the command that continues the run."""
        self.folder, self.config, self.echo, self.resume = folder, config, echo, resume
        self.newest: str | None = None  # the name of the newest good checkpoint
        self.step = 0  # after which the newest checkpoint was saved
        self._written = 0  # bytes of all checkpoints of this session
        self._ended, self._took = 0.0, 0.0  # when the newest one was written, in how many seconds
        self.length: dict[str, int] = {}  # epochs and steps that the run was given

    def save(
        self,
        at: Position,
        model: Model,
        stopping: EarlyStopping,
        *,
        data: Data,
        events: dict | None,
        seconds: float,
    ) -> None:
        """Write a checkpoint. `events` marks the end of the event file, if all of it is there.

        UserError if a weight is not finite, or there is no room.
        """
        content = {
            "settings": self.config,
            "data": data.digest,
            "machine": machine(model),
            "together": model.together,
            "length": self.length,
            "at": at.training_state(),
            "model": model.state_dict(),
            "progress": model.training_state(),
            "stopping": stopping.training_state(),
            "events": events,
            "seconds": seconds,
        }
        began = time.perf_counter()
        path = write_checkpoint(self.folder, at.epoch, at.batches, content)
        self._ended = time.perf_counter()
        self._took = self._ended - began
        self._written += path.stat().st_size
        self.newest, self.step = path.name, at.step

    def is_too_soon(self, together: int) -> bool:
        """Whether another checkpoint would make saving more than a twentieth of the training of so
        many runs, which all save in turn.

        The first checkpoints, up to `ALWAYS_SAVED` bytes, are never too soon.
        """
        waited = time.perf_counter() - self._ended
        return self._written > ALWAYS_SAVED and waited < SAVING_PAUSE * self._took * together

    def restore(
        self, at: Position, model: Model, stopping: EarlyStopping, data: Data, before: dict
    ) -> dict[str, Any] | None:
        """Restore position, model and early stopping, and return the content of the checkpoint.

        None if there is no checkpoint. Damaged ones, and those of other runs, are set aside where
        an older one can be used. UserError if there are checkpoints and none can be used, or if the
        run may not become as long as the settings ask for. `before` is the status of this run
        before this session, empty where the folder itself does not name its settings.
        """
        epochs = -(-at.total // at.of)
        self.length = {"epochs": epochs, "steps": at.total, "steps_per_epoch": at.of}
        restored: dict[str, Any] = {}

        def take(content: dict[str, Any]) -> None:
            require_same(content["settings"], self.config, content["length"])
            if content["progress"].keys() != model.training_state().keys():
                raise ValueError("it is of another kind of model")
            at.load_training_state(content["at"])
            model.load_state_dict(content["model"])
            model.load_training_state(content["progress"])
            model.together = content.get("together", 1)
            stopping.load_training_state(content["stopping"])
            restored.update(content)

        try:
            path, unusable = read_newest(self.folder, self.config, data.digest, model.device, take)
        except Unusable as error:
            if error.content is not None and not before:
                require_same(error.content["settings"], self.config, error.content["length"])
            raise_unusable(error, self.config, data)
        for other, reason in unusable.items():
            set_aside(other, f"is damaged ({kind(other)})" if kind(other) else reason.what)
        self._report_lost(at, before)
        if path is None:
            return None
        self.newest, self.step = path.name, at.step
        return restored

    def _report_lost(self, at: Position, before: dict[str, Any]) -> None:
        """Warn where an earlier session came further; `before` is the status that it left."""
        if before.get("step", 0) <= at.step:
            return
        lost = before.get("checkpoint") or f"the checkpoint after {counted(before['step'], 'step')}"
        origin = f"from epoch {at.epoch}" if at.step else "from the start"
        numbers = (
            "replace its numbers at the end" if before["state"] == "done" else "train it again"
        )
        self.echo(f"warning: {lost} is lost; the run goes on {origin}, and will {numbers}")
        self.echo(f"to keep them instead, stop with Ctrl-C, bring it back, then {self.resume}")

    def report(self, at: Position, before: dict[str, str], now: dict[str, str]) -> None:
        """Say where the run resumes, and warn if the machine differs from the one before."""
        batches = f" and {at.batches} of {at.of} batches of the next" if at.batches else ""
        self.echo(f"resuming after epoch {at.epoch}{batches}")
        changes = [
            f"{name} {before[name]} then, {now[name]} now"
            for name in now
            if before[name] != now[name]
        ]
        if changes:
            what = "the last digits may differ from those of an uninterrupted run"
            self.echo(f"warning: {what}: {', '.join(changes)}")


def raise_unusable(error: Unusable, config: dict, data: Data) -> NoReturn:
    """Raise why a checkpoint cannot be used; if its settings match, the data have changed."""
    if error.content is not None and digest(error.content["settings"]) == digest(config):
        require_same_data(error.content["data"], data, Path(error.key).parent)
    raise error

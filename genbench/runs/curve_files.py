"""The curves of a run as it writes them: metrics.jsonl and its loggers, with the same points."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genbench.config.choice_files import PLACES
from genbench.config.declarations import local_settings
from genbench.config.validation import ASIDE
from genbench.config.values import flatten
from genbench.runs.curves import read_points
from genbench.runs.loggers.group import LoggerGroup
from genbench.runs.loggers.interface import LoggedRun
from genbench.runs.summary import conditions, parts_of
from genbench.utils.errors import plain
from genbench.utils.files import AppendOnlyFile, Unreadable, finite, kind, set_aside, sync, write
from genbench.utils.text import counted


class CurveFiles:
    """Appends points to metrics.jsonl, which a run needs, and to loggers, which it does not."""

    def __init__(
        self, folder: Path, config: dict, loggers: list[str], echo: Callable[[str], None]
    ) -> None:
        """`loggers` are names of loggers; `echo` writes a line for the user."""
        self.folder, self.echo = folder, echo
        self.epoch = 0  # of the newest point
        self.lines: list[str] = []  # of metrics.jsonl
        self.is_open = False  # whether `rewind` has opened the files
        self.file: AppendOnlyFile  # metrics.jsonl
        self.loggers = LoggerGroup(loggers, _logged_run(folder, config), echo)
        self._previous_mark: dict | None = None  # of the loggers before the newest point

    @property
    def points(self) -> list[dict]:
        """All points so far."""
        return [json.loads(line) for line in self.lines]

    def rewind(self, epoch: int, mark: dict | None) -> None:
        """Open everything and drop the points after `epoch`, so that each point occurs once.

        `mark` says how far the loggers had come then. A logger that lacks points gets them from
        metrics.jsonl.
        """
        path, self.epoch = self.folder / "metrics.jsonl", epoch
        try:
            points = read_points(self.folder)
        except Unreadable:
            points = []
            if os.path.lexists(path):
                set_aside(path)
        self.lines = [line for line, point in points if point["epoch"] <= epoch]
        if len(self.lines) < epoch:
            known = f"{len(self.lines)} of {counted(epoch, 'point')} before"
            self.echo(f"warning: {path.name} is damaged and holds {known}")
        if os.path.lexists(path):
            self._rewrite_lines(path)
        self.file = AppendOnlyFile(path)
        self.is_open = True
        self.loggers.open(epoch, mark, self.points)

    def add(self, epoch: int, terms: dict[str, dict[str, float]]) -> None:
        """Append one point to every curve: terms by part of the data, and the speed as `time`."""
        self._previous_mark, self.epoch = self.loggers.mark(), epoch
        point = finite({"epoch": epoch, **terms})
        self.lines.append(json.dumps(point, allow_nan=False))
        self.file.append(f"{self.lines[-1]}\n".encode())
        self.loggers.point(point)

    def add_final(self, metrics: dict[str, Any]) -> None:
        """Give the loggers the final numbers and the report card."""
        final = {
            f"final/{part}_{name}": value
            for part, numbers in parts_of(metrics).items()
            for name, value in numbers.items()
            if name != "n"
        }
        for entry in metrics.get("card", []):
            # Numbers that do not compare get columns of their own.
            final[f"final/{entry['name']}: {conditions(entry)}"] = entry["value"]
        final["final/epochs"] = metrics["cost"]["epochs"]
        self.loggers.final(final, self.epoch)

    def sync(self) -> None:
        """Force all points onto the disk: a checkpoint must not outlive the points before it."""
        if self.epoch:
            sync(self.file.path)
        self.loggers.sync()

    def mark_at(self, epoch: int) -> dict | None:
        """How far the loggers had come after `epoch`: the newest logged one, or the one before.

        None if one of them lacks something.
        """
        newest = self.loggers.mark()
        return self._previous_mark if newest and epoch < self.epoch else newest

    def repair(self) -> None:
        """Write the files again from memory where another program has removed or changed them."""
        if not self.is_open:
            return
        if not self.file.is_unchanged:
            self._warn_of_change(self.file.path, "written anew")
            self._rewrite_lines(self.file.path)
            self.file = AppendOnlyFile(self.file.path)
        if self.loggers.repair(self.points):
            self._previous_mark = self.loggers.mark()

    def _warn_of_change(self, path: Path, what: str) -> None:
        if kind(path) or path.exists():
            set_aside(path, "was changed by another program")
            self.echo(f"warning: {path.name} is begun again; {what}")
        else:
            self.echo(f"warning: {path.name} was removed; {what}")

    def _rewrite_lines(self, path: Path) -> None:
        write(path, "".join(f"{line}\n" for line in self.lines).encode())


def _logged_run(folder: Path, config: dict) -> LoggedRun:
    """The run as its loggers know it, with the settings that distinguish it."""
    hidden = {name for name in ASIDE if name not in PLACES} | local_settings(config)
    settings = {name: value for name, value in flatten(config).items() if name not in hidden}
    # TensorBoard sorts columns by name, and capital letters first, so the model comes first.
    names = {"Model": config["model"]["name"], "dataset": config["dataset"]["name"]}
    return LoggedRun(folder, plain(f"{folder.name} in {folder.parent.name}"), names | settings)

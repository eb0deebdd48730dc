"""The curves of a run as it writes them: metrics.jsonl and TensorBoard, with the same points."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genbench.config.validation import ASIDE
from genbench.config.values import flatten
from genbench.runs.curves import read_points
from genbench.runs.directory import EVENTS
from genbench.runs.optional_writes import OptionalWrites
from genbench.runs.summary import conditions, parts_of
from genbench.runs.tensorboard import Events
from genbench.utils.errors import plain
from genbench.utils.files import AppendOnlyFile, Unreadable, finite, kind, set_aside, sync, write
from genbench.utils.text import counted

CHARTED = ("train", "validation")  # parts of the data that share a chart


class CurveFiles:
    """Appends points to metrics.jsonl, which a run needs, and to TensorBoard, which it does not."""

    def __init__(
        self, folder: Path, config: dict, optional: OptionalWrites, echo: Callable[[str], None]
    ) -> None:
        self.folder, self.config, self.optional, self.echo = folder, config, optional, echo
        self.epoch = 0  # of the newest point
        self.lines: list[str] = []  # of metrics.jsonl
        self.is_open = False  # whether `rewind` has set the next two
        self.file: AppendOnlyFile  # metrics.jsonl
        self.events: Events
        self._previous_mark: dict | None = None  # of the event file before the newest point

    def rewind(self, epoch: int, mark: dict | None) -> None:
        """Open both files and drop the points after `epoch`, so that each point occurs once.

        `mark` says how far the event file reached then. A damaged event file is drawn again from
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
        self.events = Events(self.folder / EVENTS, mark)
        self.is_open = True
        if self.events.resumed:
            return
        if epoch:
            what = "its curves are drawn anew, its earlier pictures are lost"
            self.echo(f"warning: {self.events.path.name} is damaged; {what}")
        with self.optional.tolerate("curves"):
            self._redraw()

    def add(self, epoch: int, terms: dict[str, dict[str, float]]) -> None:
        """Append one point to every curve: terms by part of the data, and the speed as `time`."""
        self._previous_mark, self.epoch = self.events.mark(), epoch
        point = finite({"epoch": epoch, **terms})
        self.lines.append(json.dumps(point, allow_nan=False))
        self.file.append(f"{self.lines[-1]}\n".encode())
        with self.optional.tolerate("curves"):
            if epoch == 1:
                self._add_layout(point)
            self._plot(point)

    def add_final(self, metrics: dict[str, Any]) -> None:
        """Add the final numbers and the report card to TensorBoard, and say that the run ended."""
        with self.optional.tolerate("curves"):
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
            self.events.scalars(final, self.epoch)
            self.events.ended()
            self.events.sync()

    def sync(self) -> None:
        """Force all points onto the disk: a checkpoint must not outlive the points before it."""
        if self.epoch:
            sync(self.file.path)
        self.sync_events()

    def sync_events(self) -> None:
        """Force the event file onto the disk."""
        with self.optional.tolerate("curves"):
            self.events.sync()

    def mark_at(self, epoch: int) -> dict | None:
        """How far the event file reached after `epoch`: the newest logged one, or the one before.

        None if some of the file is missing.
        """
        if "curves" in self.optional.given_up:
            return None
        return self._previous_mark if epoch < self.epoch else self.events.mark()

    def repair(self) -> None:
        """Write the files again from memory where another program has removed or changed them."""
        if not self.is_open:
            return
        if not self.file.is_unchanged:
            self._warn_of_change(self.file.path, "written anew")
            self._rewrite_lines(self.file.path)
            self.file = AppendOnlyFile(self.file.path)
        if not self.events.file.is_unchanged:
            with self.optional.tolerate("curves"):
                what = "its curves are drawn anew, its earlier pictures are lost"
                self._warn_of_change(self.events.path, what)
                self.events = Events(self.events.path)
                self._redraw()
                self._previous_mark = self.events.mark()

    def _warn_of_change(self, path: Path, what: str) -> None:
        if kind(path) or path.exists():
            set_aside(path, "was changed by another program")
            self.echo(f"warning: {path.name} is begun again; {what}")
        else:
            self.echo(f"warning: {path.name} was removed; {what}")

    def _rewrite_lines(self, path: Path) -> None:
        write(path, "".join(f"{line}\n" for line in self.lines).encode())

    def _redraw(self) -> None:
        """Write what an event file begins with, and every point so far."""
        settings = {
            name: value for name, value in flatten(self.config).items() if name not in ASIDE
        }
        # TensorBoard sorts columns by name, and capital letters first, so the model comes first.
        names = {"Model": self.config["model"]["name"], "dataset": self.config["dataset"]["name"]}
        title = plain(f"{self.folder.name} in {self.folder.parent.name}")
        self.events.hparams(names | settings, title)
        points = [json.loads(line) for line in self.lines]
        if points:
            self._add_layout(points[0])
        for point in points:
            self._plot(point)

    def _plot(self, point: dict[str, Any]) -> None:
        values = {
            f"{'speed' if part == 'time' else part}/{name}": value
            for part, numbers in point.items()
            if part != "epoch"
            for name, value in numbers.items()
        }
        self.events.scalars(values, point["epoch"])

    def _add_layout(self, point: dict[str, Any]) -> None:
        """Give each term a chart with all parts of the data in it.

        Every run has the same one category and names both parts in each chart. TensorBoard merges
        the layouts of all runs, and would lose some charts and repeat others if they differed.
        """
        terms = dict.fromkeys(name for part in CHARTED for name in point.get(part, {}))
        charts = {name: [f"{part}/{name}" for part in CHARTED] for name in terms}
        self.events.layout("training and validation", charts)

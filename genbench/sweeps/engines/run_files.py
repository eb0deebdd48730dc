"""What the files of a run say that another process writes, as if that process sent messages."""

import os
from pathlib import Path
from typing import Any

from genbench.runs.directory import Record
from genbench.runs.latest import last_point
from genbench.runs.summary import brief_run
from genbench.utils.errors import UserError
from genbench.utils.files import read_json_or_empty
from genbench.utils.schema import METRICS

Stamp = tuple[int, int, int]  # of a file: its number, size and time; a new content has another


class RecordedFailure(UserError):
    """A failure of which only the line is known, as status.json has it."""

    def __init__(self, line: str) -> None:
        ValueError.__init__(self, line)
        self.key, self.what, self.got, self.fix, self.code = line, "", None, "", 1

    def __reduce__(self) -> tuple:
        return type(self), (self.key,)


class RunFiles:
    """The files of a run. `news` returns what `JobDisplay` shows: names of its methods, arguments.

    What is there before the run begins is left out, unless it `may_run` already.
    """

    def __init__(self, folder: Path, may_run: bool = False) -> None:
        self.folder = folder
        self.status = None if may_run else _stamp(folder / "status.json")
        self.points: Stamp | None = None
        self.has_begun = self.has_length = False

    def news(self) -> list[tuple[Any, ...]]:
        """What has happened since the last call."""
        news: list[tuple[Any, ...]] = []
        stamp = _stamp(self.folder / "status.json")
        if stamp != self.status:
            self.status = stamp
            news += self._of_status(Record(self.folder, {}).status)
        if self.has_length and (stamp := _stamp(self.folder / "metrics.jsonl")) != self.points:
            self.points = stamp
            point = last_point(self.folder)
            if point and not any(name == "ended" for name, *_ in news):
                terms = {key: part for key, part in point.items() if key not in ("epoch", "time")}
                news.append(("epoch", point["epoch"], terms, ""))
        return news

    def _of_status(self, status: dict) -> list[tuple[Any, ...]]:
        state = status.get("state")
        news: list[tuple[Any, ...]] = []
        if not self.has_begun and state in ("running", "done", "failed", "pruned"):
            self.has_begun = True
            news.append(("begin",))
        epochs = status.get("length", {}).get("epochs")
        if not self.has_length and epochs and state == "running":
            self.has_length = True
            news.append(("start", epochs))
        if state == "done":
            found = read_json_or_empty(self.folder / "metrics.json", METRICS)
            news.append(("ended", "done", brief_run(found, ()), None))
        if state == "pruned":
            news.append(("ended", "pruned", [status.get("reason", "")], None))
        if state == "failed":
            news.append(("ended", "failed", [], RecordedFailure(status.get("reason", ""))))
        return news


def _stamp(path: Path) -> Stamp | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns

"""SWEEP/.submitit/submissions.jsonl: which runs each job of submitit has, for later commands."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genbench.utils.files import Unreadable, append, kind, read_json_lines, set_aside
from genbench.utils.schema import Maybe, component, is_finite_number, whole


def is_job_id(value: Any) -> bool:
    """The id of a job of Slurm, of a task in an array, or of a process."""
    return isinstance(value, str) and re.fullmatch(r"\d{1,20}(_\d{1,10})?", value) is not None


SUBMISSION = {
    "engine": str,
    "id": is_job_id,
    "time": is_finite_number,
    "place": Maybe(whole),
    "runs": [component],
}


@dataclass(frozen=True)
class Submission:
    """A job of submitit: its engine and id there, when it was submitted, its place among those that
    run at once, and the names of the folders of its runs.
    """

    engine: str
    id: str
    time: float
    place: int
    runs: frozenset[str]


class Submissions:
    """The jobs of submitit that were submitted for the sweep in a folder."""

    def __init__(self, sweep: Path) -> None:
        self.folder = sweep / ".submitit"
        self.file = self.folder / "submissions.jsonl"

    def add(self, submitted: Sequence[Submission]) -> None:
        """Note jobs that were submitted. CannotWrite if there is no room."""
        if kind(self.file):
            set_aside(self.file)
        rows = [{**asdict(one), "runs": sorted(one.runs)} for one in submitted]
        append(self.file, "".join(f"{json.dumps(row)}\n" for row in rows).encode())

    def of(self, engine: str) -> list[Submission]:
        """All jobs of an engine, the newest first."""
        try:
            rows = [row for _, row in read_json_lines(self.file, SUBMISSION)]
        except Unreadable:
            rows = []
        return [
            Submission(**{"place": 0, **row, "runs": frozenset(row["runs"])})
            for row in reversed(rows)
            if row["engine"] == engine
        ]

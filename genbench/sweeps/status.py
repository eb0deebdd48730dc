"""`genbench status SWEEP`: how the jobs of a sweep go on, read from its files and nothing else.

The sweep may run anywhere: in another terminal, in the queue of a cluster, or not at all.
"""

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from genbench.runs.directory import Record
from genbench.runs.latest import last_point
from genbench.runs.progress import terms
from genbench.runs.sweep_summary import SUMMARY, differing, jobs
from genbench.utils import signals
from genbench.utils.console import PipeSafeConsole
from genbench.utils.errors import UserError, plain
from genbench.utils.files import read_json_or_empty
from genbench.utils.lock import is_locked
from genbench.utils.schema import JOB
from genbench.utils.text import duration, quoted

LOOK_EVERY = 2.0  # seconds between two looks
FINAL = ("done", "failed", "pruned")  # states that only another command changes
ORDER = ("running", "failed", "interrupted", "pruned", "done", "waiting")  # of the rows
COLORS = {"done": "green", "failed": "bold red", "interrupted": "yellow", "running": "cyan"}


@dataclass
class JobStatus:
    """What the files of a job say: its state, how far it is, and how long it takes in seconds."""

    number: int
    label: str
    folder: Path
    state: str = "waiting"
    epoch: int = 0
    epochs: int | None = None
    text: str = ""  # the terms of the newest epoch, or why it failed
    took: float | None = None  # until now
    left: float | None = None  # of training

    def read(self) -> None:
        """Read the files. What is final is not read again."""
        if self.state in FINAL:
            return
        record = Record(self.folder, {})
        status = record.status
        self.state = record.state or "waiting"
        self.text = status.get("reason", "")
        if self.state == "done":
            found = read_json_or_empty(self.folder / "metrics.json", {"time": {"seconds": float}})
            self.took = found["time"]["seconds"] if found else None
        if self.state == "running":
            self._read_progress(status.get("length", {}).get("epochs"))

    def _read_progress(self, epochs: int | None) -> None:
        point = last_point(self.folder)
        self.epochs, self.epoch = epochs, point.get("epoch", 0)
        self.took = time.time() - _written(self.folder / "config.yaml")
        self.left = None
        if self.epoch:
            parts = {key: part for key, part in point.items() if key not in ("epoch", "time")}
            self.text = terms(parts, None, 60)
        if self.epoch and epochs:
            self.left = max(0.0, self.took / self.epoch * (epochs - self.epoch))


class SweepStatus:
    """The jobs of the sweep in a folder. UserError if there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not os.path.lexists(folder / SUMMARY):
            fix = "give the folder of a sweep; 'genbench show RUN' is for one run"
            raise UserError("status", "needs the folder of a sweep", str(folder), fix)
        self.jobs: dict[str, JobStatus] = {}  # by folder; jobs with the same settings share one
        self.read()

    def read(self) -> None:
        """Read what has changed. A search adds jobs as it goes on."""
        listed = jobs(self.folder / SUMMARY, {**JOB, "overrides": [str]})
        varied = differing([job["overrides"] for job in listed])
        for number, job in enumerate(listed, 1):
            if job["directory"] not in self.jobs:
                own = [w for w in job["overrides"] if w.lstrip("+~").partition("=")[0] in varied]
                label = plain(" ".join(own) or job["directory"])
                folder = self.folder / job["directory"]
                self.jobs[job["directory"]] = JobStatus(number, label, folder)
        for status in self.jobs.values():
            signals.check()
            status.read()
        self.counts = Counter(job.state for job in self.jobs.values())

    @property
    def is_at_work(self) -> bool:
        """Whether a job runs, a command runs the sweep, or jobs may be in a queue."""
        is_queued = self.counts["waiting"] and os.path.lexists(self.folder / ".submitit")
        return bool(self.counts["running"] or is_queued) or is_locked(self.folder)

    @property
    def left(self) -> float | None:
        """Seconds until all jobs are over, if as many run at once as now; None if not known."""
        running = [job for job in self.jobs.values() if job.state == "running"]
        known = [job.took for job in self.jobs.values() if job.state == "done" and job.took]
        known += [job.took + job.left for job in running if job.took and job.left is not None]
        if not (running and known):
            return None
        each = fmean(known)
        lefts = [
            max(0.0, each - (job.took or 0)) if job.left is None else job.left for job in running
        ]
        waiting = self.counts["waiting"] * each
        return max(*lefts, 0.0, (sum(lefts) + waiting) / len(running))

    def line(self) -> Text:
        """All jobs in a line."""
        parts = [f"{self.counts[state]} {state}" for state in ORDER if self.counts[state]]
        if self.left is not None:
            parts.append(f"about {duration(self.left)} left")
        return Text(f"{quoted(self.folder)}: {len(self.jobs)} jobs: {', '.join(parts)}")

    def table(self, most: int, width: int) -> Table:
        """A row for each job, at most so many: those that run first."""
        table = Table(
            Column("job", justify="right"),
            Column("state"),
            Column("settings", overflow="ellipsis", no_wrap=True, max_width=width // 3),
            Column("epoch", justify="right"),
            Column("left", justify="right"),
            Column("", overflow="ellipsis", no_wrap=True),
            box=None,
            pad_edge=False,
        )
        ordered = sorted(self.jobs.values(), key=lambda job: (_rank(job.state), job.number))
        for job in ordered[:most]:
            epochs = f"/{job.epochs}" if job.epochs else ""
            state = Text(job.state, COLORS.get(job.state, ""))
            left = duration(job.left) if job.left is not None and job.state == "running" else ""
            epoch = f"{job.epoch}{epochs}" if job.state == "running" and job.epoch else ""
            cells = [Text(job.label), Text(epoch), Text(left), Text(plain(job.text))]
            table.add_row(str(job.number), state, *cells)
        if len(ordered) > most:
            table.add_row("", "", f"and {len(ordered) - most} more")
        return table


def _rank(state: str) -> int:
    return ORDER.index(state) if state in ORDER else len(ORDER)


def _written(path: Path) -> float:
    """When a file was written, in seconds; now if it is not there."""
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return time.time()


def show_status(folder: Path, console: Console | None = None) -> None:
    """Print how the jobs of a sweep go on: on a terminal live until all is over, elsewhere once."""
    console = console or PipeSafeConsole(highlight=False, soft_wrap=True)
    status = SweepStatus(folder)
    if not console.is_terminal:
        console.print(status.line())
        console.print(status.table(len(status.jobs), console.width))
        return
    with Live(console=console, refresh_per_second=4) as live:
        while True:
            most = max(3, console.height - 5)
            live.update(Group(status.line(), status.table(most, console.width)), refresh=True)
            if not status.is_at_work:
                return
            ends = time.monotonic() + LOOK_EVERY
            while time.monotonic() < ends:
                signals.check()
                time.sleep(0.1)
            status.read()

"""One job of a sweep: the task that Hydra calls in this process or in a worker of a launcher."""

import math
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hydra.core.hydra_config import HydraConfig

from genbench.runs.directory import Record
from genbench.runs.progress import Display
from genbench.runs.summary import brief_run
from genbench.sweeps.display import ForwardingDisplay, JobDisplay, JobTable, TabledJobDisplay
from genbench.sweeps.launch import attempt, composed_registry, execute, plain_config
from genbench.utils import signals
from genbench.utils.errors import UserError, report
from genbench.utils.files import read_json_or_empty
from genbench.utils.imports import importing
from genbench.utils.schema import METRICS


class Watcher(Protocol):
    """Called as a job in the process of the sweep starts and ends."""

    def started(self, index: int) -> Collection[str]:
        """A job begins; returns the reasons of failures that are printed already."""

    def ended(self, index: int, failure: UserError | None) -> None:
        """A job has ended, with this failure or none."""

    def killed(self, index: int, failure: UserError) -> None:
        """The process of a job was killed, and the job is given up with this failure."""


@dataclass(frozen=True)
class JobTask:
    """What Hydra calls for each job of a sweep. It is pickled for jobs in other processes.

    `words` are the overrides of the command, with their lists of values. `labels` and `numbers` are
    how each job is called on the screen, by its place among those that run. `device` is where to
    compute, if not where the settings say. `objective` names the number that a job returns.
    `threads` is how many a job uses; None is what its libraries choose. `devices` are the values of
    `device` of all jobs, where they are known. In a worker of our launcher, `send` sends what a job
    shows, and `is_shown` is whether the other process has live lines.
    """

    words: tuple[str, ...] = ()
    objective: str | None = None
    device: str | None = None
    labels: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    total: int = 0
    resume: str = ""
    process: int = 0
    watcher: Watcher | None = None
    threads: int | None = None
    devices: frozenset[str] = frozenset()
    send: Callable[[tuple[Any, ...]], None] | None = None
    is_shown: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """The task without its watcher, which stays in its process."""
        return {**self.__dict__, "watcher": None, "send": None}

    def __call__(self, cfg: Any) -> float:
        """Run what Hydra has composed in the folder that it chose; returns the objective.

        Nothing is raised but what stops all jobs: a launcher would leave out the jobs that come
        after. The objective of a job that failed is not a number.
        """
        info = HydraConfig.get()
        registry, folder = composed_registry(info), Path(info.runtime.output_dir)
        index = info.job.num

        def run(display: Display) -> None:
            execute(plain_config(cfg), folder, registry, self.resume, display, self.device)

        with signals.listening():
            watcher = self.watcher if os.getpid() == self.process else None
            display = self._display(index, " ".join(info.overrides.task), watcher is not None)
            if watcher is not None:
                display.known = watcher.started(index)
            failure = run_job(run, folder, display, self.threads)
            record = Record(folder, {})
            if failure and not ((folder / "status.json").exists() or record.foreign):
                record.write_status("failed", reason=str(failure))  # no run was there to record it
            if watcher is not None:
                watcher.ended(index, failure)
            return math.nan if failure else objective_of(folder, self.objective)

    def _display(self, index: int, label: str, is_alone: bool) -> JobDisplay:
        """The lines of a job. Jobs that run at the same time have no live line."""
        if self.send is not None:
            return ForwardingDisplay(self.send, self.is_shown)
        if not self.labels:
            return JobDisplay(label or "default settings", index + 1)
        width = max(map(len, self.labels))
        display = JobDisplay(self.labels[index], self.numbers[index], self.total, width)
        display.is_live = display.is_live and is_alone
        return display

    def tabled(self, table: JobTable, index: int, label: str) -> TabledJobDisplay:
        """The lines of a job that runs in a worker, in the table of all."""
        if not self.labels:
            return TabledJobDisplay(table, label or "default settings", index + 1)
        width = max(map(len, self.labels))
        return TabledJobDisplay(table, self.labels[index], self.numbers[index], self.total, width)


def run_job(
    run: Callable[[Display], Any], folder: Path, display: JobDisplay, threads: int | None = None
) -> UserError | None:
    """Let a job run in its folder and show on a line how it ended; returns what it failed with.

    It uses so many threads, or as many as its libraries choose.
    """
    display.begin()
    try:
        with signals.stopping(), importing():  # nothing is lost yet, and torch takes a second
            import genbench.experiment  # noqa: F401
            from genbench.evaluation.registry import headlines
            from genbench.sweeps.isolation import isolated
        with isolated(threads):
            failure = attempt(lambda: run(display))
    except BaseException:
        display.ended("interrupted")
        raise
    if failure is None:
        found = read_json_or_empty(folder / "metrics.json", METRICS)
        display.ended("done", brief_run(found, headlines()))
    else:
        display.ended("failed", failure=failure)
    return failure


def objective_of(folder: Path, name: str | None) -> float:
    """The number of a finished run by which a sweeper can choose the next jobs.

    By default the term that training lowers, on validation data or, where there are none, on
    training data. `name` is that of a measure of the report card, such as fid, or of a term of a
    part of the data, such as validation.nll. If the run has no such number, an error is printed
    and NaN is returned.
    """
    found = read_json_or_empty(folder / "metrics.json", METRICS)
    criterion = found.get("cost", {}).get("criterion")
    wanted = [name] if name else [f"{part}.{criterion}" for part in ("validation", "train")]
    numbers = {entry["name"]: entry["value"] for entry in found.get("card", [])}
    for part in ("train", "validation", "test", "cost", "time"):
        numbers |= {f"{part}.{key}": value for key, value in found.get(part, {}).items()}
    for choice in wanted:
        if isinstance(numbers.get(choice), (int, float)):
            return float(numbers[choice])
    if name:
        has = ", ".join(sorted(key for key, value in numbers.items() if isinstance(value, float)))
        report(UserError("optimize", "the run has no such number", name, f"choose from {has}"))
    return math.nan

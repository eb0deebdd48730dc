"""One job of a sweep: the task that Hydra calls in this process or in a worker of a launcher."""

import math
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hydra.core.hydra_config import HydraConfig

from genbench.config.registry import Registry
from genbench.runs.directory import Record
from genbench.runs.summary import brief_run
from genbench.sweeps.bundles import Likeness
from genbench.sweeps.display import ForwardingDisplay, JobDisplay, JobTable, TabledJobDisplay
from genbench.sweeps.goals import chosen_number, numbers_of
from genbench.sweeps.launch import composed_registry, execution, failure_of, plain_config
from genbench.sweeps.pruning import Pruning
from genbench.utils import signals
from genbench.utils.errors import Pruned, UserError, report
from genbench.utils.files import read_json_or_empty
from genbench.utils.imports import importing
from genbench.utils.schema import METRICS

if TYPE_CHECKING:  # it imports torch
    from genbench.training.calls import Calls


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
    `device` of all jobs, where they are known, and `likenesses` say of each job with which others
    it could be trained together. `folders` are those of the runs of all jobs, where they are known.
    `pruning` ends hopeless trials of a search. In a worker of our launcher, `send` sends the place
    of a job among those that run together and what it shows, and `is_shown` is whether the other
    process has live lines.
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
    likenesses: tuple[Likeness | None, ...] = ()
    pruning: Pruning | None = None
    folders: tuple[Path, ...] = ()
    send: Callable[..., None] | None = None
    is_shown: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """The task without its watcher, which stays in its process."""
        return {**self.__dict__, "watcher": None, "send": None}

    def __call__(self, cfg: Any) -> float:
        """Run what Hydra has composed in the folder that it chose; returns the objective."""
        (objective,) = self.run([self.place(cfg)])
        return objective

    def place(self, cfg: Any) -> "PlacedJob":
        """What Hydra has composed, and the folder that it chose."""
        info = HydraConfig.get()
        registry, folder = composed_registry(info), Path(info.runtime.output_dir)
        label = " ".join(info.overrides.task)
        return PlacedJob(cfg, folder, registry, info.job.num, label)

    def run(self, jobs: Sequence["PlacedJob"]) -> list[float]:
        """Run jobs, several of them together; returns the objective of each.

        Nothing is raised but what stops all jobs: a launcher would leave out the jobs that come
        after. The objective of a job that failed is not a number.
        """
        with signals.listening():
            displays = [self._begun(job, place) for place, job in enumerate(jobs)]
            try:
                with signals.stopping(), importing():  # nothing is lost yet; torch takes a second
                    import genbench.experiment  # noqa: F401
                    from genbench.data.loading import LoadedOnce
                    from genbench.sweeps.isolation import isolated
                    from genbench.training.calls import alone
                    from genbench.training.together import together
            except BaseException:
                for display in displays:
                    display.ended("interrupted")
                raise
            with isolated(self.threads):
                load = LoadedOnce()
                works = [self._work(*one, load) for one in zip(jobs, displays, strict=True)]
                if len(works) == 1:
                    return [alone(works[0])]
                members = together(works)
            for display in displays[len(members) :]:  # which a request to stop came before
                display.ended("interrupted")
        for member in members:
            if member.error is not None:
                raise member.error
        return [member.result for member in members if member.result is not None]

    def _begun(self, job: "PlacedJob", place: int) -> JobDisplay:
        """Show and note that a job begins, the one at this place among those that run together."""
        watcher = self._watcher_here()
        display = self._display(job, place, watcher is not None)
        if watcher is not None:
            display.known = watcher.started(job.index)
        display.begin()
        return display

    def _watcher_here(self) -> Watcher | None:
        """The watcher, if this is its process."""
        return self.watcher if os.getpid() == self.process else None

    def _work(self, job: "PlacedJob", display: JobDisplay, load: Any) -> "Calls[float]":
        """A job that has begun; ends with its objective, when its end is shown and noted."""
        from genbench.evaluation.registry import headlines

        watcher, failure, pruned = self._watcher_here(), None, ""
        try:
            config = plain_config(job.config)
            options = {"display": display, "device": self.device, "load": load}
            if self.pruning is not None:
                options["prune"] = self.pruning.of_job(job.index)
            yield from execution(config, job.folder, job.registry, self.resume, **options)
        except Pruned as end:
            pruned = str(end)
        except BaseException as error:
            if signals.is_request_to_stop(error):
                display.ended("interrupted")
                raise
            failure = failure_of(error)
        if pruned:
            display.ended("pruned", [pruned])
        elif failure is None:
            found = read_json_or_empty(job.folder / "metrics.json", METRICS)
            display.ended("done", brief_run(found, headlines()))
        else:
            display.ended("failed", failure=failure)
        record = Record(job.folder, {})
        if failure and not ((job.folder / "status.json").exists() or record.foreign):
            record.write_status("failed", reason=str(failure))  # no run was there to record it
        if watcher is not None:
            watcher.ended(job.index, failure)
        return math.nan if failure or pruned else objective_of(job.folder, self.objective)

    def _display(self, job: "PlacedJob", place: int, is_alone: bool) -> JobDisplay:
        """The lines of a job. Jobs that run at the same time have no live line."""
        if self.send is not None:
            return ForwardingDisplay(partial(self.send, place), self.is_shown)
        if not self.labels:
            return JobDisplay(job.label or "default settings", job.index + 1)
        width = max(map(len, self.labels))
        display = JobDisplay(self.labels[job.index], self.numbers[job.index], self.total, width)
        display.is_live = display.is_live and is_alone
        return display

    def tabled(self, table: JobTable, index: int, label: str) -> TabledJobDisplay:
        """The lines of a job that runs in a worker, in the table of all."""
        if not self.labels:
            return TabledJobDisplay(table, label or "default settings", index + 1)
        width = max(map(len, self.labels))
        return TabledJobDisplay(table, self.labels[index], self.numbers[index], self.total, width)


@dataclass(frozen=True)
class PlacedJob:
    """A config that Hydra has composed, the folder that it chose for it, and the number and
    overrides of the job.
    """

    config: Any
    folder: Path
    registry: Registry
    index: int
    label: str


def objective_of(folder: Path, name: str | None) -> float:
    """The number of a finished run by which a sweeper can choose the next jobs.

    By default the term that training lowers, on validation data or, where there are none, on
    training data. `name` is that of a measure of the report card, such as fid, or of a term of a
    part of the data, such as validation.nll. If the run has no such number, an error is printed
    and NaN is returned.
    """
    cost = read_json_or_empty(folder / "metrics.json", METRICS).get("cost", {})
    usual = [f"{part}.{cost.get('criterion')}" for part in ("validation", "train")]
    numbers = numbers_of(folder)
    for choice in [name] if name else usual:
        if choice in numbers:
            return numbers[choice]
    if name:
        try:
            return chosen_number(numbers, name)
        except UserError as error:
            report(error)
    return math.nan

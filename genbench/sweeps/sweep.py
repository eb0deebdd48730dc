"""The jobs of one command: their settings, folders, states and summary.

SWEEP/JOB/                  the run directory of each job, named by its model, dataset and
                            chosen values
SWEEP/sweep_summary.json    the command, the launcher, and for each job its overrides, state,
                            reason, directory and the command that runs it alone
"""

import json
import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from genbench.config.compose import resolved
from genbench.config.overrides import absolute, hydra_value, is_hydras
from genbench.config.registry import Registry
from genbench.config.resolvers import marked, run_name
from genbench.config.saved import given_overrides, recorded
from genbench.runs.directory import ENDED, Record, digests
from genbench.runs.sweep_summary import SUMMARY, differing, recorded_launcher, write_summary
from genbench.sweeps.launch import resume_command
from genbench.utils import signals
from genbench.utils.console import echo
from genbench.utils.errors import UserError, report
from genbench.utils.files import CannotWrite, kind, sweep_temporaries
from genbench.utils.lock import Lock
from genbench.utils.text import counted, quoted

LONG_SAVE = 0.05  # seconds to write a summary, from which on it is not written at each new state
ABOVE = re.compile(r"(?<==)/.*/(?=[^/])")  # of a setting that is a path, all but its last part


@dataclass
class Job:
    """The settings of a job, where it runs, and its state.

    `first` is an earlier job with the same settings.
    """

    overrides: list[str]
    config: dict
    folder: Path
    state: str = "pending"
    reason: str = ""
    first: "Job | None" = None

    @property
    def name(self) -> str:
        """Its overrides, in a line."""
        return " ".join(self.overrides) or "default settings"

    @property
    def settings(self) -> str:
        """Its resolved settings as a text. Jobs with the same text are the same job."""
        return _text(self.config)


class Sweep:
    """The jobs of one command in one folder."""

    def __init__(
        self,
        words: list[str],
        jobs: list[list[str]],
        folder: Path,
        registry: Registry,
        name: Callable[..., str] | None = None,
    ) -> None:
        """`name` returns the name of a job's folder, given its model and overrides. By default it
        has the overrides in which jobs differ. UserError for a job whose settings are refused.
        """
        name = name or partial(run_name, named=differing([_own(job) for job in jobs]))
        self.folder, self.registry, self.resume = folder, registry, resume_command(folder, registry)
        self.device: str | None = None  # where to compute, if not where the jobs say
        self.jobs = []
        for overrides in (_own(job) for job in jobs):
            signals.check()
            config = resolved(overrides, registry)
            place = folder / name(config["model"]["name"], overrides)
            self.jobs.append(Job(absolute(overrides, [config], registry), config, place))
        self.words = absolute(_own(words), [job.config for job in self.jobs], registry)
        self.next_note = 0.0  # when a new state is written again: of many jobs, not every one is
        self.goes_on = False  # whether jobs may be queued or running that the command left behind
        self.done_before = 0  # jobs that an earlier command has done
        self.launcher = recorded_launcher(folder)  # of the earlier command, until another starts
        self.search: dict = {}  # the options of a search

    def find_folders(self) -> None:
        """Find the folder that has a job's settings already, or choose a new one, for every
        job, and see which jobs are done.
        """
        held = {}
        for folder, config in runs(self.folder, self.registry):
            if _text(config) not in held or Record(folder, config).done:
                held[_text(config)] = folder
        first: dict[str, Job] = {}
        taken: set[Path] = set()
        for job in self.jobs:
            duplicate = first.setdefault(job.settings, job)
            if duplicate is not job:
                job.first, job.folder = duplicate, duplicate.folder
                continue
            if job.settings in held:
                job.folder = held[job.settings]
            else:
                name, tries = job.folder.name, 0
                while job.folder in taken or _is_anothers(job.folder, job.config):
                    mark = job.settings + f" {tries}" * bool(tries)
                    job.folder = self.folder / marked(name, mark)
                    tries += 1
            taken.add(job.folder)
            job.state = "done" if Record(job.folder, job.config).done else "pending"
        self._mark_duplicates()
        self.done_before = sum(job.state == "done" for job in self.jobs)

    def unfinished(self) -> list[Job]:
        """The jobs that are not done, each once."""
        return [job for job in self.jobs if job.state not in ENDED and job.first is None]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder. UserError if another process holds it, or if it cannot be written."""
        lock = Lock(self.folder, "hydra.sweep.dir")
        lock.acquire()
        try:
            lock.write_owner()
            sweep_temporaries(self.folder)
            yield
        finally:
            lock.release()

    def announce(self) -> None:
        """Print how many jobs there are, and how many are done already."""
        place = f"{counted(len(self.jobs), 'job')} in {quoted(self.folder)}"
        echo(f"{place}; stop with Ctrl-C, go on with: {self.resume}")
        if self.done_before:
            echo(f"{self.done_before} done already")
        for i, job in enumerate(self.jobs, 1):
            if job.first is not None:
                echo(f"job {i} has {job.reason} and runs once with it")

    def startable(self) -> list[Job]:
        """The unfinished jobs that can start. A job fails if its folder's path is not a folder."""
        jobs = self.unfinished()
        for job in jobs:
            if os.path.lexists(job.folder) and not job.folder.is_dir():
                what = f"is {kind(job.folder) or 'a file'} where a folder should be"
                fix = "move it away, then repeat the command"
                error = UserError(str(job.folder), what, fix=fix)
                report(error)
                self.note(job, "failed", str(error))
        return [job for job in jobs if job.state != "failed"]

    def labels(self) -> list[str]:
        """For each job the overrides that not all jobs have, in a line, with the
        last part of a path where that suffices.
        """
        overrides = [job.overrides for job in self.jobs]
        common = set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
        own = [[word for word in words if word not in common] for words in overrides]
        short = [[ABOVE.sub("", word) for word in words] for words in own]
        shown = short if len(set(map(tuple, short))) == len(set(map(tuple, own))) else own
        return [" ".join(words) or job.name for words, job in zip(shown, self.jobs, strict=True)]

    def gather(self) -> None:
        """Read the states of jobs that ran in other processes from their folders."""
        if not self.jobs:
            self.jobs = [
                Job(given_overrides(config, self.registry), config, folder)
                for folder, config in runs(self.folder, self.registry)
            ]
        for job in self.jobs:
            if job.first is not None or job.state in (*ENDED, "failed"):
                continue
            record = Record(job.folder, job.config)
            status, was = record.status, job.state
            job.state, job.reason = record.state or "pending", status.get("reason", "")
            if status.get("config") not in (None, *digests(job.config)):
                job.state, job.reason = "failed", "its directory holds a run with other settings"
            elif job.state == "done" or (
                was == "running" and job.state in ("pending", "interrupted")
            ):
                job.state = "done" if record.done else "interrupted"
        self._mark_duplicates()

    @property
    def status(self) -> int:
        """The exit status."""
        fine = (*ENDED, "pending", "running", "interrupted") if self.goes_on else ENDED
        return int(any(job.state not in fine for job in self.jobs))

    def draw(self) -> None:
        """Draw the curves that the runs make, and report on all of them."""
        from genbench.report.command import write_report
        from genbench.report.sweep_curves import draw_curves

        draw_curves(self.folder, self.registry)
        failed = [job for job in self.jobs if job.state == "failed" and job.first is None]
        write_report(self.folder, self.registry, {job.folder: job.reason for job in failed})

    # --- the summary ------------------------------------------------------------------------------

    def note(self, job: Job, state: str, reason: str = "") -> None:
        """Record the new state of a job."""
        job.state, job.reason = state, reason
        self._mark_duplicates()
        if time.monotonic() >= self.next_note:
            began = time.monotonic()
            self.save()
            took = time.monotonic() - began
            self.next_note = began + (20 * took if took > LONG_SAVE else 0.0)

    def _mark_duplicates(self) -> None:
        for job in self.jobs:
            if job.first is not None:
                job.state, job.reason = (
                    job.first.state,
                    f"the same settings as job {self.jobs.index(job.first) + 1}",
                )

    def save(self, is_needed: bool = True) -> None:
        """Write the summary if it has changed. The sweep goes on if that fails, and says so if the
        summary is needed.
        """
        jobs = [self._row(job) for job in self.jobs]
        try:
            write_summary(self.folder, self.words, self.launcher, jobs, self.search)
        except CannotWrite as error:  # the runs themselves are on record
            if is_needed:
                report(error)

    def _row(self, job: Job) -> dict:
        alone = [
            "genbench",
            *self.registry.own_words(str),
            *job.overrides,
            f"hydra.run.dir={hydra_value(str(job.folder))}",
        ]
        row = {
            "overrides": job.overrides,
            "state": job.state,
            "reason": job.reason,
            "directory": job.folder.name,
        }
        return row | {"command": shlex.join(alone)}

    def show_state(self) -> None:
        """Print how many jobs are done, and the path of the summary."""
        reasons = Counter(
            job.reason for job in self.jobs if job.state == "failed" and job.first is None
        )
        for reason, failed in reasons.items():
            if failed > 1:
                echo(f"{failed} jobs failed: {reason}")
        states = Counter(job.state for job in self.jobs)
        pruned = f", {states['pruned']} pruned" if states["pruned"] else ""
        already = f" ({self.done_before} already)" if self.done_before else ""
        jobs = counted(len(self.jobs), "job")
        echo(f"{states['done']} of {jobs} done{already}{pruned}: {quoted(self.folder / SUMMARY)}")


def runs(folder: Path, registry: Registry) -> Iterator[tuple[Path, dict]]:
    """The run directories in a folder with their checked settings; damaged runs and those of other
    versions are left out.
    """
    for file in sorted(folder.glob("*/config.yaml")):
        if file.parent.is_symlink():  # it leads out of the sweep
            continue
        try:
            yield file.parent, recorded(file.parent, registry)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue


def _is_anothers(folder: Path, config: dict) -> bool:
    """Whether a folder holds a run with other settings."""
    record = Record(folder, config)
    return (
        folder.is_symlink()
        or bool(record.settings() or record.foreign)
        or record.status.get("config") not in (None, *digests(config))
    )


def _own(overrides: list[str]) -> list[str]:
    return [o for o in overrides if not is_hydras(o)]


def _text(config: dict) -> str:
    return json.dumps(config, sort_keys=True)

"""Many runs from one command: which there are and where, one after another, and a summary from which it can go on.

SWEEP/JOB/                  the run directory of each job, named by its model, dataset and chosen values
SWEEP/sweep_summary.json    the command, and for each job its overrides, state, reason, directory and the command for it alone
"""

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from genbench.config.compose import hydra_settings, resolved, sweep_folder
from genbench.config.overrides import absolute, check_hydras_words, is_hydras, typed
from genbench.config.registry import GROUPS, Registry
from genbench.config.request import check_request
from genbench.config.resolvers import marked, run_name, unique_name
from genbench.config.saved import recorded
from genbench.config.settings import flatten, written
from genbench.config.validation import known_settings
from genbench.runs.directory import SUMMARY, Record, differing, digest
from genbench.runs.lock import Lock
from genbench.runs.progress import JobDisplay
from genbench.sweeps.launch import execute, own_configs, resume_command, run_all, run_job
from genbench.utils import signals
from genbench.utils.console import echo
from genbench.utils.errors import UserError, report
from genbench.utils.files import (
    CannotWrite,
    read_json_or_empty,
    require_regular,
    sweep_temporaries,
    write_json,
)
from genbench.utils.text import counted, quoted


@dataclass
class Job:
    """What was asked for, where it runs, and what has become of it; `first` is an earlier job with the same settings."""

    overrides: list[str]
    config: dict
    folder: Path
    state: str = "pending"
    reason: str = ""
    first: "Job | None" = None

    @property
    def name(self) -> str:
        """What was asked for, in a line."""
        return " ".join(self.overrides) or "default settings"

    @property
    def settings(self) -> str:
        """Its resolved settings as a text, which tells jobs apart."""
        return _text(self.config)


def sweep_command(words: list[str], registry: Registry, commands: Iterable[str]) -> int:
    """Run the jobs that these overrides list values for; returns the exit status."""
    check_hydras_words(words)
    other = any(word.startswith("hydra/sweeper=") for word in words)
    jobs = [] if other else check_request(words, registry, commands, is_sweep=True)
    folder = sweep_folder(jobs[0] if jobs else words, registry)
    if all(word.startswith("hydra.sweep.dir=") for word in words if is_hydras(word)):
        return run_sweep(words, jobs, folder, registry)
    choices = {tuple(word for word in job if word.partition("=")[0] in GROUPS) for job in jobs}
    for choice in choices if len(registry.folders) > 1 else ():
        hydra_settings([*choice], registry, is_sweep=False)
    argv = [*words, f"hydra.sweep.dir={typed(str(folder))}"]  # the same, now that it is known
    return run_elsewhere(lambda: run_all(argv, registry), words, jobs, folder, registry)


def run_sweep(
    words: list[str],
    jobs: list[list[str]],
    folder: Path,
    registry: Registry,
    device: str | None = None,
) -> int:
    """Run those jobs that are not done, one after another in this process; returns the exit status.

    `words` are the overrides of the command, `jobs` those of each of its jobs. `device` is where to compute, if not
    where they say.
    """
    sweep = Sweep(words, jobs, folder, registry)
    sweep.device = device
    sweep.place()
    if not sweep.left():  # nothing is touched, not even the lock
        sweep.save()
        sweep.tell()
        return 0
    with sweep.held():
        sweep.place()  # anew: until now, another process may have been at work here
        sweep.run()
        sweep.draw()
    return sweep.status


def run_elsewhere(
    launch: Callable[[], None],
    words: list[str],
    jobs: list[list[str]],
    folder: Path,
    registry: Registry,
) -> int:
    """Let another launcher or sweeper run the jobs, and gather from their folders how they ended; returns the exit status.

    A sweeper that chooses its jobs as it goes gives none beforehand.
    """
    sweep = Sweep(words, jobs, folder, registry, unique_name)
    require_regular(folder, "hydra.sweep.dir")
    with sweep.held():
        sweep.save()
        try:
            launch()
        finally:
            sweep.gather()
            sweep.save()
            sweep.tell()
        sweep.draw()
    return sweep.status


def resume_sweep(folder: Path, registry: Registry, device: str | None = None) -> int:
    """Repeat the command that a sweep's folder holds. As that may be somebody else's, it names settings and no code."""
    fix = f"repeat the sweep's own command with hydra.sweep.dir={folder}"
    words = read_json_or_empty(folder / SUMMARY, {"command": [str]}).get("command")
    if words is None:
        raise UserError(str(folder / SUMMARY), "is damaged", fix=fix)
    for word in words:
        if (
            is_hydras(word)
            or not re.match(r"(\+\+)?[\w.]+=", word)
            or re.search(r"\$\{.*:", word, re.DOTALL)
        ):
            raise UserError(str(folder / SUMMARY), "holds more than plain settings", word, fix)
    jobs = check_request(words, registry, is_sweep=True)
    return run_sweep(words, jobs, folder.absolute(), registry, device)


class Sweep:
    """The jobs of one command in one folder."""

    def __init__(
        self,
        words: list[str],
        jobs: list[list[str]],
        folder: Path,
        registry: Registry,
        name: Callable[..., str] | None = None,
    ):
        """`name` makes a folder name of a model and overrides; by default one that tells the jobs apart if that can be
        short. UserError for a job whose settings are refused."""
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
        self.before = 0  # how many jobs were done already

    def place(self) -> None:
        """Find each job's folder: the one that holds its settings already, or a new one; and see whether it is done."""
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
        self._tell_twins()
        self.before = sum(job.state == "done" for job in self.jobs)

    def left(self) -> list[Job]:
        """The jobs that are there to run."""
        return [job for job in self.jobs if job.state != "done" and job.first is None]

    @contextmanager
    def held(self) -> Iterator[None]:
        """The folder is this process's. UserError if it is another's, or cannot be written."""
        lock = Lock(self.folder, "hydra.sweep.dir")
        lock.take()
        try:
            lock.sign()
            sweep_temporaries(self.folder)
            yield
        finally:
            lock.release()

    def run(self) -> None:
        """Run what is left, whatever becomes of each. Being asked to stop is recorded, and goes on up."""
        labels = self.labels()
        width = max(map(len, labels))
        echo(
            f"{counted(len(self.jobs), 'job')} in {quoted(self.folder)}; stop with Ctrl-C, go on with: {self.resume}"
        )
        if self.before:
            echo(f"{self.before} done already")
        for job in self.jobs:
            if job.first is not None:
                echo(f"job {self.jobs.index(job) + 1} has {job.reason} and runs once with it")
        self.save()
        try:
            for job in self.left():
                signals.check()
                at = self.jobs.index(job)
                display = JobDisplay(labels[at], at + 1, len(self.jobs), width)
                self.note(job, "running")
                known = {job.reason for job in self.jobs if job.state == "failed"}
                failure = run_job(partial(self._execute, job), job.folder, display, known)
                self.note(job, "failed" if failure else "done", str(failure or ""))
        except BaseException:
            for job in self.jobs:
                if job.state == "running":
                    self.note(job, "interrupted")
            self.tell()
            echo(f"interrupted; go on with: {self.resume}")
            raise
        self.tell()

    def _execute(self, job: Job, display: JobDisplay) -> None:
        execute(job.config, job.folder, self.registry, self.resume, display, self.device)

    def labels(self) -> list[str]:
        """What tells each job from the others, in a line: the overrides that not all of them have."""
        common = (
            set.intersection(*(set(job.overrides) for job in self.jobs))
            if len(self.jobs) > 1
            else set()
        )
        return [
            " ".join(o for o in job.overrides if o not in common) or job.name for job in self.jobs
        ]

    def gather(self) -> None:
        """See from the jobs' folders how they ended."""
        if not self.jobs:
            self.jobs = [
                Job(_given(config, self.registry), config, folder)
                for folder, config in runs(self.folder, self.registry)
            ]
        for job in self.jobs:
            record = Record(job.folder, job.config)
            status = record.status
            job.state, job.reason = status.get("state", "pending"), status.get("reason", "")
            if status.get("config") not in (None, digest(job.config)):
                job.state, job.reason = "failed", "its directory holds a run with other settings"
            elif job.state == "running" or (job.state == "done" and not record.done):
                job.state = "interrupted"

    @property
    def status(self) -> int:
        """The exit status."""
        return int(any(job.state != "done" for job in self.jobs))

    def draw(self) -> None:
        """Draw the curves that the runs make, and report on all of them."""
        from genbench.report.command import write_report
        from genbench.report.sweep_curves import draw_curves

        draw_curves(self.folder, self.registry)
        write_report(self.folder, self.registry)

    # --- what is told -----------------------------------------------------------------------------------------

    def note(self, job: Job, state: str, reason: str = "") -> None:
        """Record what has become of a job."""
        job.state, job.reason = state, reason
        self._tell_twins()
        self.save()

    def _tell_twins(self) -> None:
        for job in self.jobs:
            if job.first is not None:
                job.state, job.reason = (
                    job.first.state,
                    f"the same settings as job {self.jobs.index(job.first) + 1}",
                )

    def save(self) -> None:
        """Write the summary if it says something new. A sweep goes on without."""
        file, summary = (
            self.folder / SUMMARY,
            {"command": self.words, "jobs": [self._row(job) for job in self.jobs]},
        )
        if read_json_or_empty(file) != summary:
            try:
                write_json(file, summary)
            except CannotWrite as error:  # the runs themselves are on record
                report(error)

    def _row(self, job: Job) -> dict:
        alone = [
            "genbench",
            *own_configs(self.registry),
            *job.overrides,
            f"hydra.run.dir={typed(str(job.folder))}",
        ]
        told = {
            "overrides": job.overrides,
            "state": job.state,
            "reason": job.reason,
            "directory": job.folder.name,
        }
        return told | {"command": shlex.join(alone)}

    def tell(self) -> None:
        """How many jobs are done, and where one reads more."""
        reasons = Counter(
            job.reason for job in self.jobs if job.state == "failed" and job.first is None
        )
        for reason, failed in reasons.items():
            if failed > 1:
                echo(f"{failed} jobs failed: {reason}")
        done = sum(job.state == "done" for job in self.jobs)
        already = f" ({self.before} already)" * bool(self.before)
        echo(
            f"{done} of {counted(len(self.jobs), 'job')} done{already}: {quoted(self.folder / SUMMARY)}"
        )


def runs(folder: Path, registry: Registry) -> Iterator[tuple[Path, dict]]:
    """The run directories in a folder with their checked settings, but for those that are damaged or of another version."""
    for file in sorted(folder.glob("*/config.yaml")):
        if file.parent.is_symlink():  # it leads out of the sweep
            continue
        try:
            yield file.parent, recorded(file.parent, registry)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue


def _is_anothers(folder: Path, config: dict) -> bool:
    """Whether a folder that is not known to hold a run with these settings holds one with others."""
    record = Record(folder, config)
    return (
        folder.is_symlink()
        or bool(record.settings() or record.foreign)
        or record.status.get("config", digest(config)) != digest(config)
    )


def _own(overrides: list[str]) -> list[str]:
    return [o for o in overrides if not is_hydras(o)]


def _text(config: dict) -> str:
    return json.dumps(config, sort_keys=True)


def _given(config: dict, registry: Registry) -> list[str]:
    """Overrides that lead to these settings."""
    model, dataset, values = config["model"]["name"], config["dataset"]["name"], flatten(config)
    known = known_settings(registry, model, dataset, values)
    own = [
        f"{name}={written(values[name])}" for name in known if values[name] != known[name].default
    ]
    return [f"model={model}", f"dataset={dataset}", *own]

"""Runs a search, as `hydra/sweeper=optuna`: its study chooses settings, and a launcher runs them.

SWEEP/NUMBER_JOB/           the run directory of each trial
SWEEP/study.journal         the study, as Optuna keeps it
SWEEP/search.json           the trials in plain form, for the report
SWEEP/sweep_summary.json    as of any sweep
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write

from genbench.config.compose import plain_values, require_no_hydra_files, resolved
from genbench.config.overrides import absolute
from genbench.config.resolvers import run_name
from genbench.report.own_files import require_own_pages
from genbench.runs.directory import Record
from genbench.runs.sweep_summary import require_no_run
from genbench.settings.setting import written
from genbench.settings.sweep import SEARCH_OPTIONS
from genbench.sweeps.engine import launch_jobs
from genbench.sweeps.goals import Goal, search_goals
from genbench.sweeps.job import JobTask
from genbench.sweeps.launch import composed_registry
from genbench.sweeps.launcher import core_count, gpu_count
from genbench.sweeps.launchers import checked_launcher, require_library, waits
from genbench.sweeps.pruning import Pruning, pruner_of
from genbench.sweeps.search_file import write_search
from genbench.sweeps.search_space import Space, TrialValue, search_space
from genbench.sweeps.study import JOURNAL, Study, Trial, require_optuna
from genbench.sweeps.sweep import Job, Sweep
from genbench.utils import signals
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.files import require_regular
from genbench.utils.text import counted, quoted

FIRST_FAILURES = 3  # trials that may fail from the first on, until the search gives up
AT_ONCE = 8  # trials chosen at a time where it is not known how many run at once
DIGITS = 4  # of a number in the name of a folder


def run_search(
    arguments: Sequence[str],
    task: Any,
    hydra_context: HydraContext,
    config: DictConfig,
) -> Sweep:
    """Run the missing trials of a search with Hydra's launcher; `config.hydra.sweeper` has its
    options. UserError, before any trial, for what cannot run.
    """
    require_optuna()
    registry = composed_registry(config.hydra)
    require_no_hydra_files(config.hydra, registry)
    launcher = checked_launcher(config)
    require_library(str(launcher["name"]))
    if not waits(config):
        what, fix = "must be true in a search, which learns from its runs", "leave it out"
        raise UserError("wait", what, "false", fix)
    words = [*task.words] if isinstance(task, JobTask) else [*arguments]
    task = task if isinstance(task, JobTask) else JobTask(tuple(words))
    given = plain_values(config.hydra.sweeper)
    options = {
        name: one.check(given.get(name, one.default), {}) for name, one in SEARCH_OPTIONS.items()
    }
    space = search_space(words, registry)
    goals = search_goals(options, space, registry)
    pruner = pruner_of(options, goals)
    folder = Path(os.path.abspath(str(config.hydra.sweep.dir)))
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = str(folder)  # the same for every trial, whatever the clock says
    require_no_run(folder)
    require_own_pages(folder, "hydra.sweep.dir")
    require_regular(folder, "hydra.sweep.dir")
    sweep = Sweep(words, [], folder, registry)
    first = resolved(space.overrides(space.corners()[0]), registry)
    sweep.words = absolute(words, [first], registry)
    space = search_space(sweep.words, registry)  # which names the same data from any folder
    sweep.launcher, sweep.search = launcher, options
    with sweep.locked():
        study = Study(folder, space, goals, options["search"])
        at_once = trials_at_once(options["trials_at_once"], launcher, config, task.device)
        pruning = Pruning(folder / JOURNAL, goals[0], pruner) if pruner != "none" else None
        task = replace(task, pruning=pruning)
        search = Search(study, sweep, space, goals, at_once)
        search.run(options["trials"], task, hydra_context, config)
        sweep.draw()
    return sweep


def trials_at_once(
    asked: Any, launcher: Mapping[str, Any], config: DictConfig, device: str | None
) -> int:
    """How many trials are chosen at a time: as many as the launcher runs at once."""
    if isinstance(asked, int):
        return asked
    name, jobs = launcher["name"], launcher.get("jobs")
    if name == "basic":
        return 1
    if isinstance(jobs, int):
        return jobs
    if jobs is None or name == "submitit_slurm":
        return AT_ONCE
    gpus = gpu_count({device or str(config.device)})
    return gpus or max(1, core_count() // int(launcher["threads"]))


class Search:
    """The trials of a study and the jobs that run them, in the same order."""

    def __init__(
        self, study: Study, sweep: Sweep, space: Space, goals: Sequence[Goal], at_once: int
    ) -> None:
        self.study, self.sweep, self.space, self.goals = study, sweep, space, goals
        self.at_once = at_once
        self.trials: list[Trial] = []
        self.by_settings: dict[str, Job] = {}

    def run(
        self, total: int, task: JobTask, hydra_context: HydraContext, config: DictConfig
    ) -> None:
        """Run trials until there are so many in all, first those that were not finished."""
        self.study.repeat_failed()
        for trial in self.study.trials():
            self._add(trial)
        self.sweep.done_before = sum(trial.state != "running" for trial in self.trials)
        self._announce(total)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task, config=config
        )
        with getattr(launcher, "keeping_workers", nullcontext)():
            while batch := self._next_batch(total):
                signals.check()
                jobs = self._startable(batch)
                shown = self._shown(task, batch, jobs, total)
                launch_jobs(self.sweep, jobs, shown, hydra_context, config, launcher)
                for i in batch:
                    self._tell(i)
                self._write()
                self._require_hope()
        self._write(is_over=True)
        self.sweep.show_state()

    def _announce(self, total: int) -> None:
        sweep = self.sweep
        echo(
            f"a search of {counted(total, 'trial')} in {quoted(sweep.folder)}; "
            f"stop with Ctrl-C, go on with: {sweep.resume}"
        )
        if sweep.done_before:
            echo(f"{sweep.done_before} done already")
        sweep.save()

    def _next_batch(self, total: int) -> list[int]:
        """The places of the trials to run next: those not finished, and as many new ones."""
        batch = [i for i, trial in enumerate(self.trials) if trial.state == "running"]
        batch = batch[: self.at_once]
        while len(batch) < self.at_once and len(self.trials) < total:
            batch.append(len(self.trials))
            self._add(self.study.ask())
        return batch

    def _add(self, trial: Trial) -> None:
        """Add a trial with its job. It shares the run of an earlier one with the same settings."""
        registry = self.sweep.registry
        overrides = self.space.overrides(trial.settings)
        config = resolved(overrides, registry)
        short = self.space.overrides({name: _short(v) for name, v in trial.settings.items()})
        name = f"{trial.first + 1:03d}_{run_name(config['model']['name'], short)}"
        job = Job(absolute(overrides, [config], registry), config, self.sweep.folder / name)
        job.first = self.by_settings.setdefault(job.settings, job)
        if job.first is job:
            job.first = None
            job.state = "pending" if trial.state == "running" else trial.state
            job.reason = str(Record(job.folder, config).status.get("reason", ""))
        else:
            job.folder = job.first.folder
        self.trials.append(trial)
        self.sweep.jobs.append(job)

    def _startable(self, batch: Sequence[int]) -> list[Job]:
        """The jobs of these trials that have to run: others have ended, as their search was killed
        before it took note, or share the run of another trial.
        """
        for i in batch:
            job = self.sweep.jobs[i]
            record = Record(job.folder, job.config)
            is_pruned = record.known and record.state == "pruned"
            if job.first is None and (is_pruned or record.done):
                job.state, job.reason = record.state, str(record.status.get("reason", ""))
        jobs = {id(self.sweep.jobs[i].first or self.sweep.jobs[i]) for i in batch}
        startable = self.sweep.startable()
        return [job for job in startable if id(job) in jobs and job.state == "pending"]

    def _shown(
        self, task: JobTask, batch: Sequence[int], jobs: Sequence[Job], total: int
    ) -> JobTask:
        """The task with how the trials of these jobs are called, and their numbers in the study."""
        places = {id(self.sweep.jobs[i]): i for i in batch}
        chosen = [self.trials[places[id(job)]] for job in jobs]
        labels = [_label(trial) for trial in chosen]
        pruning = task.pruning and replace(task.pruning, trials=tuple(one.number for one in chosen))
        return replace(
            task,
            labels=tuple(labels),
            numbers=tuple(trial.first + 1 for trial in chosen),
            total=total,
            pruning=pruning,
        )

    def _tell(self, i: int) -> None:
        """Tell the study how a trial has ended."""
        trial, job = self.trials[i], self.sweep.jobs[i]
        run = job.first or job
        values: list[float] = []
        state, reason = run.state if run.state in ("done", "pruned") else "failed", run.reason
        try:
            if state == "done":
                values = [goal.of_run(run.folder) for goal in self.goals]
        except UserError as error:  # such as a measure that this run could not be given
            state, reason = "failed", str(error)
        self.trials[i] = self.study.tell(trial.number, state, values)
        self.sweep.note(job, run.state, reason)

    def _write(self, is_over: bool = False) -> None:
        self.sweep.save()
        write_search(self.sweep, self.study, self.goals, self.trials, is_over)

    def _require_hope(self) -> None:
        """UserError if no trial was any good since the first, as others would not be either."""
        states = {trial.state for trial in self.trials}
        if states == {"failed"} and len(self.trials) >= FIRST_FAILURES:
            what = f"all of the first {len(self.trials)} trials failed: {self.sweep.jobs[0].reason}"
            fix = f"remove the cause, then go on with: {self.sweep.resume}"
            raise UserError("hydra/sweeper=optuna", what, fix=fix, code=1)


def _label(trial: Trial) -> str:
    """What a trial is called on the screen."""
    return " ".join(f"{name}={_short(value)}" for name, value in trial.settings.items())


def _short(value: TrialValue) -> str:
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else written(value)

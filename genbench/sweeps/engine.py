"""Runs the jobs of a sweep with any launcher, and records how they ended."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write

from genbench.config.choice_files import GROUPS
from genbench.config.compose import hydra_settings, require_no_hydra_files
from genbench.config.overrides import hydra_value
from genbench.config.request import check_request
from genbench.report.own_files import require_own_pages
from genbench.runs.directory import Record
from genbench.runs.sweep_summary import is_collected, require_no_run
from genbench.sweeps.bundles import likeness
from genbench.sweeps.job import JobTask
from genbench.sweeps.launch import composed_registry, watch_command
from genbench.sweeps.launchers import (
    WITHOUT_FILES,
    checked_launcher,
    launcher_failure,
    require_library,
    waits,
)
from genbench.sweeps.search_words import OURS
from genbench.sweeps.sweep import Job, Sweep
from genbench.utils import signals
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.files import require_regular


def run_sweep(
    params: Sequence[str],
    arguments: Sequence[str],
    task: Any,
    hydra_context: HydraContext,
    config: DictConfig,
) -> Sweep:
    """Run the unfinished jobs of a sweep with Hydra's launcher, as our sweeper does.

    `params` are settings of `hydra.sweeper.params`, which those of the command line override.
    """
    registry = composed_registry(config.hydra)
    require_no_hydra_files(config.hydra, registry)
    launcher = checked_launcher(config)
    given = task.words if isinstance(task, JobTask) else arguments
    by_name = {word.partition("=")[0].lstrip("+~"): word for word in [*params, *given]}
    words = [*by_name.values()]
    task = task if isinstance(task, JobTask) else JobTask(tuple(words))
    jobs = check_request(words, registry, is_sweep=True)
    if len(registry.folders) > 1:
        for choice in {tuple(w for w in job if w.partition("=")[0] in GROUPS) for job in jobs}:
            hydra_settings([*choice], registry, is_sweep=False)
    folder = Path(os.path.abspath(str(config.hydra.sweep.dir)))
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = str(folder)  # the same for every job, whatever the clock says
    sweep = Sweep(words, jobs, folder, registry)
    sweep.find_folders()
    if not sweep.unfinished() and is_collected(folder):  # nothing is touched, not even the lock
        sweep.save(is_needed=False)  # the folder may be read-only
        sweep.show_state()
        return sweep
    require_library(str(launcher["name"]))
    require_no_run(folder)
    require_own_pages(folder, "hydra.sweep.dir")  # rather than after all jobs
    sweep.launcher = launcher
    if launcher["name"] not in WITHOUT_FILES:
        require_regular(folder, "hydra.sweep.dir")
    with sweep.locked():
        sweep.find_folders()  # again: before the lock, another process may have worked here
        if sweep.unfinished():
            _launch(sweep, task, hydra_context, config)
        else:  # an earlier command did not wait for the last jobs
            sweep.save()
            sweep.show_state()
        if not sweep.goes_on:
            sweep.draw()
    return sweep


def _launch(sweep: Sweep, task: JobTask, hydra_context: HydraContext, config: DictConfig) -> None:
    """Hand the unfinished jobs to the launcher."""
    sweep.announce()
    jobs = sweep.startable()
    sweep.save()
    labels = dict(zip(map(id, sweep.jobs), sweep.labels(), strict=True))
    task = replace(
        task,
        labels=tuple(labels[id(job)] for job in jobs),
        numbers=tuple(sweep.jobs.index(job) + 1 for job in jobs),
        total=len(sweep.jobs),
    )
    launch_jobs(sweep, jobs, task, hydra_context, config)
    sweep.show_state()
    if sweep.goes_on:
        echo(f"watch them: {watch_command(sweep.folder)}; collect them: {sweep.resume}")


def launch_jobs(
    sweep: Sweep,
    jobs: Sequence[Job],
    task: JobTask,
    hydra_context: HydraContext,
    config: DictConfig,
    launcher: Launcher | None = None,
) -> None:
    """Hand some jobs of a sweep to the launcher, and record how they ended. A request to stop is
    recorded and raised again.

    `task` knows what the jobs are called on the screen. `launcher` is one that is used again.
    """
    task = replace(
        task,
        resume=sweep.resume,
        process=os.getpid(),
        devices=frozenset(job.config["device"] for job in jobs),
        likenesses=tuple(likeness(job.config) for job in jobs),
        folders=tuple(job.folder for job in jobs),
        watcher=SweepWatcher(sweep, jobs),
    )
    if launcher is None:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task, config=config
        )
    else:
        launcher.setup(hydra_context=hydra_context, task_function=task, config=config)
    overrides = [
        [*job.overrides, f"hydra.sweep.subdir={hydra_value(job.folder.name)}"] for job in jobs
    ]
    try:
        with signals.raising():
            for result in launcher.launch(overrides, initial_job_idx=0) if jobs else ():
                _ = result.return_value  # raises what a job should not have raised
    except BaseException as error:
        sweep.gather()
        sweep.save()
        sweep.show_state()
        is_engines = sweep.launcher["name"] not in ("basic", OURS)
        if is_engines and isinstance(error, Exception) and not isinstance(error, UserError):
            raise launcher_failure(error, config, sweep.resume) from error
        echo(f"interrupted; go on with: {sweep.resume}")
        if sweep.launcher["name"] == "submitit_slurm":
            echo("jobs that are queued or running go on; scancel ends them")
        raise
    sweep.goes_on = not waits(config)
    sweep.gather()
    sweep.save()


class SweepWatcher:
    """Keeps the summary up to date while jobs run in the process of their sweep."""

    def __init__(self, sweep: Sweep, jobs: Sequence[Job]) -> None:
        self.sweep, self.jobs = sweep, jobs

    def started(self, index: int) -> set[str]:
        """Record that a job begins; returns the reasons of failures that are printed already."""
        self.sweep.note(self.jobs[index], "running")
        return {job.reason for job in self.sweep.jobs if job.state == "failed"}

    def ended(self, index: int, failure: UserError | None) -> None:
        """Record how a job ended."""
        job = self.jobs[index]
        status = {} if failure else Record(job.folder, job.config).status
        is_pruned = status.get("state") == "pruned"
        state = "failed" if failure else "pruned" if is_pruned else "done"
        self.sweep.note(job, state, str(failure or status.get("reason", "")))

    def killed(self, index: int, failure: UserError) -> None:
        """Record that a job was given up, also in the status that its process has left behind."""
        job = self.jobs[index]
        Record(job.folder, job.config).replace_state("failed", str(failure))
        self.ended(index, failure)

"""Runs a sweep: by our own sweeper with any launcher, by another sweeper of Hydra, or again from
its folder.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write

from genbench.config.choice_files import GROUPS
from genbench.config.compose import (
    CONFIG_NAME,
    hydra_ready,
    hydra_settings,
    require_no_hydra_files,
    sweep_folder,
)
from genbench.config.overrides import check_hydras_words, hydra_value, is_hydras, without_hydras
from genbench.config.registry import Registry
from genbench.config.request import check_request
from genbench.report.own_files import require_own_pages
from genbench.runs.directory import Record
from genbench.runs.sweep_summary import (
    SUMMARY,
    is_collected,
    recorded_launcher,
    recorded_search,
    require_no_run,
)
from genbench.sweeps.bundles import likeness
from genbench.sweeps.goals import search_goals
from genbench.sweeps.job import JobTask
from genbench.sweeps.launch import composed_registry, watch_command
from genbench.sweeps.launchers import (
    WITHOUT_FILES,
    checked_launcher,
    chosen_again,
    launcher_failure,
    launcher_words,
    require_library,
    split_options,
    waits,
)
from genbench.sweeps.pruning import pruner_of
from genbench.sweeps.search_space import search_space
from genbench.sweeps.search_words import (
    OURS,
    chosen_sweeper,
    is_search,
    search_words,
    searched_again,
    with_objective_renamed,
)
from genbench.sweeps.study import require_optuna
from genbench.sweeps.sweep import Job, Sweep
from genbench.utils import signals
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.files import read_json_or_empty, require_regular


def sweep_command(
    words: list[str],
    registry: Registry,
    commands: Iterable[str] = (),
    device: str | None = None,
) -> int:
    """Run the jobs that these overrides list values for; returns the exit status.

    `commands` are words that would have been a command of their own. `device` is where to compute,
    if not where the jobs say. UserError, before any job starts, if one of them cannot run.
    """
    if is_search(words):
        require_optuna()
        words = with_objective_renamed(words, registry)
    words, options = split_options(words)
    if is_search(words) and options.get("wait") is False:
        what = "must be true for a search, whose trials depend on earlier ones"
        raise UserError("wait", what, "false", "leave it out")
    words += [*launcher_words(words, options), *search_words(words, options)]
    check_hydras_words(words)
    settings = without_hydras(words)
    if is_search(words):
        space = search_space(settings, registry, commands)
        pruner_of(options, search_goals(options, space, registry))
        jobs, task = [space.overrides(space.corners()[0])], JobTask(tuple(settings), device=device)
    else:
        task = JobTask(tuple(settings), objective=options.get("optimize"), device=device)
        if chosen_sweeper(words) != OURS:
            return _with_another_sweeper(words, task, registry)
        jobs = check_request(settings, registry, commands, is_sweep=True)
    # What a folder's name refers to has the values of the first job. A sweep's list of values is
    # no config: settings that only some models have would be refused.
    first = [*jobs[0]] if jobs else []
    hydras = [word for word in words if is_hydras(word)]
    with hydra_ready(registry) as (hydra, own):
        overrides = ["hydra.mode=MULTIRUN", *own, *hydras, *first]
        return hydra.multirun(CONFIG_NAME, task, overrides).status


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


def _with_another_sweeper(words: list[str], task: JobTask, registry: Registry) -> int:
    """Let another sweeper choose and run the jobs, and read from their folders how they ended."""
    folder = sweep_folder(words, registry)
    sweep = Sweep(words, [], folder, registry)
    require_no_run(folder)
    require_own_pages(folder, "hydra.sweep.dir")
    require_regular(folder, "hydra.sweep.dir")
    with sweep.locked():
        sweep.save()
        overrides = [*words, f"hydra.sweep.dir={hydra_value(str(folder))}"]
        try:
            with hydra_ready(registry) as (hydra, own), signals.raising():
                hydra.multirun(CONFIG_NAME, task, ["hydra.mode=MULTIRUN", *own, *overrides])
        finally:
            sweep.gather()
            sweep.save()
            sweep.show_state()
        sweep.draw()
    return sweep.status


def resume_sweep(
    folder: Path,
    registry: Registry,
    device: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Repeat the command that a sweep's folder holds, with the launcher that it had; returns the
    exit status.

    As the folder may be somebody else's, the command may name settings and no code. `options`, such
    as `jobs`, replace those of the command.
    """
    fix = f"repeat the sweep's own command with hydra.sweep.dir={folder}"
    words = read_json_or_empty(folder / SUMMARY, {"command": [str]}).get("command")
    if words is None:
        raise UserError(str(folder / SUMMARY), "is damaged", fix=fix)
    for word in words:
        is_setting = re.match(r"(\+\+)?[\w.]+=", word) and not is_hydras(word)
        if not is_setting or re.search(r"\$\{.*:", word, re.DOTALL):
            raise UserError(str(folder / SUMMARY), "holds more than plain settings", word, fix)
    place = f"hydra.sweep.dir={hydra_value(str(folder.absolute()))}"
    launcher = chosen_again(recorded_launcher(folder))
    launcher += searched_again(recorded_search(folder), options or {})
    changed = [f"{name}={value}" for name, value in (options or {}).items()]
    return sweep_command([*words, *launcher, *changed, place], registry, device=device)

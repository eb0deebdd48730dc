"""Runs the jobs of a sweep on this machine, as `hydra/launcher=genbench`: in this process one by
one, or several at once in worker processes.
"""

import math
import os
import signal
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from genbench.config.compose import VERSION_BASE
from genbench.sweeps.display import JobTable, TabledJobDisplay
from genbench.sweeps.job import JobTask
from genbench.sweeps.launchers import checked_launcher
from genbench.sweeps.pool import Exit, Killed, Message, Pool, gpu_environments
from genbench.utils.errors import UserError

# Files that the drivers of GPUs make. Without one there is none, and torch need not be asked.
DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def launch(
    task: TaskFunction,
    context: HydraContext,
    config: DictConfig,
    overrides: Sequence[Sequence[str]],
    first: int,
) -> list[JobReturn]:
    """Run jobs with these overrides, numbered from `first` on, as Hydra's launchers do.

    `config.hydra.launcher` says how many run at once, with how many threads each.
    """
    assert isinstance(task, JobTask)  # the only one that is run with this launcher
    options = checked_launcher(config)
    return Launch(task, context, config, options["jobs"], int(options["threads"])).run(
        overrides, first
    )


@dataclass(frozen=True)
class Launch:
    """What Hydra hands to a launcher, and how many jobs run at once with how many threads each."""

    task: JobTask
    context: HydraContext
    config: DictConfig
    jobs: int | str
    threads: int

    def run(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run jobs with these overrides, which are numbered from `first` on."""
        setup_globals()
        hydras = self.config.hydra
        configure_log(hydras.hydra_logging, hydras.verbose)
        Path(str(hydras.sweep.dir)).mkdir(parents=True, exist_ok=True)
        devices = {self.task.device} if self.task.device else self.task.devices
        gpus = gpu_count(devices or {str(self.config.device)})
        auto = gpus or max(1, core_count() // self.threads)
        count = min(auto if isinstance(self.jobs, str) else self.jobs, len(overrides))
        task = replace(self.task, threads=self.threads)
        if count <= 1:
            return [
                HydraJob(task, self.context, self._composed(words, first + i))()
                for i, words in enumerate(overrides)
            ]
        with JobTable() as table:
            return Together(self, task, table, first).run(overrides, gpus, count)

    def _composed(self, overrides: Sequence[str], number: int) -> DictConfig:
        """The config of a job."""
        config = self.context.config_loader.load_sweep_config(self.config, [*overrides])
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def prepare(self, task: JobTask, overrides: Sequence[str], number: int) -> "HydraJob":
        """The call that runs a job in a worker."""
        return HydraJob(task, self.context, self._composed(overrides, number))


@dataclass(frozen=True)
class HydraJob:
    """The call that runs a job: in this process or, if it gets a `send`, in a worker."""

    task: JobTask
    context: HydraContext
    config: DictConfig

    def __call__(self, send: Any = None) -> JobReturn:
        """Run the job."""
        if send is not None:  # a new process knows nothing of the main one
            version.setbase(VERSION_BASE)
            setup_globals()
        return run_job(
            task_function=self.task if send is None else replace(self.task, send=send),
            config=self.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=self.context,
        )


class Together:
    """Jobs that run at the same time: what they show, and what becomes of those that are killed."""

    def __init__(self, launch: Launch, task: JobTask, table: JobTable, first: int) -> None:
        self.launch, self.task, self.table, self.first = launch, task, table, first
        self.displays: dict[int, TabledJobDisplay] = {}
        self.overrides: Sequence[Sequence[str]] = ()
        self.killed: set[int] = set()

    def run(self, overrides: Sequence[Sequence[str]], gpus: int, count: int) -> list[JobReturn]:
        """Run the jobs, `count` at once."""
        self.overrides = overrides
        remote = replace(self.task, labels=(), numbers=(), is_shown=self.table.is_live)
        calls = [
            partial(self.launch.prepare, remote, words, self.first + i)
            for i, words in enumerate(overrides)
        ]
        results = Pool(gpu_environments(gpus, count)).run(calls, self._receive)
        return [
            _return_of_killed(words) if isinstance(result, Killed) else result
            for words, result in zip(overrides, results, strict=True)
        ]

    def _receive(self, message: Message) -> None:
        """Show what a job sent, and note in the summary that it begins or has ended."""
        i, content = message
        if isinstance(content, Exit):
            return self._note_exit(i, content)
        name, *arguments = content
        if name == "begin":
            self.displays[i] = self._begun(i)
        getattr(self.displays[i], name)(*arguments)
        if name == "ended" and self.task.watcher is not None:
            state, _, failure = arguments
            if state != "interrupted":
                self.task.watcher.ended(self.first + i, failure)

    def _begun(self, i: int) -> TabledJobDisplay:
        """The display of a job that begins."""
        display = self.task.tabled(self.table, self.first + i, " ".join(self.overrides[i]))
        if self.task.watcher is not None:
            display.known = self.task.watcher.started(self.first + i)
        return display

    def _note_exit(self, i: int, exit_: Exit) -> None:
        """Say how the process of a job ended. The first time, the job goes on in another."""
        if i not in self.displays:
            self.displays[i] = self._begun(i)
            self.displays[i].begin()
        display = self.displays[i]
        if i not in self.killed:
            self.killed.add(i)
            display.close()
            display.note("restarted", f"its process {exit_}; it goes on in another one")
            return
        fix = "see the end of its run.log for what it did last, then repeat the command"
        if exit_.code == -signal.SIGKILL:
            fix = "if the memory was used up, repeat the command with fewer jobs=N at once"
        what = f"{exit_}, also when the job was tried again"
        failure = UserError(f"process of {display.number}", what, fix=fix, code=1)
        display.ended("failed", failure=failure)
        if self.task.watcher is not None:
            self.task.watcher.killed(self.first + i, failure)


def _return_of_killed(overrides: Sequence[str]) -> JobReturn:
    """What a job returns that was killed: an objective that is not a number, as failures do."""
    return JobReturn([*overrides], status=JobStatus.COMPLETED, _return_value=math.nan)


def gpu_count(devices: Collection[str]) -> int:
    """How many GPUs the jobs with these values of `device` can have one each of; 0 is the CPU."""
    if not {*devices} & {"auto", "cuda"}:
        named = {*devices} - {"cpu"}
        return len(named)
    if sys.platform != "darwin" and not any(map(os.path.exists, DRIVERS)):
        return 0
    import torch  # takes a second or two, and only here the process of a sweep needs it

    return torch.cuda.device_count() or int(torch.backends.mps.is_available())


def core_count() -> int:
    """The cores that this process may use, also where a container has fewer than the machine."""
    import joblib  # takes a tenth of a second

    return int(joblib.cpu_count())

"""Runs the jobs of a sweep on this machine, as `hydra/launcher=genbench`: in this process one by
one, or several at once in worker processes.
"""

import math
import os
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from genbench.config.compose import VERSION_BASE
from genbench.sweeps.bundles import Likeness, bundles
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

    `config.hydra.launcher` says how many run at once, with how many threads each, and which are
    trained together.
    """
    assert isinstance(task, JobTask)  # the only one that is run with this launcher
    return Launch(task, context, config, checked_launcher(config)).run(overrides, first)


@dataclass(frozen=True)
class Launch:
    """What Hydra hands to a launcher, and its checked options."""

    task: JobTask
    context: HydraContext
    config: DictConfig
    options: Mapping[str, Any]

    def run(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run jobs with these overrides, which are numbered from `first` on."""
        setup_globals()
        hydras = self.config.hydra
        configure_log(hydras.hydra_logging, hydras.verbose)
        Path(str(hydras.sweep.dir)).mkdir(parents=True, exist_ok=True)
        devices = {self.task.device} if self.task.device else self.task.devices
        gpus = gpu_count(devices or {str(self.config.device)})
        jobs, threads = self.options["jobs"], int(self.options["threads"])
        likenesses: Sequence[Likeness | None] = self.task.likenesses
        if not likenesses or hydras.job.chdir or hydras.job.env_set:  # a job has all of a process
            likenesses = [None] * len(overrides)
        auto = gpus or max(1, core_count() // threads)
        workers = auto if isinstance(jobs, str) else jobs
        chosen = bundles(likenesses, self.options["together"], workers, on_gpu=gpus > 0)
        count = min(workers, len(chosen))
        launch = replace(self, task=replace(self.task, threads=threads))
        if count <= 1 and all(len(bundle) == 1 for bundle in chosen):
            return [launch.prepare([words], [first + i])()[0] for i, words in enumerate(overrides)]
        with JobTable() as table:
            return Together(launch, table, chosen, first).run(overrides, gpus, count)

    def prepare(self, overrides: Sequence[Sequence[str]], numbers: Sequence[int]) -> "HydraJobs":
        """The call that runs jobs with these overrides and numbers together."""
        configs = []
        for words, number in zip(overrides, numbers, strict=True):
            config = self.context.config_loader.load_sweep_config(self.config, [*words])
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = number
            configs.append(config)
        return HydraJobs(self.task, self.context, tuple(configs))


@dataclass(frozen=True)
class HydraJobs:
    """The call that runs jobs together: in this process or, if it gets a `send`, in a worker."""

    task: JobTask
    context: HydraContext
    configs: tuple[DictConfig, ...]

    def __call__(self, send: Any = None) -> list[JobReturn]:
        """Run the jobs: Hydra places each of them, and then all run."""
        task = self.task
        if send is not None:  # a new process knows nothing of the main one
            version.setbase(VERSION_BASE)
            setup_globals()
            task = replace(task, send=lambda place, message: send((place, *message)))
        if len(self.configs) == 1:
            return [self._run_by_hydra(task, self.configs[0])]
        results = [self._run_by_hydra(task.place, config) for config in self.configs]
        objectives = task.run([result.return_value for result in results])
        for result, objective in zip(results, objectives, strict=True):
            result.return_value = objective
        return results

    def _run_by_hydra(self, function: TaskFunction, config: DictConfig) -> JobReturn:
        return run_job(
            task_function=function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=self.context,
        )


class Together:
    """Jobs that run at the same time: what they show, and what becomes of those that are killed.

    `chosen` lists the jobs of each call, which run in one process. Jobs are numbered from `first`.
    """

    def __init__(
        self, launch: Launch, table: JobTable, chosen: Sequence[Sequence[int]], first: int
    ) -> None:
        self.launch, self.task, self.table = launch, launch.task, table
        self.chosen, self.first = chosen, first
        self.displays: dict[int, TabledJobDisplay] = {}
        self.overrides: Sequence[Sequence[str]] = ()
        self.killed: set[int] = set()  # calls
        self.over: set[int] = set()  # jobs

    def run(self, overrides: Sequence[Sequence[str]], gpus: int, count: int) -> list[JobReturn]:
        """Run the jobs in `count` processes."""
        self.overrides = overrides
        remote = replace(
            self.task, labels=(), numbers=(), likenesses=(), is_shown=self.table.is_live
        )
        launch = replace(self.launch, task=remote)
        calls = [
            partial(launch.prepare, [overrides[i] for i in jobs], [self.first + i for i in jobs])
            for jobs in self.chosen
        ]
        results = Pool(gpu_environments(gpus, count)).run(calls, self._receive)
        returned: dict[int, JobReturn] = {}
        for jobs, result in zip(self.chosen, results, strict=True):
            for place, i in enumerate(jobs):
                is_lost = isinstance(result, Killed)
                returned[i] = _return_of_killed(overrides[i]) if is_lost else result[place]
        return [returned[i] for i in range(len(overrides))]

    def _receive(self, message: Message) -> None:
        """Show what a job sent, and note in the summary that it begins or has ended."""
        call, content = message
        if isinstance(content, Exit):
            return self._note_exit(call, content)
        place, name, *arguments = content
        i = self.chosen[call][place]
        if i in self.over:  # it was done before its process was killed and started anew
            return
        if name == "begin":
            self.displays[i] = self._begun(i)
        getattr(self.displays[i], name)(*arguments)
        if name == "ended":
            self.over.add(i)
            state, _, failure = arguments
            if state != "interrupted" and self.task.watcher is not None:
                self.task.watcher.ended(self.first + i, failure)

    def _begun(self, i: int) -> TabledJobDisplay:
        """The display of a job that begins."""
        display = self.task.tabled(self.table, self.first + i, " ".join(self.overrides[i]))
        if self.task.watcher is not None:
            display.known = self.task.watcher.started(self.first + i)
        return display

    def _note_exit(self, call: int, exit_: Exit) -> None:
        """Say how the process of a call ended. The first time, its jobs go on in another."""
        is_first = call not in self.killed
        self.killed.add(call)
        for i in self.chosen[call]:
            if i in self.over:
                continue
            if i not in self.displays:
                self.displays[i] = self._begun(i)
                self.displays[i].begin()
            if is_first:
                self.displays[i].close()
                note = f"its process {exit_}; it goes on in another one"
                self.displays[i].note("restarted", note)
            else:
                self._give_up(i, exit_, are_several=len(self.chosen[call]) > 1)

    def _give_up(self, i: int, exit_: Exit, are_several: bool) -> None:
        """Say and note that a job was killed twice."""
        fix = "see the end of its run.log for what it did last, then repeat the command"
        if are_several:
            fix = "repeat the command with together=false, which trains each job alone"
        elif exit_.code == -signal.SIGKILL:
            fix = "if the memory was used up, repeat the command with fewer jobs=N at once"
        display = self.displays[i]
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

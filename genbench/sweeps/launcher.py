"""Runs the jobs of a sweep for the launchers of `hydra_plugins`: in this process one by one, in
several worker processes, or on an engine of another library.
"""

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from genbench.sweeps.at_once import JobsAtOnce, returned
from genbench.sweeps.bundles import Likeness, bundles
from genbench.sweeps.display import JobTable
from genbench.sweeps.engines.choose import engine_for
from genbench.sweeps.engines.following import Following
from genbench.sweeps.engines.interface import Engine, Wanted
from genbench.sweeps.engines.lane import Bundle, Lane
from genbench.sweeps.hydra_jobs import Composer
from genbench.sweeps.job import JobTask, objective_of
from genbench.sweeps.launchers import OURS, checked_launcher, waits
from genbench.sweeps.pool import Killed, Pool, gpu_environments
from genbench.utils import signals
from genbench.utils.console import echo
from genbench.utils.text import counted

# Files that the drivers of GPUs make. Without one there is none, and torch need not be asked.
DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def launch(
    task: TaskFunction,
    context: HydraContext,
    config: DictConfig,
    overrides: Sequence[Sequence[str]],
    first: int,
    kept: "KeptWorkers | None" = None,
) -> list[JobReturn]:
    """Run jobs with these overrides, numbered from `first` on, as Hydra's launchers do.

    `config.hydra.launcher` says how many run at once, with how many threads each, and which are
    trained together. With `wait=false` they are only submitted, and nothing is returned. `kept` has
    the processes of earlier launches, if they are kept.
    """
    assert isinstance(task, JobTask)  # the only one that is run with this launcher
    return Launch(task, context, config, checked_launcher(config), kept).run(overrides, first)


class KeptWorkers:
    """The processes of a launch that outlive it, for a sweep that launches often."""

    def __init__(self) -> None:
        self.pool: Pool | None = None
        self.engine: Engine | None = None

    def pool_of(self, environments: list[Mapping[str, str]]) -> Pool:
        """A pool with at least as many slots as environments are given."""
        if self.pool is None or len(self.pool.slots) < len(environments):
            self.close()
            self.pool = Pool(environments, is_kept=True)
        return self.pool

    def close(self) -> None:
        """End all processes."""
        for workers in (self.pool, self.engine):
            if workers is not None:
                workers.close()
        self.pool = self.engine = None


@dataclass(frozen=True)
class Launch:
    """What Hydra hands to a launcher, its checked options, and processes that are kept."""

    task: JobTask
    context: HydraContext
    config: DictConfig
    options: Mapping[str, Any]
    kept: KeptWorkers | None = None

    def run(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run jobs with these overrides, which are numbered from `first` on."""
        setup_globals()
        hydras = self.config.hydra
        configure_log(hydras.hydra_logging, hydras.verbose)
        Path(str(hydras.sweep.dir)).mkdir(parents=True, exist_ok=True)
        if self.options["name"] != OURS:
            return self._on_engine(overrides, first)
        threads = int(self.options["threads"])
        gpus = self._gpus_here()
        jobs = self.options["jobs"]
        workers = gpus or max(1, core_count() // threads) if isinstance(jobs, str) else jobs
        chosen = self._bundles(len(overrides), workers, on_gpu=gpus > 0)
        count = min(workers, len(chosen))
        composer = Composer(replace(self.task, threads=threads), self.context, self.config)
        has_workers = self.kept is not None and self.kept.pool is not None
        if count <= 1 and not has_workers and all(len(bundle) == 1 for bundle in chosen):
            return [
                composer.compose([words], [first + i])()[0] for i, words in enumerate(overrides)
            ]
        with JobTable() as table:
            shown = JobsAtOnce(self.task, table, overrides, chosen, first)
            composer = replace(composer, task=_remote(composer.task, table))
            environments = gpu_environments(gpus, count)
            pool = self.kept.pool_of(environments) if self.kept else Pool(environments)
            return _in_pool(composer, shown, pool)

    def _on_engine(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run the jobs on the engine of the launcher, or only submit them."""
        task = replace(self.task, threads=int(self.options["threads"]))
        engine = self._engine()
        try:
            composer = Composer(task, self.context, self.config)
            folders = self.task.folders or [
                composer.compose([words], [first + i]).folder for i, words in enumerate(overrides)
            ]
            with JobTable() as table:
                chosen = self._bundles(len(overrides), engine.workers, on_gpu=engine.gpus > 0)
                shown = JobsAtOnce(self.task, table, overrides, chosen, first)
                shown.calls.clear()  # which are lanes here
                composer = replace(composer, task=_remote(task, table))
                every = [_bundle(places, overrides, first) for places in chosen]
                whole = Lane(composer, Singleton.get_state(), tuple(every), {})
                following = Following(engine, shown, whole, folders)
                with signals.listening():  # none comes between a submission and its record
                    taken = following.take_over()
                    following.whole = whole.parted(taken)
                    left = [[place for place in one if place not in taken] for one in chosen]
                    following.submit(
                        _lanes([one for one in left if one], engine, len(following.running))
                    )
                    if waits(self.config):
                        following.wait()
        finally:
            if self.kept is None:
                engine.close()
        if not waits(self.config):
            new = counted(len(overrides) - len(taken), "job")
            echo(f"{new} submitted, {len(taken)} queued or running from before")
            return []
        objective = self.task.objective
        return [
            returned(words, objective_of(folder, objective))
            for words, folder in zip(overrides, folders, strict=True)
        ]

    def _engine(self) -> Engine:
        """The engine of the launcher: the one that is kept, or a new one."""
        if self.kept is not None and self.kept.engine is not None:
            return self.kept.engine
        engine = engine_for(str(self.options["name"]), self._wanted())
        if self.kept is not None:
            self.kept.engine = engine
        return engine

    def _wanted(self) -> Wanted:
        """What the engine is asked for."""
        settings = OmegaConf.to_container(self.config.hydra.launcher, resolve=True)
        assert isinstance(settings, dict)  # a launcher's settings have names
        folder = Path(str(self.config.hydra.sweep.dir))
        plain = {str(name): value for name, value in settings.items()}
        return Wanted(folder, self.options, plain, self._devices, self._gpus_here, core_count)

    @property
    def _devices(self) -> Collection[str]:
        """The values of `device` of all jobs."""
        devices = {self.task.device} if self.task.device else self.task.devices
        return devices or {str(self.config.device)}

    def _gpus_here(self) -> int:
        return gpu_count(self._devices)

    def _bundles(self, count: int, workers: int, on_gpu: bool) -> list[list[int]]:
        """The places of so many jobs in bundles that are trained together."""
        hydras = self.config.hydra
        likenesses: Sequence[Likeness | None] = self.task.likenesses
        if not likenesses or hydras.job.chdir or hydras.job.env_set:  # a job has all of a process
            likenesses = [None] * count
        return bundles(likenesses, self.options["together"], workers, on_gpu)


def _remote(task: JobTask, table: JobTable) -> JobTask:
    """The task for another process, which need not know how jobs are shown here."""
    return replace(task, labels=(), numbers=(), likenesses=(), folders=(), is_shown=table.is_live)


def _bundle(places: Sequence[int], overrides: Sequence[Sequence[str]], first: int) -> Bundle:
    words = tuple(tuple(overrides[place]) for place in places)
    return Bundle(tuple(places), words, tuple(first + place for place in places))


def _lanes(chosen: Sequence[Sequence[int]], engine: Engine, running: int) -> list[list[int]]:
    """The places of jobs, bundle after bundle, in as many lanes as the engine takes at most, of
    which some are running.
    """
    count = len(chosen)
    if engine.most_lanes is not None:
        count = min(count, max(1, engine.most_lanes - running))
    return [[place for bundle in chosen[lane::count] for place in bundle] for lane in range(count)]


def _in_pool(composer: Composer, shown: JobsAtOnce, pool: Pool) -> list[JobReturn]:
    """Run the jobs in worker processes."""
    overrides, first = shown.overrides, shown.first
    calls = [
        partial(composer.compose, [overrides[i] for i in jobs], [first + i for i in jobs])
        for jobs in shown.calls
    ]
    results = pool.run(calls, shown.receive)
    found: dict[int, JobReturn] = {}
    for jobs, result in zip(shown.calls, results, strict=True):
        for place, i in enumerate(jobs):
            is_lost = isinstance(result, Killed)
            found[i] = returned(overrides[i]) if is_lost else result[place]
    return [found[i] for i in range(len(overrides))]


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

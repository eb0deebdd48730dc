"""The calls that run jobs of a sweep through Hydra, in this process or in another one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from genbench.config.compose import VERSION_BASE
from genbench.sweeps.job import JobTask


@dataclass(frozen=True)
class Composer:
    """What Hydra hands to a launcher. The jobs are composed from it, here or in another process."""

    task: JobTask
    context: HydraContext
    config: DictConfig

    def compose(self, overrides: Sequence[Sequence[str]], numbers: Sequence[int]) -> "HydraJobs":
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

    @property
    def folder(self) -> Path:
        """That of the run of its only job."""
        (config,) = self.configs
        return Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)

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

"""The launchers of genbench, in a namespace package where Hydra finds them.

`hydra/launcher=genbench` runs the jobs of a sweep on this machine, several at once. The others run
them on engines of other libraries; their settings are in configs/hydra/launcher.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class GenbenchLauncherConf:
    """The fields of `hydra.launcher`, which `jobs=` and the like set in a command with `-m`."""

    _target_: str = "hydra_plugins.genbench_launcher.GenbenchLauncher"
    jobs: Any = "auto"
    threads: Any = "auto"
    together: Any = "auto"


ConfigStore.instance().store(
    group="hydra/launcher", name="genbench", node=GenbenchLauncherConf, provider="genbench"
)


class GenbenchLauncher(Launcher):
    """Runs jobs in worker processes, or one by one: see `genbench.sweeps.launcher.launch`."""

    def __init__(self, **settings: Any) -> None:
        """The settings are read from the config, where they are checked."""
        self.kept: Any = None  # processes that outlive a launch

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep the context, task and config that Hydra hands over."""
        self.hydra_context, self.task, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs; returns what each of them returned."""
        from genbench.sweeps.launcher import launch  # late: Hydra imports all plugins first

        context, config = self.hydra_context, self.config
        return launch(self.task, context, config, job_overrides, initial_job_idx, self.kept)

    @contextmanager
    def keeping_workers(self) -> Iterator[None]:
        """Keep the processes of a launch for the next one, until the block ends."""
        from genbench.sweeps.launcher import KeptWorkers  # late, as above

        self.kept = KeptWorkers()
        try:
            yield
        finally:
            self.kept.close()
            self.kept = None


class JoblibLauncher(GenbenchLauncher):
    """Runs jobs in processes of joblib: see `genbench.sweeps.engines.on_joblib`."""


class SubmititLocalLauncher(GenbenchLauncher):
    """Runs jobs in processes of submitit, on this machine: see `genbench.sweeps.engines`."""


class SubmititSlurmLauncher(GenbenchLauncher):
    """Runs jobs on a cluster by submitit: see `genbench.sweeps.engines.on_slurm`."""


class RayLauncher(GenbenchLauncher):
    """Runs jobs as tasks of Ray: see `genbench.sweeps.engines.on_ray`."""

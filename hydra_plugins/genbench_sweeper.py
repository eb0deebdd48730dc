"""The sweeper of genbench, `hydra/sweeper=genbench`, in a namespace package where Hydra finds it.

It lists the jobs, chooses their folders and leaves out those that are done; the launcher runs the
others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class GenbenchSweeperConf:
    """The fields of `hydra.sweeper`: `params` are swept unless the command line sets them."""

    _target_: str = "hydra_plugins.genbench_sweeper.GenbenchSweeper"
    params: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(
    group="hydra/sweeper", name="genbench", node=GenbenchSweeperConf, provider="genbench"
)


class GenbenchSweeper(Sweeper):
    """Runs every combination of the listed values, once: see `genbench.sweeps.engine.run_sweep`."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.params = [f"{name}={value}" for name, value in (params or {}).items()]

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep the context, task and config that Hydra hands over."""
        self.hydra_context, self.task, self.config = hydra_context, task_function, config

    def sweep(self, arguments: Sequence[str]) -> Any:
        """Run the jobs that are not done; returns the `Sweep`, which knows how all ended."""
        from genbench.sweeps.engine import run_sweep  # late: Hydra imports all plugins first

        assert self.hydra_context is not None and self.config is not None  # `setup` comes first
        return run_sweep(self.params, arguments, self.task, self.hydra_context, self.config)

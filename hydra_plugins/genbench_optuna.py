"""The search of genbench, `hydra/sweeper=optuna`, in a namespace package where Hydra finds it.

It chooses the settings of each trial by Optuna; the launcher runs the trials. Its settings are in
configs/hydra/sweeper/optuna.yaml.
"""

from collections.abc import Sequence
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Runs the trials of a search: see `genbench.sweeps.search.run_search`."""

    def __init__(self, **options: Any) -> None:
        """The options, of `genbench.settings.sweep.SearchOptions`, are read from the config."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep the context, task and config that Hydra hands over."""
        self.hydra_context, self.task, self.config = hydra_context, task_function, config

    def sweep(self, arguments: Sequence[str]) -> Any:
        """Run the trials that are missing; returns the `Sweep`, which knows how all ended."""
        from genbench.sweeps.search import run_search  # late: Hydra imports all plugins first

        assert self.hydra_context is not None and self.config is not None  # `setup` comes first
        return run_search(arguments, self.task, self.hydra_context, self.config)

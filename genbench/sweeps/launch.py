"""Running what a command asks for, through Hydra: one job in its folder, titled by its settings."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf.errors import OmegaConfBaseException

from genbench.config.compose import (
    CONFIG_NAME,
    USERS,
    hydra_ready,
    hydra_settings,
    plain_values,
    resolved,
)
from genbench.config.overrides import absolute, is_hydras, without_hydras
from genbench.config.registry import Registry
from genbench.config.validation import check_config, title
from genbench.runs.progress import Display
from genbench.runs.sweep_summary import swept
from genbench.utils import signals
from genbench.utils.errors import UserError, report, unexpected
from genbench.utils.files import folder_error
from genbench.utils.imports import importing
from genbench.utils.text import quoted

if TYPE_CHECKING:  # it imports torch
    from genbench.trained import Trained
    from genbench.training.calls import Calls

HARMLESS = (
    "hydra.run.dir=",
    "hydra.job.chdir=",
)  # words to Hydra by which it writes no other files


def run_single(words: list[str], registry: Registry) -> int:
    """Let Hydra run the one job of these overrides; returns its exit status.

    Hydra composes them once, while it runs them. A check of what it has composed comes too late
    for its own settings, as it opens logs and folders before it calls the task. So those are
    composed once more, beforehand, where other files or words may have changed them.
    """
    hydras = [word for word in words if is_hydras(word) and not word.startswith(HARMLESS)]
    if len(registry.folders) > 1 or hydras:
        hydra_settings(words, registry, is_sweep=False)
    if any("hydra.job.chdir" in word for word in words):  # folders mean what they meant before
        words = absolute(words, [resolved(without_hydras(words), registry)], registry)
    try:
        with hydra_ready(registry) as (hydra, own):
            failure = hydra.run(CONFIG_NAME, SingleRun(registry), [*own, *words]).return_value
    except OSError as error:
        fix = "choose another hydra.run.dir=FOLDER"
        raise folder_error(error, Path(error.filename or "."), fix) from error
    if failure is None:
        return 0
    report(failure)
    return failure.code


class SingleRun:
    """The task that Hydra calls for a command that is one run."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def __call__(self, cfg: Any) -> UserError | None:
        """Run what Hydra has composed in the folder that it chose; returns what it failed with."""
        folder = Path(HydraConfig.get().runtime.output_dir)
        with signals.stopping(), importing():  # nothing is lost yet, and torch takes a second
            import genbench.experiment  # noqa: F401
        return attempt(lambda: execute(plain_config(cfg), folder, self.registry))


def plain_config(cfg: Any) -> dict:
    """A composed config as plain values. UserError where a value refers to a missing one."""
    try:
        return plain_values(cfg)
    except OmegaConfBaseException as error:
        raise UserError("settings", str(error), fix="mend what ${...} refers to") from error


def composed_registry(hydras: Any) -> Registry:
    """The registry of the folders that Hydra has composed a config from."""
    sources = hydras.runtime.config_sources
    return Registry([Path(s.path) for s in sources if s.provider in (USERS, "main")])


def attempt(run: Callable[[], Any]) -> UserError | None:
    """What a run failed with, if it did. Being stopped from outside is no failure, and goes on up.

    The error holds no traceback, which would keep all alive that the run had in memory.
    """
    try:
        run()
    except BaseException as error:
        return failure_of(error)
    return None


def failure_of(error: BaseException) -> UserError:
    """What the user reads of an error; it raises a request to stop again."""
    if isinstance(error, UserError):
        return copy.copy(error)
    if signals.is_request_to_stop(error):
        raise error
    return unexpected(error)


def execute(
    config: dict, folder: Path, registry: Registry, device: str | None = None, **options: Any
) -> "Trained | None":
    """Do `execution` alone, or with the other processes that torchrun started, which all run what
    the first was given, but for the options.
    """
    from genbench.training.calls import alone
    from genbench.training.processes import joined
    from genbench.training.ranks import same

    with joined():
        config, folder, device = same((config, folder, device))
        return alone(execution(config, folder, registry, device=device, **options))


def follow(registry: Registry) -> int:
    """Take part in the run that the first of several processes was asked for."""
    with signals.stopping(), importing():
        import genbench.experiment  # noqa: F401
    failure = attempt(lambda: execute({}, Path(), registry))
    if failure is None:
        return 0
    report(failure)
    return failure.code


def execution(
    config: dict, folder: Path, registry: Registry, resume: str = "", **options: Any
) -> "Calls[Trained | None]":
    """Check a composed config once more, as files may have changed it, and run it in `folder`.

    The arguments and the result are those of `experiment.run_work`.
    """
    config = check_config(config, registry)
    from genbench.experiment import run_work

    registry.let_import()
    named = run_title(config, folder, registry)
    options["display"] = options.get("display") or Display(named, own_words=registry.own_words())
    resume = resume or resume_command(folder, registry)
    return (yield from run_work(config, folder, resume, named, **options))


def run_title(config: dict, folder: Path, registry: Registry) -> str:
    """What the run in a folder is called: in a sweep, by each swept value, also a default."""
    return title(config, registry, swept(folder))


def watch_command(folder: Path) -> str:
    """The command that shows how the jobs of the sweep in a folder go on."""
    return f"genbench status {quoted(folder)}"


def resume_command(folder: Path, registry: Registry) -> str:
    """The command that goes on with the run or the sweep in a folder."""
    return " ".join(["genbench resume", quoted(folder), *registry.own_words()])

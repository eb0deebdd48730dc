"""Running what a command asks for: one job in its folder, under a name that tells its settings; or through Hydra."""

import copy
import os
import shlex
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genbench.config.compose import undamaged_configs
from genbench.config.registry import Registry
from genbench.config.resolvers import by, run_name, unique_name
from genbench.config.validation import check, title
from genbench.runs.directory import Record, swept
from genbench.runs.progress import Display, JobDisplay
from genbench.runs.summary import brief
from genbench.utils.errors import UserError, report, unexpected
from genbench.utils.files import read_json_or_empty
from genbench.utils.schema import METRICS
from genbench.utils.text import quoted

_failure: UserError | None = None  # of the single run that Hydra was handed


def launch(argv: list[str], registry: Registry) -> int:
    """Let Hydra run the command; returns the exit status of a single run. How a sweep's jobs ended, their folders say."""
    global _failure
    _failure = None
    os.environ["HYDRA_FULL_ERROR"] = (
        "1"  # let exceptions come here instead of printing tracebacks and help of its own
    )
    sys.argv = [sys.argv[0], *argv]
    try:
        with undamaged_configs():
            hydra.main(
                version_base="1.3", config_path=str(registry.folders[-1]), config_name="config"
            )(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError("settings", str(error), fix="see 'genbench --help'") from error
    except OSError as error:
        raise UserError(
            str(error.filename),
            error.strerror or "cannot be used",
            fix="choose another hydra.run.dir=FOLDER",
        ) from error
    if _failure is None:
        return 0
    report(_failure)
    return _failure.code


def job(cfg) -> None:
    """Run one experiment: the task Hydra calls, also in the worker processes of a parallel launcher.

    It raises nothing but what stops all jobs: Hydra would add lines of its own, and leave out the jobs that come after.
    """
    global _failure
    info = HydraConfig.get()
    user = [s.path for s in info.runtime.config_sources if s.provider == "command-line"]
    registry = Registry(
        user + [s.path for s in info.runtime.config_sources if s.provider == "main"]
    )
    folder = Path(info.runtime.output_dir)

    def run(display: Display | None = None) -> None:
        try:
            config = OmegaConf.to_container(cfg, resolve=True)
        except OmegaConfBaseException as error:
            raise UserError("settings", str(error), fix="mend what ${...} refers to") from error
        execute(config, folder, registry, display=display)

    if info.mode == RunMode.RUN:
        _failure = attempt(run)
        return
    display = JobDisplay(" ".join(info.overrides.task) or "default settings", info.job.num + 1)
    failure = run_job(run, folder, display)
    record = Record(folder, {})
    if failure is not None and not ((folder / "status.json").exists() or record.foreign):
        record.tell("failed", reason=str(failure))  # it failed before there was a run to record it


def run_job(
    run: Callable[[Display], Any], folder: Path, display: JobDisplay, known: Collection[str] = ()
) -> UserError | None:
    """Let one of several jobs run in its folder, and show on a line how it ended; returns what it failed with, if it did.

    A reason in `known`, because an earlier job failed with it, is not printed again.
    """
    display.begin()
    from genbench.evaluation.registry import headlines
    from genbench.sweeps.isolation import isolated  # which imports torch, as the jobs will

    try:
        with isolated():
            failure = attempt(lambda: run(display))
    except BaseException:
        display.ended("interrupted")
        raise
    if failure is None:
        display.ended(
            "done", brief(read_json_or_empty(folder / "metrics.json", METRICS), headlines())
        )
    else:
        display.ended("failed")
        if str(failure) not in known:
            report(failure)
    return failure


def attempt(run: Callable[[], Any]) -> UserError | None:
    """What a run failed with, if it did. Being stopped from outside is no failure, and goes on up.

    The error holds no traceback, which would keep all alive that the run had in memory.
    """
    try:
        run()
    except UserError as error:
        return copy.copy(error)
    except (Exception, SystemExit) as error:
        return unexpected(error)
    return None


def execute(
    config: dict,
    folder: Path,
    registry: Registry,
    resume: str = "",
    display: Display | None = None,
    device: str | None = None,
):
    """Check a composed config once more (files may have changed it) and run it in `folder`; see `experiment.run`."""
    config = check(config, registry)
    from genbench.experiment import run

    registry.let_import()
    return run(
        config,
        folder,
        resume or resume_command(folder, registry),
        run_title(config, folder, registry),
        display,
        device,
    )


def run_title(config: dict, folder: Path, registry: Registry) -> str:
    """What the run in a folder is called: in a sweep, each swept value is named, the default too."""
    return title(config, registry, swept(folder))


def resume_command(folder: Path, registry: Registry) -> str:
    """The command that goes on with the run or the sweep in a folder."""
    return " ".join(
        ["genbench resume", quoted(folder), *(shlex.quote(word) for word in own_configs(registry))]
    )


def own_configs(registry: Registry) -> list[str]:
    """The words of a command that find a user's own configs."""
    return [] if len(registry.folders) == 1 else ["--config-dir", str(registry.folders[0])]


# At import, because the workers of a parallel launcher import this module and nothing else.
OmegaConf.register_new_resolver("run_name", run_name, replace=True)
OmegaConf.register_new_resolver("unique_name", unique_name, replace=True)
OmegaConf.register_new_resolver("by", by, replace=True)

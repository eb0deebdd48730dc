"""Handing a checked command to Hydra: its jobs, one or many, where each runs, and how they ended."""

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .console import say
from .errors import UserError, report
from .settings import Catalogue, Varying, check, title


class Sweep:
    """The jobs of one command, as far as this process runs them (a parallel launcher's workers run their own)."""

    def __init__(self, expected: int):
        self.expected, self.started = expected, 0
        self.failures: list[tuple[str, UserError]] = []
        self.folder: Path | None = None  # of a multirun that this process runs

    def summary(self) -> str:
        """How many jobs are done, and why the others are not."""
        lines = [f"{self.started - len(self.failures)} of {self.expected} jobs done"]
        return "\n".join(lines + [f"  failed: {name}: {error}" for name, error in self.failures])

    @property
    def status(self) -> int:
        """The exit status: of a single job its own, of several 1 if any failed."""
        return 0 if not self.failures else 1 if self.expected > 1 else self.failures[0][1].code


sweep: Sweep | None = None  # None in the workers of a parallel launcher


def launch(argv: list[str], catalogue: Catalogue, jobs: int) -> int:
    """Let Hydra run the command, which asks for so many jobs; returns the exit status."""
    global sweep
    sweep = Sweep(jobs)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions come here instead of printing tracebacks and help of its own
    sys.argv = [sys.argv[0], *argv]
    try:
        hydra.main(version_base="1.3", config_path=str(catalogue.folders[-1]), config_name="config")(job)()
    except UserError as error:  # from a parallel launcher
        report(error)
        return 1
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError("settings", str(error), fix="see 'genbench --help'") from error
    except OSError as error:
        raise UserError(str(error.filename), error.strerror or "cannot be used", fix="choose another hydra.run.dir=FOLDER") from error
    if sweep.folder is not None:
        from .curves import draw_curves  # which imports torch, as the jobs have

        draw_curves(sweep.folder, catalogue)
    if sweep.started > 1:
        say(f"\n{sweep.summary()}")
    return sweep.status


def job(cfg) -> None:
    """Run one experiment: the task Hydra calls, also in the worker processes of a parallel launcher."""
    info = HydraConfig.get()
    user = [s.path for s in info.runtime.config_sources if s.provider == "command-line"]
    catalogue = Catalogue(user + [s.path for s in info.runtime.config_sources if s.provider == "main"])
    name = " ".join(info.overrides.task) or "default settings"
    if sweep is not None:
        sweep.started += 1
        if info.mode == RunMode.MULTIRUN:
            sweep.folder = Path(info.runtime.cwd, info.sweep.dir)
        if sweep.expected > 1:
            say(f"\njob {sweep.started} of {sweep.expected}: {name}")
    try:
        try:
            config = OmegaConf.to_container(cfg, resolve=True)
        except OmegaConfBaseException as error:
            raise UserError("settings", str(error), fix="mend what ${...} refers to") from error
        execute(config, Path(info.runtime.output_dir), catalogue)
    except UserError as error:
        if sweep is None:
            raise
        report(error)
        sweep.failures.append((name, error))


def execute(config: dict, folder: Path, catalogue: Catalogue):
    """Check a composed config once more (files may have changed it) and run it in `folder`; see `experiment.run`."""
    config = check(config, catalogue)
    from .experiment import run
    from .record import quoted

    catalogue.let_import()
    own = "" if len(catalogue.folders) == 1 else f" --config-dir {quoted(catalogue.folders[0])}"
    return run(config, folder, resume=f"genbench resume {quoted(folder)}{own}", title=title(config, catalogue))


def run_name(model: str, overrides: list[str], limit: int = 80) -> str:
    """A folder name that tells a run's settings: the model, then its overrides.

    It is one path component and needs no quotes, neither in a shell nor in Hydra's grammar (so `beta-4`, not `beta=4`).
    """
    parts = [o.lstrip("+~") for o in overrides if not o.lstrip("+~").startswith(("model=", "hydra"))]
    name = "_".join([model, *(re.sub(r"[^\w.+-]+", "-", p).strip("-") for p in parts)])
    if len(name.encode()) > limit:
        digest = hashlib.sha256("\0".join(overrides).encode()).hexdigest()[:8]
        name = name.encode()[: limit - 9].decode(errors="ignore") + "-" + digest
    return name


def by(name: str, choices: dict, *, _root_) -> Any:
    """The one of the choices that goes with what another setting is (see `settings.Varying`)."""
    return Varying(name, tuple(choices.items())).beside({name: OmegaConf.select(_root_, name)})


# At import, because the workers of a parallel launcher import this module and nothing else.
OmegaConf.register_new_resolver("run_name", run_name, replace=True)
OmegaConf.register_new_resolver("by", by, replace=True)

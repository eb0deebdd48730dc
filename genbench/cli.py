"""The command line: checks what was asked for without importing torch, then hands over to Hydra.

    genbench [-m] [SETTING=VALUE ...]     run one experiment, or with -m every combination of comma-separated values
    genbench resume RUN_DIR [epochs=N]    go on where a run stopped
    genbench models                       what there is to train
    genbench --help                       every setting, with what it may be and what it means
    genbench --cfg job [SETTING=VALUE...] the resolved settings, without running

Exit status: 0 all done, 1 a run failed, 2 the request is wrong, 130 and 143 stopped by SIGINT and SIGTERM.
"""

import os
import signal
import sys
from pathlib import Path

from . import __version__
from .errors import UserError
from .help import models_help, settings_help
from .request import check_request
from .settings import GROUPS, Catalogue, check, title


class Sweep:
    """The jobs of one command, as far as this process runs them (a parallel launcher's workers run their own)."""

    def __init__(self, expected: int):
        self.expected, self.started = expected, 0
        self.failures: list[tuple[str, UserError]] = []

    def summary(self) -> str:
        """How many jobs are done, and why the others are not."""
        lines = [f"{self.started - len(self.failures)} of {self.expected} jobs done"]
        return "\n".join(lines + [f"  failed: {name}: {error}" for name, error in self.failures])

    @property
    def status(self) -> int:
        """The exit status: of a single job its own, of several 1 if any failed."""
        return 0 if not self.failures else 1 if self.expected > 1 else self.failures[0][1].code


sweep: Sweep | None = None  # None in the workers of a parallel launcher


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    argv = sys.argv[1:] if argv is None else argv
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(_dispatch(argv))
    except UserError as error:
        report(error)
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has gone, as in `genbench --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def report(error: UserError) -> None:
    """The one line a failure prints."""
    print(f"genbench: error: {error}", file=sys.stderr, flush=True)


def _dispatch(argv: list[str]) -> int:
    from hydra._internal.utils import get_args_parser

    if "--version" in argv:
        print(f"genbench {__version__}")
        return 0
    args = get_args_parser().parse_intermixed_args(argv)
    catalogue = builtin_catalogue(args.config_dir)
    if args.help:
        print(settings_help(__doc__.partition("\n\n")[2].partition("\n\nExit")[0], catalogue))
        return 0
    if args.overrides[:1] == ["models"]:
        if args.overrides[1:]:
            raise UserError("models", "lists all models and takes no settings", args.overrides[1], "genbench models")
        print(models_help(catalogue))
        return 0
    if args.overrides[:1] == ["resume"]:
        return _resume(args.overrides[1:], catalogue)
    jobs = [] if args.hydra_help or args.info or args.shell_completion else check_request(args, catalogue)
    return _run_hydra(argv, catalogue, len(jobs))


def builtin_catalogue(config_dir: str | None = None) -> Catalogue:
    """What the configs beside the package (a checkout) or in it (an installation) declare, after a user's own."""
    here = Path(__file__).resolve().parent
    configs = next(c for c in (here / "configs", here.parent / "configs") if (c / "config.yaml").is_file())
    if config_dir is None:
        return Catalogue([configs])
    if not Path(config_dir).is_dir():
        raise UserError("--config-dir", "no such folder", config_dir, "give a folder that holds model/ or dataset/")
    return Catalogue([Path(config_dir).resolve(), configs])


def _run_hydra(argv: list[str], catalogue: Catalogue, jobs: int) -> int:
    global sweep
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from .console import say

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
        raise UserError(str(error.filename), error.strerror or "cannot be used", fix="choose another hydra.run.dir") from error
    if sweep.started > 1:
        say(f"\n{sweep.summary()}")
    return sweep.status


def job(cfg) -> None:
    """Run one experiment: the task Hydra calls, also in the worker processes of a parallel launcher."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from .console import say

    info = HydraConfig.get()
    user = [s.path for s in info.runtime.config_sources if s.provider == "command-line"]
    catalogue = Catalogue(user + [s.path for s in info.runtime.config_sources if s.provider == "main"])
    name = " ".join(info.overrides.task) or "default settings"
    if sweep is not None:
        sweep.started += 1
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


def execute(config: dict, folder: Path, catalogue: Catalogue) -> None:
    """Check a composed config once more (files may have changed it) and run it in `folder`."""
    config = check(config, catalogue)
    from .experiment import run
    from .run import quoted

    own = "" if len(catalogue.folders) == 1 else f" --config-dir {quoted(catalogue.folders[0])}"
    run(config, folder, resume=f"genbench resume {quoted(folder)}{own}", title=title(config, catalogue))


def _resume(words: list[str], catalogue: Catalogue) -> int:
    if not words:
        raise UserError("resume", "needs a run directory", fix="genbench resume outputs/RUN")
    folder, changes = Path(words[0]), words[1:]
    file = folder / "config.yaml"
    if not file.is_file():
        raise UserError(str(folder), "is not a run directory", fix="give one that holds a config.yaml")
    import yaml

    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        name, dataset = config["model"]["name"], config["dataset"]["name"]
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise UserError(str(file), "is damaged", fix=f"repeat the run's own command with hydra.run.dir={folder}") from error
    for group, choice in zip(GROUPS, (name, dataset)):
        if choice not in catalogue.names(group):
            raise UserError(group, f"no such {group}", choice, "give the --config-dir the run was started with")
        # Which code runs is for configs/ to say, never for a run directory, which may be somebody else's.
        part = {"model": "class", "dataset": "loader"}[group]
        config[group][part] = catalogue.value(f"{group}/{choice}", f"{group}.{part}")
    for change in changes:
        key, _, value = change.partition("=")
        if key != "epochs":
            raise UserError(key, "only epochs may change when a run is resumed", change, "start a new run")
        config["epochs"] = int(value) if value.isdecimal() else value
    execute(config, folder, catalogue)
    return 0


def run_name(model: str, overrides: list[str], limit: int = 80) -> str:
    """A folder name that tells a run's settings: the model, then its overrides.

    It is one path component and needs no quotes, neither in a shell nor in Hydra's grammar (so `beta-4`, not `beta=4`).
    """
    import hashlib
    import re

    parts = [o.lstrip("+~") for o in overrides if not o.lstrip("+~").startswith(("model=", "hydra"))]
    name = "_".join([model, *(re.sub(r"[^\w.+-]+", "-", p).strip("-") for p in parts)])
    if len(name.encode()) > limit:
        digest = hashlib.sha256("\0".join(overrides).encode()).hexdigest()[:8]
        name = name.encode()[: limit - 9].decode(errors="ignore") + "-" + digest
    return name


def _register_resolvers() -> None:
    """At import, because the workers of a parallel launcher import this module and nothing else."""
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("run_name", run_name, replace=True)


_register_resolvers()

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
import textwrap
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from shutil import get_terminal_size

from .errors import UserError
from .settings import Catalogue, Setting, check, known_settings, unknown

GROUPS = ("model", "dataset")


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


def report(error: UserError) -> None:
    """The one line a failure prints."""
    print(f"genbench: error: {error}", file=sys.stderr, flush=True)


def _dispatch(argv: list[str]) -> int:
    if argv[:1] == ["models"]:
        print(_models(builtin_catalogue()))
        return 0
    if argv[:1] == ["resume"]:
        return _resume(argv[1:])
    from hydra._internal.utils import get_args_parser

    args = get_args_parser().parse_args(argv)
    catalogue = builtin_catalogue(args.config_dir)
    if args.help:
        print(_help(catalogue))
        return 0
    jobs = [] if args.hydra_help or args.info or args.shell_completion else _check_jobs(args, catalogue)
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


# --- checking the command line ------------------------------------------------------------------------------------


def _check_jobs(args, catalogue: Catalogue) -> list[list[str]]:
    """The overrides of each job that the command asks for; UserError at the first that cannot run."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if args.multirun and args.cfg:
        raise UserError("--cfg", "shows the settings of one job, and -m asks for several", fix="leave out -m")
    parser = OverridesParser.create(config_loader=_config_loader(catalogue) if "glob(" in " ".join(args.overrides) else None)
    try:
        overrides = parser.parse_overrides(args.overrides)
        jobs = BasicSweeper.split_arguments(overrides, max_batch_size=None)[0] if args.multirun else [args.overrides]
    except HydraException as error:
        bad = next((o for o in args.overrides if "=" not in o), None)
        if bad is not None:
            commands = get_close_matches(bad, ["models", "resume"], n=1)
            hint = f"did you mean 'genbench {commands[0]}'?" if commands else "write settings as NAME=VALUE"
            raise UserError(bad, "neither a command nor a setting", fix=hint) from error
        raise UserError(
            "command line", str(error).splitlines()[0], fix="list values as NAME=1,2,3 and quote special characters: 'NAME=\"a b\"'"
        ) from error
    for override in overrides:
        if override.is_sweep_override() and not args.multirun:
            values = override.input_line.partition("=")[2]
            raise UserError(override.key_or_group, "several values make a sweep", values, "add -m to run each of them")
    for job in jobs:
        _check_job(parser.parse_overrides(job), catalogue)
        if "${" in "".join(job):
            _check_composed(job, catalogue)
    return jobs


def _config_loader(catalogue: Catalogue):
    """What knows the choices of a group, for `model=glob(*)`."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path

    search_path = create_config_search_path(str(catalogue.folders[-1]))
    for folder in catalogue.folders[:-1]:
        search_path.prepend("command-line", str(folder))
    return ConfigLoaderImpl(config_search_path=search_path)


def _check_composed(job: list[str], catalogue: Catalogue) -> None:
    """Check a job whose values refer to one another, which only a composed config resolves."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    own = [f"hydra.searchpath=[{','.join(str(f) for f in catalogue.folders[:-1])}]"]
    try:
        with initialize_config_dir(str(catalogue.folders[-1]), version_base="1.3"):
            config = OmegaConf.to_container(compose("config", overrides=[*job, *own]), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        bad = next((o for o in job if "${" in o), "settings")
        raise UserError(bad.partition("=")[0], str(error).splitlines()[0], bad, "refer to a setting that this run has") from error
    check(config, catalogue)


def _check_job(overrides, catalogue: Catalogue) -> None:
    overrides = [o for o in overrides if not o.key_or_group.startswith("hydra")]
    # Hydra's own defaults come from config.yaml; a group named on the command line replaces them.
    chosen = {group: _default_choice(catalogue, group) for group in GROUPS}
    for o in overrides:
        if o.key_or_group in GROUPS:
            chosen[o.key_or_group] = _choice(o, catalogue)
    known = known_settings(catalogue, **chosen)
    for o in overrides:
        name = o.key_or_group
        if name in GROUPS:
            continue
        value = None if o.is_delete() else o.value()
        shown = "" if o.is_delete() else o.input_line.partition("=")[2]
        if name not in known:
            raise unknown(name, shown, catalogue, **chosen)
        if o.is_delete():
            raise UserError(name, "a setting cannot be removed", o.input_line, f"leave it out to use {known[name].default}")
        if o.is_add() and not o.is_force_add():
            raise UserError(name, "the setting is there already", o.input_line, f"write {name}={shown}")
        if "${" not in o.input_line:
            known[name].check(value)


def _default_choice(catalogue: Catalogue, group: str) -> str:
    return next(d[group] for d in catalogue.value("config", "defaults") if isinstance(d, dict) and group in d)


def _choice(override, catalogue: Catalogue) -> str:
    group, choices = override.key_or_group, catalogue.names(override.key_or_group)
    value = override.value() if not override.is_delete() else None
    if value in choices:
        return value
    near = get_close_matches(str(value), choices, n=1)
    fix = f"{group}={near[0]}" if near else f"choose one of: {', '.join(choices)}"
    raise UserError(group, f"no such {group}", value, fix)


# --- running ------------------------------------------------------------------------------------------------------


def _run_hydra(argv: list[str], catalogue: Catalogue, jobs: int) -> int:
    global sweep
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

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
        print(f"\n{sweep.summary()}")
    return sweep.status


def job(cfg) -> None:
    """Run one experiment: the task Hydra calls, also in the worker processes of a parallel launcher."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    info = HydraConfig.get()
    user = [s.path for s in info.runtime.config_sources if s.provider == "command-line"]
    catalogue = Catalogue(user + [s.path for s in info.runtime.config_sources if s.provider == "main"])
    name = " ".join(info.overrides.task) or "default settings"
    if sweep is not None:
        sweep.started += 1
        if sweep.expected > 1:
            print(f"\njob {sweep.started} of {sweep.expected}: {name}", flush=True)
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
    run(config, folder, resume=f"genbench resume {quoted(folder)}{own}")


def _resume(argv: list[str]) -> int:
    config_dir = None
    if "--config-dir" in argv:
        at = argv.index("--config-dir")
        config_dir = argv[at + 1] if at + 1 < len(argv) else ""
        argv = argv[:at] + argv[at + 2 :]
    if not argv:
        raise UserError("resume", "needs a run directory", fix="genbench resume outputs/RUN")
    folder, changes = Path(argv[0]), argv[1:]
    file = folder / "config.yaml"
    if not file.is_file():
        raise UserError(str(folder), "is not a run directory", fix="give one that holds a config.yaml")
    import yaml

    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        name, dataset = config["model"]["name"], config["dataset"]["name"]
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise UserError(str(file), "is damaged", fix="run the command anew") from error
    catalogue = builtin_catalogue(config_dir)
    for group, choice in (("model", name), ("dataset", dataset)):
        if choice not in catalogue.names(group):
            raise UserError(group, f"no such {group}", choice, "give the --config-dir the run was started with")
        # Which code runs is for configs/ to say, never for a run directory, which may be somebody else's.
        part = {"model": "class", "dataset": "loader"}[group]
        config[group][part] = catalogue.value(f"{group}/{choice}", f"{group}.{part}")
    for change in changes:
        key, _, value = change.partition("=")
        if key != "epochs":
            raise UserError(key, "only epochs may change when a run is resumed", change, "start a new run")
        config["epochs"] = int(value) if value.isdigit() else value
    execute(config, folder, catalogue)
    return 0


# --- help ---------------------------------------------------------------------------------------------------------


def _help(catalogue: Catalogue) -> str:
    """Every setting once, under the models or datasets that have it, with the default that holds in each."""
    lines = [__doc__.partition("\n\nExit")[0].partition("\n\n")[2]]
    for group in GROUPS:
        lines += ["", f"{group}=NAME"]
        lines += _table([(c, " ".join(catalogue.about(f"{group}/{c}")[:1])) for c in catalogue.names(group)])
    shared = catalogue.shared()
    users: dict[Setting, dict[str, object]] = {s: {} for s in shared.values()}
    for group in GROUPS:
        for choice in catalogue.names(group):
            for setting in catalogue.settings(f"{group}/{choice}").values():
                declared = replace(setting, default=None)
                users.setdefault(declared, {})[f"{group}={choice}"] = setting.default
    for setting in shared.values():
        for group in GROUPS:
            for choice in catalogue.names(group):
                default = catalogue.value(f"{group}/{choice}", setting.name)
                if default is not None:
                    users[setting][f"{group}={choice}"] = default
    sections: dict[str, list] = {}
    for setting, defaults in users.items():
        if setting.name in shared:
            title, default = "every run", [_plain(setting.default)] + [f"{c} {_plain(v)}" for c, v in defaults.items()]
        else:
            title, default = _who(defaults, catalogue), _defaults(defaults)
        text = f"{setting.meaning} [{setting.allowed}; default {', '.join(default)}]"
        sections.setdefault(title, []).append((setting.name, text))
    for title, rows in sections.items():
        lines += [""] + textwrap.wrap(f"Settings of {title}", _width()) + _table(rows)
    return "\n".join(lines + ["", "genbench --hydra-help explains Hydra's own options, such as -m, --cfg and --config-dir."])


def _who(defaults: dict[str, object], catalogue: Catalogue) -> str:
    group = next(iter(defaults)).partition("=")[0]
    names = [choice.partition("=")[2] for choice in defaults]
    return f"every {group}" if names == catalogue.names(group) else f"{group}={', '.join(names)}"


def _defaults(defaults: dict[str, object]) -> list[str]:
    """The commonest default, then the exceptions by name."""
    values = [_plain(v) for v in defaults.values()]
    common = max(values, key=values.count)
    return [common] + [f"{c.partition('=')[2]} {_plain(v)}" for c, v in defaults.items() if _plain(v) != common]


def _plain(value) -> str:
    return "null" if value is None else str(value)


def _models(catalogue: Catalogue) -> str:
    rows = []
    for name in catalogue.names("model"):
        own = sorted(catalogue.settings(f"model/{name}"))
        rows.append((name, " ".join(catalogue.about(f"model/{name}")) + f" Settings: {', '.join(own)}."))
    return "\n".join(_table(rows))


def _table(rows: list[tuple[str, str]]) -> list[str]:
    gap = max((len(name) for name, _ in rows), default=0) + 4
    return [
        line
        for name, text in rows
        for line in textwrap.wrap(text, _width(), initial_indent=f"  {name}".ljust(gap), subsequent_indent=" " * gap) or [f"  {name}"]
    ]


def _width() -> int:
    return max(60, min(120, get_terminal_size().columns))


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

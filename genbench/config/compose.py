"""Checking a command line before anything starts: every job, every setting, without torch and mostly without Hydra."""

import itertools
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from genbench.config.data_folders import require_folders
from genbench.config.registry import CODE, GROUPS, Registry
from genbench.config.settings import Loader, Settings, nearest
from genbench.config.validation import check, known_settings, require_one_length, unknown
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.files import Unreadable, parse_yaml, read_yaml
from genbench.utils.schema import CONFIG

MOST_JOBS = 100_000  # of a sweep: each has a folder, and its settings are checked before the first one starts
# What makes Hydra itself write into the folders of runs, without regard to what is there.
HYDRAS_FILES = re.compile(
    r"hydra([./](output_subdir|job_logging|hydra_logging)\b.*|\.(mode|output)\b.*|/output)"
)


def check_request(args, registry: Registry, commands: Iterable[str]) -> list[list[str]]:
    """The overrides of each job that `args` ask for; UserError at the first that cannot run.

    `commands` are the words that would have been a command of their own, had they come first.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    _check_hydras(args.overrides)
    if any(o.startswith("hydra/sweeper=") for o in args.overrides):
        return []  # another sweeper chooses its jobs as it goes; each is checked when it starts
    if args.multirun and args.cfg:
        raise UserError(
            "--cfg", "shows the settings of one job, and -m asks for several", fix="leave out -m"
        )
    for word in args.overrides:
        if "=" not in word and not word.startswith("~"):
            choices = [f"{group}={word}" for group in GROUPS if word in registry.names(group)]
            meant = choices[0] if choices else nearest(word, commands)
            before = "".join(args.overrides[: args.overrides.index(word)])
            hint = f"did you mean 'genbench {meant}'?" if meant else "write settings as NAME=VALUE"
            if before.count("[") > before.count("]"):
                hint = "a value with spaces needs quotes, such as 'NAME=[1, 2]', or no spaces: NAME=[1,2]"
            raise UserError(word, "neither a command nor a setting", fix=hint)
    parser = OverridesParser.create(
        config_loader=_config_loader(registry) if "glob(" in " ".join(args.overrides) else None
    )
    try:
        overrides = parser.parse_overrides(args.overrides)
        _check_count(overrides)
        jobs = (
            BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]
            if args.multirun
            else [args.overrides]
        )
    except RecursionError as error:
        raise UserError(
            "command line", "a value is nested too deeply", fix="write settings as NAME=VALUE"
        ) from error
    except HydraException as error:
        hint = "list values as NAME=1,2,3 and quote special characters: 'NAME=\"a b\"'"
        raise UserError("command line", str(error).splitlines()[0], fix=hint) from error
    for override in overrides:
        if override.is_sweep_override() and not args.multirun:
            values = override.input_line.partition("=")[2]
            raise UserError(
                override.key_or_group,
                "several values make a sweep",
                values,
                "add -m to run each of them",
            )
    for job in jobs:
        signals.check()
        _check_job(parser.parse_overrides(job), registry)
        if "${" in "".join(job):
            resolved(job, registry)
    return jobs


def _check_hydras(words: Iterable[str]) -> None:
    """UserError for words to Hydra that name no folder, or let it write files of its own into the folders of runs."""
    for word in words:
        name, _, value = re.sub(r"^[+~\s]+", "", word).partition("=")
        if name in ("hydra.run.dir", "hydra.sweep.dir") and value.strip(" '\"") in ("", "null"):
            raise UserError(name, "names no folder", word, f"write {name}=FOLDER, or leave it out")
        if HYDRAS_FILES.fullmatch(name) and value not in ("null", "none", "disabled"):
            fix = "leave it out; a run keeps its settings and its log itself, and -m makes a sweep"
            raise UserError(name, "is not for a command of genbench to set", value, fix)


def _check_count(overrides: list) -> None:
    """UserError for a sweep of more jobs than anybody can run, before they are listed."""
    count = math.prod(map(_choices, (o for o in overrides if o.is_sweep_override())))
    if count > MOST_JOBS:
        shown = f"{count:,}" if count < 10**15 else f"{count:.3g}"
        raise UserError(
            "command line",
            f"asks for {shown} jobs, and a sweep has at most {MOST_JOBS:,}",
            fix="give fewer values",
        )


def _choices(override) -> float:
    """How many values a setting is given."""
    from hydra.core.override_parser.types import RangeSweep

    value = override.value()
    if not override.is_discrete_sweep():
        return 1
    if not isinstance(value, RangeSweep):
        return len([*itertools.islice(override.sweep_iterator(), MOST_JOBS + 1)])
    try:
        return max(0, math.ceil((value.stop - value.start) / value.step))
    except ZeroDivisionError:
        raise UserError(
            override.key_or_group,
            "a range has a step other than 0",
            override.input_line,
            "leave the step out",
        ) from None
    except (OverflowError, ValueError):
        return math.inf


def quoted_words(words: list[str]) -> list[str]:
    """The settings of a command line with quotes around letters beyond ASCII, which Hydra's grammar wants there."""
    return [word if word.isascii() else _quoted(word) for word in words]


def _quoted(word: str) -> str:
    name, equals, value = word.partition("=")
    if not equals or re.search(r"[\[\]{}()'\"\\$]", value):
        return word
    return f"{name}={','.join(piece if piece.isascii() else typed(piece) for piece in value.split(','))}"


def _config_loader(registry: Registry):
    """What knows the choices of a group, for `model=glob(*)`."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path

    search_path = create_config_search_path(str(registry.folders[-1]))
    for folder in registry.folders[:-1]:
        search_path.prepend("command-line", str(folder))
    return ConfigLoaderImpl(config_search_path=search_path)


@contextmanager
def _composing(registry: Registry) -> Iterator[list[str]]:
    """Hydra is ready to compose from the catalogue's folders; the override that it needs for a user's own."""
    from hydra import initialize_config_dir

    from genbench.config import resolvers  # noqa: F401 (registers the resolvers that config.yaml uses)

    folders = [
        str(folder).replace("\\", "\\\\").replace('"', '\\"') for folder in registry.folders[:-1]
    ]
    with initialize_config_dir(str(registry.folders[-1]), version_base="1.3"):
        yield ["hydra.searchpath=[" + ",".join(f'"{folder}"' for folder in folders) + "]"]


def composed(overrides: list[str], registry: Registry) -> dict:
    """The config that Hydra composes from these overrides, as plain values."""
    from hydra import compose
    from omegaconf import OmegaConf

    with undamaged_configs(), _composing(registry) as own:
        return OmegaConf.to_container(compose("config", overrides=[*overrides, *own]), resolve=True)


@contextmanager
def undamaged_configs() -> Iterator[None]:
    """UserError where Hydra stumbles over a file that only it reads."""
    try:
        yield
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise UserError(
            "--config-dir", f"holds a file that is damaged: {error}", fix="correct it"
        ) from error


def sweep_folder(overrides: list[str], registry: Registry) -> Path:
    """Where a sweep with these overrides has its jobs' folders."""
    if any(re.match(r"[+~\s]*hydra\.sweep\.subdir\b", o) for o in overrides):
        what = "a sweep names its folders by the settings of its jobs"
        raise UserError(
            "hydra.sweep.subdir",
            what,
            fix="leave it out; hydra.sweep.dir=FOLDER chooses the folder they are in",
        )
    with _with_hydras(overrides, registry, is_sweep=True) as hydras:
        return Path(os.path.abspath(str(hydras.sweep.dir)))


def require_no_files_of_hydra(overrides: list[str], registry: Registry) -> None:
    """UserError where configs of one's own let Hydra write files of its own into the folder of a run."""
    with _with_hydras(overrides, registry, is_sweep=False):
        pass


@contextmanager
def _with_hydras(overrides: list[str], registry: Registry, is_sweep: bool) -> Iterator[Any]:
    """Hydra's own settings beside these overrides. UserError where they make it write into the folders of runs."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    try:
        with undamaged_configs(), _composing(registry) as own:
            hydra, mode = (
                GlobalHydra.instance().hydra,
                RunMode.MULTIRUN if is_sweep else RunMode.RUN,
            )
            config = hydra.compose_config(
                "config", [*overrides, *own], mode, with_log_configuration=False
            )
            HydraConfig.instance().set_config(config)
            hydras = config.hydra
            logging = [
                name
                for name in ("job_logging", "hydra_logging")
                if (hydras[name] or {}).get("handlers")
            ]
            for name in ["output_subdir"] * (hydras.output_subdir is not None) + logging:
                fix = f"remove hydra.{name} from the files in {registry.folders[0]}, or set it to null or none as in config.yaml"
                raise UserError(
                    f"hydra.{name}",
                    "lets Hydra write files of its own into the folders of runs",
                    fix=fix,
                )
            yield hydras
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError("settings", str(error), fix="see 'genbench --help'") from error


def is_hydras(override: str) -> bool:
    """Whether an override is for Hydra itself: where to run and how, not what."""
    return re.match(r"[+~\s]*hydra\b", override) is not None


def absolute(overrides: list[str], configs: Iterable[dict], registry: Registry) -> list[str]:
    """The overrides of jobs with these configs, such that they mean the same in any working directory."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    chosen = {f"{group}/{config[group]['name']}" for config in configs for group in GROUPS}
    settings = {
        name: setting for choice in chosen for name, setting in registry.settings(choice).items()
    }
    parser, found = OverridesParser.create(), []
    for override in overrides:
        key = override.partition("=")[0]
        setting = settings.get(key.lstrip("+"))
        if (
            setting
            and "folder" in [kind for kind, _ in setting.alternatives]
            and "${" not in override
        ):
            (jobs,) = BasicSweeper.split_arguments([parser.parse_override(override)], None)
            values = [parser.parse_override(job).value() for (job,) in jobs]
            override = f"{key}={','.join(typed(os.path.abspath(os.path.expanduser(value))) for value in values)}"
        found.append(override)
    return found


def typed(text: str) -> str:
    """A text as a value that Hydra's grammar reads as it is."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return (
        text
        if re.fullmatch(r"[\w/.-]+", text, re.ASCII)
        else QuotedString(text, Quote.double).with_quotes()
    )


def configured(given: Mapping[str, Any], registry: Registry) -> dict:
    """The checked config of a run with these settings by dotted name; a model or dataset of None is the usual one.

    UserError for what the command line would refuse.
    """
    chosen = {
        group: _choice(group, given.get(group) or registry.default_choice(group), registry)
        for group in GROUPS
    }
    named = {name: value for name, value in given.items() if name not in GROUPS}
    config = _composed_once(
        tuple(f"{group}={choice}" for group, choice in chosen.items()), registry
    )
    # Composed without what is given, so that values keep their types; the defaults that go with it come from here.
    defaults = {
        name: setting.default
        for name, setting in known_settings(registry, **chosen, values=named).items()
    }
    return check(config, registry, defaults | named)


@lru_cache(maxsize=32)  # Hydra takes a tenth of a second
def _composed_once(overrides: tuple[str, ...], registry: Registry) -> dict:
    return composed([*overrides], registry)


def resolved(job: list[str], registry: Registry) -> dict:
    """The checked config of a job of the command line, as Hydra would compose it; UserError if it cannot run."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if not any("${" in o or o.startswith(("+", "~")) for o in job):
        return configured(
            {o.key_or_group: o.value() for o in OverridesParser.create().parse_overrides(job)},
            registry,
        )
    try:
        config = composed(job, registry)
    except (HydraException, OmegaConfBaseException) as error:
        bad = next((o for o in job if "${" in o), "settings")
        raise UserError(
            bad.partition("=")[0],
            str(error).splitlines()[0],
            bad,
            "refer to a setting that this run has",
        ) from error
    return check(config, registry)


def recorded(folder: Path, registry: Registry) -> dict:
    """The checked config of a run that its directory holds. UserError if it is lost or damaged, or of another version."""
    file = folder / "config.yaml"
    if not os.path.lexists(file):
        raise UserError(
            str(folder), "is not a run directory", fix="give one that holds a config.yaml"
        )
    again = f"repeat the run's own command with hydra.run.dir={folder}"
    try:
        config = read_yaml(file, CONFIG)
    except Unreadable as error:
        raise UserError(str(file), error.what, fix=again) from error
    for group in GROUPS:
        choice = config[group]["name"]
        if choice not in registry.names(group):
            raise UserError(
                group, f"no such {group}", choice, "give the --config-dir the run was started with"
            )
        # Which code runs is for configs/ to say, never for a run directory, which may be somebody else's.
        registry.require_named(group, choice)
        config[group][CODE[group]] = registry.value(f"{group}/{choice}", f"{group}.{CODE[group]}")
    try:
        return check(config, registry)
    except UserError as error:
        raise UserError(
            str(file),
            f"is damaged, or of another version: {error.key}: {error.what}",
            error.got,
            again,
        ) from error


def given(name: str, text: str) -> Any:
    """The value that is given to an option on the command line, as YAML has it; the text itself where that is none."""
    try:
        return parse_yaml(text, name, Loader)
    except Unreadable:
        return text


def options(command: str, words: list[str], registry: Registry) -> tuple[Path, Settings]:
    """The folder of a run and the checked options, that the words `RUN [NAME=VALUE ...]` give a command.

    The options are those that configs/command/ declares; the ones that are not given are at their defaults.
    """
    known = registry.own_first(f"command/{command}")
    if not words or ("=" in words[0] and words[0].partition("=")[0] in known):
        raise UserError(
            command, "needs the directory of a finished run", fix=f"genbench {command} outputs/RUN"
        )
    values = {name: setting.default for name, setting in known.items()}
    for word in words[1:]:
        name, equals, text = word.partition("=")
        if name not in known or not equals:
            near = nearest(name, known)
            fix = (
                f"did you mean '{near}={known[near].words()[0]}'?"
                if near
                else f"it has {', '.join(known)}"
            )
            raise UserError(name, f"{command} has no such option", word, fix)
        values[name] = given(name, text)
    return Path(words[0]), Settings(
        {name: setting.check(values[name], values) for name, setting in known.items()}
    )


def _check_job(overrides, registry: Registry) -> None:
    overrides = [o for o in overrides if not o.key_or_group.startswith("hydra")]
    # Hydra's own defaults come from config.yaml; a group named on the command line replaces them.
    chosen = {group: registry.default_choice(group) for group in GROUPS}
    for o in overrides:
        if o.key_or_group in GROUPS:
            chosen[o.key_or_group] = _choice(
                o.key_or_group, None if o.is_delete() else o.value(), registry
            )
    given = {o.key_or_group: o.value() for o in overrides if not o.is_delete()}
    known = known_settings(registry, **chosen, values=given)
    values = {name: setting.default for name, setting in known.items()}
    for o in overrides:
        name = o.key_or_group
        if name in GROUPS:
            continue
        shown = "" if o.is_delete() else o.input_line.partition("=")[2]
        if name not in known:
            raise unknown(name, shown, registry, **chosen)
        if o.is_delete():
            raise UserError(
                name,
                "a setting cannot be removed",
                o.input_line,
                f"leave it out to use {known[name].default}",
            )
        if o.is_add() and not o.is_force_add():
            raise UserError(
                name,
                "the setting is there already, so + cannot add it",
                o.input_line,
                f"write {name}={shown}",
            )
        values[name] = o.value()
    if any("${" in o.input_line for o in overrides):
        return  # what values refer to is known, and checked, once the job is composed
    for name in [
        *given,
        *values,
    ]:  # what was given first: its faults are told before what is missing
        if name in known:
            known[name].check(values[name], values)
    require_one_length(values, known)
    require_data(values, chosen["dataset"], registry)


def require_data(values: Mapping[str, Any], dataset: str, registry: Registry) -> None:
    """UserError where the folders among these settings, by dotted name, do not hold the dataset."""
    known = registry.settings(f"dataset/{dataset}")
    require_folders(values, known, registry.value(f"dataset/{dataset}", "dataset.loader") or "")


def _choice(group: str, value: Any, registry: Registry) -> str:
    choices = registry.names(group)
    if value in choices:
        registry.require_named(group, value)
        return value
    near = nearest(str(value), choices)
    fix = f"{group}={near}" if near else f"choose one of: {', '.join(choices)}"
    raise UserError(group, f"no such {group}", value, fix)

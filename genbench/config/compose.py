"""Composing configs by Hydra: those of runs as checked values, and Hydra's own settings."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genbench.config import resolvers  # noqa: F401 (registers those that config.yaml uses)
from genbench.config.choice_files import GROUPS, no_choice
from genbench.config.experiments import EXPERIMENT, with_experiment
from genbench.config.nodes import hide_stored, store_settings
from genbench.config.other_names import with_declared_names
from genbench.config.overrides import check_hydras_words, parsed
from genbench.config.registry import Registry
from genbench.config.validation import check_config, known_settings
from genbench.utils.errors import UserError

CONFIG_NAME = "config"  # the file with which composing begins
VERSION_BASE = "1.3"  # the version of Hydra whose defaults hold, such as for the working directory
USERS = "command-line"  # what Hydra calls the folder that --config-dir names


@contextmanager
def hydra_ready(registry: Registry) -> Iterator[tuple[Any, list[str]]]:
    """Hydra, ready to compose from the registry's folders; and the overrides that it needs for it.

    As in the registry, the files of an earlier folder hide those of a later one. UserError for what
    Hydra or a file that only Hydra reads is to blame for.
    """
    *users, builtin = map(str, registry.folders)
    store_settings(registry)
    outer = GlobalHydra.instance().hydra  # which is running a sweep that asks for more
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(builtin, job_name="genbench", version_base=VERSION_BASE):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None  # it has just been initialized, and plugins are imported
            hide_stored(registry.folders[-1])
            search_path = hydra.config_loader.get_search_path()
            for folder in users:
                search_path.prepend(USERS, folder, SearchPathQuery(provider="main"))
            # Hydra looks at the search path again only where something is added to it.
            yield hydra, ["hydra.searchpath=[]"] * bool(users)
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise UserError(
            "--config-dir", f"holds a file that is damaged: {error}", fix="correct it"
        ) from error
    except MissingConfigException as error:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        names = ", ".join(error.options or [])
        fix = f"choose one of: {names}" if names else "give one that is there"
        raise UserError(group, "has no such choice", choice, fix) from error
    except (HydraException, OmegaConfBaseException) as error:
        text = str(error) or str(error.__cause__)
        fix = "'genbench --cfg hydra' shows Hydra's settings, 'genbench --help' all others"
        raise UserError("settings", text, fix=fix) from error
    finally:
        GlobalHydra.instance().clear()
        if outer is not None:
            GlobalHydra.instance().initialize(outer)


def composed(overrides: list[str], registry: Registry) -> dict:
    """The config that Hydra composes from these overrides, as plain values."""
    with hydra_ready(registry) as (_, own):
        return plain_values(compose(CONFIG_NAME, [*own, *overrides]))


def plain_values(config: DictConfig, resolve: bool = True) -> dict:
    """A composed config as plain values, with its references to other values resolved or kept."""
    content = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(content, dict)  # a config is no list
    return content


def hydra_settings(overrides: list[str], registry: Registry, is_sweep: bool) -> Any:
    """Hydra's own settings beside these overrides of a run, or of a job of a sweep.

    UserError where they make Hydra write files of its own into the folders of runs.
    """
    check_hydras_words(overrides)
    with hydra_ready(registry) as (hydra, own):
        mode = RunMode.MULTIRUN if is_sweep else RunMode.RUN
        config = hydra.compose_config(CONFIG_NAME, [*own, *overrides], mode)
        HydraConfig.instance().set_config(config)
        require_no_hydra_files(config.hydra, registry)
        return config.hydra


def require_no_hydra_files(settings: Any, registry: Registry) -> None:
    """UserError where Hydra's own settings make it write into the folders of runs."""
    logging = [settings[name] for name in ("job_logging", "hydra_logging")]
    writes = {
        "output_subdir": settings.output_subdir is not None,
        "job_logging": bool(logging[0] and logging[0].get("handlers")),
        "hydra_logging": bool(logging[1] and logging[1].get("handlers")),
    }
    for name, does in writes.items():
        if does:
            raise UserError(
                f"hydra.{name}",
                "lets Hydra write files of its own into the folders of runs",
                fix=f"remove hydra.{name} from the files in {registry.folders[0]},"
                " or set it to null or none as in config.yaml",
            )


def sweep_folder(overrides: list[str], registry: Registry) -> Path:
    """Where a sweep with these overrides has its jobs' folders."""
    return Path(os.path.abspath(str(hydra_settings(overrides, registry, is_sweep=True).sweep.dir)))


def configured(given: Mapping[str, Any], registry: Registry) -> dict:
    """The checked config of a run with these settings by dotted name; a model or dataset of None
    is the usual one.

    UserError for what the command line would refuse.
    """
    given = with_declared_names(with_experiment(given, registry), registry)
    chosen = {
        group: require_choice(group, given.get(group) or registry.default_choice(group), registry)
        for group in GROUPS
    }
    named = {name: value for name, value in given.items() if name not in GROUPS}
    config = _composed_once(
        tuple(f"{group}={choice}" for group, choice in chosen.items()), registry
    )
    # Composed without what is given, so that values keep their types; the defaults that go with
    # it come from here.
    defaults = {
        name: setting.default
        for name, setting in known_settings(registry, **chosen, values=named).items()
    }
    return check_config(config, registry, defaults | named)


@lru_cache(maxsize=256)  # Hydra takes a tenth of a second
def _composed_once(overrides: tuple[str, ...], registry: Registry) -> dict:
    return composed([*overrides], registry)


def resolved(job: list[str], registry: Registry) -> dict:
    """The checked config of a job of the command line, as Hydra would compose it; UserError if it
    cannot run.
    """
    plain = not any("${" in word or word.startswith(("+", "~")) for word in job)
    if plain:
        given = {override.key_or_group: override.value() for override in parsed(job)}
        preset = with_experiment({EXPERIMENT: given.get(EXPERIMENT)}, registry)
        if not any("${" in str(value) for value in preset.values()):
            return configured(given, registry)
    try:
        config = composed(job, registry)
    except UserError as error:
        if error.key != "settings":
            raise
        by_file = [word for word in job if word.startswith(f"{EXPERIMENT}=")]
        bad = [*(word for word in job if "${" in word), *by_file, "settings"][0]
        fix = "refer to a setting that this run has, or to a variable that is set"
        raise UserError(bad.partition("=")[0], error.what.splitlines()[0], bad, fix) from error
    return check_config(config, registry)


def require_choice(group: str, value: Any, registry: Registry) -> str:
    """The name of a choice of this group. UserError if there is none of this name."""
    choices = registry.names(group)
    if value in choices:
        registry.require_named(group, value)
        return value
    raise no_choice(group, value, choices)

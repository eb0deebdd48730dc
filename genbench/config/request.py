"""Checks a whole command before anything starts: every job and setting, without torch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override

from genbench.config.choice_files import GROUPS, require_typable
from genbench.config.compose import composed, require_choice, resolved
from genbench.config.data_folders import require_folders
from genbench.config.experiments import EXPERIMENT, preset_of, with_experiment
from genbench.config.overrides import check_hydras_words, hydra_value, is_hydras, jobs_of, parsed
from genbench.config.registry import Registry
from genbench.config.validation import (
    check_config,
    known_settings,
    require_agreement,
    require_one_length,
    unknown,
)
from genbench.config.values import flatten
from genbench.settings.names import nearest
from genbench.settings.sweep import SWEEP_OPTIONS
from genbench.utils import signals
from genbench.utils.errors import UserError


def check_request(
    words: list[str], registry: Registry, commands: Iterable[str] = (), is_sweep: bool = False
) -> list[list[str]]:
    """The overrides of each job that these overrides ask for; UserError at the first that cannot
    run.

    `commands` are the words that would have been a command of their own, had they come first.
    """
    require_setting_words(words, registry, commands)
    overrides = parsed(words)
    for override in overrides:
        if override.is_sweep_override() and not is_sweep:
            values = (override.input_line or "").partition("=")[2]
            raise UserError(
                override.key_or_group,
                "several values make a sweep",
                values,
                "add -m to run each of them",
            )
        name = override.key_or_group
        if name in SWEEP_OPTIONS and not registry.owners(name):
            raise UserError(name, "is an option of a sweep", override.input_line, "add -m")
    require_given_once(overrides)
    jobs = jobs_of(words, registry) if is_sweep else [words]
    checked: set[str] = set()
    for job in jobs:
        signals.check()
        check_job(job, registry, checked)
    if not jobs:
        fix = "give a value that there is for each setting"
        raise UserError("-m", "makes no job of these values", " ".join(words), fix)
    return jobs


def require_setting_words(
    words: Sequence[str], registry: Registry, commands: Iterable[str] = ()
) -> None:
    """UserError for a word that sets nothing, or that sets what is not a command's to set."""
    check_hydras_words(words)
    for word in words:
        if "=" not in word and not word.startswith("~"):
            raise _no_setting(word, words, registry, commands)


def require_given_once(overrides: Iterable[Override]) -> None:
    """UserError for a setting that is given twice, as one of the values would be lost."""
    given: dict[str, str] = {}
    for override in overrides:
        name, line = override.get_key_element(), override.input_line or ""
        key = name.lstrip("+~")
        if key in given and not is_hydras(line):
            what = f"is given twice, as {given[key]} and as {line}"
            values = ",".join(one.partition("=")[2] for one in (given[key], line))
            raise UserError(key, what, fix=f"give it once; -m {key}={values} runs both")
        given[key] = line


def _no_setting(
    word: str, words: Sequence[str], registry: Registry, commands: Iterable[str]
) -> UserError:
    """The error for a word that sets nothing."""
    choices = [f"{group}={word}" for group in GROUPS if word in registry.names(group)]
    meant = choices[0] if choices else nearest(word, commands)
    hint = f"did you mean 'genbench {meant}'?" if meant else "write settings as NAME=VALUE"
    before = "".join(words[: words.index(word)])
    if before.count("[") > before.count("]"):
        hint = "a value with spaces needs quotes, such as 'NAME=[1, 2]', or no spaces: NAME=[1,2]"
    return UserError(word, "neither a command nor a setting", fix=hint)


def check_job(job: list[str], registry: Registry, checked: set[str] | None = None) -> None:
    """UserError if a job with these overrides cannot run.

    `checked` grows by the data that were looked at, so that jobs look once at the same.
    """
    values, dataset = checked_settings(job, registry)
    checked = set() if checked is None else checked
    data = str([dataset, *(f"{n}={v}" for n, v in values.items() if n.startswith("dataset."))])
    if data not in checked:
        require_data(values, dataset, registry)
        checked.add(data)


def checked_settings(job: list[str], registry: Registry) -> tuple[dict[str, Any], str]:
    """The checked settings of a job with these overrides, by dotted name, and its dataset.

    UserError for what is not allowed. The folders of the data are not looked at.
    """
    overrides = [o for o in parsed(job) if not o.key_or_group.startswith("hydra")]
    named = {o.key_or_group: None if o.is_delete() else o.value() for o in overrides}
    preset = with_experiment({EXPERIMENT: named.get(EXPERIMENT)}, registry)
    # A choice on the command line replaces the experiment's, and both that of config.yaml.
    chosen = {group: registry.default_choice(group) for group in GROUPS}
    chosen |= {
        group: require_choice(group, preset[group], registry) for group in GROUPS if group in preset
    }
    for o in overrides:
        if o.key_or_group in GROUPS:
            chosen[o.key_or_group] = require_choice(
                o.key_or_group, None if o.is_delete() else o.value(), registry
            )
    given = {o.key_or_group: o.value() for o in overrides if not o.is_delete()}
    given = {name: value for name, value in given.items() if name != EXPERIMENT}
    preset = {name: value for name, value in preset.items() if name not in GROUPS}
    given = preset | given
    known = known_settings(registry, **chosen, values=given)
    values = {name: setting.default for name, setting in known.items()}
    for name, value in preset.items():
        if name not in known:
            raise unknown(name, value, registry, **chosen)
    values |= preset
    for o in overrides:
        name = o.key_or_group
        if name in (*GROUPS, EXPERIMENT):
            continue
        shown = "" if o.is_delete() else (o.input_line or "").partition("=")[2]
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
    if "${" in str([o.input_line for o in overrides] + [*preset.values()]):
        # What values refer to is known once the job is composed.
        return flatten(resolved(job, registry)), chosen["dataset"]
    for name in [
        *given,
        *values,
    ]:  # what was given first: its faults are told before what is missing
        if name in known:
            values[name] = known[name].check(values[name], values)
    require_one_length(values, known)
    require_agreement(values, chosen["dataset"], registry)
    return values, chosen["dataset"]


def require_typable_choices(words: Iterable[str], registry: Registry) -> None:
    """UserError where a word of the command chooses a file by a name that Hydra reads otherwise."""
    for word in words:
        group, _, choice = word.lstrip("+").partition("=")
        if group in (*GROUPS, EXPERIMENT) and choice in registry.names(group):
            require_typable(group, choice)


def check_experiment(name: str, registry: Registry) -> list[str]:
    """What a command must give beside an experiment, such as `dataset.root=FOLDER`, if anything.

    UserError if it could not run: Hydra composes it here, as for a run.
    """
    require_typable(EXPERIMENT, name)
    preset = preset_of(name, registry)
    chosen = {
        group: require_choice(group, preset.get(group) or registry.default_choice(group), registry)
        for group in GROUPS
    }
    known = known_settings(registry, **chosen, values=preset)
    missing = [
        setting.example
        for setting in known.values()
        if setting.required and preset.get(setting.name) is None
    ]
    job = [f"{EXPERIMENT}={hydra_value(name)}", *missing]
    if missing:
        checked_settings(job, registry)  # without the data, which it does not name
    else:
        check_job(job, registry)
    check_config(composed(job, registry), registry)
    return missing


def require_data(values: Mapping[str, Any], dataset: str, registry: Registry) -> None:
    """UserError where the folders among these settings, by dotted name, do not hold the dataset."""
    known = registry.settings(f"dataset/{dataset}")
    require_folders(values, known, registry.value(f"dataset/{dataset}", "dataset.loader") or "")

"""Which models and datasets have a setting, and the default that each of them gives it."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from genbench.config.choice_files import GROUPS
from genbench.config.registry import Registry
from genbench.config.validation import known_settings
from genbench.settings.base import auto_of
from genbench.settings.fields import ConditionalDefault
from genbench.settings.setting import Setting, written


@lru_cache(maxsize=4)  # completion and help ask again and again
def declared_settings(registry: Registry) -> dict[Setting, dict[str, Any]]:
    """Every setting, its default left out, and the default that each `model=NAME` or
    `dataset=NAME` gives it.

    The default of a setting of every run is that of "".
    """
    shared = {
        replace(setting, default=None): {"": setting.default}
        for setting in registry.shared().values()
    }
    found = {**shared}
    for group in GROUPS:
        for choice in registry.readable(group):
            path = f"{group}/{choice}"
            for setting, defaults in shared.items():
                value = registry.value(path, setting.name)
                if value is not None:
                    defaults |= _by_condition(f"{group}={choice}", value, registry)
            for setting in registry.settings(path).values():
                found.setdefault(replace(setting, default=None), {}).update(
                    _by_condition(f"{group}={choice}", setting.default, registry)
                )
    return found


def usual_default(default: Any, choice: str, registry: Registry) -> tuple[Any, dict[str, Any]]:
    """The default of a choice where the command sets nothing else, and others by `NAME=VALUE`."""
    if not isinstance(default, ConditionalDefault):
        return default, {}
    usual = default.resolved(_plain_values(choice, registry).get)
    # The last condition says enough: those before it hold for most models and data.
    others = {
        " ".join(f"{name}={value}" for name, value in [*conditions.items()][-1:]): other
        for conditions, other in default.cases
    }
    return usual, {condition: other for condition, other in others.items() if other != usual}


@lru_cache(maxsize=256)  # each setting of a choice depends on the same
def _plain_values(choice: str, registry: Registry) -> dict[str, Any]:
    """What a default can depend on, in a command that only makes this choice."""
    chosen = {group: registry.default_choice(group) for group in GROUPS}
    group, _, name = choice.partition("=")
    chosen[group] = name
    known = known_settings(registry, chosen["model"], chosen["dataset"])
    kind = registry.value(f"dataset/{chosen['dataset']}", "dataset.kind")
    return {name: setting.default for name, setting in known.items()} | {"dataset.kind": kind}


def _by_condition(choice: str, default: Any, registry: Registry) -> dict[str, Any]:
    """The defaults of a choice: the usual one by its name, others by its name and `NAME=VALUE`."""
    usual, others = usual_default(default, choice, registry)
    return {
        choice: usual,
        **{f"{choice} {condition}": other for condition, other in others.items()},
    }


def owners(defaults: dict[str, Any]) -> list[str]:
    """The choices that a setting belongs to, or that change it."""
    return [choice for choice in defaults if choice and " " not in choice]


def owners_in_words(defaults: dict[str, Any], registry: Registry) -> str:
    """Who has a setting: every run, every model or dataset, or those that are named."""
    if "" in defaults:
        return "every run"
    group = next(iter(defaults)).partition("=")[0]
    names = [choice.partition("=")[2] for choice in owners(defaults)]
    return f"every {group}" if names == registry.readable(group) else f"{group}={', '.join(names)}"


def defaults_in_words(defaults: dict[str, Any]) -> str:
    """The default of every run, or else the commonest, then the exceptions."""
    own = owners(defaults)
    values = [written(defaults[owner]) for owner in own]
    usual = written(defaults[""]) if "" in defaults else max(values, key=values.count)
    others = {owner: defaults[owner] for owner in own if written(defaults[owner]) != usual}
    return "; ".join([usual, *exceptions(others), *_conditional(defaults)])


def _conditional(defaults: dict[str, Any]) -> list[str]:
    """The defaults that depend on another setting: `mlp with dataset.kind=vectors` if all have it
    then, and otherwise by those that do.
    """
    found = []
    conditions = dict.fromkeys(choice.partition(" ")[2] for choice in defaults if " " in choice)
    for condition in conditions:
        everywhere = ["", *owners(defaults)] if "" in defaults else owners(defaults)
        then = {f"{choice} {condition}": defaults[choice] for choice in everywhere}
        own = {choice: defaults[choice] for choice in then if choice in defaults}
        alike = {written(value) for value in (then | own).values()}
        found += [f"{alike.pop()} with {condition}"] if len(alike) == 1 else exceptions(own)
    return found


def exceptions(defaults: dict[str, Any]) -> list[str]:
    """`100 with dataset=grid, ring`, and so on."""
    found: dict[tuple[str, str], list[str]] = {}
    for choice, value in defaults.items():
        group, _, name = choice.partition("=")
        found.setdefault((written(value), group), []).append(name)
    return [
        f"{value} with {group}={', '.join(choices)}" for (value, group), choices in found.items()
    ]


def with_own_auto(setting: Setting, group: str, choice: str, registry: Registry) -> Setting:
    """The setting with what `auto` stands for beside this choice, if it is a model."""
    if group != "model" or not setting.auto or choice not in registry.readable(group):
        return setting
    declared = registry.declared(f"{group}/{choice}")
    return replace(setting, auto=auto_of(declared, setting.name) or setting.auto)

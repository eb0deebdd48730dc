"""The words of a command by which a sweep searches, `hydra/sweeper=optuna`, and its options."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genbench.config.overrides import hydra_value
from genbench.config.registry import Registry
from genbench.runs.sweep_summary import SearchRecord
from genbench.settings.setting import written
from genbench.settings.sweep import SEARCH_OPTIONS
from genbench.utils.errors import UserError

OURS, SEARCHING = "genbench", "optuna"  # sweepers of genbench
ANYWHERE = "optimize"  # the option of a search that other sweepers have, too


def chosen_sweeper(words: Iterable[str]) -> str:
    """The sweeper that a command chooses."""
    chosen = [word.partition("=")[2] for word in words if re.match(r"\+*hydra/sweeper=", word)]
    return chosen[-1] if chosen else OURS


def is_search(words: Iterable[str]) -> bool:
    """Whether a command searches."""
    return chosen_sweeper(words) == SEARCHING


def with_objective_renamed(words: Iterable[str], registry: Registry) -> list[str]:
    """The words of a search with `optimize` for `objective`.

    Some models have a setting of that name. Its values, such as elbo, name no number of a run, so
    that a word which gives one of them stays.
    """
    declared = [registry.settings(f"model/{model}") for model in registry.readable("model")]
    found = [known["objective"] for known in declared if "objective" in known]
    values = {word for setting in found for one in setting.alternatives for word in one.words}

    def renamed(word: str) -> str:
        name, _, value = word.partition("=")
        is_goal = name == "objective" and not {*re.findall(r"[\w.]+", value)} & values
        return f"{ANYWHERE}={value}" if is_goal else word

    return [renamed(word) for word in words]


def search_words(words: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """The words by which Hydra gets the options of a search. UserError for one of them, or for two
    numbers to optimize, where the command does not search.
    """
    names = [name for name in SEARCH_OPTIONS if name in options]
    if is_search(words):
        return [f"hydra.sweeper.{name}={_typed(options[name])}" for name in names]
    for name in names:
        if name != ANYWHERE or isinstance(options[name], list):
            what, fix = "is of a search", f"leave it out, or add hydra/sweeper={SEARCHING}"
            raise UserError(name, what, written(options[name]), fix)
    return []


def searched_again(search: SearchRecord, changed: Mapping[str, Any]) -> list[str]:
    """The words of the search which a summary has, but for options that are changed.

    The summary may be somebody else's, so nothing is taken from it but known names and their
    values.
    """
    if not search:
        return []
    kept = {
        name: option.check(search.get(name, option.default), {})
        for name, option in SEARCH_OPTIONS.items()
        if name not in changed
    }
    words = [f"{name}={_typed(value)}" for name, value in kept.items()]
    return [f"hydra/sweeper={SEARCHING}", *words]


def _typed(value: Any) -> str:
    """A value as Hydra's grammar reads it."""
    if isinstance(value, list):
        return f"[{','.join(map(hydra_value, value))}]"
    return hydra_value(value) if isinstance(value, str) else written(value)

"""A sweep from Python: every combination of listed values, run one after another in this process,
with data that may be in memory.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from genbench.config.choice_files import GROUPS
from genbench.config.compose import configured, require_choice
from genbench.config.registry import Registry
from genbench.config.resolvers import unique_name
from genbench.config.validation import known_settings, unknown
from genbench.runs.directory import Record
from genbench.runs.progress import Display
from genbench.settings.setting import written
from genbench.sweeps.goals import numbers_of
from genbench.sweeps.launch import attempt, execute, run_title
from genbench.utils.errors import UserError, report

# What the numbers are called that come first, where runs have them.
FIRST_NUMBERS = ("validation", "test")
NUMBERS_LEFT_OUT = ("cost.", "time.")  # most of which are measures, too
Load = Callable[..., Any]


def is_listed(value: Any) -> bool:
    """Whether a value lists several, one for each run."""
    return isinstance(value, (list, tuple, range)) or hasattr(value, "tolist")


def combinations(
    given: Mapping[str, Any], listed: Sequence[str], registry: Registry
) -> list[dict[str, Any]]:
    """The settings of each run, by dotted name: every combination of the values of those that are
    `listed`, each once.

    A setting that only some of the models have is left out of the runs of others. UserError for one
    that none has.
    """
    values = {name: [*_items(given[name])] for name in listed}
    models = values.get("model", [given.get("model") or registry.default_choice("model")])
    dataset = require_choice("dataset", given["dataset"], registry)
    owned: dict[str, set[str]] = {}
    for model in models:
        require_choice("model", model, registry)
        known = known_settings(registry, model, dataset, {"dataset.kind": None})
        owned[model] = {*GROUPS, *known}
    for name, value in given.items():
        if not any(name in names for names in owned.values()):
            raise unknown(name, value, registry, models[0], dataset)
    found: dict[str, dict[str, Any]] = {}
    for chosen in itertools.product(*values.values()):
        settings = {**given, **dict(zip(values, chosen, strict=True))}
        own = owned[settings.get("model") or models[0]]
        settings = {name: value for name, value in settings.items() if name in own}
        found.setdefault(str(settings), settings)
    return [*found.values()]


def _items(value: Any) -> Iterator[Any]:
    """The values that are listed, as Python's own numbers and texts."""
    return iter(value.tolist() if hasattr(value, "tolist") else value)


def run_combinations(
    runs: Sequence[Mapping[str, Any]],
    listed: Sequence[str],
    folder: Path,
    registry: Registry,
    load: Load | None,
    display: Callable[[str], Display | None],
) -> pd.DataFrame:
    """Run those that are not done yet, each in a folder of its own; returns a row for each.

    All settings are checked before the first run starts. A run that fails leaves its reason, and
    the others go on.
    """
    configs = [configured(settings, registry) for settings in runs]
    rows = []
    for settings, config in zip(runs, configs, strict=True):
        words = [f"{name}={written(settings[name])}" for name in listed if name in settings]
        place = folder / unique_name(config["model"]["name"], words)
        chosen = {name: settings.get(name) for name in listed}
        failure = None
        if not Record(place, config).done:
            failure = attempt(partial(_run, config, place, registry, load, display))
        if failure is not None:
            report(failure)
        rows.append(_row(config, chosen, place, failure))
    table = pd.DataFrame(rows)
    return table[[*table.columns.drop("folder"), "folder"]]


def _run(
    config: dict,
    place: Path,
    registry: Registry,
    load: Load | None,
    display: Callable[[str], Display | None],
) -> None:
    options: dict[str, Any] = (
        {} if load is None else {"load": load, "resume": "the same call of genbench.sweep"}
    )
    execute(config, place, registry, display=display(run_title(config, place, registry)), **options)


def _row(
    config: dict, chosen: Mapping[str, Any], place: Path, failure: UserError | None
) -> dict[str, Any]:
    """The settings, the state and the numbers of a run."""
    row = {"model": config["model"]["name"], **{n: _cell(v) for n, v in chosen.items()}}
    row["state"] = "failed" if failure else Record(place, config).state
    row |= {"reason": str(failure)} if failure else {}
    numbers = {n: v for n, v in numbers_of(place).items() if not n.startswith(NUMBERS_LEFT_OUT)}
    first = [n for part in FIRST_NUMBERS for n in numbers if n.startswith(f"{part}.")]
    row |= {name: numbers[name] for name in [*first, *numbers]}
    return row | {"folder": str(place)}


def _cell(value: Any) -> Any:
    return written(value) if isinstance(value, (list, tuple, dict)) else value

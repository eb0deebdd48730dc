"""Recipe files, read and checked."""

import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from genbench.config.experiments import EXPERIMENT, is_recipe
from genbench.config.registry import Registry
from genbench.config.values import Loader
from genbench.settings.fields import NonNegative, Positive, Seed
from genbench.settings.names import nearest
from genbench.settings.setting import Setting, alternatives_of, written
from genbench.utils.errors import UserError
from genbench.utils.files import MOST_YAML, Unreadable, read_text, read_yaml
from genbench.verification.recipe import BOUNDS, DISTANCES, GROUP, Recipe

USUAL_SET = "quick"  # the set that runs by default
# The keys other than `run`: what is allowed, as in settings classes, and an example.
KEYS: dict[str, tuple[Any, str]] = {
    "measure": (str, "test.nll"),
    "minutes": (Positive, "0.5"),
    "seeds": (list[Seed], "[0, 1, 2]"),
    "average": (bool, "true"),
    "sets": (list[str], f"[{USUAL_SET}]"),
    "expected": (float, "106.7"),
    "tolerance": (NonNegative, "0.1"),
    "relative": (NonNegative, "0.03"),
    "at_most": (float, "1.01"),
    "at_least": (float, "0.9"),
    "published": (bool, "true"),
    "differs": (str, "trained on 55,000 images, not 60,000"),
    "last_run": (str, '"2026-11-27"'),
    "measured": (float | Annotated[list[float], Field(min_length=2, max_length=2)], "107.2"),
}
# Those of metrics.json that a run without a report card has.
SECTIONS = ("train", "validation", "test", "cost", "time")


def read(registry: Registry) -> dict[str, Recipe]:
    """Every recipe by name, in alphabetical order; UserError naming the first wrong file and its
    key.
    """
    earlier = {f"{EXPERIMENT}/{name}" for name in registry.names(EXPERIMENT)}
    paths = [path for path in earlier if is_recipe(_text(registry.file(path)))]
    paths += [f"{GROUP}/{name}" for name in registry.names(GROUP)]
    by_name = {path.partition("/")[2]: path for path in paths}
    return {name: _read(name, by_name[name], registry) for name in sorted(by_name)}


def _text(file: Path) -> str:
    """The content of a file, or nothing if it cannot be read."""
    try:
        return read_text(Path(os.path.realpath(file)), MOST_YAML)
    except Unreadable:
        return ""


def sets(recipes: Mapping[str, Recipe]) -> list[str]:
    """The sets that recipes belong to."""
    return sorted({name for recipe in recipes.values() for name in recipe.sets})


def _read(name: str, path: str, registry: Registry) -> Recipe:
    """The recipe of a file."""
    file = registry.file(path)
    try:
        content = read_yaml(Path(os.path.realpath(file)), loader=Loader)
    except Unreadable as error:
        raise UserError(str(file), error.what, fix="correct the file") from error
    if not isinstance(content, dict):
        raise UserError(str(file), "holds no keys with values", fix="such as measure: test.nll")
    what, *source = [*registry.about(path), ""]
    if not any(source):
        raise UserError(
            str(file),
            "does not say what it shows and where that comes from",
            fix="begin it with a comment line for each",
        )
    values = {key: _checked(file, key, value) for key, value in content.items() if key != "run"}
    for key in ("measure", "minutes"):
        if key not in values:
            raise UserError(f"{file}: {key}", "is missing", fix=f"such as {key}: {KEYS[key][1]}")
    calls = _is_function(values["measure"], registry)
    runs = _runs(file, content.get("run", []))
    _require_sense(file, values, runs, calls)
    return Recipe(name, file, what, " ".join(source).strip(), calls=calls, runs=runs, **values)


def _checked(file: Path, key: str, value: Any) -> Any:
    """The value of a key, or UserError."""
    if key not in KEYS:
        renamed = {"ours": "measure"}  # in version 0.2.0
        near = renamed.get(key) or nearest(str(key), [*KEYS, "run"])
        raise UserError(
            f"{file}: {key}",
            "no such key",
            value,
            f"did you mean '{near}'?" if near else f"choose from run, {', '.join(KEYS)}",
        )
    allowed, example = KEYS[key]
    setting = Setting(key, tuple(alternatives_of(allowed)), "", None, str(file))
    try:
        return setting.check(value, {})
    except UserError as error:
        raise UserError(
            f"{file}: {key}", error.what, written(value), f"such as {key}: {example}"
        ) from error


def _runs(file: Path, given: Any) -> list[dict[str, Any]]:
    """The settings of each run, or UserError."""
    runs = given if isinstance(given, list) else [given]
    for run in runs:
        if not isinstance(run, dict) or not run:
            raise UserError(
                f"{file}: run",
                "must be settings by name, or a list of such settings",
                written(run),
                "such as run: {model: NAME}",
            )
        if "seed" in run:
            raise UserError(
                f"{file}: run: seed",
                "does not belong to a run",
                run["seed"],
                f"seeds: [{run['seed']}]",
            )
    return runs


def _require_sense(file: Path, values: Mapping[str, Any], runs: list[dict], calls: bool) -> None:
    """UserError if keys contradict each other."""
    distances, bounds = ([key for key in keys if key in values] for keys in (DISTANCES, BOUNDS))
    if len(distances) + bool(bounds) != 1:
        fix = f"give one of {', '.join((*DISTANCES, *BOUNDS))}"
        raise UserError(
            f"{file}: tolerance",
            "what is measured is compared in one way",
            " and ".join(distances + bounds) or "none",
            fix,
        )
    if "seeds" in values and not (runs and values["seeds"]):
        raise UserError(
            f"{file}: seeds",
            "needs a run and at least one seed",
            written(values["seeds"]),
            "leave it out",
        )
    if not calls and (
        len(runs) != 1 or not re.fullmatch(rf"({'|'.join(SECTIONS)})\.\w+", values["measure"])
    ):
        what = "names neither a function nor a number that one run measures"
        raise UserError(
            f"{file}: measure",
            what,
            values["measure"],
            "such as test.nll, or genbench.verification.references.linear.log_density",
        )
    if not calls and distances and "expected" not in values:
        raise UserError(
            f"{file}: expected", "is missing", fix=f"such as expected: {KEYS['expected'][1]}"
        )
    _require_record(file, values)


def _require_record(file: Path, values: Mapping[str, Any]) -> None:
    """UserError if the record of the last run is incomplete."""
    given = [key for key in ("last_run", "measured") if key in values]
    if len(given) == 1:
        what = "needs the other one of last_run and measured"
        raise UserError(
            f"{file}: {given[0]}",
            what,
            values[given[0]],
            "give both, or neither if the recipe has never been run",
        )
    if not given:
        return
    try:
        date.fromisoformat(values["last_run"])
    except ValueError as error:
        raise UserError(
            f"{file}: last_run",
            "must be a day",
            values["last_run"],
            f"such as {KEYS['last_run'][1]}",
        ) from error
    compared = any(key in values for key in DISTANCES) and "expected" not in values
    if compared and not isinstance(values["measured"], list):
        raise UserError(
            f"{file}: measured",
            "must be what was measured and what was expected",
            values["measured"],
            "[measured, expected]",
        )


def _is_function(measure: str, registry: Registry) -> bool:
    """Whether this names something in this package or in Python files of a user's config folder."""
    root = measure.partition(".")[0]
    return root == "genbench" or any(
        (folder / f"{root}.py").is_file() or (folder / root).is_dir()
        for folder in registry.folders[:-1]
    )

"""Recipes: what `genbench verify` runs, measures and compares with, read from YAML files and checked.

A recipe is a file recipe/NAME.yaml in a config folder; in a user's own, also experiment/NAME.yaml. Its first comment line says what it shows, those below it
where that comes from. Its keys:

    run        settings by name, as on the command line; a list of such where several runs are compared; left out where
               a function is checked that needs none
    seeds      of the runs; the worst one counts
    ours       what is measured: a number of metrics.json, such as test.nll, or a function, genbench.verification.references.NAME or
               one of a Python file in your own config folder. It takes a list of the runs, each a `Trained`, and
               returns a number, or a pair (ours, expected) where what is expected follows from the data
    expected   a number; how far ours may be from it is its `tolerance`, or `relative`, a share of it
    at_most, at_least   bounds on ours, in place of a distance
    published  whether what is expected was published, rather than computed
    differs    what is not as in the source
    minutes    how long it takes on two cores, about
    sets       names of the sets that it belongs to
    last_run   the day of its last run, such as "2026-11-27"; left out where it has never been run
    measured   what that run measured: ours of the worst seed, or [ours, expected] where both follow from the data
"""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from genbench.config.experiments import EXPERIMENT, is_recipe
from genbench.config.registry import GROUPS, Registry
from genbench.config.settings import Loader, Setting, nearest, written
from genbench.utils.errors import UserError
from genbench.utils.files import MOST_YAML, Unreadable, read_text, read_yaml

GROUP = "recipe"
USUAL = "quick"  # the set that runs where nothing is named
WHERE = (
    "device",
    "dataset.root",
    "draw_every",
    "save_every",
)  # settings that leave what a recipe shows as it is

KEYS = {  # beside `run`: what is allowed, in the grammar of settings, and an example
    "ours": ("text", "test.nll"),
    "minutes": ("float > 0", "0.5"),
    "seeds": ("list of int in [0, 9223372036854775807]", "[0, 1, 2]"),
    "sets": ("list of text", f"[{USUAL}]"),
    "expected": ("float", "106.7"),
    "tolerance": ("float >= 0", "0.1"),
    "relative": ("float >= 0", "0.03"),
    "at_most": ("float", "1.01"),
    "at_least": ("float", "0.9"),
    "published": ("bool", "true"),
    "differs": ("text", "trained on 55,000 images, not 60,000"),
    "last_run": ("text", '"2026-11-27"'),
    "measured": ("float | list of 2 float", "107.2"),
}
SECTIONS = (
    "train",
    "validation",
    "test",
    "cost",
    "time",
)  # of metrics.json: a recipe's runs measure no report card
DISTANCES, BOUNDS = ("tolerance", "relative"), ("at_most", "at_least")


@dataclass(frozen=True)
class Recipe:
    """A recipe as its file says it, besides what is said above: `calls` tells that `ours` names a function."""

    name: str
    file: Path
    what: str
    source: str
    ours: str
    calls: bool
    minutes: float
    runs: list[dict[str, Any]]
    seeds: list[int] = field(default_factory=lambda: [0])
    sets: list[str] = field(default_factory=list)
    expected: float | None = None
    tolerance: float | None = None
    relative: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    published: bool = False
    differs: str = ""
    last_run: str = ""
    measured: float | list[float] | None = None

    @property
    def record(self) -> str:
        """When it was last run, and whether it held then: "2026-11-27: met", "2026-11-27: missed" or "never"."""
        if self.measured is None:
            return "never"
        found = self.measured if isinstance(self.measured, list) else (self.measured, self.expected)
        return f"{self.last_run}: {'met' if self.excess(*found) <= 0 else 'missed'}"

    @property
    def bounded(self) -> bool:
        """Whether ours has bounds of its own, rather than a distance from what is expected."""
        return self.at_most is not None or self.at_least is not None

    @property
    def allowed(self) -> str:
        """What ours may be, in signs."""
        parts = {
            "± {:g}": self.tolerance,
            "± {:g} %": None if self.relative is None else 100 * self.relative,
            "≥ {:g}": self.at_least,
            "≤ {:g}": self.at_most,
        }
        return ", ".join(text.format(value) for text, value in parts.items() if value is not None)

    def excess(self, ours: float, expected: float | None) -> float:
        """By how much ours is further off than it may be: not above zero where it is good, infinite where it is no number."""
        least, most = self.at_least, self.at_most
        if not self.bounded:
            width = self.relative * abs(expected) if self.tolerance is None else self.tolerance
            least, most = expected - width, expected + width
        beyond = [
            sign * (ours - bound) for sign, bound in ((-1, least), (1, most)) if bound is not None
        ]
        return max(beyond) if all(map(math.isfinite, beyond)) else math.inf

    def has(self, setting: str, registry: Registry) -> bool:
        """Whether one of its runs has a setting of this name."""
        return any(_has(run, setting, registry) for run in self.runs)

    def configs(self, where: Mapping[str, Any], registry: Registry) -> list[dict]:
        """The checked settings of each run, for the seed to be added; those of `where` win in the runs that have them.

        UserError naming the file for a setting that such a run would be refused for.
        """
        from genbench.config.compose import configured  # Hydra takes a tenth of a second

        configs = []
        for run in self.runs:
            extra = {name: value for name, value in where.items() if _has(run, name, registry)}
            try:
                # A recipe says what it measures; the report card would only take time.
                configs.append(configured({"evaluation": "none"} | run | extra, registry))
            except UserError as error:
                key = error.key if error.key in extra else f"{self.file}: run: {error.key}"
                raise UserError(key, error.what, error.got, error.fix) from error
        return configs


def read(registry: Registry) -> dict[str, Recipe]:
    """Every recipe by name, in alphabetical order; UserError naming the first file that is none, the key and the way out."""
    earlier = {f"{EXPERIMENT}/{name}" for name in registry.names(EXPERIMENT)}
    paths = [path for path in earlier if is_recipe(_text(registry.file(path)))]
    paths += [f"{GROUP}/{name}" for name in registry.names(GROUP)]
    by_name = {path.partition("/")[2]: path for path in paths}
    return {name: _read(name, by_name[name], registry) for name in sorted(by_name)}


def _text(file: Path) -> str:
    """What a file holds; nothing where it cannot be read."""
    try:
        return read_text(Path(os.path.realpath(file)), MOST_YAML)
    except Unreadable:
        return ""


def sets(recipes: Mapping[str, Recipe]) -> list[str]:
    """The sets that recipes belong to."""
    return sorted({name for recipe in recipes.values() for name in recipe.sets})


def _read(name: str, path: str, registry: Registry) -> Recipe:
    file = registry.file(path)
    try:
        content = read_yaml(Path(os.path.realpath(file)), loader=Loader)
    except Unreadable as error:
        raise UserError(str(file), error.what, fix="correct the file") from error
    if not isinstance(content, dict):
        raise UserError(str(file), "holds no keys with values", fix="such as ours: test.nll")
    what, *source = [*registry.about(path), ""]
    if not any(source):
        raise UserError(
            str(file),
            "does not say what it shows and where that comes from",
            fix="begin it with a comment line for each",
        )
    values = {key: _checked(file, key, value) for key, value in content.items() if key != "run"}
    for key in ("ours", "minutes"):
        if key not in values:
            raise UserError(f"{file}: {key}", "is missing", fix=f"such as {key}: {KEYS[key][1]}")
    calls = _is_function(values["ours"], registry)
    runs = _runs(file, content.get("run", []))
    _require_sense(file, values, runs, calls)
    return Recipe(name, file, what, " ".join(source).strip(), calls=calls, runs=runs, **values)


def _checked(file: Path, key: str, value: Any) -> Any:
    if key not in KEYS:
        near = nearest(str(key), [*KEYS, "run"])
        raise UserError(
            f"{file}: {key}",
            "no such key",
            value,
            f"did you mean '{near}'?" if near else f"choose from run, {', '.join(KEYS)}",
        )
    allowed, example = KEYS[key]
    setting = Setting(key, allowed, "", None, str(file))
    try:
        return setting.check(value, {})
    except UserError as error:
        raise UserError(
            f"{file}: {key}", error.what, written(value), f"such as {key}: {example}"
        ) from error


def _runs(file: Path, given: Any) -> list[dict[str, Any]]:
    runs = given if isinstance(given, list) else [given]
    for run in runs:
        if not isinstance(run, dict) or not run:
            raise UserError(
                f"{file}: run",
                "must be settings by name, or a list of such",
                written(run),
                "such as run: {model: NAME}",
            )
        if "seed" in run:
            raise UserError(
                f"{file}: run: seed",
                "is not for a run to say",
                run["seed"],
                f"seeds: [{run['seed']}]",
            )
    return runs


def _require_sense(file: Path, values: Mapping[str, Any], runs: list[dict], calls: bool) -> None:
    """UserError where keys do not go together."""
    distances, bounds = ([key for key in keys if key in values] for keys in (DISTANCES, BOUNDS))
    if len(distances) + bool(bounds) != 1:
        fix = f"give one of {', '.join((*DISTANCES, *BOUNDS))}"
        raise UserError(
            f"{file}: tolerance",
            "ours is compared in one way",
            " and ".join(distances + bounds) or "none",
            fix,
        )
    if "seeds" in values and not (runs and values["seeds"]):
        raise UserError(
            f"{file}: seeds",
            "must be of a run, and at least one",
            written(values["seeds"]),
            "leave it out",
        )
    if not calls and (
        len(runs) != 1 or not re.fullmatch(rf"({'|'.join(SECTIONS)})\.\w+", values["ours"])
    ):
        what = "names neither a function of genbench or of your config folder, nor a number that one run measures"
        raise UserError(
            f"{file}: ours",
            what,
            values["ours"],
            "such as test.nll, or genbench.verification.references.NAME",
        )
    if not calls and distances and "expected" not in values:
        raise UserError(
            f"{file}: expected", "is missing", fix=f"such as expected: {KEYS['expected'][1]}"
        )
    _require_record(file, values)


def _require_record(file: Path, values: Mapping[str, Any]) -> None:
    """UserError where what is said of the last run is not whole."""
    said = [key for key in ("last_run", "measured") if key in values]
    if len(said) == 1:
        what = "is given alone, and says nothing without the other of last_run, measured"
        raise UserError(
            f"{file}: {said[0]}",
            what,
            values[said[0]],
            "give both, or none of a recipe that has never been run",
        )
    if not said:
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
            "[ours, expected]",
        )


def _is_function(ours: str, registry: Registry) -> bool:
    """Whether it lies in this package or in Python files of a user's own config folder."""
    root = ours.partition(".")[0]
    return root == "genbench" or any(
        (folder / f"{root}.py").is_file() or (folder / root).is_dir()
        for folder in registry.folders[:-1]
    )


def _has(run: Mapping[str, Any], setting: str, registry: Registry) -> bool:
    choices = {run.get(group) or registry.default_choice(group) for group in GROUPS}
    return setting in registry.shared() or bool(choices & {*registry.owners(setting)})

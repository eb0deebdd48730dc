"""A recipe: what `genbench verify` runs, measures and compares with.

A recipe is a file experiment/NAME.yaml in a config folder. Its first comment line says what it
shows, those below it where that comes from. Its keys:

    run        settings by name, as on the command line, or a list of such settings if several runs
               are compared; left out if a function is checked that needs no run
    seeds      seeds of the runs; the worst one counts
    average    whether the mean over the seeds counts instead, as where a mean was published
    measure    what is measured: a number of metrics.json, such as test.nll; or a function in
               genbench.verification.references, or in a Python file of your own config folder.
               It takes a list of the runs, each a `Trained`, and returns a number, or a pair
               (measured, expected) if what is expected depends on the data
    expected   a number; the measured one may differ from it by `tolerance`, or by `relative`, a
               share of it
    at_most, at_least   bounds of what is measured, instead of a distance
    published  whether what is expected was published, rather than computed
    differs    what differs from the source
    minutes    about how long it takes on two cores
    sets       names of the sets that it belongs to
    last_run   the day of its last run, such as "2026-11-27"; left out if it has never been run
    measured   what that run measured with the worst seed, or [measured, expected] if both depend
               on the data
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.config.choice_files import GROUPS
from genbench.config.registry import Registry
from genbench.utils.errors import UserError

GROUP = "recipe"
DISTANCES, BOUNDS = ("tolerance", "relative"), ("at_most", "at_least")
# Settings that do not change what a recipe shows.
WHERE = ("device", "dataset.root", "draw_every", "save_every")


@dataclass(frozen=True)
class Recipe:
    """A recipe with the keys of its file; `calls` says whether `measure` names a function."""

    name: str
    file: Path
    what: str
    source: str
    measure: str
    calls: bool
    minutes: float
    runs: list[dict[str, Any]]
    seeds: list[int] = field(default_factory=lambda: [0])
    average: bool = False
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
        """When it was last run and how it ended: "2026-11-27: met", "2026-11-27: missed" or
        "never".
        """
        if self.measured is None:
            return "never"
        measured, expected = self.measured, self.expected
        if isinstance(measured, list):
            measured, expected = measured
        return f"{self.last_run}: {'met' if self.excess(measured, expected) <= 0 else 'missed'}"

    @property
    def bounded(self) -> bool:
        """Whether there are bounds, rather than a distance from what is expected."""
        return self.at_most is not None or self.at_least is not None

    @property
    def allowed(self) -> str:
        """The allowed distance or bounds, in symbols."""
        parts = {
            "± {:g}": self.tolerance,
            "± {:g} %": None if self.relative is None else 100 * self.relative,
            "≥ {:g}": self.at_least,
            "≤ {:g}": self.at_most,
        }
        return ", ".join(text.format(value) for text, value in parts.items() if value is not None)

    def excess(self, measured: float, expected: float | None) -> float:
        """By how much the allowed distance or bounds are exceeded; infinite for what is not a
        number.
        """
        least, most = self.at_least, self.at_most
        if not self.bounded:
            assert expected is not None  # checked when it was read or measured
            width = self.tolerance
            if width is None:
                width = (self.relative or 0.0) * abs(expected)
            least, most = expected - width, expected + width
        beyond = [
            sign * (measured - bound)
            for sign, bound in ((-1, least), (1, most))
            if bound is not None
        ]
        return max(beyond) if all(map(math.isfinite, beyond)) else math.inf

    def has(self, setting: str, registry: Registry) -> bool:
        """Whether one of its runs has a setting of this name."""
        return any(_has(run, setting, registry) for run in self.runs)

    def configs(self, where: Mapping[str, Any], registry: Registry) -> list[dict[str, Any]]:
        """The checked settings of each run, without a seed; `where` overrides those that a run has.

        UserError naming the file for settings that such a run would be refused for.
        """
        from genbench.config.compose import configured  # Hydra takes a tenth of a second

        configs = []
        for run in self.runs:
            extra = {name: value for name, value in where.items() if _has(run, name, registry)}
            try:
                # The report card would only take time.
                configs.append(configured({"evaluation": "none"} | run | extra, registry))
            except UserError as error:
                key = error.key if error.key in extra else f"{self.file}: run: {error.key}"
                raise UserError(key, error.what, error.got, error.fix) from error
        return configs


def _has(run: Mapping[str, Any], setting: str, registry: Registry) -> bool:
    """Whether a run has a setting of this name."""
    choices = {run.get(group) or registry.default_choice(group) for group in GROUPS}
    return setting in registry.shared() or bool(choices & {*registry.owners(setting)})

"""What a search optimizes: numbers of a run, each with the direction in which it is better.

The names are those of metrics.json: a measure of the report card, such as fid, or a term of a part
of the data, such as validation.nll.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genbench.config.registry import Registry
from genbench.settings.base import switches
from genbench.settings.names import nearest
from genbench.settings.setting import written
from genbench.sweeps.search_space import Choice, Space
from genbench.utils.errors import UserError
from genbench.utils.files import read_json_or_empty
from genbench.utils.schema import METRICS

PARTS = ("train", "validation", "test", "cost", "time")
LOGGED = ("train", "validation")  # parts whose terms are logged as a run trains
SHORT = {"rate": "validation.kl", "distortion": "validation.nll"}  # of a VAE, in nats
GOAL_DIRECTIONS = ("minimize", "maximize")
TOTAL = "loss"  # the term that contains the weights of all others
GOAL_EXAMPLE = "such as optimize=validation.nll, or a measure of: genbench evaluate --list"


@dataclass(frozen=True)
class Goal:
    """A number, by the name that the user gave and that of metrics.json, and its direction."""

    name: str
    key: str
    direction: str

    @property
    def is_logged(self) -> bool:
        """Whether it is known after each epoch, by which hopeless runs can be pruned."""
        return self.key.partition(".")[0] in LOGGED

    def of_run(self, folder: Path) -> float:
        """The number of a finished run. UserError if the run has none of this name."""
        return chosen_number(numbers_of(folder), self.key)

    def at_epoch(self, point: Mapping[str, Mapping[str, float]]) -> float | None:
        """The number after an epoch with these terms; None where that part was not measured.

        UserError if the part has no such term.
        """
        part, _, term = self.key.partition(".")
        if part not in point:
            return None
        numbers = {f"{part}.{name}": value for name, value in point[part].items()}
        return chosen_number(numbers, f"{part}.{term}")


def numbers_of(folder: Path) -> dict[str, float]:
    """Every number of a finished run by its name; none of a run that is not finished."""
    found = read_json_or_empty(folder / "metrics.json", METRICS)
    numbers = {entry["name"]: entry["value"] for entry in found.get("card", [])}
    for part in PARTS:
        numbers |= {f"{part}.{key}": value for key, value in found.get(part, {}).items()}
    return {name: float(n) for name, n in numbers.items() if isinstance(n, (int, float))}


def chosen_number(numbers: Mapping[str, float], name: str) -> float:
    """The number of this name. UserError if there is none, or if it is not finite."""
    if name not in numbers:
        what, fix = "the run has no such number", f"choose from {', '.join(sorted(numbers))}"
        raise UserError("optimize", what, name, fix)
    if not math.isfinite(numbers[name]):
        raise UserError("optimize", f"{name} is not finite", numbers[name], "see its run.log")
    return numbers[name]


def search_goals(options: Mapping[str, Any], space: Space, registry: Registry) -> list[Goal]:
    """The goals of a search with these options. UserError for a name that no run has, and for what
    says nothing about which setting is best.
    """
    names = _listed(options.get("optimize"))
    if not names:
        raise UserError("optimize", "a search needs the number to optimize", fix=GOAL_EXAMPLE)
    if len(names) > 2:
        what = "a search has one number to optimize, or two"
        raise UserError("optimize", what, written(names), "leave out the others")
    if len(set(names)) < len(names):
        raise UserError("optimize", "names one number twice", written(names), "name it once")
    directions = _listed(options.get("direction")) or [""] * len(names)
    if len(directions) != len(names):
        what = f"has {len(directions)} for {len(names)} to optimize"
        fix = "give one for each, such as direction=[minimize,minimize], or none"
        raise UserError("direction", what, written(directions), fix)
    goals = [_goal(*one) for one in zip(names, directions, strict=True)]
    for goal in goals:
        _require_comparable(goal, space, registry)
        if goal.key.partition(".")[0] not in PARTS and _evaluates_nothing(space):
            what = f"{goal.name} is a measure of the report card, which evaluation=none leaves out"
            raise UserError("optimize", what, fix="evaluation=quick, or another number to optimize")
    return goals


def _goal(name: str, direction: str) -> Goal:
    key = SHORT.get(name, name)
    part, dot, term = key.partition(".")
    better: str | None = None
    if dot and part in PARTS and term:
        pass
    elif dot:
        near = nearest(part, PARTS) or "validation"
        what = f"a term is one of a part of the data: {', '.join(PARTS)}"
        raise UserError("optimize", what, name, f"such as optimize={near}.{term or 'nll'}")
    else:
        from genbench.evaluation.registry import measures  # imports torch

        known = measures()
        if name not in known:
            like = nearest(name, [*known, *SHORT])
            fix = f"did you mean {like}?" if like else GOAL_EXAMPLE
            raise UserError("optimize", "no such number", name, fix)
        better = known[name].better
        if better is None and not direction:
            what = f"{name} may be better high or low"
            raise UserError("direction", what, fix="direction=minimize or direction=maximize")
    if direction not in ("", *GOAL_DIRECTIONS):
        fix = f"did you mean {nearest(direction, GOAL_DIRECTIONS) or GOAL_DIRECTIONS[0]}?"
        raise UserError("direction", "is minimize or maximize", direction, fix)
    usual = "maximize" if better == "higher" else "minimize"
    return Goal(name, key, direction or usual)


def _require_comparable(goal: Goal, space: Space, registry: Registry) -> None:
    """UserError where what is varied is a weight in the very number to optimize."""
    if goal.key.partition(".")[2] != TOTAL:
        return
    models = _values(space, "model") or [registry.default_choice("model")]
    weights = {n for model in models for n in switches(registry.declared(f"model/{model}"))}
    for dimension in space.dimensions:
        if dimension.name.lstrip("+") in weights:
            what = f"{goal.name} contains {dimension.name}, so it does not say which value is best"
            fix = "optimize a term, such as validation.nll, two as [rate,distortion], or a measure"
            raise UserError("optimize", what, fix=fix)


def _evaluates_nothing(space: Space) -> bool:
    return _values(space, "evaluation") == ["none"]


def _values(space: Space, name: str) -> list[str]:
    """The values that trials have of a setting that is no range; none where it is not given."""
    if name in space.fixed:
        return [space.fixed[name]]
    found: Iterable[Choice] = (one for one in space.dimensions if isinstance(one, Choice))
    return [word for one in found if one.name == name for word in one.words]


def _listed(given: Any) -> list[str]:
    return [] if given is None else [given] if isinstance(given, str) else [*given]


def as_json(goals: Iterable[Goal]) -> list[dict[str, str]]:
    """Goals as the study keeps them."""
    return [asdict(goal) for goal in goals]

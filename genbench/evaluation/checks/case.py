"""What a check of the diagnosis looks at: a run's numbers, and enough points and samples to judge
by.

A check is a function `(case) -> Finding | None`. It says nothing where too little was looked at: a
difference between two samples, or a share of five test points, is no evidence.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch.linalg import LinAlgError

from genbench.data.types import Split
from genbench.evaluation.context import Evaluation, Unmeasurable, needed

ENOUGH = 64  # samples, or points, that a share or a variance is judged from
FEWEST_JUDGED = 16  # points that a code or a reconstruction is judged from; fewer say nothing
LOSSES = 100  # points of which the loss is computed one by one


class Finding(NamedTuple):
    """Something that may be wrong: its `kind` in a word or two, a sentence, and the setting to try.

    The setting is written as one would type it, and empty where none is known to help.
    """

    kind: str
    text: str
    setting: str = ""


Check = Callable[["Case"], Finding | None]


class Losses(NamedTuple):
    """The training criterion of single points: of training points [n] and held-out points [m]."""

    train: torch.Tensor
    held_out: torch.Tensor


class Case:
    """A trained model's evaluation, its card, and the card of real data, for the checks."""

    def __init__(self, e: Evaluation, card: list[dict], real_data: list[dict]) -> None:
        self.e, self.model, self.data = e, e.model, e.data
        self.settings = e.model.settings.values()  # by name, as hints write them
        self._card = {entry["name"]: entry for entry in card}
        self._real_data = {entry["name"]: entry for entry in real_data}
        self._results: dict[Check, Finding | None] = {}

    def result(self, check: Check) -> Finding | None:
        """The finding of a check, computed once; None where there is too little to look at."""
        if check not in self._results:
            try:
                self._results[check] = check(self)
            except (Unmeasurable, LinAlgError):  # measures that fail are listed as broken
                self._results[check] = None
        return self._results[check]

    @property
    def cost(self) -> dict:
        """What is known of the training: steps, epochs, how the validation curve ended."""
        return self.e.metrics.get("cost", {})

    # --- numbers of the card --------------------------------------------------------------------

    def entry(self, name: str, least: int = ENOUGH) -> dict | None:
        """The entry of the card; None if there is none, or from fewer samples or test points."""
        return _from_enough(self._card.get(name), least)

    def real(self, name: str, least: int = ENOUGH) -> dict | None:
        """The same number of real data in place of samples."""
        return _from_enough(self._real_data.get(name), least)

    # --- points to judge by ---------------------------------------------------------------------

    @cached_property
    def points(self) -> Split:
        """The test points or, where these are few, the training points."""
        train, test = self.data.train, self.e.test
        return test if len(test) >= min(ENOUGH, len(train)) else train.spread(self.e.most)

    def _needs_points(self) -> None:
        self.e.need(len(self.points) >= FEWEST_JUDGED)

    @cached_property
    def x(self) -> torch.Tensor:
        """The values of `points` [n, *shape]."""
        self._needs_points()
        return self.e.x if self.points is self.e.test else self.points.values().cpu()

    @cached_property
    def codes(self) -> torch.Tensor:
        """The codes of `points` [n, d]."""
        self._needs_points()
        return self.e.codes if self.points is self.e.test else self.e.encoded(self.points)

    @cached_property
    def reconstructions(self) -> torch.Tensor:
        """decode(encode(x)) [n, *shape] of `points`."""
        self._needs_points()
        is_test = self.points is self.e.test
        return self.e.reconstructions if is_test else self.e.reconstructed(self.points)

    @cached_property
    def samples(self) -> torch.Tensor:
        """The samples of the card or, where these are few, `ENOUGH` of them [n, *shape]."""
        if len(self.e.test) >= ENOUGH:
            return self.e.samples
        return torch.cat([part.cpu() for part in self.e.draw(ENOUGH, "diagnosis")])

    def share_of_variance(self, values: torch.Tensor) -> float:
        """The variance of values [m, *shape], summed over dimensions, over that of `points`."""
        variance, of_data = (
            float(self.e.values(some).double().var(0, correction=0).sum())
            for some in (values, self.x)
        )
        self.e.need(of_data > 0)
        return variance / of_data

    @cached_property
    def idle_units(self) -> int:
        """How many dimensions of the code have the same value at all `points`, up to rounding."""
        codes = self.codes.double()
        scale = codes.square().mean().clamp(min=1e-300)
        return int((codes.var(0, correction=0) <= 1e-8 * scale).sum())

    @cached_property
    def losses(self) -> Losses:
        """The criterion of single points. Unmeasurable without a criterion, or if the model keeps
        its training points, whose loss then says nothing.
        """
        criterion = needed(self.model.criterion)
        self.e.need(not self.model.stores_training_data)
        held_out = [
            self.data.splits[name] for name in ("validation", "test") if name in self.data.splits
        ]
        return Losses(
            self._losses(self.data.train, criterion),
            torch.cat([self._losses(part, criterion) for part in held_out]),
        )

    def _losses(self, part: Split, criterion: str) -> torch.Tensor:
        values = []
        for i, batch in enumerate(part.spread(LOSSES).batches(1)):
            logs = self.model.evaluate(batch, self.e.rng("losses", str(i)))
            values.append(float(logs[criterion]))
        found = torch.tensor(values).double()
        return found[found.isfinite()]

    # --- settings to try ------------------------------------------------------------------------

    def scaled(self, name: str, factor: float) -> str:
        """A numeric setting of the model times a factor; empty if the model has no such setting,
        or if rounding leaves its value unchanged.
        """
        value = self.settings.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            return ""
        if isinstance(value, int):
            scaled = max(1, round(value * factor))
            return f"{name}={scaled}" if scaled != value else ""
        return f"{name}={float(f'{value * factor:.2g}'):g}"

    def patience(self, epochs: int = 10) -> str:
        """Early stopping, if an objective of the model falls and there are validation points."""
        unset = "patience" in self.settings and self.settings.get("patience") is None
        possible = self.model.criterion is not None and "validation" in self.data.splits
        return f"patience={epochs}" if unset and possible else ""

    def lasting(self, steps: int) -> str:
        """The setting of a run of about so many steps, in the unit that sets this run's length."""
        if self.settings.get("steps") or "epochs" not in self.cost:
            return f"steps={steps}"
        return f"epochs={math.ceil(steps * self.cost['epochs'] / self.cost['steps'])}"


def _from_enough(entry: dict | None, least: int) -> dict | None:
    if entry is None:
        return None
    sizes = [size for what, size in entry["n"].items() if what in ("samples", "test")]
    return entry if min(sizes, default=0) >= least else None


def percent_below(share: float) -> str:
    """A share in percent, rounded down, so that it never looks like a threshold that it is below:
    0.99%.
    """
    return f"{math.floor(share * 1e4) / 100:.2f}%"


def first(*settings: str) -> str:
    """The first setting that is not empty."""
    return next(filter(None, settings), "")

"""Expectation-maximisation from several starts at once, for models whose one iteration is one
epoch.
"""

from typing import Any

import torch

from genbench.data.types import Batch, DataSpec, Split
from genbench.model import Logs, Model
from genbench.settings.classical import EMSettings
from genbench.stats.clustering import starting_rows
from genbench.stats.products import in_cache, wide
from genbench.training import ranks, shares
from genbench.training.processes import is_first
from genbench.utils.errors import UserError
from genbench.utils.rng import generator
from genbench.visualizations import Staircase, Visualization

Sums = dict[str, torch.Tensor]


def add(sums: Sums, more: Sums) -> Sums:
    """Sums over some points and over more of them, by name."""
    return {name: sums[name] + value if name in sums else value for name, value in more.items()}


class EM(Model):
    """`n_init` starts advance side by side, each until an epoch changes its objective by at most
    `tol` per value.

    A value is one number of a data point, so that one tolerance is right for points of two values
    and for images. An epoch measures the objective of the parameters that it begins with.

    With `bound` it also measures the objective of the new parameters with the assignments, or
    responsibilities, of the old ones: the next objective is never above it, because it is the least
    over all assignments. Of a mixture it is the negative evidence lower bound, and how far it is
    above is the KL divergence to the new responsibilities (Neal & Hinton 1998).

    A subclass keeps its parameters as buffers whose first dimension is the start, and implements
    `init_params`, `e_step` and `m_step`. Its capabilities use the start that is `best`. The batch
    size does not change the result.
    """

    settings: EMSettings

    criterion: str | None = "objective"
    until_converged = True
    shuffles = False
    rounding = 1e-12  # the relative error of an objective
    # What `bound` draws: the quantity and its bound by name, and the sign of the objective in it.
    shown_as: tuple[str, str, int]
    objective: torch.Tensor  # [n_init]
    settled: torch.Tensor  # [n_init]

    def __init__(self, spec: DataSpec, settings: EMSettings) -> None:
        super().__init__(spec, settings)
        worst = torch.finfo(torch.float32).max
        objective = torch.full((settings.n_init,), worst, dtype=torch.float64)
        self.register_buffer("objective", objective)
        self.register_buffer("settled", torch.zeros(settings.n_init, dtype=torch.bool))
        self.sums: dict[int, Sums] = {}
        self.seen = 0
        # With `bound`, by start: of each iteration, the objective and the bound after it.
        self.course: dict[int, list[list[float]]] = {}

    @property
    def best(self) -> int:
        """The start with the lowest objective."""
        return int(self.objective.argmin())

    @property
    def size(self) -> int:
        """How many numbers the best start consists of."""
        parameters = (
            t for t in self.buffers() if t is not self.objective and t is not self.settled
        )
        return sum(t[self.best].numel() for t in parameters)

    @property
    def converged(self) -> bool:
        """Whether every start has settled."""
        return bool(self.settled.all())

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        if train.noise is not None:
            key = f"dataset.{train.noise.setting}"
            what = "EM needs the same data in every epoch"
            raise UserError(key, what, "dynamic", f"{key}={train.noise.once}")

    def initialise(self, train: Split, *, seed: int) -> None:
        x = starting_rows(train, self.settings.n_components)
        starts = range(self.settings.n_init)
        for start in shares.dealt(starts) if self.splits_batches else starts:
            self.init_params(start, x, generator(seed, "start", start, device=x.device))
        if self.splits_batches:  # each process has made some, and zeros are in place of the others
            made = {n: t for n, t in self.named_buffers() if n not in ("objective", "settled")}
            for name, tensor in ranks.add_up(made, are_complete=True).items():
                made[name].copy_(tensor)

    def step(self, batch: Batch) -> Logs:
        self.seen += len(batch.x)
        if not len(batch.x):
            return {}
        starts = (~self.settled).nonzero().flatten().tolist()
        for part in self.parts(batch.x):
            x = self.rows(part)
            for start in starts:
                self.sums[start] = self.merge_stats(self.sums.get(start, {}), self.e_step(start, x))
        return {}

    def combine(self) -> None:
        for start in (~self.settled).nonzero().flatten().tolist():
            if sums := ranks.add_up(self.sums.get(start, {})):
                self.sums[start] = sums
        self.seen = int(ranks.add_up({"seen": torch.tensor(self.seen)})["seen"])

    def end_epoch(self) -> Logs:
        for start, sums in self.sums.items():
            objective = sums.pop("objective") / self.seen
            rounding = self.rounding * objective.abs()
            change = (self.objective[start] - objective).abs()
            self.settled[start] = bool(change <= self.settings.tol * self.spec.size + rounding)
            self.objective[start] = objective
            if self.settings.bound:
                bound = objective - self.gain(start, sums) / self.seen
                self.course.setdefault(start, []).append([float(objective), float(bound)])
            self.m_step(start, sums, self.seen)
        self.sums, self.seen = {}, 0
        return {str(self.criterion): self.objective.min()} | self.logged_bound()

    def logged_bound(self) -> Logs:
        """With `bound`, that of the best start, and how far its last one was above this objective,
        if there was one.
        """
        course = self.course.get(self.best, [])
        logs = {f"{self.criterion}_bound": bound for _, bound in course[-1:]}
        if len(course) > 1:
            logs["bound_gap"] = course[-2][1] - course[-1][0]
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in logs.items()}

    def training_state(self) -> dict[str, Any]:
        return {"sums": self.sums, "seen": self.seen, "course": self.course}

    def load_training_state(self, state: dict[str, Any]) -> None:
        self.course = state.get("course", {})  # which earlier versions did not keep
        if is_first():  # to which the other processes add theirs
            self.sums, self.seen = state["sums"], state["seen"]

    def posthoc_state(self) -> dict[str, torch.Tensor]:
        return {
            f"course_{start}": torch.tensor(course, dtype=torch.float64)
            for start, course in self.course.items()
        }

    def load_posthoc_state(self, state: dict[str, torch.Tensor]) -> None:
        self.course = {int(name.rpartition("_")[2]): t.tolist() for name, t in state.items()}

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        if self.best not in self.course:
            return {}
        quantity, bound, sign = self.shown_as
        values, bounds = sign * torch.tensor(self.course[self.best], dtype=torch.float64).T
        note = "equal after each E-step; each M-step moves the bound"
        return {"bound": Staircase(note, values, bounds, quantity, bound)}

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """Data [n, *shape] as rows [n, D] in the precision that the statistics need."""
        return wide(x.flatten(1))

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Data [n, *shape] in parts that are fast to process together."""
        return in_cache(x, self.spec.size)

    def init_params(self, start: int, x: torch.Tensor, rng: torch.Generator) -> None:
        """Set the initial parameters of a start, given the `starting_rows` x [N, D]."""
        raise NotImplementedError

    def e_step(self, start: int, x: torch.Tensor) -> Sums:
        """Sums over a batch x [n, D]: "objective" (lower is better) and what `m_step` needs."""
        raise NotImplementedError

    def merge_stats(self, sums: Sums, more: Sums) -> Sums:
        """The sums over some points (empty at first) and over more of them."""
        return add(sums, more)

    def gain(self, start: int, sums: Sums) -> torch.Tensor:
        """By how much `m_step` lowers the objective, summed over points, with the assignments or
        responsibilities as they are: a scalar.
        """
        raise NotImplementedError

    def m_step(self, start: int, sums: Sums, n: int) -> None:
        """Set new parameters of a start from the sums over all n points."""
        raise NotImplementedError

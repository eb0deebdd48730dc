"""Means of the terms of many batches, kept on the device, so that no loop waits for it."""

import torch

from genbench.model import Logs
from genbench.training import ranks
from genbench.utils.errors import UserError

# Steps whose terms are added up at once: on a GPU, many numbers take no longer than one.
STEPS_AT_ONCE = 50
NOT_FINITE = (
    "lower lr if the model has one, or look at the data; checkpoints hold finite weights only"
)


class Meter:
    """Sums of terms over data points.

    `good` counts the steps before the first one whose terms were not all finite. `recent` holds
    terms of the last steps, all of batches with `size` points, which are not in the sums yet.
    """

    def __init__(self) -> None:
        self.sums: Logs = {}
        self.counts: dict[str, int] = {}
        self.good: torch.Tensor | None = None
        self.all_good: torch.Tensor | None = None
        self.recent: list[Logs] = []
        self.size = 0

    def add(self, logs: Logs, n: int) -> None:
        """Add the terms of one batch of n points, weighted by n."""
        recent = self.recent
        is_full = len(recent) == STEPS_AT_ONCE
        if recent and (is_full or n != self.size or recent[0].keys() != logs.keys()):
            self._add_up()
        if logs:
            self.recent.append(logs)
            self.size = n

    def combine(self) -> None:
        """Complete sums over this process's batches by those of the other processes."""
        self._add_up()
        counts = {name: torch.tensor(float(count)) for name, count in self.counts.items()}
        self.sums = ranks.add_up(self.sums)
        self.counts = {name: int(count) for name, count in ranks.add_up(counts).items()}

    def means(self) -> dict[str, float]:
        """The mean of each term over all points."""
        self._add_up()
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}

    def require_finite(self, steps_before: int) -> None:
        """UserError that names the first step whose terms were not finite; so many came before."""
        self._add_up()
        if self.good is not None and not self.all_good:
            step = steps_before + int(self.good) + 1
            raise UserError(f"step {step}", "the loss is not finite", fix=NOT_FINITE, code=1)

    def _add_up(self) -> None:
        """Add recent terms to the sums."""
        if not self.recent:
            return
        values = [value for logs in self.recent for value in logs.values()]
        kinds = {value.dtype for value in values}
        if len(kinds) > 1 or kinds & {torch.bfloat16, torch.float16}:  # too few digits for sums
            precise = torch.float64 if torch.float64 in kinds else torch.float32
            values = [value.to(precise) for value in values]
        block = torch.stack(values).view(len(self.recent), -1)
        for name, total in zip(self.recent[0], block.sum(0) * self.size, strict=True):
            self.sums[name] = self.sums.get(name, 0) + total
            self.counts[name] = self.counts.get(name, 0) + self.size * len(self.recent)
        finite = block.isfinite().all(1)
        leading, all_finite = finite.long().cumprod(0).sum(), finite.all()
        if self.good is None or self.all_good is None:
            self.good, self.all_good = leading, all_finite
        else:
            self.good = self.good + self.all_good * leading
            self.all_good = self.all_good & all_finite
        self.recent = []

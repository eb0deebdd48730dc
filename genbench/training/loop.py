"""The loop. It trains every model, and knows none."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import torch

from genbench.config.settings import Settings
from genbench.data.splits import order_seed
from genbench.data.types import Batch, Data
from genbench.model import Model
from genbench.training.defaults import length
from genbench.training.objective import means
from genbench.utils.errors import UserError
from genbench.utils.rng import fold
from genbench.utils.signals import Interrupted

NOT_FINITE = (
    "lower lr if the model has one, or look at the data; checkpoints hold finite weights only"
)


class Stopwatch:
    """Adds up the wall-clock and CPU seconds of the blocks that it runs for, however they end."""

    def __init__(self):
        self.seconds = self.cpu_seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what is done inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - wall
            self.cpu_seconds += time.process_time() - cpu


class Fitted(NamedTuple):
    """How training went: epochs and steps that were made, the epoch whose weights the model has now, and what it took."""

    epochs: int
    steps: int
    kept: int
    watch: Stopwatch


class Position:
    """Where training stands: after so many epochs, and so many batches of the next one.

    An epoch has `of` batches, and the run `total`, so that the last epoch may be partial. `watch` has what learning has
    taken since the beginning, and `before` the seconds it had taken when this epoch began.
    """

    def __init__(
        self, of: int, total: int, epoch: int = 0, batches: int = 0, watch: Stopwatch | None = None
    ):
        self.of, self.total, self.epoch, self.batches = of, total, epoch, batches
        self.watch = watch or Stopwatch()
        self.meter, self.before = Meter(), self.watch.seconds
        self.train: dict[str, float] | None = (
            None  # what it has measured, once the model has learnt from it as a whole
        )

    @property
    def step(self) -> int:
        """Batches learnt from since the beginning."""
        return min(self.epoch * self.of + self.batches, self.total)

    @property
    def left(self) -> int:
        """Batches that this epoch still has to learn from."""
        return min(self.of, self.total - self.epoch * self.of) - self.batches

    def training_state(self) -> dict:
        """What resuming needs: tensors, numbers, strings and dicts."""
        return vars(self) | {"meter": vars(self.meter), "watch": vars(self.watch)}

    def load_training_state(self, state: dict) -> None:
        """Take back what `training_state` returned; ValueError if it is of a run that this one is not."""
        if (
            state["of"] != self.of
            or state["batches"] > self.of
            or state["epoch"] * self.of >= self.total + self.of
        ):
            raise ValueError("it is of epochs of another length, or beyond the end")
        vars(self).update(state | {"total": self.total})  # a run may have been made longer
        self.meter, self.watch = Meter(), Stopwatch()
        vars(self.meter).update(state["meter"])
        vars(self.watch).update(state["watch"])


def fit(model: Model, data: Data, run, s: Settings) -> Fitted:
    """Train for `s.steps` steps, or else `s.epochs` epochs, unless the model has converged or validation has not improved
    for `s.patience` epochs; leaves the model with its last weights or, with patience, its best.

    `run` keeps what comes out (a `Run`, or anything with its `restore`, `log`, `draw` and `save`). Validation terms
    are measured every `s.validate_every` epochs. Asked to stop, it saves where it is, be that amid a pass, and raises
    Interrupted; what comes out in the end is the same.
    """
    s = Settings(s | length(s, len(data.train), model.default_batch_size))
    of = -(-len(data.train) // s.batch_size)
    at = Position(of, total=s.get("steps") or of * s.epochs)
    model.setup(data.train, seed=s.seed, steps=at.total)
    stopping = EarlyStopping(model, data, s)
    if not run.restore(at, model, stopping):
        with at.watch.running():
            model.initialise(data.train, seed=s.seed)
        at.before = at.watch.seconds
    try:
        while at.train is not None or not (at.epoch == s.epochs or model.converged or stopping.due):
            at = _pass(at, model, data, run, stopping, s)
            if (
                at.epoch % s.save_every == 0
                or at.epoch == s.epochs
                or model.converged
                or stopping.due
            ):
                run.save(at, model, stopping)
    except Interrupted:
        run.save(at, model, stopping)
        raise
    return Fitted(at.epoch, at.step, stopping.take_best(model) or at.epoch, at.watch)


def _pass(
    at: Position, model: Model, data: Data, run, stopping: "EarlyStopping", s: Settings
) -> Position:
    """Learn from an epoch, or what is left of it, and measure what it brought; returns where the next one begins.

    Interrupted is raised only between two batches, or where doing the rest once more changes nothing.
    """
    epoch = at.epoch + 1
    if at.train is None:
        with at.watch.running():
            visit = {
                "order": order_seed(s.seed, epoch),
                "draw": fold(s.seed, "pixels", epoch),
                "skip": at.batches,
            }
            for batch in islice(data.train.batches(s.batch_size, **visit), at.left):
                at.meter.add(model.step(batch), batch)
                at.batches += 1
            train = at.meter.read(at.epoch * at.of)
            at.train = train | _read(model.end_epoch())
    point = {"train": at.train}
    if "validation" in data.splits and epoch % s.validate_every == 0:
        point["validation"] = means(model, data.splits["validation"], s.batch_size, s.seed)
    _require_finite(point, epoch)
    stopping.watch(epoch, model, point)
    visited = min(at.batches * s.batch_size, len(data.train))
    run.log(epoch, point, images_per_second=visited / (at.watch.seconds - at.before))
    if is_drawn(epoch, s):
        run.draw(epoch, model, data)
    return Position(at.of, at.total, epoch, watch=at.watch)


class Silent:
    """A run that keeps nothing, for a model that is a part of another."""

    def restore(self, at, model, stopping) -> bool:
        """There is nothing to go on from."""
        return False

    def log(self, epoch, point, images_per_second) -> None:
        """Nobody looks."""

    draw = save = lambda self, *args: None


def is_drawn(epoch: int, s: Settings) -> bool:
    """Whether pictures are drawn after this epoch: after 1, 2, ..., 10, 20, ..., 100, 200, ... unless `s.draw_every`
    says otherwise; often while much changes, however long the run."""
    return epoch % (s.get("draw_every") or 10 ** (len(str(epoch)) - 1)) == 0


class EarlyStopping:
    """Keeps the weights that did best on the validation data, and tells when that was too long ago.

    It looks every `s.validate_every` epochs; without `s.patience` never. UserError if the model has no objective that
    falls, or there is nothing to validate on.
    """

    def __init__(self, model: Model, data: Data, s: Settings):
        self.patience, self.every, self.criterion = (
            s.get("patience"),
            s.validate_every,
            model.criterion,
        )
        self.latest, self.best = 0, {}
        if self.patience is not None and self.criterion is None:
            raise UserError(
                "patience", "this model has no objective that falls", self.patience, "patience=null"
            )
        if self.patience is not None and "validation" not in data.splits:
            raise UserError(
                "patience",
                "needs validation data",
                self.patience,
                "dataset.val_size=1000, or patience=null",
            )

    def watch(self, epoch: int, model: Model, point: dict[str, dict[str, float]]) -> None:
        """Look at an epoch's validation terms, if it is time to."""
        if self.patience is None or epoch % self.every:
            return
        self.latest, value = epoch, point["validation"][self.criterion]
        if not self.best or value < self.best["value"]:
            weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            self.best = {"epoch": epoch, "value": value, "weights": weights}

    @property
    def due(self) -> bool:
        """Whether `patience` epochs have gone by since the best one."""
        return bool(self.best) and self.latest - self.best["epoch"] >= self.patience

    def take_best(self, model: Model) -> int | None:
        """Give the model its best weights, if they were kept, and tell of which epoch they are."""
        if self.best:
            model.load_state_dict(self.best["weights"])
        return self.best.get("epoch")

    def training_state(self) -> dict:
        """What resuming needs: tensors, numbers, strings and dicts."""
        return {"latest": self.latest, "best": self.best}

    def load_training_state(self, state: dict) -> None:
        """Take back what `training_state` returned."""
        self.latest, self.best = state["latest"], state["best"]


class Meter:
    """Means of every step's logs over an epoch, kept on the device: nothing waits for it inside the loop."""

    def __init__(self):
        self.sums: dict[str, torch.Tensor] = {}
        self.counts: dict[str, int] = {}
        self.good: torch.Tensor | None = None  # steps before the first one that was not finite
        self.all_good: torch.Tensor | None = None

    def add(self, logs: dict[str, torch.Tensor], batch: Batch) -> None:
        """Take one step's logs, weighted by the size of its batch."""
        n = len(batch.x)
        for name, value in logs.items():
            self.sums[name] = self.sums.get(name, 0) + value * n
            self.counts[name] = self.counts.get(name, 0) + n
        if logs:
            finite = torch.stack([v.float() for v in logs.values()]).isfinite().all()
            self.all_good = finite if self.all_good is None else self.all_good & finite
            self.good = self.all_good.long() if self.good is None else self.good + self.all_good

    def read(self, steps_before: int) -> dict[str, float]:
        """The means; UserError naming the first step whose logs were not finite."""
        if self.all_good is not None and not self.all_good:
            step = steps_before + int(self.good) + 1
            raise UserError(f"step {step}", "the loss is not finite", fix=NOT_FINITE, code=1)
        return _read({name: total / self.counts[name] for name, total in self.sums.items()})


def _require_finite(point: dict[str, dict[str, float]], epoch: int) -> None:
    for part, numbers in point.items():
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise UserError(
                    f"epoch {epoch}",
                    f"{name} on the {part} data is not finite",
                    value,
                    NOT_FINITE,
                    code=1,
                )


def _read(logs: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}

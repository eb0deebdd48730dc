"""The loop. It trains every model, and knows none."""

import math
import time
from typing import NamedTuple

import torch

from .data import Batch, Data, order_seed
from .errors import UserError
from .metrics import means
from .model import Model
from .seeds import fold
from .settings import Settings

NOT_FINITE = "lower lr if the model has one, or look at the data; checkpoints hold finite weights only"


class Fitted(NamedTuple):
    """How training went: the number of passes made, and the one whose weights the model has now."""

    epochs: int
    kept: int


def fit(model: Model, data: Data, run, s: Settings) -> Fitted:
    """Train until `s.epochs` passes are made, the model has converged, or validation has not improved for `s.patience`
    epochs; leaves the model with its last weights or, with patience, its best.

    `run` keeps what comes out (a `Run`, or anything with its `restore`, `log`, `draw` and `save`). Validation terms
    are measured every `s.validate_every` epochs, and after the last.
    """
    steps = -(-len(data.train) // s.batch_size)
    model.setup(data.train, seed=s.seed, steps=steps * s.epochs)
    stopping = EarlyStopping(model, data, s)
    epoch = run.restore(model, stopping)
    if epoch == 0:
        model.initialise(data.train, seed=s.seed)
    while epoch < s.epochs and not (model.converged or stopping.due):
        epoch += 1
        started, meter = time.perf_counter(), Meter()
        for batch in data.train.batches(s.batch_size, order=order_seed(s.seed, epoch), draw=fold(s.seed, "pixels", epoch)):
            meter.add(model.step(batch), batch)
        train = meter.read((epoch - 1) * steps) | _read(model.end_epoch())
        seconds = time.perf_counter() - started
        last = epoch == s.epochs or model.converged
        point = {"train": train}
        if "validation" in data.parts and (last or epoch % s.validate_every == 0):
            point["validation"] = means(model, data.parts["validation"], s.batch_size, s.seed)
        _require_finite(point, epoch)
        stopping.watch(epoch, model, point)
        last = last or stopping.due
        run.log(epoch, point, images_per_second=len(data.train) / seconds)
        if is_drawn(epoch, s):
            run.draw(epoch, model, data)
        if last or epoch % s.save_every == 0:
            run.save(epoch, model, stopping)
    return Fitted(epoch, stopping.take_best(model) or epoch)


class Silent:
    """A run that keeps nothing, for a model that is a part of another."""

    def restore(self, model, stopping) -> int:
        """There is nothing to go on from."""
        return 0

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
        self.patience, self.every, self.criterion = s.get("patience"), s.validate_every, model.criterion
        self.latest, self.best = 0, {}
        if self.patience is not None and self.criterion is None:
            raise UserError("patience", "this model has no objective that falls", self.patience, "patience=null")
        if self.patience is not None and "validation" not in data.parts:
            raise UserError("patience", "needs validation data", self.patience, "dataset.val_size=1000, or patience=null")

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

    def progress(self) -> dict:
        """What resuming needs: tensors, numbers, strings and dicts."""
        return {"latest": self.latest, "best": self.best}

    def resume(self, progress: dict) -> None:
        """Take back what `progress` returned."""
        self.latest, self.best = progress["latest"], progress["best"]


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
                raise UserError(f"epoch {epoch}", f"{name} on the {part} data is not finite", value, NOT_FINITE, code=1)


def _read(logs: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}

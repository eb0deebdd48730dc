"""The loop. It trains every model, and knows none."""

import math
import time

import torch

from .data import Batch, Data, order_seed
from .errors import UserError
from .metrics import means
from .model import Model
from .seeds import fold
from .settings import Settings

NOT_FINITE = "lower lr if the model has one, or look at the data; checkpoints hold finite weights only"


def fit(model: Model, data: Data, run, s: Settings) -> int:
    """Train until `s.epochs` passes are made or the model has converged; returns the number of passes made.

    `run` keeps what comes out (a `Run`, or anything with its `restore`, `log`, `draw` and `save`). Validation terms
    are measured every `s.validate_every` epochs, and after the last.
    """
    steps = -(-len(data.train) // s.batch_size)
    model.setup(data.train, seed=s.seed, steps=steps * s.epochs)
    epoch = run.restore(model)
    if epoch == 0:
        model.initialise(data.train, seed=s.seed)
    while epoch < s.epochs and not model.converged:
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
        run.log(epoch, point, images_per_second=len(data.train) / seconds)
        if last or epoch % (s.draw_every or usual_interval(epoch)) == 0:
            run.draw(epoch, model, data)
        if last or epoch % s.save_every == 0:
            run.save(epoch, model)
    return epoch


def usual_interval(epoch: int) -> int:
    """Pictures after epochs 1, 2, ..., 10, 20, ..., 100, 200, ...: often while much changes, however long the run."""
    return 10 ** (len(str(epoch)) - 1)


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

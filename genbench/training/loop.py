"""The training loop. It trains every model and depends on none.

It is a generator of calls, as `genbench.training.calls` explains.
"""

import math
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple, Protocol

from genbench.data.splits import order_seed
from genbench.data.types import Data
from genbench.model import Logs, Model
from genbench.settings.groups import GradientSettings
from genbench.settings.run import RunSettings
from genbench.training import ranks, shares
from genbench.training.calls import Call, Calls, Stopwatch, alone
from genbench.training.defaults import length
from genbench.training.meter import NOT_FINITE, Meter
from genbench.training.objective import means_work
from genbench.training.processes import is_first
from genbench.training.stopping import EarlyStopping
from genbench.utils.errors import UserError
from genbench.utils.rng import fold
from genbench.utils.signals import Interrupted


class Fitted(NamedTuple):
    """How training went: how many epochs and steps it took, and which epoch's weights the model has
    now.
    """

    epochs: int
    steps: int
    kept: int
    watch: Stopwatch


class Position:
    """Where training stands: after `epoch` epochs, and `batches` batches of the next one.

    A whole epoch has `of` batches, and the run `total`, so that the last epoch may be partial.
    `watch` has the time spent on learning since the beginning, and `before` its seconds when this
    epoch began. `train` has the epoch's terms once the model has learnt from all of it.
    """

    def __init__(
        self, of: int, total: int, epoch: int = 0, batches: int = 0, watch: Stopwatch | None = None
    ) -> None:
        self.of, self.total, self.epoch, self.batches = of, total, epoch, batches
        self.watch = watch or Stopwatch()
        self.meter, self.before = Meter(), self.watch.seconds
        self.train: dict[str, float] | None = None

    @property
    def step(self) -> int:
        """How many batches the model has learnt from since the beginning."""
        return min(self.epoch * self.of + self.batches, self.total)

    @property
    def left(self) -> int:
        """How many batches of this epoch are left."""
        return min(self.of, self.total - self.epoch * self.of) - self.batches

    def training_state(self) -> dict[str, Any]:
        """What resuming needs: tensors, numbers, strings and dicts."""
        return vars(self) | {"meter": vars(self.meter), "watch": vars(self.watch)}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore what `training_state` returned; ValueError if it belongs to another run."""
        beyond = state["epoch"] * self.of >= self.total + self.of
        if state["of"] != self.of or state["batches"] > self.of or beyond:
            raise ValueError("its epochs have another length, or it is beyond the end")
        vars(self).update(state | {"total": self.total})  # a run may have been made longer
        self.meter, self.watch = Meter(), Stopwatch()
        vars(self.meter).update(state["meter"])
        vars(self.watch).update(state["watch"])


class Recorder(Protocol):
    """What the loop expects of whatever keeps the results of a run."""

    def restore(self, at: Position, model: Model, stopping: EarlyStopping) -> bool:
        """Load the last checkpoint into the three; False if there is none."""

    def log(
        self, epoch: int, point: dict[str, dict[str, float]], *, images_per_second: float
    ) -> None:
        """Keep the terms of an epoch, by the part of the data."""

    def draw(self, epoch: int, model: Model, data: Data) -> None:
        """Draw the pictures of an epoch."""

    def save(
        self, at: Position, model: Model, stopping: EarlyStopping, *, may_skip: bool = False
    ) -> None:
        """Save a checkpoint; with `may_skip`, unless saving would take much of the time."""


class NullRecorder:
    """Keeps nothing, for a model that is a part of another."""

    def restore(self, at: Position, model: Model, stopping: EarlyStopping) -> bool:
        """There is nothing to restore."""
        return False

    def log(
        self, epoch: int, point: dict[str, dict[str, float]], *, images_per_second: float
    ) -> None:
        """Do nothing."""

    def draw(self, epoch: int, model: Model, data: Data) -> None:
        """Do nothing."""

    def save(
        self, at: Position, model: Model, stopping: EarlyStopping, *, may_skip: bool = False
    ) -> None:
        """Do nothing."""


def fit_model(model: Model, data: Data, run: Recorder, settings: RunSettings) -> Fitted:
    """Do `fit_work` alone."""
    return alone(fit_work(model, data, run, settings))


def fit_work(model: Model, data: Data, run: Recorder, settings: RunSettings) -> Calls[Fitted]:
    """Train for `steps` steps if they are set, else for `epochs` epochs, and leave the model with
    its last weights.

    Training ends early when the model has converged. With `patience` it also ends when the
    validation terms have not improved for so many epochs, and the model gets its best weights.
    Validation terms are measured every `validate_every` epochs. When a signal asks the program to
    stop, the run is saved where it stands, including in the middle of an epoch, and Interrupted is
    raised; a resumed run ends with the same result.
    """
    found = length(settings, len(data.train), model)
    settings = settings.model_copy(update=found)
    of = -(-len(data.train) // settings.batch_size)
    steps = settings.steps if isinstance(settings, GradientSettings) else None
    at = Position(of, total=steps or of * settings.epochs)
    model.setup(data.train, seed=settings.seed, steps=at.total)
    stopping = EarlyStopping(model, data, settings)
    if not _restore(run, at, model, stopping):
        with at.watch.running():
            model.initialise(data.train, seed=settings.seed)
            ranks.make_same(model)
        at.before = at.watch.seconds

    def done() -> bool:
        return at.epoch == settings.epochs or model.converged or stopping.due

    try:
        with ranks.stopping_together() as check:
            while at.train is not None or not done():
                at = yield from _train_epoch(at, model, data, run, stopping, settings, check)
                if at.epoch % settings.save_every == 0 or done():
                    run.save(at, model, stopping, may_skip=not done())
    except Interrupted:
        if at.train is None and at.batches:
            _combine(model)
        run.save(at, model, stopping)
        raise
    return Fitted(at.epoch, at.step, stopping.take_best(model) or at.epoch, at.watch)


def _train_epoch(
    at: Position,
    model: Model,
    data: Data,
    run: Recorder,
    stopping: EarlyStopping,
    settings: RunSettings,
    check: Callable[[], None],
) -> Calls[Position]:
    """Learn from an epoch, or from what is left of it, and measure; returns the position at the
    start of the next one.

    Interrupted is raised only between two batches, where `check` is called, or where repeating
    the rest changes nothing.
    """
    epoch = at.epoch + 1
    check()
    if at.train is None:
        with at.watch.running():
            batches = data.train.batches(
                settings.batch_size,
                order=order_seed(settings.seed, epoch) if model.shuffles else None,
                draw=fold(settings.seed, "pixels", epoch),
                skip=at.batches,
                share=shares.own_rows if model.splits_batches and ranks.several() else None,
            )
            for batch in islice(batches, at.left):
                check()
                left = len(data.train) - at.batches * settings.batch_size
                n = min(settings.batch_size, left)
                with shares.sharing(n if model.splits_batches else None):
                    logs = yield Call(model, batch, (at.step, 1), watch=at.watch)
                at.meter.add(logs, n)
                at.batches += 1
            at.meter.require_finite(at.epoch * at.of)
            _combine(model)
            train = at.meter.means()
            at.train = train | _floats(model.end_epoch())
    point = {"train": at.train}
    if "validation" in data.splits and epoch % settings.validate_every == 0:
        point["validation"] = yield from means_work(
            model, data.splits["validation"], settings.batch_size, settings.seed, at.step
        )
    _require_finite(point, epoch)
    stopping.watch(epoch, model, point)
    visited = min(at.batches * settings.batch_size, len(data.train))
    run.log(epoch, point, images_per_second=visited / (at.watch.seconds - at.before))
    if is_drawn(epoch, settings):
        run.draw(epoch, model, data)
    return Position(at.of, at.total, epoch, watch=at.watch)


def _restore(run: Recorder, at: Position, model: Model, stopping: EarlyStopping) -> bool:
    """Load the last checkpoint, which the first process reads for all; False if there is none."""
    is_restored = run.restore(at, model, stopping)
    if not ranks.several():
        return is_restored
    content = {}
    if is_restored:
        content = {"at": at.training_state(), "stopping": stopping.training_state()}
        content |= {"model": model.state_dict(), "progress": model.training_state()}
    content = ranks.same_state(content, model.device)
    if content and not is_first():
        at.load_training_state(content["at"])
        stopping.load_training_state(content["stopping"])
        model.load_state_dict(content["model"])
        model.load_training_state(content["progress"])
    return bool(content)


def _combine(model: Model) -> None:
    """Complete the sums of a model whose batches several processes split."""
    if model.splits_batches and ranks.several():
        model.combine()


def is_drawn(epoch: int, settings: RunSettings) -> bool:
    """Whether pictures are drawn after this epoch.

    They are drawn every `draw_every` epochs; by default after 1, 2, ..., 10, 20, ..., 100, 200,
    ...: often while much changes, however long the run.
    """
    return epoch % (settings.draw_every or 10 ** (len(str(epoch)) - 1)) == 0


def _require_finite(point: dict[str, dict[str, float]], epoch: int) -> None:
    """UserError for a term that is not finite."""
    for part, numbers in point.items():
        for name, value in numbers.items():
            if not math.isfinite(value):
                what = f"{name} on the {part} data is not finite"
                raise UserError(f"epoch {epoch}", what, value, NOT_FINITE, code=1)


def _floats(logs: Logs) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}

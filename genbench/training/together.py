"""Runs that differ only in a few numbers, trained as one batched model.

Each run remains one of its own. All of its code runs as if it were alone, up to a call of its model
(see `calls`). The calls that runs make at the same place are then made as one (see `ensemble`).
"""

import contextvars
import time
import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic

from genbench.data.types import Batch
from genbench.model import Logs, Model
from genbench.settings.base import structure, switches
from genbench.training.calls import Call, Calls, Result
from genbench.training.ensemble import Ensemble
from genbench.training.gradient import GradientModel
from genbench.utils.errors import UserError, lacks_memory
from genbench.utils.signals import is_request_to_stop


@dataclass(frozen=True)
class Pending:
    """A call that a run waits for, with the model that learns within the one it is made of.

    `kind` is the same in calls that can be made as one; None if this one must be made alone.
    """

    call: Call
    model: Model
    batch: Batch
    kind: Hashable


class JointRun(Generic[Result]):
    """A run among those that train together: the call that it waits for or, once it has ended, its
    result or the error that ended it.
    """

    def __init__(self, work: Calls[Result]) -> None:
        self.work = work
        self.pending: Pending | None = None
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.structure: tuple[Model | None, Hashable] = (None, None)  # of the last call's model
        self.since = self.cpu_since = 0.0  # when the run began to wait
        self.context = contextvars.copy_context()  # such as whose log it is
        self._go_on(partial(next, work))

    def answer(self, logs: Logs, seconds: float, cpu_seconds: float) -> None:
        """Go on with the result of the call, which took so long for each run that made it."""
        self._go_on(partial(self.work.send, logs), seconds, cpu_seconds)

    def fail(self, error: BaseException) -> None:
        """Let the call raise an error."""
        self._go_on(partial(self.work.throw, error))

    @property
    def is_stopped(self) -> bool:
        """Whether a request to stop has ended it."""
        return self.error is not None and is_request_to_stop(self.error)

    def _go_on(
        self, advance: Callable[[], Call], seconds: float = 0.0, cpu_seconds: float = 0.0
    ) -> None:
        """Run up to the next call, or to the end."""
        if self.pending is not None and self.pending.call.watch is not None:
            waited = time.perf_counter() - self.since, time.process_time() - self.cpu_since
            self.pending.call.watch.add(seconds - waited[0], cpu_seconds - waited[1])
        self.pending = None
        try:
            call = self.context.run(advance)
        except StopIteration as end:
            self.result, self.structure = end.value, (None, None)
        except BaseException as error:
            self.error, self.structure = error, (None, None)
        else:
            try:
                self.pending = self._pending(call)
            except Exception as error:
                return self.fail(error)
        self.since, self.cpu_since = time.perf_counter(), time.process_time()

    def _pending(self, call: Call) -> Pending:
        model, batch = call.model.within(call.batch)
        if self.structure[0] is not model:
            self.structure = model, structure_of(model)
        structure, is_step = self.structure[1], call.rng is None
        is_usual = is_step or type(model).evaluate is GradientModel.evaluate
        if structure is None or not is_usual:
            return Pending(call, model, batch, None)
        kind = call.place, structure, is_step, tuple(batch.x.shape), batch.y is None
        return Pending(call, model, batch, kind)


def together(works: Iterable[Calls[Result]]) -> list[JointRun[Result]]:
    """Do all of these works, making calls as one wherever they can be.

    An error, also a request to stop, ends the work that it is raised in, and no other; but after a
    request to stop no further work begins.
    """
    runs: list[JointRun[Result]] = []
    for work in works:
        runs.append(JointRun(work))
        if runs[-1].is_stopped:
            break
    joint = JointCalls()
    while waiting := [(run, run.pending) for run in runs if run.pending is not None]:
        chosen = _next_group(waiting)
        if joint.can_make([pending for _, pending in chosen]):
            _answer(chosen, joint.made)
        else:
            for one in chosen:
                _answer([one], lambda group: [pending.call.made() for pending in group])
        stopped = [run.error for run, _ in chosen if run.is_stopped]
        for run, _ in waiting if stopped else ():
            if run.pending is not None and stopped[0] is not None:
                run.fail(stopped[0])  # at the same place, to go on from there together
    return runs


Waiting = tuple[JointRun[Result], Pending]


def _answer(
    group: Sequence[Waiting[Result]], made: Callable[[Sequence[Pending]], list[Logs]]
) -> None:
    """Make the calls of some runs, and let each go on with its result or with the error."""
    begun, cpu_begun = time.perf_counter(), time.process_time()
    try:
        answers = made([pending for _, pending in group])
    except BaseException as error:
        for run, _ in group:
            run.fail(error)
        return
    each = (time.perf_counter() - begun) / len(group)
    cpu_each = (time.process_time() - cpu_begun) / len(group)
    for (run, _), logs in zip(group, answers, strict=True):
        run.answer(logs, each, cpu_each)


def _next_group(waiting: Sequence[Waiting[Result]]) -> list[Waiting[Result]]:
    """Those that are furthest behind and whose calls can be made as one, in the order of their
    learning rates.

    So runs that a resumed sweep has left at different places come to the same one.
    """
    first = min(waiting, key=lambda one: one[1].call.place)
    if first[1].kind is None:
        return [first]
    return sorted((one for one in waiting if one[1].kind == first[1].kind), key=_rates)


def _rates(one: Waiting[Result]) -> list[float]:
    model = one[1].model
    return [*model.learning_rates.values()] if isinstance(model, GradientModel) else []


class JointCalls:
    """Makes calls of models alike as one."""

    def __init__(self) -> None:
        self.ensemble: Ensemble | None = None
        self.refused: set[frozenset[int]] = set()  # models that cannot be an ensemble

    def can_make(self, group: Sequence[Pending]) -> bool:
        """Whether these calls can be made as one, which is found out once for the same models."""
        models = [one.model for one in group if isinstance(one.model, GradientModel)]
        if len(group) > 1 and self._is_ensemble(models, [one.batch for one in group]):
            return True
        if group[0].call.rng is None:  # a step alone, which a member must not take
            self.dissolve()
        return False

    def made(self, group: Sequence[Pending]) -> list[Logs]:
        """The results of these calls. UserError if the memory does not suffice for all at once."""
        assert self.ensemble is not None
        batches = [one.batch for one in group]
        try:
            if group[0].call.rng is None:
                return self.ensemble.step(batches)
            return self.ensemble.evaluate(batches, [c.call.rng for c in group if c.call.rng])
        except Exception as error:
            if not lacks_memory(error):
                raise
            what = "the memory does not suffice for so many runs at once"
            raise UserError("together", what, len(group), "together=false", code=1) from error

    def _is_ensemble(self, models: list[GradientModel], batches: list[Batch]) -> bool:
        """Make an ensemble of these models, unless they are one. False if they cannot be one."""
        if self.ensemble is not None and self.ensemble.members == models:
            return True
        self.dissolve()
        which = frozenset(map(id, models))
        if which in self.refused:
            return False
        try:
            self.ensemble = Ensemble(models)
            self.ensemble.rehearse(batches)
        except Exception as error:
            self.refused.add(which)
            self.dissolve()
            warnings.warn(f"{len(models)} runs are trained one by one: {error}", stacklevel=2)
            return False
        for model in models:
            model.together = max(model.together, len(models))
        return True

    def dissolve(self) -> None:
        """Give every model tensors of its own again."""
        if self.ensemble is not None:
            self.ensemble.dissolve()
        self.ensemble = None


def structure_of(model: Model) -> Hashable:
    """What is the same in models that can be trained as one; None if this one cannot.

    It is the class, the device, and all settings but those in which members may differ.
    """
    if not isinstance(model, GradientModel) or type(model).step is not GradientModel.step:
        return None
    settings = model.settings
    # A weight that the loss does not get as one, but reads from the settings.
    read = {*switches(type(settings))} - {*model.loss_weights}
    values = settings.values()
    fixed = str([values[name] for name in sorted(read)])
    return type(model), str(model.device), structure(type(settings), values), fixed

"""Runs that differ only in a few numbers, trained as one batched model.

Each run remains one of its own. All of its code runs as if it were alone, up to a call of its model
(see `calls`). The calls that runs make at the same place are then made as one (see `ensemble`).
"""

import contextvars
import time
import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Any, Generic

from genbench.model import Logs, Model
from genbench.settings.base import structure
from genbench.training.calls import Call, Calls, Result
from genbench.training.ensemble import Ensemble
from genbench.training.gradient import GradientModel
from genbench.utils.errors import UserError, lacks_memory
from genbench.utils.signals import is_request_to_stop


class JointRun(Generic[Result]):
    """A run among those that train together: the call that it waits for or, once it has ended, its
    result or the error that ended it.
    """

    def __init__(self, work: Calls[Result]) -> None:
        self.work = work
        self.call: Call | None = None
        self.kind: Hashable = None  # of calls that can be made as one; None if not with others
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.since = self.cpu_since = 0.0  # when the run began to wait
        self.context = contextvars.copy_context()  # such as whose log it is
        self._go_on(partial(next, work))

    def answer(self, logs: Logs, seconds: float, cpu_seconds: float) -> None:
        """Go on with the result of the call, which took so long for each run that made it."""
        self._go_on(partial(self.work.send, logs), seconds, cpu_seconds)

    def fail(self, error: BaseException) -> None:
        """Let the call raise an error."""
        self._go_on(partial(self.work.throw, error))

    def _go_on(
        self, advance: Callable[[], Call], seconds: float = 0.0, cpu_seconds: float = 0.0
    ) -> None:
        """Run up to the next call, or to the end."""
        if self.call is not None and self.call.watch is not None:
            waited = time.perf_counter() - self.since, time.process_time() - self.cpu_since
            self.call.watch.add(seconds - waited[0], cpu_seconds - waited[1])
        self.call = None
        try:
            self.call = self.context.run(advance)
        except StopIteration as end:
            self.result = end.value
        except BaseException as error:
            self.error = error
        if self.call is not None:
            kind = _kind_of(self.call)
            self.kind = (self.call.place, kind) if kind else None
        self.since, self.cpu_since = time.perf_counter(), time.process_time()


def together(works: Iterable[Calls[Result]]) -> list[JointRun[Result]]:
    """Do all of these works, making calls as one wherever they can be.

    An error, also a request to stop, ends the work that it is raised in, and no other; but after a
    request to stop no further work begins.
    """
    members: list[JointRun[Result]] = []
    for work in works:
        members.append(JointRun(work))
        if members[-1].error is not None and is_request_to_stop(members[-1].error):
            break
    joint = JointCalls()
    while waiting := [member for member in members if member.call is not None]:
        chosen = _next_group(waiting)
        begun, cpu_begun = time.perf_counter(), time.process_time()
        try:
            answers = joint.made([member.call for member in chosen if member.call is not None])
        except BaseException as error:
            for member in chosen:
                member.fail(error)
            continue
        each = (time.perf_counter() - begun) / len(chosen)
        cpu_each = (time.process_time() - cpu_begun) / len(chosen)
        for member, logs in zip(chosen, answers, strict=True):
            member.answer(logs, each, cpu_each)
        stopped = [one.error for one in chosen if one.error and is_request_to_stop(one.error)]
        for member in waiting if stopped else ():
            if member.call is not None:  # it stops at the same place, to go on from there together
                member.fail(stopped[0])
    return members


def _next_group(waiting: Sequence[JointRun[Result]]) -> list[JointRun[Result]]:
    """Those that are furthest behind and whose calls can be made as one.

    So runs that a resumed sweep has left at different places come to the same one.
    """
    first = min(waiting, key=lambda member: member.call.place if member.call else ())
    if first.kind is None:
        return [first]
    return [member for member in waiting if member.kind == first.kind]


class JointCalls:
    """Makes calls of models alike as one."""

    def __init__(self) -> None:
        self.ensemble: Ensemble | None = None
        self.refused: set[frozenset[int]] = set()  # members that cannot be an ensemble

    def made(self, calls: Sequence[Call]) -> list[Logs]:
        """The results of these calls. UserError if the memory does not suffice for all at once."""
        within = [call.model.within(call.batch) for call in calls]
        models = [model for model, _ in within if isinstance(model, GradientModel)]
        batches = [batch for _, batch in within]
        if len(models) < 2 or not self._stack(models, batches):
            self.dissolve()
            return [call.made() for call in calls]
        assert self.ensemble is not None
        try:
            if calls[0].rng is None:
                return self.ensemble.step(batches)
            return self.ensemble.evaluate(batches, [call.rng for call in calls if call.rng])
        except Exception as error:
            if not lacks_memory(error):
                raise
            what = "the memory does not suffice for so many runs at once"
            raise UserError("together", what, len(calls), "together=false", code=1) from error

    def _stack(self, models: list[GradientModel], batches: list[Any]) -> bool:
        """Make an ensemble of these models, unless they are one. False if they cannot be one."""
        if self.ensemble is not None and self.ensemble.members == models:
            return True
        self.dissolve()
        which = frozenset(map(id, models))
        if which in self.refused:
            return False
        ensemble = Ensemble(models)
        try:
            ensemble.rehearse(batches)
        except Exception as error:
            self.refused.add(which)
            ensemble.dissolve()
            warnings.warn(f"{len(models)} runs are trained one by one: {error}", stacklevel=2)
            return False
        self.ensemble = ensemble
        return True

    def dissolve(self) -> None:
        """Give every model tensors of its own again."""
        if self.ensemble is not None:
            self.ensemble.dissolve()
        self.ensemble = None


def _kind_of(call: Call) -> Hashable:
    """What is the same in calls that can be made as one; None if the call must be made alone."""
    model, batch = call.model.within(call.batch)
    structure = structure_of(model)
    own = call.rng is None or (
        isinstance(model, GradientModel) and type(model).evaluate is GradientModel.evaluate
    )
    if structure is None or not own:
        return None
    return structure, call.rng is None, tuple(batch.x.shape), batch.y is None


def structure_of(model: Model) -> Hashable:
    """What is the same in models that can be trained as one; None if this one cannot.

    It is the class, the device, and all settings but those in which members may differ.
    """
    if not isinstance(model, GradientModel) or type(model).step is not GradientModel.step:
        return None
    settings = model.settings
    return type(model), str(model.device), structure(type(settings), settings.values())

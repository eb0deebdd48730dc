"""Training as a generator of calls to models, so that runs can make their calls together.

A function that trains or measures yields each call of a model's `step` or `evaluate` and is sent
the result. `alone` makes the calls of one run as they come; `training.together` makes those of
several runs as one.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch

from genbench.data.types import Batch
from genbench.model import Logs, Model

Result = TypeVar("Result")


class Stopwatch:
    """Adds up the wall-clock and CPU seconds of the blocks that it runs for, however they end."""

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time that the block takes."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.add(time.perf_counter() - wall, time.process_time() - cpu)

    def add(self, seconds: float, cpu_seconds: float) -> None:
        """Count more time, or less: a run that waits for others does not pay for it."""
        self.seconds += seconds
        self.cpu_seconds += cpu_seconds


@dataclass(frozen=True)
class Call:
    """A call of a model that a run makes.

    model  whose `step(batch)` is called or, if there is an `rng`, its `evaluate(batch, rng)`
    place  how far the run has come; of runs that train together, those that are behind go first
    watch  counts the time of the run, if it counts
    """

    model: Model
    batch: Batch
    place: tuple[int, ...]
    rng: torch.Generator | None = None
    watch: Stopwatch | None = None

    def made(self) -> Logs:
        """Make the call; returns its result."""
        if self.rng is None:
            return self.model.step(self.batch)
        with torch.no_grad():
            return self.model.evaluate(self.batch, self.rng)


# Training, or a part of it, that ends with a result.
Calls = Generator[Call, Logs, Result]


def alone(work: Calls[Result]) -> Result:
    """Make each call as it comes; returns what the work ends with, and raises what it raises."""
    go_on: Callable[[], Call] = partial(next, work)
    while True:
        try:
            call = go_on()
        except StopIteration as end:
            result: Any = end.value
            return result
        try:
            go_on = partial(work.send, call.made())
        except BaseException as error:
            go_on = partial(work.throw, error)

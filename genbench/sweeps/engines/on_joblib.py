"""joblib as an engine: each slot is an executor of loky with one process.

`joblib.Parallel` would not do: where one of its workers dies, it kills all others.
"""

import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor

from genbench.sweeps.engines.interface import Engine, Wanted
from genbench.sweeps.engines.lane import Lane, LaneEnd
from genbench.sweeps.pool import Exit, gpu_environments

PARENT_LOOK = 0.5  # seconds between two looks at the process of the sweep


@dataclass(frozen=True)
class LaneOfParent:
    """A lane that is asked to stop when the process that started it is gone."""

    lane: Lane
    parent: int

    def __call__(self) -> LaneEnd:
        """Run the lane."""
        over = threading.Event()
        threading.Thread(target=self._watch, args=(over,), daemon=True).start()
        try:
            return self.lane()
        finally:
            over.set()

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(PARENT_LOOK):
            if os.getppid() != self.parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return


class LokySlot:
    """A place for one lane at a time: an executor with one process, and another after it died."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.executor: Any = None
        self.process: Future[int] | None = None

    def submit(self, lane: Lane) -> "Future[LaneEnd]":
        """Start a lane."""
        if self.executor is None:
            self.executor = ProcessPoolExecutor(1, env=self.environment)
            self.process = self.executor.submit(os.getpid)
        future: Future[LaneEnd] = self.executor.submit(LaneOfParent(lane, os.getpid()))
        return future

    def stop(self) -> None:
        """Send SIGTERM to the process, once it is there."""
        if self.process is not None and self.process.done():
            with suppress(OSError, BrokenProcessPool):
                os.kill(self.process.result(), signal.SIGTERM)

    def close(self) -> None:
        """End the process, in which no lane runs."""
        if self.executor is not None:
            self.executor.shutdown(wait=True, kill_workers=True)
            self.executor = self.process = None


class JoblibEngine(Engine):
    """Processes of joblib on this machine, one for each lane at a time."""

    def __init__(self, wanted: Wanted) -> None:
        self.gpus = wanted.gpus_here()
        self.workers = wanted.jobs(auto=self.gpus or max(1, wanted.cores_here() // wanted.threads))
        self.window = self.workers
        self.free = [LokySlot(one) for one in gpu_environments(self.gpus, self.workers)]
        self.slots: dict[Any, LokySlot] = {}  # by the future of their lanes

    def submit(self, lanes: Sequence[Lane], names: Sequence[frozenset[str]]) -> list[Any]:
        """Start lanes in free slots."""
        futures = []
        for lane in lanes:
            slot = self.free.pop(0)
            futures.append(slot.submit(lane))
            self.slots[futures[-1]] = slot
        return futures

    def end_of(self, ticket: "Future[LaneEnd]") -> LaneEnd | Exit | None:
        """How a lane ended. If its process died, its slot gets another one."""
        if not ticket.done():
            return None
        slot = self.slots.pop(ticket)
        self.free.insert(0, slot)
        try:
            return ticket.result()
        except BrokenProcessPool:
            slot.close()
            return Exit(-signal.SIGKILL, "was killed")

    def stop(self, tickets: Sequence[Any]) -> None:
        """Send SIGTERM to the processes of lanes."""
        for ticket in tickets:
            self.slots[ticket].stop()

    def close(self) -> None:
        """End all processes."""
        for slot in self.free:
            slot.close()

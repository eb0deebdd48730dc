"""Runs calls in worker processes, a few at once. Each process outlives its call and takes another.

Each slot is a `ProcessPoolExecutor` of one spawned process, and a `ThreadPoolExecutor` hands the
calls to free slots. One executor for all processes would not do, because a worker that dies breaks
its executor: that of `concurrent.futures` stops its other workers by SIGTERM, and loky (joblib)
kills them by SIGKILL, which no job survives with a checkpoint. Of an executor with one process,
only the call is lost that the process was running. It is made once more, in a new process.
Processes are spawned because a fork of a process with threads or a GPU may hang.
"""

import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from typing import Any, NamedTuple

from genbench.sweeps.worker import STOP, Work, begin, work
from genbench.utils import signals

TRIES = 2  # how often a call is made whose process is killed
NOTICE = 0.1  # seconds at most until a signal is noticed
BLOCKED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SPAWN = get_context("spawn")


class Message(NamedTuple):
    """What the call of this number sent, or `LOST` if its process was killed."""

    call: int
    content: Any


LOST = "lost"


class Killed(Exception):
    """The process of a call was killed, and so was that of its second try."""


class Slot:
    """A place for one call at a time: a worker process, and another one after it has died."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.executor: ProcessPoolExecutor | None = None
        self.lock, self.is_stopped = threading.Lock(), False

    def run(self, pickled: bytes, receive: Callable[[Any], None]) -> Any:
        """Make a call; `receive` takes its messages. BrokenProcessPool if the process was killed.

        It may be used by one thread at a time, which must have blocked the signals in `BLOCKED`.
        """
        future = self._submit(pickled)
        with suppress(EOFError, OSError, pickle.UnpicklingError):  # the process was killed
            # A process that the worker has left behind may hold the pipe open.
            while self.pipe.poll(NOTICE) or not future.done():
                if self.pipe.poll():
                    message = self.pipe.recv()
                    if message is None:
                        break
                    receive(message)
        return future.result()

    def _submit(self, pickled: bytes) -> "Future[Any]":
        if self.executor is not None:
            return self.executor.submit(work, pickled)
        self.pipe, theirs = SPAWN.Pipe()
        executor = ProcessPoolExecutor(
            1, SPAWN, initializer=begin, initargs=(theirs, self.environment, BLOCKED)
        )
        # A new process inherits which signals are blocked. The executor has just started the
        # tracker of its locks, which unblocks some.
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
        future = executor.submit(work, pickled)
        theirs.close()  # so that the pipe ends with the process
        with self.lock:
            self.executor = executor
            self._send_stop()  # which may have been asked for while the process started
        return future

    def stop(self) -> None:
        """Ask the call to stop, as SIGTERM does. From any thread."""
        with self.lock:
            self.is_stopped = True
            self._send_stop()

    def _send_stop(self) -> None:
        if self.is_stopped and self.executor is not None:
            with suppress(OSError):
                self.pipe.send(STOP)

    def close(self) -> None:
        """End the process, after its call; the next call starts another one."""
        if self.executor is not None:
            self.executor.shutdown()
            with self.lock:
                self.executor = None
                self.pipe.close()


class Pool:
    """So many slots as environments are given, which are those of their processes."""

    def __init__(self, environments: list[Mapping[str, str]]) -> None:
        self.slots = [Slot(environment) for environment in environments]
        self.free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in self.slots:
            self.free.put(slot)
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.stopping = threading.Event()

    def run(
        self, calls: Sequence[Callable[[], Work]], receive: Callable[[Message], None]
    ) -> list[Any]:
        """Make these calls; returns their results, or exceptions of the type Killed.

        Each function of `calls` prepares a call just before it is made, one at a time. `receive`
        is called in this thread. When a signal comes, the calls are asked to stop, and Interrupted
        is raised when they have.
        """
        self.preparing = threading.Lock()
        threads = ThreadPoolExecutor(len(self.slots), initializer=_block_signals)
        futures = [threads.submit(self._run, i, call) for i, call in enumerate(calls)]
        with signals.listening():
            try:
                for message in self._until_done(futures):
                    receive(message)
                return [future.result() for future in futures]
            finally:
                self._stop(threads)
                for message in self._until_done(futures):
                    receive(message)
                # Together, as a process that has imported torch takes a second or two to end.
                with ThreadPoolExecutor(len(self.slots)) as closing:
                    closing.map(Slot.close, self.slots)

    def _stop(self, threads: ThreadPoolExecutor) -> None:
        """Begin no further call, and ask those that are being made to stop."""
        self.stopping.set()
        threads.shutdown(wait=False, cancel_futures=True)
        for slot in self.slots:
            slot.stop()

    def _until_done(self, futures: list["Future[Any]"]) -> Iterator[Message]:
        """The messages until all calls are done.

        Raises what a call has raised, and Interrupted, unless the pool is stopping already.
        """
        left = set(futures)
        while left or not self.messages.empty():
            with suppress(queue.Empty):
                yield self.messages.get(timeout=NOTICE)
            over = {future for future in left if future.done()}
            left -= over
            if not self.stopping.is_set():
                signals.check()
                for future in over:
                    future.result()

    def _run(self, index: int, prepare: Callable[[], Work]) -> Any:
        """Make a call in a free slot, and once more if its process is killed."""
        slot = self.free.get()
        try:
            with self.preparing:
                if self.stopping.is_set():
                    raise signals.Interrupted(signal.SIGTERM)
                pickled = pickle.dumps(prepare())
            for _ in range(TRIES):
                try:
                    return slot.run(pickled, lambda m: self.messages.put(Message(index, m)))
                except (BrokenProcessPool, signals.Interrupted):
                    slot.close()
                    # A signal to all processes may reach the worker first.
                    if self.stopping.wait(3 * NOTICE):
                        raise signals.Interrupted(signal.SIGTERM) from None
                    self.messages.put(Message(index, LOST))
            return Killed()
        finally:
            self.free.put(slot)


def _block_signals() -> None:
    """Leave signals to the main thread: new processes inherit that they are blocked."""
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)


def gpu_environments(gpus: int, count: int) -> list[Mapping[str, str]]:
    """The environments of so many processes, each of which sees one GPU, in turn."""
    if gpus == 0:
        return [{} for _ in range(count)]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    names = names or [str(i) for i in range(gpus)]
    return [{"CUDA_VISIBLE_DEVICES": names[i % len(names)]} for i in range(count)]

"""Runs calls in worker processes, a few at once. Each process outlives its call and takes another.

Each slot is a spawned process with a pipe, and a `ThreadPoolExecutor` hands the calls to free
slots. A `ProcessPoolExecutor` or loky (joblib) would not do: if one worker dies, they end all
others by a signal, which no job survives with a checkpoint; they do not say how it died; and they
wait without limit for a worker to end. Here only the call is lost that the process was running. It
is made once more, in a new process. Processes are spawned because a fork of a process with threads
or a GPU may hang.
"""

import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

from genbench.sweeps.worker import Raised, Request, Returned, Work, serve
from genbench.utils import signals

TRIES = 2  # how often a call is made whose process is killed
NOTICE = 0.1  # seconds at most until a signal is noticed
TIME_TO_END = 1.0  # seconds that a worker has to end when it is asked to
BLOCKED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SPAWN = get_context("spawn")


@dataclass(frozen=True)
class Exit:
    """How the process of a call ended before the call did: by its own exit, or by a signal.

    `code` is that of `multiprocessing.Process.exitcode`: a status, or minus the signal's number.
    `how` says how it ended, where that is all that is known.
    """

    code: int
    how: str = ""

    @property
    def is_by_signal(self) -> bool:
        """Whether a signal ended the process."""
        return self.code < 0

    def __str__(self) -> str:
        if self.how:
            return self.how
        if not self.is_by_signal:
            return f"exited with status {self.code}"
        try:
            return f"was killed by {signal.Signals(-self.code).name}"
        except ValueError:  # a signal without a name
            return f"was killed by signal {-self.code}"


class Message(NamedTuple):
    """What the call of this number sent, or the `Exit` of its process."""

    call: int
    content: Any


@dataclass(frozen=True)
class Killed:
    """In place of the result of a call whose process ended, and so did that of its second try."""

    exit: Exit


class ProcessEnded(Exception):
    """The process of a call ended before the call did."""

    def __init__(self, exit_: Exit) -> None:
        super().__init__(str(exit_))
        self.exit = exit_


class WorkerTraceback(Exception):
    """Where in a worker an error was raised, as its cause."""


class Slot:
    """A place for one call at a time: a worker process, and another one after it has died."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.worker: tuple[SpawnProcess, Connection] | None = None
        self.lock, self.is_stopped = threading.Lock(), False

    def run(self, pickled: bytes, receive: Callable[[Any], None]) -> Any:
        """Make a call; `receive` takes its messages. ProcessEnded if the process ended.

        It may be used by one thread at a time, which must have blocked the signals in `BLOCKED`.
        """
        process, pipe = self._started()
        with self.lock, suppress(OSError):  # the process has ended, as will be noticed below
            pipe.send(pickled)
        while True:
            message = _next_message(process, pipe)
            if isinstance(message, Returned):
                return message.value
            if isinstance(message, Raised):
                raise message.error from WorkerTraceback(message.trace)
            receive(message)

    def _started(self) -> tuple[SpawnProcess, Connection]:
        if self.worker is not None:
            return self.worker
        ours, theirs = SPAWN.Pipe()
        # A new process inherits which signals are blocked, and the start of Python's own helper
        # process unblocks some.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
        process = SPAWN.Process(target=serve, args=(theirs, self.environment, BLOCKED))
        process.start()
        theirs.close()  # so that the pipe ends with the process
        with self.lock:
            self.worker = process, ours
            if self.is_stopped:  # which was asked for while the process started
                self._send(Request.STOP)
        return self.worker

    def stop(self) -> None:
        """Ask the call to stop, as SIGTERM does. From any thread."""
        with self.lock:
            self.is_stopped = True
            self._send(Request.STOP)

    def _send(self, request: Request) -> None:
        if self.worker is not None:
            with suppress(OSError):
                self.worker[1].send(request)

    def close(self) -> None:
        """End the process, after its call; the next call starts another one."""
        with self.lock:
            self._send(Request.END)
        if self.worker is None:
            return
        process, pipe = self.worker
        _end(process)
        with self.lock:
            self.worker = None
            pipe.close()


def _next_message(process: SpawnProcess, pipe: Connection) -> Any:
    """The next message of a worker. ProcessEnded if the process has ended without another one."""
    with suppress(EOFError, OSError):
        # A process that the worker has left behind may hold the pipe open.
        while process.is_alive() or pipe.poll():
            if pipe.poll(NOTICE):
                return pipe.recv()
    _end(process)
    raise ProcessEnded(Exit(process.exitcode or 0))


def _end(process: SpawnProcess) -> None:
    """Wait for a process that is about to end, and kill it if it does not."""
    process.join(TIME_TO_END)
    if process.is_alive():
        process.kill()
        process.join(TIME_TO_END)


class Pool:
    """So many slots as environments are given, which are those of their processes.

    The processes end with the calls of `run`, unless they are kept for the next ones until `close`.
    """

    def __init__(self, environments: list[Mapping[str, str]], is_kept: bool = False) -> None:
        self.is_kept = is_kept
        self.slots = [Slot(environment) for environment in environments]
        self.free: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in self.slots:
            self.free.put(slot)
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.stopping = threading.Event()

    def run(
        self, calls: Sequence[Callable[[], Work]], receive: Callable[[Message], None]
    ) -> list[Any]:
        """Make these calls; returns their results, or Killed.

        Each function of `calls` prepares a call just before it is made, one at a time. `receive`
        is called in this thread. When a signal comes, the calls are asked to stop, and Interrupted
        is raised when they have.
        """
        self.preparing, is_done = threading.Lock(), False
        threads = ThreadPoolExecutor(len(self.slots), initializer=_block_signals)
        futures = [threads.submit(self._run, i, call) for i, call in enumerate(calls)]
        with signals.listening():
            try:
                for message in self._until_done(futures):
                    receive(message)
                results = [future.result() for future in futures]
                is_done = True
                return results
            finally:
                if is_done and self.is_kept:
                    threads.shutdown(wait=False)
                else:
                    self._stop(threads)
                    for message in self._until_done(futures):
                        receive(message)
                    self.close()

    def close(self) -> None:
        """End all processes."""
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
                except ProcessEnded as ended:
                    exit_ = ended.exit
                except signals.Interrupted as stopped:  # the process lives, but was asked to stop
                    exit_ = Exit(-stopped.signum)
                slot.close()
                # A signal to all processes may reach the worker first.
                if self.stopping.wait(3 * NOTICE):
                    raise signals.Interrupted(signal.SIGTERM)
                self.messages.put(Message(index, exit_))
            return Killed(exit_)
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

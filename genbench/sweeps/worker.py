"""A worker process of a sweep: it runs one job at a time, and stops when the sweep is gone.

A pipe leads to the process of the sweep. What a job shows goes up; a request to stop comes down.
When the other process dies, however it dies, the pipe ends. Both mean what SIGTERM means: the job
writes a checkpoint and stops. Without the pipe, a worker of `concurrent.futures` would wait for
work forever, as it holds both ends of its own queue.
"""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from genbench.utils import signals

Send = Callable[[tuple[Any, ...]], None]
Work = Callable[[Send], Any]  # a call in a worker; it is given what sends its messages
STOP = "stop"  # the message that asks a worker to stop
busy = threading.Lock()  # held while a job runs
_pipe: Connection | None = None


def begin(pipe: Connection, environment: Mapping[str, str], blocked: Iterable[int]) -> None:
    """Prepare a new worker.

    Signals set the flag, as in the main process, from now on. Until here they are blocked, so that
    none that comes while modules are imported kills the worker. `environment` is put into
    `os.environ` before torch is imported.
    """
    global _pipe
    signals.listen()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    os.environ.update(environment)
    _pipe = pipe
    threading.Thread(target=_watch, args=(pipe,), daemon=True).start()


def _watch(pipe: Connection) -> None:
    """Ask the job to stop when the sweep says so; end the process when that of the sweep is gone.

    A job that runs then comes to its end first, with its checkpoint.
    """
    with suppress(EOFError, OSError):
        while pipe.recv() == STOP:
            os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    with busy:
        os._exit(128 + signal.SIGTERM)  # the main thread waits for work, and would do so forever


def work(pickled: bytes) -> Any:
    """Run a pickled `Work`; returns what it returns. The message None follows its last one."""
    assert _pipe is not None  # `begin` comes first
    with busy:
        try:
            return pickle.loads(pickled)(_pipe.send)
        finally:
            with suppress(OSError):
                _pipe.send(None)

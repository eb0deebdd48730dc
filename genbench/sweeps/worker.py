"""A worker process of a sweep: it runs one job at a time, and stops when the sweep is gone.

A pipe leads to the process of the sweep. What a job shows and returns goes up; jobs and a request
to stop come down. When the other process dies, however it dies, the pipe ends. Both mean what
SIGTERM means: the job writes a checkpoint and stops.

A worker ends by `os._exit`: Python would take seconds to take torch apart, and would wait for each
thread that a model has left behind.
"""

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from multiprocessing.connection import Connection
from typing import Any

from genbench.utils import signals

Send = Callable[[tuple[Any, ...]], None]
Work = Callable[[Send], Any]  # a call in a worker; it is given what sends its messages


class Request(Enum):
    """What the process of the sweep asks of a worker, besides pickled calls."""

    STOP = auto()  # as SIGTERM does
    END = auto()  # when no call is being made


@dataclass(frozen=True)
class Returned:
    """The last message of a call that has returned this value."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The last message of a call that has raised this error; `trace` is its traceback as text."""

    error: BaseException
    trace: str


def serve(pipe: Connection, environment: Mapping[str, str], blocked: Iterable[int]) -> None:
    """Make the calls that come down the pipe, until the process is ended.

    Signals set the flag, as in the main process, from now on. Until here they are blocked, so that
    none that comes while modules are imported kills the worker. `environment` is put into
    `os.environ` before torch is imported.
    """
    signals.listen()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    os.environ.update(environment)
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    busy = threading.Lock()  # held while a call is made
    threading.Thread(target=_watch, args=(pipe, calls, busy), daemon=True).start()

    def send(message: tuple[Any, ...]) -> None:
        pipe.send_bytes(pickle.dumps(message))

    while True:
        pickled = calls.get()
        with busy:
            last = _made(pickled, send)
            _flush()
            with suppress(OSError):  # the other process is gone
                pipe.send_bytes(last)


def _watch(pipe: Connection, calls: "queue.SimpleQueue[bytes]", busy: threading.Lock) -> None:
    """Pass calls to the main thread, ask them to stop, and end the process when it is time.

    If the process of the sweep is gone, the call that is being made is asked to stop first.
    """
    try:
        while (request := pipe.recv()) is not Request.END:
            if request is Request.STOP:
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                calls.put(request)
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
    with busy:
        os._exit(0)


def _made(pickled: bytes, send: Send) -> bytes:
    """Make a call; returns its last message, pickled."""
    try:
        return pickle.dumps(Returned(pickle.loads(pickled)(send)))
    except BaseException as error:
        trace = "".join(traceback.format_exception(error))
        try:
            last = pickle.dumps(Raised(error, trace))
            pickle.loads(last)  # which fails for errors with an `__init__` of their own
        except Exception:  # any: unpickling runs its code; the error goes on in words
            last = pickle.dumps(Raised(RuntimeError(f"{type(error).__name__}: {error}"), trace))
        return last


def _flush() -> None:
    """Write what the call has printed, as the process may end before Python does so."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or not there
            stream.flush()

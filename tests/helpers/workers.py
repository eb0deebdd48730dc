"""Calls for the worker processes of a pool, in a module that these can import."""

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from genbench.utils import signals


@dataclass(frozen=True)
class Look:
    """Returns a value, the number of its process and the GPU that it sees."""

    value: int

    def __call__(self, send):
        send(("looked", self.value))
        return self.value, os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Die:
    """Ends its own process so many times, which the file counts: by SIGKILL, or with a status."""

    file: Path
    times: int
    status: int | None = None

    def __call__(self, send):
        with open(self.file, "a+") as file:
            file.seek(0)
            deaths = len(file.readlines())
            file.write("died\n" * (deaths < self.times))
        if deaths < self.times and self.status is not None:
            os._exit(self.status)
        if deaths < self.times:
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"


class Unpicklable(Exception):
    """An error that a pickle cannot be read back to: it is made from two values, and keeps one."""

    def __init__(self, what: str, how: str) -> None:
        super().__init__(f"{what} {how}")


@dataclass(frozen=True)
class Fail:
    """Raises an error that cannot leave its process as it is."""

    def __call__(self, send):
        raise Unpicklable("went", "wrong")


@dataclass(frozen=True)
class LeaveThread:
    """Leaves a thread behind for which Python would wait; returns the number of its process."""

    def __call__(self, send):
        threading.Thread(target=time.sleep, args=(600,)).start()
        return os.getpid()


@dataclass(frozen=True)
class Endless:
    """Works until it is asked to stop, and saves before it does."""

    folder: Path
    name: str

    def __call__(self, send):
        (self.folder / f"{self.name}.pid").write_text(str(os.getpid()))
        send(("begun", self.name))
        try:
            with signals.listening():
                while True:
                    signals.check()
                    time.sleep(0.01)
        finally:
            (self.folder / f"{self.name}.saved").touch()

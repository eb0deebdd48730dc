"""Stopping on request: a signal sets a flag, which every loop checks between two steps."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """A signal asked the program to stop. A worker process can send it back pickled."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    def __str__(self) -> str:
        return signal.Signals(self.signum).name


_asked: int | None = None
_holds = 0  # how many blocks keep `check` from raising


def is_request_to_stop(error: BaseException) -> bool:
    """Whether an error asks the program to stop, rather than being a failure of the code that ran.

    Ctrl-C raises KeyboardInterrupt only where Python's own handler is in place. Elsewhere, the code
    that ran has raised it.
    """
    if isinstance(error, KeyboardInterrupt):
        is_pythons = signal.getsignal(signal.SIGINT) == signal.default_int_handler
        return is_pythons or _asked is not None
    return not isinstance(error, (Exception, SystemExit))


def listen() -> None:
    """Let SIGINT, SIGTERM and SIGHUP set the flag; not SIGHUP where nohup has it ignored."""
    for signum in _heard():
        signal.signal(signum, ask)


def _heard() -> list[signal.Signals]:
    """The signals that ask the program to stop."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if ignored else [signal.SIGHUP])]


@contextmanager
def listening() -> Iterator[None]:
    """Signals set the flag for as long as a job runs, also in a worker process of another program.

    Afterwards they mean what they meant before, and one that came during the job is raised.
    """
    check()
    with _handled_by(ask):
        yield
    check()


@contextmanager
def raising() -> Iterator[None]:
    """Signals raise Interrupted at once, while code waits that never looks at the flag."""
    check()
    with _handled_by(_raise):
        yield


@contextmanager
def stopping() -> Iterator[None]:
    """Signals raise Interrupted at once, and set the flag, too, as an import may catch anything."""
    check()
    with _handled_by(_ask_and_raise):
        yield
    check()


@contextmanager
def dying() -> Iterator[None]:
    """Signals end the process at once, also while it waits in code that is not Python's."""
    check()
    with _handled_by(signal.SIG_DFL):
        yield


@contextmanager
def held() -> Iterator[None]:
    """`check` raises nothing in this block, where several processes decide together to stop."""
    global _holds
    _holds += 1
    try:
        yield
    finally:
        _holds -= 1


@contextmanager
def _handled_by(
    handler: Callable[[int, FrameType | None], None] | signal.Handlers,
) -> Iterator[None]:
    """Let this handle what asks to stop. Only the main thread of a process can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in _heard()}
    try:
        for signum in before:
            signal.signal(signum, handler)
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old if old is not None else signal.SIG_DFL)


def _raise(signum: int, frame: FrameType | None = None) -> None:
    raise Interrupted(signum)


def _ask_and_raise(signum: int, frame: FrameType | None = None) -> None:
    ask(signum)
    raise Interrupted(signum)


def ask(signum: int, frame: FrameType | None = None) -> None:
    """Set the flag."""
    global _asked
    _asked = signum


def forget() -> None:
    """Take the flag back, as the program has stopped what it was asked to stop."""
    global _asked
    _asked = None


def asked() -> int:
    """The signal that asks the program to stop; 0 if none has come."""
    return _asked or 0


def check() -> None:
    """Raise Interrupted if a signal has come, outside of `held`."""
    if _asked is not None and not _holds:
        raise Interrupted(_asked)

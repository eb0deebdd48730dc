"""Stopping on request: the handler of a signal only sets a flag; whatever loops looks at it between two of its steps."""

import signal


class Interrupted(BaseException):
    """A signal asked the program to stop."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


_asked: int | None = None


def listen() -> None:
    """Let SIGINT, SIGTERM and SIGHUP set the flag; not SIGHUP where nohup has it ignored."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, ask)


def ask(signum: int, frame=None) -> None:
    """Set the flag."""
    global _asked
    _asked = signum


def forget() -> None:
    """Take the flag back, as the program has stopped what it was asked to stop."""
    global _asked
    _asked = None


def check() -> None:
    """Raise Interrupted if a signal has come."""
    if _asked is not None:
        raise Interrupted(_asked)

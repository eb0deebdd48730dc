"""`genbench` and `python -m genbench`: listen to signals, then import and run the command line."""

import gc
import os
import sys
import threading
import time
from contextlib import suppress

from genbench.utils import signals
from genbench.utils.imports import importing

GRACE = 2.0  # seconds in which threads that a model has left behind may end


def main() -> None:
    """Run the command line and exit with its status."""
    signals.listen()
    with importing():  # takes a while, in which Ctrl-C is a request to stop
        from genbench.cli.main import main as run

    try:
        run()
    except SystemExit as stopped:
        gc.freeze()  # Python would go through all objects once more
        if _threads_left():
            status = stopped.code if isinstance(stopped.code, int) else int(bool(stopped.code))
            threading.Thread(target=_end_without_threads, args=(status,), daemon=True).start()
        raise


def _threads_left() -> bool:
    """Whether there are threads that Python waits for before it exits."""
    others = {*threading.enumerate()} - {threading.main_thread()}
    return not all(thread.daemon for thread in others)


def _end_without_threads(status: int) -> None:
    """End the process if it still waits for threads of a model; all results are written by now."""
    time.sleep(GRACE)
    if _threads_left():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # closed, or not there
                stream.flush()
        os._exit(status)


if __name__ == "__main__":
    main()

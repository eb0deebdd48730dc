"""run.log: every line of a run, its warnings, and the traceback of its failure."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path

from genbench.utils.console import echo
from genbench.utils.errors import plain
from genbench.utils.files import AppendOnlyFile, CannotWrite
from genbench.utils.lock import Lock
from genbench.utils.text import number

logger = logging.getLogger("genbench")
SOURCES = (logger, logging.getLogger("py.warnings"))
# The log of the run whose code is at work. Runs that train together each have a context.
_current: ContextVar["LogFile | None"] = ContextVar("current", default=None)
LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class LogFile(logging.Handler):
    """A handler that appends to run.log, and drops lines that cannot be written.

    Whatever it says also appears elsewhere, so a full disk does not stop the run.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        """Nothing is written while `lock` is not held, because the folder is another run's then."""
        super().__init__()
        self.path, self.folder_lock = path, lock
        self.file: AppendOnlyFile | None = None
        self.setFormatter(logging.Formatter(LOG_FORMAT))

    def attach(self) -> None:
        """Receive what genbench logs and what Python warns about."""
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logging.captureWarnings(True)
        for source in SOURCES:
            source.addHandler(self)
        _current.set(self)

    def detach(self) -> None:
        """Undo `attach`."""
        _current.set(None)
        for source in SOURCES:
            source.removeHandler(self)
        others = [h for source in SOURCES for h in source.handlers if isinstance(h, LogFile)]
        logging.captureWarnings(bool(others))
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record, as printable lines."""
        with suppress(CannotWrite):
            if _current.get() not in (self, None) or not self.folder_lock.held:
                return
            if self.file is None:
                self.file = AppendOnlyFile(self.path)
            elif not self.file.still_exists:
                self.file = AppendOnlyFile(self.path)
                echo(f"warning: {self.path.name} was removed or replaced, and is begun anew")
            lines = map(plain, self.format(record).split("\n"))
            self.file.append("".join(f"{line}\n" for line in lines).encode())


def all_terms(point: Mapping[str, Mapping[str, float]]) -> str:
    """All terms of an epoch by part of the data, in a line."""
    parts = [
        f"{part} " + " ".join(f"{name} {number(value)}" for name, value in numbers.items())
        for part, numbers in point.items()
    ]
    return "  ".join(parts)

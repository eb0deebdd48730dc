"""run.log: every line of a run, its warnings, and the traceback of its failure."""

import logging
from contextlib import suppress
from pathlib import Path

from genbench.utils.console import echo
from genbench.utils.errors import plain
from genbench.utils.files import AppendOnlyFile, CannotWrite
from genbench.utils.lock import Lock

logger = logging.getLogger("genbench")
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
        for source in (logger, logging.getLogger("py.warnings")):
            source.addHandler(self)

    def detach(self) -> None:
        """Undo `attach`."""
        for source in (logger, logging.getLogger("py.warnings")):
            source.removeHandler(self)
        logging.captureWarnings(False)
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record, as printable lines."""
        with suppress(CannotWrite):
            if not self.folder_lock.held:
                return
            if self.file is None:
                self.file = AppendOnlyFile(self.path)
            elif not self.file.still_exists:
                self.file = AppendOnlyFile(self.path)
                echo(f"warning: {self.path.name} was removed or replaced, and is begun anew")
            lines = map(plain, self.format(record).split("\n"))
            self.file.append("".join(f"{line}\n" for line in lines).encode())

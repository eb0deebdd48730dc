"""Standard output and error: the work goes on if they cannot be written."""

import contextlib
import io
import os
from collections.abc import Iterable, Iterator
from typing import Any, TextIO


class CheckedOutput:
    """A text stream that falls silent at the first failure, which is in `error`.

    Such a failure is a full disk, or a reader that has gone.
    """

    def __init__(self, stream: TextIO | io.TextIOBase) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, or nothing."""
        with self._forgiving():
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the lines, or nothing."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        with self._forgiving():
            self._stream.flush()

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            with contextlib.suppress(OSError):  # there may be no file behind it
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())  # else flushing at exit would fail again
                os.close(nowhere)


class Nowhere(io.TextIOBase):
    """A stream whose text is lost."""

    def write(self, text: str) -> int:
        """Drop the text."""
        return len(text)

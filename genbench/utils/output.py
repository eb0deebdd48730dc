"""Standard output and error: where they cannot be written, the work goes on without them."""

import contextlib
import os
from typing import TextIO


class Output:
    """A stream of text that falls silent at the first failure, such as a full disk or a reader that has gone.

    `error` is that failure.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, or nothing."""
        with self._forgiving():
            self._stream.write(text)
        return len(text)

    def writelines(self, lines) -> None:
        """Write the lines, or nothing."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Pass on what was written."""
        with self._forgiving():
            self._stream.flush()

    @contextlib.contextmanager
    def _forgiving(self):
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            with contextlib.suppress(OSError):  # there may be no file behind it
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(
                    nowhere, self._stream.fileno()
                )  # what waits to be passed on would fail again
                os.close(nowhere)

"""What a run can do without when the disk is full, such as pictures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from genbench.utils.files import CannotWrite


class OptionalWrites:
    """Let a run continue when some of its output cannot be written, and warn once for each kind."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.given_up: set[str] = set()  # kinds of output of which some is missing

    @contextmanager
    def tolerate(self, what: str) -> Iterator[None]:
        """Ignore CannotWrite in the block. `what` names the kind of output that is lost."""
        try:
            yield
        except CannotWrite as error:
            if what not in self.given_up:
                self.given_up.add(what)
                self.warn(f"warning: the run goes on without some {what}: {error}")

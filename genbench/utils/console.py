"""The console: lines for people, whatever the texts hold and even if a pipe is closed."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from genbench.utils.errors import plain
from genbench.utils.output import CheckedOutput


class PipeSafeConsole(Console):
    """A console on which no text can control the terminal, and that ignores failures to write.

    Texts are printed without markup, also in tables and titles, because many come from files.
    """

    def __init__(self, **more: Any) -> None:
        more = {"highlight": False, "markup": False, "emoji": False, **more}
        super().__init__(**more)
        if self.is_jupyter:
            # Lines are text there like that of print, rather than one of a cell's outputs each,
            # and no line is written over, which notebooks show wrongly.
            super().__init__(**{"force_jupyter": False, "force_terminal": False, **more})

    @property  # type: ignore[misc]
    def file(self) -> CheckedOutput:  # type: ignore[override]
        """The stream that is written to."""
        stream = Console.file.fget(self)  # type: ignore[attr-defined]
        return stream if isinstance(stream, CheckedOutput) else CheckedOutput(stream)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of what is printed, with escapes for characters that cannot be printed."""
        for piece in super().render(renderable, options):
            shown = piece.control or piece.text.isprintable()
            yield (
                piece
                if shown
                else piece._replace(text="\n".join(map(plain, piece.text.split("\n"))))
            )


def echo(text: str) -> None:
    """Print a line outside a run."""
    PipeSafeConsole(highlight=False, soft_wrap=True).print(plain(text), markup=False)


@contextmanager
def shown_progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar with the time left, for work outside a run; each call of what is yielded advances it.

    Nothing is shown where the output is no terminal, or where other live lines may be.
    """
    console = PipeSafeConsole()
    is_alone = sys.stdout is sys.__stdout__ and parent_process() is None
    if not (console.is_terminal and is_alone):
        yield lambda: None
        return
    from rich.progress import Progress  # takes a while to import

    with Progress(*Progress.get_default_columns(), console=console, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)

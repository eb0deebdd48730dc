"""The progress of a run: live lines on a terminal, plain lines anywhere else."""

import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from genbench.runs.summary import show_result
from genbench.utils.console import PipeSafeConsole
from genbench.utils.errors import plain
from genbench.utils.text import duration, number

QUIET = 10.0  # seconds after which a slow measure is announced where there is no live line


class Display:
    """The progress of one run: a live line on a terminal, elsewhere about twenty lines in all."""

    transient = False  # whether the live lines vanish when the run ends

    def __init__(
        self, title: str, console: Console | None = None, own_words: Sequence[str] = ()
    ) -> None:
        """`own_words` are what commands on the run's folder need, as one types it."""
        self.title, self.own_words = plain(title), own_words
        self.console = console or PipeSafeConsole(highlight=False, soft_wrap=True)
        self.is_live = self.console.is_terminal
        self.live: Live | None = None
        self.first: int | None = None
        self.unsaid = self.latest = ""
        self.last_said = self.left = 0.0
        self.has_announced = False

    def echo(self, text: str) -> None:
        """Print a line without styles or markup."""
        self.console.print(plain(text), markup=False)
        self.last_said = time.perf_counter()

    def start(self, epochs: int, criterion: str | None = None, may_end_early: bool = False) -> None:
        """Start the clock, and on a terminal the live line.

        `criterion` is the term that training lowers, if any. If the run may end before its last
        epoch, the time left is shown as the most that it may be.
        """
        self.epochs, self.criterion, self.started = epochs, criterion, time.perf_counter()
        self.may_end_early = may_end_early
        if self.is_live:
            columns = (
                TextColumn(
                    "{task.description}",
                    "bold",
                    markup=False,
                    table_column=Column(no_wrap=True, max_width=self.console.width // 2),
                ),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                TextColumn("left at most" if may_end_early else "left"),
            )
            self.progress = Progress(*columns, expand=True, console=self.console)
            self.task = self.progress.add_task(self.title, total=epochs, speed="")
            self._start_live(self.progress)

    def epoch(self, epoch: int, point: dict[str, dict[str, float]], speed: str) -> None:
        """Show that an epoch is over, with its terms by part of the data and how fast it went."""
        if self.live is not None:
            self.progress.update(self.task, completed=epoch, speed=speed)
            self.latest = terms(point, self.criterion, self.console.width)
            self._below(self.latest)
            return
        first = self.first is None
        before = epoch - 1 if self.first is None else self.first
        self.first = before
        took = time.perf_counter() - self.started
        self.left = took / (epoch - before) * (self.epochs - epoch)
        begin, end = f"epoch {epoch}/{self.epochs}  ", f"  {speed}  {self._left_in_words()}"
        self.unsaid = (
            begin + terms(point, self.criterion, self.console.width - len(begin + end)) + end
        )
        if first or epoch % math.ceil(self.epochs / 20) == 0:
            self._say_last()

    def _left_in_words(self) -> str:
        """How long training still takes."""
        return f"{'at most ' if self.may_end_early else ''}{duration(self.left)} left"

    def _start_live(self, shown: RenderableType) -> None:
        """Show something on live lines, which are redrawn four times a second."""
        if self.live is not None:
            self.live.stop()
        self.live = Live(
            shown, console=self.console, refresh_per_second=4, transient=self.transient
        )
        self.live.start()

    def measuring(self, i: int, of: int, name: str) -> None:
        """Show that the i-th of the measures comes next, some of which may not apply."""
        text = f"measuring, {100 * (i - 1) // of} % done: {name}"
        if self.live is not None:
            self._below(text)
        elif not self.has_announced:
            self.has_announced = True
            self._say_last()
            self._announce("measuring the report card")
        elif time.perf_counter() - self.last_said > QUIET:
            self._announce(text)

    def drawing(self) -> None:
        """Show on the live line that pictures are drawn."""
        if self.live is not None:
            self._below("drawing pictures")

    def _below(self, text: str) -> None:
        """Show one line below the progress bar."""
        assert self.live is not None
        self.live.update(Group(self.progress, Text(text, no_wrap=True, overflow="ellipsis")))

    def _announce(self, text: str) -> None:
        """Print a line of progress if there is no live line."""
        self.echo(text)

    def _say_last(self) -> None:
        if self.unsaid:
            self._announce(self.unsaid)
            self.unsaid = ""

    def close(self) -> None:
        """End the live lines; elsewhere print how the last epoch ended."""
        self._say_last()
        if self.live is not None:
            if self.latest:
                self._below(self.latest)
            self.live.stop()
            self.live = None

    def result(
        self, folder: Path, found: dict, headlines: Iterable[str], pictures: list[str], look: str
    ) -> None:
        """Print the results `found` by a run, in at most a screen."""
        show_result(
            self.console, self.title, folder, found, headlines, pictures, look, self.own_words
        )


class MeasuringDisplay(Display):
    """The progress of measuring a finished run. Use as a context manager."""

    transient = True

    def __init__(self, console: Console | None = None) -> None:
        super().__init__("", console)

    def __enter__(self) -> "MeasuringDisplay":
        if self.is_live:
            self._start_live(Text("reading the run"))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _below(self, text: str) -> None:
        """Show a text on the live line, as there is no progress bar to show it below."""
        assert self.live is not None
        self.live.update(Text(text))


def terms(point: dict[str, dict[str, float]], criterion: str | None, width: int) -> str:
    """The terms of an epoch by part of the data: the criterion, and as many others as fit.

    Each part has the same terms, so that training and validation compare. At least one is shown.
    """
    names = dict.fromkeys(
        [criterion] * bool(criterion)
        + [name for numbers in point.values() for name in numbers if name != "lr"]
    )
    known = [name for name in names if any(name in numbers for numbers in point.values())]
    for count in range(len(known), 0, -1):
        shown = {
            part: [f"{name} {number(numbers[name])}" for name in known[:count] if name in numbers]
            for part, numbers in point.items()
        }
        text = "  ".join(" ".join([part, *some]) for part, some in shown.items() if some)
        if len(text) <= width or count == 1:
            return text
    return ""

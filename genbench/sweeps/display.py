"""The progress of the jobs of a sweep: a line as one starts and ends, and live lines between."""

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from genbench.runs.progress import QUIET, Display, terms
from genbench.utils.console import PipeSafeConsole
from genbench.utils.errors import UserError, plain, report
from genbench.utils.text import counted, duration

STYLES = {"done": "green", "failed": "bold red", "interrupted": "yellow", "pruned": "cyan"}
LONG = 60.0  # seconds that a job still takes, from which on its line says so
PAUSE = 0.1  # seconds at least between two epochs that a worker process reports


class JobDisplay(Display):
    """A job of a sweep: a line when it ends and, where there is no live line, one when it starts.

    Everything else about the run is in its run.log.
    """

    transient = True

    def __init__(
        self,
        label: str,
        i: int,
        of: int | None = None,
        width: int = 0,
        console: Console | None = None,
    ) -> None:
        """The i-th of so many jobs; `width` is that of the longest label.

        Without `of`, other jobs may run at the same time, so there is no live line.
        """
        self.label = plain(label).ljust(min(width, 40))
        self.number = f"{i:>{len(str(of))}}/{of}" if of else f"job {i}"
        super().__init__(f"{self.number} {label}", console)
        self.is_live = self.console.is_terminal and of is not None
        self.warnings = 0
        self.has_said_left = False
        self.known: Collection[str] = ()  # reasons of failures that are printed already

    def begin(self) -> None:
        """Start the clock of the job; show a live line, or print that it starts."""
        self.began = time.perf_counter()
        if self.is_live:
            self._start_live(Text(f"{self.title}: starting", no_wrap=True, overflow="ellipsis"))
        else:
            self._line("started", "", [])

    def epoch(self, epoch: int, point: dict[str, dict[str, float]], speed: str) -> None:
        """Show that an epoch is over; without a live line, say once that the job takes long."""
        super().epoch(epoch, point, speed)
        waited = time.perf_counter() - self.started > QUIET
        if not self.is_live and not self.has_said_left and waited and self.left > LONG:
            self.has_said_left = True
            self._line("training", self._left_in_words(), [])

    def echo(self, text: str) -> None:
        """Only count the warnings."""
        self.warnings += text.startswith("warning:")

    def _announce(self, text: str) -> None:
        """Print nothing: a job shows its progress on live lines only."""

    def result(self, *args: Any) -> None:
        """Print nothing: `ended` prints the results."""

    def ended(
        self, state: str, numbers: Iterable[str] = (), failure: UserError | None = None
    ) -> None:
        """Print the line of a job that has ended, with as many of these numbers as fit.

        The error of a failure follows, unless an earlier job failed for the same reason.
        """
        self.close()
        end = [duration(time.perf_counter() - self.began)]
        if self.warnings:
            end.append(counted(self.warnings, "warning"))
        self._line(state, ", ".join(end), numbers)
        if failure is not None and str(failure) not in self.known:
            report(failure)

    def note(self, state: str, text: str) -> None:
        """Print a line about a job that has not ended."""
        self._line(state, text, [])

    def _line(self, state: str, end: str, numbers: Iterable[str]) -> None:
        line = Text.assemble(
            f"{self.number} ", (f"{state:<11}", STYLES.get(state, "")), f" {self.label}  "
        )
        shown: list[str] = []
        for text in numbers:
            if shown and len(line) + len(", ".join([*shown, text, end])) > self.console.width:
                break
            shown.append(text)
        line.append(", ".join(filter(None, [*shown, end])))
        line.rstrip()
        self.console.print(line)


class JobTable:
    """The live lines of the jobs that run at the same time, one for each. Only on a terminal.

    Use as a context manager. `console` is the one on which lines above the table are printed.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or PipeSafeConsole(highlight=False, soft_wrap=True)
        self.is_live = self.console.is_terminal
        label = Column(no_wrap=True, overflow="ellipsis", max_width=self.console.width // 3)
        now = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self.progress = Progress(
            TextColumn("{task.description}", "bold", markup=False, table_column=label),
            BarColumn(bar_width=self.console.width // 6),
            TextColumn("{task.fields[now]}", markup=False, table_column=now),
            console=self.console,
            expand=True,
            transient=True,
            refresh_per_second=4,
            # What is printed to stderr goes above the table, unless it goes elsewhere anyway.
            redirect_stderr=PipeSafeConsole(stderr=True).is_terminal,
        )

    def __enter__(self) -> "JobTable":
        if self.is_live:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_live:
            self.progress.stop()


class TabledJobDisplay(JobDisplay):
    """A job that runs at the same time as others: its live line is one of a table."""

    def __init__(
        self, table: JobTable, label: str, i: int, of: int | None = None, width: int = 0
    ) -> None:
        super().__init__(label, i, of, width, table.console)
        self.table, self.is_live, self.row = table, False, TaskID(-1)

    def begin(self) -> None:
        """Start the clock of the job; add its live line, or print that it starts."""
        if not self.table.is_live:
            return super().begin()
        self.began = time.perf_counter()
        self.row = self.table.progress.add_task(self.title, total=None, now="starting")

    def start(self, epochs: int, criterion: str | None = None, may_end_early: bool = False) -> None:
        """Show how many epochs there are."""
        super().start(epochs, criterion, may_end_early)
        self._show(total=epochs)

    def epoch(self, epoch: int, point: dict[str, dict[str, float]], speed: str) -> None:
        """Show that an epoch is over, with its terms by part of the data."""
        if not self.table.is_live:
            return super().epoch(epoch, point, speed)
        text = f"{epoch}/{self.epochs}  "
        text += terms(point, self.criterion, self.console.width // 2 - len(text))
        self._show(completed=epoch, now=text)

    def measuring(self, i: int, of: int, name: str) -> None:
        """Show that the i-th measure of a report card comes next."""
        self._show(now=f"measuring {i} of {of}: {name}")

    def drawing(self) -> None:
        """Show that pictures are drawn."""
        self._show(now="drawing pictures")

    def close(self) -> None:
        """Remove the live line."""
        if self.table.is_live and self.row >= 0:
            self.table.progress.remove_task(self.row)
            self.row = TaskID(-1)

    def _show(self, **fields: Any) -> None:
        if self.table.is_live and self.row >= 0:
            self.table.progress.update(self.row, **fields)


class ForwardingDisplay(JobDisplay):
    """A job in a worker process: what it shows is sent to the process of the sweep.

    Each message is the name of a method of `TabledJobDisplay` and its arguments.
    """

    def __init__(self, send: Callable[[tuple[Any, ...]], None], is_live: bool) -> None:
        """`is_live` is whether the other process shows live lines."""
        super().__init__("", 0)
        self.send_message, self.is_shown, self.last_epoch = send, is_live, 0.0

    def _send(self, *message: Any) -> None:
        with suppress(OSError):  # if the process of the sweep is gone, the job stops in its own way
            self.send_message(message)

    def begin(self) -> None:
        """The job begins."""
        self._send("begin")

    def start(self, epochs: int, criterion: str | None = None, may_end_early: bool = False) -> None:
        """Training begins."""
        self._send("start", epochs, criterion, may_end_early)

    def epoch(self, epoch: int, point: dict[str, dict[str, float]], speed: str) -> None:
        """An epoch is over; of very short ones, some are left out."""
        if time.perf_counter() > self.last_epoch + PAUSE:
            self.last_epoch = time.perf_counter()
            self._send("epoch", epoch, point, speed)

    def measuring(self, i: int, of: int, name: str) -> None:
        """The i-th measure of a report card comes next."""
        if self.is_shown:
            self._send("measuring", i, of, name)

    def drawing(self) -> None:
        """Pictures are drawn."""
        if self.is_shown:
            self._send("drawing")

    def echo(self, text: str) -> None:
        """Send the warnings, which are counted."""
        if text.startswith("warning:"):
            self._send("echo", "warning:")

    def close(self) -> None:
        """Nothing: the line ends with the job."""

    def ended(
        self, state: str, numbers: Iterable[str] = (), failure: UserError | None = None
    ) -> None:
        """The job has ended."""
        self._send("ended", state, [*numbers], failure)

"""What a person sees while a run goes on: live lines on a terminal, plain lines anywhere else."""

import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text


class Display:
    """Progress through the epochs of one run, and a summary table at its end."""

    def __init__(self, title: str, epochs: int, console: Console | None = None):
        self.title, self.epochs = title, epochs
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.live: Live | None = None
        self.started, self.first = time.perf_counter(), None

    def say(self, text: str) -> None:
        """A line of plain words."""
        self.console.print(text, markup=False)

    def epoch(self, epoch: int, numbers: str, speed: str) -> None:
        """Show that an epoch is over, with its numbers and how fast it went."""
        if self.console.is_terminal:
            self._show(epoch, numbers, speed)
            return
        if self.first is None:
            self.first = epoch - 1
        if epoch == 1 or epoch % max(1, self.epochs // 20) == 0:
            left = (time.perf_counter() - self.started) / (epoch - self.first) * (self.epochs - epoch)
            self.say(f"{self.title}  epoch {epoch}/{self.epochs}  {numbers}  {speed}  {left:.0f} s left")

    def _show(self, epoch: int, numbers: str, speed: str) -> None:
        if self.live is None:
            self.progress = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                TextColumn("left"),
                expand=True,
            )
            self.task = self.progress.add_task(self.title, total=self.epochs, completed=epoch - 1, speed=speed)
            self.live = Live(console=self.console, refresh_per_second=4)
            self.live.start()
        self.progress.update(self.task, completed=epoch, speed=speed)
        self.live.update(Group(self.progress, Text(numbers)))

    def close(self) -> None:
        """Leave the live lines as they are and go on below them."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def summary(self, found: dict[str, dict]) -> None:
        """The final numbers, a column per part of the data."""
        parts = [p for p in ("train", "validation", "test", "samples") if p in found]
        table = Table(title=self.title, title_justify="left")
        table.add_column("")
        for part in parts:
            table.add_column(part, justify="right")
        for row in dict.fromkeys(name for part in parts for name in found[part]):
            table.add_row(row, *[number(found[p][row]) if row in found[p] else "" for p in parts])
        self.console.print(table)


def number(value: float) -> str:
    """Five significant digits, and whole numbers whole."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"

"""What a person sees while a run goes on: a live line on a terminal, plain lines anywhere else."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table


class Display:
    """Progress through the epochs of one run, and a summary table at its end."""

    def __init__(self, title: str, epochs: int, console: Console | None = None):
        self.title, self.epochs = title, epochs
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.progress = None
        self.started, self.first = time.perf_counter(), None

    def say(self, text: str) -> None:
        """A line of plain words."""
        self.console.print(text, markup=False)

    def epoch(self, epoch: int, text: str) -> None:
        """Show that an epoch is over, with its numbers."""
        if self.first is None:
            self.first = epoch - 1
        if self.console.is_terminal:
            if self.progress is None:
                columns = (
                    TextColumn("[bold]{task.description}"),
                    BarColumn(bar_width=20),
                    MofNCompleteColumn(),
                    TimeRemainingColumn(),
                    TextColumn("{task.fields[text]}"),
                )
                self.progress = Progress(*columns, console=self.console)
                self.task = self.progress.add_task(self.title, total=self.epochs, completed=epoch, text=text)
                self.progress.start()
            self.progress.update(self.task, completed=epoch, text=text)
        elif epoch % max(1, self.epochs // 20) == 0 or epoch == 1:
            left = (time.perf_counter() - self.started) / (epoch - self.first) * (self.epochs - epoch)
            self.say(f"{self.title}  epoch {epoch}/{self.epochs}  {text}  {left:.0f} s left")

    def close(self) -> None:
        """Take the live line down."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

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

"""What a person sees while a run goes on: live lines on a terminal, plain lines anywhere else."""

import os
import sys
import time
from collections.abc import Iterable
from itertools import groupby

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from .record import in_words


class Patient(Console):
    """A console that falls silent, and lets the work go on, when nobody reads it any more (`genbench ... | head`)."""

    def on_broken_pipe(self) -> None:
        """Called by rich when a write fails."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """A line of plain words outside a run."""
    Patient(highlight=False, soft_wrap=True).print(text, markup=False)


class Measuring:
    """Lines that say which measure is computed, at most one in ten seconds: none of a card that is ready by then."""

    def __init__(self, console: Console):
        self.console, self.said = console, time.perf_counter()

    def __call__(self, at: int, of: int, name: str) -> None:
        if time.perf_counter() - self.said > 10:
            self.console.print(f"measuring {at} of {of}: {name}", markup=False)
            self.said = time.perf_counter()


class Display:
    """Progress through the epochs of one run, and a summary table at its end."""

    def __init__(self, title: str, epochs: int, console: Console | None = None):
        self.title, self.epochs = title, epochs
        self.console = console or Patient(highlight=False, soft_wrap=True)
        self.live: Live | None = None
        self.first: int | None = None
        self.unsaid = ""
        self.measures: Measuring | None = None

    def say(self, text: str) -> None:
        """A line of plain words."""
        self.console.print(text, markup=False)

    def start(self) -> None:
        """The clock runs; on a terminal the live line appears."""
        self.started = time.perf_counter()
        if self.console.is_terminal:
            columns = (
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                TextColumn("left"),
            )
            self.progress = Progress(*columns, expand=True)
            self.task = self.progress.add_task(self.title, total=self.epochs, speed="")
            self.live = Live(self.progress, console=self.console, refresh_per_second=4)
            self.live.start()

    def epoch(self, epoch: int, numbers: str, speed: str) -> None:
        """Show that an epoch is over, with its numbers and how fast it went."""
        if self.live is not None:
            self.progress.update(self.task, completed=epoch, speed=speed)
            self.live.update(Group(self.progress, Text(numbers)))
            return
        first = self.first is None
        if first:
            self.first = epoch - 1
        left = (time.perf_counter() - self.started) / (epoch - self.first) * (self.epochs - epoch)
        self.unsaid = f"{self.title}  epoch {epoch}/{self.epochs}  {numbers}  {speed}  {left:.0f} s left"
        if first or epoch % max(1, self.epochs // 20) == 0:
            self._say_last()

    def _say_last(self) -> None:
        if self.unsaid:
            self.say(self.unsaid)
            self.unsaid = ""

    def measuring(self, at: int, of: int, name: str) -> None:
        """Show which of the measures of the report card is computed."""
        if self.live is not None:
            self.live.update(Group(self.progress, Text(f"measuring {at} of {of}: {name}")))
            return
        if self.measures is None:
            self._say_last()
            self.measures = Measuring(self.console)
        self.measures(at, of, name)

    def close(self) -> None:
        """Leave the live lines as they are and go on below them; elsewhere say how the last epoch ended."""
        self._say_last()
        if self.live is not None:
            self.live.stop()
            self.live = None

    def summary(self, found: dict[str, dict]) -> None:
        """The final numbers, a column per part of the data."""
        table = Table(title=self.title, title_justify="left")
        table.add_column("")
        for part in found:
            table.add_column(part, justify="right")
        for row in dict.fromkeys(name for numbers in found.values() for name in numbers):
            table.add_row(row, *[number(numbers[row]) if row in numbers else "" for numbers in found.values()])
        self.console.print(table)


def show_card(console: Console, card: list[dict], diagnosis: list[dict[str, str]]) -> None:
    """A report card as a table with a section per group, and what it says is wrong."""
    if card:
        own = [Column("", no_wrap=True), Column("", justify="right", no_wrap=True), Column("95 %", no_wrap=True), "n"]
        table = Table(*own, title="report card (↑ higher is better, ↓ lower; what each is: genbench evaluate --list)", title_justify="left")
        for group in dict.fromkeys(entry["group"] for entry in card):
            table.add_section()
            table.add_row(Text(group, "bold"))
            for entry in card:
                if entry["group"] == group:
                    table.add_row(*_cells(entry))
        console.print(table)
        for words, names in _words(card).items():
            console.print(f"{', '.join(names)}: {words}", markup=False)
    for line in diagnosis:
        console.print(f"diagnosis: {in_words(line)}", markup=False)


def show_measures(console: Console, measures: Iterable) -> None:
    """What each measure of a report card is."""
    for group, some in groupby(measures, lambda m: m.group):
        console.print(Text(f"\n{group}", "bold"))
        for m in some:
            better = f", {m.better} is better" if m.better else ""
            able = f"; of models that can {', '.join(m.needs)}" if m.needs else ""
            console.print(Padding(Text.assemble((m.name, "bold"), f" ({m.unit}{better}{able})"), (0, 0, 0, 2)))
            console.print(Padding(Text.assemble(m.meaning, (f" Source: {m.source}.", "dim")), (0, 0, 0, 6)))


def _cells(entry: dict) -> list[str]:
    """A number of a card as cells of its table."""
    value = number(entry["value"]) + (f" {entry['of']}" if _is_total(entry["of"]) else "")
    between = "" if entry["low"] is None else f"{number(entry['low'])} to {number(entry['high'])}"
    arrow = {"higher": " ↑", "lower": " ↓"}.get(entry["better"], "")
    return [entry["name"] + arrow, value, between, sizes(entry["n"])]


def sizes(n: dict[str, int]) -> str:
    """What a number was measured from, in words."""
    if len(n) > 1 and len({*n.values()}) == 1:
        return f"{next(iter(n.values())):,} each"  # as many samples as test points
    return ", ".join(f"{size:,} {what}" for what, size in n.items())


def conditions(entry: dict) -> str:
    """What two numbers of one name must agree in to be compared, in words."""
    on = "" if entry["on"] in entry["n"] else entry["on"]
    return ", ".join(filter(None, [on, sizes(entry["n"]), entry["features"], entry["of"]]))


def _is_total(of: str) -> bool:
    return of.startswith("of ")


def _words(card: list[dict]) -> dict[str, list[str]]:
    """What is said of numbers in words, each with the names of the numbers that it is said of."""
    found: dict[str, list[str]] = {}
    for entry in card:
        for words in ("" if _is_total(entry["of"]) else entry["of"], entry["features"] or ""):
            if words:
                found.setdefault(words, []).append(entry["name"])
    return found


def number(value: float) -> str:
    """Five significant digits, and whole numbers whole."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def epochs(count: int) -> str:
    """So many epochs, in words."""
    return f"{count} epoch{'s' * (count != 1)}"

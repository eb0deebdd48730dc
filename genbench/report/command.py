"""`genbench report`: a set of runs as a table, as charts and as one page that needs nothing else.

In the folder that was given, or of several in a new one:
    report.html             the page
    report.csv, report.md   the table, with every setting and number
    report_NAME.svg         the charts
"""

import csv
import html
import io
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Column, Table
from rich.text import Text

from genbench.config.registry import GROUPS, Registry
from genbench.config.settings import written
from genbench.report.load import FILES, Measure, is_number, short, slug
from genbench.report.table import SAMPLER, Report, brief, called, cell, compared
from genbench.report.verdicts import Problem, listed, problems, said, said_at_the_end
from genbench.utils.console import PipeSafeConsole, echo
from genbench.utils.errors import UserError, report
from genbench.utils.files import CannotWrite, make_folder, within, write
from genbench.utils.text import quoted

OPTION = "report.dir"
FORMULAS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "|",
    "%",
)  # what a text begins with that spreadsheets may run


def main(words: list[str], registry: Registry) -> int:
    """Report on the runs in the folders that the words name; returns the exit status. UserError where there are none."""
    paths, target = [], None
    for word in words:
        name, equals, value = word.partition("=")
        if name == OPTION and equals:
            if not value:
                raise UserError(
                    OPTION, "names no folder", word, f"write {OPTION}=FOLDER, or leave it out"
                )
            target = Path(value)
        elif not os.path.isdir(word):
            raise UserError(
                "report",
                "no such folder",
                word,
                f"give folders of runs or sweeps, and {OPTION}=FOLDER for the report",
            )
        else:
            paths.append(Path(word))
    if not paths:
        raise UserError(
            "report", "needs the folders of runs or sweeps", fix="genbench report outputs"
        )
    for path in paths:
        if not within(path, FILES):
            raise UserError(
                quoted(path), "holds no runs", fix="give folders of runs or sweeps, such as outputs"
            )
    told = compared(paths, registry)
    usual = Path("outputs", f"{datetime.now():%Y-%m-%d_%H-%M-%S.%f}_report")
    target = target or (paths[0] if len(paths) == 1 else usual)
    leave(told, target)
    return 0


def write_report(folder: Path, registry: Registry) -> None:
    """Report on the runs below a folder, in it. A sweep, whose runs are on record, goes on where there is no room."""
    try:
        leave(compared([folder], registry), folder)
    except CannotWrite as error:
        report(error)


def leave(told: Report, folder: Path) -> None:
    """Write all files of a report, and tell it on the terminal."""
    make_folder(folder, f"choose another {OPTION}=FOLDER")
    from genbench.report.charts import charts  # which takes torch
    from genbench.report.html import Chart, page

    drawn = {slug(name): sheet for name, sheet in charts(told.rows, told.found)}
    charted = {name: Chart(sheet.svg(), sheet.said, sheet.width) for name, sheet in drawn.items()}
    for name, chart in charted.items():
        write(folder / f"report_{name}.svg", chart.svg)
    write(folder / "report.csv", as_csv(told).encode())
    write(folder / "report.md", as_markdown(told).encode())
    write(folder / "report.html", page(told, charted.values()).encode())
    show(told)
    echo(f"report: {quoted(folder / 'report.html')}")


# --- as a table -----------------------------------------------------------------------------------------------


def as_csv(told: Report) -> str:
    """Every setting that differs and every number as it is, with the ends of its interval."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    ends = [
        [told.names[m]]
        if m == SAMPLER
        else [f"{told.names[m]}{end}" for end in ("", " low", " high")]
        for m in told.measures
    ]
    kinds = [(name, [row.kind[i] for row in told.lines]) for i, name in enumerate(GROUPS)]
    kept = [*kinds, *((name, values) for name, values in told.kept_in_all if name not in GROUPS)]
    lines.writerow(
        map(
            _inert,
            [*(name for name, _ in kept), *(end for some in ends for end in some), "best", "runs"],
        )
    )
    for i, row in enumerate(told.lines):
        values = [
            v
            for m in told.measures
            for v in ([row.sampler] if m == SAMPLER else (row.cells.get(m) or (None,) * 3)[:3])
        ]
        top = "; ".join(told.names[m] for m in told.measures if (i, m) in told.best)
        folders = " ".join(folder for run in row.runs for folder in run.folders)
        own = [
            value if is_number(value) else written(value)
            for _, some in kept
            for value in some[i : i + 1]
        ]
        lines.writerow(map(_inert, [*own, *values, top, folders]))
    return text.getvalue()


def _inert(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.lstrip().startswith(FORMULAS) else value


def as_markdown(told: Report) -> str:
    """The same for readers: first what tells most, then all, and what is missing."""
    lines = [
        f"# {_marked_down(told.title)}",
        "",
        f"{told.counts}. {_marked_down(told.note)}".strip(),
    ]
    if told.rows:
        lines += ["", *_table(told, told.kept, told.overview, brief)]
        lines += [line for text in said(told) for line in ("", _marked_down(text))]
        lines += [
            "",
            "## All measures",
            "",
            told.note_on_all,
            "",
            *_table(told, told.kept_in_all, told.heads, cell),
        ]
    found = problems(told)
    if found:
        lines += ["", "## Diagnosis", ""]
        for problem in found:
            lines.append(f"- {_marked_down(problem.text)}: {_marked_down(listed(problem.rows))}")
            lines += [
                f"  - try `{setting.replace('`', '')}`" + _for(whom, problem)
                for setting, whom in problem.settings
            ]
    if told.missing:
        lines += ["", "## Runs without results", "", *_rule(["run", "state", "reason"], 3)]
        lines += [_joined(map(_marked_down, trouble)) for trouble in told.missing]
    return "\n".join(lines) + "\n"


def _for(whom: list[str], problem: Problem) -> str:
    return "" if len(problem.settings) == 1 else f" ({_marked_down(listed(whom))})"


def _table(
    told: Report, kept: list[tuple[str, list]], heads: dict[Measure, str], words: Callable
) -> Iterator[str]:
    """The lines of a table: what tells the rows apart, and these measures in words."""
    yield from _rule([*(head for head, _ in kept), *heads.values()], len(kept))
    for i, row in enumerate(told.lines):
        cells = [_marked_down(told.text(row, m, words)) for m in heads]
        cells = [f"**{c}**" if (i, m) in told.best else c for c, m in zip(cells, heads)]
        cells = [*(_marked_down(short(values[i])) for _, values in kept), *cells]
        yield _joined(cells if row.runs else [f"*{c}*" if c else c for c in cells])


def _rule(heads: list[str], left: int) -> list[str]:
    return [
        _joined(map(_marked_down, heads)),
        _joined(["---" if i < left else "---:" for i in range(len(heads))]),
    ]


def _joined(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked_down(text: str) -> str:
    for sign in "\\`*_[]|~":
        text = text.replace(sign, f"\\{sign}")
    return html.escape(text, quote=False)


def show(told: Report) -> None:
    """The table on the terminal with as many columns as there is room for, and the runs without results."""
    console = PipeSafeConsole(highlight=False)
    if told.rows:
        kept = [(head, [short(v) for v in values]) for head, values in told.kept]
        if sum(map(_width, kept)) > console.width // 2:  # else there were no room for numbers
            kept = [
                (
                    "",
                    [
                        called(row, told.rows) if row.runs else ", ".join(row.kind)
                        for row in told.lines
                    ],
                )
            ]
        columns = [
            *kept,
            *_fitting(told, console.width - min(sum(map(_width, kept)), console.width // 2)),
        ]
        table = Table(
            *(Column(Text(head), overflow="fold") for head, _ in columns),
            box=box.SIMPLE_HEAD,
            title_justify="left",
        )
        for line in zip(*(cells for _, cells in columns)):
            table.add_row(*(c if isinstance(c, Text) else Text(c) for c in line))
        console.print(table)
        for text in (f"{told.counts}. {told.note}".strip(), *said_at_the_end(told)):
            console.print(Text(text))
        numbers = sum(head != SAMPLER.name for head, _ in columns[len(kept) :])
        of = sum(m != SAMPLER for m in told.measures)
        if numbers < of:
            echo(f"{numbers} of {of} measures; the page has all, and says what they are of")
    if told.missing:
        table = Table(
            *(Column(head, overflow="fold") for head in ("run without results", "state", "reason")),
            box=box.SIMPLE_HEAD,
        )
        for trouble in told.missing:
            table.add_row(*map(Text, trouble))
        console.print(table)


def _fitting(told: Report, room: int) -> list[tuple[str, list[Text]]]:
    """The first columns of numbers, as long as there is room; the sampler not without a measure of samples beside it."""
    found = []
    for measure, head in told.overview.items():
        cells = [Text(told.text(row, measure, brief)) for row in told.lines]
        for i, text in enumerate(cells):
            if (i, measure) in told.best:
                text.append(" *").stylize("bold green")
        room -= _width((head, cells))
        if room < 0:
            break
        found.append((measure, (head, cells)))
    if found and found[-1][0] == SAMPLER:
        found.pop()
    return [column for _, column in found]


def _width(column: tuple[str, list]) -> int:
    """How wide a column is, a long header folded."""
    head, cells = column
    return 3 + max(
        *(len(c.plain if isinstance(c, Text) else c) for c in cells),
        min(len(head), 16),
        *map(len, head.split()),
    )

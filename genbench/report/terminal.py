"""A report on the terminal: at most a screen; the page has the rest."""

import textwrap
from collections.abc import Iterator

from rich.table import Column as TerminalColumn
from rich.table import Table
from rich.text import Text

from genbench.report.diagnosis import worst
from genbench.report.gaps import otherwise_measured
from genbench.report.names import settings_in_words
from genbench.report.table import Column, Report, Section
from genbench.report.verdicts import (
    different_data,
    effects,
    notes,
    sampler_warnings,
    verdicts,
)
from genbench.report.words import brief, listed
from genbench.utils.console import PipeSafeConsole
from genbench.utils.text import counted

SCREEN = 24  # lines, of which the command and the next prompt take some
BESIDE = 4  # lines: the command, the counts, the path of the page, the next prompt
FRAME = 2  # lines of a table beside its rows: the dataset, and the heads
FEWEST_ROWS, MOST_SECTIONS, MOST_SENTENCE_LINES = 3, 4, 7
MOST_FAILED = 8  # lines
GAP = 2  # columns between columns


def show(report: Report) -> None:
    """Print the report."""
    console = PipeSafeConsole(highlight=False)
    width = console.width
    failed = [*_failed(report, width)]
    shown = sorted(report.sections, key=lambda s: -len(s.rows))[:MOST_SECTIONS]
    room = SCREEN - BESIDE - min(len(failed), MOST_FAILED)
    said = [*_sentences(report, shown)]
    for_sentences = min(sum(len(_wrapped(text, width)) for text in said), MOST_SENTENCE_LINES)
    rows = _shares(shown, room - for_sentences - FRAME * len(shown))
    for section, most in zip(shown, rows, strict=True):
        room -= FRAME + min(most, len(section.lines)) + (most < len(section.rows))
        console.print(_titled(section, report), markup=False)
        console.print(_table(section, most, width))
        if most < len(section.rows):
            more = counted(len(section.rows) - most, "more setting")
            console.print(f"{more}, which are not as good: in the page", markup=False)
    if len(report.sections) > len(shown):
        more = counted(len(report.sections) - len(shown), "more dataset")
        console.print(f"{more}: in the page", markup=False)
        room -= 1
    console.print(f"{report.counts}.", markup=False)
    _print_sentences(console, said, max(room, 2), width)
    for line in failed[:MOST_FAILED]:
        console.print(line, markup=False)
    if len(failed) > MOST_FAILED:
        console.print(f"{len(failed) - MOST_FAILED} more without results: in the page")


def _sentences(report: Report, shown: list[Section]) -> Iterator[str]:
    """What matters most first."""
    for section in shown:
        yield from verdicts(section, report)[:3]
    yield from worst(report.rows)
    for section in shown:
        yield from sampler_warnings(section, report)
    yield from different_data(report)
    yield from notes(report)
    for section in shown:
        yield from effects(section, report)
        yield from otherwise_measured(section)


def _print_sentences(console: PipeSafeConsole, sentences: list[str], room: int, width: int) -> None:
    """Print as many sentences as there are lines left for."""
    for i, text in enumerate(sentences):
        lines = _wrapped(text, width)
        if len(lines) > room and i:
            rest = counted(len(sentences) - i, "more remark")
            console.print(f"{rest}: in the page", markup=False)
            return
        room -= len(lines)
        for line in lines:
            console.print(line, markup=False)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _titled(section: Section, report: Report) -> str:
    """What a table is about, and how many of its measures it shows."""
    measures = len({quantity for row in section.rows for quantity in row.cells})
    return f"{section.dataset} ({counted(measures, 'measure')} in the page)"


def _shares(sections: list[Section], room: int) -> list[int]:
    """How many rows of each section are shown: all where there is room, else about equally many."""
    rows = [FEWEST_ROWS for _ in sections]
    room -= sum(min(most, len(s.lines)) for most, s in zip(rows, sections, strict=True))
    while room > 0 and any(n < len(s.rows) for n, s in zip(rows, sections, strict=True)):
        for i, section in enumerate(sections):
            if rows[i] < len(section.rows) and room > 0:
                rows[i] += 1
                room -= 1
    return rows


# --- a table --------------------------------------------------------------------------------------


def _table(section: Section, most: int, width: int) -> Table:
    """The best rows of a section, in as many columns as there is room for."""
    places = _best_rows(section, most)
    own = _own_columns(section, places, width)
    room = width - sum(_width(head, cells) for head, cells in own)
    columns = _fitting(section, places, room)
    table = Table(
        *(TerminalColumn(Text(head), overflow="ellipsis", no_wrap=True) for head, _ in own),
        *(TerminalColumn(Text(c.head), justify="right", no_wrap=True) for c in columns),
        box=None,
        padding=(0, GAP, 0, 0),
        pad_edge=False,
    )
    for k, i in enumerate(places):
        cells = [Text(values[k]) for _, values in own]
        cells += [_cell(section, i, column) for column in columns]
        table.add_row(*cells)
    return table


def _best_rows(section: Section, most: int) -> list[int]:
    """All lines in their order or, where there are too many, the best rows and real data."""
    numbers = [*range(len(section.rows))]
    real = [*range(len(section.rows), len(section.lines))]
    if len(numbers) > most:
        columns = section.ranked_columns

        def goodness(i: int) -> float:
            places = [p for c in columns if (p := section.standing(i, c)) is not None]
            return sum(places) / len(places) if places else -1.0

        numbers = sorted(sorted(numbers, key=goodness, reverse=True)[: max(1, most - len(real))])
    return numbers + real


def _own_columns(section: Section, places: list[int], width: int) -> list[tuple[str, list[str]]]:
    """The columns that tell the rows apart, in at most half of the width."""
    lines = [section.lines[i] for i in places]
    found = [("model", [row.model for row in lines])]
    if section.has_seeds:
        found.append(("seeds", [str(len(row.runs) or "") for row in lines]))
    settings = [" ".join(_settings(section, i)) for i in places]
    if any(settings):
        room = width // 2 - sum(_width(head, cells) for head, cells in found) - GAP
        longest = max(room, 12)
        cut = [s if len(s) <= longest else f"{s[: longest - 1]}…" for s in settings]
        found.insert(1, ("settings", cut))
    return found


def _settings(section: Section, i: int) -> list[str]:
    """What tells a line from the other rows of its model, and perhaps from other data."""
    row = section.lines[i]
    alike = [other for other in section.rows if other.model == row.model]
    words = settings_in_words(row, [*alike, row] if row not in alike else alike)
    skipped = "sampler=" if "sampler" not in section.settings else None
    return [word for word in words if not (skipped and word.startswith(skipped))]


def _fitting(section: Section, places: list[int], room: int) -> list[Column]:
    """The columns with the most numbers, as long as there is room, in their usual order.

    The sampler is shown where rows differ in it.
    """
    rows = [section.lines[i] for i in places]
    numbers = [c for c in section.columns if not c.is_sampler]
    order = sorted(numbers, key=lambda c: -sum(c.value(row) is not None for row in rows))
    samplers = {row.sampler for row in section.rows if row.sampler}
    if len(samplers) > 1:
        order[1:1] = [c for c in section.columns if c.is_sampler]
    chosen = []
    for column in order:
        cells = [_cell(section, i, column).plain for i in places]
        room -= _width(column.head, cells)
        if room < -GAP:  # nothing follows the last column
            break
        chosen.append(column)
    return [column for column in section.columns if column in chosen]


def _cell(section: Section, i: int, column: Column) -> Text:
    text = Text(column.text(section.lines[i], brief))
    if section.is_best(i, column):
        text.append(" *").stylize("bold green")
    return text


def _width(head: str, cells: list[str]) -> int:
    return GAP + max(map(len, [head, *cells]))


# --- runs without results -------------------------------------------------------------------------


def _failed(report: Report, width: int) -> Iterator[str]:
    """A line for each reason for which runs have no results, with the runs that it holds for."""
    same: dict[tuple[str, str], list[str]] = {}
    for run in report.failed:
        same.setdefault((run.state, run.reason), []).append(run.folder)
    for (state, reason), folders in same.items():
        line = f"without results: {listed(folders, 2)} ({state}): {reason}"
        yield line if len(line) <= width else f"{line[: width - 1]}…"

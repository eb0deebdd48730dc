"""A report on the terminal: at most a screen; the page has the rest."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Column as TerminalColumn
from rich.table import Table
from rich.text import Text

from genbench.report.diagnosis import worst
from genbench.report.gaps import otherwise_measured
from genbench.report.names import GAP, setting_columns, settings_in_words
from genbench.report.quantities import brief_value
from genbench.report.searches import search_sentences
from genbench.report.table import Column, Report, Section
from genbench.report.verdicts import (
    different_data,
    effects,
    few_seeds,
    notes,
    sampler_warnings,
    undecided,
    winners,
)
from genbench.report.words import listed
from genbench.utils.console import PipeSafeConsole
from genbench.utils.text import counted

SCREEN = 22  # lines, as the command and the next prompt take two of 24
FRAME = 2  # lines of a table besides its rows: the dataset, and the heads
FEWEST_ROWS, FEWEST_SENTENCE_LINES, FEWEST_FAILED = 4, 3, 3  # lines of each part
MOST_TABLE_LINES = 14  # where there are several datasets
MOST_FAILED_LINES = 5  # for each reason why runs have no results, which ends with the way out


@dataclass
class Block:
    """A part of the screen: how many lines it gets, and how many it could use."""

    lines: int
    wanted: int


def show_report(report: Report) -> None:
    """Print the report."""
    console = PipeSafeConsole(highlight=False)
    width = console.width
    shown = _shown(report.sections)
    counts = report.counts
    if len(shown) < len(report.sections):
        counts += f"; {counted(len(report.sections) - len(shown), 'more dataset')} in the page"
    head = _wrapped(f"{counts}.", width)
    said = [_wrapped(text, width) for text in _sentences(report, shown)]
    failed = [*_failed(report, width)]
    tables = [_block(FEWEST_ROWS, len(section.places_with_numbers)) for section in shown]
    for_sentences = _block(FEWEST_SENTENCE_LINES, sum(map(len, said)))
    for_failed = _block(FEWEST_FAILED, sum(map(len, failed)))
    path_of_the_page = 1
    room = SCREEN - len(head) - path_of_the_page - FRAME * len(shown)
    _share(room, [*tables, for_failed, for_sentences])
    for section, block in zip(shown, tables, strict=True):
        console.print(_titled(section, block), markup=False)
        console.print(_table(section, block.lines, width))
    lines = first_that_fit(said, for_sentences.lines)
    lines += first_that_fit(failed, for_failed.lines, "more reason")
    for line in [*head, *lines]:
        console.print(line, markup=False)


def _shown(sections: list[Section]) -> list[Section]:
    """As many datasets as there is room for a table with a few rows, those with most rows first."""
    found: list[Section] = []
    lines = 0
    for section in sorted(sections, key=lambda s: -len(s.rows)):
        lines += FRAME + min(FEWEST_ROWS, len(section.lines))
        if found and lines > MOST_TABLE_LINES:
            break
        found.append(section)
    return found


def _block(fewest: int, wanted: int) -> Block:
    return Block(min(fewest, wanted), wanted)


def _share(room: int, blocks: list[Block]) -> None:
    """Give each block a line in turn while there is room for it."""
    room -= sum(block.lines for block in blocks)
    while room > 0 and any(block.lines < block.wanted for block in blocks):
        for block in blocks:
            if block.lines < block.wanted and room > 0:
                block.lines += 1
                room -= 1


def _sentences(report: Report, shown: list[Section]) -> Iterator[str]:
    """What matters most first."""
    for search in report.searches:
        yield from search_sentences(search)
    for section in shown:
        yield from winners(section, report)[:3]
        yield from effects(section, report)
        yield from undecided(section, report)[:1]
    yield from few_seeds(report)
    yield from worst(report.rows)
    for section in shown:
        yield from sampler_warnings(section, report)
    yield from different_data(report)
    yield from (text for text in notes(report) if text not in few_seeds(report))
    for section in shown:
        yield from otherwise_measured(section)


def first_that_fit(texts: list[list[str]], room: int, noun: str = "more remark") -> list[str]:
    """The lines of the texts that there is room for, and how many more there are.

    One that is too long gives way to the next; the first is cut rather than left out.
    """
    if sum(map(len, texts)) <= room:
        return [line for lines in texts for line in lines]
    room -= 1  # for how many more there are
    found: list[str] = []
    left_out = 0
    for lines in texts:
        if not found and len(lines) > room > 0:
            lines = [*lines[: room - 1], f"{lines[room - 1]} …"]
        if len(found) + len(lines) <= room:
            found += lines
        else:
            left_out += 1
    return [*found, f"{counted(left_out, noun)} in the page"]


def _wrapped(text: str, width: int, most: int | None = None) -> list[str]:
    """A text in lines that fit the width, at most so many."""
    return textwrap.wrap(
        text,
        width - 2,
        subsequent_indent="  ",
        break_on_hyphens=False,
        max_lines=most,
        placeholder=" …",
    )


def _titled(section: Section, block: Block) -> str:
    """What a table is about, and what more is in the page."""
    measures = len({quantity for row in section.rows for quantity in row.cells})
    rows = len(section.rows)
    shown = block.lines - len(section.real)
    which = f"the best {shown} of {rows} settings" if shown < rows else counted(rows, "setting")
    return f"{section.dataset}: {which}; all {counted(measures, 'measure')} in the page"


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
    """The lines that have numbers in their order or, where these are too many, the best rows and
    real data.
    """
    numbers = [i for i in section.places_with_numbers if i < len(section.rows)]
    real = [*range(len(section.rows), len(section.lines))]
    if len(numbers) + len(real) > most:
        columns = section.ranked_columns

        def goodness(i: int) -> float:
            places = [p for c in columns if (p := section.standing(i, c)) is not None]
            return sum(places) / len(places) if places else -1.0

        numbers = sorted(sorted(numbers, key=goodness, reverse=True)[: max(1, most - len(real))])
    return numbers + real


def _own_columns(section: Section, places: list[int], width: int) -> list[tuple[str, list[str]]]:
    """The columns that distinguish the rows, in half of the width if they can."""
    lines = [section.lines[i] for i in places]
    found = [("model", [row.model for row in lines])]
    if section.has_seeds:
        found.append(("seeds", [str(len(row.runs) or "") for row in lines]))
    settings = [_settings(section, i) for i in places]
    if any(settings):
        room = width // 2 - sum(_width(head, cells) for head, cells in found) - GAP
        found[1:1] = setting_columns(settings, max(room, 12))
    return found


def _settings(section: Section, i: int) -> list[str]:
    """The settings in which a line differs from the other rows of its model."""
    row = section.lines[i]
    alike = [other for other in section.rows if other.model == row.model]
    words = settings_in_words(row, [*alike, row] if row not in alike else alike, fewest=True)
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
    text = Text(column.text(section.lines[i], brief_value))
    if section.is_best(i, column):
        text.append(" *").stylize("bold green")
    return text


def _width(head: str, cells: list[str]) -> int:
    return GAP + max(map(len, [head, *cells]))


# --- runs without results -------------------------------------------------------------------------


def _failed(report: Report, width: int) -> Iterator[list[str]]:
    """Lines on each reason for which runs have no results, with the runs that it holds for."""
    same: dict[tuple[str, str], list[str]] = {}
    for run in report.failed:
        same.setdefault((run.state, run.reason), []).append(run.folder)
    for (state, reason), folders in same.items():
        text = f"without results: {listed(folders, 2)} ({state}): {reason}"
        yield _wrapped(text, width, MOST_FAILED_LINES)

"""A report as files for other programs and for readers: comma-separated values and Markdown."""

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from genbench.report.bounds import bounded
from genbench.report.diagnosis import Problem, problems
from genbench.report.gaps import gaps
from genbench.report.quantities import Quantity, Value, brief_value, full
from genbench.report.rows import chosen_settings, other_settings
from genbench.report.searches import best_commands, search_sentences
from genbench.report.table import (
    SAMPLER,
    Column,
    Report,
    Section,
    ranked,
    with_sampler,
)
from genbench.report.verdicts import different_data, notes, section_sentences
from genbench.report.words import is_number, listed, short
from genbench.settings.setting import written

MOST_ROWS = 30  # that a problem names
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "|", "%")  # at the start of a cell, spreadsheets run it
AFTER_SEPARATOR = re.compile(r"(?<=;)(?=\s*[=+\-@\t\r|%])")  # where ; separates cells


def as_csv(report: Report) -> str:
    """Every setting that differs and every number in full, with the ends of its interval."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    settings = _all_settings(report)
    heads = ["model", "dataset", *settings, "seeds"]
    for quantity in report.quantities:
        label = report.labels[quantity]
        heads += [label] if quantity == SAMPLER else [label, f"{label} low", f"{label} high"]
    lines.writerow(map(inert, [*heads, "best", "runs"]))
    for section in report.sections:
        for i, row in enumerate(section.lines):
            cells: list[Any] = [row.model, row.dataset]
            cells += [_plain(row.settings.get(name, "")) for name in settings]
            cells.append(len(row.runs) or "")
            for quantity in report.quantities:
                if quantity == SAMPLER:
                    cells.append(row.sampler)
                else:
                    cells += _with_ends(quantity, row.cells.get(quantity))
            best = [report.labels[q] for q in report.quantities if (i, q) in section.best]
            folders = [name for run in row.runs for name in run.folders]
            lines.writerow(map(inert, [*cells, "; ".join(best), " ".join(folders)]))
    return text.getvalue()


def _all_settings(report: Report) -> list[str]:
    """Every setting in which rows differ, those first that somebody chose."""
    names = [*chosen_settings(report.rows), *other_settings(report.rows)]
    has_sampler = SAMPLER in report.quantities  # which is a column of its own
    return [name for name in names if name != SAMPLER.name or not has_sampler]


def _plain(value: Any) -> Any:
    return value if is_number(value) else written(value)


def _with_ends(quantity: Quantity, value: Value | None) -> tuple[float | None, ...]:
    if value is None:
        return None, None, None
    return (value.mean, *bounded(quantity, value))


def inert(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula, whichever sign separates its cells."""
    if not isinstance(value, str):
        return value
    value = AFTER_SEPARATOR.sub("'", value)
    return f"'{value}" if value.lstrip().startswith(FORMULAS) else value


def as_markdown(report: Report) -> str:
    """A section for each dataset with what matters most, then all measures, and what is missing."""
    lines = [f"# {escaped(report.title)}", "", f"{report.counts}."]
    for text in [*different_data(report), *notes(report)]:
        lines += ["", escaped(text)]
    for search in report.searches:
        lines += ["", f"## Search in {escaped(search.folder)}"]
        for text in search_sentences(search):
            lines += ["", escaped(text)]
        lines += [f"\n    {command}" for command in best_commands(search)]
    for section in report.sections:
        lines += ["", f"## {escaped(section.dataset)}", ""]
        lines += [*_table(section, section.settings, section.columns, brief_value)]
        alone = replace(report, sections=[section])  # its heading says on which data
        for text in [*section_sentences(section, alone), *gaps(section, alone)]:
            lines += ["", escaped(text)]
        everything = all_columns(section, report)
        lines += ["", "### All measures", "", "[ ]: the 95 % interval that a run has measured.", ""]
        lines += [*_table(section, _all_settings(report), everything, full)]
    found = problems(report.rows)
    if found:
        lines += ["", "## Diagnosis", ""]
        lines += [line for problem in found for line in _problem(problem)]
    if report.failed:
        lines += ["", "## Runs without results", "", *_rule(["run", "state", "reason"], 3)]
        for run in report.failed:
            lines.append(_joined(map(escaped, (run.folder, run.state, run.reason))))
    return "\n".join(lines) + "\n"


def all_columns(section: Section, report: Report) -> list[Column]:
    """A column for each measure of a section, under a name that no other has."""
    quantities = with_sampler(ranked(section.rows), section.rows)
    return [
        Column(report.labels[q] + (f" [{q.unit}]" if q.unit else ""), q, {}) for q in quantities
    ]


def _problem(problem: Problem) -> Iterator[str]:
    yield f"- {escaped(problem.text)}: {escaped(problem.whose(MOST_ROWS))}"
    for setting, whom in problem.settings:
        of = f" ({escaped(listed(whom))})" if len(problem.settings) > 1 else ""
        yield f"  - try `{setting.replace('`', '')}`{of}"
    for name, text in problem.each:
        yield f"  - {escaped(name)}: {escaped(text)}"


def _table(
    section: Section,
    settings: list[str],
    columns: list[Column],
    words: Callable[[Value | None], str],
) -> Iterator[str]:
    """The lines of a table: what distinguishes the rows, and these measures in words."""
    own = [name for name in settings if any(name in row.settings for row in section.rows)]
    seeds = ["seeds"] if section.has_seeds else []
    yield from _rule(["model", *own, *seeds, *(c.head for c in columns)], 1 + len(own + seeds))
    for i, row in enumerate(section.lines):
        cells = [row.model, *(short(row.settings.get(name, "")) for name in own)]
        cells += [str(len(row.runs) or "")] * len(seeds)
        cells = [escaped(cell) for cell in cells]
        for column in columns:
            cell = escaped(column.text(row, words))
            cells.append(f"**{cell}**" if cell and section.is_best(i, column) else cell)
        yield _joined(cells if row.runs else [f"*{cell}*" if cell else "" for cell in cells])


def _rule(heads: list[str], left: int) -> list[str]:
    sides = ["---" if i < left else "---:" for i in range(len(heads))]
    return [_joined(map(escaped, heads)), _joined(sides)]


def _joined(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """A text that is not Markdown, whatever it contains."""
    for sign in "\\`*_[]|~":
        text = text.replace(sign, f"\\{sign}")
    return html.escape(text, quote=False)

"""Why cells of a report's first table are empty."""

from itertools import zip_longest

from genbench.report.names import model_names
from genbench.report.quantities import Quantity
from genbench.report.rows import TableRow
from genbench.report.table import Column, Report, Section
from genbench.report.words import listed
from genbench.runs.directory import SPLITS
from genbench.utils.text import quoted

LACKS = {  # what a model without a capability cannot do, in words
    "sample": "it cannot generate",
    "codes": "it does not generate from codes",
    "log_prob": "it has no likelihood of these data",
    "posterior": "its codes have no distribution",
}
NOT_EVALUATED, NOT_ASKED = "evaluation=none", "it was not asked for"
OTHERWISE = "they were measured otherwise, which does not compare"
MOST_OTHERWISE = 2  # sentences on numbers that were measured otherwise


def gaps(section: Section, report: Report) -> list[str]:
    """A sentence for each reason and the rows that it holds for."""
    return [*otherwise_measured(section), *_missing(section, report)]


def otherwise_measured(section: Section) -> list[str]:
    """For each row, which of its numbers stand in other columns, as they do not compare."""
    reasons: dict[int, dict[str, list[str]]] = {}
    for i, row in enumerate(section.rows):
        for column in section.columns:
            other = _other_column(row, column)
            if other is not None:
                wanted = column.by_data.get(row.data, column.quantity)
                said = contrast(other, wanted)
                reasons.setdefault(i, {}).setdefault(said, []).append(column.name)
    same: dict[tuple[str, str], list[TableRow]] = {}
    for i, by_reason in reasons.items():
        names = listed([name for some in by_reason.values() for name in some])
        reason = next(iter(by_reason)) if len(by_reason) == 1 else OTHERWISE
        same.setdefault((names, reason), []).append(section.rows[i])
    if len(same) > MOST_OTHERWISE:
        return [
            "Some numbers are left out here or stand in a second column, as they were measured "
            "otherwise (from other numbers of points, or in another way), which does not compare."
        ]
    return [
        f"No {names} of {listed(model_names(rows, section.rows))}: {reason}."
        for (names, reason), rows in same.items()
    ]


def _missing(section: Section, report: Report) -> list[str]:
    found: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for column in section.columns:
        reasons: dict[str, list[TableRow]] = {}
        for row in section.rows:
            is_empty = not column.is_sampler and column.value(row) is None
            if is_empty and _other_column(row, column) is None:
                reasons.setdefault(_reason(row, column), []).append(row)
        for reason, rows in reasons.items():
            whom = tuple(model_names(rows, section.rows))
            remedy = _remedy(reason, rows, column, report)
            found.setdefault((reason, whom, remedy), []).append(column.name)
    return [
        f"No {listed(names)} of {listed(whom)}: {reason}{remedy}."
        for (reason, whom, remedy), names in found.items()
    ]


def _remedy(reason: str, rows: list[TableRow], column: Column, report: Report) -> str:
    """The command that measures what was not measured, of the first run."""
    if reason not in (NOT_EVALUATED, NOT_ASKED):
        return ""
    words = ["genbench evaluate", quoted(rows[0].runs[0].path), *report.own_words]
    if reason == NOT_ASKED:
        words.append(f"metrics={column.quantity.name}")
    runs = sum(len(row.runs) for row in rows)
    return f"; {' '.join(words)} measures {'it' if runs == 1 else 'that of the first run'}"


def _other_column(row: TableRow, column: Column) -> Quantity | None:
    """The measure of the column's name that a row has, where it was measured otherwise."""
    if column.is_sampler or column.value(row) is not None:
        return None
    wanted = (column.quantity.name, column.quantity.group)
    return next((q for q in row.cells if (q.name, q.group) == wanted), None)


def contrast(one: Quantity, other: Quantity) -> str:
    """In what two measures of one name differ, in words."""
    if one.n != other.n:
        mine, theirs = one.n or "another number of points", other.n or "another number"
        return f"it was measured from {mine}, not {theirs}, which does not compare"
    if one.of != other.of:
        parts = zip_longest(one.of.split("; "), other.of.split("; "), fillvalue="")
        mine, theirs = next((a or "the usual", b or "the usual") for a, b in parts if a != b)
        return f"it is of another kind ({mine}) than the others ({theirs})"
    if one.features != other.features:
        return "it was measured by the features of another classifier, which does not compare"
    if one.on != other.on:
        return f"it was measured on {one.on} data, not on {other.on} data"
    return "it was measured otherwise, which does not compare"


def _reason(row: TableRow, column: Column) -> str:
    """Why a row has no such number."""
    from genbench.evaluation.registry import OF_RECONSTRUCTIONS, measures  # imports torch

    quantity, metrics = column.quantity, [run.metrics for run in row.runs]
    if quantity.group in SPLITS or quantity.model:
        return "it is a term of another model's objective, or of another part of the data"
    if not any(some.has_card for some in metrics):
        return NOT_EVALUATED
    known = measures().get(quantity.name)
    capabilities = metrics[0].capabilities
    if known and capabilities is not None:
        for needed in known.needs:
            if needed not in capabilities:
                return LACKS.get(needed, f"it cannot {needed}")
    if known and known.group == OF_RECONSTRUCTIONS and metrics[0].invertible:
        return "it is invertible, so that its reconstructions show nothing"
    if not any(some.has_whole_card for some in metrics):
        return NOT_ASKED
    if known and known.only:
        return f"it is measured only {known.only}"
    return "there were too few points, or something was not finite"

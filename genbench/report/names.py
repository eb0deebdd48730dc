"""The name of a row: the model, settings and dataset that distinguish it from other rows."""

from collections.abc import Iterable, Sequence

from genbench.report.rows import TableRow, chosen_settings
from genbench.report.words import short


def name_of(row: TableRow, rows: Sequence[TableRow], without: Iterable[str] = ()) -> str:
    """The model, settings and dataset of a row, as far as others differ in them.

    Settings are written as one would type them, in brackets after the model. Nothing for a row
    that is alone, or that differs only in the settings that are left out.
    """
    alike = [r for r in rows if (r.model, r.dataset) == (row.model, row.dataset)]
    settings = settings_in_words(row, alike, without, fewest=True)
    name = " ".join(settings)
    if len({r.model for r in rows}) > 1:
        name = f"{row.model} ({', '.join(settings)})" if settings else row.model
    if len({r.dataset for r in rows}) == 1:
        return name
    return f"{name or row.model} on {row.dataset}"


def settings_in_words(
    row: TableRow,
    rows: Sequence[TableRow],
    without: Iterable[str] = (),
    fewest: bool = False,
) -> list[str]:
    """The settings in which a row differs from these, as one would type them: all, or a few."""
    names = [n for n in chosen_settings(rows) if n in row.settings and n not in {*without}]
    if fewest:
        names = _fewest(row, rows, names)
    return [f"{name}={short(row.settings[name])}" for name in names]


def _fewest(row: TableRow, rows: Sequence[TableRow], names: list[str]) -> list[str]:
    """Of some settings, a few that suffice to distinguish a row from all others.

    One after the other is taken that differs in most of the rows that are left.
    """

    def differs(other: TableRow, name: str) -> bool:
        return other.settings.get(name) != row.settings[name]

    left = [other for other in rows if any(differs(other, name) for name in names)]
    taken: list[str] = []
    while left:
        best = max(names, key=lambda name: sum(differs(other, name) for other in left))
        taken.append(best)
        left = [other for other in left if not differs(other, best)]
    return [name for name in names if name in taken]


def row_name(row: TableRow, rows: Sequence[TableRow]) -> str:
    """The name of a row in a sentence: at least its model."""
    return name_of(row, rows) or row.model


def model_names(rows: Sequence[TableRow], among: Sequence[TableRow]) -> list[str]:
    """Rows by their model alone, where these are all rows of a model; else by their settings."""
    found: dict[str, None] = {}
    for row in rows:
        alike = [r for r in among if (r.model, r.dataset) == (row.model, row.dataset)]
        is_whole = all(any(r is one for one in rows) for r in alike)
        found[row.model if is_whole else row_name(row, among)] = None
    return [*found]

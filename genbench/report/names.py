"""The name of a row: the model, settings and dataset that distinguish it from other rows."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, takewhile

from genbench.report.rows import TableRow, chosen_settings
from genbench.report.words import short
from genbench.settings.setting import written

GAP = 2  # spaces between columns on a terminal


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
    """The settings in which a row differs from these, as one would type them.

    With `fewest`, the few that suffice to distinguish all of these rows, the same for each of them.
    """
    left_out = {*without}
    names = [name for name in chosen_settings(rows) if name not in left_out]
    if fewest:
        names = _fewest(tuple(rows), tuple(names))
    return [f"{name}={short(row.settings[name])}" for name in names if name in row.settings]


@lru_cache(maxsize=1024)
def _fewest(rows: tuple[TableRow, ...], names: tuple[str, ...]) -> list[str]:
    """Of some settings, a few that suffice to distinguish all rows that differ in any of them.

    One after the other is taken that makes most differences.
    """

    def distinct(some: Iterable[str]) -> int:
        values = [[written(row.settings.get(name, "")) for row in rows] for name in some]
        return len({*zip(*values, strict=True)})

    taken: list[str] = []
    while distinct(taken) < distinct(names):
        left = [name for name in names if name not in taken]
        taken.append(max(left, key=lambda name: distinct([*taken, name])))
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


def setting_columns(lines: Sequence[Sequence[str]], room: int) -> list[tuple[str, list[str]]]:
    """Settings `name=value` of several rows as columns, each a head and the cells.

    That is one column if it takes at most so many characters, else one for each setting. What rows
    have in common is cut, not the values: beginnings that values share, as those of folders, and
    the ends of heads. Where that does not suffice, the columns are wider.
    """
    texts = [" ".join(line) for line in lines]
    if all(len(text) <= room for text in texts):
        return [("settings", texts)]
    pairs = [dict(word.split("=", 1) for word in line) for line in lines]
    names = [*dict.fromkeys(chain.from_iterable(pairs))]
    cells: dict[str, list[str]] = {}
    for name in names:
        values = [pair.get(name, "") for pair in pairs]
        shared = _common_beginning([value for value in values if value])
        cells[name] = [_without(value, shared) for value in values]
    widths = {name: max(map(len, values)) for name, values in cells.items()}
    heads = dict(zip(names, names, strict=True))
    for letters in range(max(map(len, names)), 0, -1):
        heads = _brief_names(names, {name: max(letters, widths[name] - 1) for name in names})
        if sum(max(len(heads[n]), widths[n]) + GAP for n in names) - GAP <= room:
            break
    return [(heads[name], cells[name]) for name in names]


def _common_beginning(values: Sequence[str]) -> str:
    """The folders that all values of a setting begin with, if there are several values."""
    folders = zip(*(value.split("/")[:-1] for value in values), strict=False)
    shared = takewhile(lambda same: len({*same}) == 1, folders)
    return "".join(f"{names[0]}/" for names in shared) if len({*values}) > 1 else ""


def _without(value: str, beginning: str) -> str:
    return f"…{value[len(beginning) :]}" if len(beginning) > 1 else value


def _brief_names(names: Sequence[str], letters: Mapping[str, int]) -> dict[str, str]:
    """Names cut to so many letters each, or more where two would be the same."""
    found = {}
    for name in names:
        others = [other for other in names if other != name]
        length = letters[name]
        while any(other.startswith(name[:length]) for other in others) and length < len(name):
            length += 1
        found[name] = name if len(name) <= length + 1 else f"{name[:length]}…"
    return found

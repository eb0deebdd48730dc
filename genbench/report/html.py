"""A report as one page that needs no other file and no network.

What the files of runs hold is text in it, never markup.
"""

import base64
import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from genbench.figures.files import read_png
from genbench.report.diagnosis import problems
from genbench.report.export import MOST_ROWS, all_columns
from genbench.report.gaps import gaps
from genbench.report.html_table import HtmlCell, HtmlTable, html_search
from genbench.report.names import name_of, settings_in_words
from genbench.report.quantities import Quantity, Value, brief_value, full
from genbench.report.rows import chosen_settings, other_settings
from genbench.report.table import Column, Report, Section
from genbench.report.verdicts import different_data, notes, section_sentences
from genbench.report.words import is_number, listed, printable, short
from genbench.runs.directory import SPLITS
from genbench.utils import signals
from genbench.utils.files import Unreadable, read_bytes

MOST_PICTURES = 60  # settings with pictures in the page
MOST_BYTES = 1 << 26  # of a picture that is read
MOST_SETTINGS = 3  # with a column of their own at a glance; more share one
THUMBNAIL, SMALL_THUMBNAIL = 520, 320  # pixels, for few settings and for many
FEW = 12  # settings with large pictures, so that a page of many opens fast
COLUMNS = (600, 850)  # pixels of width above which a chart takes two columns of the page, and three
PICTURES = ("samples", "reconstructions")
SAMPLER_MEANING = (
    "What samples are drawn from: codes from the prior or from a density fitted to the training "
    "codes, chains, or the model itself; with noise, where the noise of the likelihood is added. "
    "Models with different samplers differ in two things."
)


@dataclass(frozen=True)
class Chart:
    """A chart: its picture, what it shows in words, and how many pixels it is wide."""

    svg: bytes
    said: str
    width: float

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return _inline("image/svg+xml", self.svg)

    @property
    def columns(self) -> int:
        """How many of the page's three columns it takes."""
        return 1 + sum(self.width > least for least in COLUMNS)


@dataclass(frozen=True)
class HtmlSection:
    """What the page shows of one dataset."""

    name: str
    overview: HtmlTable
    everything: HtmlTable
    sentences: list[str]
    gaps: list[str]  # why cells are empty
    unmeasured: int  # rows that have no number at a glance
    meanings: list[tuple[str, str]]


@dataclass(frozen=True)
class Gallery:
    """The pictures of one kind, each with the name of its run."""

    name: str
    pictures: list[tuple[str, str]]


def page(report: Report, charts: Iterable[Chart]) -> str:
    """The page, as HTML."""
    from jinja2 import Environment, StrictUndefined

    template = Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    galleries, unread = _galleries(report)
    return environment.from_string(template).render(
        report=report,
        sections=[_section(section, report) for section in report.sections],
        sentences=different_data(report),
        notes=" ".join(notes(report)),
        has_real=any(section.real for section in report.sections),
        searches=[html_search(search) for search in report.searches],
        charts=charts,
        galleries=galleries,
        unread=unread,
        unseen=max(0, len(report.rows) - MOST_PICTURES),
        differences=_differences(report),
        problems=[
            (
                problem.text,
                problem.whose(MOST_ROWS),
                problem.each,
                [(setting, listed(whom, MOST_ROWS)) for setting, whom in problem.settings],
            )
            for problem in problems(report.rows)
        ],
    )


def _section(section: Section, report: Report) -> HtmlSection:
    everything = [*section.settings, *other_settings(section.rows)]
    places = section.places_with_numbers
    alone = replace(report, sections=[section])  # its heading says on which data
    all_measures = all_columns(section, report)
    all_places = [*range(len(section.lines))]
    settings = _setting_columns(section, everything)
    return HtmlSection(
        section.dataset,
        _table(section, places, _first_settings(section), section.columns, brief_value),
        _table(section, all_places, settings, all_measures, full),
        [*section_sentences(section, alone)],
        gaps(section, alone),
        len(section.lines) - len(places),
        [(column.head, _meaning(column)) for column in section.columns],
    )


SettingColumns = list[tuple[str, list]]


def _setting_columns(section: Section, names: list[str]) -> SettingColumns:
    return [(name, [row.settings.get(name, "") for row in section.lines]) for name in names]


def _first_settings(section: Section) -> SettingColumns:
    """The columns of settings at a glance: a single one if there are many."""
    if len(section.settings) <= MOST_SETTINGS:
        return _setting_columns(section, section.settings)
    words = []
    for row in section.lines:
        alike = [other for other in section.rows if other.model == row.model] or [row]
        words.append(", ".join(settings_in_words(row, alike, fewest=True)) if row.runs else "")
    return [("settings", words)]


def _table(
    section: Section,
    places: list[int],
    settings: SettingColumns,
    columns: list[Column],
    words: Callable[[Value | None], str],
) -> HtmlTable:
    own: SettingColumns = [("model", [row.model for row in section.lines]), *settings]
    if section.has_seeds:
        own.append(("seeds", [len(row.runs) or "" for row in section.lines]))
    are_numbers = [all(v == "" or is_number(v) for v in values) for _, values in own]
    lines = []
    for i in places:
        row = section.lines[i]
        values = (some[i] for _, some in own)
        line = [HtmlCell(short(v), v if is_number(v) else short(v)) for v in values]
        for column in columns:
            text, value = column.text(row, words), column.value(row)
            key = text if column.is_sampler else "" if value is None else value.mean
            more = "" if column.is_sampler else full(value)
            standing = section.standing(i, column)
            line.append(HtmlCell(text, key, standing, more, section.is_best(i, column)))
        lines.append(line)
    groups = [(group, len([*some])) for group, some in groupby(c.quantity.group for c in columns)]
    heads = [(name, are) for (name, _), are in zip(own, are_numbers, strict=True)]
    heads += [(column.head, not column.is_sampler) for column in columns]
    return HtmlTable([("", len(own)), *groups], heads, lines, len(section.real))


def _meaning(column: Column) -> str:
    """What a column is, in what unit, and what its numbers were measured on."""
    if column.is_sampler:
        return SAMPLER_MEANING
    from genbench.evaluation.registry import measures  # imports torch

    quantity = column.quantity  # a term of an objective may be called like a measure
    known = measures().get(quantity.name) if quantity.group not in SPLITS else None
    parts = [known.meaning] if known else []
    parts += [f"In {quantity.unit}."] if quantity.unit else []
    bases = dict.fromkeys(map(_basis, column.by_data.values() or [quantity]))
    return " ".join([*parts, *(f"Measured {basis}." for basis in bases)])


def _basis(quantity: Quantity) -> str:
    total = "" if quantity.total is None else f"out of {quantity.total:g}"
    on = f"on {quantity.on or quantity.group}"
    return ", ".join(filter(None, [on, quantity.n, quantity.features, quantity.of, total]))


def _differences(report: Report) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each setting in which runs differ that have it: its values with their models."""
    found = []
    for name in (*chosen_settings(report.rows), *other_settings(report.rows)):
        values: dict[str, dict[str, None]] = {}
        for row in report.rows:
            if name in row.settings:
                values.setdefault(short(row.settings[name]), {})[row.model] = None
        found.append((name, [(value, ", ".join(models)) for value, models in values.items()]))
    return found


# --- pictures -------------------------------------------------------------------------------------


def _galleries(report: Report) -> tuple[list[Gallery], list[str]]:
    """The pictures of the first run of each row that has one, and why others are left out."""
    found, unread = [], []
    pixels = THUMBNAIL if len(report.rows) <= FEW else SMALL_THUMBNAIL
    for name in PICTURES:
        pictures = []
        for row in report.rows[:MOST_PICTURES]:
            signals.check()
            path = row.runs[0].path / f"{name}.png"
            try:
                caption = name_of(row, report.rows) or row.runs[0].title
                pictures.append((caption, _picture(path, pixels)))
            except FileNotFoundError:
                continue
            except ValueError as error:  # whatever is wrong with one picture, the others are shown
                reason = error.what if isinstance(error, Unreadable) else error
                unread.append(printable(f"{path.parent.name}/{path.name} {reason}"))
        if pictures:
            found.append(Gallery(name, pictures))
    return found, unread


def _picture(path: Path, pixels: int) -> str:
    """A PNG file as a data URL, at most so many pixels wide.

    Raises FileNotFoundError where there is none, and ValueError for anything else.
    """
    if not os.path.lexists(path):
        raise FileNotFoundError(path)
    image = read_png(read_bytes(path, MOST_BYTES)).convert("RGB")
    image.thumbnail((pixels, 4 * pixels))
    encoded = {}
    for kind, options in (("jpeg", {"quality": 85}), ("png", {})):
        out = io.BytesIO()
        image.save(out, kind, **options)
        encoded[kind] = out.getvalue()
    smaller = min(encoded, key=lambda kind: len(encoded[kind]))
    return _inline(f"image/{smaller}", encoded[smaller])


def _inline(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

"""A report as one page that needs no other file and no network: whatever a run's files hold is text in it, never markup."""

import base64
import io
import os
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from genbench.figures.canvas import read_png
from genbench.report.load import Measure, Value, is_number, printable, short
from genbench.report.table import SAMPLER, Report, Row, brief, called, cell, differing
from genbench.report.verdicts import listed, problems, said
from genbench.runs.directory import SPLITS
from genbench.utils import signals
from genbench.utils.files import Unreadable, read_bytes

MOST_PICTURES = 60  # settings with pictures in the page
MOST_BYTES = 1 << 26  # of a picture that is read
COLUMNS = (600, 850)  # pixels of width above which a chart takes two columns of the page, and three
PICTURES = ("samples", "reconstructions")


class Chart(NamedTuple):
    """A chart: its picture, what it shows in words, and how many pixels it is wide."""

    svg: bytes
    said: str
    width: float

    @property
    def source(self) -> str:
        """The picture as an address of itself."""
        return _inline("image/svg+xml", self.svg)

    @property
    def columns(self) -> int:
        """How many of the page's three columns it takes."""
        return 1 + sum(self.width > least for least in COLUMNS)


class Cell(NamedTuple):
    """A cell of a table: its text and what it is sorted by, where it stands in its column from 0 to 1, and more of it.

    `best` is only what is so beyond doubt.
    """

    text: str
    key: str | float
    standing: float | None = None
    more: str = ""
    best: bool = False


class Table(NamedTuple):
    """The groups of columns with how many each has, the heads with whether they are of numbers, and lines of cells.

    The last `real` lines are of real data, which nothing ranks.
    """

    groups: list[tuple[str, int]]
    heads: list[tuple[str, bool]]
    lines: list[list[Cell]]
    real: int


def page(told: Report, charts: Iterable[Chart]) -> str:
    """The page, as HTML."""
    from jinja2 import Environment, StrictUndefined

    template = Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    galleries, unread = _galleries(told)
    return environment.from_string(template).render(
        told=told,
        said=[*said(told)],
        overview=_table(told, told.kept, told.overview, brief),
        everything=_table(told, told.kept_in_all, told.heads, cell),
        meanings=[(name, _meaning(m)) for m, name in told.overview.items()],
        charts=charts,
        galleries=galleries,
        unread=unread,
        unseen=max(0, len(told.rows) - MOST_PICTURES),
        differences=_differences(told),
        problems=[
            (
                p.text,
                listed(p.rows, 30),
                [(setting, listed(whom, 30)) for setting, whom in p.settings],
            )
            for p in problems(told)
        ],
    )


def _table(
    told: Report,
    kept: list[tuple[str, list]],
    heads: dict[Measure, str],
    words: Callable[[Value | None], str],
) -> Table:
    own = [(head, all(v == "" or is_number(v) for v in values)) for head, values in kept]
    groups = [(group, len([*some])) for group, some in groupby(heads, lambda m: m.group)]
    lines = []
    for i, row in enumerate(told.lines):
        line = [
            Cell(short(v), v if is_number(v) else short(v))
            for v in (values[i] for _, values in kept)
        ]
        for m in heads:
            value, text = row.cells.get(m), told.text(row, m, words)
            key = text if m == SAMPLER else "" if value is None else value.mean
            more = "" if m == SAMPLER else cell(value)
            line.append(Cell(text, key, told.standings.get((i, m)), more, (i, m) in told.best))
        lines.append(line)
    return Table(
        [("", len(own)), *groups],
        [*own, *((head, m != SAMPLER) for m, head in heads.items())],
        lines,
        len(told.real),
    )


def _meaning(measure: Measure) -> str:
    """What a measure is, in what unit, and what it was measured on."""
    if measure == SAMPLER:
        return (
            "What samples are drawn from: codes from the prior or from a density fitted to the training codes, chains, or the model "
            "itself; with noise, where the noise of the likelihood is added. Models with different samplers differ in two things."
        )
    from genbench.evaluation.registry import measures

    known = (
        measures().get(measure.name) if measure.group not in SPLITS else None
    )  # a term may be called like a measure
    told = [known.meaning if known else "", f"In {measure.unit}." * bool(measure.unit)]
    on = [f"on {measure.on or measure.group}", measure.n, measure.features, measure.of]
    return " ".join(filter(None, [*told, f"Measured {', '.join(filter(None, on))}."]))


def _called(row: Row, told: Report) -> str:
    return called(row, told.rows) or row.runs[0].title


def _differences(told: Report) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each setting in which the runs differ, and its values with the models that have them."""
    found = []
    for name in differing(told.rows):
        values: dict[str, list[str]] = {}
        for row in told.rows:
            values.setdefault(
                short(row.settings[name]) if name in row.settings else "has none", []
            ).append(row.kind[0])
        found.append(
            (name, [(value, ", ".join(dict.fromkeys(models))) for value, models in values.items()])
        )
    return found


def _galleries(told: Report) -> tuple[list[tuple[str, list[tuple[str, str]]]], list[str]]:
    """By kind of picture, those of the first run of each row that has one; and why others are left out."""
    found, unread = [], []
    for name in PICTURES:
        shown = []
        for row in told.rows[:MOST_PICTURES]:
            signals.check()
            path = row.runs[0].path / f"{name}.png"
            try:
                shown.append((_called(row, told), _picture(path)))
            except FileNotFoundError:
                continue
            except ValueError as error:  # whatever is wrong with one picture, the others are shown
                reason = error.what if isinstance(error, Unreadable) else error
                unread.append(printable(f"{path.parent.name}/{path.name} {reason}"))
        if shown:
            found.append((name, shown))
    return found, unread


def _picture(path: Path, width: int = 520) -> str:
    """A PNG file at a moderate size as an address of itself. FileNotFoundError where there is none, ValueError for
    anything else."""
    if not os.path.lexists(path):
        raise FileNotFoundError(path)
    image = read_png(read_bytes(path, MOST_BYTES)).convert("RGB")
    image.thumbnail((width, 4 * width))
    encoded = {}
    for kind, options in (("jpeg", {"quality": 85}), ("png", {"optimize": True})):
        out = io.BytesIO()
        image.save(out, kind, **options)
        encoded[kind] = out.getvalue()
    smaller = min(encoded, key=lambda kind: len(encoded[kind]))
    return _inline(f"image/{smaller}", encoded[smaller])


def _inline(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

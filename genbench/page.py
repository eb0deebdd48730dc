"""A report as one page that needs no other file and no network: whatever a run's files hold is text in it, never markup."""

import base64
import io
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from .comparison import Report, Row, brief, called, cell, differing
from .results import PARTS, Measure, Value, is_number, short

MOST_PICTURES, LARGEST = 60, 40_000_000  # settings with pictures in the page, and pixels of a picture that is read
WIDE = 800  # pixels from which a chart scrolls on a phone rather than shrinks
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
    def wide(self) -> bool:
        """Whether it would be too small on a phone."""
        return self.width > WIDE


class Cell(NamedTuple):
    """A cell of a table: its text and what it is sorted by, where it stands in its column from 0 to 1, and more of it."""

    text: str
    key: str | float
    standing: float | None = None
    more: str = ""

    @property
    def best(self) -> bool:
        """Whether it is the best of its column."""
        return self.standing == 1


class Table(NamedTuple):
    """The groups of columns with how many each has, the heads with whether they are of numbers, and lines of cells."""

    groups: list[tuple[str, int]]
    heads: list[tuple[str, bool]]
    lines: list[list[Cell]]


def page(told: Report, charts: Iterable[Chart]) -> str:
    """The page, as HTML."""
    from jinja2 import Environment, StrictUndefined

    template = Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        told=told,
        overview=_table(told, told.overview, brief),
        everything=_table(told, told.heads, cell),
        meanings=[(name, _meaning(m)) for m, name in told.overview.items()],
        charts=charts,
        galleries=_galleries(told),
        unseen=max(0, len(told.rows) - MOST_PICTURES),
        differences=_differences(told),
        diagnoses=[(_called(row, told), texts) for row in told.rows if (texts := _diagnoses(row))],
    )


def _table(told: Report, heads: dict[Measure, str], words: Callable[[Value | None], str]) -> Table:
    kept = [(head, all(v == "" or is_number(v) for v in values)) for head, values in told.kept]
    groups = [(group, len([*some])) for group, some in groupby(heads, lambda m: m.group)]
    lines = []
    for i, row in enumerate(told.rows):
        line = [Cell(short(v), v if is_number(v) else short(v)) for v in (values[i] for _, values in told.kept)]
        for m in heads:
            value = row.cells.get(m)
            line.append(Cell(words(value), "" if value is None else value.mean, told.standings.get((i, m)), cell(value)))
        lines.append(line)
    return Table([("", len(kept)), *groups], [*kept, *((head, True) for head in heads.values())], lines)


def _meaning(measure: Measure) -> str:
    """What a measure is, in what unit, and what it was measured on."""
    from .card import measures

    known = measures().get(measure.name) if measure.group not in PARTS else None  # a term may be called like a measure
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
            values.setdefault(short(row.settings[name]) if name in row.settings else "has none", []).append(row.kind[0])
        found.append((name, [(value, ", ".join(dict.fromkeys(models))) for value, models in values.items()]))
    return found


def _diagnoses(row: Row) -> list[str]:
    """What was diagnosed of the runs, each text once, with how many seeds it is of where that is not all."""
    texts = [text for run in row.runs for text in dict.fromkeys(run.diagnosis)]
    return [f"{t} (of {texts.count(t)} of {len(row.runs)} seeds)" if texts.count(t) < len(row.runs) else t for t in dict.fromkeys(texts)]


def _galleries(told: Report) -> list[tuple[str, list[tuple[str, str]]]]:
    """By kind of picture, those of the first run of each row that has one."""
    found = []
    for name in PICTURES:
        shown = [(_called(row, told), _picture(row.runs[0].path / f"{name}.png")) for row in told.rows[:MOST_PICTURES]]
        shown = [(caption, source) for caption, source in shown if source]
        if shown:
            found.append((name, shown))
    return found


def _picture(path: Path, width: int = 520) -> str:
    """A picture at a moderate size as an address of itself; nothing if it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.width * image.height > LARGEST:
                return ""
            image = image.convert("RGB")
            image.thumbnail((width, 4 * width))
            out = io.BytesIO()
            image.save(out, "jpeg", quality=85)
            whole = io.BytesIO()
            image.save(whole, "png", optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    kind, content = min(("jpeg", out.getvalue()), ("png", whole.getvalue()), key=lambda kept: len(kept[1]))
    return _inline(f"image/{kind}", content)


def _inline(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

"""`genbench report`: a set of runs as a table, as charts and as one page that needs nothing else.

In the folder that was given, or of several in a new one:
    report.html             the page
    report.csv, report.md   the table, with every setting and number
    report_NAME.svg         the charts
"""

import base64
import csv
import html
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.table import Column, Table
from rich.text import Text

from .console import Patient, number, say
from .errors import UserError, report
from .files import CannotWrite, write
from .record import quoted
from .results import (
    Measure,
    Result,
    Row,
    Trouble,
    Value,
    averaged,
    best,
    called,
    differing,
    gathered,
    is_number,
    labels,
    ranked,
    short,
    slug,
    telling,
    troubles,
)
from .settings import GROUPS, Catalogue, written

OPTION = "report.dir"
ARROWS = {"lower": " ↓", "higher": " ↑"}
AT_FIRST = 10  # columns of numbers that the page shows before it is asked for all
MOST_PICTURES, LARGEST = 60, 40_000_000  # settings with pictures in the page, and pixels of a picture that is read
WIDE = 800  # pixels from which a chart scrolls on a phone rather than shrinks
PICTURES = ("samples", "reconstructions")


class Report(NamedTuple):
    """What there is to tell of some runs: the rows of their table, its columns, what is best, and what is missing."""

    rows: list[Row]
    settings: list[str]  # that tell the rows apart
    measures: list[Measure]
    names: dict[Measure, str]
    best: set[tuple[int, Measure]]
    missing: list[Trouble]
    found: list[Result]

    @property
    def title(self) -> str:
        """Models and data in words."""
        models, data = ([*dict.fromkeys(run.kind[i] for run in self.found)] for i in (0, 1))
        return f"{', '.join(models)} on {', '.join(data)}" if models else "no finished runs"

    @property
    def counts(self) -> str:
        """How many runs there are, in words."""
        done = sum(len(row.runs) for row in self.rows)
        seeds = sorted({len(row.runs) for row in self.rows})
        of = f" of {'-'.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds each" if seeds and seeds[-1] > 1 else ""
        rows = f"{len(self.rows)} setting{'s' * (len(self.rows) != 1)}{of}"
        return f"{done} run{'s' * (done != 1)} in {rows}" + f"; {len(self.missing)} without results" * bool(self.missing)

    @property
    def kept(self) -> list[tuple[str, list]]:
        """The columns that tell the rows apart: their header, and a value for each row."""
        kinds = [(name, [row.kind[i] for row in self.rows]) for i, name in enumerate(GROUPS)]
        kinds = kinds[:1] + [(name, values) for name, values in kinds[1:] if len(set(values)) > 1]
        settings = [(name, [row.settings.get(name, "") for row in self.rows]) for name in self.settings]
        seeds = [("seeds", [len(row.runs) for row in self.rows])]
        return [*kinds, *settings, *seeds * any(len(row.runs) > 1 for row in self.rows)]

    @property
    def note(self) -> str:
        """How to read a number."""
        cells = [value for row in self.rows for value in row.cells.values()]
        several = "±: 95 % by Student's t over the seeds. " * any(value.seeds > 1 for value in cells)
        several += "[ ]: the interval that a run has measured. " * any(value.seeds == 1 and value.low is not None for value in cells)
        marked = "* and bold: the best on the same data, where it is known which direction is better (↓ lower, ↑ higher). "
        return (several + marked * bool(self.best)).strip()


def main(words: list[str], catalogue: Catalogue) -> int:
    """Report on the runs in the folders that the words name; returns the exit status. UserError where there are none."""
    paths, target = [], None
    for word in words:
        name, equals, value = word.partition("=")
        if name == OPTION and equals:
            target = Path(value)
        elif not Path(word).is_dir():
            raise UserError("report", "no such folder", word, f"give folders of runs or sweeps, and {OPTION}=FOLDER for the report")
        else:
            paths.append(Path(word))
    if not paths:
        raise UserError("report", "needs the folders of runs or sweeps", fix="genbench report outputs")
    told = read(paths, catalogue)
    if not told.found and not told.missing:
        raise UserError(quoted(paths[0]), "holds no runs", fix="give folders of runs or sweeps, such as outputs")
    usual = Path("outputs", f"{datetime.now():%Y-%m-%d_%H-%M-%S.%f}_report")
    target = target or (paths[0] if len(paths) == 1 else usual)
    leave(told, target)
    return 0


def write_report(folder: Path, catalogue: Catalogue) -> None:
    """Report on the runs below a folder, in it. A sweep, whose runs are on record, goes on where there is no room."""
    try:
        leave(read([folder], catalogue), folder)
    except CannotWrite as error:
        report(error)


def read(paths: Iterable[Path], catalogue: Catalogue) -> Report:
    """What there is to tell of the runs in and below some folders."""
    found, lost = gathered(paths, catalogue)
    rows = averaged(found)
    measures = ranked(rows)
    return Report(rows, telling(rows), measures, labels(measures), best(rows), troubles(found, lost), found)


def leave(told: Report, folder: Path) -> None:
    """Write all files of a report, and tell it on the terminal."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(str(folder), f"cannot be written: {error.strerror}", fix=f"choose another {OPTION}=FOLDER") from error
    from .charts import charts  # which takes torch

    drawn = {slug(name): sheet for name, sheet in charts(told.rows, told.found)}
    pictures = {name: sheet.svg() for name, sheet in drawn.items()}
    for name, content in pictures.items():
        write(folder / f"report_{name}.svg", content)
    write(folder / "report.csv", as_csv(told).encode())
    write(folder / "report.md", as_markdown(told).encode())
    charted = [(_inline("image/svg+xml", content), drawn[name].said, drawn[name].width > WIDE) for name, content in pictures.items()]
    write(folder / "report.html", page(told, charted).encode())
    show(told)
    say(f"report: {quoted(folder / 'report.html')}")


# --- as a table -----------------------------------------------------------------------------------------------


def as_csv(told: Report) -> str:
    """Every setting that differs and every number as it is, with the ends of its interval."""
    settings = differing(told.rows)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    ends = [f"{told.names[m]}{end}" for m in told.measures for end in ("", " low", " high")]
    lines.writerow(["model", "dataset", *settings, "seeds", *ends, "best", "runs"])
    for i, row in enumerate(told.rows):
        cells = [row.cells.get(m) for m in told.measures]
        values = [value for cell in cells for value in (cell[:3] if cell else (None,) * 3)]
        top = "; ".join(told.names[m] for m in told.measures if (i, m) in told.best)
        kept = [written(row.settings[s]) if s in row.settings else "" for s in settings]
        lines.writerow([*row.kind, *kept, len(row.runs), *values, top, " ".join(run.folder for run in row.runs)])
    return text.getvalue()


def as_markdown(told: Report) -> str:
    """The same for readers, with what is missing."""
    settings = differing(told.rows)
    lines = [f"# {_marked_down(told.title)}", "", f"{told.counts}. {told.note}".strip()]
    if told.rows:
        heads = ["model", "dataset", *settings, "seeds", *(heading(told, m) for m in told.measures)]
        lines += ["", *_rule(heads, 3 + len(settings))]
        for i, row in enumerate(told.rows):
            kept = [short(row.settings[s]) if s in row.settings else "" for s in settings]
            cells = [cell(row.cells.get(m)) for m in told.measures]
            cells = [f"**{_marked_down(c)}**" if (i, m) in told.best else _marked_down(c) for c, m in zip(cells, told.measures)]
            lines.append(_joined([*map(_marked_down, [*row.kind, *kept, str(len(row.runs))]), *cells]))
    if told.missing:
        lines += ["", "## Runs without results", "", *_rule(["run", "state", "reason"], 3)]
        lines += [_joined(map(_marked_down, trouble)) for trouble in told.missing]
    return "\n".join(lines) + "\n"


def _rule(heads: list[str], left: int) -> list[str]:
    return [_joined(map(_marked_down, heads)), _joined(["---" if i < left else "---:" for i in range(len(heads))])]


def _joined(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked_down(text: str) -> str:
    for sign in "\\`*_[]|~":
        text = text.replace(sign, f"\\{sign}")
    return html.escape(text, quote=False)


def heading(told: Report, measure: Measure) -> str:
    """The header of a column: what it is of, in what unit, and which direction is better."""
    return told.names[measure] + f" [{measure.unit}]" * bool(measure.unit) + ARROWS.get(measure.better, "")


def cell(value: Value | None) -> str:
    """A number in words, with how far its interval reaches, or where it ends."""
    if value is None:
        return ""
    if value.low is None or value.high is None:
        return number(value.mean)
    if value.seeds > 1:
        return f"{number(value.mean)} ± {value.high - value.mean:.2g}"
    return f"{number(value.mean)} [{value.low:.3g}, {value.high:.3g}]"


def show(told: Report) -> None:
    """The table on the terminal with as many columns as there is room for, and the runs without results."""
    console = Patient(highlight=False)
    if told.rows:
        kept = [(head, [short(v) for v in values]) for head, values in told.kept]
        columns = [*kept, *_fitting(told, console.width - sum(map(_width, kept)))]
        table = Table(*(Column(Text(head), overflow="fold") for head, _ in columns), box=box.SIMPLE_HEAD, title_justify="left")
        for line in zip(*(cells for _, cells in columns)):
            table.add_row(*(c if isinstance(c, Text) else Text(c) for c in line))
        console.print(table)
        say(f"{told.counts}; {told.note}".rstrip("; "))
    if told.missing:
        table = Table(*(Column(head, overflow="fold") for head in ("run without results", "state", "reason")), box=box.SIMPLE_HEAD)
        for trouble in told.missing:
            table.add_row(*map(Text, trouble))
        console.print(table)


def _fitting(told: Report, room: int) -> Iterator[tuple[str, list[Text]]]:
    """Columns of numbers that differ, in order, as long as there is room; all of the first."""
    for measure in told.measures:
        cells = [Text(cell(row.cells.get(measure))) for row in told.rows]
        if len({c.plain for c in cells}) == 1 and len(cells) > 1:
            continue
        for i, text in enumerate(cells):
            if (i, measure) in told.best:
                text.append(" *").stylize("bold green")
        column = heading(told, measure), cells
        room -= _width(column)
        if room < 0:
            return
        yield column


def _width(column: tuple[str, list]) -> int:
    """How wide a column is, a long header folded."""
    head, cells = column
    return 3 + max(*(len(c.plain if isinstance(c, Text) else c) for c in cells), min(len(head), 16), *map(len, head.split()))


# --- as a page ------------------------------------------------------------------------------------------------


def page(told: Report, charted: list[tuple[str, str, bool]]) -> str:
    """One self-contained page: whatever a run's files hold is text in it, never markup.

    Of each chart, its address, what it shows in words and whether it is wide.
    """
    from jinja2 import Environment, StrictUndefined

    template = Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    several = [m for m in told.measures if len({cell(row.cells.get(m)) for row in told.rows}) > 1 or len(told.rows) == 1]
    return environment.from_string(template).render(
        told=told,
        tables=[("The runs", _table(told, several[:AT_FIRST]))] if told.rows else [],
        everything=_table(told, told.measures) if len(told.measures) > len(several[:AT_FIRST]) else None,
        charts=charted,
        galleries=_galleries(told),
        unseen=max(0, len(told.rows) - MOST_PICTURES),
        differences=_differences(told),
        diagnoses=[(_called(row, told), texts) for row in told.rows if (texts := _diagnoses(row))],
    )


def _table(told: Report, measures: list[Measure]) -> dict:
    """Heads, and lines of cells: the text, what it is sorted by, whether it is the best."""
    heads = [(head, all(v == "" or is_number(v) for v in values)) for head, values in told.kept] + [
        (heading(told, m), True) for m in measures
    ]
    lines = []
    for i, row in enumerate(told.rows):
        line = [(short(v), v if is_number(v) else short(v), False) for v in (values[i] for _, values in told.kept)]
        values = [row.cells.get(m) for m in measures]
        line += [(cell(v), "" if v is None else v.mean, (i, m) in told.best) for v, m in zip(values, measures)]
        lines.append(line)
    return {"heads": heads, "lines": lines}


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

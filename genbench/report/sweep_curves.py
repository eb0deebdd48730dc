"""Choosing a setting: a model's criterion against each number that a sweep has tried, read from the files of its runs."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genbench.config.registry import Registry
from genbench.config.settings import written
from genbench.figures.canvas import Canvas, Page, png, unmathed
from genbench.figures.plots import Line, against
from genbench.report.load import Result, is_number, is_seed, results, slug
from genbench.report.table import on_log
from genbench.runs.directory import SPLITS
from genbench.utils.console import echo
from genbench.utils.errors import report
from genbench.utils.files import CannotWrite, write
from genbench.utils.text import number, quoted

MOST_LINES = 8  # in one picture
Points = dict[
    float, dict[str, Result]
]  # runs by the value of the setting that varies, then by their seeds


class Curve(NamedTuple):
    """The criterion of one model on one dataset against one setting, with a line for every choice of the others."""

    title: str
    file: str  # without its ending
    criterion: str
    setting: str
    log: bool  # how the setting's axis is spaced
    inside: bool  # whether the criterion contains the setting, so that its values do not compare
    seeds: tuple[int, int]  # how many a point is the mean of, at least and at most
    lines: list[Line]
    left_out: list[str]  # folders of runs that are not done

    @property
    def counted(self) -> str:
        """How many seeds, in words."""
        fewest, most = self.seeds
        return f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"

    @property
    def shown(self) -> list[Line]:
        """As many lines as one can tell apart: those that get lowest."""
        lowest = sorted(self.lines, key=lambda line: line.parts[line.judged][:, 0].min())
        limit = {id(line) for line in lowest[:MOST_LINES]}
        return [line for line in self.lines if id(line) in limit]


def draw_curves(folder: Path, registry: Registry) -> None:
    """Draw and tell every curve that the runs below a folder make: a picture, and its numbers beside it."""
    for curve in curves(results(folder, registry)):
        picture = folder / f"{curve.file}.png"
        try:
            write(picture, png(drawn(curve).picture()))
            write(picture.with_suffix(".csv"), table(curve).encode())
        except CannotWrite as error:  # metrics.json of each run has its numbers
            report(error)
            return
        tell(curve)
        echo(f"curve: {quoted(picture)}")


# --- from runs to lines ---------------------------------------------------------------------------------------


def curves(found: list[Result]) -> Iterator[Curve]:
    """A curve for each number that was swept, by model, dataset and criterion: what else differs has another unit."""
    done = [r for r in found if r.values]
    for kind, criterion in dict.fromkeys((r.kind, r.criterion) for r in done):
        group = [r for r in done if (r.kind, r.criterion) == (kind, criterion)]
        left_out = [r.folder for r in found if r.kind == kind and not r.values]
        shared = [
            part
            for part in group[0].title.split(", ")
            if all(part in r.title.split(", ") for r in group)
        ]
        swept = [
            name
            for name in group[0].settings
            if not is_seed(name) and len({written(r.settings[name]) for r in group}) > 1
        ]
        for setting in swept:
            tried = sorted({r.settings[setting] for r in group if is_number(r.settings[setting])})
            log, inside = on_log(tried), any(setting in r.inside for r in group)
            points = _points(group, setting, [name for name in swept if name != setting])
            if points:
                lines = [_line(name, at, log, marked=not inside) for name, at in points.items()]
                counts = [len(by_seed) for at in points.values() for by_seed in at.values()]
                file = slug(f"{criterion}_against_{setting}_{kind[0]}_on_{kind[1]}")
                seeds = (min(counts), max(counts))
                yield Curve(
                    ", ".join(shared), file, criterion, setting, log, inside, seeds, lines, left_out
                )


def _points(group: Iterable[Result], setting: str, others: list[str]) -> dict[str, Points]:
    """By the choice of the other settings, in words, the runs that make a line: two points or more."""
    found: dict[str, Points] = {}
    for r in group:
        if is_number(r.settings[setting]):
            name = ", ".join(f"{other}={written(r.settings[other])}" for other in others)
            seeds = " ".join(
                written(value) for key, value in r.settings.items() if is_seed(key)
            )  # a repeated run counts once
            found.setdefault(name, {}).setdefault(r.settings[setting], {})[seeds] = r
    return {name: points for name, points in found.items() if len(points) > 1}


def _line(name: str, points: Points, log: bool, marked: bool) -> Line:
    """Means and ranges over the seeds, on the parts of the data that all runs were measured on."""
    x = np.array(sorted(points))
    runs = [[r.values for r in points[value].values()] for value in x.tolist()]
    parts = {}
    for part in SPLITS:
        if all(part in values for at in runs for values in at):
            values = [[values[part] for values in at] for at in runs]
            parts[part] = np.array([(sum(v) / len(v), min(v), max(v)) for v in values])
    judged = "validation" if "validation" in parts else next(iter(parts))
    at, word = mark(x, parts[judged][:, 0], log) if marked else (None, "")
    return Line(name, x, parts, judged, at, word)


# --- what a line says -----------------------------------------------------------------------------------------


def mark(x: np.ndarray, y: np.ndarray, log: bool) -> tuple[int | None, str]:
    """The point to look at, and a word for it: the least or, where that is the last one tried, the elbow."""
    least = int(y.argmin())
    if y.max() == y.min():
        return None, ""
    if least < len(y) - 1:
        return least, "least"
    at = elbow(np.log(x) if log else x, y)
    return at, "" if at is None else "elbow"


def elbow(x: np.ndarray, y: np.ndarray, shallowest: float = 0.1) -> int | None:
    """The point of a curve with a lower end that is farthest below the chord between its ends (Satopaa et al. 2011).

    x as the axis shows it: on another scale, another point may be farthest. With both axes running from 0 to 1 between
    the ends, a curve that stays within `shallowest` of its chord is as good as straight: None, as of two points.
    """
    if len(x) < 3:
        return None
    depth = 1 - (x - x[0]) / (x[-1] - x[0]) - (y - y[-1]) / (y[0] - y[-1])
    at = int(depth.argmax())
    return at if depth[at] >= shallowest else None


def sentence(curve: Curve, line: Line) -> str:
    """What a line's marked point is, and how it does on the test data; else whether the line falls to its end."""
    if line.at is None:
        ends = (
            len(line.x) > 2
            and not curve.inside
            and line.parts[line.judged][:, 0].argmin() == len(line.x) - 1
        )
        return (
            f"{line.judged} {curve.criterion} still falls at {curve.setting}={line.x[-1]:g}, the largest tried"
            if ends
            else ""
        )
    values = {part: number(float(band[line.at, 0])) for part, band in line.parts.items()}
    what = "least" if line.word == "least" else f"{line.word} of the falling"
    edge = ", the smallest tried" if line.at == 0 else ""
    said = f"{what} {line.judged} {curve.criterion} at {curve.setting}={line.x[line.at]:g}{edge}: {values[line.judged]}"
    return said + (f"; test {curve.criterion} there: {values['test']}" if "test" in values else "")


def drawn(curve: Curve) -> Canvas:
    """The curve as a picture."""
    return against(
        curve.shown,
        curve.setting,
        curve.criterion,
        curve.log,
        Page(curve.title, unmathed(note(curve))),
    )


def note(curve: Curve) -> str:
    """What the picture shows, and what it lacks."""
    lines = curve.shown
    words = " or ".join(dict.fromkeys(line.word for line in lines if line.word))
    parts = [
        sentence(curve, lines[0])
        if len(lines) == 1
        else f"ringed: the {words} of each {lines[0].judged} curve" * bool(words),
        f"the {curve.criterion} itself contains {curve.setting}, so its height does not tell the best"
        * curve.inside,
        f"mean and range over {curve.counted}" * (curve.seeds[1] > 1),
        f"the {len(lines)} of {len(curve.lines)} lines that get lowest"
        * (len(lines) < len(curve.lines)),
        f"runs that are not done and left out: {len(curve.left_out)}" * bool(curve.left_out),
    ]
    return "; ".join(part for part in parts if part) or "after training"


def table(curve: Curve) -> str:
    """All lines of a curve, drawn or not, as comma-separated values."""
    parts = [part for part in SPLITS if any(part in line.parts for line in curve.lines)]
    columns = [f"{part}{kind}" for part in parts for kind in ("", "_min", "_max")]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["settings", curve.setting, *columns, "marked"])
    for line in curve.lines:
        bands = [line.parts.get(part, np.full((len(line.x), 3), None)) for part in parts]
        for i, x in enumerate(line.x):
            rows.writerow(
                [
                    line.name,
                    x,
                    *np.concatenate([band[i] for band in bands]),
                    line.word * (i == line.at),
                ]
            )
    return text.getvalue()


def tell(curve: Curve) -> None:
    """What is marked in the curve's lines, and which runs it lacks; its numbers are in the file beside the picture."""
    for line in curve.shown:
        said = sentence(curve, line)
        if said:
            echo(f"{line.name}: {said}" if line.name else said)
    if curve.left_out:
        echo(f"left out, as they are not done: {', '.join(curve.left_out)}")

"""Choosing a setting: a model's criterion against each number that a sweep has tried."""

import csv
import io
import math
from pathlib import Path

import numpy as np

from genbench.config.registry import Registry
from genbench.figures.canvas import Canvas, Page, unmathed
from genbench.figures.curves import Line, against
from genbench.figures.files import png
from genbench.report.data_names import with_data_named
from genbench.report.load import gathered
from genbench.report.own_files import write_own
from genbench.report.sweep_lines import Curve, NamedValue, curves
from genbench.report.words import listed
from genbench.runs.directory import SPLITS
from genbench.utils.console import echo
from genbench.utils.errors import UserError, report
from genbench.utils.text import number, quoted


def draw_curves(folder: Path, registry: Registry) -> None:
    """Draw every curve that the runs below a folder make, and print what each shows.

    Each is a picture and a table of its numbers.
    """
    for curve in curves(with_data_named(gathered([folder], registry)[0])):
        files = {
            f"{curve.file}.png": png(curve_picture(curve).picture()),
            f"{curve.file}.csv": table(curve).encode(),
        }
        try:
            write_own(folder, files)
        except UserError as error:  # metrics.json of each run has its numbers
            report(error)
            return
        show_curve(curve)
        echo(f"curve: {quoted(folder / f'{curve.file}.png')}")


# --- from runs to lines ---------------------------------------------------------------------------


# --- what a line says -----------------------------------------------------------------------------


def sentence(curve: Curve, line: Line) -> str:
    """What the marked point of a line is, with its value on test data, and which values of the
    setting are not on the line.

    Of a line without a marked point, whether it falls up to its end; else nothing.
    """
    return "; ".join(filter(None, [_marked(curve, line), _off_axis(curve, line)]))


def _marked(curve: Curve, line: Line) -> str:
    if line.at is None:
        falls = line.parts[line.judged][:, 0].argmin() == len(line.x) - 1
        if curve.inside or len(line.x) < 3 or not falls:
            return ""
        last = f"{curve.setting}={line.x[-1]:g}, the largest tried"
        return f"{line.judged} {curve.criterion} still falls at {last}"
    values = {part: number(float(band[line.at, 0])) for part, band in line.parts.items()}
    what = "least" if line.word == "least" else f"{line.word} of the falling"
    at = f"{curve.setting}={line.x[line.at]:g}{_edge(curve, line, line.at)}"
    text = f"{what} {line.judged} {curve.criterion} at {at}: {values[line.judged]}"
    if "test" in values:
        text += f"; test {curve.criterion} there: {values['test']}"
    return text


def _edge(curve: Curve, line: Line, at: int) -> str:
    """That the least value is at an end of the range that was tried, so that others may be less.

    Where a value off the axis is better, it is the one to use, not another number.
    """
    if any(_is_better(value, line) for value in curve.named[line.name]):
        return " (of the numbers)"
    if line.word != "least":
        return ""
    if at == 0:
        return " (the smallest tried: try smaller ones)"
    return " (the largest tried: try larger ones)" if at == len(line.x) - 1 else ""


def _off_axis(curve: Curve, line: Line) -> str:
    """The values of the setting that are no numbers, each with its criterion where that compares:
    bandwidth=loo (-29.5, which is better).
    """
    words = []
    for value in curve.named[line.name]:
        text = f"{curve.setting}={value.word}"
        if not curve.inside and math.isfinite(value.criterion):
            better = ", which is better" if _is_better(value, line) else ""
            text += f" ({number(value.criterion)}{better})"
        words.append(text)
    return f"not on the curve: {listed(words)}" if words else ""


def _is_better(value: NamedValue, line: Line) -> bool:
    return value.criterion < line.parts[line.judged][:, 0].min()


def curve_picture(curve: Curve) -> Canvas:
    """The curve as a picture."""
    page = Page(curve.title, unmathed(note(curve)))
    return against(curve.shown, curve.setting, curve.criterion, curve.log, page)


def note(curve: Curve) -> str:
    """What the picture shows, and what it lacks."""
    lines = curve.shown
    words = " or ".join(dict.fromkeys(line.word for line in lines if line.word))
    parts = [sentence(curve, lines[0])] if len(lines) == 1 else []
    if len(lines) > 1 and words:
        parts.append(f"ringed: the {words} of each {lines[0].judged} curve")
    if len(lines) > 1 and (off_axis := _all_off_axis(curve)):
        parts.append(f"not on the curves: {listed(off_axis)}")
    if curve.inside:
        contains = f"the {curve.criterion} itself contains {curve.setting}"
        parts.append(f"{contains}, so its height does not say which is best")
    if curve.seeds[1] > 1:
        parts.append(f"mean and range over {curve.counted}")
    if len(lines) < len(curve.lines):
        parts.append(f"the {len(lines)} of {len(curve.lines)} lines that get lowest")
    if curve.left_out:
        parts.append(f"runs that are not done and left out: {len(curve.left_out)}")
    return "; ".join(part for part in parts if part) or "after training"


def _all_off_axis(curve: Curve) -> list[str]:
    named = [value.word for values in curve.named.values() for value in values]
    return [f"{curve.setting}={word}" for word in dict.fromkeys(named)]


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
            word = line.word if i == line.at else ""
            rows.writerow([line.name, x, *np.concatenate([band[i] for band in bands]), word])
    return text.getvalue()


def show_curve(curve: Curve) -> None:
    """Print what is marked in the curve's lines, and which runs it lacks."""
    for line in curve.shown:
        text = sentence(curve, line)
        if text:
            echo(f"{line.name}: {text}" if line.name else text)
    if curve.left_out:
        echo(f"left out, as they are not done: {', '.join(curve.left_out)}")

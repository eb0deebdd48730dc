"""Choosing a setting: a model's criterion against each number that a sweep has tried."""

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from genbench.config.registry import Registry
from genbench.figures.canvas import Canvas, Page, unmathed
from genbench.figures.curves import Line, against
from genbench.figures.files import png
from genbench.report.data_names import with_data_named
from genbench.report.load import SEED, RunResult, gathered
from genbench.report.own_files import write_own
from genbench.report.words import is_number, on_log, slug
from genbench.runs.directory import SPLITS
from genbench.settings.setting import written
from genbench.utils.console import echo
from genbench.utils.errors import UserError, report
from genbench.utils.text import number, quoted

MOST_CURVES = 8  # in one picture
# Settings for the size of a model, and criteria that fall with it by construction, on held-out
# data as well: their minimum chooses nothing, so an elbow is looked for.
SIZES, ERRORS = ("n_components", "latent_dim"), ("inertia", "squared_error")


@dataclass(frozen=True)
class Curve:
    """The criterion of one model on one dataset against one setting.

    There is a line for every choice of the other settings. `log` says how the axis of the setting
    is spaced, `inside` that the criterion contains the setting, so that its values do not compare.
    `seeds` is how many a point is the mean of, at least and at most.
    """

    title: str
    file: str  # without its ending
    criterion: str
    setting: str
    log: bool
    inside: bool
    seeds: tuple[int, int]
    lines: list[Line]
    left_out: list[str]  # folders of runs that are not done

    @property
    def counted(self) -> str:
        """How many seeds, in words."""
        fewest, most = self.seeds
        return f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"

    @property
    def shown(self) -> list[Line]:
        """As many lines as a reader can distinguish: those with the lowest minimum."""
        lowest = sorted(self.lines, key=lambda line: line.parts[line.judged][:, 0].min())
        limit = {id(line) for line in lowest[:MOST_CURVES]}
        return [line for line in self.lines if id(line) in limit]


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


def curves(runs: list[RunResult]) -> Iterator[Curve]:
    """A curve for each number that was swept, by model, dataset and criterion.

    Another criterion has another unit.
    """
    done = [run for run in runs if run.metrics.criterion_values]
    kinds = [(run.model, run.dataset, run.metrics.criterion) for run in done]
    for kind in dict.fromkeys(kinds):
        group = [run for run, own in zip(done, kinds, strict=True) if own == kind]
        left_out = [
            run.folder
            for run in runs
            if (run.model, run.dataset) == kind[:2] and not run.metrics.criterion_values
        ]
        yield from _curves_of(group, left_out)


def _curves_of(group: list[RunResult], left_out: list[str]) -> Iterator[Curve]:
    """The curves of runs with one model, dataset and criterion."""
    first = group[0]
    settings = pd.DataFrame([{n: written(v) for n, v in r.settings.items()} for r in group])
    counts = settings.drop(columns=SEED, errors="ignore").nunique()
    swept = [name for name in counts.index[counts > 1] if name in first.settings]
    titles = [run.title.split(", ") for run in group]
    shared = [part for part in titles[0] if all(part in title for title in titles)]
    for setting in swept:
        values = [run.settings.get(setting) for run in group]
        x = [float(value) if is_number(value) else math.nan for value in values]
        log = on_log(value for value in x if not math.isnan(value))
        inside = any(setting in run.metrics.criterion_settings for run in group)
        others = [name for name in swept if name != setting]
        words = [
            ", ".join(f"{n}={w}" for n, w in line.items() if isinstance(w, str))
            for line in settings[others].to_dict("records")
        ]
        points = pd.DataFrame(
            {
                "run": group,
                "line": words,
                "x": x,
                "seed": [run.seed for run in group],
            }
        ).dropna(subset="x")
        points = points.drop_duplicates(["line", "x", "seed"], keep="last")  # a run made twice
        several = points.groupby("line")["x"].transform("nunique") > 1
        points = points[several]
        if points.empty:
            continue
        falls = _falls_by_construction(first, setting)
        lines = [
            _line(str(name), at, log, marked=not inside, falls=falls)
            for name, at in points.groupby("line", sort=False)
        ]
        seeds = points.groupby(["line", "x"]).size()
        criterion = str(first.metrics.criterion)
        yield Curve(
            title=", ".join(shared),
            file=slug(f"{criterion}_against_{setting}_{first.model}_on_{first.dataset}"),
            criterion=criterion,
            setting=setting,
            log=log,
            inside=inside,
            seeds=(int(seeds.min()), int(seeds.max())),
            lines=lines,
            left_out=left_out,
        )


def _falls_by_construction(run: RunResult, setting: str) -> bool:
    """Whether the criterion falls with this setting in any case, as an error does with the size.

    A likelihood does not, nor does a bound on one: too large a model has a worse one.
    """
    if setting not in SIZES:
        return False
    capabilities = run.metrics.capabilities
    is_error = capabilities is not None and "log_prob" not in capabilities
    return is_error or run.metrics.criterion in ERRORS


def _line(name: str, points: pd.DataFrame, log: bool, *, marked: bool, falls: bool) -> Line:
    """Means and ranges over the seeds, on the parts of the data that all runs have."""
    values = pd.DataFrame([run.metrics.criterion_values for run in points["run"]])
    values = values.dropna(axis="columns").assign(x=points["x"].to_numpy())
    bands = values.groupby("x").agg(["mean", "min", "max"])
    x = bands.index.to_numpy()
    x = x.astype(int) if all(float(value).is_integer() for value in x) else x
    parts = {part: bands[part].to_numpy() for part in SPLITS if part in values}
    judged = "validation" if "validation" in parts else next(iter(parts))
    at, word = mark(x, parts[judged][:, 0], log, falls) if marked else (None, "")
    return Line(name, x, parts, judged, at, word)


# --- what a line says -----------------------------------------------------------------------------


def mark(x: np.ndarray, y: np.ndarray, log: bool, falls: bool) -> tuple[int | None, str]:
    """The point to look at and a word for it: the least value.

    Of a curve that `falls` by construction, and so has its least value at the end, the elbow.
    """
    least = int(y.argmin())
    if y.max() == y.min():
        return None, ""
    if least < len(y) - 1 or not falls:
        return least, "least"
    at = elbow(np.log(x) if log else x, y)
    return at, "" if at is None else "elbow"


def elbow(x: np.ndarray, y: np.ndarray, shallowest: float = 0.1) -> int | None:
    """The point of a falling curve farthest below the chord between its ends (Satopaa et al. 2011).

    x [n] is as the axis shows it, as on another scale another point may be farthest. Both axes run
    from 0 to 1 between the ends; a curve that stays within `shallowest` of its chord counts as
    straight and gives None, as do two points.
    """
    if len(x) < 3:
        return None
    depth = 1 - (x - x[0]) / (x[-1] - x[0]) - (y - y[-1]) / (y[0] - y[-1])
    at = int(depth.argmax())
    return at if depth[at] >= shallowest else None


def sentence(curve: Curve, line: Line) -> str:
    """What the marked point of a line is, with its value on test data.

    Of a line without one, whether it falls up to its end; else nothing.
    """
    if line.at is None:
        falls = line.parts[line.judged][:, 0].argmin() == len(line.x) - 1
        if curve.inside or len(line.x) < 3 or not falls:
            return ""
        last = f"{curve.setting}={line.x[-1]:g}, the largest tried"
        return f"{line.judged} {curve.criterion} still falls at {last}"
    values = {part: number(float(band[line.at, 0])) for part, band in line.parts.items()}
    what = "least" if line.word == "least" else f"{line.word} of the falling"
    at = f"{curve.setting}={line.x[line.at]:g}{_edge(line, line.at)}"
    text = f"{what} {line.judged} {curve.criterion} at {at}: {values[line.judged]}"
    if "test" in values:
        text += f"; test {curve.criterion} there: {values['test']}"
    return text


def _edge(line: Line, at: int) -> str:
    """That the least value is at an end of the range that was tried, so that others may be less."""
    if line.word != "least":
        return ""
    if at == 0:
        return " (the smallest tried: try smaller ones)"
    return " (the largest tried: try larger ones)" if at == len(line.x) - 1 else ""


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

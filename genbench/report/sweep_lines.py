"""From the runs of a sweep to lines: a model's criterion against each number that was tried."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from genbench.figures.curves import Line
from genbench.report.load import SEED, RunResult
from genbench.report.words import is_number, on_log, slug
from genbench.runs.directory import SPLITS
from genbench.settings.setting import written

MOST_CURVES = 8  # in one picture
# Settings for the size of a model, and criteria that fall with it by construction, on held-out
# data as well: their minimum chooses nothing, so an elbow is looked for.
SIZES, ERRORS = ("n_components", "latent_dim"), ("inertia", "squared_error")


@dataclass(frozen=True)
class NamedValue:
    """A value of the swept setting that is a word, as `loo`, and so has no place on the axis.

    `criterion` is the mean over the seeds on the part of the data that its line is judged by.
    """

    word: str
    criterion: float


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
    named: dict[str, list[NamedValue]]  # by the name of the line; the best first
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
        tried = pd.DataFrame(
            {
                "run": group,
                "line": words,
                "word": settings[setting],
                "x": x,
                "seed": [run.seed for run in group],
            }
        ).drop_duplicates(["line", "word", "seed"], keep="last")  # a run made twice
        points = tried.dropna(subset="x").drop_duplicates(["line", "x", "seed"], keep="last")
        off_axis = tried[tried["x"].isna()]
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
            named={
                line.name: _named_values(off_axis[off_axis["line"] == line.name], line.judged)
                for line in lines
            },
            left_out=left_out,
        )


def _named_values(points: pd.DataFrame, judged: str) -> list[NamedValue]:
    """The values without a place on the axis, those with the least criterion first."""
    found = []
    for word, of_word in points.groupby("word", sort=False):
        values = [run.metrics.criterion_values.get(judged, math.nan) for run in of_word["run"]]
        found.append(NamedValue(str(word), sum(values) / len(values)))
    return sorted(found, key=lambda value: (math.isnan(value.criterion), value.criterion))


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

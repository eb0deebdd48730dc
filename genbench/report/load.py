"""From folders to runs: the files of every run, and a list of those that cannot be read."""

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genbench.config.choice_files import GROUPS, PLACES
from genbench.config.registry import Registry
from genbench.config.saved import read_settings, recorded
from genbench.config.validation import ASIDE, known_settings, title
from genbench.config.values import flatten
from genbench.report.measured import RunMetrics, run_metrics
from genbench.report.words import printable
from genbench.runs.compatibility import LENGTH
from genbench.runs.directory import ENDED, Record, read_metrics, read_status
from genbench.runs.sweep_summary import SUMMARY, jobs
from genbench.settings.setting import written
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.files import Unreadable, read_json_or_empty, within
from genbench.utils.lock import is_locked
from genbench.utils.schema import STATUS
from genbench.utils.text import quoted

# Settings that names of runs leave out, but that can change the result.
IDENTIFYING = (*LENGTH, "device", "validate_every")
FILES = ("status.json", "config.yaml", SUMMARY)  # a folder that holds one has runs
SEED = (
    "seed"  # the setting that only chooses random numbers; another `dataset.seed` makes other data
)

Reasons = Mapping[Path, str]  # why runs failed, by folder


@dataclass(frozen=True, eq=False)
class RunResult:
    """A run as its files describe it. One that is not done has no metrics, and `reason` says why.

    `dataset` is the name of its data, with the folder or digest where there are others of that
    name. `settings` identify the run, and `own` are the names of those that are not at their
    defaults. `root` is the folder that the data came from, where somebody chose one, and
    `is_named_by_root` says that the dataset's name alone says nothing of the data, as with a user's
    own pictures. `folders` are the names of all runs that this one stands for.
    """

    path: Path
    folder: str
    model: str
    dataset: str
    title: str
    settings: dict[str, Any]
    own: frozenset[str]
    state: str
    reason: str
    root: str = ""
    is_named_by_root: bool = False
    metrics: RunMetrics = field(default_factory=RunMetrics)
    folders: tuple[str, ...] = ()

    @property
    def seed(self) -> str:
        """The seed in words, which distinguishes runs with the same settings."""
        return written(self.settings.get(SEED, ""))

    @property
    def fixed_settings(self) -> dict[str, Any]:
        """The settings without the seed."""
        return {name: value for name, value in self.settings.items() if name != SEED}

    @property
    def data_id(self) -> tuple[str, str]:
        """The digest of the data or, where it is not known, the folder that they came from."""
        return ("digest", self.metrics.digest) if self.metrics.digest else ("root", self.root)


@dataclass(frozen=True)
class FailedRun:
    """A run that has no numbers to compare, and why."""

    folder: str
    state: str
    reason: str


def gathered(
    folders: Iterable[Path], registry: Registry, reasons: Reasons | None = None
) -> tuple[list[RunResult], list[FailedRun]]:
    """The runs in and below some folders, each once, and those that cannot be read.

    Runs are in the order of their names; those of a sweep in the order in which it lists them.
    `reasons` are for runs whose files may not say that they failed: the disk may have been full.
    """
    found: dict[Path, RunResult] = {}
    lost: dict[Path, FailedRun] = {}
    for folder in folders:
        files = within(folder, FILES)
        summaries = sorted((file for file in files if file.name == SUMMARY), key=_natural)
        asked = {
            file.parent / job["directory"]: i
            for file in summaries
            for i, job in enumerate(jobs(file))
        }

        def place(path: Path, asked: dict[Path, int] = asked) -> tuple:
            return _natural(path.parent), asked.get(path, math.inf), _natural(path)

        for path in sorted({file.parent for file in files if file.name != SUMMARY}, key=place):
            signals.check()
            try:
                found.setdefault(path.resolve(), _read(path, registry))
            except (OSError, ValueError, LookupError) as error:  # UserError is a ValueError
                lost.setdefault(path.resolve(), _lost(path, error))
        for file in summaries:
            for failed in _not_begun(file, registry):
                lost.setdefault((file.parent / failed.folder).resolve(), failed)
    for folder, reason in (reasons or {}).items():
        path, reason = folder.resolve(), printable(reason)
        if path in found:
            found[path] = replace(found[path], state="failed", reason=reason)
        else:
            lost[path] = FailedRun(printable(folder.name), "failed", reason)
    return [*found.values()], list(lost.values())


def failed_runs(found: Iterable[RunResult], lost: Iterable[FailedRun]) -> list[FailedRun]:
    """All runs that lack their numbers: those that are not done, and those that cannot be read.

    Runs that a search has pruned lack none.
    """
    return [FailedRun(r.folder, r.state, r.reason) for r in found if r.state not in ENDED] + [*lost]


# --- one run --------------------------------------------------------------------------------------


def _read(folder: Path, registry: Registry) -> RunResult:
    """A run from its files. Raises UserError where one of them is lost or damaged."""
    status = printable(_named(read_status, folder))
    stored = _named(read_settings, folder)
    config = printable(stored)
    Record(folder, config).require_unchanged(stored)
    is_known = all(config[group]["name"] in registry.names(group) for group in GROUPS)
    if is_known:
        config = recorded(folder, registry, stored)
    model, dataset = (str(config[group]["name"]) for group in GROUPS)
    flat = flatten(config)
    defaults: dict[str, Any] = {}
    is_named_by_root = False
    named = f"{model} on {dataset}"  # a user's own model, without the --config-dir that knows it
    if is_known:
        known = known_settings(registry, model, dataset, flat)
        defaults = {name: setting.default for name, setting in known.items()}
        named = title(config, registry)
        is_named_by_root = any(name in known and known[name].required for name in PLACES)
    settings = {
        name: printable(value)
        for name, value in flat.items()
        if name in IDENTIFYING or name not in ASIDE
    }
    if flat.get("patience") is None:
        settings.pop("validate_every", None)  # it only has an effect on when to stop
    if flat.get("steps") is not None:
        settings.pop("epochs", None)  # it follows from the number of steps
    root = next((flat[name] for name in PLACES if flat.get(name)), "")
    run = RunResult(
        path=folder,
        folder=printable(folder.name),
        model=printable(model),
        dataset=printable(dataset),
        title=printable(named),
        settings=settings,
        own=frozenset(name for name in settings if flat[name] != defaults.get(name, flat[name])),
        state=Record(folder, config).state,
        reason=_reason(folder, status),
        root=printable(str(root)) if root not in map(defaults.get, PLACES) else "",
        is_named_by_root=is_named_by_root,
        folders=(printable(folder.name),),
    )
    return _with_metrics(run) if run.state == "done" else run


def _with_metrics(run: RunResult) -> RunResult:
    content = printable(_named(read_metrics, run.path))
    chosen = content.get("auto", {})
    settings = {  # runs compare by their values, however those were chosen
        name: chosen.get(name, value) if value == "auto" else value
        for name, value in run.settings.items()
    }
    metrics = run_metrics(content, run.model, settings)
    if metrics.device:
        settings["device"] = metrics.device
    return replace(run, settings=settings, metrics=metrics)


def _reason(folder: Path, status: dict) -> str:
    """Why a run has no numbers."""
    reached = f"after epoch {status['epoch']}" if "epoch" in status else ""
    usual = {
        "running": f"{'at work' if is_locked(folder) else 'killed'} {reached}",
        "interrupted": f"stopped {reached}",
    }.get(status["state"], "")
    return printable(str(status.get("reason") or usual).strip(" ,"))


def _lost(folder: Path, error: Exception) -> FailedRun:
    """A run with incomplete files: the reason that it gave itself, or what is wrong with them."""
    status = read_json_or_empty(folder / "status.json", STATUS)
    if status.get("state", "done") != "done" and status.get("reason"):
        return FailedRun(
            printable(folder.name), printable(status["state"]), _reason(folder, status)
        )
    what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return FailedRun(printable(folder.name), "unreadable", printable(what))


def _not_begun(summary: Path, registry: Registry) -> list[FailedRun]:
    """The jobs of a sweep that have left no folder of their own."""
    found = []
    for job in jobs(summary):
        begun = os.path.lexists(summary.parent / job["directory"] / "status.json")
        if job.get("state") != "done" and not begun:
            words = ["genbench resume", quoted(summary.parent), *registry.own_words()]
            resume = f"has not begun; {' '.join(words)}"
            texts = job["directory"], str(job.get("state")), str(job.get("reason") or resume)
            found.append(FailedRun(*map(printable, texts)))
    return found


def _named(read: Callable[[Path], dict], folder: Path) -> dict:
    """What is read from a file of a run. UserError, with the short name of the file for a table."""
    try:
        return read(folder)
    except Unreadable as error:
        raise UserError(Path(error.key).name, error.what, fix=error.fix) from error


def _natural(path: Path) -> list:
    """A key that sorts 10 after 9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


# --- which runs are the same ----------------------------------------------------------------------


def merged_repeats(repeats: list[RunResult]) -> RunResult:
    """Runs of the same settings, data and seed as one with the measures of all.

    Where several have the same measure, the number is that of the run with the most measures.
    """
    fullest = max(repeats, key=lambda r: (len(r.metrics.cells), bool(r.metrics.diagnosis)))
    ordered = [fullest, *(run for run in repeats if run is not fullest)]
    cells: dict = {}
    real: dict = {}
    for run in ordered:
        cells = cells | {q: v for q, v in run.metrics.cells.items() if q not in cells}
        real = real | {q: v for q, v in run.metrics.real.items() if q not in real}
    metrics = replace(
        fullest.metrics,
        cells=cells,
        real=real,
        has_card=any(run.metrics.has_card for run in repeats),
        has_whole_card=any(run.metrics.has_whole_card for run in repeats),
    )
    return replace(fullest, metrics=metrics, folders=tuple(n for r in ordered for n in r.folders))

"""What the files of runs tell: their settings, how they ended, and every number they measured."""

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from genbench.config.registry import Registry
from genbench.config.saved import recorded
from genbench.config.settings import flatten, written
from genbench.config.validation import ASIDE, known_settings, title
from genbench.runs.directory import LENGTH, SPLITS, SUMMARY, Record, jobs
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.files import Unreadable, read_json, within
from genbench.utils.schema import STATUS, number
from genbench.utils.text import quoted

SAMPLES = "samples"  # the group of a report card that depends on what samples are drawn from
IDENTIFYING = (
    *LENGTH,
    "device",
    "validate_every",
)  # of what names leave out: what can change what comes out
FILES = ("status.json", "config.yaml", SUMMARY)  # which tell that there are runs
REPEAT = "repeat the run's own command"
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)  # what damaged files raise


class Measure(NamedTuple):
    """What a column of numbers is of: only numbers that agree in all of this may be compared."""

    name: str
    group: str  # the part of the data, or the section of a report card
    on: str = ""
    model: str = ""  # the only one whose numbers compare, of what it minimises itself
    n: str = ""  # how many points, in words
    features: str = ""
    of: str = ""
    unit: str = ""
    better: str = ""  # lower, higher or, where that is not known, nothing


class Value(NamedTuple):
    """A number, and the ends of its interval where there is one; of how many seeds it is the mean, and how many lack it.

    Of a mean over seeds, `within` is how far the interval that each run has measured reaches, on average.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    seeds: int = 1
    lacking: int = 0
    within: float = 0.0


class Finding(NamedTuple):
    """Something that may be wrong with a run: its kind in a word or two, a sentence, and the setting to try."""

    kind: str
    text: str
    setting: str


class Result(NamedTuple):
    """What a run's files say: model and dataset, the settings that identify the run, the criterion by part of the data.

    `own` are the settings that are not at their defaults. `inside` names those that the criterion itself contains, as
    weights of its terms. A run that is not done has no numbers, and `reason` says why. `digest` is that of the data that
    it was trained on, "" where an earlier version did not store it, and `root` the folder that they came from. `abilities`
    is None where they are not known. `real` holds the sample measures of training points in place of samples. `folders`
    are those of all runs that this one stands for. `remarks` are what the model says of its fit, no faults.
    """

    path: Path
    folder: str
    kind: tuple[str, str]
    title: str
    settings: dict[str, Any]
    own: set[str]
    state: str
    reason: str
    criterion: str | None = None
    inside: list[str] = []
    values: dict[str, float] = {}
    numbers: dict[str, dict[str, float]] = {}  # by part of the data
    measures: dict[Measure, Value] = {}
    diagnosis: list[Finding] = []
    remarks: list[Finding] = []
    digest: str = ""
    root: str = ""
    sampler: str = ""
    abilities: frozenset[str] | None = None
    real: dict[Measure, Value] = {}
    has_card: bool = False
    has_whole_card: bool = False  # of all measures, not only of those that were asked for
    folders: tuple[str, ...] = ()

    @property
    def seed(self) -> str:
        """The seed in words, which tells apart runs with the same settings."""
        return " ".join(written(value) for name, value in self.settings.items() if is_seed(name))

    @property
    def data(self) -> tuple[str, ...]:
        """What the data are told apart by: their digest or, where it is not known, the folder that they came from."""
        return ("digest", self.digest) if self.digest else ("root", self.root)

    @property
    def data_settings(self) -> tuple[tuple[str, str], ...]:
        """The settings of the dataset, which may be why two digests differ."""
        return tuple(
            (name, written(v)) for name, v in self.settings.items() if name.startswith("dataset.")
        )


class FailedRun(NamedTuple):
    """A run that has no numbers to compare, and why."""

    folder: str
    state: str
    reason: str


# --- from files to runs ---------------------------------------------------------------------------------------


def results(folder: Path, registry: Registry) -> list[Result]:
    """The runs in and below a folder in the order of their names, but for those that are damaged or of another version."""
    return gathered([folder], registry)[0]


def gathered(folders: Iterable[Path], registry: Registry) -> tuple[list[Result], list[FailedRun]]:
    """The runs in and below some folders, each once, and those that cannot be read: in the order of their names, and within
    a sweep in that in which it was asked for."""
    found: dict[Path, Result] = {}
    lost: dict[Path, FailedRun] = {}
    for folder in folders:
        files = within(folder, FILES)
        paths = {file.parent for file in files if file.name != SUMMARY}
        summaries = sorted((file for file in files if file.name == SUMMARY), key=_in_order)
        asked = {
            file.parent / job["directory"]: i
            for file in summaries
            for i, job in enumerate(jobs(file))
        }
        for path in sorted(
            paths,
            key=lambda path: (_in_order(path.parent), asked.get(path, math.inf), _in_order(path)),
        ):
            signals.check()
            try:
                found.setdefault(path.resolve(), _result(path, registry))
            except UNREADABLE as error:
                lost.setdefault(path.resolve(), _lost(path, error))
        for file in summaries:
            for trouble in _unbegun(file):
                lost.setdefault((file.parent / trouble.folder).resolve(), trouble)
    return with_data_named(found.values()), list(lost.values())


def with_data_named(found: Iterable[Result]) -> list[Result]:
    """The same runs; where data of one name and the same settings differ, each is called by its own name.

    That is the name of the folder that they came from where it tells them apart, else the beginning of their digest.
    """
    found, names = list(found), {}
    done = [r for r in found if r.state == "done"]
    for dataset in dict.fromkeys(r.kind[1] for r in done):
        alike: dict[
            tuple, dict[tuple, None]
        ] = {}  # by the settings of the dataset, which data there are
        folders: dict[tuple, str] = {}
        for r in done:
            if r.kind[1] == dataset:
                alike.setdefault(r.data_settings, {})[r.data] = None
                folders.setdefault(r.data, Path(r.root).name)
        if any(len(some) > 1 for some in alike.values()):
            called = [[folders[data] for data in some] for some in alike.values()]
            repeated = {name for some in called for name in some if some.count(name) > 1}
            for data, folder in folders.items():
                names[dataset, data] = f"{dataset} {_data_name(*data, folder, folder in repeated)}"
    return [_with_data_called(r, names.get((r.kind[1], r.data), r.kind[1])) for r in found]


def _data_name(known_by: str, value: str, folder: str, is_repeated: bool) -> str:
    """The folder that data came from, or what else tells them apart."""
    exact = value[:8] if known_by == "digest" else f"from {value or 'an earlier version'}"
    return " ".join([folder] * bool(folder) + [exact] * (is_repeated or not folder))


def _with_data_called(result: Result, name: str) -> Result:
    model, dataset = result.kind
    rest = result.title.removeprefix(f"{model} on {dataset}")
    return result._replace(kind=(model, name), title=f"{model} on {name}{rest}")


def merged(repeats: list[Result]) -> Result:
    """Runs of the same settings, data and seed as one, with the measures of all: they may differ in their evaluation.

    What several have measured in the same way is told by the run that has measured most.
    """
    fullest = max(repeats, key=lambda r: (len(r.measures), bool(r.diagnosis)))
    others = [r for r in repeats if r is not fullest]
    measures, real = fullest.measures, fullest.real
    for other in others:
        measures, real = other.measures | measures, other.real | real
    order = {m: None for m in [*fullest.measures, *measures]}
    return fullest._replace(
        measures={m: measures[m] for m in order},
        real=real,
        has_card=any(r.has_card for r in repeats),
        has_whole_card=any(r.has_whole_card for r in repeats),
        folders=tuple(name for r in [fullest, *others] for name in r.folders),
    )


def failed_runs(found: Iterable[Result], lost: Iterable[FailedRun]) -> list[FailedRun]:
    """All runs without numbers: those that are not done, and those that cannot be read."""
    return [FailedRun(r.folder, r.state, r.reason) for r in found if r.state != "done"] + [*lost]


def _result(folder: Path, registry: Registry) -> Result:
    config, status = recorded(folder, registry), _json(folder / "status.json", STATUS)
    Record(folder, config).require_unchanged()
    kind, flat = (config["model"]["name"], config["dataset"]["name"]), flatten(config)
    defaults = {
        name: setting.default for name, setting in known_settings(registry, *kind, flat).items()
    }
    settings = {
        name: printable(value)
        for name, value in flat.items()
        if name in IDENTIFYING or name not in ASIDE
    }
    if flat.get("patience") is None:
        settings["validate_every"] = ""  # it has no effect but on when to stop
    own = {name for name in settings if flat[name] != defaults.get(name, flat[name])}
    known = {
        "root": printable(flat.get("dataset.root") or ""),
        "folders": (printable(folder.name),),
    }
    state, named = str(status["state"]), printable(title(config, registry))
    found = Result(
        folder, printable(folder.name), kind, named, settings, own, state, _reason(status), **known
    )
    return found if state != "done" else _measured(found, _json(folder / "metrics.json"))


def _measured(run: Result, metrics: dict) -> Result:
    """The run with what metrics.json says."""
    chosen = _block(metrics, "auto")  # runs compare by what they were, not by how that was chosen
    settings = run.settings | {
        name: value for name, value in chosen.items() if run.settings.get(name) == "auto"
    }
    numbers = {
        part: _numbers(values) for part, values in metrics.items() if isinstance(values, dict)
    }
    cost, model = metrics["cost"], _block(metrics, "model")
    criterion, inside = (
        cost.get("criterion"),
        [str(name) for name in cost.get("criterion_contains", [])],
    )
    weights = ", ".join(f"{name}={short(settings[name])}" for name in inside if name in settings)
    card = _on_card(metrics.get("card"))
    measures = card | _terms(numbers, run.kind[0], criterion, weights)
    for group, named in (("time", "seconds"), ("cost", "parameters")):
        if named in numbers.get(group, {}) and not any(
            measure.name == named for measure in measures
        ):
            measures[Measure(named, group)] = Value(numbers[group][named])
    abilities, device = model.get("abilities"), _block(metrics, "machine").get("device")
    return run._replace(
        settings=settings | ({"device": str(device)} if device else {}),
        criterion=criterion,
        inside=inside,
        values={
            part: numbers[part][criterion] for part in SPLITS if criterion in numbers.get(part, {})
        },
        numbers=numbers,
        measures=measures,
        diagnosis=_findings(metrics.get("diagnosis")),
        remarks=[
            Finding(text, text, "")
            for text in _listed(metrics.get("remarks"))
            if isinstance(text, str)
        ],
        digest=str(_block(metrics, "data").get("digest") or ""),
        sampler=str(model.get("sampler") or settings.get("sampler", "")),
        abilities=frozenset(map(str, abilities)) if isinstance(abilities, list) else None,
        real={
            m: value
            for m, value in _on_card(metrics.get("real_data")).items()
            if m.group == SAMPLES
        },
        has_card=bool(card),
        has_whole_card=bool(card) and "diagnosis" in metrics,
    )


def _block(metrics: dict, name: str) -> dict:
    found = metrics.get(name)
    return found if isinstance(found, dict) else {}


def _listed(found: Any) -> list:
    return found if isinstance(found, list) else []


def _findings(found: Any) -> list[Finding]:
    return [finding for finding in map(_finding, _listed(found)) if finding is not None]


def _finding(found: Any) -> Finding | None:
    """An entry of a diagnosis; of earlier versions, which wrote texts, what is wrong and what to do about it."""
    if isinstance(found, str):
        what, _, fix = found.partition("; ")
        return Finding(what, what, fix)
    fields = [found.get(field) for field in Finding._fields] if isinstance(found, dict) else []
    return Finding(*fields) if fields and all(isinstance(field, str) for field in fields) else None


def _on_card(card: Any) -> dict[Measure, Value]:
    """The numbers of a report card, if there is one."""
    found = {}
    for entry in _listed(card):
        if (
            isinstance(entry, dict)
            and isinstance(entry.get("name"), str)
            and number(entry.get("value"))
        ):
            words = {
                field: _words(entry.get(field))
                for field in ("name", "group", "on", "n", "features", "of", "unit", "better")
            }
            words["better"] = words["better"] if words["better"] in ("lower", "higher") else ""
            ends = [entry.get(end) if number(entry.get(end)) else None for end in ("low", "high")]
            found[Measure(**words)] = Value(
                entry["value"], *(ends if None not in ends else (None, None))
            )
    return found


def _terms(
    numbers: dict[str, dict[str, float]], model: str, criterion: str | None, weights: str
) -> dict[Measure, Value]:
    """The objective's terms on held-out data, which are their model's own; the criterion sums them with these weights."""
    part = next((part for part in reversed(SPLITS) if part in numbers), "")
    terms = dict(numbers.get(part, {}))
    n = _words(terms.pop("n", None))
    lowest = {criterion: {"better": "lower", "of": weights}}
    return {
        Measure(name, part, model=model, n=n, **lowest.get(name, {})): Value(value)
        for name, value in terms.items()
    }


def _numbers(values: dict) -> dict[str, float]:
    return {name: value for name, value in values.items() if number(value)}


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_words(v)}" for k, v in value.items())
    return "" if value is None else str(value)


def short(value: Any) -> str:
    """A value as one types it, without a fraction that says nothing."""
    return f"{value:g}" if isinstance(value, float) else written(value)


def is_number(value: Any) -> bool:
    """Whether a value is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_seed(name: str) -> bool:
    """Whether a setting only says which random numbers a run draws; another `dataset.seed` makes other data."""
    return name == "seed"


def printable(value: Any) -> Any:
    """The same nested value, its texts without what would steer a terminal or break a file."""
    if isinstance(value, dict):
        return {printable(k): printable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [printable(v) for v in value]
    return (
        "".join(c if c.isprintable() else "\ufffd" for c in value)
        if isinstance(value, str)
        else value
    )


def slug(text: str) -> str:
    """A text as the name of a file."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip("-.")[:120]


def _reason(status: dict) -> str:
    """Why a run has no numbers."""
    reached = f"after epoch {status['epoch']}" if "epoch" in status else ""
    usual = {"running": f"at work, or killed, {reached}", "interrupted": f"stopped {reached}"}.get(
        str(status["state"]), ""
    )
    return printable(str(status.get("reason") or usual).strip(" ,"))


def _lost(folder: Path, error: Exception) -> FailedRun:
    """A run whose files do not tell all: its own reason, if it says that it failed, else what is wrong with the files."""
    status = _json_or_nothing(folder / "status.json")
    if status.get("state") != "done" and status.get("reason"):
        return FailedRun(
            printable(folder.name), printable(str(status.get("state"))), _reason(status)
        )
    what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return FailedRun(printable(folder.name), "unreadable", printable(what))


def _unbegun(summary: Path) -> list[FailedRun]:
    """The jobs of a sweep that left no folder of their own to tell of them."""
    found = []
    for job in jobs(summary):
        if job.get("state") != "done" and not os.path.lexists(
            summary.parent / job["directory"] / "status.json"
        ):
            reason = str(
                job.get("reason") or f"has not begun; genbench resume {quoted(summary.parent)}"
            )
            found.append(
                FailedRun(*map(printable, (job["directory"], str(job.get("state")), reason)))
            )
    return found


def _json(path: Path, form: Any = dict) -> dict:
    try:
        return printable(read_json(path, form))
    except Unreadable as error:
        raise UserError(path.name, error.what, fix=REPEAT) from error


def _json_or_nothing(path: Path) -> dict:
    try:
        return _json(path)
    except UNREADABLE:
        return {}


def _in_order(path: Path) -> list:
    """A key that puts 10 after 9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]

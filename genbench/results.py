"""What the files of runs tell: their settings, how they ended, and every number they measured."""

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .catalogue import Catalogue
from .config import ASIDE, check, known_settings, title
from .errors import UserError
from .record import LENGTH, in_words, quoted
from .request import recorded
from .settings import flatten, written

PARTS = ("train", "validation", "test")
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)  # what damaged files raise


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
    """A number, and the ends of its interval where there is one; of how many seeds it is the mean, and how many lack it."""

    mean: float
    low: float | None = None
    high: float | None = None
    seeds: int = 1
    lacking: int = 0


class Result(NamedTuple):
    """What a run's files tell: model and dataset, the settings that tell runs apart, the criterion by part of the data.

    `own` are the settings that are not at their defaults. `inside` names those that the criterion itself contains, as
    weights of its terms. A run that is not done has no numbers, and `reason` says why.
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
    diagnosis: list[str] = []

    @property
    def seeds(self) -> str:
        """The seeds in words, which tell apart runs of the same settings."""
        return " ".join(written(value) for name, value in self.settings.items() if is_seed(name))


class Trouble(NamedTuple):
    """A run that has no numbers to compare, and why."""

    folder: str
    state: str
    reason: str


# --- from files to runs ---------------------------------------------------------------------------------------


def results(folder: Path, catalogue: Catalogue) -> list[Result]:
    """The runs in and below a folder in the order of their names, but for those that are damaged or of another version."""
    return gathered([folder], catalogue)[0]


def gathered(folders: Iterable[Path], catalogue: Catalogue) -> tuple[list[Result], list[Trouble]]:
    """The runs in and below some folders, each once, and those that cannot be read: in the order of their names, and within
    a sweep in that in which it was asked for."""
    found: dict[Path, Result] = {}
    lost: dict[Path, Trouble] = {}
    for folder in folders:
        paths = {file.parent for name in ("status.json", "config.yaml") for file in folder.rglob(name)}
        summaries = sorted(folder.rglob("sweep_summary.json"), key=_in_order)
        asked = {file.parent / job["directory"]: i for file in summaries for i, job in enumerate(_jobs(file))}
        for path in sorted(paths, key=lambda path: (_in_order(path.parent), asked.get(path, math.inf), _in_order(path))):
            try:
                found.setdefault(path.resolve(), _result(path, catalogue))
            except UNREADABLE as error:
                lost.setdefault(path.resolve(), _lost(path, error))
        for file in summaries:
            for trouble in _unbegun(file):
                lost.setdefault((file.parent / trouble.folder).resolve(), trouble)
    return list(found.values()), list(lost.values())


def troubles(found: Iterable[Result], lost: Iterable[Trouble]) -> list[Trouble]:
    """All runs without numbers: those that are not done, and those that cannot be read."""
    return [Trouble(r.folder, r.state, r.reason) for r in found if r.state != "done"] + [*lost]


def _result(folder: Path, catalogue: Catalogue) -> Result:
    config, status = check(recorded(folder, catalogue), catalogue), _json(folder / "status.json")
    kind, flat = (config["model"]["name"], config["dataset"]["name"]), flatten(config)
    defaults = {name: setting.default for name, setting in known_settings(catalogue, *kind, flat).items()}
    settings = {name: printable(value) for name, value in flat.items() if name in LENGTH or name not in ASIDE}
    own = {name for name in settings if flat[name] != defaults.get(name, flat[name])}
    state = str(status["state"])
    told = Result(folder, printable(folder.name), kind, printable(title(config, catalogue)), settings, own, state, _reason(status))
    if state != "done":
        return told
    metrics = _json(folder / "metrics.json")
    auto = metrics.get("auto")
    if isinstance(auto, dict):  # runs compare by what they were, not by how that was chosen
        settings |= {name: printable(value) for name, value in auto.items() if settings.get(name) == "auto"}
    return told._replace(**_measured(metrics, kind[0], settings))


def _measured(metrics: dict, model: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What metrics.json tells, as fields of a result."""
    numbers = {part: _numbers(values) for part, values in metrics.items() if isinstance(values, dict)}
    cost = metrics["cost"]
    criterion, inside = cost.get("criterion"), [str(name) for name in cost.get("criterion_contains", [])]
    values = {part: numbers[part][criterion] for part in PARTS if criterion in numbers.get(part, {})}
    diagnosis = [in_words(found) for found in metrics.get("diagnosis", []) if _is_finding(found)]
    weights = ", ".join(f"{name}={short(settings[name])}" for name in inside if name in settings)
    measures = _on_card(metrics.get("card")) | _terms(numbers, model, criterion, weights)
    for group, named in (("time", "seconds"), ("cost", "parameters")):
        if named in numbers.get(group, {}) and not any(measure.name == named for measure in measures):
            measures[Measure(named, group)] = Value(numbers[group][named])
    told = {"criterion": criterion, "inside": inside, "values": values, "numbers": numbers}
    return told | {"measures": measures, "diagnosis": diagnosis}


def _is_finding(found: Any) -> bool:
    """Whether this is an entry of a diagnosis: its text, or that with what else is known of it."""
    known = found if isinstance(found, dict) else {}
    return isinstance(found, str) or all(isinstance(known.get(field), str) for field in ("kind", "text", "setting"))


def _on_card(card: Any) -> dict[Measure, Value]:
    """The numbers of a report card, if there is one."""
    found = {}
    for entry in card if isinstance(card, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and _is_finite(entry.get("value")):
            words = {field: _words(entry.get(field)) for field in ("name", "group", "on", "n", "features", "of", "unit", "better")}
            words["better"] = words["better"] if words["better"] in ("lower", "higher") else ""
            ends = [entry.get(end) if _is_finite(entry.get(end)) else None for end in ("low", "high")]
            found[Measure(**words)] = Value(entry["value"], *(ends if None not in ends else (None, None)))
    return found


def _terms(numbers: dict[str, dict[str, float]], model: str, criterion: str | None, weights: str) -> dict[Measure, Value]:
    """The objective's terms on held-out data, which are their model's own; the criterion sums them with these weights."""
    part = next((part for part in reversed(PARTS) if part in numbers), "")
    terms = dict(numbers.get(part, {}))
    n = _words(terms.pop("n", None))
    lowest = {criterion: {"better": "lower", "of": weights}}
    return {Measure(name, part, model=model, n=n, **lowest.get(name, {})): Value(value) for name, value in terms.items()}


def _numbers(values: dict) -> dict[str, float]:
    return {name: value for name, value in values.items() if _is_finite(value)}


def _is_finite(value: Any) -> bool:
    return is_number(value) and abs(value) < 1e300  # with room for sums; whole numbers in JSON have no bound


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
    """Whether a setting only says which random numbers are drawn."""
    return name.rpartition(".")[2] == "seed"


def printable(value: Any) -> Any:
    """The same nested value, its texts without what would steer a terminal or break a file."""
    if isinstance(value, dict):
        return {printable(k): printable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [printable(v) for v in value]
    return "".join(c if c.isprintable() else "\ufffd" for c in value) if isinstance(value, str) else value


def slug(text: str) -> str:
    """A text as the name of a file."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip("-.")[:120]


def _reason(status: dict) -> str:
    """Why a run has no numbers."""
    reached = f"after epoch {status['epoch']}" if "epoch" in status else ""
    usual = {"running": f"at work, or killed, {reached}", "interrupted": f"stopped {reached}"}.get(str(status["state"]), "")
    return printable(str(status.get("reason") or usual).strip(" ,"))


def _lost(folder: Path, error: Exception) -> Trouble:
    """A run whose files do not tell all: its own reason, if it says that it failed, else what is wrong with the files."""
    status = _json_or_nothing(folder / "status.json")
    if status.get("state") != "done" and status.get("reason"):
        return Trouble(printable(folder.name), printable(str(status.get("state"))), _reason(status))
    what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return Trouble(printable(folder.name), "unreadable", printable(what))


def _unbegun(summary: Path) -> list[Trouble]:
    """The jobs of a sweep that left no folder of their own to tell of them."""
    found = []
    for job in _jobs(summary):
        if job.get("state") != "done" and not (summary.parent / job["directory"] / "status.json").exists():
            reason = str(job.get("reason") or f"has not begun; genbench resume {quoted(summary.parent)}")
            found.append(Trouble(*map(printable, (job["directory"], str(job.get("state")), reason))))
    return found


def _jobs(summary: Path) -> list[dict]:
    """The jobs of a sweep that have a folder, in the order in which they were asked for."""
    jobs = _json_or_nothing(summary).get("jobs")
    return [job for job in jobs if isinstance(job, dict) and isinstance(job.get("directory"), str)] if isinstance(jobs, list) else []


def _json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(path.name, "is lost or damaged", fix="repeat the run's own command") from error
    if not isinstance(found, dict):
        raise UserError(path.name, "is damaged", fix="repeat the run's own command")
    return printable(found)


def _json_or_nothing(path: Path) -> dict:
    try:
        return _json(path)
    except UNREADABLE:
        return {}


def _in_order(path: Path) -> list:
    """A key that puts 10 after 9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]

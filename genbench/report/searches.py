"""The searches among the runs of a report: what was tried, what mattered, and the best command."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.report.words import listed, printable
from genbench.runs.search_file import SEARCH_FILE, read_search
from genbench.utils.files import within
from genbench.utils.text import counted, number

MOST_FRONT = 3  # trials of a front that a sentence names


@dataclass(frozen=True)
class ReportGoal:
    """A number that a search optimizes."""

    name: str
    direction: str

    @property
    def sign(self) -> int:
        """What makes lower better."""
        return 1 if self.direction == "minimize" else -1


@dataclass(frozen=True)
class ReportTrial:
    """A trial: `settings` as they are typed, `values` of the goals, and its own command."""

    number: int
    settings: dict[str, str]
    state: str
    values: tuple[float, ...]
    epochs: int
    directory: str
    is_best: bool
    command: str

    @property
    def label(self) -> str:
        """Its settings in a line, numbers in few digits."""
        return " ".join(f"{name}={brief(value)}" for name, value in self.settings.items())


@dataclass(frozen=True)
class SearchResult:
    """A search as its file has it. `importances` are shares by setting for each goal."""

    folder: str
    goals: list[ReportGoal]
    settings: list[str]
    trials: list[ReportTrial]
    importances: list[dict[str, float]]

    @property
    def done(self) -> list[ReportTrial]:
        """The trials that were trained to their end."""
        return [trial for trial in self.trials if trial.state == "done"]

    @property
    def best(self) -> list[ReportTrial]:
        """The best trial or, of two goals, the front."""
        return [trial for trial in self.trials if trial.is_best]

    @property
    def counts(self) -> str:
        """How many trials there are, in words."""
        states = [trial.state for trial in self.trials]
        others = [f"{states.count(s)} {s}" for s in ("pruned", "failed", "running") if s in states]
        return ", ".join([counted(len(self.trials), "trial"), *others])


def brief(value: str) -> str:
    """A value of a setting; a number in four digits."""
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.4g}"
    except ValueError:
        return value


def searches(folders: Iterable[Path]) -> list[SearchResult]:
    """The searches in and below some folders; damaged ones are left out."""
    files = dict.fromkeys(file for folder in folders for file in within(folder, (SEARCH_FILE,)))
    found = []
    for file in files:
        content = printable(read_search(file.parent))
        if not content:
            continue
        goals = [ReportGoal(goal["name"], goal["direction"]) for goal in content["goals"]]
        trials = [_trial(trial) for trial in content["trials"]]
        complete = all(len(t.values) == len(goals) for t in trials if t.state == "done")
        if goals and complete:
            name = printable(file.parent.name)
            shares = content["importances"]
            found.append(SearchResult(name, goals, content["settings"], trials, shares))
    return found


def _trial(found: dict[str, Any]) -> ReportTrial:
    return ReportTrial(
        number=found["number"],
        settings=found["settings"],
        state=found["state"],
        values=tuple(found["values"]),
        epochs=found["epochs"],
        directory=found["directory"],
        is_best=found["is_best"],
        command=found["command"],
    )


def search_sentences(search: SearchResult) -> list[str]:
    """What a search has found, the most important first."""
    if not search.best:
        return [f"The search in {search.folder} ({search.counts}) has no finished trial yet."]
    if len(search.goals) == 2:
        front = sorted(search.best, key=lambda trial: trial.values[0])
        names = " and ".join(goal.name for goal in search.goals)
        some = [f"{_values(search, trial)} at {trial.label}" for trial in front]
        what = f"no other trial is better in both {names}"
        return [f"The front of {search.counts}, where {what}, is {_shown(some)}."]
    (best, *_) = search.best
    where = f"{_values(search, best)} at {best.label} (trial {best.number})"
    return [f"Best of {search.counts}: {where}.", *_importance(search)]


def _shown(texts: list[str]) -> str:
    return "; ".join(texts if len(texts) <= MOST_FRONT + 1 else [*texts[:MOST_FRONT], "..."])


def _values(search: SearchResult, trial: ReportTrial) -> str:
    pairs = zip(search.goals, trial.values, strict=True)
    return ", ".join(f"{goal.name} {number(value)}" for goal, value in pairs)


def _importance(search: SearchResult) -> list[str]:
    if len(search.importances) != 1:
        return []
    shares = sorted(search.importances[0].items(), key=lambda item: -item[1])
    words = [f"{name} {100 * share:.0f} %" for name, share in shares]
    return [f"How much each setting matters for being among the best: {listed(words, 6)}."]


def best_commands(search: SearchResult) -> list[str]:
    """The commands that run the best trial or, of two goals, those of the front."""
    return [trial.command for trial in search.best]

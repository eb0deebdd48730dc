"""The diagnosis of several runs: each kind of problem once, with the setting to try."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from genbench.report.measured import Symptom
from genbench.report.names import row_name
from genbench.report.quantities import SAMPLES
from genbench.report.rows import TableRow
from genbench.report.words import MOST_NAMES, listed
from genbench.utils.text import number

MOST_PROBLEMS = 3  # on a terminal
NOTE, LAST = "note", 1000  # the kind of a symptom that is no fault, and a place after all faults
NUMBER = re.compile(r"(?:(?<![\w.])-)?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
TOUCHES: dict[str, tuple[str, ...] | None] = {  # groups of measures that a fault puts in doubt
    "not finite": None,  # all of them
    "undertrained": None,
    "collapse": None,
    "posterior collapse": None,
    "samples alike": None,
    "overfitted": ("likelihood", SAMPLES),
    "nothing to compress": ("reconstruction",),
    "missing": (SAMPLES, "latent space"),
    "low coverage": (SAMPLES, "latent space"),
    "samples unlike data": (SAMPLES,),
    "copies": (SAMPLES, "latent space"),
    "saturated discriminator": (SAMPLES,),
}
REMARKS_TOUCH = ("likelihood",)  # what a model remarks on is its fit


@dataclass(frozen=True)
class Problem:
    """A kind of problem, the rows that have it, and the settings to try, each with its rows.

    `each` has the text of every row where these differ. `is_fault` is false for a remark on the
    fit, and `is_of_all` says that no row is without the problem.
    """

    text: str
    rows: list[str]
    each: list[tuple[str, str]]
    settings: list[tuple[str, list[str]]]
    is_fault: bool
    is_of_all: bool

    def whose(self, most: int = MOST_NAMES) -> str:
        """The rows in words, at most so many by their names."""
        if self.is_of_all and len(self.rows) > most:
            return f"all {number(len(self.rows))} settings"
        return listed(self.rows, most)


def problems(rows: Sequence[TableRow]) -> list[Problem]:
    """The problems of these rows, the worst first; numbers that differ become a range.

    A diagnosis begins with what explains most, so the first place of a kind says how bad it is.
    """
    groups: dict[str, list[tuple[TableRow, list[Symptom]]]] = {}
    places: dict[str, int] = {}
    for row in rows:
        of_row: dict[str, list[Symptom]] = {}
        for run in row.runs:
            remarks = [Symptom(text, text, "") for text in run.metrics.remarks]
            symptoms = [*run.metrics.diagnosis, *remarks]
            kinds = {_without_numbers(symptom.kind): symptom for symptom in symptoms}
            for place, (kind, symptom) in enumerate(kinds.items()):
                of_row.setdefault(kind, []).append(symptom)
                is_fault = symptom.kind != NOTE and symptom in run.metrics.diagnosis
                places[kind] = min(places.get(kind, LAST), place if is_fault else LAST)
        for kind, symptoms in of_row.items():
            groups.setdefault(kind, []).append((row, symptoms))
    found = {kind: _problem(some, rows, places[kind]) for kind, some in groups.items()}
    order = sorted(found, key=lambda kind: (places[kind], -len(found[kind].rows)))
    return [found[kind] for kind in order]


def _problem(
    some: list[tuple[TableRow, list[Symptom]]], among: Sequence[TableRow], place: int
) -> Problem:
    settings: dict[str, list[str]] = {}
    each: list[tuple[str, str]] = []
    alike: dict[str, tuple[list[str], list[str]]] = {}  # rows, and texts that differ in numbers
    for row, symptoms in some:
        name = row_name(row, among)
        named = _of_seeds(name, len(symptoms), len(row.runs))
        each.append((named, _together([symptom.text for symptom in symptoms])))
        if setting := _one_setting([s.setting for s in symptoms if s.setting]):
            settings.setdefault(setting, []).append(name)
        for symptom in symptoms:
            names, texts = alike.setdefault(_without_numbers(symptom.text), ([], []))
            names += [named] if named not in names else []
            texts.append(symptom.text)
    return Problem(
        text="; or ".join(
            _with_ranges(texts) + (f" ({listed(names)})" if len(alike) > 1 < len(each) else "")
            for names, texts in alike.values()
        ),
        rows=[name for name, _ in each],
        each=each if len({text for _, text in each}) > 1 else [],
        settings=[*settings.items()],
        is_fault=place < LAST,
        is_of_all=len(some) == len(among),
    )


def _one_setting(settings: list[str]) -> str:
    """The setting to try for a row whose seeds may differ: the name that most of them have, with
    the largest number, as with the longest training; "" where no seed has any.
    """
    names = Counter(setting.partition("=")[0] for setting in settings)
    if not names:
        return ""
    ((name, _),) = names.most_common(1)
    values = [s.partition("=")[2] for s in settings if s.partition("=")[0] == name]
    if len(set(values)) > 1 and all(map(NUMBER.fullmatch, values)):
        return f"{name}={max(values, key=float)}"
    return f"{name}={values[0]}" if values[0] else name


def worst(rows: Sequence[TableRow]) -> list[str]:
    """The first lines of a diagnosis, for a terminal."""
    found = [problem for problem in problems(rows) if problem.is_fault]
    lines = []
    for problem in found[:MOST_PROBLEMS]:
        tried = "; or ".join(
            setting if is_for_all(problem) else f"{setting} ({listed(whom)})"
            for setting, whom in problem.settings[:MOST_PROBLEMS]
        )
        line = f"diagnosis of {problem.whose()}: {problem.text}"
        lines.append(f"{line}; try {tried}" if tried else line)
    if len(found) > MOST_PROBLEMS:
        lines.append(f"diagnosis: {number(len(found) - MOST_PROBLEMS)} more in the page")
    return lines


def is_for_all(problem: Problem) -> bool:
    """Whether there is one setting to try, for all rows that have the problem."""
    return len(problem.settings) == 1 and len(problem.settings[0][1]) == len(problem.rows)


def caveats(row: TableRow, groups: Collection[str]) -> list[str]:
    """What qualifies that a row is best at measures of these groups.

    That is its first fault that puts them in doubt, and for a likelihood the model's remarks.
    """
    faults: dict[str, list[str]] = {}
    remarks: dict[str, list[str]] = {}
    for run in row.runs:
        for symptom in run.metrics.diagnosis:
            kind = "missing" if symptom.kind.startswith("missing") else symptom.kind
            touched = TOUCHES.get(kind, ())
            if touched is None or {*touched} & {*groups}:
                faults.setdefault(symptom.kind, []).append(symptom.text)
        for text in run.metrics.remarks if {*REMARKS_TOUCH} & {*groups} else ():
            remarks.setdefault(_without_numbers(text), []).append(text)
    some = [*list(faults.values())[:1], *remarks.values()]
    return [_of_seeds(_together(texts), len(texts), len(row.runs)) for texts in some]


def shared_caveats(named: Iterable[tuple[str, TableRow, Collection[str]]]) -> list[str]:
    """The caveats of several rows at measures of these groups, each with the names of its rows."""
    alike: dict[str, tuple[list[str], list[str]]] = {}  # names, and texts that differ in numbers
    for name, row, groups in named:
        for text in caveats(row, groups):
            names, texts = alike.setdefault(_without_numbers(text), ([], []))
            names.append(name)
            texts.append(text)
    return [f"{listed(names)}: {_with_ranges(texts)}" for names, texts in alike.values()]


def _of_seeds(text: str, count: int, seeds: int) -> str:
    return f"{text} ({count} of {seeds} seeds)" if count < seeds else text


def _without_numbers(text: str) -> str:
    return NUMBER.sub("#", text)


def _together(texts: list[str]) -> str:
    """Texts as one, in which numbers that differ are ranges."""
    alike: dict[str, list[str]] = {}
    for text in texts:
        alike.setdefault(_without_numbers(text), []).append(text)
    return "; or ".join(map(_with_ranges, alike.values()))


def _with_ranges(texts: list[str]) -> str:
    """Texts that differ in nothing but numbers as one, with the range of each number."""
    columns = zip(*(NUMBER.findall(text) for text in texts), strict=True)
    ranges = iter([_range([*column]) for column in columns])
    return NUMBER.sub(lambda match: next(ranges), texts[0])


def _range(words: list[str]) -> str:
    values = sorted(dict.fromkeys(words), key=lambda word: float(word.replace(",", "")))
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"

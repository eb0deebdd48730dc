"""What a report says in sentences: who is best at what, which comparisons mislead, why cells are empty, what seems wrong."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .comparison import BY_THE_CLOCK, SAMPLER, Report, Row, telling
from .console import number
from .record import PARTS, quoted
from .results import SAMPLES, Finding, Measure, short

MOST_NAMES, MOST_SENTENCES = 3, 12
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
LACKS = {  # what a model without an ability cannot do, in words
    "sample": "it cannot generate",
    "codes": "it does not generate from codes",
    "log_prob": "it has no likelihood of these data",
    "posterior": "its codes have no distribution",
}


class Problem(NamedTuple):
    """A kind of problem that was diagnosed, the runs that have it, and the settings to try, each with its runs."""

    text: str
    rows: list[str]
    settings: list[tuple[str, list[str]]]


def verdicts(told: Report) -> list[str]:
    """Who is best at what, as far as intervals say, and what is too close to call."""
    shown = {m: head.rpartition(" ")[0] if m.better else head for m, head in told.overview.items() if m.name not in BY_THE_CLOCK}
    found = []
    for data in dict.fromkeys(c.data for c in told.contests):
        mine = [c for c in told.contests if c.data == data and c.measure in shown]
        on = _on(data, told)
        won: dict[int, list[str]] = {}
        for c in mine:
            if c.won:
                won.setdefault(c.leaders[0], []).append(shown[c.measure])
        for i, names in sorted(won.items(), key=lambda item: -len(item[1])):
            found.append(f"{on}{name(told.rows[i], told)} is best at {listed(names)}.")
        close: dict[tuple[int, ...], list[str]] = {}
        for c in mine:
            if not c.won and not c.uncertain:
                close.setdefault(tuple(c.leaders), []).append(shown[c.measure])
        if close:
            fewest = sorted(close.items(), key=lambda item: len(item[0]))  # of two rivals there is more to know than of ten
            between = [f"{listed(names)} between {listed(name(told.rows[i], told) for i in leaders)}" for leaders, names in fewest]
            more = [f"{number(len(between) - MOST_NAMES)} more in the table"] if len(between) > MOST_NAMES else []
            found.append(f"{on}Too close to call: {'; '.join([*between[:MOST_NAMES], *more])}.")
        unsure = [shown[c.measure] for c in mine if c.uncertain]
        if unsure:
            found.append(f"{on}Nobody is called best at {listed(unsure)}, which have no interval; runs with seed=0,1,2 give one.")
    more = f"The table has {len(found) - MOST_SENTENCES + 1} more such comparisons."
    return found if len(found) <= MOST_SENTENCES else [*found[: MOST_SENTENCES - 1], more]


def warnings(told: Report) -> list[str]:
    """Which columns compare more than models: those of samples, where they are drawn from different things."""
    found = []
    for data in dict.fromkeys(row.data for row in told.rows):
        drawn: dict[str, list[Row]] = {}
        for row in told.rows:
            if row.data == data and row.sampler and any(m.group == SAMPLES for m in row.cells):
                drawn.setdefault(row.sampler, []).append(row)
        if len(drawn) > 1:
            who = "; ".join(f"{sampler}: {listed(_models(rows, told))}" for sampler, rows in drawn.items())
            found.append(
                f"{_on(data, told)}The columns of samples compare different samplers ({who}), so they rank a model together with "
                "what its samples are drawn from. Where a model has the setting, sampler=prior,gmm shows what it contributes."
            )
    return found


def gaps(told: Report) -> list[str]:
    """Why cells of the overview are empty, a sentence for each reason and the rows that it holds for."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for measure, head in told.overview.items():
        reasons: dict[str, list[Row]] = {}
        for row in told.rows:
            if measure != SAMPLER and measure not in row.cells:
                reasons.setdefault(_reason(row, measure), []).append(row)
        for reason, rows in reasons.items():
            whom = tuple(_models(rows, told))
            found.setdefault((reason, whom), []).append(head.rpartition(" ")[0] if measure.better else head)
    return [f"No {listed(heads)} of {listed(whom)}: {reason}." for (reason, whom), heads in found.items()]


def _reason(row: Row, measure: Measure) -> str:
    """Why a row has no such number."""
    from .card import measures  # which takes torch

    if measure.group in PARTS or measure.model:
        return "it is a term of another model's objective, or of another part of the data"
    if any((other.name, other.group) == (measure.name, measure.group) for other in row.cells):
        return "it was measured under other conditions, so its number is in a column of its own"
    if not any(run.has_card for run in row.runs):
        return f"evaluation=none; genbench evaluate {quoted(row.runs[0].path)} measures it"
    known = measures().get(measure.name)
    able = row.runs[0].abilities
    for ability in known.needs if known and able is not None else ():
        if ability not in able:
            return LACKS.get(ability, f"it cannot {ability}")
    return "it does not apply to such a model or such data, was not asked for, or could not be computed"


def problems(told: Report) -> list[Problem]:
    """What was diagnosed, each kind of problem once; numbers in which runs differ are given as a range."""
    groups: dict[str, list[tuple[Row, list[Finding]]]] = {}
    for row in told.rows:
        of_row: dict[str, list[Finding]] = {}
        for run in row.runs:
            for kind, finding in {_without_numbers(finding.kind): finding for finding in run.diagnosis}.items():
                of_row.setdefault(kind, []).append(finding)
        for kind, findings in of_row.items():
            groups.setdefault(kind, []).append((row, findings))
    found = []
    for some in groups.values():
        texts: dict[str, list[str]] = {}
        settings: dict[str, list[str]] = {}
        for row, findings in some:
            for finding in findings:
                texts.setdefault(_without_numbers(finding.text), []).append(finding.text)
            for setting in dict.fromkeys(finding.setting for finding in findings if finding.setting):
                settings.setdefault(setting, []).append(name(row, told))
        rows = [_of_seeds(name(row, told), len(findings), len(row.runs)) for row, findings in some]
        found.append(Problem("; or ".join(map(_over, texts.values())), rows, [*settings.items()]))
    return sorted(found, key=lambda problem: -len(problem.rows))


def _of_seeds(text: str, count: int, seeds: int) -> str:
    return f"{text} ({count} of {seeds} seeds)" if count < seeds else text


def _without_numbers(text: str) -> str:
    return NUMBER.sub("#", text)


def _over(texts: list[str]) -> str:
    """Texts that differ in nothing but numbers as one, with the range of each number."""
    columns = zip(*(NUMBER.findall(text) for text in texts))
    ranges = iter([_range([*column]) for column in columns])
    return NUMBER.sub(lambda match: next(ranges), texts[0])


def _range(words: list[str]) -> str:
    values = sorted(dict.fromkeys(words), key=lambda word: float(word.replace(",", "")))
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"


# --- names ----------------------------------------------------------------------------------------------------


def name(row: Row, told: Report) -> str:
    """What a row is called in a sentence: its model and, in brackets, the settings that tell it from others of this model."""
    alike = [other for other in told.rows if other.kind == row.kind]
    settings = [f"{s}={short(row.settings[s])}" for s in telling(alike) if s in row.settings]
    return _kind(row, told) + (f" ({', '.join(settings)})" if settings else "")


def _kind(row: Row, told: Report) -> str:
    """The model of a row, and its data where there are several."""
    return " on ".join(row.kind if len({other.kind[1] for other in told.rows}) > 1 else row.kind[:1])


def _models(rows: list[Row], told: Report) -> list[str]:
    """The rows by their models alone, where these rows are all that there are of a model."""
    found: dict[str, None] = {}
    for row in rows:
        alike = [other for other in told.rows if other.kind == row.kind]
        whole = all(any(other is one for one in rows) for other in alike)
        found[_kind(row, told) if whole else name(row, told)] = None
    return [*found]


def _on(data: tuple, told: Report) -> str:
    """On which data, where there are several."""
    if len({row.data for row in told.rows}) == 1:
        return ""
    shown = [word for word in data[1:] if word.partition("=")[0] in told.settings]
    return f"On {', '.join([data[0], *shown])}: "


def listed(words: Iterable[str], most: int = MOST_NAMES) -> str:
    """Words as a list in a sentence, of which the last may be how many more there are."""
    words = [*words]
    if len(words) > most + 1:
        words = [*words[:most], f"{number(len(words) - most)} more"]
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def said(told: Report) -> Iterator[str]:
    """All sentences of a report but the diagnosis, in the order in which they matter."""
    yield from verdicts(told)
    yield from warnings(told)
    yield from gaps(told)

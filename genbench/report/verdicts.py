"""What a report says in sentences: who is best at what, which comparisons mislead, why cells are empty, what seems wrong."""

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise, zip_longest
from typing import NamedTuple

from genbench.report.load import SAMPLES, Finding, Measure, Value, short
from genbench.report.table import (
    BY_THE_CLOCK,
    SAMPLER,
    Contest,
    Report,
    Row,
    apart,
    brief,
    same_but,
    swept,
    telling,
)
from genbench.runs.directory import SPLITS
from genbench.utils.text import number, quoted

MOST_NAMES, MOST_SENTENCES, MOST_EFFECTS, MOST_PROBLEMS = 3, 12, 4, 3
NOTE, LAST = "note", 1000  # the kind of a finding that is no fault, and a place after all faults
FEWEST_VALUES = 3  # of a setting, along which a measure may be said to rise or fall
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
LACKS = {  # what a model without an ability cannot do, in words
    "sample": "it cannot generate",
    "codes": "it does not generate from codes",
    "log_prob": "it has no likelihood of these data",
    "posterior": "its codes have no distribution",
}


TOUCHES = {  # the groups of measures that a fault puts in doubt; None are all
    "not finite": None,
    "undertrained": None,
    "collapse": None,
    "posterior collapse": None,
    "samples alike": None,
    "overfitted": ("likelihood",),
    "nothing to compress": ("reconstruction",),
    "missing": (SAMPLES, "latent space"),
    "low coverage": (SAMPLES, "latent space"),
    "samples unlike data": (SAMPLES,),
    "copies": (SAMPLES, "latent space"),
    "saturated discriminator": (SAMPLES,),
}
CONDITIONS = {
    "of": "of another kind: ",
    "on": "on ",
    "n": "n=",
    "features": "by features ",
    "unit": "in ",
    "better": "",
}  # of a measure


class Problem(NamedTuple):
    """A kind of problem that was diagnosed, the runs that have it, and the settings to try, each with its runs.

    `is_fault` tells it from a remark.
    """

    text: str
    rows: list[str]
    settings: list[tuple[str, list[str]]]
    is_fault: bool


def verdicts(told: Report) -> list[str]:
    """Who is best at what, as far as intervals say, and what is too close to call."""
    found = []
    for data in dict.fromkeys(c.data for c in told.contests):
        mine = [c for c in told.contests if c.data == data and c.measure in _ranked(told)]
        found += [
            f"{_on(data, told)}{text}" for text in [*_won(mine, told), *_too_close(mine, told)]
        ]
        unsure: dict[str, list[str]] = {}
        for c in (c for c in mine if c.uncertain):
            lack = listed(
                name(told.rows[i], told)
                for i in c.leaders
                if told.rows[i].cells[c.measure].low is None
            )
            unsure.setdefault(lack, []).append(_ranked(told)[c.measure])
        for lack, names in unsure.items():
            text = f"Nobody is called best at {listed(names)}: no interval is known for {lack}; seed=0,1,2 may give one."
            found.append(f"{_on(data, told)}{text}")
    more = f"The table has {len(found) - MOST_SENTENCES + 1} more such comparisons."
    return found if len(found) <= MOST_SENTENCES else [*found[: MOST_SENTENCES - 1], more]


def _ranked(told: Report) -> dict[Measure, str]:
    """The measures of the overview that rank, each with its header but for the arrow."""
    return {m: _head(m, told) for m in told.overview if m.name not in BY_THE_CLOCK}


def _head(measure: Measure, told: Report) -> str:
    head = told.overview[measure]
    return head.rpartition(" ")[0] if measure.better else head


def _won(contests: list[Contest], told: Report) -> list[str]:
    """A sentence for each row that is best at something: among whom, where not all have the number, and what qualifies it."""
    by_winner: dict[int, list[Contest]] = {}
    for c in contests:
        if c.won:
            by_winner.setdefault(c.leaders[0], []).append(c)
    found = []
    for i, won in sorted(by_winner.items(), key=lambda item: -len(item[1])):
        same_rivals: dict[str, list[str]] = {}
        for c in won:
            same_rivals.setdefault(_among(c, told), []).append(_ranked(told)[c.measure])
        parts = [
            f"at {listed(heads)}{rivals}" for rivals, heads in sorted(same_rivals.items())
        ]  # first what all rows have
        but = caveats(told.rows[i], {c.measure.group for c in won})
        qualified = f" (but {'; '.join(but)})" * bool(but)
        found.append(f"{name(told.rows[i], told, True)} is best {', and '.join(parts)}{qualified}.")
    return found


def _among(contest: Contest, told: Report) -> str:
    """The rows that a number compares, where others on the same data lack it."""
    rivals = [told.rows[i] for i in contest.rivals]
    whole = len(rivals) == sum(row.data == contest.data for row in told.rows)
    return "" if whole else f" among {listed(_models(rivals, told, True))}"


def caveats(row: Row, groups: Collection[str]) -> list[str]:
    """What qualifies that a row is best at measures of these groups: its first fault that touches them, and remarks on its fit."""
    faults: dict[str, list[str]] = {}
    for finding in (finding for run in row.runs for finding in run.diagnosis):
        touched = TOUCHES.get("missing" if finding.kind.startswith("missing") else finding.kind, ())
        if touched is None or {*touched} & {*groups}:
            faults.setdefault(finding.kind, []).append(finding.text)
    remarks: dict[str, list[str]] = {}
    for remark in (remark for run in row.runs for remark in run.remarks):
        remarks.setdefault(_without_numbers(remark.text), []).append(remark.text)
    some = [*list(faults.values())[:1], *remarks.values()]
    return [_of_seeds(_together(texts), len(texts), len(row.runs)) for texts in some]


def _too_close(contests: list[Contest], told: Report) -> list[str]:
    close: dict[tuple[int, ...], list[str]] = {}
    for c in contests:
        if not c.won and not c.uncertain:
            close.setdefault(tuple(c.leaders), []).append(_ranked(told)[c.measure])
    if not close:
        return []
    fewest = sorted(
        close.items(), key=lambda item: len(item[0])
    )  # of two rivals there is more to know than of ten
    between = [
        f"{listed(heads)} between {listed(name(told.rows[i], told, True) for i in leaders)}"
        for leaders, heads in fewest
    ]
    more = (
        [f"{number(len(between) - MOST_NAMES)} more in the table"]
        if len(between) > MOST_NAMES
        else []
    )
    return [f"Too close to call: {'; '.join([*between[:MOST_NAMES], *more])}."]


def effects(told: Report) -> list[str]:
    """Which headline measures rise or fall all the way with a number that was swept, the other settings being the same.

    Only those of which the two ends are apart beyond doubt.
    """
    found = []
    for kind in dict.fromkeys(row.kind for row in told.rows):
        some = [row for row in told.rows if row.kind == kind]
        numbers = [
            name
            for name in swept(some)
            if name in telling(some) and name.rpartition(".")[2] != "seed"
        ]
        for setting in numbers:
            for rows in same_but(some, [setting]).values():
                rows = sorted(rows, key=lambda row: row.settings[setting])
                moves = (
                    [move for m in _ranked(told) for move in _moves(m, rows, told)]
                    if len(rows) >= FEWEST_VALUES
                    else []
                )
                if moves:
                    ends = " to ".join(short(row.settings[setting]) for row in (rows[0], rows[-1]))
                    found.append(
                        f"{_where(rows[0], some, setting, told)}{listed(moves[:MOST_NAMES])} as {setting} grows from {ends}."
                    )
    return found[:MOST_EFFECTS]


def _moves(measure: Measure, rows: list[Row], told: Report) -> list[str]:
    """How a measure changes along rows, if it always does so in one direction; else nothing."""
    values = [
        row.cells[measure]
        for row in rows
        if measure in row.cells and not row.cells[measure].lacking
    ]
    if len(values) < len(rows) or measure.group == "cost":
        return []
    steps = [after.mean - before.mean for before, after in pairwise(values)]
    word = (
        "rises"
        if all(step > 0 for step in steps)
        else "falls"
        if all(step < 0 for step in steps)
        else ""
    )
    first, last = values[0], values[-1]
    if not word or not apart(first, last):
        return []
    return [f"{_head(measure, told)} {word} from {_rounded(first.mean)} to {_rounded(last.mean)}"]


def _rounded(value: float) -> str:
    return brief(Value(value))


def _where(row: Row, alike: list[Row], setting: str, told: Report) -> str:
    """At which model, data and other settings, as far as a table has several."""
    others = _settings(row, alike, but=setting)
    of = f" of {row.kind[0]}" if len({other.kind[0] for other in told.rows}) > 1 else ""
    text = (f" at {' '.join(others)}" * bool(others) + of + _data(row, told.rows)).strip()
    return f"{text[0].upper()}{text[1:]}, " if text else ""


def warnings(told: Report) -> list[str]:
    """Which columns compare more than models: those of samples, where models draw them from different things."""
    found = []
    for data in dict.fromkeys(row.data for row in told.rows):
        drawn: dict[str, list[Row]] = {}
        for row in told.rows:
            if row.data == data and row.sampler and any(m.group == SAMPLES for m in row.cells):
                drawn.setdefault(row.sampler, []).append(row)
        rows = [row for some in drawn.values() for row in some]
        if len(drawn) > 1 and len({row.kind[0] for row in rows}) > 1:
            who = "; ".join(
                f"{sampler}: {listed(_models(some, told, True))}" for sampler, some in drawn.items()
            )
            found.append(
                f"{_on(data, told)}The columns of samples compare different samplers ({who}), so they rank a model together with "
                f"what its samples are drawn from.{_sampler_to_sweep(rows)}"
            )
    return found


def _sampler_to_sweep(rows: list[Row]) -> str:
    """What shows a sampler's part, where a model has the setting and has been run with one only."""
    has_setting = [row for row in rows if SAMPLER.name in row.settings]
    alone = [
        some
        for some in same_but(has_setting, [SAMPLER.name]).values()
        if len({row.sampler for row in some}) == 1
    ]
    return " Where a model has the setting, sampler=prior,gmm shows what it contributes." * bool(
        alone
    )


def gaps(told: Report, elsewhere: bool = False) -> list[str]:
    """Why cells of the overview are empty, a sentence for each reason and the rows that it holds for; `elsewhere` chooses
    those whose number is in another column."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for measure in told.overview:
        reasons: dict[str, list[Row]] = {}
        for row in told.rows:
            if (
                measure != SAMPLER
                and measure not in row.cells
                and (not elsewhere or _elsewhere(row, measure))
            ):
                reasons.setdefault(_reason(row, measure), []).append(row)
        for reason, rows in reasons.items():
            found.setdefault((reason, tuple(_models(rows, told))), []).append(_head(measure, told))
    return [
        f"No {listed(heads)} of {listed(whom)}: {reason}."
        for (reason, whom), heads in found.items()
    ]


def _elsewhere(row: Row, measure: Measure) -> Measure | None:
    """The measure of the same name that a row has, taken under other conditions."""
    return next(
        (
            other
            for other in row.cells
            if (other.name, other.group) == (measure.name, measure.group)
        ),
        None,
    )


def _reason(row: Row, measure: Measure) -> str:
    """Why a row has no such number."""
    from genbench.evaluation.registry import measures  # which takes torch

    run = row.runs[0]
    if measure.group in SPLITS or measure.model:
        return "it is a term of another model's objective, or of another part of the data"
    if other := _elsewhere(row, measure):
        return f"the number does not compare, as it is {_contrast(other, measure)}; it stands among all measures"
    if not any(run.has_card for run in row.runs):
        return f"evaluation=none; genbench evaluate {quoted(run.path)} measures it"
    known = measures().get(measure.name)
    for ability in known.needs if known and run.abilities is not None else ():
        if ability not in run.abilities:
            return LACKS.get(ability, f"it cannot {ability}")
    if not any(run.has_whole_card for run in row.runs):
        return f"it was not asked for; genbench evaluate {quoted(run.path)} metrics={measure.name} measures it"
    if known and known.only:
        return f"it is measured only {known.only}"
    return "there were too few points, or something was not finite"


def _contrast(one: Measure, other: Measure) -> str:
    """In what two measures of one name differ, in words; of what they are of, the first part that differs."""
    found = []
    for field, word in CONDITIONS.items():
        pairs = zip_longest(*(getattr(m, field).split("; ") for m in (one, other)), fillvalue="")
        found += [
            f"{word}{mine or 'the usual'}, not {yours or 'the usual'}"
            for mine, yours in pairs
            if mine != yours
        ][:1]
    return " and ".join(found)


def problems(told: Report) -> list[Problem]:
    """What was diagnosed and remarked, each kind of problem once, the worst first; numbers that differ are given as a range."""
    groups: dict[str, list[tuple[Row, list[Finding]]]] = {}
    places: dict[str, int] = {}  # in a diagnosis, which begins with what explains most
    for row in told.rows:
        of_row: dict[str, list[Finding]] = {}
        for run in row.runs:
            findings = {
                _without_numbers(finding.kind): finding
                for finding in [*run.diagnosis, *run.remarks]
            }
            for place, (kind, finding) in enumerate(findings.items()):
                of_row.setdefault(kind, []).append(finding)
                is_fault = finding.kind != NOTE and finding in run.diagnosis
                places[kind] = min(places.get(kind, LAST), place if is_fault else LAST)
        for kind, findings in of_row.items():
            groups.setdefault(kind, []).append((row, findings))
    found = {}
    for kind, some in groups.items():
        settings: dict[str, list[str]] = {}
        for row, findings in some:
            for setting in dict.fromkeys(
                finding.setting for finding in findings if finding.setting
            ):
                settings.setdefault(setting, []).append(name(row, told))
        rows = [_of_seeds(name(row, told), len(findings), len(row.runs)) for row, findings in some]
        found[kind] = Problem(
            _together([f.text for _, findings in some for f in findings]),
            rows,
            [*settings.items()],
            places[kind] < LAST,
        )
    return [
        found[kind]
        for kind in sorted(found, key=lambda kind: (places[kind], -len(found[kind].rows)))
    ]


def worst(told: Report) -> list[str]:
    """The first lines of a diagnosis, for where there is little room."""
    found = [problem for problem in problems(told) if problem.is_fault]
    lines = []
    for text, rows, settings, _ in found[:MOST_PROBLEMS]:
        alike = len(settings) == 1 and len(settings[0][1]) == len(
            rows
        )  # so that the setting is for all of them
        tried = "; or ".join(
            setting if alike else f"{setting} ({listed(whom)})"
            for setting, whom in settings[:MOST_PROBLEMS]
        )
        lines.append(f"diagnosis of {listed(rows)}: {text}" + f"; try {tried}" * bool(tried))
    return lines + [f"diagnosis: {number(len(found) - MOST_PROBLEMS)} more in the page"] * (
        len(found) > MOST_PROBLEMS
    )


def _of_seeds(text: str, count: int, seeds: int) -> str:
    return f"{text} ({count} of {seeds} seeds)" if count < seeds else text


def _without_numbers(text: str) -> str:
    return NUMBER.sub("#", text)


def _together(texts: list[str]) -> str:
    """Texts as one, in which numbers that differ are ranges."""
    alike: dict[str, list[str]] = {}
    for text in texts:
        alike.setdefault(_without_numbers(text), []).append(text)
    return "; or ".join(map(_over, alike.values()))


def _over(texts: list[str]) -> str:
    """Texts that differ in nothing but numbers as one, with the range of each number."""
    columns = zip(*(NUMBER.findall(text) for text in texts))
    ranges = iter([_range([*column]) for column in columns])
    return NUMBER.sub(lambda match: next(ranges), texts[0])


def _range(words: list[str]) -> str:
    values = sorted(dict.fromkeys(words), key=lambda word: float(word.replace(",", "")))
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"


# --- names ----------------------------------------------------------------------------------------------------


def name(row: Row, told: Report, on_data: bool = False) -> str:
    """What a row is called in a sentence: what tells it from the others in the table, or from those on the same data.

    Its model and, in brackets, settings; where all are of one model, the settings alone, as one would type them.
    """
    rows = _rows_beside(row, told, on_data)
    settings = _settings(row, [other for other in rows if other.kind == row.kind])
    several_models = len({other.kind[0] for other in rows}) > 1
    if several_models or not settings:
        text = row.kind[0] + f" ({', '.join(settings)})" * bool(settings)
    else:
        text = " ".join(settings)
    return text + _data(row, rows)


def _rows_beside(row: Row, told: Report, on_data: bool) -> list[Row]:
    return [other for other in told.rows if other.data == row.data] if on_data else told.rows


def _settings(row: Row, alike: list[Row], but: str = "") -> list[str]:
    """The settings that tell a row from these, as one would type them."""
    return [
        f"{s}={short(row.settings[s])}" for s in telling(alike) if s in row.settings and s != but
    ]


def _data(row: Row, rows: list[Row]) -> str:
    """The data of a row, where rows have several."""
    return f" on {row.kind[1]}" if len({other.kind[1] for other in rows}) > 1 else ""


def _models(rows: list[Row], told: Report, on_data: bool = False) -> list[str]:
    """The rows by their models alone, where these rows are all that there are of a model."""
    found: dict[str, None] = {}
    for row in rows:
        beside = _rows_beside(row, told, on_data)
        whole = all(any(other is one for one in rows) for other in beside if other.kind == row.kind)
        found[row.kind[0] + _data(row, beside) if whole else name(row, told, on_data)] = None
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
    yield from effects(told)
    yield from warnings(told)
    yield from gaps(told)


def said_at_the_end(told: Report) -> list[str]:
    """What a terminal says of them: no gap that follows from what a model is, and the worst of the diagnosis."""
    return [
        *verdicts(told),
        *effects(told),
        *warnings(told),
        *gaps(told, elsewhere=True),
        *worst(told),
    ]

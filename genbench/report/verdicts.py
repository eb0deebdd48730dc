"""A report in sentences: who is best at what, what settings change, what misleads."""

from collections.abc import Callable, Iterator
from itertools import pairwise

from genbench.report.diagnosis import caveats, shared_caveats
from genbench.report.gaps import gaps
from genbench.report.names import model_names, row_name, settings_in_words
from genbench.report.quantities import SAMPLES, Value, brief_value
from genbench.report.ranking import Contest, apart
from genbench.report.rows import TableRow, chosen_settings, same_but, swept_numbers
from genbench.report.table import SAMPLER, Column, Report, Section
from genbench.report.words import MOST_NAMES, listed, short
from genbench.utils.text import number

MOST_SENTENCES, MOST_EFFECTS = 12, 4
FEWEST_VALUES = 3  # of a setting, along which a measure may be said to rise or fall
FEWEST_SEEDS = 3  # for an interval over the seeds that says something


def sentences(report: Report) -> Iterator[str]:
    """All sentences of a report but the diagnosis, the most important first."""
    yield from different_data(report)
    for section in report.sections:
        yield from section_sentences(section, report)
        yield from gaps(section, report)


def section_sentences(section: Section, report: Report) -> Iterator[str]:
    """The sentences on one dataset but why its cells are empty."""
    yield from winners(section, report)
    yield from effects(section, report)
    yield from undecided(section, report)
    yield from sampler_warnings(section, report)


def different_data(report: Report) -> list[str]:
    """That runs on different data are not compared, once for all of them."""
    datasets = [section.dataset for section in report.sections]
    found = []
    if len(datasets) > 1:
        found.append(f"Runs on different data are not compared: {listed(datasets, 6)}.")
    for section in report.sections:
        data = {row.data for row in section.rows}
        names = [n for n in section.settings if n.startswith("dataset.")]
        if len(data) > 1 and names:
            found.append(
                f"Runs on {section.dataset} with another {listed(names)} have other data: "
                "they are not compared."
            )
    return found


def notes(report: Report) -> list[str]:
    """How to read the numbers of a table."""
    values = [v for row in report.rows for v in row.cells.values()]
    best = [s.rows[i].cells[quantity] for s in report.sections for i, quantity in s.best]
    found = []
    if best:
        found.append(
            "* and bold: the best on the same data, where one direction is better (↓ lower, "
            "↑ higher) and its 95 % interval is apart from all others."
        )
    if any(value.seeds == 1 for value in best):
        found.append(
            "With one seed that interval says nothing of another training: seed=0,1,2 does."
        )
    if any(value.seeds > 1 for value in values):
        found.append("±: 95 % by Student's t over the seeds.")
    return [*found, *few_seeds(report)]


def few_seeds(report: Report) -> list[str]:
    """That an interval over two seeds is too wide to say anything."""
    if not any(len(row.runs) == FEWEST_SEEDS - 1 for row in report.rows):
        return []
    return ["Two seeds are too few for a useful interval: seed=0,1,2 gives one."]


# --- who is best ----------------------------------------------------------------------------------


Compared = list[tuple[Contest, Column]]


def winners(section: Section, report: Report) -> list[str]:
    """Who is best at what, as far as intervals say."""
    return _of_each_data(section, report, _won)


def undecided(section: Section, report: Report) -> list[str]:
    """What is too close to call, and where no interval is known."""
    return _of_each_data(section, report, _too_close, _unsure)


def _of_each_data(
    section: Section, report: Report, *kinds: Callable[[Compared, Section], list[str]]
) -> list[str]:
    """Sentences of these kinds on the comparisons, by the data that they are on."""
    found = []
    heads = {q: c for c in section.ranked_columns for q in [c.quantity, *c.by_data.values()]}
    for data in dict.fromkeys(c.data for c in section.contests):
        mine = [
            (contest, heads[contest.quantity])
            for contest in section.contests
            if contest.data == data and contest.quantity in heads
        ]
        texts = [text for kind in kinds for text in kind(mine, section)]
        found += [on_data(data, section, report) + text for text in texts]
    if len(found) <= MOST_SENTENCES:
        return found
    more = len(found) - MOST_SENTENCES + 1
    return [*found[: MOST_SENTENCES - 1], f"The table has {more} more such comparisons."]


def _won(compared: Compared, section: Section) -> list[str]:
    """A sentence for each row that is best at something: among whom, and what qualifies it."""
    by_winner: dict[int, Compared] = {}
    for contest, column in compared:
        if contest.won:
            by_winner.setdefault(contest.leaders[0], []).append((contest, column))
    found = []
    for i, won in sorted(by_winner.items(), key=lambda item: -len(item[1])):
        among: dict[str, list[str]] = {}
        for contest, column in won:
            among.setdefault(_among(contest, section), []).append(column.name)
        # The measures that all rows have come first.
        parts = [f"at {listed(names)}{rivals}" for rivals, names in sorted(among.items())]
        but = caveats(section.rows[i], {contest.quantity.group for contest, _ in won})
        qualified = f" (but {'; '.join(but)})" if but else ""
        name = row_name(section.rows[i], _on_same_data(section.rows[i], section))
        found.append(f"{name} is best {', and '.join(parts)}{qualified}.")
    return found


def _among(contest: Contest, section: Section) -> str:
    """The rows that a number compares, where others on the same data lack it."""
    rivals = [section.rows[i] for i in contest.rivals]
    rows = [row for row in section.rows if row.data == contest.data]
    return "" if len(rivals) == len(rows) else f" among {listed(model_names(rivals, rows))}"


def _too_close(compared: Compared, section: Section) -> list[str]:
    """A sentence on all ties, with what qualifies the rows that it names."""
    ties: dict[tuple[int, ...], list[Column]] = {}
    for contest, column in compared:
        if not contest.won and not contest.uncertain:
            ties.setdefault(tuple(contest.leaders), []).append(column)
    if not ties:
        return []
    names = {i: row_name(r, _on_same_data(r, section)) for i, r in enumerate(section.rows)}
    groups: dict[int, set[str]] = {}  # of the measures that a row ties at
    texts = []
    for leaders, columns in sorted(ties.items(), key=lambda item: len(item[0]))[:MOST_NAMES]:
        who = listed(names[i] for i in leaders)
        texts.append(f"{listed(column.name for column in columns)} between {who}")
        for i in leaders:
            groups.setdefault(i, set()).update(column.quantity.group for column in columns)
    if len(ties) > MOST_NAMES:
        texts.append(f"{number(len(ties) - MOST_NAMES)} more in the table")
    but = shared_caveats((names[i], section.rows[i], some) for i, some in groups.items())
    qualified = f" (but {'; '.join(but)})" if but else ""
    return [f"Too close to call: {'; '.join(texts)}{qualified}."]


def _unsure(compared: Compared, section: Section) -> list[str]:
    """Where no interval is known of the best, so that nothing can be said."""
    unsure: dict[str, list[str]] = {}
    for contest, column in compared:
        if contest.uncertain:
            rows = [section.rows[i] for i in contest.leaders]
            lack = [row for row in rows if row.cells[contest.quantity].low is None]
            who = listed(row_name(row, section.rows) for row in lack)
            unsure.setdefault(who, []).append(column.name)
    return [
        f"Nobody is called best at {listed(names)}: no interval is known for {who}; "
        "seed=0,1,2 may give one."
        for who, names in unsure.items()
    ]


# --- what settings change -------------------------------------------------------------------------


def effects(section: Section, report: Report) -> list[str]:
    """Which measures rise or fall all the way with a number that was swept, all else being equal.

    Only those of which the two ends are clearly apart.
    """
    found = []
    for model in dict.fromkeys(row.model for row in section.rows):
        some = [row for row in section.rows if row.model == model]
        chosen = [n for n in swept_numbers(some) if n in chosen_settings(some)]
        for setting in (n for n in chosen if n.rpartition(".")[2] != "seed"):
            for rows in same_but(some, [setting]):
                ordered = sorted(rows, key=lambda row: row.settings[setting])
                moves = [m for c in section.ranked_columns for m in _moves(c, ordered)]
                if len(ordered) < FEWEST_VALUES or not moves:
                    continue
                ends = " to ".join(short(r.settings[setting]) for r in (ordered[0], ordered[-1]))
                where = _where(ordered[0], some, setting, section, report)
                found.append(f"{where}{listed(moves[:MOST_NAMES])} as {setting} grows from {ends}.")
    return found[:MOST_EFFECTS]


def _moves(column: Column, rows: list[TableRow]) -> list[str]:
    """How a measure changes along rows, if it always does so in one direction; else nothing."""
    if column.quantity.group == "cost":
        return []
    values = [value for row in rows if (value := column.value(row)) and not value.lacking]
    if len(values) < len(rows):
        return []
    steps = [after.mean - before.mean for before, after in pairwise(values)]
    rises, falls = all(step > 0 for step in steps), all(step < 0 for step in steps)
    first, last = values[0], values[-1]
    if not (rises or falls) or not apart(first, last):
        return []
    start, end = (brief_value(Value(value.mean)) for value in (first, last))
    return [f"{column.name} {'rises' if rises else 'falls'} from {start} to {end}"]


def _where(
    row: TableRow, alike: list[TableRow], setting: str, section: Section, report: Report
) -> str:
    """At which other settings, model and data, as far as there are several."""
    others = settings_in_words(row, alike, [setting])
    parts = [f"at {' '.join(others)}"] if others else []
    parts += [f"of {row.model}"] if len({r.model for r in section.rows}) > 1 else []
    parts += [f"on {row.dataset}"] if len(report.sections) > 1 else []
    text = " ".join(parts)
    return f"{text[0].upper()}{text[1:]}, " if text else ""


# --- what misleads --------------------------------------------------------------------------------


def sampler_warnings(section: Section, report: Report) -> list[str]:
    """Where the columns of samples compare more than models, as samples are drawn differently."""
    found = []
    for data in dict.fromkeys(row.data for row in section.rows):
        drawn: dict[str, list[TableRow]] = {}
        for row in section.rows:
            has_samples = any(quantity.group == SAMPLES for quantity in row.cells)
            if row.data == data and row.sampler and has_samples:
                drawn.setdefault(row.sampler, []).append(row)
        rows = [row for some in drawn.values() for row in some]
        if len(drawn) > 1 and len({row.model for row in rows}) > 1:
            among = [row for row in section.rows if row.data == data]
            who = "; ".join(f"{s}: {listed(model_names(r, among))}" for s, r in drawn.items())
            found.append(
                f"{on_data(data, section, report)}The columns of samples compare different "
                f"samplers ({who}), so they rank a model together with its sampler."
                f"{_sampler_to_sweep(rows)}"
            )
    return found


def _sampler_to_sweep(rows: list[TableRow]) -> str:
    """What shows the part of the sampler, where a model has been run with only one."""
    has_setting = [row for row in rows if SAMPLER.name in row.settings]
    groups = same_but(has_setting, [SAMPLER.name])
    if not any(len({row.sampler for row in group}) == 1 for group in groups):
        return ""
    return " Where a model has the setting, sampler=prior,gmm shows what it contributes."


# --- where ----------------------------------------------------------------------------------------


def on_data(data: tuple[str, ...], section: Section, report: Report) -> str:
    """On which data, where there are several."""
    if len(report.sections) == 1 and len({row.data for row in section.rows}) == 1:
        return ""
    shown = [word for word in data[1:] if word.partition("=")[0] in section.settings]
    return f"On {', '.join([data[0], *shown])}: "


def _on_same_data(row: TableRow, section: Section) -> list[TableRow]:
    return [other for other in section.rows if other.data == row.data]

"""A table of the page of a report, and what the page shows of a search, which is mostly one."""

from dataclasses import dataclass

from genbench.report.searches import SearchResult, best_commands, brief, search_sentences
from genbench.utils.text import number


@dataclass(frozen=True)
class HtmlCell:
    """A cell of a table: its text, the key that it is sorted by, and how good its number is.

    `standing` is from 0 to 1, None where nothing ranks it. `best` is set only where it clearly is.
    """

    text: str
    key: str | float
    standing: float | None = None
    more: str = ""
    best: bool = False


@dataclass(frozen=True)
class HtmlTable:
    """Groups of columns with their widths, heads with whether they are of numbers, and lines.

    The last `real` lines are of real data, which nothing ranks.
    """

    groups: list[tuple[str, int]]
    heads: list[tuple[str, bool]]
    lines: list[list[HtmlCell]]
    real: int


@dataclass(frozen=True)
class HtmlSearch:
    """What the page shows of one search."""

    name: str
    sentences: list[str]
    commands: list[str]
    trials: HtmlTable


def html_search(search: SearchResult) -> HtmlSearch:
    """The sentences, commands and table of a search."""
    heads = [(name, True) for name in search.settings]
    heads += [(f"{goal.name} ({goal.direction})", True) for goal in search.goals]
    lines = []
    for trial in search.trials:
        cells = [HtmlCell(str(trial.number), trial.number)]
        for name in search.settings:
            setting = trial.settings.get(name, "")
            cells.append(HtmlCell(brief(setting), setting, more=setting))
        cells += [HtmlCell(number(value), value) for value in trial.values]
        cells += [HtmlCell("", "")] * (len(search.goals) - len(trial.values))
        state = f"{trial.state}, best" if trial.is_best else trial.state
        cells += [HtmlCell(state, state), HtmlCell(str(trial.epochs), trial.epochs)]
        lines.append([*cells, HtmlCell(trial.directory, trial.directory)])
    heads = [("trial", True), *heads, ("state", False), ("epochs", True), ("folder", False)]
    table = HtmlTable([("", len(heads))], heads, lines, 0)
    return HtmlSearch(search.folder, search_sentences(search), best_commands(search), table)

"""Charts of a search: its trials in order and by setting, importances, and a Pareto front."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from genbench.figures.canvas import BLUE, GREY, INK, ORANGE, Canvas, unmathed
from genbench.report.chart_panels import SINGLE, Series, label, panels, space
from genbench.report.quantities import Value
from genbench.report.searches import ReportTrial, SearchResult
from genbench.report.words import is_number

MOST_SLICES = 8  # settings with a panel of their own
BAR = 26  # pixels of a bar with the gap below it
TRIAL_MARKS = {"done": (BLUE, "o"), "pruned": (GREY, "x")}
TRIAL_WORDS = {"done": "finished", "pruned": "pruned, at its last epoch"}


def search_charts(search: SearchResult) -> Iterator[tuple[str, Canvas]]:
    """The charts of a search by name, as many as there is something to show of."""
    if len(search.goals) == 2:
        if len(search.done) > 1:
            yield f"search_front_{search.folder}", front(search)
    elif len(_valued(search)) > 1:
        yield f"search_trials_{search.folder}", trials(search)
    if search.importances and search.settings:
        yield f"search_importances_{search.folder}", importances(search)


def _valued(search: SearchResult) -> list[ReportTrial]:
    return [trial for trial in search.trials if trial.values and trial.state in TRIAL_MARKS]


def _title(search: SearchResult) -> str:
    return f"search in {search.folder}"


def trials(search: SearchResult) -> Canvas:
    """The number to optimize by trial, with the best so far, and against each varied setting."""
    some, goal = _valued(search), search.goals[0]
    shown = [name for name in search.settings if _are_numbers(some, name)][:MOST_SLICES]
    note = f"{goal.name}, to {goal.direction}, of {search.counts}"
    canvas, all_axes = panels(["in order", *shown], _legend(some), _title(search), note)
    for axes, name in zip(all_axes, [None, *shown], strict=True):
        for state, (colour, mark) in TRIAL_MARKS.items():
            own = [trial for trial in some if trial.state == state]
            x = [trial.number if name is None else float(trial.settings[name]) for trial in own]
            y = [trial.values[0] for trial in own]
            if own:
                axes.scatter(x, y, s=18, c=colour, marker=mark, label=TRIAL_WORDS[state])
        axes.set(xlabel=unmathed(name or "trial"), ylabel=unmathed(goal.name))
        if name is not None:
            space(axes, [float(trial.settings[name]) for trial in some])
    _draw_best_so_far(all_axes[0], search)
    below = (-0.02, -38 / all_axes[0].bbox.height)
    style: dict[str, Any] = {"frameon": False, "fontsize": 8, "borderpad": 0}
    all_axes[0].legend(loc="upper left", bbox_to_anchor=below, **style)
    return canvas


def _legend(some: Sequence[ReportTrial]) -> list[Series]:
    """A line of the legend for each kind of mark, and one for the best so far."""
    states = dict.fromkeys(trial.state for trial in some)
    return [Series(word, [], []) for word in [*states, "best so far"]]


def _draw_best_so_far(axes: Any, search: SearchResult) -> None:
    done, goal = search.done, search.goals[0]
    lowest = accumulate((goal.sign * trial.values[0] for trial in done), min)
    best = [goal.sign * value for value in lowest]
    x = [trial.number for trial in done]
    axes.step(x, best, where="post", color=ORANGE, lw=1.4, label="best so far")


def _are_numbers(some: Sequence[ReportTrial], name: str) -> bool:
    try:
        return all(is_number(float(trial.settings[name])) for trial in some)
    except (KeyError, ValueError):
        return False


def front(search: SearchResult) -> Canvas:
    """Both numbers of every trial, with a line through those that no other beats in both."""
    across, up = search.goals
    note = f"{up.name} against {across.name}, of {search.counts}; orange: the front"
    line = [Series("", [], [])]
    canvas, (axes,) = panels([""], line, _title(search), note, **SINGLE)
    done = search.done
    x, y = ([trial.values[i] for trial in done] for i in range(2))
    axes.scatter(x, y, s=18, c=BLUE)
    best = sorted(search.best, key=lambda trial: trial.values)
    ends = [[trial.values[i] for trial in best] for i in range(2)]
    axes.plot(*ends, color=ORANGE, lw=1.4, marker="o", ms=5)
    axes.set(
        xlabel=unmathed(f"{across.name}, to {across.direction}"),
        ylabel=unmathed(f"{up.name}, to {up.direction}"),
    )
    x_best, y_best = ([Value(value) for value in some] for some in ends)
    label(axes, [Series("", x_best, y_best, [trial.label for trial in best])])
    return canvas


def importances(search: SearchResult) -> Canvas:
    """For each goal a bar per setting: how much it matters for being among the best trials."""
    names = [goal.name for goal in search.goals]
    high = BAR * len(search.settings) + BAR
    note = f"how much each setting matters for being among the best, of {search.counts}"
    canvas, all_axes = panels(names, [Series("", [], [])], _title(search), note, high=high)
    for axes, shares in zip(all_axes, search.importances, strict=False):
        order = sorted(shares.items(), key=lambda item: item[1])
        bars = axes.barh([unmathed(n) for n, _ in order], [s for _, s in order], color=BLUE)
        axes.bar_label(bars, [f"{100 * s:.0f} %" for _, s in order], size=8, color=INK, padding=3)
        axes.set_xlim(0, 1.15)
        axes.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f} %")
        axes.grid(visible=False, axis="y")
    return canvas

"""Who is best at what: rows on the same data compared by each measure with a direction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from genbench.report.quantities import SAME, Quantity, Value, in_range
from genbench.report.rows import TableRow

TIMES = ("seconds", "fit_seconds", "images_per_second")  # depend on what else the machine does


@dataclass(frozen=True)
class Contest:
    """Rows on the same data compared by one measure, by their numbers, best first.

    `leaders` are the best and those whose intervals overlap with its own, `rivals` all that have
    the number. `uncertain` says that the interval of a leader is not known.
    """

    data: tuple[str, ...]
    quantity: Quantity
    leaders: list[int]
    rivals: list[int]
    uncertain: bool

    @property
    def won(self) -> bool:
        """Whether one row is clearly the best."""
        return len(self.leaders) == 1 and not self.uncertain


def is_ranked(quantity: Quantity) -> bool:
    """Whether a better number of this says something about the model."""
    return bool(quantity.better) and quantity.name not in TIMES


def standings(rows: Sequence[TableRow]) -> dict[tuple[int, Quantity], float]:
    """Where each row stands in each measure among rows on the same data, from 0 (worst) to 1.

    That is the share of the other values that it is better than. Rows that have the number for
    some seeds only have no place, nor do rows that are all alike.
    """
    lines = [
        (i, row.data, quantity, in_range(quantity, value).mean)
        for i, row in enumerate(rows)
        for quantity, value in row.cells.items()
        if is_ranked(quantity) and not value.lacking
    ]
    quantities = [*dict.fromkeys(line[2] for line in lines)]
    codes = {quantity: code for code, quantity in enumerate(quantities)}
    table = pd.DataFrame(
        {
            "row": [line[0] for line in lines],
            "data": [repr(line[1]) for line in lines],
            "quantity": [codes[line[2]] for line in lines],
            "goodness": [v if q.better == "higher" else -v for _, _, q, v in lines],
        }
    )
    if table.empty:
        return {}
    groups = table.groupby(["data", "quantity"])["goodness"]
    place = groups.rank(method="dense") - 1
    places = groups.transform("nunique") - 1
    table = table.assign(standing=place / places)[places > 0]
    return {
        (int(row), quantities[code]): float(standing)
        for row, code, standing in zip(
            table["row"], table["quantity"], table["standing"], strict=True
        )
    }


def contests(rows: Sequence[TableRow], quantities: Sequence[Quantity]) -> list[Contest]:
    """The comparisons by each measure, one for each data on which several rows have it."""
    found = []
    for quantity in filter(is_ranked, quantities):
        for data in dict.fromkeys(row.data for row in rows):
            mine = {
                i: in_range(quantity, row.cells[quantity])
                for i, row in enumerate(rows)
                if row.data == data and quantity in row.cells
            }
            if len({value.mean for value in mine.values()}) < 2:
                continue
            whole = [i for i, value in mine.items() if not value.lacking]
            sign = -1 if quantity.better == "higher" else 1
            order = sorted(whole, key=lambda i: sign * mine[i].mean)
            if order:
                best = order[0]
                leaders = [i for i in order if i == best or not apart(mine[best], mine[i])]
                uncertain = any(mine[i].low is None for i in leaders)
                found.append(Contest(data, quantity, leaders, [*mine], uncertain))
    return found


def apart(one: Value, other: Value) -> bool:
    """Whether the intervals of two numbers do not overlap, so that one is clearly better.

    Over seeds, an interval must also hold for other test points: the spread over the seeds and the
    interval that each run has measured are independent errors, so their squares are added.
    Numbers without an interval are never apart.
    """
    low, high = sorted((one, other), key=lambda value: value.mean)
    if low.high is None or high.low is None:
        return False
    if math.isclose(low.mean, high.mean, rel_tol=SAME):
        return False
    reach_up = math.hypot(low.high - low.mean, low.within)
    reach_down = math.hypot(high.mean - high.low, high.within)
    return low.mean + reach_up < high.mean - reach_down

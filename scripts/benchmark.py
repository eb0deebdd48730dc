"""Time genbench against its peers on MNIST, side by side, one row for each kind of work.

    python scripts/benchmark.py --root FOLDER_ABOVE_MNIST [--rounds 3] [--only TEXT ...]
                                [--json FILE] [--chart FILE.png]

Each row does the same work in two ways, in turn, so that both see the same machine: genbench's way
and its peer's, which is scikit-learn, a loop written by hand on the same networks, or genbench's
own slower way. A row's figure is the median, over the rounds, of the ratio of their seconds (in two
rows the difference, or genbench's seconds alone); it is listed with the least and the largest, and
with the goal. Rounds run in one process, except for whole commands.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_rows import Bench
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table


def table(found: list[dict[str, Any]]) -> Table:
    """The rows that were timed."""
    shown = Table(title=f"{torch.get_num_threads()} threads", title_justify="left")
    for name in ("work", "genbench", "peer", "figure", "from", "to", "goal", "met"):
        shown.add_column(name, justify="left" if name in ("work", "peer") else "right")
    for row in found:
        peer = f"{row['peer']}, {row['of_peer']:.3g}" if row["peer"] else ""
        numbers = [f"{row[name]:.3g}" for name in ("median", "least", "largest", "goal")]
        met = "yes" if row["met"] else "no"
        shown.add_row(row["name"], f"{row['genbench']:.3g}", peer, *numbers, met)
    return shown


def chart(found: list[dict[str, Any]], path: Path) -> None:
    """Draw the ratios, each with its range and its goal."""
    ratios = [row for row in found if row["figure"] == "ratio"][::-1]
    figure = Figure(figsize=(8, 0.45 * len(ratios) + 1.2), layout="constrained")
    axes = figure.subplots()
    places = range(len(ratios))
    middle = np.array([row["median"] for row in ratios])
    below = middle - [row["least"] for row in ratios]
    above = np.array([row["largest"] for row in ratios]) - middle
    axes.barh(places, middle, xerr=[below, above], color="C0", height=0.6, label="median and range")
    goals = [row["goal"] for row in ratios]
    axes.scatter(goals, places, marker="|", s=250, color="C1", label="goal", zorder=3)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(places, [f"{row['name']}\nagainst {row['peer']}" for row in ratios], fontsize=7)
    axes.set_xlabel("time of genbench / time of its peer (memory in the last row)")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Time the rows, print their table, and write it where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[""], help="rows whose name contains one")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--chart", type=Path, help="file to draw the ratios in")
    given = parser.parse_args()
    bench, console, found = Bench(os.path.abspath(given.root)), Console(), []
    for rows in (bench.classical, bench.gradient, bench.commands):
        for row in rows():
            if any(text in row.name for text in given.only):
                console.print(f"{row.name} ...", style="dim")
                found.append(row.timed(given.rounds))
    console.print(table(found))
    if given.json:
        facts = {"threads": torch.get_num_threads(), "rounds": given.rounds, "rows": found}
        given.json.write_text(json.dumps(facts, indent=1) + "\n")
    if given.chart:
        chart(found, given.chart)


if __name__ == "__main__":
    main()

"""Time genbench against its peers on MNIST, side by side, one row for each kind of work.

    python scripts/benchmark.py --root FOLDER_ABOVE_MNIST [--rounds 3] [--only TEXT ...]
                                [--json FILE] [--chart FILE.png] [--page FILE.md]
    python scripts/benchmark.py --from FILE [--chart FILE.png] [--page docs/performance.md]

Each row does the same work in two ways, in turn, so that both see the same machine: genbench's way
and its peer's, which is scikit-learn, pythae, a loop written by hand on the same networks, or
genbench's own slower way. A row's figure is the median, over the rounds, of the ratio of the two
(in some rows of the difference, or genbench's seconds alone); it is listed with the least and the
largest, and with the goal. Each row has a process of its own, so that neither the threads nor the
memory of one disturb the next. All takes ten to twenty-five minutes.
"""

import argparse
import json
import multiprocessing
import os
import platform
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import benchmark_classical
import benchmark_commands
import benchmark_gradient
import benchmark_larger
import numpy as np
import torch
from benchmark_rows import Bench, Row, Skipped
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

ROWS: list[Row] = [
    *benchmark_classical.ROWS,
    *benchmark_gradient.ROWS,
    *benchmark_commands.ROWS,
    *benchmark_larger.ROWS,
]
FIGURES = {"ratio": "", "seconds beyond": " s beyond", "seconds": " s"}


def timed(i: int, root: str, rounds: int) -> dict[str, Any]:
    """A row, timed in this process; raises Skipped."""
    return ROWS[i].timed(Bench(root), rounds)


def timed_rows(
    only: list[str], root: str, rounds: int, console: Console
) -> Iterator[dict[str, Any]]:
    """Time the rows whose name or peer contains one of the texts, each in a new process.

    Yields what is known after each row, so that a benchmark that is stopped loses one row.
    """
    rows: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    libraries = ("torch", "scikit-learn", "numpy")
    machine = {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }
    for i, row in enumerate(ROWS):
        if not any(text in f"{row.name}, {row.peer}" for text in only):
            continue
        console.print(f"{row.name}, {row.peer} ...", style="dim")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            try:
                rows.append(process.submit(timed, i, root, rounds).result())
            except Skipped as reason:
                skipped.append({"name": row.name, "peer": row.peer, "reason": str(reason)})
                console.print(f"  left out: {reason}")
        yield {"machine": machine, "rows": rows, "skipped": skipped}


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row as text: work, genbench, peer, figure with its range, goal, whether it is met."""
    unit, of_figure = row["unit"], FIGURES[row["figure"]]
    peer = f"{row['peer']}, {row['of_peer']:.3g} {unit}" if row["peer"] else ""
    return (
        row["name"],
        f"{row['genbench']:.3g} {unit}",
        peer,
        f"{row['median']:.3g}{of_figure} ({row['least']:.3g} to {row['largest']:.3g})",
        f"{row['goal']:g}{of_figure}",
        "yes" if row["met"] else "no",
    )


HEADINGS = ("work", "genbench", "peer", "figure", "goal", "met")
BEGIN, END = "<!-- rows of scripts/benchmark.py -->", "<!-- end -->"  # around the table of a page


def table(rows: list[dict[str, Any]], title: str) -> Table:
    """The rows for a terminal."""
    shown = Table(*HEADINGS, title=title, title_justify="left")
    for row in rows:
        shown.add_row(*cells(row))
    return shown


def markdown(found: dict[str, Any]) -> str:
    """The rows as a table of Markdown, and a line about the machine."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *map(cells, found["rows"])]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    facts = found["machine"]
    libraries = [f"{name} {facts[name]}" for name in facts if name not in ("cores", "threads")]
    machine = f"{facts['cores']} cores, {facts['threads']} threads, {', '.join(libraries)}"
    return f"{table}\n\n*{machine}*"


def write_into(page: Path, text: str) -> None:
    """Put a text between the two marks of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def chart(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the ratios, each with its range and its goal."""
    ratios = [row for row in rows if row["figure"] == "ratio"][::-1]
    figure = Figure(figsize=(8, 0.42 * len(ratios) + 1.2), layout="constrained")
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
    axes.set_xlabel("genbench / its peer: seconds, or memory where it says so")
    axes.set_xlim(left=0)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def write(file: Path | None, found: dict[str, Any]) -> None:
    """Write the rows so far, if they are wanted."""
    if file is not None:
        file.write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    """Time the rows or read them, print their table, and write it where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--root", help="folder that holds MNIST/raw")
    source.add_argument("--from", dest="file", type=Path, help="file that --json has written")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[""], help="rows whose name contains one")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--chart", type=Path, help="file to draw the ratios in")
    parser.add_argument("--page", type=Path, help="page of Markdown to put the table into")
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each compiles all of genbench
    console = Console()
    if given.file:
        found = json.loads(given.file.read_text())
    else:
        root = os.path.abspath(given.root)
        for found in timed_rows(given.only, root, given.rounds, console):
            write(given.json, found)
    rows, threads = found["rows"], found["machine"]["threads"]
    if given.chart:
        chart(rows, given.chart)
    if given.page:
        write_into(given.page, markdown(found))
    console.print(table(rows, f"{threads} threads"))


if __name__ == "__main__":
    main()

"""`genbench verify`: runs recipes, compares what they measure with what is expected, and leaves a
table of which hold.

In outputs/verify_TIME/, TensorBoard's to see as any folder of runs:
    NAME/seed-S/        a recipe's run; NAME/seed-S/0, 1, ... where it has several. A run that
                        several recipes need is made once, for the first of them
    NAME/error.txt      the traceback of one that failed
    table.md, table.json
"""

import io
import json
import os
import platform
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genbench import __version__
from genbench.config.registry import Registry
from genbench.utils.errors import UserError
from genbench.utils.text import counted
from genbench.verification.outcome import OUTCOME_STYLES, Found, Outcome, markdown_row
from genbench.verification.recipe import Recipe

if TYPE_CHECKING:
    from rich.text import Text

# Takes the runs of one seed, each a `Trained`, and returns what was measured, or also what is
# expected.
RecipeMeasure = Callable[[list[Any]], float | tuple[float, float]]


class Task(NamedTuple):
    """A recipe, the settings of its runs without a seed, and the function that measures the runs of
    a seed.
    """

    recipe: Recipe
    configs: list[dict[str, Any]]
    measure: RecipeMeasure

    @property
    def all(self) -> list[dict[str, Any]]:
        """The settings of the runs of all seeds."""
        return [config | {"seed": seed} for seed in self.recipe.seeds for config in self.configs]


class Session:
    """Runs tasks and keeps their outcomes."""

    def __init__(self, tasks: list[Task], registry: Registry, command: str) -> None:
        from genbench.utils.console import PipeSafeConsole

        self.tasks, self.registry, self.command = tasks, registry, command
        self.console = PipeSafeConsole(highlight=False)
        self.started = datetime.now().astimezone()
        self.folder = Path("outputs").resolve() / f"verify_{self.started:%Y-%m-%d_%H-%M-%S.%f}"
        self.outcomes: list[Outcome] = []
        self.kept: dict[str, Any] = {}  # runs that a later task needs, too, by their settings

    def run(self) -> int:
        """Run every task, even if others fail, and show the table, also after an interruption."""
        minutes = sum(task.recipe.minutes for task in self.tasks)
        count = counted(len(self.tasks), "recipe")
        self.echo(f"{count}, about {minutes:.3g} minutes on two cores: {self.folder}")
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise UserError(
                str(self.folder),
                f"cannot be made: {error.strerror}",
                fix="start in a folder that can be written",
            ) from error
        try:
            for i, task in enumerate(self.tasks, 1):
                self.echo(f"{i} of {len(self.tasks)}: {task.recipe.name}: {task.recipe.what}")
                self.outcomes.append(self.outcome(task))
                needed = {_settings_of(config) for later in self.tasks[i:] for config in later.all}
                self.kept = {key: run for key, run in self.kept.items() if key in needed}
                self.echo(f"  {_line(self.outcomes[-1])}")
                self.write_tables()
        finally:
            self.show()
        return int(any(outcome.result != "PASS" for outcome in self.outcomes))

    def echo(self, text: str) -> None:
        """Print a line of plain text."""
        self.console.print(text, markup=False, soft_wrap=True)

    def fitting(self, line: str) -> "Text":
        """As much of a line as fits next to a spinner, without markup."""
        from rich.text import Text

        return Text(line[: self.console.width - 3])

    def outcome(self, task: Task) -> Outcome:
        """Run a task; on a terminal, the last line of its run is shown meanwhile."""
        began, error = time.perf_counter(), ""
        by_seed: list[Found] = []
        with (
            self.console.status("") as status,
            redirect_stdout(LastLine(lambda line: status.update(self.fitting(line)))),
        ):
            try:
                for seed in task.recipe.seeds:
                    by_seed.append(self.measure(task, seed))
            except Exception as problem:
                kind = "" if isinstance(problem, UserError) else f"{type(problem).__name__}: "
                error = " ".join(f"{kind}{problem}".split())
                at = self.folder / task.recipe.name
                at.mkdir(exist_ok=True)
                (at / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        return Outcome(task.recipe, by_seed, (time.perf_counter() - began) / 60, error)

    def measure(self, task: Task, seed: int) -> Found:
        """Run and measure with one seed."""
        folder = self.folder / task.recipe.name / f"seed-{seed}"
        folders = [folder]
        if len(task.configs) != 1:
            folders = [folder / str(i) for i in range(len(task.configs))]
        runs = [
            self.trained(config | {"seed": seed}, at) for config, at in zip(task.configs, folders)
        ]
        result = task.measure(runs)
        measured, expected = result if isinstance(result, tuple) else (result, task.recipe.expected)
        if expected is None and not task.recipe.bounded:
            raise UserError(
                f"{task.recipe.file}: expected",
                "is neither given nor returned by the function",
                fix="return (measured, expected)",
            )
        return float(measured), None if expected is None else float(expected)

    def trained(self, config: dict[str, Any], folder: Path) -> Any:
        """The run with these settings: in this folder, unless there has been one."""
        from genbench.sweeps.launch import execute

        key = _settings_of(config)
        if key not in self.kept:
            self.kept[key] = execute(config, folder, self.registry)
        return self.kept[key]

    def facts(self) -> dict[str, str]:
        """Where and how the numbers were measured."""
        import torch

        gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
        return {
            "date": self.started.isoformat(timespec="seconds"),
            "command": self.command,
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            **gpu,
            "genbench": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        }

    def write_tables(self) -> None:
        """Write what is done so far, as Markdown and as JSON."""
        from genbench.utils.files import write, write_json

        facts, rows = self.facts(), [outcome.row() for outcome in self.outcomes]
        asked = [task.recipe.name for task in self.tasks]
        write_json(
            self.folder / "table.json",
            facts | {"asked": asked, "recipes": [outcome.numbers() for outcome in self.outcomes]},
        )
        lines = [f"- {name}: {value}" for name, value in facts.items()] + [f"- {self.summary}", ""]
        lines += [
            markdown_row(rows[0]),
            markdown_row(["---"] * len(rows[0])),
            *(markdown_row(row.values()) for row in rows),
        ]
        errors = ((outcome.recipe.name, outcome.error) for outcome in self.outcomes)
        lines += ["", *(f"{name}: {error}\n" for name, error in errors if error)]
        write(self.folder / "table.md", "\n".join(lines).rstrip().encode() + b"\n")

    def show(self) -> None:
        """Print the table, and where it is kept."""
        from rich import box
        from rich.table import Column, Table
        from rich.text import Text

        if not self.outcomes:
            self.echo(self.summary)
            return
        columns = ("expected", "tolerance", "measured", "result", "minutes")
        table = Table(
            Column("what is compared", overflow="fold"),
            *columns,
            box=box.HORIZONTALS,
            show_lines=True,
        )
        for row in (outcome.row() for outcome in self.outcomes):
            about = Text.assemble(
                (row["recipe"], "bold"), "\n", row["what is compared"], "\n", (row["source"], "dim")
            )
            table.add_row(
                about,
                *(
                    Text(row[name].replace(" (", "\n("), OUTCOME_STYLES.get(row[name], ""))
                    for name in columns
                ),
            )
        self.console.print(table)
        self.echo(", ".join(f"{name} {value}" for name, value in self.facts().items()))
        self.echo(f"{self.summary}: {self.folder}/table.md, table.json")

    @property
    def summary(self) -> str:
        """How many recipes pass."""
        passed = [outcome.result for outcome in self.outcomes].count("PASS")
        untried = len(self.tasks) - len(self.outcomes)
        text = f"{passed} of {len(self.tasks)} pass"
        return f"{text}, {untried} not tried" if untried else text


class LastLine(io.TextIOBase):
    """A file that passes each last line on and keeps nothing, as runs have their own logs."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show = show

    def write(self, text: str) -> int:
        line = text.strip().rpartition("\n")[2]
        if line:
            self.show(line)
        return len(text)


def _settings_of(config: dict[str, Any]) -> str:
    """The same for equal settings."""
    return json.dumps(config, sort_keys=True)


def _line(outcome: Outcome) -> str:
    """One line about the outcome of a recipe."""
    row = outcome.row()
    expected = f"{row['expected']} {row['tolerance']}".strip()
    what = outcome.error or f"{row['measured']}, expected {expected}"
    return f"{outcome.result}: {what}; {row['minutes']} minutes"

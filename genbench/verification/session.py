"""`genbench verify`: runs recipes, compares what they measure with what is expected, and leaves a table of which hold.

In outputs/verify_TIME/, TensorBoard's to see as any folder of runs:
    NAME/seed-S/        a recipe's run; NAME/seed-S/0, 1, ... where it has several
    NAME/error.txt      the traceback of one that failed
    table.md, table.json
"""

import io
import os
import platform
import shlex
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from genbench import __version__
from genbench.config.registry import Registry
from genbench.config.settings import nearest
from genbench.utils.errors import UserError
from genbench.utils.files import parse_yaml
from genbench.verification.recipes import BOUNDS, DISTANCES, USUAL, WHERE, Recipe, read, sets

STYLES = {"PASS": "green", "FAIL": "bold red", "ERROR": "bold red"}
LIST_STYLES = {"met": "green", "missed": "bold red", "never": "yellow"}
Found = tuple[float, float | None]  # ours, and what is expected if that is a number


class Task(NamedTuple):
    """A recipe, the settings of its runs but for the seed, and the function of the runs of a seed that measures them."""

    recipe: Recipe
    configs: list[dict]
    measure: Callable[[list], float | tuple[float, float]]


@dataclass(frozen=True)
class Outcome:
    """What came of a recipe: what was found with each seed, as far as no error stopped it."""

    recipe: Recipe
    found: list[Found]
    minutes: float
    error: str = ""

    @property
    def worst(self) -> tuple[float | None, float | None]:
        """What was found where ours is furthest off."""
        return max(
            self.found,
            key=lambda found: self.recipe.excess(*found),
            default=(None, self.recipe.expected),
        )

    @property
    def result(self) -> str:
        """PASS, FAIL or ERROR."""
        if self.error:
            return "ERROR"
        return "PASS" if self.recipe.excess(*self.worst) <= 0 else "FAIL"

    def row(self) -> dict[str, str]:
        """Its line of the table, by heading."""
        recipe, (ours, expected) = self.recipe, self.worst
        return {
            "recipe": recipe.name,
            "what is compared": recipe.what,
            "expected": _number(expected) + " (published)" * recipe.published,
            "tolerance": recipe.allowed,
            "ours": _number(ours) + f" (worst of {len(self.found)} seeds)" * (len(self.found) > 1),
            "result": self.result,
            "minutes": f"{self.minutes:.1f}",
            "source": recipe.source + (f" Differs: {recipe.differs}" if recipe.differs else ""),
        }

    def numbers(self) -> dict[str, Any]:
        """The same for programs, with all seeds."""
        recipe, (ours, expected) = self.recipe, self.worst
        by_seed = {
            str(seed): {"ours": mine, "expected": theirs}
            for seed, (mine, theirs) in zip(recipe.seeds, self.found)
        }
        said = {
            name: getattr(recipe, name)
            for name in ("name", "what", "source", "differs", "published", *DISTANCES, *BOUNDS)
        }
        numbers = {"measure": recipe.ours, "expected": expected, "ours": ours, "seeds": by_seed}
        return (
            said | numbers | {"result": self.result, "error": self.error, "minutes": self.minutes}
        )


def verify(words: list[str], registry: Registry) -> int:
    """Run the recipes and sets that the words name, by default the usual set; returns the exit status.

    UserError, before anything runs, for a word that names none and for settings that a run would be refused for.
    """
    recipes = read(registry)
    listed, names, where = _understood(words)
    chosen = _chosen(names or ([*recipes] if listed else [USUAL]), recipes)
    if listed:
        _print_list(chosen)
        return 0
    for name, value in where.items():
        if not any(recipe.has(name, registry) for recipe in chosen):
            raise UserError(name, "no run of these recipes has this setting", value, "leave it out")
    configs = [recipe.configs(where, registry) for recipe in chosen]
    registry.let_import()
    tasks = [
        Task(recipe, some, _measure(recipe)) for recipe, some in zip(chosen, configs)
    ]  # imports torch, hence last
    own = ["--config-dir", str(registry.folders[0])] * (len(registry.folders) > 1)
    return Session(tasks, registry, shlex.join(["genbench", "verify", *own, *words])).run()


def _understood(words: Iterable[str]) -> tuple[bool, list[str], dict[str, Any]]:
    """Whether a list is asked for, the names of recipes and sets, and the settings that say where to run."""
    listed, names, where = False, [], {}
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--list":
            listed = True
        elif word.startswith("-"):
            raise UserError(word, "verify has no such option", fix="genbench verify --list")
        elif not equals:
            names.append(word)
        elif name in WHERE:
            where[name] = parse_yaml(value, name)
        else:
            raise UserError(
                name,
                "is for a recipe to say",
                word,
                f"leave it out; what may be given is {', '.join(WHERE)}",
            )
    return listed, names, where


def _chosen(names: Iterable[str], recipes: dict[str, Recipe]) -> list[Recipe]:
    """The recipes that are called so or belong to sets called so, each once."""
    chosen: dict[str, Recipe] = {}
    for name in names:
        found = {own: recipe for own, recipe in recipes.items() if name in (own, *recipe.sets)}
        if not found:
            near = nearest(name, [*recipes, *sets(recipes)])
            fix = (
                f"did you mean 'genbench verify {near}'?"
                if near
                else "see 'genbench verify --list'"
            )
            raise UserError(name, "no recipe and no set of recipes is called so", fix=fix)
        chosen |= found
    return [*chosen.values()]


def _measure(recipe: Recipe) -> Callable[[list], float | tuple[float, float]]:
    """The function that measures; UserError if there is none."""
    if recipe.calls:
        from genbench.utils.imports import locate

        return locate(recipe.ours, f"{recipe.file}: ours")
    part, name = recipe.ours.split(".")

    def number_of_metrics(runs: list) -> float:
        (run,) = runs
        if name not in run.metrics.get(part, {}):
            there = [
                f"{part}.{name}"
                for part, numbers in run.metrics.items()
                if isinstance(numbers, dict)
                for name in numbers
            ]
            raise UserError(
                f"{recipe.file}: ours",
                "the run measured no such number",
                recipe.ours,
                f"choose from {', '.join(there)}",
            )
        return run.metrics[part][name]

    return number_of_metrics


def _print_list(recipes: list[Recipe]) -> None:
    from rich import box
    from rich.table import Column, Table
    from rich.text import Text

    from genbench.utils.console import PipeSafeConsole

    columns = (Column("recipe", overflow="fold"), "sets", "minutes", "last run")
    table = Table(*columns, box=box.HORIZONTALS, show_lines=True)
    for recipe in recipes:
        about = Text.assemble(
            (recipe.name, "bold"), "\n", recipe.what, "\n", (recipe.source, "dim")
        )
        last = Text(
            recipe.record.replace(": ", "\n"), LIST_STYLES.get(recipe.record.rpartition(" ")[2], "")
        )
        table.add_row(about, ", ".join(recipe.sets), f"{recipe.minutes:g}", last)
    console = PipeSafeConsole(highlight=False)
    console.print(table)
    never = [recipe.name for recipe in recipes if recipe.record == "never"]
    if never:
        console.print(f"never run: {', '.join(never)}", markup=False, soft_wrap=True)


class Session:
    """Tasks, and what has come of them so far."""

    def __init__(self, tasks: list[Task], registry: Registry, command: str):
        from genbench.utils.console import PipeSafeConsole

        self.tasks, self.registry, self.command = tasks, registry, command
        self.console = PipeSafeConsole(highlight=False)
        self.started = datetime.now().astimezone()
        self.folder = Path("outputs").resolve() / f"verify_{self.started:%Y-%m-%d_%H-%M-%S.%f}"
        self.outcomes: list[Outcome] = []

    def run(self) -> int:
        """Do every task, whatever became of the others, and show the table, also of an interrupted session."""
        minutes = sum(task.recipe.minutes for task in self.tasks)
        self.echo(
            f"{len(self.tasks)} recipe{'s' * (len(self.tasks) > 1)}, about {minutes:.3g} minutes on two cores: {self.folder}"
        )
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise UserError(
                str(self.folder),
                f"cannot be made: {error.strerror}",
                fix="begin in a folder that can be written",
            ) from error
        try:
            for i, task in enumerate(self.tasks, 1):
                self.echo(f"{i} of {len(self.tasks)}: {task.recipe.name}: {task.recipe.what}")
                self.outcomes.append(self.outcome(task))
                self.echo(f"  {_told(self.outcomes[-1])}")
                self.write_tables()
        finally:
            self.show()
        return int(any(outcome.result != "PASS" for outcome in self.outcomes))

    def echo(self, text: str) -> None:
        """A line of plain words."""
        self.console.print(text, markup=False, soft_wrap=True)

    def fitting(self, line: str):
        """As much of a line as a spinner leaves room for, in which brackets are no markup."""
        from rich.text import Text

        return Text(line[: self.console.width - 3])

    def outcome(self, task: Task) -> Outcome:
        """What comes of a task; on a terminal, what its run says last is shown meanwhile."""
        began, found, error = time.perf_counter(), [], ""
        with (
            self.console.status("") as status,
            redirect_stdout(LastLine(lambda line: status.update(self.fitting(line)))),
        ):
            try:
                for seed in task.recipe.seeds:
                    found.append(self.found(task, seed))
            except Exception as problem:
                kind = "" if isinstance(problem, UserError) else f"{type(problem).__name__}: "
                error = " ".join(f"{kind}{problem}".split())
                at = self.folder / task.recipe.name
                at.mkdir(exist_ok=True)
                (at / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        return Outcome(task.recipe, found, (time.perf_counter() - began) / 60, error)

    def found(self, task: Task, seed: int) -> Found:
        """Run and measure with one seed."""
        from genbench.sweeps.launch import execute

        folder = self.folder / task.recipe.name / f"seed-{seed}"
        folders = (
            [folder]
            if len(task.configs) == 1
            else [folder / str(i) for i in range(len(task.configs))]
        )
        found = task.measure(
            [
                execute(config | {"seed": seed}, at, self.registry)
                for config, at in zip(task.configs, folders)
            ]
        )
        ours, expected = found if isinstance(found, tuple) else (found, task.recipe.expected)
        if expected is None and not task.recipe.bounded:
            raise UserError(
                f"{task.recipe.file}: expected",
                "is neither given nor returned by the function",
                fix="return (ours, expected)",
            )
        return float(ours), None if expected is None else float(expected)

    def facts(self) -> dict[str, str]:
        """Where and how the numbers came about."""
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
        """What is done so far, to read and for programs."""
        from genbench.utils.files import write, write_json

        facts, rows = self.facts(), [outcome.row() for outcome in self.outcomes]
        asked = [task.recipe.name for task in self.tasks]
        write_json(
            self.folder / "table.json",
            facts | {"asked": asked, "recipes": [outcome.numbers() for outcome in self.outcomes]},
        )
        lines = [f"- {name}: {value}" for name, value in facts.items()] + [f"- {self.summary}", ""]
        lines += [
            _markdown(rows[0]),
            _markdown(["---"] * len(rows[0])),
            *(_markdown(row.values()) for row in rows),
        ]
        lines += [
            "",
            *(
                f"{outcome.recipe.name}: {outcome.error}\n"
                for outcome in self.outcomes
                if outcome.error
            ),
        ]
        write(self.folder / "table.md", "\n".join(lines).rstrip().encode() + b"\n")

    def show(self) -> None:
        """The table, and where it is kept."""
        from rich import box
        from rich.table import Column, Table
        from rich.text import Text

        if not self.outcomes:
            self.echo(self.summary)
            return
        columns = ("expected", "tolerance", "ours", "result", "minutes")
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
                    Text(row[name].replace(" (", "\n("), STYLES.get(row[name], ""))
                    for name in columns
                ),
            )
        self.console.print(table)
        self.echo(", ".join(f"{name} {value}" for name, value in self.facts().items()))
        self.echo(f"{self.summary}: {self.folder}/table.md, table.json")

    @property
    def summary(self) -> str:
        """How many hold."""
        passed, untried = (
            [outcome.result for outcome in self.outcomes].count("PASS"),
            len(self.tasks) - len(self.outcomes),
        )
        return f"{passed} of {len(self.tasks)} pass" + f", {untried} not tried" * bool(untried)


class LastLine(io.TextIOBase):
    """A file to write to that hands each last line on and keeps nothing: what runs say is in their own folders."""

    def __init__(self, show: Callable[[str], None]):
        self.show = show

    def write(self, text: str) -> int:
        line = text.strip().rpartition("\n")[2]
        if line:
            self.show(line)
        return len(text)


def _told(outcome: Outcome) -> str:
    """A line on what came of a recipe."""
    row = outcome.row()
    expected = f"{row['expected']} {row['tolerance']}".strip()
    return f"{outcome.result}: {outcome.error or row['ours'] + ', expected ' + expected}; {row['minutes']} minutes"


def _markdown(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"

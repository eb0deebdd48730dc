"""The words of `genbench verify`: which recipes run, or the list of them."""

import shlex
from collections.abc import Iterable
from typing import Any

from genbench.config.registry import Registry
from genbench.settings.names import nearest
from genbench.utils.errors import UserError
from genbench.utils.files import parse_yaml
from genbench.verification.recipe import WHERE, Recipe
from genbench.verification.recipes import USUAL_SET, read, sets
from genbench.verification.session import RecipeMeasure, Session, Task

LIST_STYLES = {"met": "green", "missed": "bold red", "never": "yellow"}


def verify(words: list[str], registry: Registry) -> int:
    """Run the recipes and sets that the words name, by default the usual set; returns the exit
    status.

    UserError, before anything runs, for a word that names no recipe and for settings that a run
    would be refused for.
    """
    recipes = read(registry)
    listed, names, where = _parse(words)
    chosen = _chosen(names or ([*recipes] if listed else [USUAL_SET]), recipes)
    if listed:
        _print_list(chosen)
        return 0
    for name, value in where.items():
        if not any(recipe.has(name, registry) for recipe in chosen):
            raise UserError(name, "no run of these recipes has this setting", value, "leave it out")
    configs = [recipe.configs(where, registry) for recipe in chosen]
    registry.let_import()
    # Last, because it imports torch.
    tasks = [Task(recipe, some, _measure(recipe)) for recipe, some in zip(chosen, configs)]
    again = shlex.join(["genbench", "verify", *registry.own_words(str), *words])
    return Session(tasks, registry, again).run()


def _parse(words: Iterable[str]) -> tuple[bool, list[str], dict[str, Any]]:
    """Whether a list is requested, the names of recipes and sets, and the settings that say where
    to run.
    """
    listed = False
    names: list[str] = []
    where: dict[str, Any] = {}
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
                "is set by the recipe",
                word,
                f"leave it out; only these can be set: {', '.join(WHERE)}",
            )
    return listed, names, where


def _chosen(names: Iterable[str], recipes: dict[str, Recipe]) -> list[Recipe]:
    """The recipes with these names, or in sets with these names, each once."""
    chosen: dict[str, Recipe] = {}
    for name in names:
        named = {own: recipe for own, recipe in recipes.items() if name in (own, *recipe.sets)}
        if not named:
            near = nearest(name, [*recipes, *sets(recipes)])
            fix = (
                f"did you mean 'genbench verify {near}'?"
                if near
                else "see 'genbench verify --list'"
            )
            raise UserError(name, "no recipe and no set of recipes has this name", fix=fix)
        chosen |= named
    return [*chosen.values()]


def _measure(recipe: Recipe) -> RecipeMeasure:
    """The function that measures; UserError if there is none."""
    if recipe.calls:
        from genbench.utils.imports import locate

        return locate(recipe.measure, f"{recipe.file}: measure")
    part, name = recipe.measure.split(".")

    def number_of_metrics(runs: list[Any]) -> float:
        (run,) = runs
        if name not in run.metrics.get(part, {}):
            there = [
                f"{part}.{name}"
                for part, numbers in run.metrics.items()
                if isinstance(numbers, dict)
                for name in numbers
            ]
            raise UserError(
                f"{recipe.file}: measure",
                "the run measured no such number",
                recipe.measure,
                f"choose from {', '.join(there)}",
            )
        return run.metrics[part][name]

    return number_of_metrics


def _print_list(recipes: list[Recipe]) -> None:
    """Print the recipes with their sets, minutes and last runs."""
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

"""What came of a recipe, and how it is shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from genbench.verification.recipe import BOUNDS, DISTANCES, Recipe

OUTCOME_STYLES = {"PASS": "green", "FAIL": "bold red", "ERROR": "bold red"}


Found = tuple[float, float | None]  # measured, and expected if that is a number


@dataclass(frozen=True)
class Outcome:
    """The result of a recipe: what was measured with each seed, until an error stopped it."""

    recipe: Recipe
    by_seed: list[Found]
    minutes: float
    error: str = ""

    @property
    def counted(self) -> tuple[float | None, float | None]:
        """What was measured with the worst seed, or on average if the recipe says so."""
        if not self.by_seed:
            return None, self.recipe.expected
        if self.recipe.average:
            measured, expected = (list(values) for values in zip(*self.by_seed))
            return fmean(measured), None if None in expected else fmean(expected)
        return max(self.by_seed, key=lambda pair: self.recipe.excess(*pair))

    @property
    def result(self) -> str:
        """PASS, FAIL or ERROR."""
        if self.error:
            return "ERROR"
        measured, expected = self.counted
        passed = measured is not None and self.recipe.excess(measured, expected) <= 0
        return "PASS" if passed else "FAIL"

    def row(self) -> dict[str, str]:
        """Its row of the table, by column."""
        recipe, (measured, expected) = self.recipe, self.counted
        n = len(self.by_seed)
        kind = "mean" if recipe.average else "worst"
        of_seeds = f" ({kind} of {n} seeds)" if n > 1 else ""
        return {
            "recipe": recipe.name,
            "what is compared": recipe.what,
            "expected": _number(expected) + (" (published)" if recipe.published else ""),
            "tolerance": recipe.allowed,
            "measured": _number(measured) + of_seeds,
            "result": self.result,
            "minutes": f"{self.minutes:.1f}",
            "source": recipe.source + (f" Differs: {recipe.differs}" if recipe.differs else ""),
        }

    def numbers(self) -> dict[str, Any]:
        """The same for programs, with all seeds; the keys are those of earlier versions."""
        recipe, (measured, expected) = self.recipe, self.counted
        by_seed = {
            str(seed): {"ours": mine, "expected": theirs}
            for seed, (mine, theirs) in zip(recipe.seeds, self.by_seed)
        }
        about = {
            name: getattr(recipe, name)
            for name in ("name", "what", "source", "differs", "published", *DISTANCES, *BOUNDS)
        }
        numbers = {
            "measure": recipe.measure,
            "expected": expected,
            "ours": measured,
            "seeds": by_seed,
        }
        return (
            about | numbers | {"result": self.result, "error": self.error, "minutes": self.minutes}
        )


def markdown_row(cells: Iterable[str]) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"

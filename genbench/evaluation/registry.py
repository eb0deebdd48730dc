"""The registry of measures: what each is called, needs and means."""

import importlib
import math
import pkgutil
from collections.abc import Callable, Collection
from typing import NamedTuple, TypeVar

from genbench.evaluation import measures as package
from genbench.evaluation.context import Evaluation
from genbench.model import Model, supports
from genbench.settings.names import nearest
from genbench.stats.intervals import Measured
from genbench.utils.errors import UserError

OF_RECONSTRUCTIONS = "reconstruction"  # the group of what is lost between encoder and decoder
MEASURE_GROUPS = (
    OF_RECONSTRUCTIONS,
    "likelihood",
    "samples",
    "latent space",
    "representation",
    "cost",
)  # as a card shows them


OWN = "defined here"


ANY, POSITIVE, SHARE = (
    (-math.inf, math.inf),
    (0.0, math.inf),
    (0.0, 1.0),
)  # what a number can be, and so its interval


Watch = Callable[[int, int, str], None]  # is told that the i-th of n measures begins, and its name


Measuring = TypeVar("Measuring", bound=Callable[[Evaluation], Measured | None])


class Measure(NamedTuple):
    """A function that measures, of models with these abilities, and what its number is."""

    function: Callable[[Evaluation], Measured | None]
    needs: tuple[str, ...]
    group: str
    unit: str
    better: str | None
    source: str
    # Whether it is among the few that say at a glance what a model is good at. Samples that are all
    # one blur must not do well in such a measure, as nothing else may be looked at.
    headline: bool
    only: (
        str  # of which of these models, or on which data, it is measured only: "of ..." or "on ..."
    )
    within: tuple[float, float]  # what it can be

    @property
    def name(self) -> str:
        """What the number is called."""
        return self.function.__name__

    @property
    def meaning(self) -> str:
        """What the number is, in a sentence."""
        return " ".join((self.function.__doc__ or "").partition("\n\n")[0].split())

    def applies(self, model: Model) -> bool:
        """Whether it says anything about this model."""
        if self.group == OF_RECONSTRUCTIONS and model.invertible:
            return False
        return supports(model, *self.needs)


MEASURES: dict[str, Measure] = {}


def measure(
    *needs: str,
    group: str,
    unit: str = "",
    better: str | None = None,
    source: str = OWN,
    headline: bool = False,
    within: tuple[float, float] = ANY,
    only: str = "",
) -> Callable[[Measuring], Measuring]:
    """List a function as a measure of every model that has these abilities; `better` is higher,
    lower or neither.
    """

    def listed(function: Measuring) -> Measuring:
        MEASURES[function.__name__] = Measure(
            function, needs, group, unit, better, source, headline, only, within
        )
        return function

    return listed


def measures() -> dict[str, Measure]:
    """Every measure by its name: those of all modules in `genbench.evaluation`, a group after the
    other.
    """
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    return dict(sorted(MEASURES.items(), key=lambda item: _place(item[1].group)))


def headlines() -> list[str]:
    """The names of the few measures that say at a glance what a model is good at, in the order of
    a card.
    """
    return [m.name for m in measures().values() if m.headline]


def _place(group: str) -> tuple[int, str]:
    return MEASURE_GROUPS.index(group) if group in MEASURE_GROUPS else len(MEASURE_GROUPS), group


def chosen_measures(names: Collection[str]) -> list[Measure]:
    """All measures, or those with these names or in these groups; UserError for another name."""
    known = measures()
    groups = {some.group for some in known.values()}
    for name in names:
        if name not in known and name not in groups:
            near = nearest(name, [*known, *groups])
            raise UserError(
                "metrics",
                "no such measure",
                name,
                f"did you mean {near}?" if near else "see: genbench evaluate --list",
            )
    return [m for m in known.values() if not names or {m.name, m.group} & {*names}]


def measures_of_samples(names: Collection[str] = ()) -> list[Measure]:
    """The measures, or those of them with these names, that need nothing but samples."""
    return [m for m in chosen_measures(names) if m.group == "samples" and m.needs == ("sample",)]

"""What a model can show of itself, as data: a class per kind. `figures.visualizations` draws it.

`Model.visualizations` returns them by name. They know no drawing, so a model needs no matplotlib.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch

PointFunction = Callable[[torch.Tensor], torch.Tensor]


class DataUnits(NamedTuple):
    """How a model of standardized points returns to the units of the data, and back."""

    restore: PointFunction  # standardized points [n, *shape] to data units
    standardize: PointFunction  # points [n, *shape] to what the model sees
    deviation: torch.Tensor  # standard deviation of each value [D]


@dataclass(frozen=True, eq=False)
class Visualization:
    """Anything to be drawn; the note says in a phrase what it shows."""

    note: str

    def in_units(self, units: DataUnits) -> "Visualization":
        """The same in data units; this one holds no points, so it stays."""
        return self


@dataclass(frozen=True, eq=False)
class Images(Visualization):
    """Images [n, *shape] with a caption each, or none. Signed ones, such as weights, have any
    values around zero; others lie in [0, 1]."""

    images: torch.Tensor
    captions: Sequence[str] = ()
    signed: bool = False


@dataclass(frozen=True, eq=False)
class Rows(Visualization):
    """Equally many points [n, *shape] by name; the n-th of every row belong together."""

    rows: dict[str, torch.Tensor]

    def in_units(self, units: DataUnits) -> "Rows":
        return replace(self, rows={name: units.restore(x) for name, x in self.rows.items()})


@dataclass(frozen=True, eq=False)
class Spectrum(Visualization):
    """Shares [D] of the variance, largest first, of which the model keeps the first `kept`."""

    shares: torch.Tensor
    kept: int


@dataclass(frozen=True, eq=False)
class Staircase(Visualization):
    """A quantity [n] at the beginnings of n iterations, and the bound on it [n] that each iteration
    moves while its first step holds still, before the next one's brings the two together; and what
    they are called.
    """

    values: torch.Tensor
    bounds: torch.Tensor
    quantity: str
    bound: str


class Distribution(NamedTuple):
    """Values of any shape, and the value that they should have, if there is one."""

    values: torch.Tensor
    target: float | None = None


@dataclass(frozen=True, eq=False)
class Histograms(Visualization):
    """Distributions by name."""

    panels: dict[str, Distribution]


@dataclass(frozen=True, eq=False)
class MixtureComponents(Visualization):
    """Points [K, *shape] that stand for components of these weights [K], perhaps with covariances
    [K, D, D]; `label` is what one is called."""

    points: torch.Tensor
    weights: torch.Tensor
    covariances: torch.Tensor | None = None
    label: str = "component"

    def in_units(self, units: DataUnits) -> "MixtureComponents":
        covariances = self.covariances
        if covariances is not None:
            covariances = covariances * units.deviation.outer(units.deviation).to(covariances)
        return replace(self, points=units.restore(self.points), covariances=covariances)


@dataclass(frozen=True, eq=False)
class Memberships(Visualization):
    """Shares [n, K] of points x [n, *shape] in K components."""

    x: torch.Tensor
    shares: torch.Tensor

    def in_units(self, units: DataUnits) -> "Memberships":
        return replace(self, x=units.restore(self.x))


@dataclass(frozen=True, eq=False)
class Landscape(Visualization):
    """A function of points [n, *shape] by which a model judges data and samples, and its label."""

    function: PointFunction = field(repr=False)
    label: str

    def in_units(self, units: DataUnits) -> "Landscape":
        return replace(self, function=lambda x: self.function(units.standardize(x)))


@dataclass(frozen=True, eq=False)
class VectorFields(Visualization):
    """Functions by name that give points [n, *shape] a direction [n, *shape]."""

    functions: dict[str, PointFunction] = field(repr=False)

    def in_units(self, units: DataUnits) -> "VectorFields":
        def own(function: PointFunction) -> PointFunction:
            return lambda x: (function(units.standardize(x)) * units.deviation).float()

        return replace(self, functions={name: own(f) for name, f in self.functions.items()})


@dataclass(frozen=True, eq=False)
class Curves(Visualization):
    """Values [n] by name against numbers [n], and what both are called."""

    at: torch.Tensor
    values: dict[str, torch.Tensor]
    label: str
    quantity: str

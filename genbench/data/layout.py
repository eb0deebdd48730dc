"""How points that a user gave as arrays are laid out in memory, and how they turn back.

Models see features [n, D], signals [n, channels, length] or images [n, channels, height, width] in
single precision. Users have other orders of the axes, other ranges and other types of numbers.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from genbench.config.array_axes import AXES, IN_WORDS, KIND_OF_AXES, WITHOUT_CHANNEL
from genbench.utils.errors import UserError


class Layout(Protocol):
    """How points turn into what a user gave, and back."""

    @property
    def features(self) -> list[str]:
        """The names [D] of a point's values; empty if they have none."""

    def points(self, given: Any) -> torch.Tensor:
        """Points float32 [n, *shape], as models take them. UserError for what does not fit."""

    def restored(self, points: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
        """What a user would have given for such points [n, *shape], and their labels [n]."""


class Form(NamedTuple):
    """The type of the numbers of an array by name, and whether it is a tensor of torch."""

    dtype: str = "float32"
    is_tensor: bool = False


SINGLE_PRECISION = Form()


@dataclass(frozen=True)
class ArrayLayout:
    """The axes of a point as a user has them, the range of its values and the array's form.

    axes       a key of `AXES`
    low, high  the values that are 0 and 1 in the points
    form       of arrays that are returned; values are rounded if its numbers are whole
    """

    axes: str = "d"
    low: float = 0.0
    high: float = 1.0
    form: Form = SINGLE_PRECISION

    @property
    def features(self) -> list[str]:
        """None of the values has a name."""
        return []

    @property
    def kind(self) -> str:
        """What the points are: vectors, signals or images."""
        return KIND_OF_AXES.get(self.axes, "images")

    def arranged(self, x: torch.Tensor) -> torch.Tensor:
        """Values [n, *axes] with their axes in the order of models, and one for channels."""
        x = x.permute(AXES[self.axes])
        return x.unsqueeze(1) if self.axes in WITHOUT_CHANNEL else x

    def points(self, given: Any) -> torch.Tensor:
        if not isinstance(given, torch.Tensor):
            given = np.asarray(given, dtype=np.float64)
        x = torch.as_tensor(given)
        if x.dim() == 1 and self.axes == "d":
            x = x[:, None]
        if x.dim() != len(AXES[self.axes]):
            axes = ", ".join(IN_WORDS[axis] for axis in self.axes)
            what = f"arrays have the axes [n, {axes}]"
            raise UserError("points", what, list(x.shape), "reshape them")
        x = self.arranged(x)
        return ((x.double() - self.low) / (self.high - self.low)).float()

    def restored(self, points: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
        x = points.double().cpu() * (self.high - self.low) + self.low
        x = x.squeeze(1) if self.axes in WITHOUT_CHANNEL else x
        values = x.permute(tuple(np.argsort(AXES[self.axes]).tolist())).numpy()
        if self.form.dtype == "bool" or "int" in self.form.dtype:
            least, largest = 0, 1
            if self.form.dtype != "bool":
                least, largest = np.iinfo(self.form.dtype).min, np.iinfo(self.form.dtype).max
            values = values.round().clip(least, largest)
        if self.form.is_tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(
                getattr(torch, self.form.dtype)
            )
        return values.astype(self.form.dtype)

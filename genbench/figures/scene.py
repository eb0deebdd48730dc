"""What all pictures of a run have in common: the data, the points that they show, noise, title,
look.
"""

import torch

from genbench.data.types import Data
from genbench.figures.canvas import THEMES, Page
from genbench.figures.plane import Plane
from genbench.model import Model
from genbench.utils.rng import generator
from genbench.utils.text import counted


def feature_names(data: Data) -> list[str]:
    """The names of the values of a vector: those of a table's columns, or x1, x2 and so on."""
    named = getattr(data.layout, "features", None)
    return named or [f"x{i + 1}" for i in range(data.spec.shape[0])]


class Scene:
    """Shows models trained on one dataset, always at the same points and with the same noise, so
    that one sees the same samples improve.

    `title` says whose pictures these are, `part` which points they show (validation points, unless
    there are none), `theme` and `upscaling` how they look.
    """

    block = 1000  # points that a model is asked about together

    def __init__(
        self,
        data: Data,
        seed: int,
        title: str,
        part: str = "",
        theme: str = "light",
        upscaling: str = "bicubic",
    ) -> None:
        self.data, self.seed, self.title, self.upscaling = data, seed, title, upscaling
        self.theme = THEMES[theme]
        self.part = part or ("validation" if "validation" in data.splits else "test")
        self.held_out = data.splits[self.part]
        self.when = ""
        shape = data.spec.shape
        flat: dict[tuple[int, ...], str] = {(1,): "line", (2,): "plane"}
        by_axes = {3: "images", 2: "signals"}
        self.kind = by_axes.get(len(shape)) or flat.get(shape, "vectors")
        self.features = feature_names(data)
        if self.kind == "plane":
            splits = data.splits.values()
            seen = torch.cat([split.first(10_000).values().cpu() for split in splits])
            self.plane = Plane(seen, data.density)

    def at(self, epoch: int) -> None:
        """From now on, pictures show a model as it was after so many epochs."""
        self.when = f"after {counted(epoch, 'epoch')}"

    def rng(self, purpose: str) -> torch.Generator:
        """The same noise at every call, for one purpose."""
        return generator(self.seed, "pictures", purpose, device=self.held_out.device)

    def points(self, n: int) -> torch.Tensor:
        """The first n held-out points [n, *shape]."""
        return self.held_out.values(slice(0, n))

    def conditioned(self, model: Model, n: int, start: int = 0) -> tuple[torch.Tensor, Model]:
        """n held-out points from `start` on, and the model conditioned on their labels."""
        at = slice(start, start + n)
        labels = None if self.held_out.y is None else self.held_out.y[at]
        return self.held_out.values(at), model.conditioned_on(labels)

    def page(self, text: str) -> Page:
        """The page of a picture: what it shows, of which model, and when."""
        return Page(self.title, f"{text}, {self.when}", self.theme, self.upscaling)

"""A trained model with its data and its numbers: it encodes, decodes and samples arrays."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from genbench.data.layout import Layout
from genbench.data.types import Data
from genbench.model import Model, supports
from genbench.notebook import as_html, drawn, pictures_of
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Points, codes or labels: a tensor, an array of NumPy, lists of numbers or, of a run on a table, a
# table of pandas. Results come back in the same form.
ArrayLike: TypeAlias = Any
Labels: TypeAlias = Any

BLOCK = 1000  # points that the model gets at once
METHODS = ("encode", "decode", "sample", "log_prob", "score")


@dataclass(frozen=True, repr=False)
class Trained:
    """A trained model, the data it was trained on, and the content of its metrics.json.

    For a user's own data, results come in the form of what goes in: tables of pandas with their
    columns and index, arrays of NumPy or tensors, in the units of the data. For all other data,
    arrays go in and tensors come out, on the CPU. UserError, which is a ValueError, for arrays that
    do not fit the model and for methods that it does not have.
    """

    model: Model
    data: Data
    metrics: dict[str, Any]
    folder: Path
    # Turns what a user has into points, and back; None where both are tensors.
    layout: Layout | None = None
    # How often `sample` was called without a seed.
    _calls: Iterator[int] = field(default_factory=itertools.count, init=False, compare=False)

    def __repr__(self) -> str:
        methods = ", ".join(name for name in METHODS if supports(self.model, name))
        return (
            f"<{self.model.settings.model.name} on {self.data.name}, in {self.folder}: {methods}>"
        )

    def encode(self, x: ArrayLike, y: Labels = None) -> Any:
        """The codes [n, latent_dim] of points x [n, *shape], which are scaled as the data are.

        Clusterings give cluster numbers [n], and mixtures component probabilities [n, K]. A
        conditional model needs the labels y [n] of the points, here and in `decode`.
        """
        z = self._in_blocks("encode", self._points(x), y=y)
        if z.dim() == 1:
            return self._like(x, z, ["cluster"])
        return self._like(x, z, [f"z{i}" for i in range(z.shape[1])])

    def decode(self, z: ArrayLike, y: Labels = None) -> Any:
        """The points [n, *shape] of codes z, of the shape that `encode` returns."""
        given, z, width = z, _forms().as_codes(z), self.model.latent_dim
        if width is not None and z.shape != (len(z), width):
            expected = _shape("n", width)
            what = f"codes have the shape {expected}"
            raise UserError("decode", what, _shape(*z.shape), "reshape them")
        codes = z.long() if z.dim() == 1 else z.float()  # cluster numbers are whole
        x = self._in_blocks("decode", codes, y=y)
        return x if self.layout is None else _forms().as_points(self.layout, given, x)

    def log_prob(self, x: ArrayLike, y: Labels = None) -> Any:
        """The log probability or log density [n], in nats, of points x [n, *shape].

        `model.log_prob_kind` says whether it is exact, or which bound it is. Values of images count
        as shares of white, from 0 to 1, in any range.
        """
        return self._like(x, self._in_blocks("log_prob", self._points(x), y=y), ["log_prob"])

    def score(self, x: ArrayLike) -> Any:
        """The gradient of the log density [n, *shape] at points x [n, *shape]."""
        gradients = self._in_blocks("score", self._points(x))
        return (
            gradients if self.layout is None else _forms().as_gradients(self.layout, x, gradients)
        )

    def sample(
        self, n: int = 64, seed: int | None = None, y: Labels = None, **settings: Any
    ) -> Any:
        """n samples [n, *shape]; for a conditional model of class y, one label or n of them.

        The same seed gives the same samples. Without a seed, each call gives new ones, and a script
        that makes the same calls again gets the same again.

        Settings that only say how samples are drawn may have other values than in the run, such as
        `guidance=2` or `sampling_steps=50` of a diffusion model:
        `model.settings.sampling_settings` lists them.
        """
        if not isinstance(n, Integral) or n < 0:
            raise UserError("n", "is a number of points to draw", n, "such as n=64")
        purpose, key = ("call", next(self._calls)) if seed is None else ("sample", seed)
        rng = generator(key, purpose, device=self.model.device)
        model = self.model.sampled_with(settings)
        x = self._in_blocks("sample", None, n=int(n), y=y, rng=rng, model=model)
        return x if self.layout is None else _forms().as_points(self.layout, None, x)

    def plot(self, name: str = "samples", part: str = "") -> "Figure":
        """A picture of the model as a figure of matplotlib: `samples`, `reconstructions`, `codes`
        or another that `pictures` lists.

        `part` is the data that it shows, by default those to validate on. UserError, with a list,
        for a name that there is not.
        """
        return drawn(pictures_of(self.model, self.data, self._epoch, part), name)

    @property
    def pictures(self) -> list[str]:
        """The names of all pictures that `plot` can draw."""
        return [*pictures_of(self.model, self.data, self._epoch)]

    @property
    def _epoch(self) -> int:
        return int(self.metrics.get("cost", {}).get("kept_epoch", 0))

    def _repr_html_(self) -> str:
        """The results and pictures of samples, for notebooks."""
        title = f"{self.model.settings.model.name} on {self.data.name}"
        return as_html(title, self.folder, self.metrics)

    def _like(self, given: ArrayLike, result: torch.Tensor, names: list[str]) -> Any:
        """A result about points, in their form if they are a user's own."""
        return result if self.layout is None else _forms().in_form_of(given, result, names)

    def _in_blocks(
        self,
        method: str,
        points: torch.Tensor | None,
        *,
        n: int = 0,
        y: Labels = None,
        rng: torch.Generator | None = None,
        model: Model | None = None,
    ) -> torch.Tensor:
        """Call a method of the model, or of another one, for points or codes or for n samples,
        `BLOCK` at a time.
        """
        n = n if points is None else len(points)
        labels = self._labels(method, y, n)
        if not supports(self.model, method):
            others = ", ".join(name for name in METHODS if supports(self.model, name))
            what = f"this model cannot {method}"
            raise UserError(self.folder.name, what, fix=f"it can {others}")
        model = model or self.model
        return in_blocks(model, method, points, n=n, labels=labels, rng=rng)

    def _labels(self, method: str, y: Labels, n: int) -> torch.Tensor | None:
        """The labels as a tensor, [1] or [n]. UserError for labels that the call cannot use."""
        spec = self.data.spec
        if y is None:
            if self.model.conditional and method in ("encode", "decode"):
                what = f"{method} needs the labels of the points"
                raise UserError("y", what, fix=f"{method}(..., y=labels)")
            return None
        names = self.data.names if self.layout is not None else ()
        y = torch.as_tensor(_forms().class_numbers(y, names)).reshape(-1)
        if not self.model.conditional:
            raise UserError("y", "this model does not depend on labels", fix="leave it out")
        in_range = len(y) and y.min() >= 0 and y.max() < spec.classes
        if y.is_floating_point() or not in_range:
            what = f"labels are whole numbers from 0 to {spec.classes - 1}"
            raise UserError("y", what, y.tolist(), "such as y=0")
        unseen = sorted({*y.tolist()} & {*spec.absent})
        if unseen and method == "sample":
            seen = next(label for label in range(spec.classes) if label not in spec.absent)
            what = "no training point has this label"
            raise UserError("y", what, unseen[0], f"such as y={seen}")
        if len(y) not in (1, n):
            what = f"there is one label for all {n} points, or one for each"
            raise UserError("y", what, len(y), "such as y=0")
        return y

    def _points(self, x: ArrayLike) -> torch.Tensor:
        """Points as a tensor [n, *shape]. UserError for points that are not like the data."""
        spec = self.data.spec
        x = torch.as_tensor(x).float() if self.layout is None else self.layout.points(x)
        if x.shape[1:] != spec.shape:
            what = f"they have the shape {_shape('n', *spec.shape)}"
            raise UserError("points", what, _shape(*x.shape), "reshape them")
        if not x.isfinite().all():
            what = "their values are numbers"
            raise UserError("points", what, "some that are not finite", "clean them")
        # A model of real values accepts its own samples, which may leave [0, 1]. Whole numbers
        # beyond it are pixels that were not scaled.
        beyond = spec.unit and len(x) and not (x.min() >= 0 and x.max() <= 1)
        if beyond and (self.model.bounded or bool((x == x.round()).all())):
            values = f"{x.min():g} to {x.max():g}"
            raise UserError("points", "their values lie in [0, 1]", values, "scale them")
        return x


def in_blocks(
    model: Model,
    method: str,
    points: torch.Tensor | None,
    *,
    n: int = 0,
    labels: torch.Tensor | None = None,
    rng: torch.Generator | None = None,
    at_once: int | None = None,
    **options: Any,
) -> torch.Tensor:
    """What a method of the model returns for points or codes [n, ...], or for n samples where they
    are None, on the CPU. The model gets so many at once, `BLOCK` by default, with labels [n] or one
    for all. The method also gets the options.
    """
    n, at_once = n if points is None else len(points), at_once or BLOCK
    results = []
    with torch.no_grad():
        for start in range(0, max(n, 1), at_once):
            signals.check()
            block = slice(start, min(start + at_once, n))
            own = labels
            if labels is not None:
                own = (labels if len(labels) == 1 else labels[block]).to(model.device)
            able = model.conditioned_on(own)
            if points is None:
                result = getattr(able, method)(block.stop - start, rng, **options)
            else:
                result = getattr(able, method)(points[block].to(model.device), **options)
            results.append(result.cpu())
    return torch.cat(results)


def _forms() -> ModuleType:
    """What gives results the form of what went in; it imports pandas, which runs do without."""
    from genbench.data import forms

    return forms


def _shape(*sizes: int | str) -> str:
    return f"[{', '.join(map(str, sizes))}]"

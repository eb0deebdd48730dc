"""Data as tensors: three parts on the device, read in batches that are index slices of one tensor.

A loader is a function `settings -> Source`; the YAML file in configs/dataset/ names it.
"""

import hashlib
import importlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F

from genbench.config.settings import Settings
from genbench.utils import signals
from genbench.utils.console import echo
from genbench.utils.errors import UserError, plain
from genbench.utils.rng import fold, generator
from genbench.utils.text import counted


class DataSpec(NamedTuple):
    """What one data point is.

    `shape` is (channels, height, width) or (features,); `unit` says that values lie in [0, 1]; `trials` that a value
    is the share of so many yes-or-no dots that are set (of one, in binary data), which makes a binomial its exact
    distribution; None that it is no such share. `cell` is the width of the cell that a value was drawn from, where
    uniform noise hides whole numbers. Labels are below `classes`; 0 where there are none. `absent` are the labels below
    it that no training point has.
    """

    shape: tuple[int, ...]
    unit: bool
    trials: int | None = None
    cell: float = 1.0
    classes: int = 0
    absent: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Number of values in one data point."""
        return math.prod(self.shape)


class Batch(NamedTuple):
    """`x` float [n, *shape]; `y` int64 [n] class labels, -1 where they are hidden, or None where there are none."""

    x: torch.Tensor
    y: torch.Tensor | None


class Noise(NamedTuple):
    """Randomness that belongs to the data: `draw(x, rng)` turns values [n, *shape] into a draw of the same shape.

    Values are raw numbers times `scale`. `setting` asks for the noise, and has it drawn only once where it is `once`.
    `trials` and `cell` are those of the `DataSpec` of what is drawn.
    """

    setting: str
    once: str
    scale: float
    draw: Callable[[torch.Tensor, torch.Generator], torch.Tensor]
    trials: int | None = None
    cell: float = 1.0


def spread(n: int, most: int) -> slice | torch.Tensor:
    """The places of at most so many of n points, evenly spread, as they may be sorted: all, or the places in order."""
    return slice(None) if n <= most else torch.arange(most) * n // most


@dataclass(frozen=True)
class Split:
    """One part of a dataset: `raw` [N, *shape] as it came, whose values times `scale` are the data."""

    raw: torch.Tensor
    y: torch.Tensor | None
    scale: float = 1.0
    noise: Noise | None = None  # drawn anew at each visit

    def __len__(self) -> int:
        return len(self.raw)

    def values(self, index=slice(None)) -> torch.Tensor:
        """Data points as float32 [n, *shape], before noise."""
        x = self.raw[index].float()
        return x * self.scale if self.scale != 1 else x

    def batches(
        self, size: int, *, order: int | None = None, draw: int = 0, skip: int = 0
    ) -> Iterator[Batch]:
        """Every point once, `size` at a time (the last batch may be smaller), but for the first `skip` batches.

        `order` seeds a random order (None keeps the stored one), `draw` the noise. Raises Interrupted between two
        batches if the program is asked to stop, so that whatever visits the data can be.
        """
        n, device = len(self), self.raw.device
        index = None
        if order is not None:
            index = torch.randperm(n, generator=torch.Generator().manual_seed(order)).to(device)
        for start in range(skip * size, n, size):
            signals.check()
            at = slice(start, start + size) if index is None else index[start : start + size]
            x = self.values(at)
            if self.noise is not None:
                x = self.noise.draw(x, generator(draw, start, device=device)).float()
            yield Batch(x, None if self.y is None else self.y[at])

    def at(self, index) -> "Split":
        """The points at these places."""
        return replace(self, raw=self.raw[index], y=None if self.y is None else self.y[index])

    def first(self, n: int | None) -> "Split":
        """The first n points; None is all of them."""
        return self.at(slice(n))

    def spread(self, most: int) -> "Split":
        """At most so many points, evenly spread over all."""
        return self.at(spread(len(self), most))

    def to(self, device) -> "Split":
        """The same part on another device."""
        return replace(
            self, raw=self.raw.to(device), y=None if self.y is None else self.y.to(device)
        )


class RawDataset(NamedTuple):
    """What a loader returns: points to split into training and validation, and points to test on.

    `x` [N, *shape] times `scale` are the data, `y` [N] their labels. Where `test_x` is None, `test_size` of the points
    are set aside for the test. `density` is the true density, for data drawn from one; `unit` and `trials` are those
    of `DataSpec`; `names` are what the labels 0, 1, ... are called, if they are called anything else. `skipped` are the
    files that were left out, each with the reason. The points to validate on are chosen at random or, if the source is
    `ordered` so, are the last ones.
    """

    x: torch.Tensor
    y: torch.Tensor | None
    test_x: torch.Tensor | None
    test_y: torch.Tensor | None
    unit: bool
    scale: float = 1.0
    trials: int | None = None
    density: object | None = None
    names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    ordered: bool = False


class Reference(NamedTuple):
    """All labelled training images of a source, whatever the settings of a run keep of them.

    Features that runs are compared by are learnt from these. `digest` is a function of what `read`
    returns; `read` loads the source anew, so that no second copy of the images stays in memory.
    `held_out` is False if the source has no test part of its own, so that test points are among them.
    """

    digest: str
    classes: int
    held_out: bool
    read: Callable[[], Split]


class Data(NamedTuple):
    """A dataset ready to train on: parts by name ("validation" is absent when val_size=0), and facts about it.

    `reference` is None for data that are not images with classes. `moments` are the mean [D] and the standard
    deviation [D] of each value over the points of the source, for tables: vectors that are drawn from no known density,
    whose values may have different units.
    """

    name: str
    splits: dict[str, Split]
    spec: DataSpec
    density: object | None = None
    names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    digest: str = ""
    reference: Reference | None = None
    moments: tuple[torch.Tensor, torch.Tensor] | None = None

    def called(self, label: int) -> str:
        """What a label is called."""
        return self.names[label] if self.names else str(label)

    @property
    def train(self) -> Split:
        """The part to learn from."""
        return self.splits["train"]


def load(settings: dict, device: torch.device) -> Data:
    """Load a dataset, keep its `classes`, set points aside by its own seed, draw its noise, and move it to the device.

    Raises UserError for parts that do not fit together and for values that are not finite.
    """
    s = Settings(settings)
    source = _source(s)
    reference, moments = _reference(source, s), moments_of(source)
    source = _of_classes(source, s.get("classes"))
    parts = _split(source, s)
    classes, absent = _classes(parts)
    _warn_of_unseen(parts["test"], absent, source.names)
    parts["train"] = _hide_labels(parts["train"], s)
    noise = _noise(source, s)
    if noise is not None:
        parts = {name: _noisy(name, part, noise, s) for name, part in parts.items()}
    spec = DataSpec(
        tuple(source.x.shape[1:]), source.unit, source.trials, classes=classes, absent=absent
    )
    if noise is not None:
        spec = spec._replace(trials=noise.trials, cell=noise.cell)
    on_device = {name: part.to(device) for name, part in parts.items()}
    digest = _digest(parts.values())
    return Data(
        s.name,
        on_device,
        spec,
        source.density,
        source.names,
        source.skipped,
        digest,
        reference,
        moments,
    )


def _source(s: Settings) -> RawDataset:
    """What the dataset's loader returns, images in the size that `resize` asks for.

    UserError for values that are not finite, and for labels that are missing.
    """
    source = locate(s.loader, "dataset.loader")(s)
    for name, x in (("point", source.x), ("test point", source.test_x)):
        bad = (
            (~x.flatten(1).isfinite().all(1)).nonzero()
            if x is not None and x.is_floating_point()
            else []
        )
        if len(bad):
            raise UserError(
                f"dataset={s.name}",
                f"{name} {int(bad[0])} is not finite, counted from 0",
                fix="clean the data",
            )
    _check_labels(source, s)
    texts = {name: tuple(map(plain, getattr(source, name))) for name in ("names", "skipped")}
    return _resized(source._replace(**texts), s.get("resize"))


def _reference(source: RawDataset, s: Settings) -> Reference | None:
    """What is known of all labelled training images of the source, if it has such."""
    if source.x.dim() != 4 or source.y is None or len(source.y.unique()) < 2:
        return None
    digest = _images_digest(source)

    def read() -> Split:
        again = _source(s)
        if _images_digest(again) != digest:
            raise UserError(
                f"dataset={s.name}", "the files changed during the run", fix="run again"
            )
        return Split(again.x, again.y, again.scale)

    return Reference(digest, int(source.y.max()) + 1, source.test_x is not None, read)


def moments_of(source: RawDataset) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The `moments` of the values of a table, whatever a run keeps of it; None for other data."""
    return (
        None
        if source.x.dim() != 2 or source.density is not None
        else moments(source.x.double() * source.scale)
    )


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean [*shape] and standard deviation [*shape] of the values of points x [n, *shape]; 1 where a value is constant."""
    mean, deviation = x.mean(0), x.std(0, correction=0)
    constant = deviation <= torch.finfo(torch.float32).eps * x.abs().amax(0)
    return mean, torch.where(constant, 1.0, deviation)


def _images_digest(source: RawDataset) -> str:
    return f"{_digest([Split(source.x, source.y)])} times {source.scale!r}"


def _digest(parts: Iterable[Split]) -> str:
    """The SHA-256 of all points and labels: the same if and only if the data are."""
    found = hashlib.sha256()
    for part in parts:
        for values in (part.raw, part.y):
            if values is not None:
                found.update(repr((values.dtype, values.shape)).encode())
                found.update(values.contiguous().numpy())
    return found.hexdigest()


def _resized(source: RawDataset, size: list[int] | None) -> RawDataset:
    """The images stretched to this height and width, in bytes where they were whole numbers; None leaves them."""
    if size is None or list(source.x.shape[2:]) == size:
        return source
    if source.x.dim() != 4:
        raise UserError("dataset.resize", "the data are no images", size, "leave it out")
    whole = source.unit and not source.x.is_floating_point()

    def stretched(x: torch.Tensor | None) -> torch.Tensor | None:
        if x is None:
            return None
        parts = []
        for part in x.split(1000):
            signals.check()
            values = F.interpolate(
                part.float() * source.scale, size, mode="bicubic", antialias=True
            )
            values = values.clamp(0, 1) if source.unit else values
            parts.append((values * 255).round().byte() if whole else values)
        return torch.cat(parts)

    scale = 1 / 255 if whole else 1.0
    return source._replace(
        x=stretched(source.x), test_x=stretched(source.test_x), scale=scale, trials=None
    )


def _check_labels(source: RawDataset, s: Settings) -> None:
    """UserError unless every point has a label that is a whole number from 0 on, or none has."""
    key = f"dataset={s.name}"
    parts = {"training": (source.x, source.y)}
    if source.test_x is not None:
        parts["test"] = (source.test_x, source.test_y)
    labelled = [name for name, (_, y) in parts.items() if y is not None]
    if len(labelled) == 1 < len(parts):
        raise UserError(
            key,
            f"only the {labelled[0]} points have labels",
            fix="give all points their labels, or none",
        )
    for name in labelled:
        x, y = parts[name]
        if y.is_floating_point() or y.dim() != 1 or len(y) != len(x):
            got = f"{len(x)} points, and labels {list(y.shape)} of type {y.dtype}"
            raise UserError(
                key,
                f"expected a whole number as the label of each {name} point",
                got,
                "correct the loader",
            )
        if len(y) and y.min() < 0:
            what = f"{name} point {int(y.argmin())}, counted from 0, has a label below 0"
            raise UserError(
                key,
                what,
                int(y.min()),
                "give every point its label, and hide some by dataset.labelled",
            )


def _classes(parts: dict[str, Split]) -> tuple[int, tuple[int, ...]]:
    """What all labels are below, and the labels below it that no training point has."""
    found = [part.y for part in parts.values() if part.y is not None and len(part.y)]
    if not found:
        return 0, ()
    classes = int(torch.cat(found).max()) + 1
    there = set(parts["train"].y.unique().tolist())
    return classes, tuple(c for c in range(classes) if c not in there)


def _warn_of_unseen(test: Split, absent: tuple[int, ...], names: tuple[str, ...]) -> None:
    """Warn of classes that are to be tested on but cannot be learnt."""
    unseen = [c for c in absent if test.y is not None and bool((test.y == c).any())]
    if unseen:
        called = ", ".join(names[c] if names else str(c) for c in unseen[:5]) + (
            ", ..." if len(unseen) > 5 else ""
        )
        kinds = f"{len(unseen)} class{'es' * (len(unseen) > 1)}"
        echo(
            f"warning: no training point is of {kinds} that test points have ({called}): a model that uses labels must fail there"
        )


def _of_classes(source: RawDataset, classes: list[int] | None) -> RawDataset:
    """The points whose label is one of `classes`, to train and to test on; None keeps all."""
    if classes is None:
        return source
    parts = [
        (x, y) for x, y in ((source.x, source.y), (source.test_x, source.test_y)) if x is not None
    ]
    if any(y is None for _, y in parts):
        raise UserError("dataset.classes", "the data have no classes", classes, "leave it out")
    there = source.y.unique().tolist()
    if not classes or not set(classes) <= set(there):
        raise UserError(
            "dataset.classes", "must name classes that there are", classes, f"choose from {there}"
        )
    kept = [
        (x[chosen], y[chosen])
        for x, y in parts
        for chosen in [torch.isin(y, torch.tensor(classes))]
    ]
    if not all(len(y) for _, y in kept):
        raise UserError(
            "dataset.classes",
            "leaves nothing to test on",
            classes,
            f"choose from {source.test_y.unique().tolist()}",
        )
    (x, y), (test_x, test_y) = [*kept, (None, None)][:2]
    return source._replace(x=x, y=y, test_x=test_x, test_y=test_y)


def _split(source: RawDataset, s: Settings) -> dict[str, Split]:
    """The parts, as the dataset's own seed sets points aside."""
    points = Split(source.x, source.y, source.scale)
    if source.test_x is None:
        test, points = _set_aside(points, "test_size", s, "test")
    else:
        test = Split(source.test_x, source.test_y, source.scale)
    validation, train = _set_aside(points, "val_size", s, "parts", source.ordered)
    parts = {"train": train.first(s.limit), "validation": validation, "test": test}
    return {name: part for name, part in parts.items() if len(part) or name != "validation"}


def _hide_labels(train: Split, s: Settings) -> Split:
    """The training points with only `labelled` labels left, as many of each class as of any other; -1 hides the others."""
    if s.get("labelled") is None:
        return train
    if train.y is None:
        raise UserError("dataset.labelled", "the data have no classes", s.labelled, "leave it out")
    order = torch.randperm(len(train), generator=generator(s.seed, "labelled"))
    y = train.y[order]
    of_class = (
        F.one_hot(y).cumsum(0).gather(1, y[:, None]).squeeze(1)
    )  # a point is the how-manieth of its class
    kept = order[of_class.argsort(stable=True)[: s.labelled]]
    return replace(train, y=torch.full_like(train.y, -1).index_copy(0, kept, train.y[kept]))


def _set_aside(
    points: Split, setting: str, s: Settings, purpose: str, last: bool = False
) -> tuple[Split, Split]:
    """As many points as the setting says, at random or the last ones, and the rest."""
    n, size = len(points), count(s[setting], len(points))
    if size >= n:
        raise UserError(
            f"dataset.{setting}",
            f"leaves nothing to train on of {counted(n, 'point')}",
            s[setting],
            f"a share, such as dataset.{setting}=0.1",
        )
    if last:
        return points.at(slice(n - size, n)), points.at(slice(n - size))
    order = torch.randperm(n, generator=generator(s.seed, purpose))
    return points.at(order[:size]), points.at(order[size:])


USUAL_VALIDATION = 5000  # points, unless that is more than a tenth of all


def count(size: int | float | str, n: int) -> int:
    """A number of points that is given as such, or as a share of n (rounded up, so that it is never none), or as `auto`."""
    if size == "auto":
        return min(USUAL_VALIDATION, math.ceil(n / 10))
    return math.ceil(size * n) if isinstance(size, float) else size


def _noise(source: RawDataset, s: Settings) -> Noise | None:
    """The noise that the settings ask for."""
    if s.get("binarize", "none") != "none":
        return Noise("binarize", "static", source.scale, binary, trials=1)
    if s.get("dequantize", False):
        if source.x.is_floating_point():
            raise UserError(
                "dataset.dequantize",
                "needs pixels that are whole numbers",
                s.dequantize,
                "leave it out",
            )
        levels = round(1 / source.scale) + 1
        return Noise(
            "dequantize", "true", 1 / levels, partial(uniform, width=1 / levels), cell=1 / levels
        )
    return None


def _noisy(name: str, part: Split, noise: Noise, s: Settings) -> Split:
    """The part with its noise drawn, or, for training points and `dynamic` noise, to be drawn at each visit.

    Held-out points keep one draw even then, so that epochs can be compared.
    """
    part = replace(part, scale=noise.scale)
    if s[noise.setting] == "dynamic" and name == "train":
        return replace(part, noise=noise)
    return Split(noise.draw(part.values(), generator(s.seed, noise.setting, name)), part.y)


def binary(x: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Black or white, as bytes: white with the probability that is the pixel's value."""
    return torch.bernoulli(x, generator=rng).byte()


def uniform(x: torch.Tensor, rng: torch.Generator, width: float) -> torch.Tensor:
    """A point of the cell [x, x + width) that was rounded to x, each as likely.

    The mean log-density of such points, plus log(width) per value, is at most the log-probability that a model gives
    to the whole pixel values (Theis et al. 2016, arXiv:1511.01844, section 3.1), so it is bounded.
    """
    u = torch.rand(x.shape, generator=rng, device=x.device)
    # Beside a pixel of 255, float32 keeps 16 binary places; what is closer to an edge would round into the next cell.
    return u.clamp_(2**-16, 1 - 2**-16).mul_(width).add_(x)


def locate(path: str, key: str):
    """The object that a YAML file names by its dotted path; UserError if there is none."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            key, f"cannot be imported: {error}", path, "correct the path or install the module"
        ) from error


def order_seed(seed: int, epoch: int) -> int:
    """The seed of the order in which an epoch visits the training points."""
    return fold(seed, "order", epoch)

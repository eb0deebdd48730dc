"""Datasets as tensors: three parts on the device, read in batches that are index slices of one tensor.

A loader is a function `settings -> Source`; the YAML file in configs/dataset/ names it. This is the one module that
imports torchvision, and only for the datasets that need it.
"""

import importlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from .errors import UserError
from .seeds import fold, generator
from .settings import Settings


class Space(NamedTuple):
    """What one data point is.

    `shape` is (channels, height, width) or (features,); `unit` says that values lie in [0, 1]; `trials` that a value
    is the share of so many yes-or-no dots that are set, which makes a binomial its exact distribution.
    """

    shape: tuple[int, ...]
    unit: bool
    trials: int = 1

    @property
    def size(self) -> int:
        """Number of values in one data point."""
        return math.prod(self.shape)


class Batch(NamedTuple):
    """`x` float [n, *shape]; `y` int64 [n] class labels, or None where there are none."""

    x: torch.Tensor
    y: torch.Tensor | None


@dataclass(frozen=True)
class Part:
    """One part of a dataset: `raw` [N, *shape] as it came, whose values times `scale` are the data."""

    raw: torch.Tensor
    y: torch.Tensor | None
    scale: float = 1.0
    dynamic: bool = False  # draw each pixel from Bernoulli(value) anew at each visit

    def __len__(self) -> int:
        return len(self.raw)

    def values(self, index=slice(None)) -> torch.Tensor:
        """Data points as float32 [n, *shape], before dynamic binarisation."""
        x = self.raw[index].float()
        return x * self.scale if self.scale != 1 else x

    def batches(self, size: int, *, order: int | None = None, draw: int = 0) -> Iterator[Batch]:
        """Every point once, `size` at a time (the last batch may be smaller).

        `order` seeds a random order (None keeps the stored one), `draw` the pixels of dynamic binarisation.
        """
        n, device = len(self), self.raw.device
        index = None
        if order is not None:
            index = torch.randperm(n, generator=torch.Generator().manual_seed(order)).to(device)
        for start in range(0, n, size):
            at = slice(start, start + size) if index is None else index[start : start + size]
            x = self.values(at)
            if self.dynamic:
                x = torch.bernoulli(x, generator=generator(draw, start, device=device))
            yield Batch(x, None if self.y is None else self.y[at])

    def first(self, n: int) -> "Part":
        """The first n points."""
        return replace(self, raw=self.raw[:n], y=None if self.y is None else self.y[:n])

    def to(self, device) -> "Part":
        """The same part on another device."""
        return replace(self, raw=self.raw.to(device), y=None if self.y is None else self.y.to(device))


class Source(NamedTuple):
    """What a loader returns: points to split into training and validation, points to test on.

    `x` [N, *shape] times `scale` are the data; `density` is the true density, for data drawn from one; `unit` and
    `trials` are those of `Space`.
    """

    x: torch.Tensor
    y: torch.Tensor | None
    test_x: torch.Tensor
    test_y: torch.Tensor | None
    unit: bool
    scale: float = 1.0
    trials: int = 1
    density: object | None = None


class Data(NamedTuple):
    """A dataset ready to train on: parts by name ("validation" is absent when val_size=0), and facts about it."""

    name: str
    parts: dict[str, Part]
    space: Space
    density: object | None = None

    @property
    def train(self) -> Part:
        """The part to learn from."""
        return self.parts["train"]


def load(settings: dict, device: torch.device) -> Data:
    """Load a dataset, set validation points aside by the dataset's own seed, binarise, and move it to the device.

    Raises UserError for parts that do not fit together and for values that are not finite.
    """
    s = Settings(settings)
    source: Source = locate(s.loader, "dataset.loader")(s)
    n = len(source.x)
    if s.val_size >= n:
        raise UserError("dataset.val_size", f"leaves nothing to train on: there are {n} points", s.val_size, f"at most {n - 1}")
    order = torch.randperm(n, generator=generator(s.seed, "parts"))
    train, validation = order[s.val_size :][: s.limit], order[: s.val_size]
    parts = {"train": (source.x[train], _at(source.y, train))}
    if s.val_size:
        parts["validation"] = source.x[validation], _at(source.y, validation)
    parts["test"] = source.test_x, source.test_y
    for name, (x, _) in parts.items():
        bad = (~x.flatten(1).isfinite().all(1)).nonzero() if x.is_floating_point() else []
        if len(bad):
            raise UserError(f"dataset={s.name}", f"{name} point {int(bad[0])} is not finite", fix="clean the data")
    binarize = s.get("binarize", "none")
    finished = {}
    for name, (x, y) in parts.items():
        part = Part(x, y, source.scale)
        if binarize == "static" or (binarize == "dynamic" and name != "train"):
            # Held-out pixels are drawn once even when training pixels are not, so that epochs can be compared.
            x = torch.bernoulli(part.values(), generator=generator(s.seed, "binarize", name)).byte()
            part = Part(x, y)
        finished[name] = replace(part, dynamic=binarize == "dynamic" and name == "train").to(device)
    trials = source.trials if binarize == "none" else 1
    space = Space(tuple(source.x.shape[1:]), source.unit, trials)
    return Data(s.name, finished, space, source.density)


def _at(y, index):
    return None if y is None else y[index]


def locate(path: str, key: str):
    """The object that a YAML file names by its dotted path; UserError if there is none."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(key, f"cannot be imported: {error}", path, "correct the path or install the module") from error


def digits(s: Settings) -> Source:
    """scikit-learn's bundled digits: 1,797 images [1, 8, 8]; a pixel counts the dots set in a 4x4 block of a bitmap."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = torch.tensor(bunch.images, dtype=torch.uint8)[:, None], torch.tensor(bunch.target)
    if s.test_size >= len(x):
        raise UserError("dataset.test_size", f"leaves nothing to train on: there are {len(x)} points", s.test_size, f"at most {len(x) - 1}")
    order = torch.randperm(len(x), generator=generator(s.seed, "test"))
    test, rest = order[: s.test_size], order[s.test_size :]
    return Source(x[rest], y[rest], x[test], y[test], unit=True, scale=1 / 16, trials=16)


def mnist(s: Settings) -> Source:
    """MNIST through torchvision: read from `root`/MNIST/raw, or downloaded into the cache folder on first use."""
    root = Path(s.root).expanduser() if s.root else cache_folder()
    dataset = _torchvision().datasets.MNIST
    try:
        train, test = (dataset(root, train=part) for part in (True, False))
    except (RuntimeError, OSError, ValueError):
        if s.root:
            raise UserError(
                "dataset.root",
                "does not hold MNIST/raw with its four files (train-images-idx3-ubyte ...)",
                s.root,
                "give the folder above MNIST/, or leave dataset.root out to download",
            ) from None
        train, test = _download(dataset, root)
    return Source(train.data[:, None], train.targets, test.data[:, None], test.targets, unit=True, scale=1 / 255)


def _download(dataset, root: Path):
    try:
        return [dataset(root, train=part, download=True) for part in (True, False)]
    except (RuntimeError, OSError, ValueError) as error:
        raise UserError(
            "dataset=mnist",
            f"could not be downloaded: {error}",
            fix=f"put the four files of MNIST into {root / 'MNIST' / 'raw'}, or give dataset.root=FOLDER",
        ) from error


def cache_folder() -> Path:
    """Where downloads are kept: $GENBENCH_CACHE, else genbench/ in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GENBENCH_CACHE") or Path(base) / "genbench")


def _torchvision():
    try:
        import torchvision
    except ImportError as error:
        raise UserError("torchvision", f"is missing: {error}", fix="pip install torchvision") from error
    except RuntimeError as error:  # 'operator torchvision::nms does not exist'
        raise UserError(
            "torchvision",
            f"does not match torch {torch.__version__}: {error}",
            fix="install both from the same place: pip install --force-reinstall torch torchvision",
        ) from error
    return torchvision


def order_seed(seed: int, epoch: int) -> int:
    """The seed of the order in which an epoch visits the training points."""
    return fold(seed, "order", epoch)

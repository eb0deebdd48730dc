"""Splitting a dataset into points to train, validate and test on.

Classes may be left out before, and labels hidden after it.
"""

import math
from dataclasses import replace
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F

from genbench.data.lazy import select
from genbench.data.types import RawDataset, Split
from genbench.settings.datasets import DatasetSettings, TestSizeSettings
from genbench.utils.errors import UserError
from genbench.utils.rng import fold, generator
from genbench.utils.text import counted

Size: TypeAlias = int | float | Literal["auto"]
USUAL_VALIDATION = 5000  # points, unless that is more than a tenth of all


def split_points(source: RawDataset, s: DatasetSettings) -> dict[str, Split]:
    """The splits by name, as the dataset's own seed draws them.

    "validation" is absent if it would be empty. UserError if nothing would be left to train on.
    """
    points = Split(source.x, source.y, source.scale, factors=source.factors)
    if source.test_x is None:
        if not isinstance(s, TestSizeSettings):
            what = "the dataset has no test points, and no setting that says how many to set aside"
            raise UserError("dataset.test_size", what, fix="inherit TestSizeSettings")
        test, points = _set_aside(points, "test_size", s.test_size, s.seed, "test")
    else:
        test = Split(source.test_x, source.test_y, source.scale, factors=source.test_factors)
    val_size, is_last = s.val_size, source.ordered
    if val_size == "auto" and source.validation:
        val_size, is_last = source.validation, True
    validation, train = _set_aside(points, "val_size", val_size, s.seed, "parts", is_last)
    splits = {"train": train.first(s.limit), "validation": validation, "test": test}
    return {name: split for name, split in splits.items() if len(split) or name != "validation"}


def _set_aside(
    points: Split, setting: str, asked: Size, seed: int, purpose: str, last: bool = False
) -> tuple[Split, Split]:
    """As many points as a setting asks for, the last ones or random ones, and the rest.

    `purpose` is folded into the seed of the random choice.
    """
    n, size = len(points), count(asked, len(points))
    if size >= n:
        what = f"leaves nothing to train on of {counted(n, 'point')}"
        fix = f"a share, such as dataset.{setting}=0.1"
        raise UserError(f"dataset.{setting}", what, asked, fix)
    if last:
        return points.at(slice(n - size, n)), points.at(slice(n - size))
    order = torch.randperm(n, generator=generator(seed, purpose))
    return points.at(order[:size]), points.at(order[size:])


def count(size: Size, n: int) -> int:
    """The number of points that a setting means: a number, a share of n, or `auto`.

    A share is rounded up, so that it is never no point at all.
    """
    if size == "auto":
        return min(USUAL_VALIDATION, math.ceil(n / 10))
    return math.ceil(size * n) if isinstance(size, float) else int(size)


def keep_classes(source: RawDataset, classes: list[int] | None) -> RawDataset:
    """The points whose label is one of `classes`, for training and for the test; None keeps all.

    UserError if there are no such classes, or if none of the test points would be left.
    """
    if classes is None:
        return source
    key, x, y = "dataset.classes", source.x, source.y
    if y is None:
        raise UserError(key, "the data have no classes", classes, "leave it out")
    known = y.unique().tolist()
    if not classes or not set(classes) <= set(known):
        raise UserError(key, "must name classes of the data", classes, f"choose from {known}")
    chosen = torch.isin(y, torch.tensor(classes))
    source = source._replace(
        x=select(x, chosen),
        y=y[chosen],
        factors=None if source.factors is None else source.factors[chosen],
        validation=int(chosen[len(y) - source.validation :].sum()),
    )
    test_x, test_y = source.test_x, source.test_y
    if test_x is None or test_y is None:
        return source
    chosen = torch.isin(test_y, torch.tensor(classes))
    if not chosen.any():
        fix = f"choose from {test_y.unique().tolist()}"
        raise UserError(key, "leaves nothing to test on", classes, fix)
    factors = None if source.test_factors is None else source.test_factors[chosen]
    return source._replace(
        test_x=select(test_x, chosen), test_y=test_y[chosen], test_factors=factors
    )


def hide_labels(train: Split, s: DatasetSettings) -> Split:
    """The training points with `labelled` labels, equally many of each class; the others are -1.

    Without the setting `labelled` all labels stay. UserError if the data have no labels.
    """
    if s.labelled is None:
        return train
    if train.y is None:
        raise UserError("dataset.labelled", "the data have no classes", s.labelled, "leave it out")
    order = torch.randperm(len(train), generator=generator(s.seed, "labelled"))
    y = train.y[order]
    index_in_class = F.one_hot(y).cumsum(0).gather(1, y[:, None]).squeeze(1)
    kept = order[index_in_class.argsort(stable=True)[: s.labelled]]
    return replace(train, y=torch.full_like(train.y, -1).index_copy(0, kept, train.y[kept]))


def order_seed(seed: int, epoch: int) -> int:
    """The seed of the order in which an epoch visits the training points."""
    return fold(seed, "order", epoch)

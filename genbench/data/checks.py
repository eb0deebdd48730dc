"""Checks of loaded data: finite values, whole-number labels, test classes that can be learnt."""

import torch

from genbench.data.lazy import Values, read_chunks
from genbench.data.types import RawDataset, Split
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.signals import check

LARGEST_LABEL = 100_000  # labels below the largest one are counted, and networks are as wide


def check_values(source: RawDataset, name: str) -> None:
    """UserError that names the first point of the dataset `name` with a non-finite value."""
    for kind, x in (("point", source.x), ("test point", source.test_x)):
        if source.fill is not None or x is None or not x.is_floating_point():
            continue
        start = 0
        for chunk in read_chunks(x):
            check()
            bad = (~chunk.flatten(1).isfinite().all(1)).nonzero()
            if len(bad):
                what = f"{kind} {start + int(bad[0])} is not finite, counted from 0"
                raise UserError(f"dataset={name}", what, fix="clean the data")
            start += len(chunk)


def check_labels(source: RawDataset, name: str) -> None:
    """UserError unless every point has a whole number from 0 on as its label, or none has one."""
    key = f"dataset={name}"
    splits = {"training": (source.x, source.y)}
    if source.test_x is not None:
        splits["test"] = (source.test_x, source.test_y)
    labelled = [kind for kind, (_, y) in splits.items() if y is not None]
    if len(labelled) == 1 < len(splits):
        what = f"only the {labelled[0]} points have labels"
        raise UserError(key, what, fix="give all points their labels, or none")
    for kind, (x, y) in splits.items():
        if y is not None:
            _check_label_values(x, y, kind, key)


def _check_label_values(x: Values, y: torch.Tensor, kind: str, key: str) -> None:
    if y.is_floating_point() or y.dim() != 1 or len(y) != len(x):
        what = f"expected a whole number as the label of each {kind} point"
        got = f"{len(x)} points, and labels {list(y.shape)} of type {y.dtype}"
        raise UserError(key, what, got, "correct the loader")
    if len(y) and y.min() < 0:
        what = f"{kind} point {int(y.argmin())}, counted from 0, has a label below 0"
        fix = "give every point its label, and hide some by dataset.labelled"
        raise UserError(key, what, int(y.min()), fix)
    if len(y) and y.max() > LARGEST_LABEL:
        what = f"{kind} point {int(y.argmax())}, counted from 0, has a label above all classes"
        fix = f"number the classes from 0 on; at most to {LARGEST_LABEL:,}"
        raise UserError(key, what, int(y.max()), fix)


def classes_of(splits: dict[str, Split]) -> tuple[int, tuple[int, ...]]:
    """The number that all labels are below, and the labels below it that no training point has."""
    labels = [split.y for split in splits.values() if split.y is not None and len(split.y)]
    if not labels:
        return 0, ()
    classes = int(torch.cat(labels).max()) + 1
    train = splits["train"].y
    trained = set() if train is None else set(train.unique().tolist())
    return classes, tuple(c for c in range(classes) if c not in trained)


def warn_of_unseen(test: Split, absent: tuple[int, ...], names: tuple[str, ...]) -> None:
    """Warn of classes that test points have but no training point has."""
    unseen = [c for c in absent if test.y is not None and bool((test.y == c).any())]
    if not unseen:
        return
    shown = ", ".join(names[c] if names else str(c) for c in unseen[:5])
    if len(unseen) > 5:
        shown += ", ..."
    noun = "class" if len(unseen) == 1 else "classes"
    echo(
        f"warning: test points have {len(unseen)} {noun} that no training point has ({shown}):"
        " a model that uses labels must fail there"
    )

"""Which arrays of a file are points and labels, and what kind of points they are."""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genbench.config.array_axes import KIND_OF_AXES, guessed_axes, require_axes
from genbench.config.hub_kind import HUB_LOADER, kind_on_hub
from genbench.utils.errors import UserError

if TYPE_CHECKING:
    from genbench.utils.array_files import StoredArray

LOADER = "genbench.data.array_file.array_file"
IN_MEMORY = "genbench.data.memory.given_in_python"  # the loader of data that were given in Python
ROLES = ("x", "y", "x_test", "y_test")
# What files call them, in lower case.
USUAL_NAMES = {
    "x": (
        "x",
        "x_train",
        "train_x",
        "images",
        "train_images",
        "data",
        "features",
        "train",
        "arr_0",
    ),
    "y": ("y", "y_train", "train_y", "labels", "train_labels", "target", "targets", "arr_1"),
    "x_test": ("x_test", "test_x", "test_images", "test_data", "test"),
    "y_test": ("y_test", "test_y", "test_labels", "test_target", "test_targets"),
}


class Chosen(NamedTuple):
    """The arrays of a file by role, under their own names, and the names of the others.

    is_last  whether points are counted along the last axis, as MATLAB's users often have them
    axes     of a point, a key of `AXES`
    unpaired name of an array of labels that is left out, because only the training points or only
             the test points have labels
    """

    names: dict[str, str]
    arrays: "dict[str, StoredArray]"
    others: tuple[str, ...]
    is_last: bool
    axes: str
    unpaired: str | None = None

    @property
    def kind(self) -> str:
        """What the points are: vectors, signals or images."""
        return KIND_OF_AXES.get(self.axes, "images")


def chosen_arrays(file: Path, asked: Mapping[str, str], axes: str) -> Chosen:
    """The arrays that `asked` names by role, or `auto` leaves to their names, and their axes.

    UserError for a name that the file does not have, and where names do not say which array holds
    the points.
    """
    from genbench.utils.array_files import stored_arrays  # imports NumPy, which help need not

    found = stored_arrays(file)
    names: dict[str, str] = {}
    for role in ROLES:
        name = _named(role, asked.get(role, "auto"), found, file)
        if name is not None and name not in names.values():
            names[role] = name
    if "x" not in names:
        names["x"] = _only_points(found, names, file)
    unpaired = _without_unpaired_labels(names, asked)
    arrays = {role: found[name] for role, name in names.items()}
    shape = arrays["x"].shape
    labels = arrays.get("y")
    n = None if labels is None else max(labels.shape, default=0)
    is_last = len(shape) > 1 and n == shape[-1] and n != shape[0]
    if is_last:
        shape = (shape[-1], *shape[:-1])
    if len(shape) == 1:
        shape = (*shape, 1)
    if axes == "auto":
        axes = guessed_axes(shape, arrays["x"].dtype.name == "uint8")
    require_axes(axes, shape)
    others = tuple(name for name in found if name not in names.values())
    return Chosen(names, arrays, others, is_last, axes, unpaired)


def _without_unpaired_labels(names: dict[str, str], asked: Mapping[str, str]) -> str | None:
    """Take labels out of `names` that belong to a part of the points only. The name of their array
    if the points have no classes for that reason. UserError if a user asked for that array.
    """
    has_test = "x_test" in names
    if "y_test" in names and not has_test:
        lone, what, fix = "y_test", "there are no test points", "dataset.x_test=NAME"
    elif has_test and "y" in names and "y_test" not in names:
        lone, what = "y", "the test points have no labels"
        fix = "dataset.y_test=NAME, or dataset.x_test=none"
    elif has_test and "y_test" in names and "y" not in names:
        lone, what, fix = "y_test", "the training points have no labels", "dataset.y=NAME"
    else:
        return None
    if asked.get(lone, "auto") != "auto":
        raise UserError(f"dataset.{lone}", f"has no counterpart: {what}", names[lone], fix)
    name = names.pop(lone)
    return name if has_test else None


def _named(role: str, asked: str, found: "Mapping[str, StoredArray]", file: Path) -> str | None:
    if asked == "none" and role != "x":
        return None
    if asked != "auto":
        if asked not in found:
            what = f"{file.name} has no array of this name"
            raise UserError(f"dataset.{role}", what, asked, f"one of {', '.join(found)}")
        return asked
    by_case = {name.lower(): name for name in reversed([*found])}
    return next((by_case[usual] for usual in USUAL_NAMES[role] if usual in by_case), None)


def _only_points(found: "Mapping[str, StoredArray]", names: dict[str, str], file: Path) -> str:
    """The name of the only array that can hold points."""
    free = {name: array for name, array in found.items() if name not in names.values()}
    able = [n for n, a in free.items() if a.dtype.kind in "biuf" and len(a.shape) > 1]
    if len(able) == 1:
        return able[0]
    shown = ", ".join(f"{name} {list(array.shape)}" for name, array in found.items()) or "none"
    what = f"{file.name} does not say which array holds the points: {shown}"
    fix = f"dataset.x={able[0]}" if able else "a file that holds an array [n, ...] of numbers"
    raise UserError("dataset.x", what, fix=fix)


def inferred_kind(loader: Any, values: Mapping[str, Any]) -> str | None:
    """What kind of points these settings, by dotted name, take from memory, a file of arrays or
    a dataset of Hugging Face; None for other data and for a file that is not there.

    UserError for a file that cannot be read.
    """
    if loader == IN_MEMORY:
        return KIND_OF_AXES.get(str(values.get("dataset.axes")), "images")
    path = values.get("dataset.path")
    if loader == HUB_LOADER and isinstance(path, str):
        return "vectors" if values.get("dataset.columns") else kind_on_hub(path)
    if loader != LOADER or not isinstance(path, str):
        return None
    file = Path(os.path.abspath(os.path.expanduser(path)))
    if not file.is_file():
        return None  # the check of the data says so
    asked = tuple((role, str(values.get(f"dataset.{role}", "auto"))) for role in ROLES)
    axes, status = values.get("dataset.axes", "auto"), file.stat()
    return _kind(file, asked, str(axes), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _kind(file: Path, asked: tuple[tuple[str, str], ...], axes: str, *version: int) -> str:
    return chosen_arrays(file, dict(asked), axes).kind

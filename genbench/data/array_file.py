"""A user's own arrays in a file as a dataset; those that would take much of the memory stay in the
file, or in the cache folder where they are compressed or of a type that torch lacks.
"""

from pathlib import Path

import numpy as np
import torch

from genbench.config.array_choice import ROLES, Chosen, chosen_arrays
from genbench.data.arrays import arranged, from_numpy
from genbench.data.layout import Form
from genbench.data.lazy import Values
from genbench.data.prepared import fits, mapped_array, prepared, written_chunks
from genbench.data.rounding import warn_of_rounded_array
from genbench.data.summary import report_arrays
from genbench.data.types import RawDataset
from genbench.settings.own_data import ArrayFileSettings
from genbench.utils.array_files import StoredArray
from genbench.utils.errors import UserError


def array_file(s: ArrayFileSettings) -> RawDataset:
    """The arrays of the file `path`: points, and labels and test points if it has some.

    UserError that names the array for what does not fit together.
    """
    file = Path(s.path)
    chosen = chosen_arrays(file, {role: getattr(s, role) for role in ROLES}, s.axes)
    if s.range != "auto" and chosen.kind != "images":
        what = f"has no effect on {chosen.kind}"
        raise UserError("dataset.range", what, s.range, "leave it out, or name dataset.axes")
    found = {role: _values(role, chosen, file) for role in ("x", "x_test")}
    labels = {role: chosen.arrays[role].read() for role in ("y", "y_test") if role in chosen.arrays}
    x = found["x"]
    assert x is not None  # a choice has points
    asked = None if s.range == "auto" else (float(s.range[0]), float(s.range[1]))
    source = arranged(
        x,
        labels.get("y"),
        found["x_test"],
        labels.get("y_test"),
        chosen.axes,
        asked,
        Form(chosen.arrays["x"].dtype.name),
        raw=s.standardize is False,
        label_key="dataset.y",
    )
    report_arrays(s, chosen, source)
    return source


def _values(role: str, chosen: Chosen, file: Path) -> Values | None:
    """The array of a role, in memory or in a file."""
    array = chosen.arrays.get(role)
    if array is None:
        return None
    key = f"dataset.{role}"
    size = int(np.prod(array.shape)) * array.dtype.itemsize
    if fits(size) or chosen.is_last or array.chunks is None:
        values = array.read()
        values = np.moveaxis(values, -1, 0) if chosen.is_last else values
        if role == "x":
            warn_of_rounded_array(values)
        return from_numpy(values, key)
    status = file.stat()
    origin = f"{file.resolve()} {chosen.names[role]} {status.st_size} {status.st_mtime_ns}"
    if array.mapped is not None and array.dtype.name in MAPPABLE:
        return mapped_array(array.mapped(), origin)
    return _prepared(array, origin, size, key)


def _prepared(array: StoredArray, origin: str, size: int, key: str) -> Values:
    """The array in the cache folder, in chunks of a type that torch has."""
    chunks = array.chunks
    assert chunks is not None  # else it was read into memory
    dtype = from_numpy(np.zeros((2, 1), array.dtype), key).dtype
    made = (from_numpy(np.array(chunk), key) for chunk in chunks())
    shape = array.shape if len(array.shape) > 1 else (*array.shape, 1)
    what = f"{array.shape[0]:,} points"
    return prepared({"array": origin}, size, what, written_chunks(made, shape, dtype)).values


MAPPABLE = {str(dtype).removeprefix("torch.") for dtype in (
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.float32, torch.float64,
)}  # fmt: skip

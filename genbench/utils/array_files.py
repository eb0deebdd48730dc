"""The arrays that a file holds: their names, shapes and types, and how each is read.

NumPy's .npy and .npz, tensors that torch saved, MATLAB's .mat and HDF5. Nothing is unpickled, and
torch is imported for its own files only.
"""

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from genbench.utils.errors import UserError
from genbench.utils.files import opened
from genbench.utils.imports import imported_extra

VALUES_AT_ONCE = 2**22  # of a chunk
DAMAGED = (ValueError, OSError, EOFError, KeyError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class StoredArray:
    """One array of a file.

    read    returns all of it
    mapped  returns it mapped into memory; None if it is compressed, or stored in another order
    chunks  returns it in chunks along its first axis, at most `VALUES_AT_ONCE` values each
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
    mapped: Callable[[], np.ndarray] | None = None
    chunks: Callable[[], Iterator[np.ndarray]] | None = None


def stored_arrays(file: Path, key: str = "dataset.path") -> dict[str, StoredArray]:
    """The arrays of a file by name. UserError, about `key`, for a file that cannot be read."""
    read = READERS.get(file.suffix.lower())
    if read is None:
        what = f"is none of {', '.join(READERS)}"
        raise UserError(key, what, file, "dataset=table reads .csv, .parquet and others")
    try:
        os.close(opened(file, links=True))  # a pipe would be waited for
        return read(file)
    except (*DAMAGED, zipfile.BadZipFile) as error:
        what = f"cannot be read as {file.suffix}: {error}"
        raise UserError(key, what, file, "save the arrays anew, without objects") from error


def rows_at_once(shape: tuple[int, ...]) -> int:
    """How many rows of an array of this shape make a chunk."""
    return max(1, VALUES_AT_ONCE // max(1, int(np.prod(shape[1:]))))


def _npy(file: Path) -> dict[str, StoredArray]:
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    assert isinstance(array, np.ndarray)

    def read() -> np.ndarray:
        return np.load(file, allow_pickle=False)

    mapped = (lambda: array) if array.flags.c_contiguous and array.dtype.isnative else None
    return {"x": StoredArray(array.shape, array.dtype, read, mapped, lambda: _slices(array))}


def _slices(array: Any) -> Iterator[np.ndarray]:
    """An array that is sliced, such as one in an HDF5 file, in chunks."""
    step = rows_at_once(array.shape)
    for start in range(0, len(array), step):
        yield np.asarray(array[start : start + step])


def _npz(file: Path) -> dict[str, StoredArray]:
    found = {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                with archive.open(member) as content:
                    shape, fortran, dtype = _header(content)
                name = member.filename.removesuffix(".npy")
                found[name] = _member(file, member, shape, fortran, dtype)
    return found


def _header(content: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """The shape, whether columns come first, and the type of the array that follows."""
    version = npy.read_magic(content)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(content)
    if dtype.hasobject:
        raise ValueError("it holds objects of Python, which are not loaded as they may run code")
    return shape, fortran, dtype


def _member(
    file: Path, member: zipfile.ZipInfo, shape: tuple[int, ...], fortran: bool, dtype: np.dtype
) -> StoredArray:
    def read() -> np.ndarray:
        with np.load(file, allow_pickle=False) as arrays:
            return arrays[member.filename.removesuffix(".npy")]

    def mapped() -> np.ndarray:
        with zipfile.ZipFile(file) as archive, archive.open(member) as content:
            _header(content)
            header = content.tell()
        with open(file, "rb") as raw:  # of the local header, the lengths of name and extra field
            raw.seek(member.header_offset + 26)
            lengths = np.frombuffer(raw.read(4), "<u2")
        start = member.header_offset + 30 + int(lengths.sum()) + header
        return np.memmap(file, dtype, "r", offset=start, shape=shape)

    def chunks() -> Iterator[np.ndarray]:
        with zipfile.ZipFile(file) as archive, archive.open(member) as content:
            _header(content)
            step, point = rows_at_once(shape), shape[1:]
            for start in range(0, shape[0], step):
                rows = min(step, shape[0] - start)
                size = rows * int(np.prod(point)) * dtype.itemsize
                content_read = content.read(size)
                yield np.frombuffer(content_read, dtype).reshape(rows, *point)

    in_place = member.compress_type == zipfile.ZIP_STORED and not fortran and dtype.isnative
    return StoredArray(
        shape, dtype, read, mapped if in_place else None, None if fortran else chunks
    )


def _pt(file: Path) -> dict[str, StoredArray]:
    import torch  # takes 1.3 s, which other files need not

    try:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # a file of torch before 1.6 cannot be mapped
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler of torch has errors of its own
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"only tensors are loaded, in lists or by name: {first}") from error
    if isinstance(content, torch.Tensor):
        content = [content]
    if isinstance(content, (list, tuple)):
        names = ("x", "y", "x_test", "y_test")
        content = dict(zip(names, content)) if len(content) in (1, 2, 4) else {}
    tensors = {str(name): x for name, x in content.items() if isinstance(x, torch.Tensor)}
    arrays = {name: _array_of(x.detach()) for name, x in tensors.items()}
    return {name: _in_memory(array) for name, array in arrays.items()}


def _array_of(tensor: Any) -> np.ndarray:
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def _in_memory(array: np.ndarray) -> StoredArray:
    """An array that is there already, or mapped by who read it."""
    mapped = (lambda: array) if array.flags.c_contiguous and array.dtype.isnative else None
    return StoredArray(array.shape, array.dtype, lambda: array, mapped, lambda: _slices(array))


def _h5(file: Path) -> dict[str, StoredArray]:
    return _hdf5(file, is_matlab=False)


def _hdf5(file: Path, is_matlab: bool) -> dict[str, StoredArray]:
    """The data sets of an HDF5 file by path; MATLAB's have their axes in reverse order."""
    h5py = imported_extra("h5py", file.suffix)
    found = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape:
            found[name] = _data_set(file, name, item, is_matlab)

    with h5py.File(file, "r") as content:
        content.visititems(visit)
    return {name: array for name, array in found.items() if not name.startswith("#")}


def _data_set(file: Path, name: str, item: Any, is_matlab: bool) -> StoredArray:
    h5py = imported_extra("h5py", file.suffix)
    offset, dtype, is_text = item.id.get_offset(), item.dtype, item.dtype.hasobject
    shape = tuple(reversed(item.shape)) if is_matlab else item.shape

    def read() -> np.ndarray:
        with h5py.File(file, "r") as content:
            values = content[name].asstr()[:] if is_text else content[name][:]
        return values.T if is_matlab else values

    def mapped() -> np.ndarray:
        return np.memmap(file, dtype, "r", offset=offset, shape=shape)

    def chunks() -> Iterator[np.ndarray]:
        with h5py.File(file, "r") as content:
            yield from _slices(content[name])

    in_place = offset is not None and dtype.isnative and not is_text and not is_matlab
    in_order = not is_matlab and not is_text
    return StoredArray(
        shape, dtype, read, mapped if in_place else None, chunks if in_order else None
    )


def _mat(file: Path) -> dict[str, StoredArray]:
    from scipy.io import whosmat  # takes .2 s, which other files need not

    with open(file, "rb") as content:
        is_hdf5 = b"MATLAB 7.3" in content.read(128)
    if is_hdf5:
        return _hdf5(file, is_matlab=True)
    found = {}
    for name, shape, kind in whosmat(file):
        with suppress(TypeError):
            dtype = np.dtype({"single": "f4", "double": "f8", "logical": "?"}.get(kind, kind))
            read = partial(_variable, file, name)
            found[name] = StoredArray(tuple(shape), dtype, read)
    return found


def _variable(file: Path, name: str) -> np.ndarray:
    from scipy.io import loadmat  # takes .2 s, which other files need not

    return loadmat(file, variable_names=[name])[name]


READERS: dict[str, Callable[[Path], dict[str, StoredArray]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".pt": _pt,
    ".pth": _pt,
    ".mat": _mat,
    ".h5": _h5,
    ".hdf5": _h5,
}

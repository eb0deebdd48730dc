"""Arrays in files of the cache folder, for data that would take too much of the memory.

An array is written once and then mapped into memory: the operating system reads what is used of
it, shares it between processes, and drops it where other programs need the room. It has a folder
of its own, named by a digest of what it is made of. `array.json` there describes the values and is
written last, so that what a killed process has left is never taken for the array.
"""

import hashlib
import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch

from genbench.data.downloads import cache_folder, exclusive
from genbench.data.lazy import LazyArray, Values, read_chunks
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.files import (
    CannotWrite,
    make_folder,
    opened,
    read_json,
    read_text,
    rename,
    temporary_of,
    write,
    write_json,
)
from genbench.utils.memory import MEMORY
from genbench.utils.schema import positive, whole
from genbench.utils.signals import check
from genbench.utils.text import quoted

LAYOUT_VERSION = 2  # of how arrays are made; counted up when the same data give other values
SHARE, SETTING = 0.25, "GENBENCH_MEMORY"  # of the memory, for data; what sets another share
FIX = "make room, or set GENBENCH_CACHE to a folder with more"
DTYPES = {str(dtype): dtype for dtype in (torch.uint8, torch.int64, torch.float32, torch.float64)}
DTYPES |= {str(dtype): dtype for dtype in (torch.int8, torch.int16, torch.int32, torch.float16)}
DTYPES[str(torch.uint16)] = torch.uint16
FORM = {"shape": [whole], "dtype": DTYPES.__contains__, "bytes": positive, "facts": {str: object}}


class Written(NamedTuple):
    """A finished temporary file: its path, the array's shape and type, and facts to keep (JSON)."""

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype
    facts: dict[str, Any]


class PreparedArray(NamedTuple):
    """An array in the cache folder, and the facts that were kept with it."""

    values: LazyArray
    facts: dict[str, Any]


def fits(size: float) -> bool:
    """Whether data of so many bytes may stay in memory: they take at most a quarter of it, or the
    share that $GENBENCH_MEMORY is. UserError if that is no share.
    """
    given = os.environ.get(SETTING, "")
    try:
        share = float(given) if given else SHARE
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        what = "is the share of the memory that data may take"
        raise UserError(SETTING, what, given, f"a number from 0 to 1, such as {SETTING}={SHARE}")
    return size <= share * MEMORY


def prepared(
    origin: Mapping[str, Any], size: int, what: str, make: Callable[[Path], Written]
) -> PreparedArray:
    """The array that `make` writes into a folder, or that an earlier process has written.

    `origin` is all that the values are a function of, `size` is how many bytes they take about,
    and `what` names them in messages. Only one of several processes writes, and the others wait.
    Raises CannotWrite where the disk is full, and UserError where the folder cannot be used.
    """
    folder = prepared_folder(origin)
    found = find_prepared(origin)
    if found is not None:
        return found
    make_folder(folder, "set GENBENCH_CACHE to another folder")
    with exclusive(folder, f"which is preparing {what}"):
        found = find_prepared(origin)
        if found is not None:
            return found
        free = shutil.disk_usage(folder).free
        if size > free:
            needs = f"{what} need {size:,} bytes on the disk, and {free:,} are free"
            raise UserError(str(folder), needs, fix=FIX, code=1)
        echo(f"preparing {what} once, in {quoted(folder)}")
        _write(folder, size, make)
    found = find_prepared(origin)
    assert found is not None, "it was just written"
    return found


def prepared_folder(origin: Mapping[str, Any]) -> Path:
    """The folder of the array that is made of this."""
    key = json.dumps({"version": LAYOUT_VERSION, **origin}, sort_keys=True)
    return cache_folder() / "prepared" / hashlib.sha256(key.encode()).hexdigest()


def _write(folder: Path, size: int, make: Callable[[Path], Written]) -> None:
    values = folder / "values.bin"
    try:
        (folder / "array.json").unlink(missing_ok=True)
        written = make(folder)
        length = math.prod(written.shape) * written.dtype.itemsize
        assert written.file.stat().st_size == length, "as many bytes as the shape says"
        rename(written.file, values)
    except OSError as error:
        raise CannotWrite.because(error, values, size) from error
    finally:
        for name in ("values.bin", "mixed.bin"):
            temporary_of(folder / name).unlink(missing_ok=True)
    facts = {"shape": list(written.shape), "dtype": str(written.dtype), "bytes": length}
    write_json(folder / "array.json", facts | {"facts": written.facts})


def find_prepared(origin: Mapping[str, Any]) -> PreparedArray | None:
    """The array that is made of this, if it was prepared and is all there."""
    folder = prepared_folder(origin)
    try:
        found = read_json(folder / "array.json", FORM)
        with open(opened(folder / "values.bin"), "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size != found["bytes"]:
                return None
    except (OSError, ValueError):  # it is not there, or it was cut or changed
        return None
    key = f"{folder.name} {status.st_size} {status.st_mtime_ns}"
    dtype = DTYPES[found["dtype"]]
    array = _mapped(folder / "values.bin", tuple(found["shape"]), dtype)
    return PreparedArray(mapped_array(array, key), found["facts"])


def _mapped(path: Path, shape: tuple[int, ...], dtype: torch.dtype) -> np.ndarray:
    """The bytes of a file as an array. UserError where the address space is limited too much."""
    try:
        with open(opened(path), "rb") as file:
            return np.memmap(file, str(dtype).removeprefix("torch."), "r", shape=shape)
    except OSError as error:
        what = f"cannot be mapped into memory: {error.strerror or error}"
        fix = "where 'ulimit -v' limits the memory, limit it by 'ulimit -d' or a control group"
        raise UserError(str(path), what, fix=fix, code=1) from error


def mapped_array(array: np.ndarray, key: str) -> LazyArray:
    """An array that is mapped into memory as one that is read when it is indexed; `key` identifies
    its content.
    """
    with warnings.catch_warnings():
        # Nothing writes to it: whoever reads values gets a copy of them.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        values = torch.from_numpy(array)
    point = tuple(values.shape[1:])
    return LazyArray(
        lambda rows: values.index_select(0, rows), len(values), point, values.dtype, key
    )


def lazy_array(path: str | Path) -> LazyArray:
    """The array in a `.npy` file, for loaders of one's own: it is mapped into memory, not read.

    Raises OSError or ValueError for a file that is none, or whose values are not in C order and in
    the byte order of this machine.
    """
    os.close(opened(Path(path), links=True))  # a pipe would be waited for
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not (array.flags.c_contiguous and array.dtype.isnative):
        raise ValueError(f"{path}: the values must be in C order, in this machine's byte order")
    status = os.stat(path)
    return mapped_array(array, f"{Path(path).resolve()} {status.st_size} {status.st_mtime_ns}")


def stored(x: torch.Tensor, what: str, times: int = 1) -> Values:
    """The values themselves if they, or so many times their bytes, may stay in memory; else the
    same values in a file.
    """
    if fits(x.nbytes * times):
        return x
    digest = hashlib.sha256()
    for chunk in read_chunks(x):
        digest.update(chunk.contiguous().numpy().data)
    origin = {"values": digest.hexdigest(), "shape": list(x.shape), "dtype": str(x.dtype)}
    return prepared(origin, x.nbytes, what, written_chunks(read_chunks(x), x.shape, x.dtype)).values


def derived(
    origin: Mapping[str, Any],
    what: str,
    made: Iterable[torch.Tensor],
    shape: tuple[int, ...],
    dtype: torch.dtype,
) -> LazyArray:
    """An array [N, *shape] in a file, of chunks that are made from another array. They are made
    only if they are not prepared already.
    """
    size = math.prod(shape) * dtype.itemsize
    return prepared(origin, size, what, written_chunks(made, shape, dtype)).values


def written_chunks(
    made: Iterable[torch.Tensor], shape: tuple[int, ...], dtype: torch.dtype
) -> Callable[[Path], Written]:
    """What writes an array of these chunks."""

    def make(folder: Path) -> Written:
        file = temporary_of(folder / "values.bin")
        with open(file, "xb") as out:
            for chunk in made:
                check()
                out.write(chunk.to(dtype).contiguous().numpy().data)
            force_to_disk(out)
        return Written(file, tuple(shape), dtype, {})

    return make


def force_to_disk(file: BinaryIO) -> None:
    """Force what was written onto the disk."""
    file.flush()
    os.fsync(file.fileno())


def remembered(origin: Mapping[str, Any], compute: Callable[[], str]) -> str:
    """A text that takes long to compute, kept in the cache folder where that can be written."""
    key = json.dumps({"version": LAYOUT_VERSION, **origin}, sort_keys=True)
    name = hashlib.sha256(key.encode()).hexdigest()
    file = cache_folder() / "prepared" / "digests" / f"{name}.txt"
    with suppress(OSError, ValueError):
        return read_text(file)
    text = compute()
    with suppress(OSError, CannotWrite):
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, text.encode())
    return text

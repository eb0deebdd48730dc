"""Files of a run, written and read so that no crash, full disk or stranger's folder does harm.

What is written is either all there or not there, and a line likewise. Nothing here follows a link or waits for a pipe:
only regular files are opened, and `set_aside` renames whatever else has the name of a file that is to be written.
"""

import errno
import hashlib
import itertools
import json
import logging
import math
import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from genbench.utils.errors import UserError
from genbench.utils.schema import fault
from genbench.utils.signals import check

MOST = 1 << 24  # bytes of a text that a run writes at once; a run's metrics.json has some 30,000
MOST_YAML = 100_000  # bytes of a YAML file, of which PyYAML reads about as many per second
MOST_LINES = 1 << 26  # bytes of a file that grows by a line per epoch: some 300,000 epochs
MOST_DAMAGED = 1000  # lines of such a file; a crash damages one
DEEPEST, LARGEST = (
    50,
    200_000,
)  # levels and values of a nested value, what aliases stand for counted each time
CHUNK = 1 << 22  # bytes between two looks at whether to stop
ANY = object  # the form of any value
UNPARSABLE = (
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    OverflowError,
    RecursionError,
    MemoryError,
    yaml.YAMLError,
)
KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TEMPORARY = re.compile(r"\..+\.genbench-\d+\.tmp")  # no name that another program gives
COPIED = 1 << 30  # bytes of the largest file that is copied to part it from its second name


class NotAFile(OSError):
    """Something else than a regular file: a link, folder, pipe, socket or device."""

    def __init__(self, path: Path, kind: str):
        super().__init__(errno.EINVAL, f"it is {kind}", str(path))


class CannotWrite(UserError):
    """A file that there is no room or no permission for."""

    @classmethod
    def because(cls, error: OSError, path: Path, size: int) -> "CannotWrite":
        """The error for `size` bytes that the system refused to take."""
        what, fix = (
            f"cannot be written: {error.strerror or error}",
            "choose another folder, then repeat the command",
        )
        if not os.path.isdir(path.parent):
            what, fix = (
                "cannot be written: its folder is gone",
                "bring the folder back or choose another, then repeat the command",
            )
        elif isinstance(error, NotAFile):
            fix = "move it away, then repeat the command"
        elif error.errno in FULL:
            free = shutil.disk_usage(path.parent).free
            what += f"; it takes {size:,} bytes, and {free:,} bytes are free"
            fix = "make room, then repeat the command"
        return cls(str(path), what, fix=fix, code=1)


class Unreadable(UserError):
    """A file that is lost or damaged: it is not there, no regular file, too large, or does not hold what it should."""

    def __init__(
        self,
        path: Path | str,
        what: str,
        fix: str = "bring back an undamaged copy, or move it away",
    ):
        super().__init__(str(path), what, fix=fix)

    def __reduce__(self):
        return type(self), (self.key, self.what, self.fix)


# --- regular files only ---------------------------------------------------------------------------------------


def kind(path: Path) -> str:
    """What stands in the place of a regular file; nothing if there is such a file, or none at all."""
    try:
        return KINDS.get(stat.S_IFMT(os.lstat(path).st_mode), "")
    except OSError:
        return ""


def opened(path: Path, flags: int = os.O_RDONLY, links: bool = False) -> int:
    """A descriptor of the regular file at `path`, to be closed; OSError where there is none, NotAFile for anything else.

    Nothing else is ever opened: a link leads to somebody else's file, and a pipe or a device may wait forever. With
    `links` it may be a link to a regular file, as data that a user chose may be.
    """
    found = "" if links else kind(path)
    if found:
        raise NotAFile(path, found)
    file = os.open(path, flags | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW), 0o666)
    mode = os.fstat(file).st_mode
    if not stat.S_ISREG(mode):  # with links, or as it has changed since
        os.close(file)
        raise NotAFile(path, KINDS.get(stat.S_IFMT(mode), "no regular file"))
    return file


def _appended(path: Path, flags: int = os.O_CREAT) -> int:
    """A descriptor to change the file at `path` in place.

    A file that has a second name elsewhere, as in copies made by `cp -l`, is replaced by a copy, so that the other
    name keeps its content. One that is too large for any file of a run is set aside instead.
    """
    flags |= os.O_RDWR | os.O_APPEND
    file = opened(path, flags)
    found = os.fstat(file)
    if found.st_nlink == 1:
        return file
    with open(file, "rb") as content:
        if found.st_size > COPIED:
            set_aside(path, f"has a second name and {found.st_size:,} bytes")
        else:
            _replace(path, iter(lambda: content.read(CHUNK), b""), found.st_size)
    return opened(path, flags)


def set_aside(path: Path, why: str = "") -> Path:
    """Rename what is in the place of a file to NAME.damaged, say so, and return the new path. Nothing is deleted."""
    from genbench.utils.console import echo

    why = why or f"is {kind(path) or 'damaged'}"
    name = path.name.replace(
        "tfevents", "events"
    )  # TensorBoard reads whatever has that word in its name
    names = (
        path.with_name(f"{name}.damaged{number}")
        for number in ("", *(f"-{i}" for i in range(2, 1000)))
    )
    aside = next(name for name in names if not os.path.lexists(name))
    os.rename(path, aside)
    text = f"warning: {path.name} {why}, and set aside as {aside.name}"
    logging.getLogger("genbench").info(text)
    echo(text)
    return aside


def make_folder(folder: Path, fix: str) -> None:
    """Make a folder and those above it; UserError, which names this way out, where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise folder_error(error, folder, fix) from error


def folder_error(error: OSError, folder: Path, fix: str) -> UserError:
    """The error for a folder that could not be made or written, with the way out."""
    place = Path(os.fsdecode(error.filename or folder))
    if os.path.lexists(place) and not os.path.isdir(place):
        what = f"is {kind(place) or 'a file'} where a folder should be"
        return UserError(str(place), what, fix="move it away, then repeat the command")
    return UserError(str(folder), f"cannot be written: {error.strerror or error}", fix=fix)


def folder_in(folder: Path, name: str) -> Path:
    """A folder of this name in another one, made if need be; a link or a file in its place is set aside."""
    path = folder / name
    if os.path.lexists(path) and kind(path) != "a folder":
        set_aside(path, f"is {kind(path) or 'a file'} where a folder should be")
    path.mkdir(exist_ok=True)
    return path


def require_regular(folder: Path, setting: str) -> None:
    """Make a folder safe for another program that writes files straight into it and follows whatever is there.

    UserError for a link, pipe or device, which this `setting` avoids; a file with a second name elsewhere becomes a copy.
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        found = kind(path)
        if found not in ("", "a folder"):
            what = f"holds {path.name}, {found}, through which Hydra might write elsewhere"
            raise UserError(
                str(folder), what, fix=f"move it away, or choose another {setting}=FOLDER"
            )
        if not found and path.stat().st_nlink > 1:
            write(path, read_bytes(path))


def within(folder: Path, names: Collection[str]) -> list[Path]:
    """The files of these names in a folder and in those within it, however deep; links to folders are not followed, and
    folders that cannot be read are left out."""
    found, left = [], [folder]
    while left:
        here = left.pop()
        with suppress(OSError), os.scandir(here) as entries:
            for entry in entries:
                if entry.name in names:
                    found.append(here / entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    left.append(here / entry.name)
    return sorted(found)


# --- writing --------------------------------------------------------------------------------------------------


def write(path: Path, content: bytes) -> None:
    """Replace `path` by `content` so that a crash at any moment leaves either the old file or the new one.

    A temporary in the same folder is written and synced, then renamed over the target, then the folder is synced
    (the rename itself must reach the disk). What is no regular file is set aside. Raises CannotWrite when the disk is
    full or the folder cannot be written.
    """
    _replace(path, [content], len(content))


def temporary_of(path: Path) -> Path:
    """Where this process writes a file before it has its name; see `sweep_temporaries`."""
    return path.with_name(f".{path.name}.genbench-{os.getpid()}.tmp")


def _replace(path: Path, pieces: Iterable[bytes], size: int) -> None:
    """Do what `write` does, for `size` bytes that come piece by piece."""
    temporary = temporary_of(path)
    try:
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        if kind(path):
            set_aside(path)
        rename(temporary, path)
    except OSError as error:
        if not kind(temporary):
            with suppress(OSError):  # a file system that takes no file lets none be removed either
                temporary.unlink(missing_ok=True)
        raise CannotWrite.because(error, path, size) from error


def rename(temporary: Path, path: Path) -> None:
    """Let a synced file be the one at `path`, and the disk know."""
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def append(path: Path, content: bytes) -> None:
    """Add `content` to a file, or on CannotWrite nothing of it."""
    try:
        file = _appended(path)
    except OSError as error:
        raise CannotWrite.because(error, path, len(content)) from error
    before = os.fstat(file).st_size
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]  # a disk that is nearly full takes a part
    except OSError as error:
        os.ftruncate(file, before)
        raise CannotWrite.because(error, path, len(content)) from error
    finally:
        os.close(file)


def truncate(path: Path, size: int) -> None:
    """Cut a file to so many bytes."""
    _in_place(path, size, lambda file: os.ftruncate(file, size))


def sync(path: Path) -> None:
    """Force what was appended to a file onto the disk."""
    _in_place(path, 0, os.fsync)


def _in_place(path: Path, size: int, change: Callable[[int], None]) -> None:
    try:
        file = _appended(path, 0)
        try:
            change(file)
        finally:
            os.close(file)
    except OSError as error:
        raise CannotWrite.because(error, path, size) from error


class Growing:
    """A file that only this process adds to. It can tell whether somebody else has removed, replaced or changed it."""

    def __init__(self, path: Path):
        """Go on in the file, or begin one; what is no regular file is set aside. CannotWrite if there is no room."""
        self.path = path
        if kind(path):
            set_aside(path)
        self.append(b"")

    def append(self, content: bytes) -> None:
        """Add `content`, or on CannotWrite nothing of it."""
        append(self.path, content)
        self._seen = self._identity()

    def truncate(self, size: int) -> None:
        """Cut it to so many bytes."""
        truncate(self.path, size)
        self._seen = self._identity()

    @property
    def untouched(self) -> bool:
        """Whether it is as it was left."""
        return self._identity() == self._seen and not kind(self.path)

    @property
    def there(self) -> bool:
        """Whether it is the same file, with what was written and maybe more. A number of a file is given again."""
        *same, size = self._identity()
        return same == [*self._seen[:2]] and size >= self._seen[2] and not kind(self.path)

    def _identity(self) -> tuple[int, int, int]:
        try:
            found = os.lstat(self.path)
        except OSError:
            return -1, -1, -1
        return found.st_dev, found.st_ino, found.st_size


def write_json(path: Path, value) -> None:
    """Write strict JSON (NaN and infinities become null)."""
    write(path, (json.dumps(finite(value), indent=2, allow_nan=False) + "\n").encode())


def finite(value):
    """The same nested value with every number that JSON cannot hold replaced by None."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sweep_temporaries(folder: Path) -> None:
    """Remove what a crash inside `write` left behind. Call it only while holding the run's lock."""
    for stale in folder.glob(".*.tmp"):
        if TEMPORARY.fullmatch(stale.name) and not kind(stale):
            stale.unlink(missing_ok=True)


# --- reading --------------------------------------------------------------------------------------------------


def chunks(path: Path, most: int) -> Iterator[bytes]:
    """The content of a regular file of at most so many bytes, piece by piece; Unreadable otherwise.

    Interrupted on request, unless the file is small.
    """
    try:
        with open(opened(path), "rb") as content:
            size = os.fstat(content.fileno()).st_size
            if size > most:
                raise Unreadable(
                    path, f"is damaged: it has {size:,} bytes, where at most {most:,} are expected"
                )
            while chunk := content.read(CHUNK):
                if (
                    len(chunk) == CHUNK
                ):  # else it takes no time, and may be read to record that the program was stopped
                    check()
                yield chunk
    except FileNotFoundError as error:
        raise Unreadable(path, "is not there") from error
    except NotAFile as error:
        raise Unreadable(path, f"is damaged: {error.strerror}") from error
    except OSError as error:
        raise Unreadable(path, f"cannot be read: {error.strerror or error}") from error


def read_bytes(path: Path, most: int = MOST) -> bytes:
    """The content of a regular file of at most `most` bytes. Unreadable for anything else, links included."""
    try:
        return b"".join(chunks(path, most))
    except MemoryError as error:
        raise Unreadable(path, "is damaged: it does not fit the memory") from error


def digest_of(path: Path, most: int) -> str:
    """The SHA-256 of a regular file of at most `most` bytes, of which a piece at a time is in memory. Unreadable otherwise."""
    found = hashlib.sha256()
    for chunk in chunks(path, most):
        found.update(chunk)
    return found.hexdigest()


def read_text(path: Path, most: int = MOST) -> str:
    """The UTF-8 text of a regular file. Unreadable for anything else."""
    try:
        return read_bytes(path, most).decode()
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"is damaged: it is no UTF-8 text (byte {error.start})") from error


def read_lines(path: Path, most: int = MOST_LINES) -> Iterator[str]:
    """The lines of a regular file but for empty ones, U+FFFD for what is not UTF-8. Unreadable where there is no such file.

    Interrupted on request, unless the file is small.
    """
    return _lines(read_bytes(path, most))


def _lines(content: bytes) -> Iterator[str]:
    for number, line in enumerate(re.finditer(rb"[^\r\n]+", content), 1):
        if number % 1000 == 0:
            check()
        yield line[0].decode(errors="replace")


def read_json(path: Path, form: Any = ANY, most: int = MOST) -> Any:
    """What a JSON file of this form holds (see `forms`). Unreadable for anything else, and for values that are nested too
    deeply to work with."""
    text = read_text(path, most)
    try:
        value = tree(json.loads(text))
    except UNPARSABLE as error:
        raise Unreadable(path, f"is damaged: {_reason(error)}") from error
    return _of(form, value, path)


def read_json_or_empty(path: Path, form: Any = dict) -> dict:
    """What a JSON file of this form holds; an empty dict if it is lost or damaged."""
    try:
        return read_json(path, form)
    except Unreadable:
        return {}


def read_json_lines(path: Path, form: Any) -> Iterator[tuple[str, Any]]:
    """The lines of a regular file that hold JSON of this form, and what they hold; lines that are damaged are left out.

    Unreadable where there is no such file, or more of it is damaged than a crash could do.
    """
    damaged = 0
    for line in read_lines(path):
        try:
            value = tree(json.loads(line))
            what = fault(value, form)
        except UNPARSABLE as error:  # cut short by a crash
            what = _reason(error)
        if not what:
            yield line, value
            continue
        damaged += 1
        if damaged > MOST_DAMAGED:
            raise Unreadable(path, f"is damaged: more than {MOST_DAMAGED:,} lines are no records")


def read_yaml(path: Path, form: Any = ANY, loader: type = yaml.SafeLoader) -> Any:
    """What a YAML file of this form holds. Unreadable for anything else, for values that are nested too deeply or contain
    themselves, and for aliases that stand for absurdly many values."""
    return _of(form, parse_yaml(read_text(path, MOST_YAML), path, loader), path)


def _of(form: Any, value: Any, path: Path) -> Any:
    what = fault(value, form)
    if what:
        raise Unreadable(path, f"is damaged: {what}")
    return value


def parse_yaml(text: str, path: Path | str, loader: type = yaml.SafeLoader) -> Any:
    """What YAML text from a file holds; Unreadable as in `read_yaml`."""
    try:
        reader = loader(text)
        try:
            node = reader.get_single_node()
            if node is None:
                return None
            tree(node, _inside)  # before merge keys and aliases multiply what is to be made
            return tree(reader.construct_document(node))
        finally:
            reader.dispose()
    except UNPARSABLE as error:
        kind = "it is not valid YAML: " * isinstance(error, yaml.YAMLError)
        raise Unreadable(path, f"is damaged: {kind}{_reason(error)}") from error


def _within(value: Any) -> Iterable:
    """The values that a value holds."""
    if isinstance(value, dict):
        return itertools.chain(value.keys(), value.values())
    return value if isinstance(value, (list, tuple, set)) else ()


def _inside(node: Any) -> Iterable:
    """The nodes that a node of YAML holds."""
    if isinstance(node, yaml.MappingNode):
        return itertools.chain.from_iterable(node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def tree(value: Any, within: Callable[[Any], Iterable] = _within) -> Any:
    """The nested value itself; ValueError if it is too deep or too large to walk through, as one that contains itself, or
    holds text that cannot be written. `within` gives what a value holds."""
    left, seen = [(value, 0)], 0
    while left:
        item, depth = left.pop()
        seen += 1
        if depth > DEEPEST or seen > LARGEST:
            raise ValueError(
                "it is nested too deeply" if depth > DEEPEST else "it stands for too many values"
            )
        if isinstance(item, str):
            item.encode()
        else:
            left += [(inner, depth + 1) for inner in within(item)]
    return value


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    mark = getattr(error, "problem_mark", None)  # PyYAML's own text shows lines of the file
    if mark is not None:
        return f"{error.problem} in line {mark.line + 1}"
    return " ".join(str(error).split()) or type(error).__name__

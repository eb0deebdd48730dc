"""Read whole regular files of bounded size: bytes, text, lines, JSON and YAML of a given form."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from genbench.utils.files.opening import CHUNK, NotAFile, Unreadable, opened
from genbench.utils.files.parsing import (
    UNPARSABLE,
    BoundedLoader,
    parse_error,
    parse_json,
    parse_yaml,
)
from genbench.utils.schema import fault
from genbench.utils.signals import check

LARGEST_READ = 1 << 24  # bytes of a file; a run's metrics.json has some 30,000
MOST_YAML = 100_000  # bytes of a YAML file; PyYAML reads about as many per second
MOST_BYTES_OF_LINES = (
    1 << 26
)  # bytes of a file with a line per epoch, enough for some 300,000 epochs
MOST_DAMAGED = 1000  # damaged lines of such a file; a crash damages one
ANY = object  # the form of any value


def chunks(path: Path, most: int) -> Iterator[bytes]:
    """The content of a regular file of at most `most` bytes, piece by piece. Unreadable otherwise.

    Reading a large file stops on request.
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
                ):  # a stopped program still reads small files, such as its status
                    check()
                yield chunk
    except FileNotFoundError as error:
        raise Unreadable(path, "is not there") from error
    except NotAFile as error:
        raise Unreadable(path, f"is damaged: {error.strerror}") from error
    except OSError as error:
        raise Unreadable(path, f"cannot be read: {error.strerror or error}") from error


def read_bytes(path: Path, most: int = LARGEST_READ) -> bytes:
    """The content of a regular file of at most `most` bytes, no link. Unreadable otherwise."""
    try:
        return b"".join(chunks(path, most))
    except MemoryError as error:
        raise Unreadable(path, "is damaged: it does not fit the memory") from error


def digest_of(path: Path, most: int) -> str:
    """The SHA-256 of a regular file of at most `most` bytes. Unreadable otherwise.

    Only a piece of the file is in memory at a time.
    """
    digest = hashlib.sha256()
    for chunk in chunks(path, most):
        digest.update(chunk)
    return digest.hexdigest()


def read_text(path: Path, most: int = LARGEST_READ) -> str:
    """The UTF-8 text of a regular file. Unreadable otherwise."""
    try:
        return read_bytes(path, most).decode()
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"is damaged: it is no UTF-8 text (byte {error.start})") from error


def read_lines(path: Path, most: int = MOST_BYTES_OF_LINES) -> Iterator[str]:
    """The lines of a regular file that are not empty, with U+FFFD for bytes that are not UTF-8.

    Reading stops on request. Unreadable if there is no such file.
    """
    return _lines(read_bytes(path, most))


def _lines(content: bytes) -> Iterator[str]:
    for number, line in enumerate(re.finditer(rb"[^\r\n]+", content), 1):
        if number % 1000 == 0:
            check()
        yield line[0].decode(errors="replace")


def read_json(path: Path, form: Any = ANY, most: int = LARGEST_READ) -> Any:
    """The value in a JSON file of this form (see `schema`).

    Unreadable for another form, and for values that are nested too deeply to work with.
    """
    text = read_text(path, most)
    try:
        value = parse_json(text)
    except UNPARSABLE as error:
        raise Unreadable(path, f"is damaged: {parse_error(error)}") from error
    return _checked(value, form, path)


def read_json_or_empty(path: Path, form: Any = dict) -> dict:
    """The value in a JSON file of this form; an empty dict if the file is lost or damaged."""
    try:
        return read_json(path, form)
    except Unreadable:
        return {}


def read_json_lines(path: Path, form: Any) -> Iterator[tuple[str, Any]]:
    """The lines of a regular file that hold JSON of this form, each with its value.

    Damaged lines are skipped. Unreadable if there is no such file, or if a crash cannot explain
    how much of it is damaged.
    """
    damaged = 0
    for line in read_lines(path):
        try:
            value = parse_json(line)
            is_damaged = bool(fault(value, form))
        except UNPARSABLE:  # such as a line that was cut short by a crash
            is_damaged = True
        if not is_damaged:
            yield line, value
            continue
        damaged += 1
        if damaged > MOST_DAMAGED:
            raise Unreadable(path, f"is damaged: more than {MOST_DAMAGED:,} lines are no records")


def read_yaml(path: Path, form: Any = ANY, loader: type[yaml.SafeLoader] = BoundedLoader) -> Any:
    """The value in a YAML file of this form.

    Unreadable for another form, for values that are nested too deeply or contain themselves, and
    for aliases that stand for too many values.
    """
    return _checked(parse_yaml(read_text(path, MOST_YAML), path, loader), form, path)


def _checked(value: Any, form: Any, path: Path) -> Any:
    what = fault(value, form)
    if what:
        raise Unreadable(path, f"is damaged: {what}")
    return value

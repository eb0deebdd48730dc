"""Files that others publish: fetched once into the cache folder, and known there by their digests ever after."""

import hashlib
import os
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.error import HTTPError

from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.files import opened, rename, sweep_temporaries, temporary_of
from genbench.utils.signals import check

CHUNK = 1 << 20  # bytes between two looks at whether to stop
PATIENCE = 10  # seconds that a server may be silent, for which a request to stop has to wait


class Download(NamedTuple):
    """A file as published: what it is called in the cache folder, its address, and the SHA-256 of its content."""

    name: str
    url: str
    sha256: str


class _Failed(Exception):
    """A download that brought no file, or another one: what happened, and the digest it has, if any."""


def cache_folder() -> Path:
    """Where downloads are kept: $GENBENCH_CACHE, else genbench/ in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GENBENCH_CACHE") or Path(base) / "genbench")


def fetched(downloads: Sequence[Download], folder: Path, key: str, otherwise: str) -> list[Path]:
    """The files in the folder, in order, each with the content that was published: what is not there is downloaded.

    Of several processes one downloads, and the others wait; a damaged file is set aside as *.damaged. Raises UserError
    with this `key` for what cannot be had, with `otherwise` as the last way out, and where the folder cannot be used.
    """
    try:
        if not all(_is_there(folder, download) for download in downloads):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                for download in downloads:
                    if not _is_there(
                        folder, download
                    ):  # another process may have been here in the meantime
                        _fetch(download, folder, key, otherwise)
    except OSError as error:
        raise UserError(
            "cache folder",
            f"cannot be used: {error.strerror or error}",
            folder,
            "set GENBENCH_CACHE to another",
        ) from error
    return [folder / download.name for download in downloads]


def _is_there(folder: Path, download: Download) -> bool:
    file = folder / download.name
    if (
        not file.is_file()
    ):  # a pipe would be waited for; a link to a file elsewhere is the user's own
        return False
    digest = hashlib.sha256()
    with open(opened(file, links=True), "rb") as content:
        for chunk in chunks(content):
            digest.update(chunk)
    return digest.hexdigest() == download.sha256


def chunks(content: BinaryIO) -> Iterator[bytes]:
    """What is left of a stream, a piece at a time; Interrupted when the program is asked to stop."""
    while chunk := content.read(CHUNK):
        check()
        yield chunk


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the one process that writes into the folder; waits for another one to finish or die."""
    from filelock import FileLock, Timeout

    lock, waiting = FileLock(folder / ".lock"), False
    while not lock.is_locked:
        check()
        try:
            lock.acquire(timeout=0.2, poll_interval=0.05)
        except Timeout:
            if not waiting:
                echo(f"waiting for another process, which is downloading into {folder}")
            waiting = True
    try:
        sweep_temporaries(folder)
        yield
    finally:
        lock.release()


def _fetch(download: Download, folder: Path, key: str, otherwise: str) -> None:
    """Download a file, at the second attempt if the first fails, to where no half of it is ever seen."""
    file = folder / download.name
    temporary = temporary_of(file)
    if os.path.lexists(file):
        damaged = file.with_name(f"{file.name}.damaged")
        os.replace(file, damaged)
        echo(
            f"warning: {file} is not as it was published; kept as {damaged.name}, and downloaded again"
        )
    echo(f"downloading {download.url} into {folder}")
    for last in (False, True):
        temporary.unlink(missing_ok=True)
        try:
            _receive(download, temporary)
            break
        except _Failed as error:
            if last:
                what, got = error.args
                fix = f"put {download.name} into {folder} by hand, or {otherwise}"
                raise UserError(
                    key, f"{download.url} could not be downloaded: {what}", got, fix
                ) from error
        finally:
            temporary.unlink(missing_ok=True)


def _receive(download: Download, temporary: Path) -> None:
    """Write the file under another name, compare, and rename it: all of that so that it outlasts a crash."""
    digest = hashlib.sha256()
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        for chunk in _response(download.url):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != download.sha256:
        raise _Failed(f"expected the SHA-256 {download.sha256}", digest.hexdigest())
    rename(temporary, temporary.with_name(download.name))


def _response(url: str) -> Iterator[bytes]:
    """What a server sends, all of it; _Failed for anything that a network and a server can do wrong."""
    received = 0
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            for chunk in chunks(response):
                received += len(chunk)
                yield chunk
            promised = int(response.headers["Content-Length"] or received)
            if received != promised:
                raise _Failed(
                    f"the connection was cut, expected {promised:,} bytes", f"{received:,}"
                )
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it holds what the server says instead
        raise _Failed(str(error) or type(error).__name__, None) from error

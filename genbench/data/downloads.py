"""Files that others publish, downloaded once into a cache folder, and verified at every use.

This is ours because pooch 1.9 and torchvision 0.29 keep less of what genbench promises. pooch lets
two processes download at once, overwrites a file that differs, creates files with mode 0600, so
that no cache can be shared, waits forever on a named pipe, leaves files behind when killed, and
requires requests; only its check of a digest would be left. torchvision knows MD5 sums only, does
not verify unpacked files again, has no time limit, writes half a file under its final name, and
cannot be interrupted.
"""

import hashlib
import os
import time
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
from genbench.utils.lock import InUse, Lock
from genbench.utils.signals import check

BYTES_AT_ONCE = 1 << 20  # bytes between two checks for a signal
PATIENCE = 10  # seconds that a server may be silent; a signal may have to wait that long


class Download(NamedTuple):
    """A file as published: its name in the cache folder, its address, its SHA-256."""

    name: str
    url: str
    sha256: str


class _DownloadError(Exception):
    """A failed download: what happened, and what was received instead, if anything."""

    def __init__(self, what: str, got: str | None = None) -> None:
        super().__init__(what)
        self.what, self.got = what, got


def cache_folder() -> Path:
    """Where downloads are kept: $GENBENCH_CACHE, else genbench/ in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GENBENCH_CACHE") or Path(base) / "genbench")


def fetched(downloads: Sequence[Download], folder: Path, key: str, otherwise: str) -> list[Path]:
    """The paths of the files in the folder, in order, each verified; missing ones are downloaded.

    One of several processes downloads, and the others wait. A damaged file is renamed to *.damaged.
    Raises UserError for `key` if a file cannot be downloaded, with `otherwise` as the last way out,
    and for "cache folder" if the folder cannot be used.
    """
    try:
        if not all(_is_valid(folder, download) for download in downloads):
            folder.mkdir(parents=True, exist_ok=True)
            with exclusive(folder, f"which is downloading into {folder}"):
                for download in downloads:
                    if not _is_valid(folder, download):  # again: another process may have been here
                        _fetch(download, folder, key, otherwise)
    except OSError as error:
        what = f"cannot be used: {error.strerror or error}"
        raise UserError("cache folder", what, folder, "set GENBENCH_CACHE to another") from error
    return [folder / download.name for download in downloads]


def _is_valid(folder: Path, download: Download) -> bool:
    """Whether the file, or what it links to, is there with the published content."""
    file = folder / download.name
    if not file.is_file():
        return False
    return sha256_of(file) == download.sha256


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, or of the one that it links to. OSError if it cannot be read."""
    digest = hashlib.sha256()
    with open(opened(file, links=True), "rb") as content:
        for chunk in _chunks(content):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(content: BinaryIO) -> Iterator[bytes]:
    """The rest of a stream in chunks. Raises Interrupted if the program is asked to stop."""
    while chunk := content.read(BYTES_AT_ONCE):
        check()
        yield chunk


@contextmanager
def exclusive(folder: Path, why: str) -> Iterator[None]:
    """Hold the lock of the folder, without what dead processes have left in it; waits for another
    process, `why` says what for, to finish or die.
    """
    lock, is_waiting = Lock(folder), False
    while not lock.held:
        check()
        try:
            lock.acquire()
        except InUse:
            if not is_waiting:
                echo(f"waiting for another process, {why}")
            is_waiting = True
            time.sleep(0.05)
    try:
        lock.write_owner()
        sweep_temporaries(folder)
        yield
    finally:
        lock.release()


def _fetch(download: Download, folder: Path, key: str, otherwise: str) -> None:
    """Download a file, in two attempts. It appears under its name only when it is complete."""
    file = folder / download.name
    temporary = temporary_of(file)
    if os.path.lexists(file):
        damaged = file.with_name(f"{file.name}.damaged")
        os.replace(file, damaged)
        echo(
            f"warning: {file} is not as it was published; kept as {damaged.name},"
            " and downloaded again"
        )
    echo(f"downloading {download.url} into {folder}")
    for last in (False, True):
        temporary.unlink(missing_ok=True)
        try:
            _receive(download, temporary)
            break
        except _DownloadError as error:
            if last:
                what = f"{download.url} could not be downloaded: {error.what}"
                fix = f"put {download.name} into {folder} by hand, or {otherwise}"
                raise UserError(key, what, error.got, fix) from error
        finally:
            temporary.unlink(missing_ok=True)


def _receive(download: Download, temporary: Path) -> None:
    """Write the file under a temporary name, verify it, and rename it: safe in a crash."""
    digest = hashlib.sha256()
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        for chunk in _response(download.url):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != download.sha256:
        raise _DownloadError(f"expected the SHA-256 {download.sha256}", digest.hexdigest())
    rename(temporary, temporary.with_name(download.name))


def _response(url: str) -> Iterator[bytes]:
    """All that a server sends; _DownloadError for whatever the network or the server does wrong."""
    received = 0
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            for chunk in _chunks(response):
                received += len(chunk)
                yield chunk
            promised = int(response.headers["Content-Length"] or received)
            if received != promised:
                what = f"the connection was cut, expected {promised:,} bytes"
                raise _DownloadError(what, f"{received:,}")
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it holds an open response
        raise _DownloadError(str(error) or type(error).__name__) from error

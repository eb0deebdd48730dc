"""Make folders, find files in them, and make them safe for programs that follow links."""

import errno
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from genbench.utils.errors import UserError
from genbench.utils.files.opening import kind
from genbench.utils.files.reading import read_bytes
from genbench.utils.files.writing import set_aside, write


def make_folder(folder: Path, fix: str) -> None:
    """Make a folder and those above it. UserError with this `fix` if that is not possible, or if
    it is there and cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise folder_error(error, folder, fix) from error
    require_writable(folder, fix)


def require_writable(folder: Path, fix: str) -> None:
    """UserError with this `fix` for a folder that is there, in which no file can be made.

    It is for commands that would otherwise compute for a while before they find out.
    """
    if os.path.isdir(folder) and not os.access(folder, os.W_OK | os.X_OK):
        is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        reason = os.strerror(errno.EROFS if is_read_only else errno.EACCES)
        raise UserError(str(folder), f"cannot be written: {reason}", fix=fix)


def folder_error(error: OSError, folder: Path, fix: str) -> UserError:
    """The error for a folder that could not be made or written."""
    place = Path(os.fsdecode(error.filename or folder))
    is_folders = place in (folder, *folder.parents)  # else it is a file that could not be written
    if is_folders and os.path.lexists(place) and not os.path.isdir(place):
        what = f"is {kind(place) or 'a file'} where a folder should be"
        if kind(place) != "a device":
            fix = f"move it away, then repeat the command, or {fix}"
        return UserError(str(place), what, fix=fix)
    return UserError(str(folder), f"cannot be written: {error.strerror or error}", fix=fix)


def folder_in(folder: Path, name: str) -> Path:
    """Make a folder within another, and return it. A link or a file in its place is set aside."""
    path = folder / name
    if os.path.lexists(path) and kind(path) != "a folder":
        set_aside(path, f"is {kind(path) or 'a file'} where a folder should be")
    path.mkdir(exist_ok=True)
    return path


def require_regular(folder: Path, setting: str) -> None:
    """Make a folder safe for Hydra, which writes files into it and follows links.

    A file with a second name elsewhere is replaced by a copy. UserError for a link, pipe or device;
    `setting` is the one by which the user chooses another folder.
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        other = kind(path)
        if other not in ("", "a folder"):
            what = f"holds {path.name}, {other}, through which Hydra might write elsewhere"
            fix = f"move it away, or choose another {setting}=FOLDER"
            raise UserError(str(folder), what, fix=fix)
        if not other and path.stat().st_nlink > 1:
            write(path, read_bytes(path))


def within(folder: Path, names: Collection[str]) -> list[Path]:
    """The files of these names in a folder and in those below it, at any depth.

    Links to folders are not followed. Folders that cannot be read are left out.
    """
    files, folders = [], [folder]
    while folders:
        current = folders.pop()
        with suppress(OSError), os.scandir(current) as entries:
            for entry in entries:
                if entry.name in names:
                    files.append(current / entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(current / entry.name)
    return sorted(files)

"""Files that a report writes into a folder that may hold a user's own: those are never overwritten.

A list in the same folder, with the digest of each file, says which files are ours and unchanged.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from genbench.utils.errors import UserError
from genbench.utils.files import (
    Unreadable,
    digest_of,
    read_json_or_empty,
    write,
    write_json,
)

LIST = "report_files.json"
OPTION = "report.dir"
PAGES = ("report.html", "report.csv", "report.md")  # of any report, besides charts
CHARTS = "report_*.svg"
LARGEST_FILE = 1 << 28  # bytes of a file of a report


def require_own(folder: Path, names: Iterable[str], option: str = OPTION) -> None:
    """UserError if one of these files is there and is not as a report of ours wrote it.

    `option` is the setting that chooses another folder.
    """
    known = _known(folder)
    if not known and os.path.lexists(folder / LIST):
        raise _no_list(folder, option)
    for name in names:
        is_ours = name in known and _digest(folder / name) in known[name]
        if os.path.lexists(folder / name) and not is_ours:
            raise UserError(
                str(folder / name),
                "no report of genbench wrote this file, or it was changed since",
                fix=f"move it away, or choose another folder with {option}=FOLDER",
            )


def _no_list(folder: Path, option: str) -> UserError:
    """The error for a list that says nothing. Without it no file counts as ours, so that all have
    to go, and not only the list.
    """
    others = [*PAGES, *sorted(path.name for path in folder.glob(CHARTS))]
    there = [LIST, *(name for name in others if os.path.lexists(folder / name))]
    return UserError(
        str(folder / LIST),
        "is damaged, so that it does not say which files a report of genbench wrote",
        fix=f"move {', '.join(there)} away, or choose another folder with {option}=FOLDER",
    )


def require_own_pages(folder: Path, option: str = OPTION) -> None:
    """UserError if a page, or a file that is called like a chart, is not ours.

    Which charts there will be is not known before the runs are, so that any such file counts.
    """
    require_own(folder, [*PAGES, *sorted(path.name for path in folder.glob(CHARTS))], option)


def write_own(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files by their names. Raises UserError, and writes nothing, if one is a user's own.

    The list has the digests of the old and the new files before the first is replaced, so that a
    crash leaves no file of ours that looks like a user's.
    """
    require_own(folder, contents)
    before = _known(folder)
    new = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    after = before | {name: [digest] for name, digest in new.items()}
    unchanged = after == before and all((folder / name).is_file() for name in contents)
    if unchanged:
        return
    both = before | {name: [*before.get(name, []), digest] for name, digest in new.items()}
    write_json(folder / LIST, both)
    for name, content in contents.items():
        write(folder / name, content)
    write_json(folder / LIST, after)


def _known(folder: Path) -> dict[str, list[str]]:
    """The digests of our files by their names."""
    return read_json_or_empty(folder / LIST, {str: [str]})


def _digest(path: Path) -> str:
    """The digest of a regular file; nothing for anything else."""
    try:
        return digest_of(path, LARGEST_FILE)
    except Unreadable:
        return ""

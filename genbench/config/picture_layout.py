"""How a folder of pictures is laid out, as the names of its files and folders show.

Neither a picture nor torch is needed for that, so a wrong folder is refused at once.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from genbench.utils.errors import UserError
from genbench.utils.signals import check

KEY = "dataset.root"
# Files by which a folder of a run, of a sweep and of a report is known.
MARKS = (("config.yaml", "status.json"), ("sweep_summary.json",), ("report_files.json",))
FolderIdentity = tuple[int, int]  # of a folder, under any name: device and inode


@dataclass
class PictureLayout:
    """The files of a folder of pictures.

    splits    for train/ and test/, or for the root alone: the files of each class folder by its
              name, or all files under the empty name
    repeated  folders that were left out because a link leads to one that was read already
    """

    splits: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)
    repeated: list[Path] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """The names of all class folders in order; one empty name if there are none."""
        return sorted({name for files in self.splits.values() for name in files})

    @property
    def files(self) -> list[Path]:
        """All files in order."""
        return [f for split in self.splits.values() for files in split.values() for f in files]


def picture_layout(root: Path) -> PictureLayout:
    """The layout of a folder that holds train/ and test/, or else all pictures.

    Each of these holds pictures, or a folder for every class. UserError for any other layout.
    """
    halves = [half for half in (root / "train", root / "test") if half.is_dir()]
    if len(halves) == 1:
        what = f"has {halves[0].name}/, but not both train/ and test/"
        fix = f"add the other, or give dataset.root={halves[0]} to split it by dataset.test_size"
        raise UserError(KEY, what, root, fix)
    try:
        layout = _read(root, halves or [root])
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise UserError(KEY, what, error.filename, "give a folder of pictures") from error
    if "" in layout.classes and len(layout.classes) > 1:
        what = "has class folders in only one of train/ and test/"
        raise UserError(KEY, what, root, "give both, or neither")
    return layout


def require_filled(files: dict[str, list[Path]], folder: Path, what: str) -> None:
    """UserError that says `what` of the first class folder without files."""
    for name, some in files.items():
        if not some:
            raise UserError(KEY, what, folder / name, "add some, or remove the folder")


def _read(root: Path, folders: list[Path]) -> PictureLayout:
    if len({_identity(folder) for folder in folders}) < len(folders):
        what = "train/ and test/ are the same folder"
        raise UserError(KEY, what, root, "give each pictures of its own")
    layout = PictureLayout()
    # Pictures that a link repeats, under another class or in the test set, would count twice.
    entered = {_identity(root)}
    for folder in folders:
        layout.splits[folder] = _files_by_class(folder, entered, layout.repeated)
    return layout


def _files_by_class(
    folder: Path, entered: set[FolderIdentity], repeated: list[Path]
) -> dict[str, list[Path]]:
    """The files of every class folder by its name, or all files by an empty name.

    `entered` are the folders that were read already.
    """
    entered.add(_identity(folder))
    entries = _visible(folder)
    folders = [entry for entry in entries if entry.is_folder]
    if folders and len(folders) < len(entries):
        file = next(entry for entry in entries if not entry.is_folder)
        what = f"holds files such as {file.path.name}, and folders such as {folders[0].path.name}/"
        fix = "move the files into class folders, or hide them by a leading dot"
        raise UserError(KEY, what, folder, fix)
    # Links last, so that a folder is read under its own name.
    files = {
        entry.path.name: list(_files(entry.path, entered, repeated))
        for entry in sorted(folders, key=lambda entry: entry.is_link)
    }
    plain = [entry.path for entry in entries]
    by_class = {name: files[name] for name in sorted(files)} or {"": plain}
    require_filled(by_class, folder, "holds no pictures")
    return by_class


def _files(folder: Path, entered: set[FolderIdentity], repeated: list[Path]) -> Iterator[Path]:
    """The files in a folder and in those below it. A link may lead back, so each is read once."""
    check()
    if _identity(folder) in entered:
        repeated.append(folder)
        return
    entered.add(_identity(folder))
    for entry in _visible(folder):
        if entry.is_folder:
            yield from _files(entry.path, entered, repeated)
        else:
            yield entry.path


def files_below(folder: Path, apart: Path) -> list[Path]:
    """All files in a folder and below it, in order, without hidden ones, what genbench itself left
    there, and what lies in the folder `apart`.
    """
    entered = {_identity(apart)} if apart.is_dir() else set()
    return [*_files(folder, entered, [])]


class _Entry(NamedTuple):
    """What a folder holds under one name. A link to a folder is both."""

    path: Path
    is_folder: bool
    is_link: bool


def _visible(folder: Path) -> list[_Entry]:
    """What lies in a folder in the order of names, without hidden files, and without what genbench
    itself left there.
    """
    entries = [entry for entry in _unhidden(folder) if not _is_of_genbench(entry)]
    return sorted(entries, key=lambda entry: entry.path.name)


def _unhidden(folder: Path) -> list[_Entry]:
    # By scandir, which asks the file system about links only: a folder may hold a million files.
    with os.scandir(folder) as entries:
        return [
            _Entry(folder / entry.name, entry.is_dir(), entry.is_symlink())
            for entry in entries
            if not entry.name.startswith(".")
        ]


def _is_of_genbench(entry: _Entry) -> bool:
    """Whether something is the folder of a run, a sweep or a report, or holds nothing but such
    ones, as outputs/ does where somebody starts in the folder of their pictures.
    """
    if entry.is_link or not entry.is_folder:
        return False
    if any(all((entry.path / name).is_file() for name in marks) for marks in MARKS):
        return True
    entries = _unhidden(entry.path)
    return bool(entries) and all(map(_is_of_genbench, entries))


def _identity(folder: Path) -> FolderIdentity:
    status = folder.stat()
    return status.st_dev, status.st_ino

"""A folder of the user's own pictures, of any size, mode and number."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genbench.config.picture_headers import path_below, unreadable
from genbench.config.picture_layout import PictureLayout, picture_layout, require_filled
from genbench.data.lazy import select
from genbench.data.picture_sets import Pictures, described, read_pictures
from genbench.data.pictures import Opener, Undecodable
from genbench.data.summary import report_pictures
from genbench.data.types import RawDataset
from genbench.settings.picture_sets import ImageFolderSettings
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.pictures import opened_picture
from genbench.utils.signals import check


@dataclass
class FolderSource:
    """Files below a folder as the source of pictures."""

    files: list[Path]
    root: Path
    by_processes: bool = True
    openers: list[Opener] = field(init=False)

    def __post_init__(self) -> None:
        self.openers = [partial(opened_picture, file) for file in self.files]

    def name(self, i: int) -> str:
        """The path below the root."""
        return path_below(self.files[i], self.root)

    def origin(self) -> dict[str, Any]:
        """The names, sizes and times of the files."""
        stats, above = [], len(os.path.join(self.root, ""))
        for file in map(os.fspath, self.files):
            check()
            status = os.stat(file)
            name = os.fsencode(file[above:]).hex()
            stats.append([name, status.st_size, status.st_mtime_ns])
        return {"pictures": stats, "root": os.path.realpath(self.root)}

    def facts(self) -> dict[str, Any]:
        """Nothing that the files' names do not say."""
        return {}

    def unreadable(self, bad: Mapping[int, Undecodable]) -> UserError:
        """The error for files that are no pictures, another one if none is of a known format."""
        count = len(self.files)
        if len(bad) == count and all(one.is_unknown for one in bad.values()):
            what = f"holds no pictures, but files such as {self.name(0)}"
            return UserError("dataset.root", what, self.root, "give a folder of pictures")
        shown = [described(self.name(i), one) for i, one in bad.items()]
        return unreadable(shown, count, self.root)


def image_folder(s: ImageFolderSettings) -> RawDataset:
    """Pictures in `root`, labelled by their class folders, whose names are in alphabetical order.

    `root` holds train/ and test/, or else all pictures, of which `test_size` are set aside. Raises
    UserError for another layout (see `picture_layout`), and as `read_pictures` does.
    """
    root = Path(s.root)
    layout = picture_layout(root)
    for folder in layout.repeated:
        echo(
            f"warning: {path_below(folder, folder.parent)} in {folder.parent} is a link to a folder"
            " that was read already; skipped"
        )
    pictures = read_pictures(FolderSource(layout.files, root), s)
    source = _labelled(pictures, layout)
    report_pictures(root.resolve().name, pictures.how, source)
    return source


def _labelled(pictures: Pictures, layout: PictureLayout) -> RawDataset:
    """The pictures, in the order of the layout's files without bad ones, in parts and with the
    numbers of their classes.
    """
    files = layout.files
    bad = {files[i] for i in pictures.bad}
    names, labels, sizes = layout.classes, [], []
    for folder, by_class in layout.splits.items():
        readable = {name: [f for f in by_class[name] if f not in bad] for name in by_class}
        require_filled(readable, folder, "holds no pictures that can be read")
        part = [names.index(name) for name, files in readable.items() for _ in files]
        labels += part
        sizes.append(len(part))
    y = torch.tensor(labels) if names != [""] else None
    n, two = sizes[0], len(sizes) > 1
    return RawDataset(
        select(pictures.x, slice(n)),
        None if y is None else y[:n],
        select(pictures.x, slice(n, None)) if two else None,
        y[n:] if two and y is not None else None,
        unit=True,
        scale=pictures.scale,
        names=() if y is None else tuple(names),
        skipped=tuple(pictures.bad.values()),
    )

"""A folder of the user's own pictures, of any size, mode and number, as bytes of one shape.

It is ours because torchvision's ImageFolder wants class folders, opens pictures one by one in the
training loop, and does not mention the files it leaves out. Pictures that would take much of the
memory are prepared once in the cache folder, and read from there.
"""

import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import UnidentifiedImageError

from genbench.config.picture_headers import in_short, path_below, unreadable, why_bad
from genbench.config.picture_layout import PictureLayout, picture_layout, require_filled
from genbench.data.lazy import Values, select
from genbench.data.picture_stack import Ends, PictureStack
from genbench.data.pictures import DEPTH, Expected, decoded_pictures, expected
from genbench.data.prepared import (
    Written,
    fits,
    force_to_disk,
    prepared,
)
from genbench.data.preprocessing import require_room_for_images
from genbench.data.types import RawDataset
from genbench.settings.datasets import ImageFolderSettings
from genbench.utils.console import echo, shown_progress
from genbench.utils.errors import UserError
from genbench.utils.files import temporary_of
from genbench.utils.signals import check


class PicturesRead(NamedTuple):
    """What was read of a folder: which files are pictures, and what was noticed.

    bad      positions of files that are no pictures, with the reason for each
    ends     of the values of 16-bit pictures, as `PictureStack.ends`
    """

    bad: dict[int, str]
    ends: Ends | None


def image_folder(s: ImageFolderSettings) -> RawDataset:
    """Pictures in `root`, labelled by their class folders, whose names are in alphabetical order.

    `root` holds train/ and test/, or else all pictures, of which `test_size` are set aside. Raises
    UserError for another layout (see `picture_layout`), and for files that cannot be read unless
    `skip_bad` leaves them out.
    """
    root = Path(s.root)
    layout = picture_layout(root)
    for folder in layout.repeated:
        echo(
            f"warning: {path_below(folder, folder.parent)} in {folder.parent} is a link to a folder"
            " that was read already; skipped"
        )
    files, seen = layout.files, expected(layout.files)
    x: Values
    size = len(files) * seen.bytes_each(s)
    if fits(size * (4 if s.dequantize is True else 1)):
        if s.resize is not None:
            require_room_for_images(len(files), s.channels if s.channels == 3 else 1, s.resize, 1)
        x, found = _in_memory(files, seen, root, s)
    else:
        x, found = _in_file(files, seen, root, size, s)
    bad = list(found.bad.values())
    if bad:
        echo(f"warning: {in_short(bad, len(files))}; left out, as dataset.skip_bad=true says")
    _report_levels(found.ends, s)
    return _labelled(x, layout, {files[i] for i in found.bad}, tuple(bad))


def _labelled(
    x: Values, layout: PictureLayout, bad: set[Path], skipped: tuple[str, ...]
) -> RawDataset:
    """The pictures x [N, C, H, W], in the order of the layout's files without bad ones, in parts
    and with the numbers of their classes.
    """
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
        select(x, slice(n)),
        None if y is None else y[:n],
        select(x, slice(n, None)) if two else None,
        y[n:] if two and y is not None else None,
        unit=True,
        scale=1 / 255,
        names=() if y is None else tuple(names),
        skipped=skipped,
    )


def _in_memory(
    files: list[Path], seen: Expected, root: Path, s: ImageFolderSettings
) -> tuple[torch.Tensor, PicturesRead]:
    """The pictures [N, C, H, W] of these files that are some."""
    stack = PictureStack(io.BytesIO())
    found = _read(stack, files, seen, root, s)
    if not stack.uniform:
        stack = stack.unified(io.BytesIO(), _levels(stack.ends, s))
    assert isinstance(stack.file, io.BytesIO)
    values = np.frombuffer(stack.file.getbuffer(), np.uint8).reshape(stack.shape)
    return torch.from_numpy(values), found


def _in_file(
    files: list[Path], seen: Expected, root: Path, size: int, s: ImageFolderSettings
) -> tuple[Values, PicturesRead]:
    """The same in the cache folder, for as long as no file has another name, size or time."""

    def make(folder: Path) -> Written:
        path, mixed = (temporary_of(folder / name) for name in ("values.bin", "mixed.bin"))
        with open(path, "x+b") as file, open(mixed, "x+b") as other:
            stack = PictureStack(file)
            found = _read(stack, files, seen, root, s)
            if not stack.uniform:
                path, stack = mixed, stack.unified(other, _levels(stack.ends, s))
            force_to_disk(stack.file)
        facts = {"bad": [[i, text] for i, text in found.bad.items()], "ends": found.ends}
        return Written(path, stack.shape, torch.uint8, facts)

    what = f"{len(files):,} pictures"
    values, facts = prepared(_origin(files, root, s), size, what, make)
    ends = facts["ends"]
    return values, PicturesRead(dict(facts["bad"]), None if ends is None else Ends(*ends))


def _origin(files: list[Path], root: Path, s: ImageFolderSettings) -> dict[str, Any]:
    """What the bytes of the pictures are a function of, as their names, sizes and times show."""
    stats = []
    for file in files:
        check()
        status = os.stat(file)
        name = os.fsencode(file.relative_to(root)).hex()
        stats.append([name, status.st_size, status.st_mtime_ns])
    settings = {name: getattr(s, name) for name in ("resize", "channels", "levels", "skip_bad")}
    return {"pictures": stats, "root": os.path.realpath(root), **settings}


def _read(
    stack: PictureStack, files: list[Path], seen: Expected, root: Path, s: ImageFolderSettings
) -> PicturesRead:
    """Add all pictures to a stack.

    Raises UserError that names two pictures of different size, files that are no pictures unless
    `skip_bad` allows some, or a file if there are no pictures.
    """
    bad: dict[int, str] = {}
    known_format, first = False, files[0]
    with shown_progress("preparing pictures", len(files)) as advance:
        for i, (file, picture) in enumerate(decoded_pictures(files, seen.bytes_each(s), s)):
            check()
            advance()
            if isinstance(picture, Exception):
                known_format = known_format or not isinstance(picture, UnidentifiedImageError)
                bad[i] = why_bad(file, picture, root)
                continue
            if not len(stack):
                first = file
            # At once, because a folder of photographs in full size may exceed the memory.
            elif picture.shape[:2] != stack.size:
                raise _size_error((first, file), (stack.size, picture.shape[:2]), seen, root)
            stack.add(picture)
    if not len(stack) and not known_format:
        what = f"holds no pictures, but files such as {path_below(files[0], root)}"
        raise UserError("dataset.root", what, root, "give a folder of pictures")
    if bad and not (s.skip_bad and len(stack)):
        raise unreadable(list(bad.values()), len(files), root)
    return PicturesRead(bad, stack.ends)


def _size_error(
    files: tuple[Path, Path], sizes: tuple[Any, Any], seen: Expected, root: Path
) -> UserError:
    shown = [f"{path_below(file, root)} {h}x{w}" for file, (h, w) in zip(files, sizes)]
    h, w = seen.size or sizes[0]
    what = f"pictures differ in height x width: {', '.join(shown)}"
    return UserError("dataset.resize", what, "null", f"'dataset.resize=[{h},{w}]'")


def _levels(ends: Ends | None, s: ImageFolderSettings) -> Ends:
    """The values of 16-bit pictures that are black and white.

    By default they are the least and the largest value, unless those are the same: cameras,
    microscopes and depth sensors use a small part of 16 bits, which would all look black.
    """
    if s.levels != "auto":
        return Ends(*s.levels)
    return ends if ends is not None and ends.low < ends.high else Ends(*DEPTH)


def _report_levels(ends: Ends | None, s: ImageFolderSettings) -> None:
    if ends is None:
        if s.levels != "auto":
            echo("warning: dataset.levels has no effect: none of the pictures has 16 bits")
    elif s.levels == "auto":
        low, high = _levels(ends, s)
        echo(
            f"16-bit pictures: {low} is black and {high} is white, the least and the largest value;"
            f" dataset.levels=[{DEPTH[0]},{DEPTH[1]}] keeps the whole range"
        )

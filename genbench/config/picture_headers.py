"""What the headers of pictures show: a folder that cannot be read is refused before torch is there.

A loader finds later what is wrong behind the headers.
"""

from pathlib import Path
from typing import Any

from genbench.config.picture_layout import KEY, picture_layout
from genbench.utils.errors import UserError, plain
from genbench.utils.pictures import opened_picture
from genbench.utils.signals import check
from genbench.utils.text import counted

MOST_READ = 1000  # headers, evenly among more; these take a tenth of a second
MOST_PIXELS = 1 << 22  # of a picture; models of photographs in full size would not fit the memory
SHOWN = 10  # files that cannot be read, in a message


def require_pictures(folder: Path, skip_bad: bool, resize: Any) -> None:
    """UserError for another layout, for files that are no pictures, and for enormous pictures.

    `skip_bad` allows some files that are no pictures, `resize` allows large pictures.
    """
    from PIL import UnidentifiedImageError  # heavy, and other data need no pictures

    files = picture_layout(folder).files
    read = files[:: 1 + len(files) // MOST_READ]
    bad: list[str] = []
    unknown = 0
    for file in read:
        check()
        try:
            with opened_picture(file) as image:
                height, width = image.height, image.width
        except Exception as error:  # a damaged picture may make its decoder raise anything
            unknown += isinstance(error, UnidentifiedImageError)
            bad.append(why_bad(file, error, folder))
            continue
        if height * width > MOST_PIXELS and not resize:
            what = f"is needed: {path_below(file, folder)} has {height}x{width} pixels"
            raise UserError("dataset.resize", what, fix="such as 'dataset.resize=[64,64]'")
    if read and unknown == len(read):
        what = f"holds no pictures, but files such as {path_below(read[0], folder)}"
        raise UserError(KEY, what, folder, "give a folder of pictures")
    if bad and not skip_bad:
        raise unreadable(bad, len(read), folder)


def path_below(file: Path, root: Path) -> str:
    """The path below the root, in characters that can be printed."""
    return plain(str(file.relative_to(root)))


def why_bad(file: Path, error: Exception, root: Path) -> str:
    """A file and why it cannot be read, in a few words."""
    from PIL import UnidentifiedImageError  # heavy, and other data need no pictures

    unknown = isinstance(error, UnidentifiedImageError)
    return f"{path_below(file, root)} ({'unknown format' if unknown else error})"


def in_short(bad: list[str], n: int) -> str:
    """Which of `n` files cannot be read, of many only the first."""
    more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    return f"{len(bad)} of {counted(n, 'file')} cannot be read: {', '.join(bad[:SHOWN])}{more}"


def unreadable(bad: list[str], n: int, root: Path) -> UserError:
    """The error for files that cannot be read among the `n` that were tried."""
    fix = "remove them, hide them by a leading dot, or leave them out by dataset.skip_bad=true"
    return UserError(KEY, in_short(bad, n), root, fix)

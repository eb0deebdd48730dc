"""What the folder that a user gives data in has to hold, so that a wrong one is refused at once, before torch is imported
to read it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.config.settings import Setting
from genbench.utils.errors import UserError, plain
from genbench.utils.signals import check

if TYPE_CHECKING:
    from PIL import Image

PICTURES = (
    "BMP",
    "GIF",
    "JPEG",
    "PNG",
    "PPM",
    "TIFF",
    "WEBP",
)  # none that would start another program, as EPS does
FOLDERS = {  # above which published data lie, by the name of the loader in `datasets`
    "mnist": "MNIST/raw",
    "fashion_mnist": "FashionMNIST/raw",
    "kmnist": "KMNIST/raw",
    "cifar10": "cifar-10-batches-py",
    "lfw": "lfw_home",
    "binarized_mnist": "binarized_mnist",
}


def require_folders(values: Mapping[str, Any], known: dict[str, Setting], loader: str) -> None:
    """UserError for a folder to read from that is not there, is empty, or holds nothing that this loader reads.

    `values` and `known` are settings by dotted name, `loader` is the dotted path of a function.
    """
    for name, setting in known.items():
        given = values.get(name)
        if isinstance(given, str) and "folder" in [kind for kind, _ in setting.alternatives]:
            _require(name, Path(os.path.abspath(os.path.expanduser(given))), loader)


def _require(name: str, folder: Path, loader: str) -> None:
    module, _, function = loader.rpartition(".")
    below = FOLDERS.get(function) if module == "genbench.data.published" else None
    if not os.path.isdir(folder):
        what = "is a file, not a folder" if os.path.exists(folder) else "no such folder"
        raise UserError(name, what, folder, "give a folder that is there")
    try:
        filled = any(not entry.startswith(".") for entry in os.listdir(folder))
    except OSError as error:
        raise UserError(
            name, f"cannot be read: {error.strerror}", folder, "give a folder that can be read"
        ) from error
    if not filled:
        raise UserError(name, "holds no data", folder, "give a folder that holds some")
    if below and not os.path.isdir(folder / below):
        raise UserError(name, f"does not hold {below}", folder, f"give the folder above {below}")
    if loader == "genbench.data.image_folder.image_folder":
        _require_pictures(name, folder)


def _require_pictures(name: str, folder: Path) -> None:
    """UserError if no file in the folder, or below it, begins as pictures do."""
    from PIL import UnidentifiedImageError

    first = None
    for file in _files(folder):
        check()
        if file is None:
            return
        try:
            with opened_picture(file):
                return
        except UnidentifiedImageError:
            first = first or file
        except Exception:  # a damaged picture, of which more is said when all are read
            return
    if first is not None:
        shown = plain(str(first.relative_to(folder)))
        raise UserError(
            name,
            f"holds no pictures, but files such as {shown}",
            folder,
            "give a folder of pictures",
        )


def opened_picture(file: Path) -> "Image.Image":
    """A picture, to be closed, of which only the header was read. ValueError for what is no regular file: a pipe would be
    waited for."""
    from PIL import Image

    if not file.is_file():
        raise ValueError("no regular file")
    return Image.open(file, formats=PICTURES)


def _files(folder: Path) -> Iterator[Path | None]:
    """The visible regular files in a folder and below it; None for a link to a folder, behind which there may be more."""
    for above, folders, names in os.walk(folder):
        folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
        for file in sorted(Path(above, entry) for entry in names if not entry.startswith(".")):
            if file.is_file():
                yield file
        if any(Path(above, entry).is_symlink() for entry in folders):
            yield None

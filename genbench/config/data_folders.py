"""What a folder of the user's data must hold, and that a file is there: wrong ones are refused
before torch is imported.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.config.array_choice import IN_MEMORY
from genbench.config.picture_headers import require_pictures
from genbench.settings.picture_sets import DSPRITES_FILE
from genbench.settings.setting import Setting
from genbench.utils.errors import UserError
from genbench.utils.signals import check

IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
CIFAR = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
AMAT = tuple(f"binarized_mnist_{split}.amat" for split in ("train", "valid", "test"))


@dataclass(frozen=True)
class PublishedFolder:
    """Where the files of a published dataset lie.

    at      folder of the files below the setting `root`
    files   names of the files; one that ends in a slash is a folder
    wanted  matches a path below `at`, or in an archive; the first group is the file's name
    url     where to get files that are not downloaded
    """

    at: str
    files: tuple[str, ...]
    wanted: re.Pattern[str]
    url: str = ""

    def paths(self, root: Path) -> dict[str, Path]:
        """The files by name; of a file and its .gz, the file. UserError if some are missing."""
        folder = root / self.at
        found: dict[str, Path] = {}
        # In reverse order, so that a file comes after its .gz and takes its place.
        for path in sorted(folder.rglob("*"), reverse=True):
            check()
            match = self.wanted.fullmatch(path.relative_to(folder).as_posix())
            if match and path.is_file():
                found[match[1]] = path
        missing = [
            name for name in self.files if not any(other.startswith(name) for other in found)
        ]
        if missing:
            # If all are missing, the folder says it better than the list of its files.
            names = [f"/{name}" for name in missing] if found else [""]
            what = f"does not hold {', '.join(self.at + name for name in names)}"
            otherwise = "leave dataset.root out to download"
            if self.url:
                otherwise = f"copy the files of {self.url} there"
            raise UserError(
                "dataset.root", what, root, f"give the folder above {self.at}, or {otherwise}"
            )
        return found


def _exactly(at: str, *files: str, url: str = "") -> PublishedFolder:
    return PublishedFolder(at, files, re.compile(f"({'|'.join(map(re.escape, files))})"), url)


def _like_mnist(at: str) -> PublishedFolder:
    return PublishedFolder(at, IDX, re.compile(rf"({'|'.join(IDX)})(?:\.gz)?"))


PUBLISHED = {  # by the name of the loader in genbench.data
    "mnist": _like_mnist("MNIST/raw"),
    "fashion_mnist": _like_mnist("FashionMNIST/raw"),
    "kmnist": _like_mnist("KMNIST/raw"),
    "cifar10": PublishedFolder(
        "cifar-10-batches-py",
        CIFAR,
        re.compile(r"(?:cifar-10-batches-py/)?(data_batch_[1-5]|test_batch|batches\.meta)"),
    ),
    "lfw": PublishedFolder(
        "lfw_home", ("lfw_funneled/",), re.compile(r"(lfw_funneled/[^/]+/[^/.][^/]*\.jpg)")
    ),
    "emnist": _exactly("EMNIST/raw", "gzip.zip"),
    "usps": _exactly("USPS", "usps.bz2", "usps.t.bz2"),
    "svhn": _exactly("SVHN", "train_32x32.mat", "test_32x32.mat"),
    "celeba": _exactly(
        "celeba",
        "list_attr_celeba.txt",
        "list_eval_partition.txt",
        url="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and unpack img_align_celeba.zip",
    ),
    "dsprites": _exactly(
        "dsprites", DSPRITES_FILE, url="https://github.com/google-deepmind/dsprites-dataset"
    ),
    "binarized_mnist": _exactly(
        "binarized_mnist",
        *AMAT,
        url="http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist",
    ),
}


def require_folders(values: Mapping[str, Any], known: dict[str, Setting], loader: str) -> None:
    """UserError for a folder that is not there, is empty, or holds nothing that this loader reads.

    `values` and `known` are settings by dotted name, `loader` is the dotted path of a function.
    """
    fix = "genbench.fit(X, y) in Python, or dataset=array dataset.path=FILE"
    require_not_in_memory(loader, fix)
    for name, setting in known.items():
        given = values.get(name)
        if isinstance(given, str) and setting.is_file:
            _require_file(name, Path(os.path.abspath(os.path.expanduser(given))))
        if isinstance(given, str) and setting.is_folder:
            folder = Path(os.path.abspath(os.path.expanduser(given)))
            _require(name, folder, loader)
            if loader == "genbench.data.image_folder.image_folder":
                skip_bad, resize = (values.get(f"dataset.{n}") for n in ("skip_bad", "resize"))
                require_pictures(folder, bool(skip_bad), resize)


def require_not_in_memory(loader: str, fix: str) -> None:
    """UserError for a loader of data that are given in Python, which no command has."""
    if loader == IN_MEMORY:
        what = "such data are given in Python, and a command has none"
        raise UserError("dataset", what, "memory", fix)


def _require_file(name: str, file: Path) -> None:
    """UserError unless there is a file that can be read and is not empty."""
    if os.path.isdir(file):
        raise UserError(name, "is a folder, not a file", file, "give a file; dataset=image-folder")
    if not os.path.exists(file):
        raise UserError(name, "no such file", file, "give a file that is there")
    if not os.access(file, os.R_OK):
        raise UserError(name, "cannot be read", file, "give a file that can be read")
    if os.path.isfile(file) and not os.path.getsize(file):
        raise UserError(name, "is empty", file, "give a file that holds data")


def _require(name: str, folder: Path, loader: str) -> None:
    if not os.path.isdir(folder):
        what = "is a file, not a folder" if os.path.exists(folder) else "no such folder"
        raise UserError(name, what, folder, "give a folder that is there")
    try:
        filled = any(not entry.startswith(".") for entry in os.listdir(folder))
    except OSError as error:
        fix = "give a folder that can be read"
        raise UserError(name, f"cannot be read: {error.strerror}", folder, fix) from error
    if not filled:
        raise UserError(name, "holds no data", folder, "give a folder that holds some")
    module, _, function = loader.rpartition(".")
    if module.startswith("genbench.data.") and function in PUBLISHED:
        PUBLISHED[function].paths(folder)

"""Loaders of data that others publish: bundled with a library, or as files that are downloaded on first use."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from genbench.config.data_folders import FOLDERS
from genbench.config.settings import Settings
from genbench.data import readers
from genbench.data.downloads import Download, cache_folder, fetched
from genbench.data.types import RawDataset
from genbench.utils.errors import UserError


def digits(s: Settings) -> RawDataset:
    """scikit-learn's bundled digits: 1,797 images [1, 8, 8]; a pixel counts the dots set in a 4x4 block of a bitmap."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = torch.tensor(bunch.images, dtype=torch.uint8)[:, None], torch.tensor(bunch.target)
    return RawDataset(x, y, None, None, unit=True, scale=1 / 16, trials=16)


@dataclass(frozen=True)
class Published:
    """A loader of byte images from files in the folder `at` of the setting `root`, or else downloaded into the cache folder.

    `files` are their names, `wanted` matches the whole path of one and its name in the first group: below `at` where
    the user has them, in an archive where that is what `downloads` are. `read` is a reader of `formats`. Bytes are
    pixels from 0 to `white`; pixels that are 0 or 1 have a `white` of 1. `url` is where files are that are not downloaded,
    as nobody has published their checksums.
    """

    at: str
    files: tuple[str, ...]
    wanted: re.Pattern
    downloads: tuple[Download, ...]
    read: Callable[[readers.Files], tuple[readers.Parts, Sequence[str]]]
    white: int = 255
    ordered: bool = False
    url: str = ""

    def __call__(self, s: Settings) -> RawDataset:
        try:
            parts, names = self.read(self._given(Path(s.root)) if s.root else self._cached(s.name))
        except OSError as error:
            raise UserError(
                str(error.filename), f"cannot be read: {error.strerror}", fix="make it readable"
            ) from error
        (x, y), (test_x, test_y) = [*parts, (None, None)][:2]
        trials = 1 if self.white == 1 else None
        facts = {
            "unit": True,
            "scale": 1 / self.white,
            "trials": trials,
            "names": tuple(names),
            "ordered": self.ordered,
        }
        return RawDataset(x, y, test_x, test_y, **facts)

    def _given(self, root: Path) -> readers.Files:
        """The user's own files, which may be others than those that were published; of one and its .gz the former."""
        folder = root / self.at
        paths = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"), reverse=True)
            if path.is_file()
        }
        found = {
            match[1]: path for name, path in paths.items() if (match := self.wanted.fullmatch(name))
        }
        missing = [
            f"{self.at}/{name}"
            for name in self.files
            if not any(key.startswith(name) for key in found)
        ]
        if missing:
            otherwise = (
                f"copy the files of {self.url} there"
                if self.url
                else "leave dataset.root out to download"
            )
            fix = f"give the folder above {self.at}/{self.files[0]}, or {otherwise}"
            raise UserError("dataset.root", f"does not hold {', '.join(missing)}", root, fix)
        return found

    def _cached(self, name: str) -> readers.Files:
        """What was published, or is in the archive that was."""
        otherwise = f"give dataset.root=FOLDER that holds {self.at}"
        paths = fetched(self.downloads, cache_folder() / self.at, f"dataset={name}", otherwise)
        if paths[0].name.endswith((".tar.gz", ".tgz")):
            return readers.members(paths[0], self.wanted)
        return {self.wanted.fullmatch(path.name)[1]: path for path in paths}


IDX = tuple(
    f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
)


def _idx(at: str, base: str, sums: Sequence[str], names: Sequence[str]) -> Published:
    """What comes as MNIST does: four files, the SHA-256 sums of which are in the order of `IDX`."""
    downloads = (
        Download(f"{name}.gz", f"{base}{name}.gz", sha256)
        for name, sha256 in zip(IDX, sums, strict=True)
    )
    return Published(
        at,
        IDX,
        re.compile(rf"({'|'.join(IDX)})(?:\.gz)?"),
        tuple(downloads),
        partial(readers.idx, names=names),
    )


mnist = _idx(
    FOLDERS["mnist"],
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "0123456789",
)
fashion_mnist = _idx(
    FOLDERS["fashion_mnist"],
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)
kmnist = _idx(
    FOLDERS["kmnist"],
    "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    (
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    ),
    ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)
cifar10 = Published(
    FOLDERS["cifar10"],
    (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"),
    re.compile(r"(?:cifar-10-batches-py/)?(data_batch_[1-5]|test_batch|batches\.meta)"),
    (
        Download(
            "cifar-10-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
    ),
    readers.cifar,
)
lfw = Published(
    FOLDERS["lfw"],
    ("lfw_funneled/",),
    re.compile(r"(lfw_funneled/[^/]+/[^/.][^/]*\.jpg)"),
    (
        Download(
            "lfw-funneled.tgz",
            "https://ndownloader.figshare.com/files/5976015",  # as scikit-learn has it
            "b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
        ),
    ),
    readers.faces,
)
AMAT = tuple(f"binarized_mnist_{part}.amat" for part in ("train", "valid", "test"))
binarized_mnist = Published(
    FOLDERS["binarized_mnist"],
    AMAT,
    re.compile(f"({'|'.join(map(re.escape, AMAT))})"),
    (),
    partial(readers.amat, names=AMAT, side=28),
    white=1,
    ordered=True,
    url="http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist",
)

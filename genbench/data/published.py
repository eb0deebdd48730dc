"""Datasets that others publish: bundled with scikit-learn, or downloaded on first use.

Each is a loader, a function `settings -> RawDataset` that its YAML file in configs/dataset/ names.
"""

import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from genbench.config.data_folders import AMAT, IDX, PUBLISHED, PublishedFolder
from genbench.data.cifar import cifar
from genbench.data.downloads import Download, cache_folder, fetched, sha256_of
from genbench.data.emnist import EMNIST_ARCHIVE, read_emnist
from genbench.data.faces import faces
from genbench.data.readers import Files, Member, PublishedSplits, amat, damaged, idx
from genbench.data.types import RawDataset
from genbench.data.vision import read_svhn, read_usps
from genbench.settings.datasets import (
    BinarizedMNISTSettings,
    DigitsSettings,
    PublishedSettings,
)
from genbench.utils.errors import UserError
from genbench.utils.signals import check


def digits(s: DigitsSettings) -> RawDataset:
    """scikit-learn's digits: 1,797 images [1, 8, 8].

    A pixel counts the dots that are set in a 4x4 block of a bitmap.
    """
    table = torch.from_numpy(_digits_table())
    x, y = table[:, :64].unflatten(1, (1, 8, 8)).contiguous(), table[:, 64].long()
    return RawDataset(x, y, None, None, unit=True, scale=1 / 16, trials=16)


def _digits_table() -> np.ndarray:
    """The pixels and the label of each image, bytes [1797, 65], from scikit-learn's own file.

    scikit-learn is not imported for it, which would take most of a second.
    """
    package = find_spec("sklearn")
    assert package is not None and package.submodule_search_locations
    file = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    if file.exists():
        return np.loadtxt(file, np.uint8, delimiter=",")
    from sklearn.datasets import load_digits  # in a version that keeps the file elsewhere

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target]).astype(np.uint8)


@dataclass(frozen=True)
class Published:
    """A loader of byte images, from files of the user's or else downloaded into the cache folder.

    folder     where the files lie, and their names
    downloads  what to download; none if nobody has published checksums
    read       a reader of the format
    white      pixels are bytes from 0 to this; 1 for pixels that are 0 or 1
    ordered    as in `RawDataset`
    verified   whether the reader trusts files, so that those of the user's are verified, too
    options    settings that the reader takes
    """

    folder: PublishedFolder
    downloads: tuple[Download, ...]
    read: Callable[..., tuple[PublishedSplits, Sequence[str]]]
    white: int = 255
    ordered: bool = False
    verified: bool = False
    options: tuple[str, ...] = ()

    def __call__(self, s: PublishedSettings | BinarizedMNISTSettings) -> RawDataset:
        files = self.folder.paths(Path(s.root)) if s.root else self._in_cache(s.name)
        try:
            if self.verified and s.root:
                self._verify(files)
            splits, names = self.read(files, **{name: getattr(s, name) for name in self.options})
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
            raise UserError(str(error.filename), what, fix="make it readable") from error
        x, y = splits[0]
        test_x, test_y = splits[1] if len(splits) > 1 else (None, None)
        return RawDataset(
            x,
            y,
            test_x,
            test_y,
            unit=True,
            scale=1 / self.white,
            trials=1 if self.white == 1 else None,
            names=tuple(names),
            ordered=self.ordered,
        )

    def _verify(self, files: Files) -> None:
        """UserError for a file that is not as it was published."""
        for download in self.downloads:
            file = files[download.name]
            assert isinstance(file, Path), "it is a file of the user's"
            digest = sha256_of(file)
            if digest != download.sha256:
                raise damaged(file, f"expected the SHA-256 {download.sha256}", digest)

    def _in_cache(self, name: str) -> Files:
        """The files as published, downloaded if need be."""
        at, wanted = self.folder.at, self.folder.wanted
        otherwise = f"give dataset.root=FOLDER that holds {at}"
        paths = fetched(self.downloads, cache_folder() / at, f"dataset={name}", otherwise)
        if paths[0].name.endswith((".tar.gz", ".tgz")):
            return archive_members(paths[0], wanted)
        matches = ((wanted.fullmatch(path.name), path) for path in paths)
        return {match[1]: path for match, path in matches if match}


def archive_members(archive: Path, wanted: re.Pattern[str]) -> dict[str, Member]:
    """The files of a .tar.gz whose whole path matches `wanted`, by its first group.

    They stay in memory, so that no name, link or device in the archive reaches anything outside.
    """
    found = {}
    with tarfile.open(archive, "r|gz") as tar:  # a stream: read once, from beginning to end
        for member in tar:
            check()
            match = wanted.fullmatch(member.name)
            # A sparse file may claim any length.
            if match and member.isreg() and not member.issparse():
                content = tar.extractfile(member)
                assert content is not None, "a regular file has content"
                found[match[1]] = Member(archive, member.name, content.read())
    return found


def _like_mnist(
    folder: PublishedFolder, base: str, sums: Sequence[str], names: Sequence[str]
) -> Published:
    """A dataset of four files like MNIST's, whose SHA-256 sums are in the order of `IDX`."""
    downloads = tuple(
        Download(f"{name}.gz", f"{base}{name}.gz", sha256)
        for name, sha256 in zip(IDX, sums, strict=True)
    )
    return Published(folder, downloads, partial(idx, names=names))


mnist = _like_mnist(
    PUBLISHED["mnist"],
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    tuple("0123456789"),
)
fashion_mnist = _like_mnist(
    PUBLISHED["fashion_mnist"],
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
kmnist = _like_mnist(
    PUBLISHED["kmnist"],
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
    PUBLISHED["cifar10"],
    (
        Download(
            "cifar-10-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
    ),
    cifar,
)
# The sums of the next three are those in the checksums of TensorFlow Datasets and in the prototypes
# of torchvision, whose releases pin MD5 sums.
emnist = Published(
    PUBLISHED["emnist"],
    (
        Download(
            EMNIST_ARCHIVE,
            "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
            "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
        ),
    ),
    read_emnist,
    verified=True,
    options=("split",),
)
usps = Published(
    PUBLISHED["usps"],
    (
        Download(
            "usps.bz2",
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.bz2",
            "3771e9dd6ba685185f89867b6e249233dd74652389f263963b3b741e994b034f",
        ),
        Download(
            "usps.t.bz2",
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.t.bz2",
            "a9c0164e797d60142a50604917f0baa604f326e9a689698763793fa5d12ffc4e",
        ),
    ),
    read_usps,
    verified=True,
)
svhn = Published(
    PUBLISHED["svhn"],
    (
        Download(
            "train_32x32.mat",
            "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
            "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        ),
        Download(
            "test_32x32.mat",
            "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
            "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        ),
    ),
    read_svhn,
    verified=True,
)
lfw = Published(
    PUBLISHED["lfw"],
    (
        Download(
            "lfw-funneled.tgz",
            "https://ndownloader.figshare.com/files/5976015",  # where scikit-learn gets it
            "b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
        ),
    ),
    faces,
)
binarized_mnist = Published(
    PUBLISHED["binarized_mnist"],
    (),
    partial(amat, names=AMAT, side=28),
    white=1,
    ordered=True,
)

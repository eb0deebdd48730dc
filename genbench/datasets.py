"""Loaders of data that others publish: bundled with a library, or as files that are downloaded on first use.

This is the one module that imports torchvision, and only for the datasets that need it.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from .data import Source
from .errors import UserError
from .settings import Settings


def digits(s: Settings) -> Source:
    """scikit-learn's bundled digits: 1,797 images [1, 8, 8]; a pixel counts the dots set in a 4x4 block of a bitmap."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = torch.tensor(bunch.images, dtype=torch.uint8)[:, None], torch.tensor(bunch.target)
    return Source(x, y, None, None, unit=True, scale=1 / 16, trials=16)


@dataclass(frozen=True)
class Published:
    """A loader of byte images from `files` in the folder `at` under `root`, the setting or else the cache folder.

    `read(root, download)` returns (images, labels) to train on, and to test on if the publishers say which: bytes
    [N, H, W] or [N, H, W, C], and integers [N]; then what the labels are called. Only the cache folder is downloaded into.
    """

    at: str
    files: tuple[str, ...]
    read: Callable[[Path, bool], tuple[list[tuple], Sequence[str]]]

    def __call__(self, s: Settings) -> Source:
        root = Path(s.root or cache_folder())
        files = [f"{self.at}/{name}" for name in self.files]
        missing = [name for name in files if not (root / name).exists()]
        if s.root and missing:
            fix = f"give the folder above {files[0]}, or leave dataset.root out to download"
            raise UserError("dataset.root", f"does not hold {', '.join(missing)}", s.root, fix)
        try:
            parts, names = self.read(root, not s.root)
        except UserError:
            raise
        except Exception as error:  # a network, a damaged file and the libraries that meet them raise whatever they like
            why = str(error) or type(error).__name__
            if s.root:
                raise UserError("dataset.root", f"{self.at} cannot be read: {why}", s.root, f"replace {', '.join(files)}") from error
            fix = f"put {', '.join(self.files)} into {root / self.at}, or give dataset.root=FOLDER that holds {self.at}"
            raise UserError(f"dataset={s.name}", f"could not be downloaded and read: {why}", fix=fix) from error
        (x, y), (test_x, test_y) = [(_images(x), torch.as_tensor(y)) for x, y in parts] + [(None, None)] * (2 - len(parts))
        return Source(x, y, test_x, test_y, unit=True, scale=1 / 255, names=tuple(names))


def _images(x) -> torch.Tensor:
    """Channels where convolutions want them."""
    x = torch.as_tensor(x)
    return x[:, None] if x.dim() == 3 else x.permute(0, 3, 1, 2)


def cache_folder() -> Path:
    """Where downloads are kept: $GENBENCH_CACHE, else genbench/ in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GENBENCH_CACHE") or Path(base) / "genbench")


def _from_torchvision(name: str, root: Path, download: bool) -> tuple[list[tuple], Sequence[str]]:
    made = getattr(_torchvision().datasets, name)
    parts = [made(root, train=train, download=download) for train in (True, False)]
    names = [name.partition(" - ")[0] for name in parts[0].classes]  # MNIST says "0 - zero"
    return [(part.data, part.targets) for part in parts], names


def _torchvision():
    try:
        import torchvision
    except ImportError as error:
        raise UserError("torchvision", f"is missing: {error}", fix="pip install torchvision") from error
    except RuntimeError as error:  # 'operator torchvision::nms does not exist'
        raise UserError(
            "torchvision",
            f"does not match torch {torch.__version__}: {error}",
            fix="install both from the same place: pip install --force-reinstall torch torchvision",
        ) from error
    return torchvision


def _faces(root: Path, download: bool) -> tuple[list[tuple], Sequence[str]]:
    """The people with at least 60 pictures each, cropped to the face."""
    from sklearn.datasets import fetch_lfw_people

    bunch = fetch_lfw_people(data_home=root, min_faces_per_person=60, resize=0.5, download_if_missing=download)
    return [((bunch.images * 255).round().astype("uint8"), bunch.target)], bunch.target_names.tolist()


IDX = tuple(f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1"))

mnist = Published("MNIST/raw", IDX, partial(_from_torchvision, "MNIST"))
fashion_mnist = Published("FashionMNIST/raw", IDX, partial(_from_torchvision, "FashionMNIST"))
kmnist = Published("KMNIST/raw", IDX, partial(_from_torchvision, "KMNIST"))
cifar10 = Published(
    "cifar-10-batches-py",
    (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"),
    partial(_from_torchvision, "CIFAR10"),
)
lfw = Published("lfw_home", ("lfw_funneled/", "pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt"), _faces)

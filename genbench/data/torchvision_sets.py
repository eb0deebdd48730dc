"""The classification sets of torchvision by the names of their classes, read by torchvision."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from genbench.config.picture_headers import in_short
from genbench.config.picture_layout import files_below
from genbench.data.downloads import cache_folder, exclusive
from genbench.data.image_folder import FolderSource
from genbench.data.lazy import select
from genbench.data.picture_sets import described, read_pictures
from genbench.data.pictures import Opener, Undecodable
from genbench.data.summary import report_pictures
from genbench.data.types import RawDataset
from genbench.data.vision import torchvision_datasets
from genbench.settings.picture_sets import TorchvisionSettings
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.files import make_folder
from genbench.utils.text import quoted

Arguments = Mapping[str, Any]


class PublishedParts(NamedTuple):
    """The arguments by which a set's class reads each of its published parts, None if it lacks one.

    Where the test labels are withheld, the validation part is for the test.
    """

    train: Arguments
    validation: Arguments | None = None
    test: Arguments | None = None


def _split(train: str, *others: str) -> PublishedParts:
    """What `split` chooses: the part for training, that for validation if given, and the test."""
    names = [{"split": name} for name in (train, *others)]
    return PublishedParts(
        names[0], names[1] if len(names) == 3 else None, names[-1] if others else None
    )


BY_TRAIN = PublishedParts({"train": True}, None, {"train": False})
TORCHVISION_SETS = {
    "CIFAR10": BY_TRAIN,
    "CIFAR100": BY_TRAIN,
    "CLEVRClassification": _split("train", "val"),
    "Caltech101": PublishedParts({}),
    "Caltech256": PublishedParts({}),
    "Country211": _split("train", "valid", "test"),
    "DTD": _split("train", "val", "test"),
    "EMNIST": PublishedParts(
        {"split": "balanced", "train": True}, None, {"split": "balanced", "train": False}
    ),
    "EuroSAT": PublishedParts({}),
    "FER2013": _split("train", "test"),
    "FGVCAircraft": _split("train", "val", "test"),
    "FashionMNIST": BY_TRAIN,
    "Flowers102": _split("train", "val", "test"),
    "Food101": _split("train", "test"),
    "GTSRB": _split("train", "test"),
    "INaturalist": PublishedParts({"version": "2021_train"}, None, {"version": "2021_valid"}),
    "ImageNet": _split("train", "val"),
    "Imagenette": _split("train", "val"),
    "KMNIST": BY_TRAIN,
    "LFWPeople": _split("train", "test"),
    "LSUN": PublishedParts({"classes": "train"}, None, {"classes": "val"}),
    "MNIST": BY_TRAIN,
    "Omniglot": PublishedParts({"background": True}),
    "OxfordIIITPet": _split("trainval", "test"),
    "PCAM": _split("train", "val", "test"),
    "Places365": _split("train-standard", "val"),
    "QMNIST": BY_TRAIN,
    "RenderedSST2": _split("train", "val", "test"),
    "SEMEION": PublishedParts({}),
    "STL10": _split("train", "test"),
    "SUN397": PublishedParts({}),
    "SVHN": _split("train", "test"),
    "StanfordCars": _split("train", "test"),
    "USPS": BY_TRAIN,
}
NOT_DOWNLOADED = ("FER2013", "ImageNet", "LSUN")  # which have no argument `download`


class _Items:
    """The items of datasets of torchvision, one after the other, as the source of pictures."""

    by_processes = False  # each would have to read the files anew

    def __init__(self, name: str, folder: Path, parts: list[Any]) -> None:
        self.set_name, self.folder = name, folder
        self.parts = parts
        self.places = [(part, i) for part in parts for i in range(len(part))]
        self.labels = [-1] * len(self.places)  # of items that were opened
        self.openers: list[Opener] = [partial(self._opened, i) for i in range(len(self.places))]

    @contextmanager
    def _opened(self, i: int) -> Iterator[Image.Image]:
        part, place = self.places[i]
        image, label = part[place]
        self.labels[i] = int(label)
        yield image if isinstance(image, Image.Image) else Image.fromarray(image)

    def name(self, i: int) -> str:
        return f"item {i:,} of {self.set_name}, counted from 0"

    def origin(self) -> dict[str, Any]:
        """The names, sizes and times of the files, which torchvision has unpacked by now."""
        sizes = [len(part) for part in self.parts]
        found = files_below(self.folder, apart=cache_folder() / "prepared")
        files = FolderSource(found, self.folder)
        return {"torchvision": self.set_name, "sizes": sizes, **files.origin()}

    def facts(self) -> dict[str, Any]:
        return {"labels": self.labels}

    def unreadable(self, bad: Mapping[int, Undecodable]) -> UserError:
        shown = [described(self.name(i), one) for i, one in bad.items()]
        what = in_short(shown, len(self.places))
        return UserError("dataset.root", what, self.folder, "remove the folder to download it anew")


def torchvision(s: TorchvisionSettings) -> RawDataset:
    """The set of this name in its published parts; one without a test part is split by `test_size`.

    UserError for a set that is not there and cannot be downloaded, and as `read_pictures` raises.
    """
    parts = TORCHVISION_SETS[s.path]
    folder = Path(s.root) if s.root else cache_folder() / "torchvision" / s.path
    given = [arguments for arguments in parts if arguments is not None]
    read = _read(s, folder, given)
    items = _Items(s.path, folder, read)
    pictures = read_pictures(items, s)
    kept = [i for i in range(len(items.places)) if i not in pictures.bad]
    y = torch.tensor(pictures.facts["labels"])[kept]
    sizes = {}
    names = [name for name, arguments in parts._asdict().items() if arguments is not None]
    start = 0
    for name, part in zip(names, read, strict=True):
        sizes[name] = sum(start <= i < start + len(part) for i in kept)
        start += len(part)
    validation = sizes.get("validation", 0)
    n = sizes["train"] + validation
    has_test = "test" in sizes
    source = RawDataset(
        select(pictures.x, slice(n)),
        y[:n],
        select(pictures.x, slice(n, None)) if has_test else None,
        y[n:] if has_test else None,
        unit=True,
        scale=pictures.scale,
        names=_class_names(read[0], int(y.max()) + 1),
        skipped=tuple(pictures.bad.values()),
        validation=validation,
    )
    report_pictures(s.path, pictures.how, source)
    return source


def _read(s: TorchvisionSettings, folder: Path, parts: list[Arguments]) -> list[Any]:
    """The datasets of torchvision for these parts, downloaded if need be."""
    made = getattr(torchvision_datasets(), s.path)
    options: dict[str, Any] = {}
    if not s.root:
        make_folder(folder, "set GENBENCH_CACHE to another folder")
        if s.path not in NOT_DOWNLOADED:
            options["download"] = True
    try:
        if s.root:
            return [made(str(folder), **part) for part in parts]
        with exclusive(folder, f"which is downloading {s.path}"):
            if all(entry.name.startswith(".") for entry in folder.iterdir()):
                echo(f"downloading {s.path} by torchvision into {quoted(folder)}")
            return [made(str(folder), **part, **options) for part in parts]
    except UserError:
        raise
    except Exception as error:  # its classes raise anything for files that are not there
        fix = f"give dataset.root=FOLDER with the files of torchvision.datasets.{s.path}"
        text = str(error).strip().splitlines()
        what = f"{s.path} cannot be loaded by torchvision: {text[0] if text else type(error)}"
        raise UserError("dataset.path", what, folder, fix) from error


def _class_names(dataset: Any, count: int) -> tuple[str, ...]:
    """The names of the classes, of which there are at least `count`; none if it has no such."""
    for attribute in ("classes", "categories"):
        names = getattr(dataset, attribute, None)
        if isinstance(names, (list, tuple)) and len(names) >= count:
            words = [name if isinstance(name, str) else ", ".join(map(str, name)) for name in names]
            return tuple(words)
    return ()

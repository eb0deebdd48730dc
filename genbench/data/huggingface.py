"""Datasets of Hugging Face, from the Hub or a folder, read by its library `datasets`."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from genbench.config.picture_headers import in_short
from genbench.data.arrays import in_memory
from genbench.data.labels import classes_of_labels
from genbench.data.lazy import select
from genbench.data.picture_sets import described, read_pictures
from genbench.data.pictures import Opener, Undecodable
from genbench.data.summary import report_pictures
from genbench.data.types import RawDataset
from genbench.settings.picture_sets import HuggingFaceSettings
from genbench.utils.console import echo
from genbench.utils.errors import UserError
from genbench.utils.pictures import opened_content, opened_picture

if TYPE_CHECKING:
    from PIL import Image

TRAIN, VALIDATION, TEST = ("train",), ("validation", "valid", "val", "dev"), ("test",)
LABELS = ("label", "labels", "class", "target", "y", "fine_label")  # the usual names of labels
NUMBER_TYPES = ("int", "uint", "float", "bool")  # how the types of numbers begin


class _Parts(NamedTuple):
    """Rows to train and validate on, of which the last `validation` are for the latter, and rows
    to test on, None if there are none.
    """

    train: Any
    validation: int
    test: Any


class _Labels(NamedTuple):
    """Labels of the training and the test rows, and the names of the classes."""

    y: torch.Tensor | None = None
    test_y: torch.Tensor | None = None
    names: tuple[str, ...] = ()


class _Rows:
    """The pictures in a column of some datasets as the source of pictures."""

    by_processes = False  # each would have to open the files anew

    def __init__(self, datasets: list[Any], column: str, path: str) -> None:
        library = _library()
        encoded = library.Image(decode=False)
        self.column, self.path = column, path
        self.datasets = [
            one.select_columns([column]).cast_column(column, encoded) for one in datasets
        ]
        self.places = [(k, i) for k, one in enumerate(datasets) for i in range(len(one))]
        self.openers: list[Opener] = [partial(self._opened, k, i) for k, i in self.places]

    @contextmanager
    def _opened(self, k: int, i: int) -> Iterator["Image.Image"]:
        stored = self.datasets[k][i][self.column]
        if stored is None:
            raise ValueError("no picture")
        content, path = stored.get("bytes"), stored.get("path")
        opened = opened_picture(Path(path)) if content is None else opened_content(content)
        with opened as image:
            yield image

    def name(self, i: int) -> str:
        k, row = self.places[i]
        return f"{('training', 'test')[k]} row {row:,}, counted from 0"

    def origin(self) -> dict[str, Any]:
        files = [file["filename"] for one in self.datasets for file in one.cache_files]
        status = [[file, os.path.getsize(file), os.stat(file).st_mtime_ns] for file in files]
        sizes = [len(one) for one in self.datasets]
        return {"huggingface": self.path, "files": status, "column": self.column, "rows": sizes}

    def facts(self) -> dict[str, Any]:
        return {}

    def unreadable(self, bad: Mapping[int, Undecodable]) -> UserError:
        shown = in_short([described(self.name(i), one) for i, one in bad.items()], len(self.places))
        what = f"column '{self.column}': {shown.replace('files', 'pictures')}"
        return UserError("dataset.path", what, self.path, "dataset.skip_bad=true leaves them out")


def huggingface(s: HuggingFaceSettings) -> RawDataset:
    """The images of a column, or the numbers of several columns as vectors, with their labels.

    Rows of the parts train, validation and test stay in these. UserError for what cannot be loaded,
    for a column that is not there, and as `read_pictures` raises.
    """
    parts = _parts(s, _loaded(s))
    features = parts.train.features
    label = _label_column(features, s)
    image = _image_column(features, s)
    labels = _labels(parts, label)
    if image is not None:
        return _images(parts, image, label, labels, s)
    return _vectors(parts, label, labels, s)


def _images(
    parts: _Parts, image: str, label: str | None, labels: _Labels, s: HuggingFaceSettings
) -> RawDataset:
    datasets = [parts.train] if parts.test is None else [parts.train, parts.test]
    pictures = read_pictures(_Rows(datasets, image, s.path), s)
    total, n = sum(map(len, datasets)), len(parts.train)
    kept = torch.tensor([i for i in range(total) if i not in pictures.bad])
    train, test = kept[kept < n], kept[kept >= n] - n
    validation = int((train >= n - parts.validation).sum()) if parts.validation else 0
    source = RawDataset(
        select(pictures.x, slice(len(train))),
        None if labels.y is None else labels.y[train],
        None if parts.test is None else select(pictures.x, slice(len(train), None)),
        None if labels.test_y is None else labels.test_y[test],
        unit=True,
        scale=pictures.scale,
        names=labels.names,
        skipped=tuple(pictures.bad.values()),
        validation=validation,
    )
    columns = [f"in column '{image}'"] + [f"labels in column '{label}'"] * (label is not None)
    report_pictures(s.path, [*columns, *pictures.how], source)
    return source


def _vectors(
    parts: _Parts, label: str | None, labels: _Labels, s: HuggingFaceSettings
) -> RawDataset:
    """The numbers in columns as vectors, or the arrays in one column as what they are."""
    features = parts.train.features
    arrays = [name for name, feature in features.items() if _is_array(feature)]
    names = s.columns or [
        name for name, feature in features.items() if _is_number(feature) and name != label
    ]
    _require(names, features, "dataset.columns")
    if not names and len(arrays) == 1:
        names = arrays
    if not names:
        what = f"has neither a column of images nor of numbers, but {_listed(features)}"
        raise UserError("dataset.path", what, s.path, "give one that has")
    others = [name for name in features if name not in names and name != label]
    named = "" if label is None else f", {len(labels.names)} classes in column '{label}'"
    left_out = f", not used: {', '.join(others[:5])}" if others else ""
    shown = f"{len(names)} columns of numbers" if len(names) > 1 else f"column '{names[0]}'"
    echo(f"{s.path}: {shown}{named}{left_out}; network=mlp")
    x, test_x = (None if one is None else _values(one, names) for one in (parts.train, parts.test))
    source = in_memory(x, None, test_x)
    return source._replace(
        y=labels.y, test_y=labels.test_y, names=labels.names, validation=parts.validation
    )


def _values(dataset: Any, names: list[str]) -> Any:
    """A table of these columns, or the array in the only one."""
    if len(names) == 1 and _is_array(dataset.features[names[0]]):
        rows = dataset.with_format("numpy")[names[0]][:]
        return np.stack([np.asarray(row) for row in rows])
    return dataset.select_columns(names).with_format(None).to_pandas()


def _loaded(s: HuggingFaceSettings) -> dict[str, Any]:
    """The datasets by the names of their parts. UserError if they cannot be loaded."""
    library = _library()
    folder = Path(s.path)
    if not folder.is_dir() and (folder.is_absolute() or s.path.startswith(".")):
        raise UserError("dataset.path", "no such folder", s.path, "give a folder, or a name")
    try:
        if any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
            found = library.load_from_disk(s.path)
        else:
            found = library.load_dataset(s.path, s.config)
    except Exception as error:  # the library raises anything for what it cannot load
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        what = f"cannot be loaded by datasets: {text}"
        fix = "give the name of a dataset on the Hub, or a folder of one"
        raise UserError("dataset.path", what, s.path, fix) from error
    return dict(found) if isinstance(found, dict) else {"train": found}


def _parts(s: HuggingFaceSettings, found: Mapping[str, Any]) -> _Parts:
    """The parts by their usual names; the only part is for training, whatever its name."""
    by_role: dict[str, Any] = {
        role: next((found[name] for name in names if name in found), None)
        for role, names in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST))
    }
    if by_role["train"] is None and len(found) == 1:
        by_role = {"train": next(iter(found.values())), "validation": None, "test": None}
    if by_role["train"] is None:
        what = f"has no part 'train', but {', '.join(found)}"
        raise UserError("dataset.path", what, s.path, "give one that has")
    train, validation, test = by_role.values()
    if test is None or _lacks_labels(test, _label_column(train.features, s)):
        test, validation = validation, None
    if validation is None:
        return _Parts(train, 0, test)
    both = _library().concatenate_datasets([train, validation])
    return _Parts(both, len(validation), test)


def _lacks_labels(dataset: Any, label: str | None) -> bool:
    """Whether the labels were withheld: they are missing, or all -1."""
    if label is None:
        return False
    if label not in dataset.features:
        return True
    return {*dataset.unique(label)} <= {-1, None}


def _image_column(features: Mapping[str, Any], s: HuggingFaceSettings) -> str | None:
    images = [name for name, one in features.items() if isinstance(one, _library().Image)]
    if s.image != "auto":
        _require([s.image], images, "dataset.image")
        return s.image
    return images[0] if images and s.columns is None else None


def _label_column(features: Mapping[str, Any], s: HuggingFaceSettings) -> str | None:
    if s.label == "none":
        return None
    if s.label != "auto":
        _require([s.label], features, "dataset.label")
        return s.label
    named = [n for n, one in features.items() if isinstance(one, _library().ClassLabel)]
    usual = [n for n in LABELS if n in features and not _is_fraction(features[n])]
    found = [n for n in usual if n in named] or named or usual
    return found[0] if found else None


def _labels(parts: _Parts, label: str | None) -> _Labels:
    if label is None:
        return _Labels()
    y, test_y = (None if one is None else one[label][:] for one in (parts.train, parts.test))
    feature = parts.train.features[label]
    if isinstance(feature, _library().ClassLabel):
        first, second = (None if some is None else _numbers(some) for some in (y, test_y))
        return _Labels(first, second, tuple(feature.names))
    classes = classes_of_labels(y, test_y, "dataset.label")
    return _Labels(classes.y, classes.test_y, classes.names or tuple(map(str, classes.values)))


def _numbers(labels: list[int | None]) -> torch.Tensor:
    for i, label in enumerate(labels):
        if label is None:
            what = f"row {i:,}, counted from 0, has no label"
            raise UserError("dataset.label", what, fix="give each row its label, or none")
    return torch.tensor(labels, dtype=torch.int64)


def _is_number(feature: Any) -> bool:
    is_plain = isinstance(feature, _library().Value)
    return is_plain and str(feature.dtype).startswith(NUMBER_TYPES)


def _is_fraction(feature: Any) -> bool:
    return str(getattr(feature, "dtype", "")).startswith("float")


def _is_array(feature: Any) -> bool:
    library = _library()
    if isinstance(feature, (library.Array2D, library.Array3D)):
        return True
    item = getattr(feature, "feature", None)  # of a list
    return item is not None and _is_number(item)


def _require(names: list[str], known: Any, key: str) -> None:
    for name in names:
        if name not in known:
            raise UserError(key, "no such column", name, f"choose from {', '.join(known)}")


def _listed(features: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({type(one).__name__})" for name, one in features.items())


def _library() -> Any:
    try:
        import datasets  # takes a second, and is an extra
    except ImportError as error:
        fix = "pip install 'genbench[huggingface]'"
        raise UserError("dataset=huggingface", "needs the package datasets", fix=fix) from error
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    return datasets

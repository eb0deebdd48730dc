"""Loading a dataset, from its loader to splits on the device.

The loader is a function `settings -> RawDataset`, which a YAML file in configs/dataset/ names.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from genbench.config.declarations import typed_dataset
from genbench.data.checks import check_labels, check_values, classes_of, warn_of_unseen
from genbench.data.lazy import LazyArray, read_chunks
from genbench.data.noise import add_noise, requested_noise
from genbench.data.prepared import remembered, stored
from genbench.data.preprocessing import moments_of, resized
from genbench.data.splits import hide_labels, keep_classes, split_points
from genbench.data.types import Data, DataSpec, RawDataset, Reference, Split
from genbench.settings.datasets import DatasetSettings, ImageSettings
from genbench.settings.fields import is_auto
from genbench.utils.errors import UserError, plain
from genbench.utils.imports import locate
from genbench.utils.signals import check


def load_data(
    settings: Mapping[str, Any], device: torch.device, given: RawDataset | None = None
) -> Data:
    """Load a dataset, or take the one that is `given` in memory, and move it to the device.

    In order: keep the chosen classes, split the points by the dataset's own seed, draw its noise.

    Raises UserError for splits that do not fit together and for values that are not finite.
    """
    s = typed_dataset(settings)
    source = _source(s, given)
    reference, whole = _reference(source, s, given), source
    source = keep_classes(source, s.classes if isinstance(s, ImageSettings) else None)
    splits = split_points(source, s)
    if source.fill is not None:
        fill = source.fill(splits["train"].values())
        splits = {name: Split(fill(split.values()), split.y) for name, split in splits.items()}
        whole = whole._replace(x=fill(whole.x[:]))
    moments = moments_of(whole)
    classes, absent = classes_of(splits)
    warn_of_unseen(splits["test"], absent, source.names)
    splits["train"] = hide_labels(splits["train"], s)
    shape = tuple(source.x.shape[1:])
    spec = DataSpec(shape, source.unit, source.trials, classes=classes, absent=absent)
    noise = requested_noise(source, s)
    if noise is not None:
        splits = {name: add_noise(name, split, noise, s) for name, split in splits.items()}
        spec = spec._replace(trials=noise.trials, cell=noise.cell)
    return Data(
        s.name,
        {name: split.to(device) for name, split in splits.items()},
        spec,
        density=source.density,
        names=source.names,
        skipped=source.skipped,
        digest=_digest(splits.values()),
        reference=reference,
        moments=moments,
        layout=source.layout,
        factor_names=source.factor_names,
    )


class LoadedOnce:
    """Does what `load_data` does, but loads the same data once for several runs."""

    def __init__(self) -> None:
        self.loaded: dict[tuple[str, torch.device], Data] = {}

    def __call__(self, settings: Mapping[str, Any], device: torch.device) -> Data:
        key = json.dumps(settings, sort_keys=True), device
        if key not in self.loaded:
            self.loaded[key] = load_data(settings, device)
        return self.loaded[key]


def _source(s: DatasetSettings, given: RawDataset | None) -> RawDataset:
    """What the loader returns, unless data are given, checked and with images in the size that
    `resize` asks for.
    """
    source = locate(s.loader, "dataset.loader")(s) if given is None else given
    check_values(source, s.name)
    check_labels(source, s.name)
    names, skipped = (tuple(map(plain, texts)) for texts in (source.names, source.skipped))
    size, times = None, 1
    if isinstance(s, ImageSettings):
        size = None if is_auto(s.resize) else s.resize  # a loader of pictures has chosen it
        times = 4 if s.dequantize is True else 1  # as it turns bytes to floats
    source = _moved_to_disk(source._replace(names=names, skipped=skipped), times)
    return resized(source, size)


def _moved_to_disk(source: RawDataset, times: int) -> RawDataset:
    """The same data, with points in the cache folder that would take much of the memory."""
    x, test_x = source.x, source.test_x
    if isinstance(x, torch.Tensor):
        x = stored(x, f"{len(x):,} points", times)
    if isinstance(test_x, torch.Tensor):
        test_x = stored(test_x, f"{len(test_x):,} test points", times)
    return source._replace(x=x, test_x=test_x)


def _reference(
    source: RawDataset, s: DatasetSettings, given: RawDataset | None
) -> Reference | None:
    """All labelled training images of the dataset, if it has images of two classes or more."""
    if source.x.dim() != 4 or source.y is None or len(source.y.unique()) < 2:
        return None
    digest = _images_digest(source)

    def read() -> Split:
        again = _source(s, given)
        if _images_digest(again) != digest:
            what = "the files changed during the run"
            raise UserError(f"dataset={s.name}", what, fix="run again")
        return Split(again.x, again.y, again.scale)

    return Reference(digest, int(source.y.max()) + 1, source.test_x is not None, read)


def _images_digest(source: RawDataset) -> str:
    return f"{_digest([Split(source.x, source.y)])} times {source.scale!r}"


def _digest(splits: Iterable[Split]) -> str:
    """The SHA-256 of all points and labels. It is remembered for points that are in a file."""
    splits = [*splits]
    lazy = [split.raw.identity for split in splits if isinstance(split.raw, LazyArray)]
    if not lazy:
        return points_digest(splits)
    in_memory = [
        Split(torch.empty(0) if isinstance(split.raw, LazyArray) else split.raw, split.y)
        for split in splits
    ]
    origin = {"lazy": lazy, "in_memory": points_digest(in_memory)}
    return remembered(origin, lambda: points_digest(splits))


def points_digest(splits: Iterable[Split]) -> str:
    """The SHA-256 of all points and labels."""
    digest = hashlib.sha256()
    for split in splits:
        for values in (split.raw, split.y):
            if values is not None:
                digest.update(repr((values.dtype, values.shape)).encode())
                for chunk in read_chunks(values):
                    check()
                    digest.update(chunk.contiguous().numpy().data)
    return digest.hexdigest()

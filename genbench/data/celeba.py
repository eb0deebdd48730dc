"""CelebA: faces with 40 attributes, from the files as published."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genbench.config.data_folders import PUBLISHED
from genbench.config.picture_headers import in_short
from genbench.data.lazy import select
from genbench.data.picture_sets import described, read_pictures
from genbench.data.pictures import Opener, Undecodable
from genbench.data.readers import damaged
from genbench.data.types import RawDataset
from genbench.settings.names import nearest
from genbench.settings.picture_sets import CelebASettings
from genbench.utils.errors import UserError
from genbench.utils.files import read_text
from genbench.utils.pictures import opened_part
from genbench.utils.signals import check

FACE = (0, 20, 178, 198)  # left, upper, right, lower: the square in the middle of 178x218 pixels
PARTITIONS = ("0", "1", "2")  # in which pictures train, validate and test
MOST_TEXT = 1 << 26  # bytes of a list; the longest has 26 million


class _Faces:
    """The middle of each picture as the source of pictures."""

    by_processes = True

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.openers: list[Opener] = [partial(opened_part, file, FACE) for file in files]

    def name(self, i: int) -> str:
        return self.files[i].name

    def origin(self) -> dict[str, Any]:
        names = [file.name for file in self.files]
        return {"celeba": str(self.files[0].parent.resolve()), "pictures": names, "face": FACE}

    def facts(self) -> dict[str, Any]:
        return {}

    def unreadable(self, bad: Mapping[int, Undecodable]) -> UserError:
        shown = [described(self.name(i), one) for i, one in bad.items()]
        what = in_short(shown, len(self.files))
        fix = "unpack img_align_celeba.zip there"
        return UserError("dataset.root", what, self.files[0].parent, fix)


def celeba(s: CelebASettings) -> RawDataset:
    """The 202,599 aligned faces of CelebA (Liu et al. 2015), cropped to the middle and shrunk.

    The parts are those that were published. `factors` are the 40 attributes, 0 or 1, of which
    `attribute` is the label.
    """
    folder = Path(s.root) / "celeba"
    PUBLISHED["celeba"].paths(Path(s.root))
    attributes, values = _attributes(folder / "list_attr_celeba.txt")
    partition = _partition(folder / "list_eval_partition.txt")
    missing = next((name for name in partition if name not in values), None)
    if missing is not None:
        what = f"has no line for {missing}, which list_eval_partition.txt has"
        raise damaged(folder / "list_attr_celeba.txt", what)
    names = sorted(partition, key=lambda name: (partition[name], name))
    files = [folder / "img_align_celeba" / name for name in names]
    pictures = read_pictures(_Faces(files), s)
    kept = [name for i, name in enumerate(names) if i not in pictures.bad]
    factors = torch.tensor([values[name] for name in kept], dtype=torch.int8)
    sizes = [sum(partition[name] == part for name in kept) for part in PARTITIONS]
    n = sizes[0] + sizes[1]
    y: torch.Tensor | None = None
    classes: tuple[str, ...] = ()
    if s.attribute is not None:
        column = attributes.index(_known(s.attribute, attributes))
        y, classes = factors[:, column].long(), (f"not {s.attribute}", s.attribute)
    return RawDataset(
        select(pictures.x, slice(n)),
        None if y is None else y[:n],
        select(pictures.x, slice(n, None)),
        None if y is None else y[n:],
        unit=True,
        scale=pictures.scale,
        names=classes,
        skipped=tuple(pictures.bad.values()),
        validation=sizes[1],
        factors=factors[:n],
        test_factors=factors[n:],
        factor_names=tuple(attributes),
    )


def _known(attribute: str, attributes: list[str]) -> str:
    if attribute in attributes:
        return attribute
    near = nearest(attribute, attributes)
    fix = f"did you mean '{near}'?" if near else f"choose from {', '.join(attributes)}"
    raise UserError("dataset.attribute", "CelebA has no such attribute", attribute, fix)


def _attributes(file: Path) -> tuple[list[str], dict[str, list[int]]]:
    """The names of the attributes, and of each picture whether it has them.

    The file has the number of pictures in its first line, the names in its second, and then a line
    for each picture with 1 and -1.
    """
    lines = read_text(file, MOST_TEXT).splitlines()
    if len(lines) < 3:
        raise damaged(file, "expected a number, a line of names, and a line for each picture")
    attributes, values = lines[1].split(), {}
    for number, line in enumerate(lines[2:], start=3):
        check()
        name, *numbers = line.split() or [""]
        if len(numbers) != len(attributes) or not {*numbers} <= {"1", "-1"}:
            what = f"expected a name and {len(attributes)} numbers, 1 or -1, in line {number:,}"
            raise damaged(file, what)
        values[name] = [int(value == "1") for value in numbers]
    return attributes, values


def _partition(file: Path) -> dict[str, str]:
    """The part of each picture, one of `PARTITIONS`, by its name."""
    found = {}
    for number, line in enumerate(read_text(file, MOST_TEXT).splitlines(), start=1):
        check()
        words = line.split()
        if len(words) != 2 or words[1] not in PARTITIONS:
            what = f"expected the name of a picture and 0, 1 or 2 in line {number:,}"
            raise damaged(file, what, line[:40])
        found[words[0]] = words[1]
    if {*found.values()} != {*PARTITIONS}:
        raise damaged(file, "expected pictures in each of the parts 0, 1 and 2")
    return found

"""Reader of EMNIST: a zip archive of IDX files, for six ways to split and label its characters."""

import string
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

from genbench.data.readers import Files, Member, PublishedSplits, idx, read_at_most
from genbench.utils.files import opened

EMNIST_ARCHIVE = "gzip.zip"
MERGED_LETTERS = "cijklmopsuvwxyz"  # letters whose small and capital forms are one class
CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
DISTINCT_CHARACTERS = "".join(name for name in CHARACTERS if name not in MERGED_LETTERS)
CLASS_NAMES = {  # of the labels, by split
    "byclass": CHARACTERS,
    "bymerge": DISTINCT_CHARACTERS,
    "balanced": DISTINCT_CHARACTERS,
    "letters": string.ascii_lowercase,
    "digits": string.digits,
    "mnist": string.digits,
}


def read_emnist(files: Files, split: str) -> tuple[PublishedSplits, Sequence[str]]:
    """Images and labels of one of the six splits (Cohen et al. 2017), read from a verified archive.

    Only the four files of the split are unpacked, and into memory. The archive holds every image
    with rows and columns exchanged; here they are as people write.
    """
    archive = files[EMNIST_ARCHIVE]
    assert isinstance(archive, Path), "it is no member of another archive"
    members = {}
    with open(opened(archive, links=True), "rb") as file, ZipFile(file) as zipped:
        for part, published in (("train", "train"), ("t10k", "test")):
            for content in ("images-idx3-ubyte", "labels-idx1-ubyte"):
                info = zipped.getinfo(f"gzip/emnist-{split}-{published}-{content}.gz")
                with zipped.open(info) as member:
                    packed = bytes(read_at_most(member, info.file_size))
                members[f"{part}-{content}"] = Member(archive, info.filename, packed)
    splits, names = idx(members, tuple(CLASS_NAMES[split]), first=1 if split == "letters" else 0)
    return [(x.mT.contiguous(), y) for x, y in splits], names

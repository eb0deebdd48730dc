"""Published files that are not as they should be: damaged, of another kind, or made to do harm."""

import gzip
import io
import os
import pickle
import re
import shutil
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.configs import defaults
from helpers.published import PUBLISHED, idx, write

from genbench.config.data_folders import require_folders
from genbench.config.registry import builtin_registry
from genbench.data import cifar, faces, readers
from genbench.data import published as datasets
from genbench.data.loading import load_data
from genbench.utils import signals
from genbench.utils.errors import UserError

IMAGES, LABELS = np.zeros((20, 28, 28)), np.arange(20) % 10


def loaded(dataset, root, **settings):
    return load_data(
        defaults(dataset) | {"root": root, "val_size": 0.2, **settings}, torch.device("cpu")
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The published files of all datasets."""
    folder, rng = tmp_path_factory.mktemp("stored"), np.random.default_rng(0)
    for dataset in ("mnist", "cifar10", "lfw"):
        write(dataset, folder, rng)
    return folder


@pytest.fixture
def copied(stored, tmp_path):
    """A copy of a dataset's files, to do damage to."""
    return lambda dataset: shutil.copytree(
        stored / PUBLISHED[dataset], tmp_path / PUBLISHED[dataset]
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"expected the magic number 00000803: bytes in 3 dimensions \(got \)"),
        (b"\0\0\x08\x03" + bytes(8), r"expected 3 sizes of at least 1 \(got \[0, 0\]\)"),
        (idx(LABELS), r"expected the magic number 00000803.* \(got 00000801\)"),
        (
            idx(IMAGES).replace(b"\0\0\x08\x03", b"\0\0\x0d\x03", 1),
            r"expected the magic number 00000803.* \(got 00000d03\)",
        ),
        (
            idx(IMAGES).replace(b"\0\0\x08\x03", b"\x89PNG", 1),
            r"expected the magic number 00000803.* \(got 89504e47\)",
        ),
        (idx(IMAGES[:0]), r"expected 3 sizes of at least 1 \(got \[0, 28, 28\]\)"),
        (
            idx(IMAGES)[:-1],
            r"expected 15,680 bytes after its header, which says 20 x 28 x 28 \(got 15,679\)",
        ),
        (idx(IMAGES) + b"\0", r"expected 15,680 bytes after its header.* \(got more\)"),
        (
            struct.pack(">4I", 0x803, *[2**32 - 1] * 3) + bytes(9),
            r"expected at most 268,435,456 bytes after its header",
        ),
        (
            gzip.compress(struct.pack(">4I", 0x803, 1 << 19, 28, 28), mtime=0),
            r"expected at most .* \(got \[524288, 28, 28\]\)",
        ),
        (
            idx(np.zeros((20, 9, 28))),
            r"expected images of 28x28, as in the training set \(got 9x28\)",
        ),
        (gzip.compress(idx(IMAGES), mtime=0)[:-30], r"cannot be unpacked: Compressed file ended"),
        (
            gzip.compress(idx(IMAGES), mtime=0)[:-8] + bytes(8),
            r"cannot be unpacked: CRC check failed",
        ),
        (gzip.compress(idx(IMAGES), mtime=0)[:12] + b"\xff" * 40, r"cannot be unpacked: Error -3"),
        (
            gzip.compress(idx(IMAGES) + bytes(10**7), mtime=0),
            r"expected 15,680 bytes after its header.* \(got more\)",
        ),
    ],
)
def test_images_in_idx_that_are_damaged_are_told(content, says, copied, tmp_path):
    file = copied("mnist") / "t10k-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(
        UserError,
        match=rf"^{re.escape(str(file))}: {says}.*; fix: replace it by the file as published",
    ) as told:
        loaded("mnist", tmp_path)
    assert told.value.code == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (idx(LABELS[:19]), r"expected 20 labels, one for each image \(got 19\)"),
        (
            idx(np.where(LABELS == 3, 12, LABELS)),
            r"label 3 \(from 0\) should be from 0 to 9 \(got 12\)",
        ),
        (
            idx(LABELS).replace(b"\x08\x01", b"\x09\x01", 1),
            r"expected the magic number 00000801.*\(got 00000901\)",
        ),  # signed
        (idx(IMAGES), r"expected the magic number 00000801: bytes in 1 dimension \(got 00000803\)"),
    ],
)
def test_labels_that_do_not_fit_are_told(content, says, copied, tmp_path):
    file = copied("mnist") / "t10k-labels-idx1-ubyte"
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"^{re.escape(str(file))}: {says}"):
        loaded("mnist", tmp_path)


def test_a_file_is_unpacked_no_further_than_its_header_says(tmp_path, monkeypatch):
    bomb = tmp_path / "bomb"
    bomb.write_bytes(gzip.compress(idx(IMAGES) + bytes(10**7), mtime=0))
    read = []
    monkeypatch.setattr(
        gzip.GzipFile,
        "read",
        lambda self, size, read_=gzip.GzipFile.read: read.append(size) or read_(self, size),
    )
    with pytest.raises(UserError):
        readers._idx_bytes(bomb, 3)
    assert sum(read) <= 16 + 15_680 + 1


def test_packed_files_are_as_good_as_plain_ones(stored, copied, tmp_path):
    folder = copied("mnist")
    first, *others = folder.iterdir()
    for file in others:
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))
        file.unlink()
    (folder / f"{first.name}.gz").write_bytes(b"of both, the plain one is read")
    ours, theirs = loaded("mnist", tmp_path), loaded("mnist", stored)
    for name, part in theirs.splits.items():
        assert torch.equal(ours.splits[name].raw, part.raw) and torch.equal(
            ours.splits[name].y, part.y
        )


def test_a_folder_by_the_name_of_a_file_is_not_it(copied, tmp_path):
    file = copied("mnist") / "t10k-labels-idx1-ubyte"
    file.unlink()
    file.mkdir()
    with pytest.raises(
        UserError, match=r"dataset.root: does not hold MNIST/raw/t10k-labels-idx1-ubyte"
    ):
        loaded("mnist", tmp_path)


@pytest.mark.parametrize("dataset", ["mnist", "cifar10", "lfw"])
def test_a_missing_file_is_reported_before_torch_is_imported(dataset, copied, tmp_path):
    files = sorted(path for path in copied(dataset).rglob("*") if path.is_file())
    for file in files if dataset == "lfw" else files[:1]:
        file.unlink()
    known = builtin_registry().settings(f"dataset/{dataset}")
    loader = f"genbench.data.published.{dataset.replace('-', '_')}"
    with pytest.raises(UserError, match=r"^dataset.root: does not hold ") as early:
        require_folders({"dataset.root": str(tmp_path)}, known, loader)
    with pytest.raises(UserError) as late:
        loaded(dataset, tmp_path)
    assert str(early.value) == str(late.value)


def test_a_file_that_may_not_be_read_is_told(stored, monkeypatch):
    def forbidden(files):
        raise PermissionError(13, "Permission denied", "some file")

    monkeypatch.setattr(datasets, "mnist", replace(datasets.mnist, read=forbidden))
    with pytest.raises(
        UserError, match=r"^some file: cannot be read: Permission denied; fix: make it readable"
    ):
        loaded("mnist", stored)


def python_2(rows, labels):
    """A batch as Python 2 pickled it: byte strings, and numpy's modules by their old names."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    kind = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\0K\1\x87R(K\3"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R"
    )
    values = b"T" + struct.pack("<I", rows.size) + rows.tobytes()
    state = (
        b"(K\1"
        + b"K"
        + bytes([len(rows)])
        + b"M"
        + struct.pack("<H", 3072)
        + b"\x86"
        + kind
        + b"\x89"
        + values
        + b"tb"
    )
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\2}(" + text(b"data") + array + state + text(b"labels") + listed + b"u."


def test_batches_are_read_as_they_were_published(copied, tmp_path):
    rows = np.random.default_rng(1).integers(256, size=(7, 3072), dtype=np.uint8)
    content = python_2(rows, range(7))
    assert np.array_equal(pickle.loads(content, encoding="latin-1")["data"], rows), (
        "it is a pickle of the array"
    )
    (copied("cifar10") / "test_batch").write_bytes(content)
    test = loaded("cifar10", tmp_path).splits["test"]
    assert np.array_equal(test.raw.flatten(1).numpy(), rows) and test.y.tolist() == [*range(7)]


class Bomb:
    """Pickles to a call of a function."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("file", ["data_batch_1", "batches.meta"])
def test_a_pickle_that_would_run_code_is_refused(file, copied, tmp_path):
    bomb = Bomb(os.mkdir, str(tmp_path / "exploded"))
    content = pickle.dumps({"data": bomb})
    target = copied("cifar10") / file
    target.write_bytes(content)
    with pytest.raises(
        UserError, match=rf"^{re.escape(str(target))}: cannot be unpickled: it asks for posix.mkdir"
    ) as told:
        loaded("cifar10", tmp_path)
    assert told.value.code == 2 and not (tmp_path / "exploded").exists()
    pickle.loads(content)
    assert (tmp_path / "exploded").exists(), "the bomb would have worked"


def rows(**changes):
    return {"data": np.zeros((12, 3072), np.uint8), "labels": [0] * 12} | changes


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (pickle.dumps(rows(), 4)[:-40], "cannot be unpickled"),
        (b"<html>", "cannot be unpickled"),
        (b"\x80\4]r\xff\xff\xff\x7f.", "cannot be unpickled|expected rows"),
        (pickle.dumps([1, 2], 4), "expected rows of 3,072 bytes and their labels"),
        (pickle.dumps(rows(data=[0]), 4), "expected rows of 3,072 bytes"),
        (
            pickle.dumps(rows(data=np.zeros((12, 100), np.uint8)), 4),
            r"expected rows of 3,072 bytes .*\(got \(12, 100\) of type u1",
        ),
        (
            pickle.dumps(rows(data=np.zeros((12, 3072), np.int8)), 4),
            r"expected rows of 3,072 bytes .*of type i1",
        ),
        (
            pickle.dumps(rows(data=np.zeros((3072, 12), np.uint8).T), 4),
            r"expected rows of 3,072 bytes",
        ),
        (
            pickle.dumps(rows(labels=[0] * 11), 4),
            r"expected 12 labels, one for each image \(got 11\)",
        ),
        (
            pickle.dumps(rows(labels=[0, -1] * 6), 4),
            r"label 1 \(from 0\) should be from 0 to 9 \(got -1\)",
        ),
        (
            pickle.dumps(rows(labels=[0, 10] * 6), 4),
            r"label 1 \(from 0\) should be from 0 to 9 \(got 10\)",
        ),
        (
            pickle.dumps(rows(labels=[0, 1.5] * 6), 4),
            "expected rows of 3,072 bytes and their labels",
        ),
        (pickle.dumps(rows(labels=None), 4), "expected rows of 3,072 bytes and their labels"),
    ],
)
def test_batches_that_are_damaged_are_told(content, says, copied, tmp_path):
    (copied("cifar10") / "test_batch").write_bytes(content)
    with pytest.raises(UserError, match=rf"test_batch: ({says})"):
        loaded("cifar10", tmp_path)


def test_names_of_labels_that_are_damaged_are_told(copied, tmp_path):
    folder = copied("cifar10")
    for content in ({}, {"label_names": 3}, 7):
        (folder / "batches.meta").write_bytes(pickle.dumps(content))
        with pytest.raises(UserError, match=r"batches.meta: expected the names of the labels"):
            loaded("cifar10", tmp_path)


def test_faces_are_those_of_scikit_learn(stored):
    from sklearn.datasets._lfw import _fetch_lfw_people

    folder = stored / PUBLISHED["lfw"]
    crop = (slice(70, 195), slice(78, 172))
    x, y, names = _fetch_lfw_people(
        folder / "lfw_funneled", slice_=crop, resize=0.5, min_faces_per_person=60
    )
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.jpg")}
    [(ours, labels)], called = faces.faces(files)
    assert (
        np.array_equal(ours[:, 0].numpy(), (x * 255).round())
        and labels.tolist() == y.tolist()
        and called == names.tolist()
    )


def test_faces_that_are_damaged_are_told(copied, tmp_path):
    from PIL import Image

    file = copied("lfw") / "lfw_funneled" / "Ann_Dark" / "Ann_Dark_0001.jpg"
    whole = file.read_bytes()
    Image.new("RGB", (20, 250)).save(file)
    small = file.read_bytes()
    for content, says in (
        (whole[:-900], "image file is truncated"),
        (b"", "cannot identify"),
        (small, "expected 250x250 pixels, got 250x20"),
    ):
        file.write_bytes(content)
        with pytest.raises(UserError, match=rf"Ann_Dark_0001.jpg: cannot be read: {says}"):
            loaded("lfw", tmp_path)
    for file in (tmp_path / PUBLISHED["lfw"]).glob("*/*/*_0060.jpg"):
        file.unlink()
    with pytest.raises(UserError, match=r"expected somebody with at least 60 pictures \(got 59\)"):
        loaded("lfw", tmp_path)


def test_loading_stops_on_request(stored, monkeypatch):
    for dataset in ("mnist", "lfw"):
        loaded(dataset, stored)
        monkeypatch.setattr(signals, "_asked", 15)
        with pytest.raises(signals.Interrupted, match="SIGTERM"):
            loaded(dataset, stored)
        monkeypatch.setattr(signals, "_asked", None)


def test_an_archive_reaches_nothing_outside_of_it(tmp_path, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    with tarfile.open("evil.tar.gz", "w:gz") as tar:

        def add(name, kind=tarfile.REGTYPE, target="", content=b"evil"):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(target)
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(content))

        for name in ("../a", str(tmp_path / "a"), "in/../../a", "in/b", "in/a"):
            add(name, content=b"good" if name == "in/a" else b"evil")
        for i, kind in enumerate(
            (
                tarfile.SYMTYPE,
                tarfile.LNKTYPE,
                tarfile.CHRTYPE,
                tarfile.BLKTYPE,
                tarfile.FIFOTYPE,
                tarfile.DIRTYPE,
            )
        ):
            add(f"in/link{i}", kind, secret)
        add("in/out", tarfile.SYMTYPE, tmp_path)
        add("in/out/a")
        add("in/away")
        add("../in/a")
    found = datasets.archive_members(work / "evil.tar.gz", re.compile(r"in/(a|link\d)"))
    assert {name: member.content for name, member in found.items()} == {"a": b"good"}
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {
        "work",
        "work/evil.tar.gz",
        "secret",
    }
    monkeypatch.setattr(signals, "_asked", 15)
    with pytest.raises(signals.Interrupted):
        datasets.archive_members(work / "evil.tar.gz", re.compile("(nothing)"))
    assert secret.read_bytes() == b"secret" and str(found["a"]) == f"{work / 'evil.tar.gz'}/in/a"


def test_a_file_of_absurd_size_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LONGEST", 1000)
    (tmp_path / "batch").write_bytes(bytes(1001))
    with pytest.raises(
        UserError, match=r"batch: cannot be unpickled: it has more than 1,000 bytes"
    ):
        cifar._unpickled(tmp_path / "batch")

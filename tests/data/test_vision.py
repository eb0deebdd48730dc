"""Published files that are read only if they are exactly those that were published: EMNIST, USPS and SVHN."""

import bz2
import signal
import sys

import numpy as np
import pytest
import scipy.io
import torch
from helpers.configs import defaults
from helpers.published import VERIFIED, pin, write, write_emnist

from genbench.data import emnist, published
from genbench.data.loading import load_data
from genbench.utils import signals
from genbench.utils.errors import UserError

CPU = torch.device("cpu")


def loaded(dataset, root, **settings):
    return load_data(defaults(dataset) | {"root": str(root), "val_size": 0, **settings}, CPU)


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A function that writes a dataset's files into `tmp_path`, takes them for the published ones, and loads them."""

    def store(dataset):
        write(dataset, tmp_path, np.random.default_rng(0))
        pin(monkeypatch, dataset, tmp_path)
        return loaded(dataset, tmp_path)

    return store


def test_usps_is_read_as_bytes(stored, tmp_path):
    data = stored("usps")
    lines = bz2.decompress((tmp_path / "USPS/usps.t.bz2").read_bytes()).decode().splitlines()
    values = [[float(v.split(":")[1]) for v in line.split()[1:]] for line in lines]
    exact = torch.tensor(values).reshape(-1, 1, 16, 16) / 2 + 0.5
    test = data.splits["test"]
    assert data.spec.shape == (1, 16, 16) and data.spec.unit and test.raw.dtype == torch.uint8
    assert (test.values() - exact).abs().max() <= 1 / 255
    assert test.y.tolist() == [*range(10)] * 2 and data.called(9) == "9"


def test_svhns_zeros_have_the_label_0(stored, tmp_path):
    data = stored("svhn")
    images = scipy.io.loadmat(tmp_path / "SVHN/test_32x32.mat")["X"]
    test = data.splits["test"]
    assert data.spec.shape == (3, 32, 32) and data.spec.unit
    assert torch.equal(test.raw, torch.from_numpy(images).permute(3, 2, 0, 1))
    assert test.y.tolist() == [*range(1, 10), 0] * 2 and len(data.train) == 60


@pytest.mark.parametrize(("split", "first", "classes"), [("letters", 1, 26), ("bymerge", 0, 47)])
def test_emnist_is_upright_and_its_labels_begin_at_0(split, first, classes, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    write_emnist(tmp_path / VERIFIED["emnist"], rng, split=split, first=first, classes=classes)
    pin(monkeypatch, "emnist", tmp_path)
    data = loaded("emnist", tmp_path, split=split)
    written = np.random.default_rng(0).integers(256, size=(60, 28, 28))
    upright = {image.T.astype(np.uint8).tobytes() for image in written}
    assert {image.numpy().tobytes() for image in data.train.raw} == upright
    assert sorted(set(data.train.y.tolist())) == [*range(classes)]
    assert data.called(0) == ("a" if split == "letters" else "0") and len(data.names) == classes


def test_classes_and_addresses_are_those_of_torchvision():
    from torchvision.datasets import EMNIST, SVHN, USPS  # takes seconds

    theirs = {**EMNIST.classes_split_dict, "letters": EMNIST.classes_split_dict["letters"][1:]}
    assert {split: [*names] for split, names in emnist.CLASS_NAMES.items()} == theirs
    (archive,) = published.emnist.downloads
    assert archive.url == EMNIST.url
    for loader, lists in ((published.usps, USPS.split_list), (published.svhn, SVHN.split_list)):
        assert [[d.url, d.name] for d in loader.downloads] == [
            lists[split][:2] for split in ("train", "test")
        ]


@pytest.mark.parametrize("dataset", VERIFIED)
def test_a_file_that_differs_from_the_published_one_is_refused_unread(
    dataset, tmp_path, monkeypatch
):
    write(dataset, tmp_path, np.random.default_rng(0))
    monkeypatch.setitem(sys.modules, "torchvision", None)  # whoever imports it fails
    last = getattr(published, dataset).downloads[-1]
    if dataset != "svhn":  # whose MD5 sums would be those of torchvision
        pin(monkeypatch, dataset, tmp_path)
    file = tmp_path / VERIFIED[dataset] / last.name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(
        UserError,
        match=r": expected the SHA-256 [0-9a-f]{64} \(got [0-9a-f]{64}\); fix: replace it by",
    ):
        loaded(dataset, tmp_path)


@pytest.mark.parametrize("dataset", VERIFIED)
def test_reading_stops_on_request(dataset, tmp_path, monkeypatch):
    write(dataset, tmp_path, np.random.default_rng(0))
    pin(monkeypatch, dataset, tmp_path)
    monkeypatch.setattr(signals, "_asked", signal.SIGTERM)
    with pytest.raises(signals.Interrupted):
        loaded(dataset, tmp_path)


@pytest.mark.parametrize("error", [ImportError("No module"), RuntimeError("torchvision::nms")])
def test_a_torchvision_that_cannot_be_imported_is_reported(error, tmp_path, monkeypatch):
    write("usps", tmp_path, np.random.default_rng(0))
    pin(monkeypatch, "usps", tmp_path)

    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "torchvision":
                raise error

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(UserError, match=r"^torchvision: cannot be imported: .*; fix: install "):
        loaded("usps", tmp_path)

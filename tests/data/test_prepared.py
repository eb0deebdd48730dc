"""Data that are read from files of the cache folder, because they would take much of the memory."""

import errno
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.configs import Nowhere, built, config_of, defaults, small_config
from helpers.faults import no_file_larger_than
from helpers.runs import forked
from PIL import Image

from genbench.config.declarations import typed
from genbench.data import prepared, preprocessing
from genbench.data.lazy import LazyArray
from genbench.data.loading import load_data
from genbench.data.picture_stack import PictureStack
from genbench.data.prepared import find_prepared, lazy_array
from genbench.data.preprocessing import moments_of, summed
from genbench.data.types import Data, DataSpec, RawDataset, Split
from genbench.models.standardized import Standardized
from genbench.stats import clustering
from genbench.training.loop import fit_model
from genbench.utils.errors import UserError
from genbench.utils.memory import memory
from genbench.utils.rng import generator

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder that is empty, and no memory for data."""
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GENBENCH_MEMORY", "0")
    return tmp_path / "cache"


def loaded(root, **settings):
    return load_data(defaults("image-folder") | {"root": str(root), **settings}, CPU)


def in_memory(root, monkeypatch, **settings):
    with monkeypatch.context() as patch:
        patch.setenv("GENBENCH_MEMORY", "1")
        data = loaded(root, **settings)
    assert isinstance(data.train.raw, torch.Tensor)
    return data


def write_pictures(root, mixed=False, n=30):
    """Pictures of two classes; if mixed, grey and coloured ones of 8 and 16 bits, and a bad one."""
    rng = np.random.default_rng(0)
    for i in range(n):
        (root / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        kind = i % 3 if mixed else 0
        values = rng.integers(0, 256, (6, 5, 3) if kind == 0 else (6, 5))
        values = values.astype(np.uint8 if kind < 2 else np.uint16) * (1 if kind < 2 else 90)
        Image.fromarray(values).save(root / "ab"[i % 2] / f"{i:02}.png")
    if mixed:
        (root / "a" / "00.png").write_bytes(b"no picture")
    return root


def files_of(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"skip_bad": True},
        {"dequantize": True},
        {"binarize": "static"},
        {"binarize": "dynamic"},
        {"resize": [4, 4]},
        {"classes": [1], "limit": 9},
        {"labelled": 4, "seed": 3},
    ],
    ids=str,
)
def test_data_from_a_file_are_those_in_memory_to_the_bit(settings, tmp_path, monkeypatch):
    root = write_pictures(tmp_path / "pictures", mixed="skip_bad" in settings)
    expected = in_memory(root, monkeypatch, **settings)
    monkeypatch.setattr("genbench.data.lazy.NUMBERS_AT_ONCE", 200)
    for _ in ("prepared", "read again"):
        data = loaded(root, **settings)
        assert isinstance(data.train.raw, LazyArray)
        assert data.digest == expected.digest and data.spec == expected.spec
        assert data.reference is None or data.reference.digest == expected.reference.digest
        assert data.skipped == expected.skipped and data.names == expected.names
        for name, part in expected.splits.items():
            assert torch.equal(part.raw, data.splits[name].raw[:])
            both = [
                p.batches(4, order=1, draw=2, skip=1) for p in (part, data.splits[name].to("cpu"))
            ]
            for one, other in zip(*both, strict=True):
                assert torch.equal(one.x, other.x) and torch.equal(one.y, other.y)


def test_points_of_a_table_are_those_in_memory_to_the_bit(tmp_path, monkeypatch):
    """Also where their moments are summed a chunk at a time."""
    x = torch.randn(500, 4, generator=generator(0)) * torch.tensor([1.0, 1e4, 1e-3, 0]) + 7
    np.save(tmp_path / "table.npy", x.numpy())
    lazy = lazy_array(tmp_path / "table.npy")
    assert torch.equal(lazy[torch.tensor([3, 1])], x[[3, 1]]) and torch.equal(lazy[2:4], x[2:4])
    assert torch.equal(lazy.at(x[:, 0] > 7).at(slice(5, 9))[:], x[x[:, 0] > 7][5:9])
    both = [RawDataset(points, None, None, None, unit=False) for points in (x, lazy)]
    expected, found = map(moments_of, both)
    assert all(map(torch.equal, expected, found))
    monkeypatch.setattr(preprocessing, "SUMMED_WHOLE", 1)
    monkeypatch.setattr("genbench.data.lazy.NUMBERS_AT_ONCE", 256)
    for source in both:
        for one, other in zip(moments_of(source), expected, strict=True):
            assert torch.allclose(one, other, rtol=1e-12)
    assert summed(Split(lazy, None), torch.float32).deviation[3] == 0
    np.save(tmp_path / "turned.npy", np.asfortranarray(x.numpy()))
    with pytest.raises(ValueError, match="must be in C order"):
        lazy_array(tmp_path / "turned.npy")


@pytest.mark.parametrize("model", ["vae", "gmm", "kmeans", "kmeans-sgd", "pca"])
def test_a_model_trained_from_a_file_is_that_trained_in_memory(model, tmp_path, monkeypatch):
    """Also where only some points are looked at before the first epoch, and where values are
    standardized when they are read."""
    x = torch.randn(200, 4, generator=generator(1)) * 3 + 1
    np.save(tmp_path / "table.npy", x.numpy())
    monkeypatch.setattr(clustering, "MOST_TO_START", 500)
    monkeypatch.setattr(clustering, "FEWER_TO_START", 200)
    monkeypatch.setattr(clustering, "POINTS_EACH", 20)
    config = small_config(model, "epochs=3", dataset="moons")
    config["dataset"]["standardize"] = True
    found = []
    for points in (x, lazy_array(tmp_path / "table.npy")):
        splits = {"train": Split(points, None), "validation": Split(points, None).first(20)}
        trained = built(config, Data("table", splits, DataSpec((4,), False)))
        assert isinstance(trained, Standardized)
        fit_model(trained, Data("table", splits, trained.spec), Nowhere(), typed(config))
        found.append(trained.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_model_that_keeps_its_points_says_what_to_do(tmp_path, monkeypatch):
    config = config_of("kde", "evaluation=none")
    data = load_data(config["dataset"], CPU)
    with pytest.raises(UserError, match=r"dataset.limit: kde keeps its 1,257 training points"):
        fit_model(built(config, data), data, Nowhere(), typed(config))
    monkeypatch.setenv("GENBENCH_MEMORY", "0.5")
    model = built(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    assert torch.equal(model.points, data.train.raw[:])


def test_pictures_are_prepared_once_and_again_when_a_file_changes(tmp_path, cache, capsys):
    root = write_pictures(tmp_path / "pictures")
    before = loaded(root)
    assert "preparing 30 pictures" in capsys.readouterr().out
    assert loaded(root, val_size=5).digest != before.digest, "another split of the same file"
    assert "preparing" not in capsys.readouterr().out
    Image.new("RGB", (5, 6)).save(root / "a" / "00.png")
    assert loaded(root).digest != before.digest
    assert "preparing 30 pictures" in capsys.readouterr().out


@pytest.mark.parametrize("many", [10_000, 1])
def test_threads_and_processes_read_the_same_pictures(many, tmp_path, monkeypatch):
    root = write_pictures(tmp_path / "pictures", mixed=True, n=90)
    expected = loaded(root, skip_bad=True, resize=[3, 3])
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr("genbench.data.picture_decoding.FILES_AT_ONCE", 5)
    monkeypatch.setattr("genbench.data.picture_decoding.MANY_PICTURES", many)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert loaded(root, skip_bad=True, resize=[3, 3]).digest == expected.digest


def test_processes_that_decode_pictures_need_no_torch():
    command = "import sys, genbench.data.pictures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def test_what_a_killed_preparation_leaves_is_not_trusted(tmp_path, cache, monkeypatch):
    root = write_pictures(tmp_path / "pictures")
    expected = in_memory(root, monkeypatch)

    def killed():
        add = PictureStack.add

        def adding(stack, picture):
            if len(stack) == 20:
                stack.file.flush()
                os._exit(9)
            add(stack, picture)

        PictureStack.add = adding
        loaded(root)

    _, status = os.waitpid(forked(killed), 0)
    assert os.waitstatus_to_exitcode(status) == 9
    assert [name for name in files_of(cache) if name.endswith(".tmp")]
    assert "array.json" not in files_of(cache)
    assert loaded(root).digest == expected.digest
    assert not [name for name in files_of(cache) if name.endswith(".tmp")]
    (values,) = cache.rglob("values.bin")
    content = values.read_bytes()
    for damaged in (content[:-1], b""):
        values.write_bytes(damaged)
        assert loaded(root).digest == expected.digest and values.read_bytes() == content
    (described,) = cache.rglob("array.json")
    described.write_text('{"shape": [30, 3, 6')
    assert loaded(root).digest == expected.digest


def test_a_full_disk_is_reported(tmp_path, cache, monkeypatch):
    root = write_pictures(tmp_path / "pictures")
    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(tmp_path)._replace(free=100)
        patch.setattr(prepared.shutil, "disk_usage", lambda folder: usage)
        with pytest.raises(UserError, match=r"30 pictures need 2,700 bytes on the disk, and 100"):
            loaded(root)
    with (
        no_file_larger_than(2000),
        pytest.raises(UserError, match=rf"values.bin: .*{os.strerror(errno.EFBIG)}"),
    ):
        loaded(root)
    assert not [name for name in files_of(cache) if name != ".lock"]
    assert len(loaded(root).train) > 0


@pytest.mark.parametrize("share", ["much", "-1", "1.5", "nan"])
def test_another_share_than_one_of_the_memory_is_refused(share, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_MEMORY", share)
    with pytest.raises(UserError, match=r"GENBENCH_MEMORY: is the share of the memory"):
        loaded(write_pictures(tmp_path / "pictures"))


def test_a_quarter_of_the_memory_is_for_data(monkeypatch):
    monkeypatch.delenv("GENBENCH_MEMORY")
    monkeypatch.setattr(prepared, "MEMORY", 1000)
    assert prepared.fits(250) and not prepared.fits(251)
    assert find_prepared({"never": "made"}) is None


def test_the_limits_of_control_groups_count(tmp_path):
    """Of the program's own group and of those above it, in both versions of such groups."""
    of_all = memory(str(tmp_path), "/nowhere")
    own, groups = tmp_path / "own", tmp_path / "groups"
    own.write_text("4:memory:/job_1/step\n1:cpu:/\n0::/slice/job\n")
    for name, limit in (
        ("slice/memory.max", "5000000"),
        ("slice/job/memory.max", "max"),
        ("memory/job_1/memory.limit_in_bytes", "4000000"),
        ("memory/job_1/step/memory.limit_in_bytes", str(2**63 - 4096)),
    ):
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(limit)
        expected = {"slice/memory.max": 5000000, "slice/job/memory.max": 5000000}.get(name, 4000000)
        assert memory(str(groups), str(own)) == expected
    assert of_all > 5000000

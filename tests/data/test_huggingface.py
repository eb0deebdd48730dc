"""Datasets of Hugging Face in folders: saved to disk, of parquet files, tables and pictures; images, numbers and labels."""

import numpy as np
import pytest
import torch
from helpers.configs import config_of, defaults
from PIL import Image

from genbench.data.loading import load_data
from genbench.utils.errors import UserError

datasets = pytest.importorskip("datasets", reason="needs the package datasets")
pytestmark = pytest.mark.extras
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """No network, and a cache of the test's own."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))


def loaded(path, **settings):
    return load_data(defaults("huggingface") | {"path": str(path), **settings}, CPU)


def pictures(n, first=0):
    """Pictures of odd sizes, whose red is their number, of three classes."""
    images = [np.full((20 + i % 3, 24, 3), (first + i, 0, 0), np.uint8) for i in range(n)]
    features = datasets.Features(
        {"img": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    columns = {"img": [Image.fromarray(x) for x in images], "label": [i % 3 for i in range(n)]}
    return datasets.Dataset.from_dict(columns, features=features)


def of_parts(**parts):
    return datasets.DatasetDict(parts)


def saved(folder, parts):
    parts.save_to_disk(folder)


def as_parquet(folder, parts):
    folder.mkdir()
    for name, part in parts.items():
        part.to_parquet(folder / f"{name}-00000-of-00001.parquet")


@pytest.mark.parametrize("write", [saved, as_parquet])
def test_images_labels_and_parts_are_inferred(write, tmp_path, capsys):
    parts = of_parts(train=pictures(30), validation=pictures(6, 100), test=pictures(9, 200))
    write(tmp_path / "data", parts)
    data = loaded(tmp_path / "data")
    sizes = {name: len(split) for name, split in data.splits.items()}
    assert sizes == {"train": 30, "validation": 6, "test": 9}
    assert data.names == ("a", "b", "c") and data.spec.shape == (3, 20, 24)
    for start, split in zip((0, 100, 200), data.splits.values(), strict=True):
        numbers = split.raw[:, 0, 0, 0].long()
        order = numbers.argsort()
        assert numbers[order].tolist() == [*range(start, start + len(split))]
        assert torch.equal(split.y, (numbers - start) % 3)
    said = capsys.readouterr().out
    assert "45 colour pictures of 20x24, in column 'img', labels in column 'label'" in said
    assert "stretched from 20 to 22 x 24 pixels" in said and "3 classes; bernoulli" in said
    words = f"dataset.path={tmp_path / 'data'}"
    assert config_of("vae", words, dataset="huggingface")["network"] == "conv"


def test_columns_of_numbers_are_vectors(tmp_path, capsys):
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=40), "b": [*range(40)], "note": [str(i) for i in range(40)]}
    columns["class"] = ["x" if i % 4 else "y" for i in range(40)]
    datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / "data")
    data = loaded(tmp_path / "data", test_size=8)
    assert data.spec.shape == (2,) and data.names == ("x", "y") and len(data.splits["test"]) == 8
    for split in data.splits.values():
        assert torch.equal(split.values()[:, 1] % 4 == 0, split.y == 1)
    assert "2 columns of numbers, 2 classes in column 'class', not used: note" in (
        capsys.readouterr().out
    )
    one = loaded(tmp_path / "data", columns=["a"], label="none")
    assert one.spec.shape == (1,) and one.train.y is None
    words = f"dataset.path={tmp_path / 'data'}"
    assert config_of("vae", words, dataset="huggingface")["network"] == "mlp"


def test_a_column_of_lists_is_an_array(tmp_path):
    features = [[float(i), i + 1.0, i + 2.0] for i in range(20)]
    table = datasets.Dataset.from_dict({"embedding": features, "label": [0, 1] * 10})
    as_parquet(tmp_path / "data", of_parts(train=table))
    data = loaded(tmp_path / "data")
    assert data.spec.shape == (3,) and data.spec.classes == 2


def test_a_folder_of_pictures_is_one_too(tmp_path):
    for part, n in (("train", 12), ("test", 4)):
        for i in range(n):
            folder = tmp_path / "data" / part / ("cat", "dog")[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("L", (9, 9), i).save(folder / f"{i}.png")
    data = loaded(tmp_path / "data", val_size=2)
    assert data.names == ("cat", "dog") and data.spec.shape == (1, 9, 9)
    assert [len(split) for split in data.splits.values()] == [10, 2, 4]


def test_test_labels_that_were_withheld_leave_the_validation_part_for_the_test(tmp_path):
    test = pictures(5).map(lambda row: {"label": -1})
    saved(tmp_path / "data", of_parts(train=pictures(12), validation=pictures(6), test=test))
    data = loaded(tmp_path / "data", val_size=2)
    assert [len(split) for split in data.splits.values()] == [10, 2, 6]


def test_what_does_not_fit_is_named(tmp_path):
    broken = datasets.Dataset.from_dict({"img": [{"bytes": b"no picture", "path": None}] * 2})
    broken = datasets.concatenate_datasets(
        [pictures(3).remove_columns("label"), broken.cast_column("img", datasets.Image())]
    )
    saved(tmp_path / "broken", of_parts(train=broken))
    says = r"column 'img': 2 of 5 pictures cannot be read: training row 3, counted from 0 \(unknown"
    with pytest.raises(UserError, match=says):
        loaded(tmp_path / "broken")
    assert len(loaded(tmp_path / "broken", skip_bad=True, val_size=0, test_size=1).train) == 2
    texts = datasets.Dataset.from_dict({"text": ["a", "b"]})
    saved(tmp_path / "texts", of_parts(train=texts))
    for path, settings, says in (
        (tmp_path / "texts", {}, r"neither a column of images nor of numbers, but text \(Value\)"),
        (tmp_path / "broken", {"image": "im"}, r"dataset.image: no such column \(got im\)"),
        (tmp_path / "broken", {"label": "im"}, r"dataset.label: no such column"),
        (tmp_path / "nowhere", {}, r"dataset.path: no such folder"),
        ("nobody/nothing", {}, r"dataset.path: cannot be loaded by datasets: "),
    ):
        with pytest.raises(UserError, match=says):
            loaded(path, **settings)

"""Features of images: what they depend on, and how they are kept."""

import io

import pytest
import torch
from helpers.cards import CPU
from helpers.configs import config_of, small_config

from genbench.data import loading
from genbench.data.loading import load_data
from genbench.evaluation import features
from genbench.utils.errors import UserError


def test_features_are_kept_and_made_anew_where_they_are_damaged(monkeypatch, tmp_path):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(features, "PASSES", 2)
    threads = torch.get_num_threads()
    data = load_data(small_config("ae")["dataset"], CPU)
    first = features.features_of(data)
    (file,) = (tmp_path / "features").iterdir()
    x, classes = data.splits["test"].values(), torch.arange(10)
    with monkeypatch.context() as patch:
        patch.setattr(features, "_train", lambda *args: pytest.fail("it is kept"))
        kept = features.features_of(data)
    assert kept.name == first.name and torch.equal(kept(x), first(x))
    assert torch.equal(kept.predict(x, classes), first.predict(x, classes))
    content = file.read_bytes()
    other = io.BytesIO()
    torch.save(
        torch.load(file) | {"weights": {n: 2 * w for n, w in torch.load(file)["weights"].items()}},
        other,
    )
    for damaged in (b"", content[: len(content) // 2], other.getvalue()):
        file.write_bytes(damaged)
        assert features.features_of(data).name == first.name and file.read_bytes() == content
    assert torch.get_num_threads() == threads
    assert features.features_of(data._replace(reference=None)).name == "values"


def test_features_depend_on_the_sources_images_and_labels_alone(monkeypatch):
    monkeypatch.setattr(features, "PASSES", 1)

    def name(*overrides):
        return features.features_of(load_data(config_of("ae", *overrides)["dataset"], CPU)).name

    usual = name()
    kept = [
        "limit=50",
        "labelled=0",
        "seed=7",
        "val_size=0",
        "test_size=0.5",
        "classes=[3,8]",
        "binarize=static",
        "dequantize=true",
    ]
    for setting in kept:
        assert name(f"dataset.{setting}") == usual, setting
    digits = loading._source

    def changed(*args):
        source = digits(*args)
        return source._replace(y=source.y.roll(1))

    monkeypatch.setattr(loading, "_source", changed)
    assert name() != usual
    data = load_data(config_of("ae")["dataset"], CPU)
    monkeypatch.setattr(loading, "_source", digits)
    with pytest.raises(UserError, match="changed during the run"):
        data.reference.read()

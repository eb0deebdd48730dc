"""Loaders of real file formats, parts of datasets, and the noise that belongs to the data."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.configs import CONFIGS, config_of, defaults
from helpers.published import (
    IN_IDX,
    PUBLISHED,
    VERIFIED,
    pin,
    write,
    write_amat,
    write_celeba,
    write_dsprites,
)
from PIL import Image
from sklearn.datasets import load_digits

from genbench.data import published, readers
from genbench.data.loading import load_data
from genbench.data.noise import uniform
from genbench.data.splits import count, order_seed
from genbench.data.types import DataSpec, Split
from genbench.utils.errors import UserError

CPU = torch.device("cpu")
OWN_FILES = {"table": "own.csv", "array": "own.npz"}
WITHOUT_FILES = ("huggingface", "memory")  # of which a file alone gives nothing
DATASETS = sorted({f.stem for f in (CONFIGS / "dataset").glob("*.yaml")} - {*WITHOUT_FILES})


def loaded(dataset, **settings):
    return load_data(defaults(dataset) | settings, CPU)


def small(dataset, root):
    """The settings that have the files in `root` read, and not all of them set aside."""
    if dataset in OWN_FILES:
        return {"path": root / OWN_FILES[dataset]}
    named = {"path": "FashionMNIST"} if dataset == "torchvision" else {}
    named |= {"test_size": 0.2} if dataset == "dsprites" else {}
    return {"root": root, "val_size": 0.2, **named} if "root" in defaults(dataset) else {}


def write_pictures(folder, rng, classes=("cat", "dog"), n=10):
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(rng.integers(256, size=(5, 6, 3), dtype=np.uint8)).save(
                folder / name / f"{i}.png"
            )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder that is a `dataset.root` of every dataset that has one: their real formats, with a few random images."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for dataset in PUBLISHED:
        write(dataset, folder, rng)
    write_amat(folder / "binarized_mnist", rng)
    write_celeba(folder / "celeba", rng)
    write_dsprites(folder / "dsprites", rng)
    for part in ("train", "test"):
        write_pictures(folder / part, rng)
    np.savez(folder / OWN_FILES["array"], x=rng.random((40, 3)))
    np.savetxt(folder / OWN_FILES["table"], rng.random((40, 3)), delimiter=",", header="a,b,c")
    with pytest.MonkeyPatch.context() as patch:
        for dataset in VERIFIED:
            pin(patch, dataset, folder)
        yield folder


def sizes(data):
    return {name: len(part) for name, part in data.splits.items()}


@pytest.mark.parametrize("dataset", IN_IDX)
def test_idx_files_are_read_and_split(dataset, root):
    data = loaded(dataset, root=root, val_size=10)
    assert sizes(data) == {"train": 50, "validation": 10, "test": 20}
    assert data.spec.shape == (1, 28, 28) and data.spec.unit and data.train.raw.dtype == torch.uint8
    x = data.train.values()
    assert x.min() == 0 and x.max() == 1 and data.train.y.dtype == torch.int64
    stored = torch.frombuffer(
        bytearray((root / IN_IDX[dataset] / "t10k-images-idx3-ubyte").read_bytes()[16:]),
        dtype=torch.uint8,
    )
    assert (
        torch.equal(data.splits["test"].raw.flatten(), stored)
        and data.splits["test"].y.tolist() == [*range(10)] * 2
    )
    assert data.called(9) == {"mnist": "9", "fashion-mnist": "Ankle boot", "kmnist": "wo"}[dataset]


def test_cifar10s_batches_are_read(root):
    data = loaded("cifar10", root=root, val_size=10)
    assert (
        sizes(data) == {"train": 50, "validation": 10, "test": 12}
        and data.spec.shape == (3, 32, 32)
        and data.spec.unit
    )
    stored = pickle.loads((root / "cifar-10-batches-py" / "test_batch").read_bytes())
    assert np.array_equal(data.splits["test"].raw.flatten(1).numpy(), stored["data"])
    assert data.splits["test"].y.tolist() == stored["labels"] and data.names == tuple("abcdefghij")


def test_binarized_mnist_has_the_parts_of_its_files(root):
    data = loaded("binarized-mnist", root=root, val_size=20)
    assert sizes(data) == {"train": 60, "validation": 20, "test": 20}
    assert data.spec == DataSpec((1, 28, 28), unit=True, trials=1) and data.train.y is None
    for part, name in (("train", "train"), ("validation", "valid"), ("test", "test")):
        stored = np.loadtxt(root / "binarized_mnist" / f"binarized_mnist_{name}.amat")
        assert np.array_equal(data.splits[part].values().flatten(1).numpy(), stored)
    assert sizes(loaded("binarized-mnist", root=root, val_size=0)) == {"train": 80, "test": 20}
    assert defaults("binarized-mnist")["val_size"] == 10_000


GOOD = b" ".join([b"0", b"1"] * 392)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "expected 784 values in each line .got no line"),
        (b"\n\n", "expected 784 values in each line .got 0 in line 1"),
        (GOOD + b"\n" + GOOD[:-2], "got 783 in line 2"),
        (GOOD + b" 1\n", "got 785 in line 1"),
        (GOOD.replace(b"0 1", b"01", 1), "expected a blank between values, as after byte 0"),
        (
            GOOD[:9] + b"2" + GOOD[10:],
            "expected zeros and ones, and byte 9 .from 0. is another .got b'2'",
        ),
        (b"<html>" + GOOD, "byte 0 .from 0. is another"),
        (GOOD[:-1] + b"\xff", "is another"),
        (b"0" * 3000, "more|blank between"),
    ],
)
def test_damaged_binarized_images_are_refused(content, says, tmp_path, monkeypatch):
    write_amat(tmp_path / "binarized_mnist", np.random.default_rng(0))
    file = tmp_path / "binarized_mnist" / "binarized_mnist_valid.amat"
    file.write_bytes(content)
    with pytest.raises(UserError, match=says) as refused:
        loaded("binarized-mnist", root=tmp_path)
    assert refused.value.code == 2 and str(file) in str(refused.value)
    file.write_bytes(GOOD + b"\r\n" + GOOD)
    assert sizes(loaded("binarized-mnist", root=tmp_path, val_size=2)) == {
        "train": 60,
        "validation": 2,
        "test": 20,
    }
    monkeypatch.setattr(readers, "LONGEST_TEXT", 1000)
    with pytest.raises(UserError, match=r"expected at most 1,000 bytes \(got more\)"):
        loaded("binarized-mnist", root=tmp_path)
    file.unlink()
    with pytest.raises(
        UserError,
        match=r"does not hold binarized_mnist/binarized_mnist_valid.amat .*or copy the files of http://www.cs.tor",
    ):
        loaded("binarized-mnist", root=tmp_path)


def test_lfws_faces_are_those_of_people_with_many_pictures(root):
    data = loaded("lfw", root=root)
    assert (
        sizes(data) == {"train": 86, "validation": 10, "test": 24}
        and data.spec.shape == (1, 62, 47)
        and data.spec.unit
    )
    for part in data.splits.values():
        assert part.raw.dtype == torch.uint8
        assert torch.equal(part.values().mean((1, 2, 3)) > 0.5, part.y == 1), (
            "labels belong to the pictures"
        )
    assert data.names == ("Ann Dark", "Bob Bright")


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_a_root_without_the_files_is_refused_and_left_alone(dataset, tmp_path):
    with pytest.raises(
        UserError,
        match=rf"dataset.root: does not hold {PUBLISHED[dataset]} .*give the folder above {PUBLISHED[dataset]}, or ",
    ):
        loaded(dataset, root=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dataset", DATASETS)
def test_parts_are_fixed_by_the_datasets_own_seed(dataset, root):
    assert config_of("pca", "seed=5", dataset=dataset)["dataset"] == defaults(dataset)
    one, two, other = (loaded(dataset, **small(dataset, root), seed=seed) for seed in (0, 0, 1))
    published = dataset == "binarized-mnist"  # whose parts are those of its files
    assert (
        torch.equal(one.train.raw, two.train.raw)
        and torch.equal(one.train.raw, other.train.raw) == published
    )
    assert list(one.splits) == ["train", "validation", "test"] and sizes(one) == sizes(other)
    rows = {tuple(r.flatten().tolist()) for part in one.splits.values() for r in part.raw}
    assert len(rows) > 0.99 * sum(
        sizes(one).values()
    )  # a few of the digits occur twice in their file


def test_digits_are_those_of_scikit_learn(monkeypatch):
    expected, settings = load_digits(), defaults("digits")
    for file_is_there in (True, False):
        monkeypatch.setattr(Path, "exists", lambda path, is_there=file_is_there: is_there)
        read = published.digits(settings)
        assert np.array_equal(read.x[:, 0], expected.images)
        assert np.array_equal(read.y, expected.target)


def test_sizes_may_be_numbers_or_shares():
    assert sizes(loaded("digits")) == {"train": 1257, "validation": 180, "test": 360}
    assert sizes(loaded("digits", test_size=97, val_size=0.5)) == {
        "train": 850,
        "validation": 850,
        "test": 97,
    }
    few = loaded("moons", size=10, test_size=0.5, val_size=0.01)
    assert sizes(few) == {"train": 9, "validation": 1, "test": 5}, "a share is never none"


@pytest.mark.parametrize("dataset", ["digits", "mnist", "image-folder"])
def test_only_the_wanted_classes_are_kept(dataset, root):
    every = torch.cat([part.y for part in loaded(dataset, **small(dataset, root)).splits.values()])
    data = loaded(dataset, **small(dataset, root), classes=[1])
    assert all(set(part.y.tolist()) == {1} for part in data.splits.values())
    assert sum(sizes(data).values()) == int((every == 1).sum())
    for wrong in ([1, 12], [10**30], []):
        with pytest.raises(
            UserError,
            match=r"dataset.classes: must name classes of the data.*choose from \[0, 1",
        ):
            loaded(dataset, **small(dataset, root), classes=wrong)


@pytest.mark.parametrize(
    ("dataset", "size"),
    [("digits", [16, 12]), ("digits", [4, 4]), ("mnist", [14, 14]), ("cifar10", [40, 40])],
)
def test_images_of_every_set_can_be_resized(dataset, size, root):
    plain, data = (
        loaded(dataset, **small(dataset, root), resize=wanted) for wanted in (None, size)
    )
    assert (
        data.spec.shape == (plain.spec.shape[0], *size)
        and data.spec.trials is None
        and data.digest != plain.digest
    )
    for name, part in data.splits.items():
        x, before = part.values(), plain.splits[name].values()
        assert (
            part.raw.dtype == torch.uint8
            and x.min() >= 0
            and x.max() <= 1
            and torch.equal(part.y, plain.splits[name].y)
        )
        theirs = [
            Image.fromarray(image.numpy(), mode="F").resize(size[::-1], Image.Resampling.BICUBIC)
            for image in before[:5, 0]
        ]
        torch.testing.assert_close(
            x[:5, 0], torch.tensor(np.stack(theirs)).clamp(0, 1), atol=0.004, rtol=0
        )
    dotted = loaded(dataset, **small(dataset, root), resize=size, binarize="static")
    assert dotted.spec.trials == 1 and dotted.spec.shape == data.spec.shape
    assert data.reference.digest != plain.reference.digest and data.reference.read().raw.shape[
        2:
    ] == torch.Size(size)


def test_no_validation_and_a_limit():
    data = loaded("digits", val_size=0, limit=7)
    assert list(data.splits) == ["train", "test"] and len(data.train) == 7
    with pytest.raises(UserError, match="val_size"):
        loaded("ring", val_size=60000)


def test_batches_visit_every_point_once_in_an_order_of_seed_and_epoch():
    part = Split(torch.arange(103)[:, None], torch.arange(103))
    visits = {}
    for key in [(0, 1), (0, 2), (1, 1)]:
        batches = list(part.batches(10, order=order_seed(*key)))
        assert [len(b.x) for b in batches] == [10] * 10 + [3]
        assert all(torch.equal(b.x.squeeze(1).long(), b.y) for b in batches)
        visits[key] = torch.cat([b.y for b in batches])
        assert torch.equal(visits[key].sort().values, torch.arange(103))
    assert not torch.equal(visits[0, 1], visits[0, 2]) and not torch.equal(
        visits[0, 1], visits[1, 1]
    )
    assert torch.equal(
        torch.cat([b.y for b in part.batches(10, order=order_seed(0, 2))]), visits[0, 2]
    )
    assert torch.equal(torch.cat([b.y for b in part.batches(10)]), torch.arange(103))


def test_binarisation_draws_once_or_at_each_visit():
    grey = loaded("digits")
    static, dynamic = loaded("digits", binarize="static"), loaded("digits", binarize="dynamic")

    def visit(data, epoch):
        return torch.cat([b.x for b in data.train.batches(100, draw=epoch)])

    assert (
        set(visit(static, 0).unique().tolist())
        == {0, 1}
        == set(visit(dynamic, 0).unique().tolist())
    )
    assert torch.equal(visit(static, 0), visit(static, 1))
    assert torch.equal(visit(dynamic, 0), visit(dynamic, 0)) and not torch.equal(
        visit(dynamic, 0), visit(dynamic, 1)
    )
    average = torch.stack([visit(dynamic, e) for e in range(300)]).mean(0)
    torch.testing.assert_close(average, grey.train.values(), atol=0.15, rtol=0)
    for data in (static, dynamic):
        assert (
            set(data.splits["test"].values().unique().tolist()) == {0, 1} and data.spec.trials == 1
        )
    assert torch.equal(static.splits["test"].raw, dynamic.splits["test"].raw)


@pytest.mark.parametrize(
    ("dataset", "levels"), [("digits", 17), ("mnist", 256), ("image-folder", 256)]
)
def test_dequantised_pixels_stay_in_their_cells(dataset, levels, root):
    there = small(dataset, root)
    whole, static, dynamic = (
        loaded(dataset, **there, dequantize=kind) for kind in (False, True, "dynamic")
    )

    def visit(data, part, epoch):
        return torch.cat([b.x for b in data.splits[part].batches(100, draw=epoch)])

    for name, part in whole.splits.items():
        for data in (static, dynamic):
            x = visit(data, name, 0)
            u = x * levels - part.raw
            assert (
                x.dtype == torch.float32
                and x.min() >= 0
                and x.max() < 1
                and torch.equal((x * levels).floor(), part.raw.float())
            )
            assert float(u.mean()) == pytest.approx(0.5, abs=0.05) and float(
                u.var()
            ) == pytest.approx(1 / 12, abs=0.01)
        assert torch.equal(visit(static, name, 0), visit(static, name, 1))
        assert torch.equal(visit(dynamic, name, 0), visit(dynamic, name, 1)) == (name != "train")
    assert torch.equal(visit(dynamic, "train", 1), visit(dynamic, "train", 1))
    other = loaded(dataset, **there, dequantize=True, seed=1)
    assert not torch.equal(visit(static, "test", 0), visit(other, "test", 0))
    assert all(
        data.spec.unit and data.spec.trials is None and data.spec.cell == 1 / levels
        for data in (static, dynamic)
    )


@pytest.mark.parametrize("levels", [17, 256])
def test_the_noise_of_dequantisation_never_rounds_into_the_next_cell(levels, monkeypatch):
    pixel = torch.arange(levels)
    for u in (0.0, 2.0**-24, 1 - 2.0**-24):
        monkeypatch.setattr(
            torch, "rand", lambda shape, generator, device, u=u: torch.full(shape, u)
        )
        x = uniform(pixel.float() * (1 / levels), None, 1 / levels)
        assert torch.equal((x * levels).floor().long(), pixel) and x.max() < 1


def test_the_setting_that_leaves_no_points_is_named():
    for setting, size in (("val_size", 5000), ("test_size", 5000), ("val_size", 1437)):
        with pytest.raises(UserError, match=f"dataset.{setting}: leaves nothing to train on"):
            loaded("digits", **{setting: size})


def test_gaussians_of_ones_own():
    line = loaded("gaussians", means=[[-1.0], [3.0]], scales=[0.1, 0.2], weights=[3, 1])
    x = line.train.values()
    assert x.shape == (50_000, 1) and float((x < 1).double().mean()) == pytest.approx(
        0.75, abs=0.01
    )
    assert float(x[x < 1].std()) == pytest.approx(0.1, abs=0.005)
    with pytest.raises(UserError, match="2 means, 1 scale, 2 weights"):
        loaded("gaussians", means=[[0.0], [1.0]], scales=[1.0], weights=[1.0, 1.0])
    with pytest.raises(UserError, match="one dimension, or all two"):
        loaded("gaussians", means=[[0.0], [1.0, 2.0], [1.0, 2.0]])


def test_auto_sets_at_most_a_tenth_of_the_points_aside_for_validation():
    assert [count("auto", n) for n in (4000, 50_000, 60_000)] == [400, 5000, 5000]
    dataset = config_of("pca", "dataset.size=4000", dataset="grid")["dataset"]
    parts = load_data(dataset, torch.device("cpu")).splits
    assert (len(parts["train"]), len(parts["validation"])) == (3600, 400)

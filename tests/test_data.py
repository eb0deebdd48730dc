"""Parts of datasets, binarisation, and MNIST's real file format on small files."""

import struct

import pytest
import torch
from conftest import CONFIGS, config_of

from genbench.data import Part, load, order_seed
from genbench.errors import UserError

CPU = torch.device("cpu")
DATASETS = sorted(f.stem for f in (CONFIGS / "dataset").glob("*.yaml"))


def loaded(dataset, *overrides):
    return load(config_of("pca", *overrides, dataset=dataset)["dataset"], CPU)


def write_mnist(root, train=60, test=20):
    """The four files of MNIST in their real format, with a few random images."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = torch.Generator().manual_seed(0)
    for name, n in (("train", train), ("t10k", test)):
        images = torch.randint(256, (n, 28, 28), generator=rng, dtype=torch.uint8)
        (raw / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, n, 28, 28) + images.numpy().tobytes())
        labels = torch.randint(10, (n,), generator=rng, dtype=torch.uint8)
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, n) + labels.numpy().tobytes())


def test_mnist_is_read_from_its_files_and_split(tmp_path):
    write_mnist(tmp_path)
    data = loaded("mnist", f"dataset.root={tmp_path}", "dataset.val_size=10")
    assert {name: len(part) for name, part in data.parts.items()} == {"train": 50, "validation": 10, "test": 20}
    assert data.space.shape == (1, 28, 28) and data.space.unit and data.train.raw.dtype == torch.uint8
    x = data.train.values()
    assert x.min() == 0 and x.max() == 1 and data.train.y.dtype == torch.int64
    stored = torch.frombuffer(bytearray((tmp_path / "MNIST/raw/t10k-images-idx3-ubyte").read_bytes()[16:]), dtype=torch.uint8)
    assert torch.equal(data.parts["test"].raw.flatten(), stored)


def test_missing_mnist_says_where_to_put_it(tmp_path):
    with pytest.raises(UserError, match=r"dataset.root: does not hold MNIST/raw"):
        loaded("mnist", f"dataset.root={tmp_path}")


@pytest.mark.parametrize("dataset", [d for d in DATASETS if d != "mnist"])
def test_parts_are_fixed_by_the_datasets_own_seed(dataset):
    one, two = loaded(dataset), loaded(dataset, "seed=5")
    other = loaded(dataset, "dataset.seed=1")
    assert torch.equal(one.train.raw, two.train.raw) and not torch.equal(one.train.raw, other.train.raw)
    rows = {tuple(r.flatten().tolist()) for part in one.parts.values() for r in part.raw}
    if dataset == "digits":
        assert sum(map(len, one.parts.values())) == 1797 and len(rows) > 1780  # a few digits occur twice in the file
    else:
        assert len(rows) == 65_000


def test_no_validation_and_a_limit():
    data = loaded("digits", "dataset.val_size=0", "dataset.limit=7")
    assert list(data.parts) == ["train", "test"] and len(data.train) == 7
    with pytest.raises(UserError, match="val_size"):
        loaded("ring", "dataset.val_size=60000")


def test_batches_visit_every_point_once_in_an_order_of_seed_and_epoch():
    part = Part(torch.arange(103)[:, None], torch.arange(103))
    visits = {}
    for key in [(0, 1), (0, 2), (1, 1)]:
        batches = list(part.batches(10, order=order_seed(*key)))
        assert [len(b.x) for b in batches] == [10] * 10 + [3]
        assert all(torch.equal(b.x.squeeze(1).long(), b.y) for b in batches)
        visits[key] = torch.cat([b.y for b in batches])
        assert torch.equal(visits[key].sort().values, torch.arange(103))
    assert not torch.equal(visits[0, 1], visits[0, 2]) and not torch.equal(visits[0, 1], visits[1, 1])
    assert torch.equal(torch.cat([b.y for b in part.batches(10, order=order_seed(0, 2))]), visits[0, 2])
    assert torch.equal(torch.cat([b.y for b in part.batches(10)]), torch.arange(103))


def test_binarisation_draws_once_or_at_each_visit():
    grey = loaded("digits")
    static, dynamic = loaded("digits", "dataset.binarize=static"), loaded("digits", "dataset.binarize=dynamic")

    def visit(data, epoch):
        return torch.cat([b.x for b in data.train.batches(100, draw=epoch)])

    assert set(visit(static, 0).unique().tolist()) == {0, 1} == set(visit(dynamic, 0).unique().tolist())
    assert torch.equal(visit(static, 0), visit(static, 1))
    assert torch.equal(visit(dynamic, 0), visit(dynamic, 0)) and not torch.equal(visit(dynamic, 0), visit(dynamic, 1))
    average = torch.stack([visit(dynamic, e) for e in range(300)]).mean(0)
    torch.testing.assert_close(average, grey.train.values(), atol=0.15, rtol=0)
    for data in (static, dynamic):
        assert set(data.parts["test"].values().unique().tolist()) == {0, 1} and data.space.trials == 1
    assert torch.equal(static.parts["test"].raw, dynamic.parts["test"].raw)


def test_the_setting_that_leaves_no_points_is_named():
    for wrong in ("val_size=5000", "test_size=5000", "val_size=1437"):
        with pytest.raises(UserError, match=f"dataset.{wrong.partition('=')[0]}: leaves nothing to train on"):
            loaded("digits", f"dataset.{wrong}")


def test_gaussians_of_ones_own():
    line = loaded("gaussians", "dataset.means=[[-1.0],[3.0]]", "dataset.scales=[0.1,0.2]", "dataset.weights=[3,1]")
    x = line.train.values()
    assert x.shape == (50_000, 1) and float((x < 1).double().mean()) == pytest.approx(0.75, abs=0.01)
    assert float(x[x < 1].std()) == pytest.approx(0.1, abs=0.005)
    with pytest.raises(UserError, match="2 means, 1 scales and 2 weights"):
        loaded("gaussians", "dataset.means=[[0.0],[1.0]]", "dataset.scales=[1.0]", "dataset.weights=[1.0,1.0]")
    with pytest.raises(UserError, match="one dimension, or all two"):
        loaded("gaussians", "dataset.means=[[0.0],[1.0,2.0],[1.0,2.0]]")

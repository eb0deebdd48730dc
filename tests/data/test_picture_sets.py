"""Published sets of pictures: CelebA, dSprites and those of torchvision, in files that the tests write as published."""

import numpy as np
import pytest
import torch
from helpers.configs import defaults
from helpers.published import write_celeba, write_dsprites, write_idx
from PIL import Image

from genbench.data import picture_sets, torchvision_sets
from genbench.data.loading import load_data
from genbench.data.types import Split
from genbench.settings.picture_sets import DSPRITES_FILE, TorchvisionSet
from genbench.utils.errors import UserError

CPU = torch.device("cpu")


def loaded(dataset, root, **settings):
    return load_data(defaults(dataset) | {"root": str(root), **settings}, CPU)


@pytest.fixture
def faces(tmp_path):
    write_celeba(tmp_path / "celeba", np.random.default_rng(0))
    return tmp_path


def test_faces_are_cropped_and_in_the_parts_that_were_published(faces):
    data = loaded("celeba", faces)
    sizes = {name: len(split) for name, split in data.splits.items()}
    assert sizes == {"train": 36, "validation": 12, "test": 12}
    assert data.spec.shape == (3, 64, 64) and data.train.y is None
    left, right = data.train.values()[..., :31].mean(), data.train.values()[..., 33:].mean()
    assert right > 1.8 * left
    assert data.factor_names == ("Bald", "Smiling")
    test = data.splits["test"].factors
    assert test[:, 1].tolist() == [i % 2 for i in range(24, 36)], "the pictures of partition 2"


def test_an_attribute_is_the_label(faces):
    data = loaded("celeba", faces, attribute="Smiling")
    assert data.names == ("not Smiling", "Smiling")
    for split in data.splits.values():
        assert torch.equal(split.y, split.factors[:, 1].long())
    with pytest.raises(UserError, match=r"dataset.attribute: .*smilin.*did you mean 'Smiling'"):
        loaded("celeba", faces, attribute="smilin")


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("list_attr_celeba.txt", "000007.jpg", "000099.jpg", "has no line for 000007.jpg"),
        ("list_attr_celeba.txt", "000007.jpg -1", "000007.jpg 5", "in line 9"),
        ("list_eval_partition.txt", "000007.jpg 0", "000007.jpg 3", "0, 1 or 2 in line 7"),
        ("list_eval_partition.txt", " 2", " 1", "each of the parts"),
    ],
)
def test_damaged_lists_of_faces_are_refused(file, old, new, says, faces):
    path = faces / "celeba" / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=rf"{file}: .*{says}"):
        loaded("celeba", faces)


def test_a_missing_face_is_named(faces):
    (faces / "celeba" / "img_align_celeba" / "000011.jpg").unlink()
    with pytest.raises(UserError, match=r"1 of 60 files cannot be read: 000011.jpg \("):
        loaded("celeba", faces)
    data = loaded("celeba", faces, skip_bad=True)
    assert len(data.train) == 35 and len(data.train.factors) == 35
    assert len(data.splits["validation"]) == 12


@pytest.mark.parametrize("memory", ["0.25", "0"])
def test_sprites_keep_their_factors(memory, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GENBENCH_MEMORY", memory)
    write_dsprites(tmp_path / "dsprites", np.random.default_rng(0))
    data = loaded("dsprites", tmp_path, test_size=10, val_size=5)
    assert data.spec.shape == (1, 64, 64) and data.spec.trials == 1 and data.spec.classes == 3
    stored = np.load(tmp_path / "dsprites" / DSPRITES_FILE)
    factors_of = {
        image.tobytes(): row.tolist()
        for image, row in zip(stored["imgs"], stored["latents_classes"], strict=True)
    }
    assert sum(len(split) for split in data.splits.values()) == 60
    for split in data.splits.values():
        for image, factors, label in zip(split.raw[:], split.factors, split.y, strict=True):
            assert factors_of[image.byte().numpy().tobytes()] == factors.tolist()
            assert label == factors[data.factor_names.index("shape")]
    hearts = loaded("dsprites", tmp_path, test_size=10, val_size=5, classes=[2])
    assert (hearts.train.factors[:, 1] == 2).all()


def test_factors_and_16_bits_move_to_another_device():
    factors = torch.zeros(4, 2, dtype=torch.int8)
    split = Split(torch.zeros(4, 3, dtype=torch.uint16), None, factors=factors)
    other = split.to("meta")
    assert other.raw.dtype == torch.int32 and other.factors.device.type == "meta"
    assert split.to("cpu").raw.dtype == torch.uint16


def damaged_sprites(folder, **changes):
    file = folder / "dsprites" / DSPRITES_FILE
    arrays = {**np.load(file), **changes}
    np.savez_compressed(file, **{name: x for name, x in arrays.items() if x is not None})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"imgs": np.full((60, 64, 64), 2, np.uint8)}, "expected zeros and ones"),
        (
            {"imgs": np.zeros((59, 64, 64), np.uint8)},
            "expected images of bytes, and a row of factors for each of 60",
        ),
        ({"imgs": None}, "cannot be read: .*imgs.npy"),
        ({"latents_classes": np.full((60, 6), 9)}, "expected 6 whole numbers"),
        ({"latents_classes": np.array([{}], object)}, "cannot be read: .*allow_pickle"),
    ],
)
def test_damaged_sprites_are_refused(changes, says, tmp_path):
    write_dsprites(tmp_path / "dsprites", np.random.default_rng(0))
    damaged_sprites(tmp_path, **changes)
    with pytest.raises(UserError, match=rf"{DSPRITES_FILE}: {says}"):
        loaded("dsprites", tmp_path)


def test_every_classification_set_of_torchvision_has_its_parts():
    from torchvision import datasets  # takes seconds

    listed = set(TorchvisionSet.__args__)
    assert listed == torchvision_sets.TORCHVISION_SETS.keys() and listed <= {*datasets.__all__}
    for name, parts in torchvision_sets.TORCHVISION_SETS.items():
        accepted = datasets.__dict__[name].__init__.__code__.co_varnames
        for arguments in filter(None, parts):
            assert {*arguments} - {"train"} <= {*accepted}, name
        takes_download = "download" in accepted or "kwargs" in accepted
        assert takes_download == (name not in torchvision_sets.NOT_DOWNLOADED) or name == "ImageNet"


def test_a_set_of_torchvision_is_that_of_the_same_name(tmp_path):
    write_idx(tmp_path / "FashionMNIST" / "raw", np.random.default_rng(0))
    ours = loaded("fashion-mnist", tmp_path, val_size=6)
    theirs = loaded("torchvision", tmp_path, path="FashionMNIST", val_size=6)
    assert theirs.names == ours.names and theirs.spec == ours.spec
    for name, split in ours.splits.items():
        assert torch.equal(split.raw, theirs.splits[name].raw)
        assert torch.equal(split.y, theirs.splits[name].y)


def test_pictures_of_a_set_of_torchvision_are_prepared_once(tmp_path, monkeypatch, capsys):
    """With their labels, also where they are read from the cache folder, and without a test part."""
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(picture_sets, "MANY_PICTURES", 10)
    for k, name in enumerate(("Forest", "River")):
        (tmp_path / "eurosat" / "2750" / name).mkdir(parents=True)
        for i in range(10):
            picture = np.full((20 + i % 3, 20, 3), 100 * k + i, np.uint8)
            Image.fromarray(picture).save(tmp_path / "eurosat" / "2750" / name / f"{i:02}.png")
    first, second = (loaded("torchvision", tmp_path, path="EuroSAT") for _ in range(2))
    said = capsys.readouterr().out
    assert said.count("preparing 20 pictures once") == 1
    line = "EuroSAT: 20 colour pictures of 20x20, stretched from 20 to 22 x 20 pixels"
    assert said.count(f"{line} (dataset.resize), 256 levels, 2 classes; bernoulli") == 2
    assert first.digest == second.digest and second.names == ("Forest", "River")
    assert second.spec.shape == (3, 20, 20) and len(second.splits["test"]) == 4
    for split in second.splits.values():
        assert torch.equal(split.raw[:, 0, 0, 0] >= 100, split.y == 1)
    Image.new("RGB", (20, 20), (255, 0, 0)).save(tmp_path / "eurosat" / "2750" / "River" / "00.png")
    replaced = loaded("torchvision", tmp_path, path="EuroSAT")
    assert capsys.readouterr().out.count("preparing 20 pictures once") == 1
    reds = [(split.raw[:, 0, 0, 0] == 255).sum() for split in replaced.splits.values()]
    assert sum(reds) == 1, "a picture that was replaced is read anew"


def test_a_set_that_is_not_there_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"dataset.path: MNIST cannot be loaded by torchvision: .*"):
        loaded("torchvision", tmp_path, path="MNIST")
    with pytest.raises(UserError, match=r"path.*(Input should be|must be)"):
        loaded("torchvision", tmp_path, path="NIST")


def test_published_validation_points_are_used_unless_a_number_is_given(tmp_path):
    root = tmp_path / "dtd" / "dtd"
    for folder in ("images/dotted", "images/lined", "labels"):
        (root / folder).mkdir(parents=True)
    for part, start in (("train", 0), ("val", 10), ("test", 15)):
        lines = []
        for i in range(start, start + {"train": 10, "val": 5, "test": 5}[part]):
            name = f"{('dotted', 'lined')[i % 2]}/{i}.png"
            Image.fromarray(np.full((9, 9, 3), i, np.uint8)).save(root / "images" / name)
            lines.append(name)
        (root / "labels" / f"{part}1.txt").write_text("\n".join(lines))
    data = loaded("torchvision", tmp_path, path="DTD")
    seen = {name: sorted(split.raw[:, 0, 0, 0].tolist()) for name, split in data.splits.items()}
    assert seen == {"train": [*range(10)], "validation": [*range(10, 15)], "test": [*range(15, 20)]}
    assert len(loaded("torchvision", tmp_path, path="DTD", val_size=2).splits["validation"]) == 2
    one = loaded("torchvision", tmp_path, path="DTD", classes=[1])
    assert one.splits["validation"].raw[:, 0, 0, 0].tolist() == [11, 13]

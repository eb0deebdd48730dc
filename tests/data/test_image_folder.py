"""One's own pictures: layouts of folders, sizes, modes, and files that are no pictures."""

import os
import re
import signal
import sys
import time
from collections import Counter

import numpy as np
import pytest
import torch
from helpers.configs import defaults
from PIL import Image

from genbench.config import picture_headers
from genbench.config.compose import configured
from genbench.config.data_folders import require_folders
from genbench.config.other_names import words_with_declared_names
from genbench.config.registry import builtin_registry
from genbench.config.request import check_request
from genbench.data.loading import load_data
from genbench.data.pictures import inferred_size
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.pictures import opened_picture


def loaded(root, **settings):
    return load_data(defaults("image-folder") | {"root": root, **settings}, torch.device("cpu"))


def save(file, image, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, **options)


def require(root, **settings):
    """What the command line checks before it imports torch."""
    known = builtin_registry().settings("dataset/image-folder")
    loader = "genbench.data.image_folder.image_folder"
    values = {f"dataset.{name}": value for name, value in {"root": str(root), **settings}.items()}
    require_folders(values, known, loader)


def flat(value, mode="RGB", size=(4, 3)):
    return Image.new(mode, size, value)


def only(folder):
    """The one picture of a folder, which is copied beside itself so that there is something to test on."""
    (file,) = folder.iterdir()
    for i in range(3):
        (folder / f"{i}{file.suffix}").write_bytes(file.read_bytes())
    return loaded(folder).train.raw[0]


def test_train_and_test_folders_are_parts_and_class_folders_labels(tmp_path):
    for i in range(10):
        save(tmp_path / "train" / "dog" / f"{i}.png", flat((i, 2, 3)))
        save(tmp_path / "train" / "cat" / "more" / f"{i}.bmp", flat((i, 0, 0)))
    for i in range(3):
        save(tmp_path / "test" / "dog" / f"{i}.png", flat((100 + i, 2, 3)))
    (tmp_path / "train" / ".DS_Store").touch()
    (tmp_path / "train" / "dog" / ".hidden.png").touch()
    (tmp_path / ".git").mkdir()
    data = loaded(tmp_path, val_size=5)
    assert {name: len(part) for name, part in data.splits.items()} == {
        "train": 15,
        "validation": 5,
        "test": 3,
    }
    assert (
        data.spec.shape == (3, 3, 4)
        and data.spec.unit
        and data.train.raw.dtype == torch.uint8
        and data.train.scale == 1 / 255
    )
    assert data.splits["test"].y.tolist() == [1, 1, 1] and data.splits["test"].raw[
        :, 0, 0, 0
    ].tolist() == [100, 101, 102]
    assert torch.equal(data.train.raw[:, 1, 0, 0] == 2, data.train.y == 1) and data.names == (
        "cat",
        "dog",
    )
    with pytest.raises(
        UserError,
        match=r"dataset.classes: leaves nothing to test on \(got \[0\]\); fix: choose from \[1\]",
    ):
        loaded(tmp_path, classes=[0])


def test_one_folder_is_split_with_and_without_classes(tmp_path):
    for i in range(10):
        save(tmp_path / "labelled" / "ab"[i % 2] / f"{i}.png", flat(i, "L"))
        save(tmp_path / "plain" / f"{i}.png", flat(i, "L"))
    labelled, plain = loaded(tmp_path / "labelled"), loaded(tmp_path / "plain", test_size=3)
    assert [len(part) for part in labelled.splits.values()] == [7, 1, 2] and [
        len(part) for part in plain.splits.values()
    ] == [6, 1, 3]
    for part in labelled.splits.values():
        assert torch.equal(part.raw[:, 0, 0, 0] % 2, part.y)
    assert plain.spec.shape == (1, 3, 4) and all(part.y is None for part in plain.splits.values())
    assert sorted(int(x[0, 0, 0]) for part in plain.splits.values() for x in part.raw) == list(
        range(10)
    )
    with pytest.raises(UserError, match=r"dataset.classes: the data have no classes"):
        loaded(tmp_path / "plain", classes=[0])


def test_what_genbench_leaves_among_pictures_is_no_data(genbench, tmp_path, monkeypatch, sketched):
    """Also that of the very run that reads them: it starts in their folder."""
    for i in range(20):
        save(tmp_path / "photos" / "ab"[i % 2] / f"{i}.png", flat(10 * i, "L", (8, 8)))
        save(tmp_path / "flat" / f"{i}.png", flat(10 * i, "L", (8, 8)))
    words = ["dataset=image-folder", "dataset.root=.", "evaluation=none", "dataset.test_size=5"]
    for folder in ("photos", "flat"):
        monkeypatch.chdir(tmp_path / folder)
        before = loaded(".", test_size=5)
        for command in (
            ["model=pca"],
            ["model=pca"],
            ["-m", "model=pca", "latent_dim=1,2", "jobs=1"],
        ):
            assert genbench(*command, *words).returncode == 0
        assert genbench("report", "outputs").returncode == 0
        after = loaded(".", test_size=5)
        assert after.spec == before.spec and after.names == before.names
        for name, part in before.splits.items():
            assert torch.equal(part.raw, after.splits[name].raw)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], r"dataset.root: holds no pictures"),
        (
            ["train/a.png"],
            r"dataset.root: has train/, but not both train/ and test/.*or give dataset.root=\S+/train to split it",
        ),
        (["train/a.png", "test/"], r"dataset.root: holds no pictures \(got \S+/test\)"),
        (["a/1.png", "b/"], r"dataset.root: holds no pictures \(got \S+/b\)"),
        (
            ["a/1.png", "2.png"],
            r"dataset.root: holds files such as 2.png, and folders such as a/",
        ),
        (
            ["train/a/1.png", "test/1.png"],
            r"dataset.root: has class folders in only one of train/ and test/",
        ),
    ],
)
def test_another_layout_is_refused(files, says, tmp_path):
    for name in files:
        (tmp_path / name).mkdir(parents=True) if name.endswith("/") else save(
            tmp_path / name, flat(0, "L")
        )
    with pytest.raises(UserError, match=says) as late:
        loaded(tmp_path)
    if files:
        with pytest.raises(UserError) as early:
            require(tmp_path)
        assert str(early.value) == str(late.value)


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(UserError, match=r"dataset.root: cannot be read: No"):
            loaded(wrong)
    with pytest.raises(
        UserError, match=r"dataset.root: holds no pictures, but files such as file \("
    ):
        loaded(tmp_path)


def test_sizes_that_differ_are_named_or_resized(tmp_path):
    save(tmp_path / "a.png", flat((10, 20, 30), size=(4, 3)))
    save(tmp_path / "b.png", flat((10, 20, 30), size=(8, 7)))
    save(tmp_path / "c.jpg", flat((10, 20, 30), size=(40, 5)))
    says = (
        r"dataset.resize: pictures differ in height x width: a.png 3x4, b.png 7x8 .*"
        r"fix: dataset.resize=auto, or 'dataset.resize=\[3,4\]'"
    )
    with pytest.raises(UserError, match=says):
        loaded(tmp_path, resize=None)
    save(tmp_path / "d.png", flat((10, 20, 30), size=(8, 7)))
    with pytest.raises(UserError, match=r"or 'dataset.resize=\[7,8\]'"):  # the commonest
        loaded(tmp_path, resize=None)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="pictures differ in height x width"):
        loaded(tmp_path, resize=None)
    (tmp_path / "pipe.png").unlink()
    data = loaded(tmp_path, resize=[5, 6])
    assert data.spec.shape == (3, 5, 6)
    for part in data.splits.values():
        assert (part.raw.float() - torch.tensor([10.0, 20, 30])[:, None, None]).abs().max() <= 2


def test_links_that_lead_back_are_followed_once(tmp_path, capsys):
    for name in ("cat", "dog"):
        for i in range(4):
            save(tmp_path / name / "far" / f"{i}.png", flat((10 * i, 0, 0)))
    (tmp_path / "cat" / "far" / "up").symlink_to(tmp_path / "cat")
    (tmp_path / "cat" / "root").symlink_to(tmp_path)
    (tmp_path / "cat" / "near").symlink_to("far")
    for name in ("one", "two"):  # each leads to the other, and to itself
        (tmp_path / "dog" / name).mkdir()
        for other in ("one", "two"):
            (tmp_path / "dog" / name / other).symlink_to(tmp_path / "dog" / other)
    (tmp_path / "dog" / "kitten").symlink_to(tmp_path / "cat" / "far")
    data = loaded(tmp_path)
    assert data.names == ("cat", "dog") and sum(len(part) for part in data.splits.values()) == 8
    said = capsys.readouterr().out
    for name in ("up", "root", "kitten"):
        assert f"warning: {name} in" in said
    assert "is a link to a folder that was read already; skipped" in said


def test_no_picture_is_of_two_classes_or_parts(tmp_path):
    for half in ("train", "test"):
        for i in range(4):
            save(tmp_path / "two" / half / "dog" / f"{i}.png", flat((10 * i, 0, 0)))
    (tmp_path / "two" / "train" / "cat").symlink_to(
        tmp_path / "two" / "train" / "dog"
    )  # whose name comes first
    with pytest.raises(UserError, match=r"holds no pictures \(got .*train/cat\)"):
        loaded(tmp_path / "two")
    assert len(loaded(tmp_path / "two" / "test", val_size=1, test_size=1).train) == 2, (
        "which is no half of anything"
    )
    (tmp_path / "one").mkdir()
    for half in ("train", "test"):
        (tmp_path / "one" / half).symlink_to(tmp_path / "two" / "test")
    with pytest.raises(UserError, match="train/ and test/ are the same folder"):
        loaded(tmp_path / "one")


def test_a_folder_without_pictures_is_refused_before_torch_is_there(tmp_path):
    root = tmp_path / "root"
    (root / ".hidden").mkdir(parents=True)
    save(root / ".hidden" / "0.png", flat((0, 0, 0)))
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "text.png").write_text("no picture")
    with pytest.raises(UserError, match=r"holds no pictures, but files such as deep/er/text.png"):
        require(root)
    (root / "deep" / "link").symlink_to(tmp_path / "elsewhere")
    save(tmp_path / "elsewhere" / "0.png", flat((0, 0, 0)))
    require(root, skip_bad=True)
    with pytest.raises(UserError, match=r"1 of 2 files cannot be read: deep/er/text.png"):
        require(root)
    (root / "deep" / "link").unlink()
    with pytest.raises(UserError, match=r"holds no pictures"):
        require(root)
    save(root / "deep" / "0.png", flat((0, 0, 0)))
    require(root, skip_bad=True)


BEGINNINGS = {
    "jpg": b"\xff\xd8\xff",
    "gif": b"GIF89a\4\0\4\0\0\0\0",
    "ppm": b"P6",
    "png": b"\x89PNG\r\n\x1a\n",
    "bmp": b"BM",
    "tif": b"II*\0\xff\xff\xff\x0f",
    "webp": b"RIFF\xff\xff\xff\x0fWEBPVP8 ",
}


@pytest.mark.parametrize("size", [2**37, 2**28])
@pytest.mark.parametrize("kind", BEGINNINGS)
def test_a_huge_file_that_begins_as_a_picture_is_refused_at_once(kind, size, tmp_path):
    """2**37 bytes are more than any picture has, and no header is 2**28 bytes long."""
    file = tmp_path / f"huge.{kind}"
    file.write_bytes(BEGINNINGS[kind])
    os.truncate(file, size)
    save(tmp_path / "good.png", flat(0, "L"))
    begun = time.monotonic()
    says = rf"1 of 2 files cannot be read: huge\.{kind} \("
    for read in (require, loaded):
        with pytest.raises(UserError, match=says + ("it has 137,4" if size == 2**37 else "")):
            read(tmp_path)
    assert time.monotonic() - begun < 10


def test_reading_a_picture_stops_on_request(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    save(tmp_path / "0.png", rng.integers(256, size=(500, 500, 3), dtype=np.uint8))
    with opened_picture(tmp_path / "0.png") as image:
        monkeypatch.setattr(signals, "_asked", signal.SIGTERM)
        with pytest.raises(signals.Interrupted):
            image.load()


def test_channels_are_as_many_as_the_pictures_or_the_setting_say(tmp_path):
    for name, grey in (("mixed", range(2)), ("grey", range(4))):
        for i in range(4):
            save(
                tmp_path / name / f"{i}.png", flat(100, "L") if i in grey else flat((100, 100, 100))
            )
    for name, channels, found in (
        ("mixed", "auto", 3),
        ("grey", "auto", 1),
        ("mixed", 1, 1),
        ("grey", 3, 3),
    ):
        data = loaded(tmp_path / name, channels=channels)
        assert data.spec.shape == (found, 3, 4) and all(
            (part.raw == 100).all() for part in data.splits.values()
        )


def palette(transparent):
    image = flat(1, "P")
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.info.update({"transparency": 1} if transparent else {})
    return image


@pytest.mark.parametrize(
    ("name", "image", "pixel"),
    [
        ("bits.png", flat(1, "1"), [255]),
        ("grey and alpha.png", flat((10, 255), "LA"), [10]),
        ("grey and clear.png", flat((10, 0), "LA"), [255]),
        ("alpha.png", flat((10, 20, 30, 255), "RGBA"), [10, 20, 30]),
        ("half.png", flat((55, 55, 155, 51), "RGBA"), [215, 215, 235]),
        ("palette.png", palette(False), [10, 20, 30]),
        ("clear palette.png", palette(True), [255, 255, 255]),
        ("16 bits.png", np.full((3, 4), 2770, np.uint16), [2770]),
        ("16 bits.tif", np.full((3, 4), 65535, np.uint16), [65535]),
        ("16 bits.pgm", np.full((3, 4), 1799, np.int32), [1799]),
        ("cmyk.tif", flat((0, 255, 255, 0), "CMYK"), [255, 0, 0]),
        ("lossless.webp", flat((1, 2, 3)), [1, 2, 3]),
    ],
)
def test_every_mode_becomes_bytes_or_16_bits(name, image, pixel, tmp_path):
    save(tmp_path / name, image, **({"lossless": True} if name.endswith("webp") else {}))
    found = only(tmp_path)
    dtype = torch.uint16 if name.startswith("16") else torch.uint8
    assert found.shape == (len(pixel), 3, 4) and torch.equal(
        found, torch.tensor(pixel).to(dtype)[:, None, None].expand_as(found)
    )


def values_of(data):
    """The values of each picture in order, of all parts."""
    parts = data.splits.values()
    return [sorted(x.flatten().tolist()) for part in parts for x in part.values().double()]


def test_pictures_of_16_bits_keep_all_levels_of_their_range(tmp_path, capsys):
    shades = np.array([[500, 1500], [2500, 1000]], np.uint16)
    for i in range(4):
        save(tmp_path / f"{i}.png", shades[:, ::-1] if i % 2 else shades)
    data = loaded(tmp_path)
    assert values_of(data) == [pytest.approx([0, 0.25, 0.5, 1])] * 4
    said = capsys.readouterr().out
    assert "4 grey pictures of 2x2, 16 bits from 500 (black) to 2500 (white)" in said
    assert "2,001 levels, no classes; bernoulli likelihood, network=conv" in said
    whole = values_of(loaded(tmp_path, levels=[0, 65535]))
    assert whole[0] == pytest.approx([n / 65535 for n in (500, 1000, 1500, 2500)])
    cut = values_of(loaded(tmp_path, levels=[1000, 2000]))
    assert cut[0] == pytest.approx([0, 0, 0.5, 1]), "values beyond the levels are cut"
    assert (
        loaded(tmp_path, channels=3, resize=[4, 6]).spec.shape == (3, 4, 6)
        and "from 500 (black)" in capsys.readouterr().out
    )
    save(tmp_path / "few" / "a.png", flat(7, "L"))
    only(tmp_path / "few")
    loaded(tmp_path / "few", levels=[0, 9])
    assert "warning: dataset.levels has no effect" in capsys.readouterr().out


def test_bytes_among_pictures_of_16_bits_are_spread_over_their_levels(tmp_path):
    for i in range(4):
        save(tmp_path / f"deep {i}.png", np.array([[1000, 1510]], np.uint16))
        save(tmp_path / f"bytes {i}.png", np.array([[0, 128]], np.uint8))
        save(tmp_path / f"colour {i}.png", np.array([[[255, 0, 0], [0, 51, 0]]], np.uint8))
    data = loaded(tmp_path)
    assert data.spec.shape == (3, 1, 2) and data.train.raw.dtype == torch.uint16
    wanted = [[0, 0, 0, 0, 0.2, 1], [0, 0, 0, *[128 / 255] * 3], [0, 0, 0, 1, 1, 1]]
    assert sorted(values_of(data)) == [pytest.approx(w) for w in wanted for _ in range(4)]


@pytest.mark.parametrize("levels", [[0, 65535], [100, 200], "auto"])
def test_dequantized_pictures_of_16_bits_stay_in_their_cells(levels, tmp_path):
    """Of float32, few places are left for the place in a cell of 1/65536."""
    rng = np.random.default_rng(0)
    for i in range(6):
        save(tmp_path / f"{i}.png", rng.integers(100, 201, size=(20, 20), dtype=np.uint16))
    save(
        tmp_path / "white.png", np.full((20, 20), 65535 if levels != [100, 200] else 200, np.uint16)
    )
    plain = loaded(tmp_path, levels=levels)
    noisy = loaded(tmp_path, levels=levels, dequantize=True)
    count = 101 if levels == [100, 200] else 65536 - (100 if levels == "auto" else 0)
    assert round(1 / noisy.spec.cell) == count
    cells = (noisy.train.values().double() * count).floor()
    assert torch.equal(cells, plain.train.raw.double())


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([(28, 28)], (28, 28)),
        ([(128, 128)] * 3 + [(50, 40)] * 2, (128, 128)),
        ([(384, 512)], (56, 72)),
        ([(30, 41), (32, 39), (50, 20)], (32, 40)),
        ([(480, 640), (640, 480), (500, 500)], (64, 64)),
        ([(1, 5), (2, 7)], (4, 4)),
        ([], None),
    ],
)
def test_an_inferred_size_is_that_of_most_or_about_the_median(sizes, wanted):
    assert inferred_size(Counter(sizes)) == wanted


@pytest.mark.parametrize("dataset", ["image-folder", "digits,image-folder"])
def test_the_folder_may_be_called_as_that_of_other_data(dataset, tmp_path):
    words = ["model=pca", f"dataset={dataset}", f"dataset.path={tmp_path}"]
    registry = builtin_registry()
    assert words_with_declared_names(words, registry)[2] == f"dataset.root={tmp_path}"
    given = {"dataset": "image-folder", "dataset.path": str(tmp_path)}
    assert configured(given, registry)["dataset"]["root"] == str(tmp_path)
    other = ["dataset=torchvision", "dataset.path=SVHN", "dataset.limit=5"]
    assert words_with_declared_names(other, registry) == other


def test_pictures_of_odd_sizes_need_no_setting(tmp_path, capsys):
    for i in range(9):
        save(tmp_path / f"{i}.png", flat((10 * i, 20, 30), size=(100 + 30 * i, 90 + 10 * i)))
    turned = Image.Exif()
    turned[0x0112] = 6
    save(tmp_path / "turned.jpg", flat((0, 0, 0), size=(900, 10)), exif=turned)
    data = loaded(tmp_path)
    assert data.spec.shape == (3, 52, 76)
    said = capsys.readouterr().out
    line = "10 colour pictures of 52x76, stretched from 90 to 900 x 10 to 340 pixels"
    assert f"{tmp_path.name}: {line} (dataset.resize), 256 levels, no classes" in said


def test_pictures_are_set_upright(tmp_path):
    picture = np.zeros((2, 5), np.uint8)
    picture[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to view
    save(tmp_path / "a.png", picture, exif=exif)
    found = only(tmp_path)
    assert found.shape == (1, 5, 2) and found[0, 0, 1] == 255 and found.sum() == 255


def test_files_that_are_no_pictures_are_named(tmp_path):
    save(
        tmp_path / "whole.jpg",
        np.random.default_rng(0).integers(256, size=(50, 50, 3), dtype=np.uint8),
    )
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "drawing.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    save(tmp_path / "float.tif", np.full((50, 50), 0.5, np.float32))
    save(tmp_path / "deep.tif", np.full((50, 50), 70_000, np.int32))
    with pytest.raises(UserError) as told:
        loaded(tmp_path)
    assert re.sub(r" \(\d+ bytes not processed\)", "", told.value.what) == (
        "5 of 6 files cannot be read: cut.jpg (image file is truncated), deep.tif (values are beyond 16 bits), "
        "drawing.eps (unknown format), empty.png (unknown format), float.tif (floating-point values have no agreed white)"
    )
    for i in range(9):
        (tmp_path / f"note {i}.txt").write_text("no picture")
    with pytest.raises(
        UserError,
        match=r"14 of 15 files cannot be read: .*note 4.txt \(unknown format\) and 4 more",
    ):
        loaded(tmp_path)


def whole_and_bad(folder):
    """A folder of a few pictures and of all kinds of files that are none."""
    for i in range(6):
        save(folder / "good" / f"{i}.png", flat(i, "L"))
        save(folder / "mixed" / f"{i}.png", flat(i + 100, "L"))
    noise = np.random.default_rng(0).integers(256, size=(50, 50, 3), dtype=np.uint8)
    save(folder / "whole.png", noise)
    save(folder / "whole.gif", noise[..., 0])
    for file in (folder / "whole.png", folder / "whole.gif"):
        content = file.read_bytes()
        for share in (0.01, 0.1, 0.5, 0.9):
            (folder / "mixed" / f"cut {share}{file.suffix}").write_bytes(
                content[: int(len(content) * share)]
            )
        file.unlink()
    (folder / "mixed" / "empty.jpg").touch()
    (folder / "mixed" / "page.png").write_text("<!DOCTYPE html><html>404 Not Found</html>")
    (folder / "mixed" / "dangling.png").symlink_to("nowhere")
    os.mkfifo(folder / "mixed" / "pipe.png")
    return 12


def test_files_that_cannot_be_read_are_refused_before_training(tmp_path):
    count = whole_and_bad(tmp_path)
    with pytest.raises(
        UserError,
        match=rf"{count} of {count + 12} files cannot be read: .*; fix: .*dataset.skip_bad=true",
    ) as told:
        loaded(tmp_path)
    assert (
        told.value.code == 2
        and told.value.what.count("mixed/") == 10
        and told.value.what.endswith(" and 2 more")
    )


def test_files_that_cannot_be_read_are_left_out_on_request(tmp_path, capsys):
    count = whole_and_bad(tmp_path)
    data = loaded(tmp_path, skip_bad=True)
    assert [len(part) for part in data.splits.values()] == [8, 1, 3]
    for part in data.splits.values():
        assert torch.equal(part.raw[:, 0, 0, 0] >= 100, part.y == 1), (
            "labels belong to the pictures"
        )
    assert len(data.skipped) == count and data.skipped == tuple(sorted(data.skipped))
    assert (
        "mixed/page.png (unknown format)" in data.skipped
        and "mixed/pipe.png (no regular file)" in data.skipped
    )
    said = capsys.readouterr().out
    assert f"warning: {count} of {count + 12} files cannot be read: mixed/cut 0.01.gif (" in said
    assert " and 2 more; left out, as dataset.skip_bad=true says\n" in said


def test_nothing_is_skipped_silently(tmp_path, capsys):
    for i in range(4):
        save(tmp_path / "a" / f"{i}.png", flat(i, "L"))
    assert loaded(tmp_path, skip_bad=True).skipped == ()
    assert "warning" not in capsys.readouterr().out
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "0.png").touch()
    with pytest.raises(
        UserError, match=r"dataset.root: holds no pictures that can be read \(got \S+/b\)"
    ):
        loaded(tmp_path, skip_bad=True)
    save(tmp_path / "b" / "1.png", flat(0, "L", size=(9, 9)))
    with pytest.raises(
        UserError, match=r"pictures differ in height x width: a/0.png 3x4, b/1.png 9x9"
    ):
        loaded(tmp_path, skip_bad=True, resize=None)


@pytest.mark.skipif(sys.platform == "darwin", reason="there are no such names")
def test_names_in_another_encoding_are_told(tmp_path):
    save(tmp_path / "a.png", flat(0, "L"))
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb"):
        pass
    with pytest.raises(UserError, match=r"files cannot be read: caf\\xe9.png \(unknown format\)"):
        loaded(tmp_path)


def test_a_picture_that_pillow_merely_warns_of_is_read(tmp_path):
    save(
        tmp_path / "a.jpg", flat(100, "L"), exif=b"Exif\0\0II*\0\x08\0\0\0\5\0"
    )  # five entries, none of which is there
    with (
        pytest.warns(UserWarning, match="Corrupt EXIF data"),
        Image.open(tmp_path / "a.jpg") as image,
    ):
        image.getexif()
    assert (only(tmp_path) == 100).all()


def test_loading_stops_on_request(tmp_path, monkeypatch):
    save(tmp_path / "a.png", flat(0, "L"))
    monkeypatch.setattr(signals, "_asked", signal.SIGINT)
    with pytest.raises(signals.Interrupted):
        loaded(tmp_path, skip_bad=True)


@pytest.mark.parametrize(
    "limit", [9_000, 4_000]
)  # Pillow warns above its limit, and refuses above twice that
def test_decompression_bombs_are_refused(limit, tmp_path, monkeypatch):
    save(tmp_path / "bomb.png", flat(0, "L", size=(100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(
        UserError,
        match=r"1 of 1 file cannot be read: bomb.png \(Image size \(10000 pixels\) exceeds limit",
    ) as told:
        loaded(tmp_path)
    with pytest.raises(UserError, match=re.escape(str(told.value))):
        require(tmp_path)


def test_pictures_too_large_to_learn_from_are_refused_unless_they_are_resized(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", flat(0, "L", size=(4096, 1025)))
    with pytest.raises(UserError, match=r"dataset.resize: is needed: 0.png has 1025x4096 pixels"):
        require(tmp_path, resize=None)
    for size in ("auto", [64, 64]):
        require(tmp_path, resize=size)
    (tmp_path / "0.png").write_text("no picture")
    with pytest.raises(UserError, match=r"dataset.resize: is needed: 1.png"):
        require(tmp_path, skip_bad=True, resize=None)


def test_the_headers_of_many_pictures_are_read_in_part_and_of_a_sweep_once(tmp_path, monkeypatch):
    for i in range(40):
        save(tmp_path / f"{i}.png", flat(0, "L"))
    read = []
    opened = picture_headers.opened_picture
    monkeypatch.setattr(
        picture_headers, "opened_picture", lambda file: read.append(file) or opened(file)
    )
    monkeypatch.setattr(picture_headers, "MOST_READ", 10)
    words = ["dataset=image-folder", f"dataset.root={tmp_path}", "seed=range(0,5)"]
    assert len(check_request(words, builtin_registry(), is_sweep=True)) == 5
    assert 5 <= len(read) <= 10

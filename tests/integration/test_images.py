"""From files of images to a trained model and its pictures, by the command line, as somebody with images would."""

import struct

import numpy as np
import pytest
from PIL import Image

from genbench import load


def blots(n, height, width, rng):
    """Bytes [n, height, width, 3]: a round blot at a random place, its hue the left part's or the right part's."""
    y, x = np.mgrid[:height, :width]
    row, column = rng.uniform(0.2, 0.8, (2, n, 1, 1))
    blot = np.exp(-((y - row * height) ** 2 + (x - column * width) ** 2) / (0.15 * height) ** 2)
    hue = np.where(column < 0.5, 1.0, 0.3)
    return (
        (255 * np.stack([blot * hue, blot * 0.8, blot * (1.3 - hue)], -1)).round().astype(np.uint8)
    )


def fashion_mnist(root, rng):
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, n in (("train", 250), ("t10k", 50)):
        images, labels = blots(n, 28, 28, rng)[..., 1], np.arange(n, dtype=np.uint8) % 10
        (folder / f"{name}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 2051, n, 28, 28) + images.tobytes()
        )
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 2049, n) + labels.tobytes()
        )
    return images / 255


def image_folder(root, rng):
    for part, n in (("train", 250), ("test", 50)):
        images = blots(n, 37, 53, rng)
        for i, image in enumerate(images):
            folder = root / part / "ab"[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i}.png")
    return images / 255


@pytest.mark.parametrize(
    ("dataset", "make"), [("fashion-mnist", fashion_mnist), ("image-folder", image_folder)]
)
def test_a_convolutional_vae_learns_images_of_any_size_and_draws_all_it_can_show(
    genbench, tmp_path, dataset, make, drawn
):
    test = make(tmp_path / "data", np.random.default_rng(0))
    run = ["model=vae", "network=conv", "channels=8", "latent_dim=2"]
    data = [f"dataset={dataset}", f"dataset.root={tmp_path / 'data'}", "dataset.val_size=50"]
    done = genbench(
        *run,
        *data,
        "epochs=20",
        "batch_size=10",
        "lr=3e-3",
        "draw_every=20",
        "device=cpu",
        "hydra.run.dir=run",
    )
    assert done.returncode == 0, done.stderr
    drawn = {"samples", "reconstructions", "codes", "interpolation", "traversal", "manifold"}
    assert {p.stem for p in (tmp_path / "run").glob("*.png")} == drawn
    trained = load("run")
    x = trained.data.splits["test"].values()
    assert len(x) == len(test)
    assert (
        float((trained.decode(trained.encode(x)) - x).square().mean()) < 0.5 * test.var(0).mean()
    )  # half the error of the mean image, which knows nothing of a point


def test_a_run_on_a_folder_goes_on_from_anywhere_and_says_why_it_ended(
    genbench, tmp_path, monkeypatch
):
    image_folder(tmp_path / "mine", np.random.default_rng(0))
    words = [
        "model=ae",
        "dataset=image-folder",
        "dataset.root=mine",
        "epochs=1",
        "schedule=constant",
    ]
    done = genbench(*words, "device=cpu", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert genbench("resume", "../run", "epochs=2").returncode == 0
    assert (
        "converged after 1 epoch" in genbench("model=pca", "dataset.limit=100", "device=cpu").stdout
    )
    rough = ["network=mlp", "activation=relu", "schedule=constant", "lr=0.5", "patience=1"]
    stopped = genbench("model=ae", "dataset.limit=100", "epochs=50", *rough, "device=cpu").stdout
    assert "kept the weights after" in stopped
    refused = genbench("model=ae", "network=conv", "dataset=moons", "device=cpu")
    assert refused.returncode == 2 and "go on with" not in refused.stdout
    assert "genbench resume RUN_DIR" in genbench("help", "resume").stdout

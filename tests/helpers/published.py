"""Files as publishers lay them out, with a few random images."""

import pickle
import struct

import numpy as np
from PIL import Image

IN_IDX = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw", "kmnist": "KMNIST/raw"}
PUBLISHED = {**IN_IDX, "cifar10": "cifar-10-batches-py", "lfw": "lfw_home"}


def idx(values):
    """An array of bytes in the IDX format."""
    return (
        struct.pack(f">I{values.ndim}I", 0x800 + values.ndim, *values.shape)
        + values.astype(np.uint8).tobytes()
    )


def write_idx(folder, rng, train=60, test=20):
    """The four files of MNIST and those that follow it."""
    folder.mkdir(parents=True)
    for name, n in (("train", train), ("t10k", test)):
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(rng.integers(256, size=(n, 28, 28))))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(n) % 10))


def write_cifar(folder, rng, n=12):
    """CIFAR-10's pickled batches."""
    folder.mkdir(parents=True)
    contents = {"batches.meta": {"label_names": list("abcdefghij")}}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        contents[name] = {
            "data": rng.integers(256, size=(n, 3072), dtype=np.uint8),
            "labels": [i % 10 for i in range(n)],
        }
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content, protocol=4))


def write_lfw(folder, rng, n=60):
    """LFW's funneled pictures of two people, a dark one and a bright one, and of a third who has too few."""
    for name, low, count in (("Ann_Dark", 0, n), ("Bob_Bright", 128, n), ("Cy_Rare", 0, 2)):
        (folder / "lfw_funneled" / name).mkdir(parents=True)
        for i in range(1, count + 1):
            blocks = rng.integers(low, low + 128, size=(5, 5, 3), dtype=np.uint8)
            Image.fromarray(blocks).resize((250, 250), Image.Resampling.NEAREST).save(
                folder / "lfw_funneled" / name / f"{name}_{i:04}.jpg"
            )


def write_amat(folder, rng, train=60, valid=20, test=20):
    """Binarized MNIST's three files of text."""
    folder.mkdir(parents=True)
    for name, n in (("train", train), ("valid", valid), ("test", test)):
        lines = (" ".join(map(str, row)) for row in rng.integers(2, size=(n, 784)))
        (folder / f"binarized_mnist_{name}.amat").write_text(
            "".join(f"{line} \n" for line in lines)
        )


WRITERS = {"cifar10": write_cifar, "lfw": write_lfw}


def write(dataset, root, rng):
    """What a dataset's `root` holds."""
    WRITERS.get(dataset, write_idx)(root / PUBLISHED[dataset], rng)

"""Files as publishers lay them out, with a few random images."""

import bz2
import gzip
import hashlib
import pickle
import struct
import zipfile
from dataclasses import replace

import numpy as np
import scipy.io
from PIL import Image

from genbench.data import published
from genbench.settings.picture_sets import DSPRITES_FILE

IN_IDX = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw", "kmnist": "KMNIST/raw"}
VERIFIED = {"emnist": "EMNIST/raw", "usps": "USPS", "svhn": "SVHN"}  # files must be as published
PUBLISHED = {**IN_IDX, "cifar10": "cifar-10-batches-py", "lfw": "lfw_home", **VERIFIED}


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


def write_emnist(folder, rng, train=60, test=20, split="balanced", first=0, classes=47):
    """EMNIST's archive, with the files of one split. Images are stored with rows and columns exchanged."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        for name, n in (("train", train), ("test", test)):
            contents = {
                "images-idx3": rng.integers(256, size=(n, 28, 28)),
                "labels-idx1": first + np.arange(n) % classes,
            }
            for kind, values in contents.items():
                packed = gzip.compress(idx(values))
                archive.writestr(f"gzip/emnist-{split}-{name}-{kind}-ubyte.gz", packed)


def write_usps(folder, rng, train=60, test=20):
    """USPS's packed lines of text: labels from 1 to 10, and pixels from -1 to 1."""
    folder.mkdir(parents=True)
    for name, n in (("usps", train), ("usps.t", test)):
        rows = rng.integers(-1000, 1001, size=(n, 256)) / 1000
        lines = (
            " ".join([str(i % 10 + 1), *(f"{k}:{v:g}" for k, v in enumerate(row, start=1))])
            for i, row in enumerate(rows)
        )
        (folder / f"{name}.bz2").write_bytes(bz2.compress("\n".join(lines).encode()))


def write_svhn(folder, rng, train=60, test=20):
    """SVHN's two files of MATLAB: images by row, column, channel and number, and 10 as the label of zeros."""
    folder.mkdir(parents=True)
    for name, n in (("train", train), ("test", test)):
        images = rng.integers(256, size=(32, 32, 3, n), dtype=np.uint8)
        labels = (np.arange(n, dtype=np.uint8) % 10 + 1)[:, None]
        content = {"X": images, "y": labels}
        scipy.io.savemat(folder / f"{name}_32x32.mat", content, do_compression=True)


def write_celeba(folder, rng, n=60):
    """CelebA's pictures of 178x218, of which the left half is darker, and its two lists."""
    (folder / "img_align_celeba").mkdir(parents=True)
    attributes, partition = [str(n), "Bald Smiling"], []
    for i in range(n):
        name = f"{i + 1:06}.jpg"
        picture = rng.integers(100, 256, size=(218, 178, 3), dtype=np.uint8)
        picture[:, :89] //= 2
        Image.fromarray(picture).save(folder / "img_align_celeba" / name)
        attributes.append(f"{name} {1 if i % 3 else -1:2}  {1 if i % 2 else -1:2}")
        partition.append(f"{name} {i * 5 // n if i * 5 // n < 3 else 0}")
    (folder / "list_attr_celeba.txt").write_text("\n".join(attributes) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(partition) + "\n")


def write_dsprites(folder, rng, n=60):
    """dSprites' archive of images and factors."""
    folder.mkdir(parents=True)
    sizes = (1, 3, 6, 40, 32, 32)
    factors = np.stack([rng.integers(size, size=n) for size in sizes], axis=1)
    factors[:3, 1] = [0, 1, 2]
    images = rng.integers(2, size=(n, 64, 64), dtype=np.uint8)
    arrays = {"imgs": images, "latents_classes": factors, "latents_values": factors / 2}
    np.savez_compressed(folder / DSPRITES_FILE, **arrays)


WRITERS = {
    "celeba": write_celeba,
    "dsprites": write_dsprites,
    "cifar10": write_cifar,
    "lfw": write_lfw,
    "emnist": write_emnist,
    "usps": write_usps,
    "svhn": write_svhn,
}


def write(dataset, root, rng):
    """What a dataset's `root` holds."""
    WRITERS.get(dataset, write_idx)(root / PUBLISHED[dataset], rng)


def pin(patch, dataset, root):
    """Take the files below `root` for those that were published: only such files are trusted."""
    loader, folder = getattr(published, dataset), root / PUBLISHED[dataset]
    files = {download.name: (folder / download.name).read_bytes() for download in loader.downloads}
    pinned = (
        download._replace(sha256=hashlib.sha256(files[download.name]).hexdigest())
        for download in loader.downloads
    )
    patch.setattr(published, dataset, replace(loader, downloads=tuple(pinned)))
    if dataset == "svhn":
        from torchvision.datasets import SVHN  # takes seconds

        sums = {
            split: [url, name, hashlib.md5(files[name]).hexdigest()]
            for split, (url, name, _) in SVHN.split_list.items()
            if name in files
        }
        patch.setattr(SVHN, "split_list", sums)

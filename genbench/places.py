"""Where the files of published data lie below the folder that a user gives, so that a wrong folder is refused at once,
before torch is imported to read them."""

import os
from pathlib import Path

from .errors import UserError
from .settings import Setting

FOLDERS = {  # by the name of the loader in `datasets`
    "mnist": "MNIST/raw",
    "fashion_mnist": "FashionMNIST/raw",
    "kmnist": "KMNIST/raw",
    "cifar10": "cifar-10-batches-py",
    "lfw": "lfw_home",
    "binarized_mnist": "binarized_mnist",
}


def require_folders(values: dict, known: dict[str, Setting], loader: str) -> None:
    """UserError for a folder to read from that is not there, is empty, or is not the one above the data of this loader.

    `values` and `known` are settings by dotted name, `loader` is the dotted path of a function.
    """
    for name, setting in known.items():
        given = values.get(name)
        if isinstance(given, str) and "folder" in [kind for kind, _ in setting.alternatives]:
            _require(name, Path(os.path.abspath(os.path.expanduser(given))), loader)


def _require(name: str, folder: Path, loader: str) -> None:
    module, _, function = loader.rpartition(".")
    below = FOLDERS.get(function) if module == "genbench.datasets" else None
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise UserError(name, what, folder, "give a folder that is there")
    try:
        filled = any(not entry.startswith(".") for entry in os.listdir(folder))
    except OSError as error:
        raise UserError(name, f"cannot be read: {error.strerror}", folder, "give a folder that can be read") from error
    if not filled:
        raise UserError(name, "holds no data", folder, "give a folder that holds some")
    if below and not (folder / below).is_dir():
        raise UserError(name, f"does not hold {below}", folder, f"give the folder above {below}")

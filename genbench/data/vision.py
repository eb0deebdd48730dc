"""Readers of USPS and SVHN by torchvision, whose datasets are imported here only.

torchvision trusts files, so these must have been verified. It reads each in one go, during which a
request to stop waits: 3 s for USPS, 2 s for SVHN.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from genbench.data.readers import Files, PublishedSplits
from genbench.utils.errors import UserError

DIGIT_NAMES = tuple("0123456789")


def read_usps(files: Files) -> tuple[PublishedSplits, Sequence[str]]:
    """Postal digits of 16x16 grey values (Hull 1994), which torchvision turns into bytes."""
    datasets, folder = torchvision_datasets(), _folder(files)
    stored = [datasets.USPS(folder, train=train) for train in (True, False)]
    return [_tensors(split.data[:, None], split.targets) for split in stored], DIGIT_NAMES


def read_svhn(files: Files) -> tuple[PublishedSplits, Sequence[str]]:
    """House numbers, cropped to one digit in 32x32 colour pixels (Netzer et al. 2011)."""
    datasets, folder = torchvision_datasets(), _folder(files)
    stored = [datasets.SVHN(folder, split=name) for name in ("train", "test")]
    return [_tensors(split.data, split.labels) for split in stored], DIGIT_NAMES


def _tensors(x: np.ndarray, y: Sequence[int] | np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.ascontiguousarray(x)), torch.as_tensor(y)


def _folder(files: Files) -> Path:
    """The folder that holds all the files."""
    (folder,) = {file.parent for file in files.values() if isinstance(file, Path)}
    return folder


def torchvision_datasets() -> ModuleType:
    try:
        from torchvision import datasets  # takes 1.4 s, which other data need not
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        fix = "install the torchvision that belongs to this torch: pip install torch torchvision"
        raise UserError("torchvision", f"cannot be imported: {error}", fix=fix) from error
    return datasets

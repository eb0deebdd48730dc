"""Whether a dataset of Hugging Face has images or vectors, as far as files here say it.

Nothing here imports the library or torch, as settings depend on it before a run begins.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from genbench.utils.files import read_json

HUB_LOADER = "genbench.data.huggingface.huggingface"
IMAGE_TYPES = ("Image", "Array2D", "Array3D")
TABLE_FILES = (".csv", ".tsv", ".json", ".jsonl", ".arrow", ".txt")
MOST_FILES = 10_000  # that are looked at


def kind_on_hub(path: str) -> str:
    """What the points are: images, unless a folder here holds a table without pictures."""
    folder = Path(os.path.abspath(os.path.expanduser(path)))
    return _kind(folder, folder.stat().st_mtime_ns) if folder.is_dir() else "images"


@lru_cache(maxsize=64)
def _kind(folder: Path, changed: int) -> str:
    for place in (folder, *sorted(entry for entry in folder.iterdir() if entry.is_dir())):
        with suppress(OSError, ValueError):
            info = read_json(place / "dataset_info.json", {"features": {str: object}})
            return _of_features(info["features"])
    files = [file for _, file in zip(range(MOST_FILES), folder.rglob("*"), strict=False)]
    for file in files:
        if file.suffix == ".parquet":
            return _of_parquet(file)
    return "vectors" if any(file.suffix in TABLE_FILES for file in files) else "images"


def _of_features(features: Mapping[str, Any]) -> str:
    types = {str(one.get("_type")) for one in features.values() if isinstance(one, dict)}
    return "images" if types & {*IMAGE_TYPES} else "vectors"


def _of_parquet(file: Path) -> str:
    try:
        from pyarrow import parquet  # comes with the library
    except ImportError:
        return "images"  # the loader says what to install
    with suppress(OSError, ValueError, KeyError):
        schema = parquet.read_schema(file)
        stored = (schema.metadata or {}).get(b"huggingface")
        if stored is not None:
            return _of_features(json.loads(stored)["info"]["features"])
        has_bytes = any("bytes" in str(field.type) for field in schema)
        return "images" if has_bytes else "vectors"
    return "images"

"""Row of the benchmark: memory against the size of data that are read from a file."""

import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from benchmark_rows import Bench, Round, Row, Skipped

LOADER = """
from genbench.data.prepared import lazy_array
from genbench.data.types import RawDataset
from genbench.settings.datasets import ImageSettings, TestSizeSettings

class LargeSettings(TestSizeSettings, ImageSettings):
    pass

def large(s: LargeSettings) -> RawDataset:
    return RawDataset(lazy_array({path!r}), None, None, None, unit=True, scale=1 / 255)
"""
YAML = """# @package _global_
# Pictures of bytes in a file.
dataset: {name: large, loader: large.large}
"""
SIDE = 16  # pixels of a picture
POINTS = 200_000  # of the smaller data, which are four times fewer


def write_dataset(folder: Path, points: int) -> None:
    """A folder for --config-dir with a dataset `large` of so many pictures."""
    rng, path = np.random.default_rng(0), folder / "large.npy"
    (folder / "dataset").mkdir(parents=True)
    (folder / "large.py").write_text(LOADER.format(path=str(path)))
    (folder / "dataset" / "large.yaml").write_text(YAML)
    values = np.lib.format.open_memmap(path, "w+", np.uint8, (points, 1, SIDE, SIDE))
    for start in range(0, points, 10_000):
        part = values[start : start + 10_000]
        part[:] = rng.integers(0, 256, part.shape, dtype=np.uint8)


def anonymous_memory(folder: Path, *words: str) -> float:
    """The most MiB of a run on the dataset of a folder that the system cannot drop at will, as it
    can the pages of a file. Skipped where it does not tell them apart.
    """
    if sys.platform != "linux":
        raise Skipped("only Linux tells the pages of files from other memory")
    given = ["--config-dir", str(folder), "dataset=large", "device=cpu", *words]
    given += ["evaluation=none", f"hydra.run.dir={tempfile.mkdtemp(dir=folder)}/run"]
    whole = [sys.executable, "-m", "genbench", *given]
    process, most = subprocess.Popen(whole, stdout=subprocess.DEVNULL), 0.0
    while process.poll() is None:
        with suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            sizes = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")]
            most = max([most, *(int(size) / 1024 for size in sizes)])
        time.sleep(0.02)
    assert process.returncode == 0, words
    return most


def memory_of_large_data(bench: Bench) -> Round:
    """The memory of a run on 205 MB, and on 51 MB."""
    folder = Path(tempfile.mkdtemp())
    for name, points in (("whole", POINTS * 4), ("quarter", POINTS)):
        write_dataset(folder / name, points)
    words = ("model=kmeans-minibatch", "epochs=1")
    return lambda: (
        anonymous_memory(folder / "whole", *words),
        anonymous_memory(folder / "quarter", *words),
    )


ROWS = [
    Row(
        "peak memory of kmeans-minibatch on 205 MB in a file",
        "on 51 MB",
        1.1,
        memory_of_large_data,
        unit="MiB",
    )
]

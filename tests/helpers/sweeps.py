"""A small model that fails on request, and what a sweep leaves."""

import json
from pathlib import Path

TINY = ["epochs=2", "dataset.limit=60", "device=cpu"]
PCA = ["-m", "model=pca", *TINY, "hydra.sweep.dir=sweep"]

MOODS = """
import os, random, sys, warnings, weakref
import matplotlib, numpy, torch
from typing import Literal
from pydantic import Field
from genbench.models.kmeans import KMeans
from genbench.settings.classical import KMeansSettings

class MoodySettings(KMeansSettings):
    mood: Literal["fine", "raise", "exit", "memory", "meddle", "stop"] = Field(
        "fine", description="a mood"
    )
    tag: str = Field("none", description="nothing")

alive, seen = weakref.WeakSet(), []

class Moody(KMeans):
    settings: MoodySettings
    def __init__(self, space, s):
        super().__init__(space, s)
        seen.append(len(alive))
        alive.add(self)
        if s.mood == "exit":
            sys.exit(3)
        if s.mood == "stop":
            raise KeyboardInterrupt
        if s.mood == "memory":
            raise MemoryError("of all there is")
        if s.mood == "meddle":
            self.itself = [self]
            os.chdir("/")
            os.environ.pop("COLUMNS")
            os.environ["MEDDLED"] = "1"
            random.seed(1), numpy.random.seed(1), torch.manual_seed(1), numpy.seterr(all="raise")
            torch.set_default_dtype(torch.float64), torch.set_num_threads(3), torch.set_grad_enabled(False)
            torch.use_deterministic_algorithms(True), torch.set_float32_matmul_precision("medium")
            warnings.simplefilter("error"), matplotlib.rcParams.update({"font.size": 40})
        if s.mood in ("raise", "meddle"):
            raise RuntimeError("in no mood")
"""
MOODY = """# @package _global_
# Clusters with moods.
defaults: [kmeans, _self_]
model: {name: moody, class: moods.Moody}
n_init: 1
"""


def summary(folder="sweep"):
    """What a sweep's folder says of its jobs."""
    return json.loads((Path(folder) / "sweep_summary.json").read_text())["jobs"]


def states(folder="sweep"):
    return [job["state"] for job in summary(folder)]


def files(folder="sweep"):
    """Every file with its content and when it was written."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in Path(folder).rglob("*")
        if path.is_file()
    }

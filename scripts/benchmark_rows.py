"""What a row of the benchmark is: work that is done in two ways, in turn, and how they compare."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, Literal

import numpy as np
import torch

from genbench.config.compose import resolved
from genbench.config.registry import builtin_registry
from genbench.data.loading import load_data
from genbench.data.types import Data
from genbench.experiment import build
from genbench.training.loop import NullRecorder, fit_model

CPU = torch.device("cpu")
QUICK, SLOW = 5.0, 30.0  # seconds of a row: until then it goes on, and from then on it stops

Work = Callable[[], object]
Round = Callable[[], tuple[float, float]]  # one round: what genbench takes, and its peer


class Skipped(Exception):
    """Why a row cannot be timed on this machine."""


class Bench:
    """MNIST from a folder, and the ways to work on it. Data are loaded when they are used."""

    def __init__(self, root: str) -> None:
        self.root, self.registry = root, builtin_registry()

    @cached_property
    def data(self) -> Data:
        """MNIST as genbench splits it."""
        return load_data(self.config("model=pca")["dataset"], CPU)

    @cached_property
    def x(self) -> torch.Tensor:
        """The training images [55,000, 1, 28, 28]."""
        return self.data.train.values()

    @cached_property
    def rows(self) -> np.ndarray:
        """The training images as rows [55,000, 784]."""
        return self.x.flatten(1).numpy()

    def few(self, images: int) -> Data:
        """The first training images."""
        return self.data._replace(splits={"train": self.data.train.first(images)})

    def config(self, *overrides: str) -> dict[str, Any]:
        """The settings of a run on MNIST."""
        given = [*overrides, "dataset=mnist", f"dataset.root={self.root}", "device=cpu"]
        return resolved(given, self.registry)

    def training(self, *overrides: str, data: Data | None = None) -> Work:
        """Fits a new model to the training part, and does nothing else."""
        config, data = self.config(*overrides), data or self.data
        only = data._replace(splits={"train": data.train})

        def work() -> None:
            model = build(config, only)
            fit_model(model, only, NullRecorder(), model.settings)

        return work


@dataclass(frozen=True)
class Row:
    """Work that is done in two ways, and how far apart the two may be.

    prepare  loads what the work needs; returns what does one round of it
    figure   "ratio" of the two, "seconds beyond" the peer, or "seconds" of genbench alone
    unit     of what a round returns
    """

    name: str
    peer: str
    goal: float
    prepare: Callable[[Bench], Round]
    figure: Literal["ratio", "seconds beyond", "seconds"] = "ratio"
    unit: Literal["s", "MiB"] = "s"

    def timed(self, bench: Bench, rounds: int) -> dict[str, Any]:
        """Medians of both ways, and the figure with its range.

        There are `rounds` rounds, two of slow work, and up to five times as many of quick work.
        """
        do_round = self.prepare(bench)
        measured: list[tuple[float, float]] = []
        started = time.perf_counter()
        while len(measured) < 5 * rounds:
            measured.append(do_round())
            took = time.perf_counter() - started
            if len(measured) >= (2 if took > SLOW else rounds) and took > QUICK:
                break
        figures = [self._figure_of(*both) for both in measured]
        ours, theirs = zip(*measured)
        return {
            "name": self.name,
            "peer": self.peer,
            "figure": self.figure,
            "unit": self.unit,
            "rounds": len(measured),
            "genbench": median(ours),
            "of_peer": median(theirs),
            "median": median(figures),
            "least": min(figures),
            "largest": max(figures),
            "goal": self.goal,
            "met": median(figures) <= self.goal,
        }

    def _figure_of(self, ours: float, peer: float) -> float:
        """The figure of one round."""
        if self.figure == "ratio":
            return ours / peer
        return ours - peer if self.figure == "seconds beyond" else ours


def in_turn(ours: Work, peer: Work) -> Round:
    """Rounds that time one and then the other."""
    return lambda: (seconds(ours), seconds(peer))


def seconds(work: Work) -> float:
    """Wall-clock seconds that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

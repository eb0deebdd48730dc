"""What `benchmark.py` times: each kind of work in two ways."""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import benchmark_peers as peers
import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from genbench.config.compose import resolved
from genbench.config.registry import builtin_registry
from genbench.data.loading import load_data
from genbench.data.types import Data, DataSpec, Split
from genbench.evaluation.card import card
from genbench.evaluation.context import Evaluation
from genbench.experiment import build
from genbench.model import Model
from genbench.training.loop import NullRecorder, fit_model
from genbench.training.objective import final

Work = Callable[[], object]
CPU = torch.device("cpu")
IMPORTS = "import torch, hydra, matplotlib, sklearn, tensorboard"


@dataclass(frozen=True)
class Row:
    """Work that is done in two ways, and how far apart the two may be.

    figure   "ratio" of the two, "seconds beyond" the peer, or "seconds" of genbench alone
    measure  what is compared: seconds by default
    """

    name: str
    ours: Work
    peer_name: str = ""
    peer: Work | None = None
    goal: float = 1.0
    figure: Literal["ratio", "seconds beyond", "seconds"] = "ratio"
    measure: Callable[[Work], float] = lambda work: seconds(work)

    def figure_of(self, ours: float, peer: float) -> float:
        """The figure of one round."""
        return {"ratio": ours / peer if peer else 0, "seconds beyond": ours - peer}.get(
            self.figure, ours
        )

    def timed(self, rounds: int) -> dict[str, Any]:
        """Both ways in turn, so many times: medians, and the figure with its range."""
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(self.measure(self.ours))
            theirs.append(0.0 if self.peer is None else self.measure(self.peer))
        figures = [self.figure_of(a, b) for a, b in zip(ours, theirs, strict=True)]
        return {
            "name": self.name,
            "peer": self.peer_name,
            "figure": self.figure,
            "genbench": median(ours),
            "of_peer": median(theirs),
            "median": median(figures),
            "least": min(figures),
            "largest": max(figures),
            "goal": self.goal,
            "met": median(figures) <= self.goal,
        }


def seconds(work: Work) -> float:
    """Wall-clock seconds that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_memory(work: Work) -> float:
    """MiB that the process which the work starts, and returns, needed at most."""
    process = work()
    assert isinstance(process, subprocess.Popen)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


class Bench:
    """MNIST from a folder, and the ways to work on it."""

    def __init__(self, root: str) -> None:
        self.root, self.registry = root, builtin_registry()
        self.data = load_data(self.config("model=pca")["dataset"], CPU)
        self.x = self.data.train.values()
        self.rows = self.x.flatten(1).numpy()

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

    def by_hand(self, train: Callable, images: int, batch_size: int, *overrides: str) -> Work:
        """Trains the networks of a new model in a loop written by hand, over images in memory."""
        config, x = self.config(*overrides), self.x[:images]
        return lambda: train(build(config, self.data), peers.in_memory(x, batch_size))

    def command(self, *words: str) -> Work:
        """The command `genbench` with these words, in a process and a folder of its own."""

        def work() -> None:
            with tempfile.TemporaryDirectory() as folder:
                given = [*words, f"hydra.run.dir={folder}/run", f"hydra.sweep.dir={folder}/sweep"]
                command = [sys.executable, "-m", "genbench", *given]
                subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

        return work

    def classical(self) -> Iterator[Row]:
        """Classical models against scikit-learn's, from starts of their own."""
        x = self.rows
        yield Row(
            "pca, 20 components",
            self.training("model=pca", "latent_dim=20"),
            "scikit-learn",
            lambda: PCA(20).fit(x),
            goal=0.9,
        )
        yield Row(
            "kmeans, 100 centres, k-means++ and 20 iterations",
            self.training("model=kmeans", "n_components=100", "n_init=1", "epochs=20", "tol=0"),
            "scikit-learn",
            lambda: KMeans(100, n_init=1, max_iter=20, tol=0).fit(x),
            goal=0.4,
        )
        for covariance, iterations, goal in (("diag", 10, 0.8), ("spherical", 10, 0.8)):
            yield self.mixture(covariance, iterations, goal)
        yield self.mixture("full", 2, 0.8)
        projected = PCA(50).fit_transform(x.astype(np.float64))
        raw = torch.from_numpy(projected)
        data = Data("projected", {"train": Split(raw, None)}, DataSpec((50,), unit=False))
        yield self.mixture("full", 20, 0.3, projected, data)
        kde = build(self.config("model=kde", "bandwidth=1"), data)
        fit_model(kde, data, NullRecorder(), kde.settings)
        yield Row(
            "kde, log-likelihood of 1,000 points of 50 values",
            lambda: kde.log_prob(raw[:1000]),
            "scikit-learn",
            lambda: KernelDensity(bandwidth=1).fit(projected).score_samples(projected[:1000]),
            goal=0.05,
        )

    def mixture(
        self,
        covariance: str,
        iterations: int,
        goal: float,
        x: np.ndarray | None = None,
        data: Data | None = None,
    ) -> Row:
        """A mixture of ten Gaussians."""
        x = self.rows if x is None else x
        reg_covar = 1e-3

        def peer() -> None:
            with warnings.catch_warnings():  # it is stopped early on purpose
                warnings.simplefilter("ignore", ConvergenceWarning)
                GaussianMixture(
                    10,
                    covariance_type=covariance,
                    max_iter=iterations,
                    tol=0,
                    reg_covar=reg_covar,
                ).fit(x)

        overrides = ["model=gmm", "n_components=10", "n_init=1", f"covariance={covariance}"]
        overrides += ["tol=0", f"epochs={iterations}", f"reg_covar={reg_covar}"]
        return Row(
            f"gmm, 10 {covariance}, {x.shape[1]} values, {iterations} iterations",
            self.training(*overrides, data=data),
            "scikit-learn",
            peer,
            goal=goal,
        )

    def gradient(self) -> Iterator[Row]:
        """Models that descend a gradient, against loops written by hand."""
        constant = ["schedule=constant", "lr=1e-3"]
        mlp = ["model=vae", "latent_dim=20", "network=mlp", "hidden=[400]", "activation=relu"]
        mlp += ["batch_size=128", "epochs=1", *constant]
        ours, n = self.training(*mlp), len(self.x)
        bare = self.by_hand(peers.train_vae, n, 128, *mlp)
        yield Row("vae, 784-400-20, an epoch", ours, "a loop in memory", bare, 1.05)

        def from_loader() -> None:
            batches = peers.from_loader(self.root, n, 128)
            vae: Any = build(self.config(*mlp), self.data)
            peers.train_vae(vae, batches)

        yield Row("vae, 784-400-20, an epoch", ours, "a DataLoader loop", from_loader, 0.35)
        few = self.data._replace(splits={"train": self.data.train.first(6400)})
        for name, train in (
            ("vae", peers.train_vae),
            ("gan", peers.train_gan),
            ("wgan", peers.train_wgan),
        ):
            conv = [f"model={name}", "network=conv", "batch_size=64", *constant]
            conv += ["epochs=1"] if name == "vae" else ["steps=100"]
            yield Row(
                f"{name}, convolutions, 100 steps of 64 images",
                self.training(*conv, data=few),
                "a loop in memory",
                self.by_hand(train, 6400, 64, *conv),
                1.05,
            )
        binary = self.config(*mlp, "dataset.binarize=static")  # its likelihood is defined
        images = load_data(binary["dataset"], CPU)
        vae: Any = build(binary, images)
        x = images.train.first(1000).values()
        yield Row(
            "vae, bound of 1,000 images by 1,000 draws each",
            lambda: no_grad(lambda: vae.log_prob(x, 1000)),
            "a loop over images",
            lambda: peers.importance_weighted(vae, x, 1000),
            0.5,
        )

    def commands(self) -> Iterator[Row]:
        """Whole commands, a sweep, the card; and how time and memory grow."""
        mnist = ["dataset=mnist", f"dataset.root={self.root}"]
        yield Row(
            "genbench model=pca dataset=mnist evaluation=none",
            self.command("model=pca", *mnist, "evaluation=none"),
            "imports",
            lambda: subprocess.run([sys.executable, "-c", IMPORTS], check=True),
            1.5,
            "seconds beyond",
        )
        sweep = ["-m", "model=pca,vae", "epochs=1", "seed=0,1,2,3,4,5,6,7"]
        sweep += ["evaluation=none"]
        yield Row(
            "a sweep of 16 short runs on digits",
            self.command(*sweep),
            "one at a time",
            self.command(*sweep, "jobs=1"),
            0.55,
        )
        model = build(self.config("model=pca"), self.data)
        fit_model(model, self.data, NullRecorder(), model.settings)
        yield Row(
            "card of pca, 10,000 points",
            lambda: measure(model, self.data),
            goal=20,
            figure="seconds",
        )
        epochs = ["model=vae", "network=mlp", "schedule=constant"]
        short, long = (self.training(*epochs, f"epochs={e}") for e in (1, 4))
        yield Row(
            "vae, four epochs", long, "four times one", lambda: [short() for _ in range(4)], 1.1
        )
        half = self.data._replace(splits={"train": self.data.train.first(len(self.x) // 2)})
        shorter = self.training(*epochs, "epochs=1", data=half)
        yield Row(
            "vae, all images", short, "twice half of them", lambda: [shorter(), shorter()], 1.1
        )

        def run_of(epochs: int, folder: str) -> subprocess.Popen:
            given = ["model=vae", f"epochs={epochs}", "evaluation=none", "hydra.run.dir=."]
            command = [sys.executable, "-m", "genbench", *given]
            return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)

        def in_new_folder(epochs: int) -> Work:
            return lambda: run_of(epochs, tempfile.mkdtemp())

        yield Row(
            "peak memory of vae on digits, 40 epochs",
            in_new_folder(40),
            "4 epochs",
            in_new_folder(4),
            1.05,
            measure=peak_memory,
        )


def no_grad(work: Work) -> None:
    """Do some work without recording gradients."""
    with torch.no_grad():
        work()


def measure(model: Model, data: Data) -> None:
    """All measures of a model, on new samples."""
    s = model.settings
    card(Evaluation(model, data, final(model, data, s.batch_size, s.seed), "full"))

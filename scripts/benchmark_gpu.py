"""Time genbench on a GPU, in about five minutes, with MNIST.

    python scripts/benchmark_gpu.py --root FOLDER_ABOVE_MNIST [--json FILE] [--rounds 3]

An epoch of each model is timed against a loop written by hand, over images on the card and over
those of a DataLoader, and with other settings of `precision` and `compile`; 64 runs that train
together against one and against 64 times one; k-means and a mixture against scikit-learn on the
machine's CPU. Each figure is the median of so many rounds, with the least and the largest. The
first call of each kind, which loads kernels or compiles, is left out.
"""

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import benchmark_peers as peers
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from genbench.config.compose import resolved
from genbench.config.registry import builtin_registry
from genbench.data.loading import load_data
from genbench.data.types import Data
from genbench.experiment import build
from genbench.training.gradient import GradientModel
from genbench.training.loop import NullRecorder, fit_model, fit_work
from genbench.training.meter import Meter
from genbench.training.together import together

GPU = torch.device("cuda")
CONSTANT = ["schedule=constant", "lr=1e-3", "epochs=1"]
MLP = ["model=vae", "latent_dim=20", "network=mlp", "hidden=[400]", "activation=relu"]
MLP += ["batch_size=128", *CONSTANT]
CONV = ["model=vae", "network=conv", "batch_size=128", *CONSTANT]
WGAN = ["model=wgan", "network=conv", "batch_size=256", *CONSTANT]


class Bench:
    """MNIST on the card, and what was measured with it."""

    def __init__(self, root: str, rounds: int) -> None:
        self.root, self.rounds, self.registry = root, rounds, builtin_registry()
        self.data = self.loaded(self.config("model=vae"))
        self.found: list[dict[str, Any]] = []

    def config(self, *overrides: str) -> dict[str, Any]:
        """The settings of a run on MNIST."""
        words = [*overrides, "dataset=mnist", f"dataset.root={self.root}", "device=cuda"]
        return resolved(words, self.registry)

    def loaded(self, config: dict[str, Any]) -> Data:
        """The training images."""
        data = load_data(config["dataset"], GPU)
        return data._replace(splits={"train": data.train})

    def measure(self, name: str, work: Callable[[], object], once: bool = False) -> None:
        """Print and keep how long some work takes."""
        seconds: list[float] = []
        try:
            if not once:
                work()
            for _ in range(1 if once else self.rounds):
                torch.cuda.synchronize()
                began = time.perf_counter()
                work()
                torch.cuda.synchronize()
                seconds.append(time.perf_counter() - began)
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            self.found.append({"name": name, "error": str(error)[:300]})
            return
        median = statistics.median(seconds)
        print(f"{name}: {median:.4g} s ({min(seconds):.4g} to {max(seconds):.4g})", flush=True)
        row = {"name": name, "seconds": median, "least": min(seconds), "largest": max(seconds)}
        self.found.append(row)

    def epoch(self, *overrides: str) -> Callable[[], object]:
        """An epoch of steps of a new model, with the means of its terms."""
        model = build(self.config(*overrides), self.data)
        assert isinstance(model, GradientModel)
        model.setup(self.data.train, seed=0, steps=10**6)

        def work() -> None:
            meter = Meter()
            for batch in self.data.train.batches(model.settings.batch_size, order=0):
                meter.add(model.step(batch), len(batch.x))
            meter.means()

        return work

    def fit(self, *overrides: str) -> Callable[[], object]:
        """Fits a new model."""
        config = self.config(*overrides)

        def work() -> None:
            model = build(config, self.data)
            fit_model(model, self.data, NullRecorder(), model.settings)

        return work

    def epochs(self, name: str, words: list[str], train: Callable[[Any, Any], None]) -> None:
        """An epoch of genbench in each precision, and those of loops written by hand."""
        x = self.data.train.values()
        model: Any = build(self.config(*words), self.data)
        size = model.settings.batch_size
        torch.backends.cudnn.allow_tf32 = False  # as precision=float32 has it
        self.measure(f"{name}, loop in memory", lambda: train(model, peers.in_memory(x, size)))
        torch.backends.cudnn.allow_tf32 = True
        for more in ([], ["precision=tf32"], ["precision=bf16"]):
            self.measure(f"{name}, genbench {' '.join(more)}", self.epoch(*words, *more))

        def from_loader() -> None:
            train(model, peers.from_loader(self.root, len(x), size, "cuda"))

        self.measure(f"{name}, DataLoader loop", from_loader, once=True)

    def joint(self, count: int) -> None:
        """Runs that differ in beta and seed, together."""
        words = [w for w in MLP if not w.startswith("epochs")]
        data = self.data._replace(splits={"train": self.data.train.first(12_800)})
        configs = [
            self.config(*words, "steps=100", f"seed={i}", f"beta={1 + i}") for i in range(count)
        ]

        def work() -> None:
            models = [build(config, data) for config in configs]
            runs = together(fit_work(m, data, NullRecorder(), m.settings) for m in models)
            assert not any(run.error for run in runs), runs[0].error

        self.measure(f"{count} runs of vae together, 100 steps", work)

    def classical(self) -> None:
        """K-means and a mixture on the card against scikit-learn on the CPU, which takes longer."""
        x = self.data.train.values().flatten(1).cpu().numpy()
        kmeans = ["model=kmeans", "n_components=100", "n_init=1", "epochs=20", "tol=0"]
        self.measure("kmeans, 100 centres, genbench", self.fit(*kmeans))
        gmm = ["model=gmm", "n_components=10", "n_init=1", "covariance=diag", "tol=0"]
        gmm += ["epochs=10", "reg_covar=1e-3"]
        self.measure("gmm, 10 diag, genbench", self.fit(*gmm))
        peer = KMeans(100, n_init=1, max_iter=20, tol=0)
        self.measure("kmeans, 100 centres, scikit-learn", lambda: peer.fit(x), once=True)
        mixture = GaussianMixture(10, covariance_type="diag", max_iter=10, tol=0, reg_covar=1e-3)
        with warnings.catch_warnings():  # it is stopped early on purpose
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.measure("gmm, 10 diag, scikit-learn", lambda: mixture.fit(x), once=True)


def main() -> None:
    """Measure all, and write it where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
    bench = Bench(os.path.abspath(given.root), given.rounds)
    try:
        for count in (1, 8, 64):
            bench.joint(count)
        kinds: dict[str, tuple[list[str], Callable[[Any, Any], None]]] = {
            "vae 784-400-20": (MLP, peers.train_vae),
            "vae of convolutions": (CONV, peers.train_vae),
            "wgan of convolutions": (WGAN, peers.train_wgan),
        }
        for name, (words, train) in kinds.items():
            bench.epochs(name, words, train)
        bench.classical()
        for name, (words, _) in kinds.items():
            bench.measure(f"{name}, genbench compile=true", bench.epoch(*words, "compile=true"))
    finally:
        if given.json:
            facts = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
            given.json.write_text(json.dumps(facts | {"figures": bench.found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

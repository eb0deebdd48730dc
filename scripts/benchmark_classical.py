"""Rows of the benchmark: classical models against scikit-learn's, from starts of their own."""

import warnings
from functools import partial

import numpy as np
import torch
from benchmark_rows import Bench, Round, Row, in_turn
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from genbench.data.types import Data, DataSpec, Split
from genbench.experiment import build
from genbench.training.loop import NullRecorder, fit_model

REG_COVAR = 1e-3
FEW_CENTRES = ["model=kmeans", "n_components=20", "n_init=1", "tol=0"]


def pca(bench: Bench) -> Round:
    """The fit of 20 components."""
    rows = bench.rows
    return in_turn(bench.training("model=pca", "latent_dim=20"), lambda: PCA(20).fit(rows))


def kmeans(bench: Bench) -> Round:
    """The fit from one start."""
    words = ["model=kmeans", "n_components=100", "n_init=1", "epochs=20", "tol=0"]
    rows = bench.rows
    return in_turn(
        bench.training(*words), lambda: KMeans(100, n_init=1, max_iter=20, tol=0).fit(rows)
    )


def projected(bench: Bench) -> Data:
    """The training images projected on 50 principal components, by scikit-learn."""
    rows = PCA(50).fit_transform(bench.rows.astype(np.float64))
    train = Split(torch.from_numpy(rows), None)
    return Data("projected", {"train": train}, DataSpec((50,), unit=False))


def mixture(covariance: str, iterations: int, is_projected: bool, bench: Bench) -> Round:
    """The fit of ten Gaussians from one start, stopped early on purpose."""
    data = projected(bench) if is_projected else bench.data
    rows = data.train.values().flatten(1).numpy()
    words = ["model=gmm", "n_components=10", "n_init=1", f"covariance={covariance}"]
    words += ["tol=0", f"epochs={iterations}", f"reg_covar={REG_COVAR}"]
    peer = GaussianMixture(
        10, covariance_type=covariance, max_iter=iterations, tol=0, reg_covar=REG_COVAR
    )

    def fit_peer() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer.fit(rows)

    return in_turn(bench.training(*words, data=data), fit_peer)


def kde(bench: Bench) -> Round:
    """The log-likelihood, which scikit-learn begins by building a tree."""
    data = projected(bench)
    x = data.train.values()
    rows = x.numpy()
    model = build(bench.config("model=kde", "bandwidth=1"), data)
    fit_model(model, data, NullRecorder(), model.settings)
    return in_turn(
        lambda: model.log_prob(x[:1000]),
        lambda: KernelDensity(bandwidth=1).fit(rows).score_samples(rows[:1000]),
    )


def kmeans_points(bench: Bench) -> Round:
    """Ten iterations on all images, and twice on half of them."""
    half = bench.training(*FEW_CENTRES, "epochs=10", data=bench.few(len(bench.x) // 2))
    return in_turn(bench.training(*FEW_CENTRES, "epochs=10"), lambda: [half(), half()])


def kmeans_epochs(bench: Bench) -> Round:
    """Forty iterations, and four times ten."""
    ten = bench.training(*FEW_CENTRES, "epochs=10")
    return in_turn(bench.training(*FEW_CENTRES, "epochs=40"), lambda: [ten() for _ in range(4)])


SKLEARN = "scikit-learn"
ROWS = [
    Row("pca, 20 components", SKLEARN, 0.9, pca),
    Row("kmeans, 100 centres, k-means++ and 20 iterations", SKLEARN, 0.4, kmeans),
    *(
        Row(
            f"gmm, 10 {covariance}, {50 if is_projected else 784} values, {iterations} iterations",
            SKLEARN,
            goal,
            partial(mixture, covariance, iterations, is_projected),
        )
        for covariance, iterations, is_projected, goal in (
            ("diag", 10, False, 0.8),
            ("spherical", 10, False, 0.8),
            ("full", 2, False, 0.8),
            ("full", 20, True, 0.3),
        )
    ),
    Row("kde, log-likelihood of 1,000 points of 50 values", SKLEARN, 0.05, kde),
    Row("kmeans, 20 centres, all images", "twice half of them", 1.1, kmeans_points),
    Row("kmeans, 20 centres, 40 iterations", "four times 10", 1.1, kmeans_epochs),
]

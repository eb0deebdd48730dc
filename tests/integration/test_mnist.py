"""Slow checks on real MNIST, read from $GENBENCH_DATA/MNIST/raw. Run with: pytest -m slow"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.configs import Nowhere, config_of

from genbench.config.declarations import typed
from genbench.data.loading import load_data
from genbench.data.types import Batch, Data, DataSpec, Split
from genbench.experiment import build
from genbench.training.loop import fit_model
from genbench.training.objective import means

ROOT = os.environ.get("GENBENCH_DATA", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ROOT, reason="set GENBENCH_DATA to the folder that holds MNIST/raw"),
]
CPU = torch.device("cpu")
FORMS = ["full", "tied", "diag", "spherical"]


@pytest.fixture(scope="module")
def mnist():
    return load_data(config_of("pca", f"dataset.root={ROOT}", dataset="mnist")["dataset"], CPU)


@pytest.fixture(scope="module")
def projected(mnist):
    """The training images' first 50 principal components, in double precision [55000, 50]."""
    from sklearn.decomposition import PCA

    return PCA(50, svd_solver="full").fit_transform(
        mnist.train.values().flatten(1).double().numpy()
    )


def vectors(x):
    return Data(
        "vectors", {"train": Split(torch.tensor(x), None)}, DataSpec((x.shape[1],), unit=False)
    )


class Doubles(Split):
    """A part that keeps double precision, so that both programs see the very same numbers."""

    def values(self, index=slice(None)):
        return self.raw[index]


def advance(model, x, count):
    """`count` passes over x, then the objective of the parameters they end with."""
    for _ in range(count):
        for part in torch.tensor(x).split(5000):
            model.step(Batch(part, None))
        model.end_epoch()
    model.sums, model.seen = {}, 0
    return sum(
        float(next(iter(model.evaluate(Batch(p, None), None).values()))) * len(p)
        for p in torch.tensor(x).split(5000)
    ) / len(x)


def test_pca_equals_scikit_learn(mnist):
    from sklearn.decomposition import PCA

    config = config_of("pca", "latent_dim=50", f"dataset.root={ROOT}", dataset="mnist")
    model = build(config, mnist)
    fit_model(model, mnist, Nowhere(), typed(config))
    theirs = PCA(50, svd_solver="full").fit(mnist.train.values().flatten(1).double().numpy())
    y = mnist.splits["test"].values().flatten(1).double().numpy()
    error = np.square(y - theirs.inverse_transform(theirs.transform(y))).sum(1).mean()
    print(
        f"explained {float(model.explained_variance):.8f} theirs {theirs.explained_variance_ratio_.sum():.8f}"
    )
    assert float(model.explained_variance) == pytest.approx(
        theirs.explained_variance_ratio_.sum(), rel=1e-4
    )
    assert means(model, mnist.splits["test"], 5000, 0)["squared_error"] == pytest.approx(
        error, rel=1e-4
    )


def test_kmeans_equals_scikit_learn(mnist):
    from sklearn.cluster import KMeans

    x = mnist.train.values().flatten(1).double().numpy()
    start = x[np.random.default_rng(0).choice(len(x), 10, replace=False)]
    theirs = KMeans(10, init=start, n_init=1, max_iter=5, tol=0, algorithm="lloyd").fit(x)
    model = build(config_of("kmeans", "n_components=10", "n_init=1", dataset="moons"), vectors(x))
    model.centres[0] = torch.tensor(start)
    ours = advance(model, x, 5)
    print(f"inertia {ours:.8f} theirs {theirs.inertia_ / len(x):.8f}")
    assert ours == pytest.approx(theirs.inertia_ / len(x), rel=1e-4)


def gmm_against_scikit_learn(x, covariance, k=10, reg=1e-3):
    from sklearn.mixture import GaussianMixture

    config = config_of(
        "gmm", f"n_components={k}", f"covariance={covariance}", f"reg_covar={reg}", dataset="moons"
    )
    model = build(config, vectors(x))
    model.initialise(Doubles(torch.tensor(x), None), seed=0)
    covariances = model.mixture.covariances
    precisions = (
        1 / covariances.squeeze(-1)
        if covariance in ("diag", "spherical")
        else torch.linalg.inv(covariances)
    )
    theirs = GaussianMixture(
        k,
        covariance_type=covariance,
        reg_covar=reg,
        weights_init=model.mixture.weights.numpy(),
        means_init=model.mixture.means.numpy().copy(),
        precisions_init=precisions.numpy(),
        tol=0,
        max_iter=5,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # five iterations do not converge, as intended
        theirs.fit(x)
    ours = -advance(model, x, 5)
    print(f"{covariance}: log-likelihood {ours:.8f} theirs {theirs.score(x):.8f}")
    assert ours == pytest.approx(theirs.score(x), rel=1e-4)


@pytest.mark.parametrize("covariance", FORMS)
def test_gmm_equals_scikit_learn_on_principal_components(projected, covariance):
    gmm_against_scikit_learn(projected, covariance)


def test_gmm_equals_scikit_learn_on_pixels(mnist):
    gmm_against_scikit_learn(mnist.train.values().flatten(1).double().numpy(), "diag")


def test_gmm_finds_optima_as_good_as_scikit_learns(projected):
    from sklearn.mixture import GaussianMixture

    x = projected
    theirs = (
        GaussianMixture(10, n_init=3, reg_covar=1e-6, random_state=0, max_iter=200).fit(x).score(x)
    )
    config = config_of(
        "gmm",
        "n_components=10",
        "n_init=3",
        "reg_covar=1e-6",
        "tol=1e-5",
        "epochs=200",
        dataset="moons",
    )
    data = vectors(x)
    model = build(config, data)
    fit_model(
        model,
        Data("vectors", {"train": Doubles(torch.tensor(x), None)}, data.spec),
        Nowhere(),
        typed(config),
    )
    ours = float(model.log_prob(torch.tensor(x)).mean())
    print(f"best of three starts: log-likelihood {ours:.6f} theirs {theirs:.6f}")
    assert ours >= theirs - 0.5


def test_vae_reaches_the_published_bound(mnist):
    """pytorch/examples reports 106.66 on the test images after seven epochs of this network on 60,000 images."""
    overrides = [
        "latent_dim=20",
        "hidden=[400]",
        "batch_size=128",
        "lr=1e-3",
        "epochs=10",
        f"dataset.root={ROOT}",
    ]
    config = config_of("vae", *overrides, dataset="mnist")
    model = build(config, mnist)
    fit_model(model, mnist, Nowhere(), typed(config))
    found = means(model, mnist.splits["test"], 1000, 0)["negative_elbo"]
    print(f"negative ELBO on {len(mnist.splits['test']):,} test images: {found:.3f}")
    assert found <= 106.0


def test_the_loop_costs_little_beyond_the_mathematics(tmp_path):
    """Training takes hardly longer than a bare loop over images in memory, and less than the loop
    that tutorials show.
    """
    script = Path(__file__).resolve().parent.parent.parent / "scripts" / "benchmark.py"
    words = ["--root", ROOT, "--only", "784-400-20", "--json", str(tmp_path / "rows.json")]
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    ratio = {row["peer"]: row["median"] for row in rows}
    assert ratio["a loop in memory"] <= 1.15
    assert ratio["a DataLoader loop"] <= 1.0

"""PCA, k-means and mixtures against scikit-learn, SciPy and closed forms."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.configs import Nowhere, config_of
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans as TheirKMeans
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA as TheirPCA
from sklearn.mixture import GaussianMixture

from genbench.config.declarations import typed
from genbench.data.loading import load_data
from genbench.data.types import Batch, Data, DataSpec, Split
from genbench.experiment import build
from genbench.models.kmeans import KMeans
from genbench.training.loop import fit_model
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return load_data(config_of("pca")["dataset"], CPU)


def blobs(n=600, seed=0):
    """Three elongated clusters in four dimensions, far from the origin."""
    rng = np.random.default_rng(seed)
    shapes = [rng.normal(size=(4, 4)) * s for s in (0.2, 0.5, 1.0)]
    centres = 100 + 4 * rng.normal(size=(3, 4))
    return np.concatenate([c + rng.normal(size=(n // 3, 4)) @ a for c, a in zip(centres, shapes)])


def data_of(x):
    part = Split(torch.tensor(x, dtype=torch.float32), None)
    return Data("made", {"train": part}, DataSpec((x.shape[1],), unit=False))


def passes(model, x, count, batch=97):
    """The objective at the start of each pass over x, and after the last."""
    found = []
    model.setup(data_of(x).train, seed=0, steps=count)
    for _ in range(count):
        for start in range(0, len(x), batch):
            model.step(Batch(torch.tensor(x[start : start + batch]), None))
        found.append(float(next(iter(model.end_epoch().values()))))
    evaluated = model.evaluate(Batch(torch.tensor(x), None), None)
    return [*found, float(next(iter(evaluated.values())))]


def built(name, x, *overrides):
    return build(config_of(name, *overrides, dataset="moons"), data_of(x))


@pytest.mark.parametrize("points", [None, 40])  # more than the 64 values of each, and fewer
def test_pca_equals_scikit_learn_and_the_svd(digits, points):
    digits = digits._replace(splits=digits.splits | {"train": digits.train.first(points)})
    config = config_of(
        "pca", "latent_dim=12", "batch_size=100" if points is None else "batch_size=7"
    )
    model = build(config, digits)
    fit_model(model, digits, Nowhere(), typed(config))
    x = digits.train.values().flatten(1).double().numpy()
    theirs = TheirPCA(12, svd_solver="full").fit(x)
    assert float(model.explained_variance) == pytest.approx(
        theirs.explained_variance_ratio_.sum(), rel=1e-9
    )
    np.testing.assert_allclose(
        model.eigenvalues[:12] * len(x) / (len(x) - 1), theirs.explained_variance_, rtol=1e-9
    )
    vectors = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:12]
    np.testing.assert_allclose(np.abs((model.components.numpy() * vectors).sum(1)), 1, rtol=1e-9)
    assert (model.components.gather(1, model.components.abs().argmax(1, keepdim=True)) > 0).all()
    y = digits.splits["test"].values()
    again = theirs.inverse_transform(theirs.transform(y.flatten(1).double().numpy()))
    np.testing.assert_allclose(model.decode(model.encode(y)).flatten(1).numpy(), again, atol=1e-5)


def test_probabilistic_pca_is_the_gaussian_it_says():
    x = blobs()
    data, config = (
        data_of(x),
        config_of("pca", "latent_dim=2", "dataset.val_size=0", dataset="moons"),
    )
    model = build(config, data)
    for batch in data.train.batches(50):
        model.step(batch)
    model.end_epoch()
    values, vectors = np.linalg.eigh(np.cov(data.train.raw.double().numpy().T, bias=True))
    noise = values[:2].mean()
    covariance = vectors[:, 2:] @ np.diag(values[2:] - noise) @ vectors[:, 2:].T + noise * np.eye(4)
    exact = multivariate_normal(data.train.raw.double().mean(0), covariance)
    np.testing.assert_allclose(
        model.log_prob(data.train.raw), exact.logpdf(data.train.raw.double().numpy()), rtol=1e-6
    )
    drawn = model.sample(200_000, generator(0)).double().numpy()
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.02 * values.max())


def learnt(name, x, *overrides):
    model = built(name, x, *overrides)
    for start in range(0, len(x), 50):
        model.step(Batch(torch.tensor(x[start : start + 50]), None))
    model.end_epoch()
    return model


def test_pca_with_every_component_is_the_maximum_likelihood_gaussian():
    x = blobs()
    exact = multivariate_normal(x.mean(0), np.cov(x.T, bias=True))
    np.testing.assert_allclose(
        learnt("pca", x, "latent_dim=4").log_prob(torch.tensor(x)), exact.logpdf(x), rtol=1e-6
    )
    flat = learnt("pca", x * [1, 1, 1, 0], "latent_dim=4")
    assert not hasattr(flat, "log_prob")  # no variance in one direction: no density
    constant = learnt("pca", np.ones((20, 3)), "latent_dim=2")
    assert float(constant.explained_variance) == 1
    assert torch.equal(constant.decode(constant.encode(torch.ones(2, 3))), torch.ones(2, 3))


def test_kmeans_equals_scikit_learn_from_the_same_start():
    x = blobs()
    start = x[[0, 1, 250]]
    model = built("kmeans", x, "n_components=3", "n_init=1")
    model.centres[0] = torch.tensor(start)
    found = passes(model, x, 5)
    theirs = TheirKMeans(3, init=start, n_init=1, max_iter=5, tol=0, algorithm="lloyd").fit(x)
    assert found[-1] * len(x) == pytest.approx(theirs.inertia_, rel=1e-9)
    np.testing.assert_allclose(model.centres[0], theirs.cluster_centers_, rtol=1e-9)
    assert (model.encode(torch.tensor(x)).numpy() == theirs.labels_).all()
    assert all(b <= a for a, b in pairwise(found))


@pytest.mark.parametrize("smallest", [1e-2, 1e-4])  # 1e-8 of the largest variance needs double
def test_pca_of_many_values_equals_the_svd(smallest):
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(200, 200)))[0]
    scales = np.geomspace(1, smallest, 200)
    x = (10 + rng.normal(size=(2000, 200)) * scales @ axes).astype(np.float32)
    data, config = data_of(x), config_of("pca", "latent_dim=150", dataset="moons")
    model = build(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    exact = x.astype(np.float64)
    singular = np.linalg.svd(exact - exact.mean(0), compute_uv=False)
    np.testing.assert_allclose(model.eigenvalues[:150], singular[:150] ** 2 / 2000, rtol=1e-4)
    assert float(model.noise) == pytest.approx((singular[150:] ** 2 / 2000).mean(), rel=1e-3)


def test_kmeans_of_many_values_equals_scikit_learn_from_the_same_start():
    rng = np.random.default_rng(0)
    x = (100 + rng.normal(size=(5, 1, 200)) + rng.normal(size=(5, 200, 200))).reshape(-1, 200)
    x = x.astype(np.float32)
    start = x[[0, 1, 250, 600, 999]]
    model = built("kmeans", x, "n_components=5", "n_init=1")
    model.centres[0] = torch.tensor(start)
    found = passes(model, x, 5)
    theirs = TheirKMeans(5, init=start, n_init=1, max_iter=5, tol=0, algorithm="lloyd").fit(
        x.astype(np.float64)
    )
    assert found[-1] * len(x) == pytest.approx(theirs.inertia_, rel=1e-6)
    np.testing.assert_allclose(model.centres[0], theirs.cluster_centers_, rtol=1e-6)
    assert (model.encode(torch.tensor(x)).numpy() == theirs.labels_).all()
    data, config = data_of(x), config_of("kmeans", "n_components=5", "n_init=2", dataset="moons")
    model = build(config, data)
    assert fit_model(model, data, Nowhere(), typed(config)).epochs < 50 and model.converged


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_kmeans_from_batches_comes_as_near_to_the_points_as_scikit_learn_does(digits, seed):
    x = digits.train.values().flatten(1).numpy()
    model = built("kmeans-minibatch", x, "n_components=10", "epochs=10", f"seed={seed}")
    fit_model(model, data_of(x), Nowhere(), model.settings)
    theirs = MiniBatchKMeans(10, batch_size=128, n_init=3, max_iter=10, random_state=seed).fit(x)
    points = torch.tensor(x, dtype=torch.float32)
    assert float(model.distances(points).amin(1).mean()) < 1.04 * theirs.inertia_ / len(x)
    assert float(model.sizes.sum()) == pytest.approx(1)
    assert float(model.met.sum()) == 10 * len(x)


def test_a_centre_is_the_mean_of_all_points_that_chose_it():
    x = blobs()
    model = built("kmeans-minibatch", x, "n_components=3")
    model.setup(data_of(x).train, seed=0, steps=20)
    model.initialise(data_of(x).train, seed=0)
    chose = [[], [], []]
    for batch in data_of(x).train.batches(50):
        for point, centre in zip(batch.x.double(), model.encode(batch.x), strict=True):
            chose[int(centre)].append(point)
        model.step(batch)
    means = torch.stack([torch.stack(points).mean(0) for points in chose])
    torch.testing.assert_close(model.centres, means, rtol=1e-12, atol=1e-12)


def test_pca_keeps_no_more_of_many_points_than_of_few():
    def kept(state):
        return sum(torch.as_tensor(v).numel() for v in state.values() if not isinstance(v, list))

    sizes = []
    for batches in (1, 30):
        x = np.random.default_rng(0).normal(size=(50 * batches, 8))
        model = built("pca", x, "latent_dim=2")
        model.setup(data_of(x).train, seed=0, steps=batches)
        for batch in data_of(x).train.batches(50):
            model.step(batch)
        state = model.training_state()
        assert state["seen"] == []
        sizes.append(kept(state))
    assert sizes[0] == sizes[1]


def test_kmeans_moves_an_empty_cluster_to_the_farthest_point():
    x = np.array([[0.0], [0.1], [0.2], [9.0]])
    model = built("kmeans", x, "n_components=2", "n_init=1")
    model.centres[0] = torch.tensor([[0.0], [1000.0]])
    passes(model, x, 1, batch=2)
    # The centre of all four points, and the one farthest from where the centre was.
    assert sorted(model.centres[0].flatten().tolist()) == [pytest.approx(2.325), 9.0]
    assert passes(model, x, 3)[-1] == pytest.approx(0.02 / 4)


def test_empty_clusters_move_alike_whatever_the_batch():
    x = np.array([[float(i**2)] for i in range(12)])
    found = []
    for batch in (1, 2, 5, 12):
        model = built("kmeans", x, "n_components=5", "n_init=1")
        model.centres[0] = torch.tensor([[0.0], [1e6], [2e6], [3e6], [4e6]])
        passes(model, x, 1, batch=batch)
        found.append(model.centres[0].flatten().tolist())
    assert all(f == pytest.approx(found[0]) for f in found) and sorted(found[0])[1:] == [
        64,
        81,
        100,
        121,
    ]


def test_kmeans_of_equal_points_is_finite_and_ends():
    x = np.ones((20, 2))
    model = built("kmeans", x, "n_components=3", "n_init=2")
    model.initialise(data_of(x).train, seed=0)
    assert passes(model, x, 3)[-1] == 0 and model.centres.isfinite().all() and model.converged


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_gmm_equals_scikit_learn_from_the_same_start(covariance):
    x = blobs()
    model = built("gmm", x, "n_components=3", f"covariance={covariance}", "reg_covar=1e-6")
    model.initialise(data_of(x).train, seed=0)
    covariances = model.mixture.covariances
    precisions = (
        1 / covariances.squeeze(-1)
        if covariance in ("diag", "spherical")
        else torch.linalg.inv(covariances)
    )
    theirs = GaussianMixture(
        3,
        covariance_type=covariance,
        reg_covar=1e-6,
        weights_init=model.mixture.weights.numpy(),
        means_init=model.mixture.means.numpy().copy(),
        precisions_init=precisions.numpy(),
        tol=0,
        max_iter=5,
    )
    with pytest.warns(match="did not converge"):
        theirs.fit(x)
    found = passes(model, x, 5)
    assert -found[-1] == pytest.approx(theirs.score(x), rel=1e-9)
    np.testing.assert_allclose(model.mixture.means, theirs.means_, rtol=1e-8)
    np.testing.assert_allclose(
        model.mixture.covariances.squeeze(-1), theirs.covariances_, rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(model.encode(torch.tensor(x)), theirs.predict_proba(x), atol=1e-6)
    assert all(b <= a + 1e-12 for a, b in pairwise(found)), "the likelihood never falls"
    sampled = model.sample(200_000, generator(0)).double()
    within = sum(
        w * (np.atleast_2d(c) if covariance in ("full", "tied") else np.diag(np.broadcast_to(c, 4)))
        for w, c in zip(
            theirs.weights_,
            theirs.covariances_ if covariance != "tied" else [theirs.covariances_] * 3,
        )
    )
    mean = theirs.weights_ @ theirs.means_
    between = (theirs.weights_[:, None] * (theirs.means_ - mean)).T @ (theirs.means_ - mean)
    np.testing.assert_allclose(
        np.cov(sampled.T.numpy()), within + between, atol=0.02 * np.abs(between).max()
    )


def test_one_component_is_the_maximum_likelihood_gaussian():
    x = blobs()
    model = built("gmm", x, "n_components=1", "reg_covar=0")
    model.initialise(data_of(x).train, seed=0)
    passes(model, x, 1)
    exact = multivariate_normal(x.mean(0), np.cov(x.T, bias=True)).logpdf(x)
    np.testing.assert_allclose(model.log_prob(torch.tensor(x)), exact, rtol=1e-6)


def test_gmm_recovers_a_known_mixture():
    config = config_of("gmm", "n_components=3", "tol=1e-6", "device=cpu", dataset="gaussians")
    data = load_data(config["dataset"], CPU)
    model = build(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    assert model.converged
    found = model.mixture
    order = torch.cdist(data.density.means, found.means).argmin(1)
    torch.testing.assert_close(found.means[order], data.density.means, atol=0.05, rtol=0)
    torch.testing.assert_close(found.weights[order], data.density.weights, atol=0.02, rtol=0)
    x = data.splits["test"].values()
    # No model beats the truth on average by more than chance on 10,000 points.
    gap = (data.density.log_prob(x) - model.log_prob(x)).mean()
    assert -0.01 < float(gap) < 0.01


def test_gmm_fits_narrow_modes_with_default_settings():
    config = config_of("gmm", "n_components=8", "n_init=3", "device=cpu", dataset="ring")
    data = load_data(config["dataset"], CPU)
    model = build(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    x = data.splits["test"].values()
    assert float((data.density.log_prob(x) - model.log_prob(x)).mean()) < 0.05


def test_em_does_not_stop_where_its_objective_rises():
    model = built("gmm", blobs(), "n_components=2")
    model.initialise(data_of(blobs()).train, seed=0)
    passes(model, blobs(), 1)
    model.objective -= (
        5  # as if the pass before had been better, which a large reg_covar can bring about
    )
    model.settled.fill_(False)
    passes(model, blobs(), 1)
    assert not model.converged


@pytest.mark.parametrize(("setting", "once"), [("binarize", "static"), ("dequantize", "true")])
def test_em_refuses_data_that_change(setting, once):
    config = config_of("kmeans", f"dataset.{setting}=dynamic", "device=cpu", dataset="digits")
    data = load_data(config["dataset"], CPU)
    with pytest.raises(
        UserError,
        match=rf"dataset\.{setting}: EM needs the same data in every epoch.*fix: dataset\.{setting}={once}",
    ):
        fit_model(build(config, data), data, Nowhere(), typed(config))


def test_more_starts_are_never_worse():
    x = blobs(seed=3)
    found = []
    for n in (1, 4):
        model = built("kmeans", x, "n_components=5", f"n_init={n}")
        model.initialise(data_of(x).train, seed=0)
        while not model.converged:
            for batch in data_of(x).train.batches(100):
                model.step(batch)
            model.end_epoch()
        found.append(float(model.objective.min()))
    assert found[1] <= found[0]


def test_a_singular_covariance_names_its_component():
    x = np.concatenate([blobs(), np.full((30, 4), 50.0)])
    for covariance in ("full", "diag", "spherical"):
        model = built("gmm", x, "n_components=4", "reg_covar=0", f"covariance={covariance}")
        with pytest.raises(UserError, match=r"reg_covar: the (co)?variance of component \d is"):
            model.initialise(data_of(x).train, seed=0)
            passes(model, x, 5)


def test_more_components_than_points_is_refused():
    for name in ("kmeans", "gmm", "kmeans-minibatch", "kmeans-sgd", "gmm-sgd"):
        with pytest.raises(
            UserError,
            match=r"n_components: must be at most 20 with 20 .* \(got 21\); fix: n_components=20$",
        ):
            built(name, np.ones((20, 2)), "n_components=21")
    for points, largest in (
        (9, 4),
        (4, 3),
    ):  # a plane through four points has no more than three directions
        with pytest.raises(
            UserError,
            match=rf"latent_dim: must be at most {largest} .* \(got 5\); fix: latent_dim={largest}$",
        ):
            built("pca", np.ones((points, 4)), "latent_dim=5")


def test_kmeans_samples_spread_as_far_as_its_points():
    x = blobs()
    config = config_of("kmeans", "n_components=1", "n_init=1", dataset="moons")
    model = build(config, data_of(x))
    assert isinstance(model, KMeans)
    model.initialise(data_of(x).train, seed=0)
    passes(model, x, 2)
    drawn = model.sample(100_000, generator(0)).double()
    assert float(drawn.var(0).sum()) == pytest.approx(float(np.var(x, 0).sum()), rel=0.02)
    assert math.isfinite(float(drawn.mean()))

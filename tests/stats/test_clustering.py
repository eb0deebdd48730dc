"""Distances, starts and iterations of k-means against NumPy and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans, kmeans_plusplus

from genbench.stats import clustering
from genbench.utils.rng import generator


def points(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def brute_force(x, centres):
    return ((x[:, None] - centres[None]) ** 2).sum(2)


def test_distances_and_nearest_centres_equal_differences():
    x, centres = points(50, 7), points(4, 7, seed=1)
    exact = brute_force(x, centres)
    x, centres = torch.tensor(x), torch.tensor(centres)
    np.testing.assert_allclose(clustering.squared_distances(x, centres), exact, rtol=1e-12)
    reduced, index = clustering.NearestCentre(centres, like=x).to(x)
    assert index.tolist() == exact.argmin(1).tolist()
    lengths = clustering.squared_lengths(x)
    np.testing.assert_allclose(reduced + lengths, exact.min(1), rtol=1e-12)
    assert (clustering.squared_distances(x, x).diagonal() >= 0).all()


def test_sums_over_clusters_are_those_of_their_points():
    x, index = points(60, 5), np.arange(60) % 4
    counts, sums = clustering.totals(torch.tensor(x), torch.tensor(index), 6)
    assert counts.tolist() == [15] * 4 + [0] * 2
    np.testing.assert_allclose(sums[:4], [x[index == k].sum(0) for k in range(4)], rtol=1e-12)
    assert not sums[4:].any()


def test_only_points_of_many_values_are_in_single_precision():
    assert clustering.distance_rows(torch.zeros(2, 1, 8, 8)).dtype == torch.float64
    rows = clustering.distance_rows(torch.zeros(2, 1, 28, 28))
    assert rows.dtype == torch.float32 and rows.shape == (2, 784)


def test_plus_plus_finds_every_far_cluster():
    centres = torch.tensor([[0.0, 0], [50, 0], [0, 50], [50, 50]])
    for seed in range(20):
        x = centres.repeat(30, 1) + torch.randn(120, 2, generator=generator(seed))
        found = x[clustering.plus_plus(x.double(), 4, generator("start", seed))]
        assert len((torch.cdist(found.float(), centres).argmin(1)).unique()) == 4


def test_plus_plus_is_exact_in_single_precision_far_from_zero():
    centres = torch.randn(4, 200, generator=generator(0))
    for seed in range(10):
        noise = 0.01 * torch.randn(120, 200, generator=generator(seed))
        x = 1e4 + centres.repeat(30, 1) + noise
        chosen = clustering.plus_plus(x, 4, generator("start", seed))
        assert sorted(chosen % 4) == [0, 1, 2, 3]


@pytest.mark.parametrize("far", [0, 100])
def test_a_sketch_of_the_points_changes_no_start(far, monkeypatch):
    rng = generator(0)
    groups = 2 * torch.randn(30, 150, generator=rng)[torch.randint(30, (900,), generator=rng)]
    x = far + groups + torch.randn(900, 150, generator=rng) * torch.linspace(2, 0.1, 150)
    exact = clustering.plus_plus(x, 40, generator(1))
    looked_at, within = [], clustering.Sketch.within

    def counted(*given):
        looked_at.append(within(*given))
        return looked_at[-1]

    monkeypatch.setattr(clustering.Sketch, "within", counted)
    monkeypatch.setattr(clustering, "SAMPLE", 500)
    assert torch.equal(clustering.plus_plus(x, 40, generator(1)), exact)
    assert sum(map(len, looked_at)) < 39 * 900 / 2  # and it does leave points out


def test_plus_plus_starts_as_near_to_the_points_as_scikit_learn_does():
    x = points(400, 3)

    def reached(centres):
        return brute_force(x, centres).min(1).mean()

    ours = [
        reached(x[clustering.plus_plus(torch.tensor(x), 12, generator(seed))]) for seed in range(60)
    ]
    theirs = [reached(kmeans_plusplus(x, 12, random_state=seed)[0]) for seed in range(60)]
    at_random = [
        reached(x[np.random.default_rng(seed).choice(400, 12, replace=False)]) for seed in range(60)
    ]
    error = 4 * np.hypot(np.std(ours), np.std(theirs)) / 60**0.5
    assert abs(np.mean(ours) - np.mean(theirs)) < error
    assert np.mean(ours) + error < np.mean(at_random)


def test_plus_plus_of_fewer_distinct_points_than_centres_returns_points():
    chosen = clustering.plus_plus(torch.ones(5, 2).double(), 4, generator(0))
    assert chosen.shape == (4,) and ((chosen >= 0) & (chosen < 5)).all()


@pytest.mark.parametrize("far", [0.0, 1e5])
def test_iterations_lead_where_those_of_scikit_learn_do(far):
    x = points(300, 4) + np.repeat(5 * points(3, 4, seed=1), 100, axis=0) + far
    found = clustering.lloyd(torch.tensor(x), 3, generator(0), iterations=30)
    theirs = KMeans(3, n_init=5, random_state=0).fit(x)
    order = brute_force(theirs.cluster_centers_ - far, found.numpy() - far).argmin(1)
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(found[order], theirs.cluster_centers_, rtol=1e-9)

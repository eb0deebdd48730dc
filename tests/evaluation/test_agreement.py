"""The report card's numbers against the packages that define them, or against other libraries' ways to the same number."""

import math
import os

import numpy as np
import pytest
import torch
from helpers.cards import CPU, made, model_with, normal, numbers
from helpers.configs import config_of
from helpers.gaussian import linear_gaussian
from helpers.published import write
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, jensenshannon, pdist
from scipy.stats import chi2_contingency, entropy
from sklearn.cluster import KMeans
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors

from genbench.config.data_folders import PUBLISHED
from genbench.data.loading import load_data
from genbench.data.readers import idx
from genbench.evaluation.card import card
from genbench.evaluation.context import Asked, Evaluation
from genbench.evaluation.features import Features
from genbench.evaluation.measures.samples_bins import BINS, cluster_points, different_bins, members
from genbench.stats.neighbours import prdc
from genbench.stats.transport import squared_sliced_wasserstein
from genbench.utils.rng import generator

# torch-fidelity is imported where it is needed: it brings all of torchvision, which takes seconds.


def hidden(n, d, seed, shift=0.0):
    """Features [n, d] such as a rectified layer has: correlated, many of them zero, and every eighth always."""
    mixed = normal(n, d, seed) @ normal(d, d, 100) / d**0.5 + shift
    return mixed.relu() * (torch.arange(d) % 8 < 7)


def found(data, samples, *names):
    """The card's numbers of a model that generates just these samples."""
    return numbers(model_with(data, sample=lambda n, rng: samples[:n]), data, *names)


def near(value, rel):
    return pytest.approx(float(value), rel=rel, abs=0)


def fid_by_eigenvalues(x, y):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    x, y = (fid_features_to_statistics(features.double()) for features in (x, y))
    return fid_statistics_to_metric(x, y, verbose=False)["frechet_inception_distance"]


def test_fid_is_that_of_torch_fidelity_and_of_a_matrix_root():
    x, y = (
        normal(300, 16, 0) @ normal(16, 16, 5),
        1.2 * normal(300, 16, 1) @ normal(16, 16, 6) + 0.3,
    )
    ours = found(made(x, x), y, "fid")["fid"]
    assert ours == near(fid_by_eigenvalues(x, y), rel=1e-10)
    a, b = (np.cov(features.double().numpy().T) for features in (x, y))
    shift = (x.double().mean(0) - y.double().mean(0)).square().sum()
    assert ours == near(shift + np.trace(a + b - 2 * sqrtm(a @ b).real), rel=1e-10)


def test_fid_of_singular_covariances_is_that_of_torch_fidelity_as_far_as_that_is_right():
    # With fewer points than features, and dead ones, most eigenvalues of the product are roundings of zero, whose roots count.
    x, y = hidden(40, 64, 0), hidden(40, 64, 1, shift=0.2)
    assert found(made(x, x), y, "fid")["fid"] == near(fid_by_eigenvalues(x, y), rel=1e-6)


def test_kid_is_that_of_torch_fidelity():
    from torch_fidelity.metric_kid import kid_features_to_metric

    x = hidden(150, 32, 0)
    for y in (hidden(150, 32, 1), hidden(150, 32, 1, shift=0.3)):
        theirs = kid_features_to_metric(
            x.double(), y.double(), kid_subsets=1, kid_subset_size=150, verbose=False
        )
        assert found(made(x, x), y, "kid")["kid"] == near(
            theirs["kernel_inception_distance_mean"], rel=1e-10
        )


@pytest.mark.parametrize("k", [3, 5])
def test_precision_and_recall_are_those_of_torch_fidelity(k):
    from torch_fidelity.metric_prc import prc_features_to_metric

    x, y = hidden(200, 16, 0), 0.7 * hidden(200, 16, 1, shift=0.4)
    theirs = prc_features_to_metric(y.double(), x.double(), prc_neighborhood=k, verbose=False)
    theirs = pytest.approx(
        {name: theirs[name] for name in ("precision", "recall")}, rel=1e-6
    )  # which are in single precision
    ours = prdc(x, y, k)
    assert {name: ours[name] for name in ("precision", "recall")} == theirs
    assert len({0, 1, *theirs.expected.values()}) == 4
    if k == 5:
        assert found(made(x, x), y, "precision", "recall") == theirs


def least_transport(x, y):
    """The squared 2-Wasserstein distance of samples [n, d] of equal size, by the cheapest of all pairings."""
    cost = cdist(x, y, "sqeuclidean")
    return cost[linear_sum_assignment(cost)].mean()


def test_sliced_wasserstein_is_the_cheapest_pairing_along_each_direction():
    x, y = normal(60, 4, 0).double(), (2 * normal(60, 4, 1) + 1).double()
    directions = torch.nn.functional.normalize(normal(9, 4, 2).double())
    expected = np.mean([least_transport((x @ t)[:, None], (y @ t)[:, None]) for t in directions])
    assert float(squared_sliced_wasserstein(x, y, directions)) == near(expected, rel=1e-12)
    line, other = x[:, :1].float(), y[:, :1].float()  # where every direction is the same
    ours = found(made(line, line), other, "sliced_wasserstein")["sliced_wasserstein"]
    assert ours == near(least_transport(line, other) ** 0.5, rel=1e-12)


def test_mmd_is_that_of_scikit_learns_kernel_at_scipys_median():
    x, y = normal(62, 5, 0), 1.3 * normal(62, 5, 1) + 0.2  # so many that a pair is in the middle
    gamma = 1 / (2 * np.median(pdist(x.double())) ** 2)
    among = [
        rbf_kernel(some.double(), gamma=gamma)[~np.eye(62, dtype=bool)].mean() for some in (x, y)
    ]
    expected = sum(among) - 2 * rbf_kernel(x.double(), y.double(), gamma=gamma).mean()
    assert found(made(x, x), y, "mmd")["mmd"] == near(expected, rel=1e-10)


@pytest.mark.parametrize("offset", [0, 1000])
def test_ndb_is_the_chi_squared_test_of_each_of_scikit_learns_clusters(offset):
    train, test = (normal(n, 6, n) + offset for n in (3000, 1000))
    samples = 0.9 * normal(1000, 6, 4) + 0.2 + offset
    fitted = KMeans(BINS, n_init=1, max_iter=20, random_state=0).fit(train)
    nearest = cdist(samples.double(), fitted.cluster_centers_).argmin(1)
    counts = [np.bincount(labels, minlength=BINS) for labels in (fitted.labels_, nearest)]
    theirs = [
        chi2_contingency([[a, 3000 - a], [b, 1000 - b]], correction=False).pvalue < 0.05
        for a, b in zip(*counts)
    ]
    ours = found(made(train, test), samples, "ndb", "bin_divergence")
    assert 20 < sum(theirs) < 80 and ours["ndb"] == sum(theirs) / BINS
    assert ours["bin_divergence"] == near(jensenshannon(*counts) ** 2, rel=1e-10)
    model = model_with(data := made(train, test), sample=lambda n, rng: samples[:n])
    (few,) = card(Evaluation(model, data, {}, asked=Asked(bins=7, level=1e-6)), ["ndb"])
    centres, bins = cluster_points(train, 7)
    labels = bins, members(samples, centres)
    tables = [
        [[int((part == k).sum()), int((part != k).sum())] for part in labels] for k in range(7)
    ]
    theirs = [chi2_contingency(table, correction=False).pvalue < 1e-6 for table in tables]
    assert (
        few["value"] == near(sum(theirs) / 7, rel=1e-12)
        and few["n"]["bins"] == 7
        and few["of"] == "at the level 1e-06"
    )


class Sorted(Features):
    """Points whose value is their class."""

    classes = 5

    def predict(self, x, among):
        return x.flatten().long()


def test_divergences_of_classes_are_scipys_entropies():
    a, b = ([0, 12, 30, 8, 50], [20, 0, 45, 5, 30])  # points and samples of each class
    x, samples = (
        torch.arange(5).repeat_interleave(torch.tensor(counts))[:, None].float()
        for counts in (a, b)
    )
    data = made(x, x)
    e = Evaluation(model_with(data, sample=lambda n, rng: samples[:n]), data, {})
    e.features = Sorted()
    ours = {
        entry["name"]: entry["value"] for entry in card(e, ["class_divergence", "class_imbalance"])
    }
    assert ours["class_divergence"] == near(entropy(np.add(b, 0.5), np.add(a, 0.5)), rel=1e-12)
    assert ours["class_imbalance"] == near(math.log(4) - entropy(b[1:]), rel=1e-12)


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1, 1000), (1e-3, 1), (1e-3, 0)])
def test_memorisation_is_by_scikit_learns_nearest_neighbours(scale, offset):
    train, test, samples = (offset + scale * normal(n, 4, n) for n in (500, 101, 102))
    samples = train[:101] + 0.1 * (samples[:101] - train[:101])
    index = NearestNeighbors(n_neighbors=1).fit(train.double())
    ours, usual = (np.median(index.kneighbors(points.double())[0]) for points in (samples, test))
    assert found(made(train, test), samples, "memorisation")["memorisation"] == near(
        ours / usual, rel=1e-7
    )


def test_copied_samples_are_the_authors_overfit_gaussians_where_parts_are_as_large():
    # Of a Gaussian around a sample, whatever its width, the likeliest point is the nearest: the share of Gaussians that
    # give a training point more than any test point is theirs of overfitting, a half by chance.
    train, test, samples = normal(400, 5, 0), normal(400, 5, 1), normal(400, 5, 2)
    samples = torch.cat([samples[:300], train[:100] + 0.3 * normal(100, 5, 3)])
    widths = torch.rand(400, generator=generator(4)).numpy() + 0.1
    fits = [
        (-(cdist(samples, points) ** 2) / (2 * widths[:, None] ** 2)).max(1)
        for points in (train, test)
    ]
    overfit = np.mean(fits[0] > fits[1])
    assert 0.5 < overfit < 0.9 and found(made(train, test), samples, "copied")["copied"] == near(
        2 * overfit - 1, rel=1e-9
    )


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 19, 32)])
def test_reconstructions_are_measured_as_scikit_image_does(shape):
    from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

    smooth = torch.nn.functional.interpolate(
        torch.rand(12, shape[0], 5, 5, generator=generator(0)), shape[1:], mode="bicubic"
    )
    x = smooth.clamp(0, 1)
    again = (
        x
        + 0.1
        * torch.randn(x.shape, generator=generator(1))
        * torch.linspace(0, 1, 12)[:, None, None, None]
    ).clamp(0, 1)
    again[0, 0, 0, 0] += (
        0.5  # no two are equal, as scikit-image's are then infinitely many decibels
    )
    data = made(x, x, unit=True)
    model = model_with(data, 3, encode=lambda x: x.flatten(1), decode=lambda z: again)
    ours = numbers(model, data, "mse", "psnr", "ssim")
    pairs = list(zip(x.double().numpy(), again.double().numpy()))
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    theirs = {
        "mse": [mean_squared_error(a, b) for a, b in pairs],
        "psnr": [peak_signal_noise_ratio(a, b, data_range=1) for a, b in pairs],
        "ssim": [
            structural_similarity(a, b, data_range=1, channel_axis=0, **window) for a, b in pairs
        ],
    }
    assert ours["mse"] == near(
        np.mean(theirs["mse"]), rel=1e-8
    )  # differences are of single precision
    assert ours["psnr"] == near(np.mean(theirs["psnr"]), rel=1e-8)
    assert ours["ssim"] == near(np.mean(theirs["ssim"]), rel=1e-10)


def test_the_importance_weighted_bound_reaches_the_likelihood_of_a_linear_gaussian_model():
    model, x, exact = linear_gaussian()
    # An encoder that gives every point the same, wide posterior is as wrong as can be, but leaves no weight unbounded.
    model.encoder[1].weight.zero_()
    model.encoder[1].bias.copy_(torch.tensor([0.1, -0.2, 0.3, 0.4]))
    data = made(x, x)
    ours = numbers(model, data, "likelihood", asked=Asked(k=5000))
    assert ours["log_prob"] == pytest.approx(exact.mean(), abs=0.01)
    assert ours["bits_per_value"] == near(-ours["log_prob"] / (4 * math.log(2)), rel=1e-12)


def test_nmi_is_the_mutual_information_over_the_mean_of_both_entropies():
    y = torch.arange(400) % 4
    cluster = torch.where(
        normal(400, 1, 0).flatten() > 0.5, torch.randint(6, (400,), generator=generator(1)), y
    )
    x = normal(400, 2, 2)
    data = made(x, x, y, classes=4)
    both = np.histogram2d(y, cluster, bins=(4, 6))[0]
    of_y, of_cluster = entropy(both.sum(1)), entropy(both.sum(0))
    expected = (of_y + of_cluster - entropy(both.flatten())) / ((of_y + of_cluster) / 2)
    assert numbers(model_with(data, encode=lambda x: cluster), data, "nmi")["nmi"] == near(
        expected, rel=1e-12
    )


def test_code_mismatch_is_the_cheapest_pairing_of_codes_and_draws():
    x, draws = normal(80, 1, 0), 1.5 * normal(80, 1, 1) + 1
    data = made(x, x)
    model = model_with(data, 1, encode=lambda x: 2 * x, codes=lambda n, rng: draws[:n])
    assert numbers(model, data, "code_mismatch")["code_mismatch"] == near(
        least_transport(2 * x, draws) ** 0.5, rel=1e-12
    )


def test_active_units_are_the_dimensions_whose_posterior_mean_varies():
    model, x, _ = linear_gaussian(d=6)
    data = made(x, x)
    spread = model.posterior(x)[0].var(0, correction=0)
    model.encoder[1].weight[:6] *= (
        torch.tensor([0, 0.005, 0.0099, 0.0101, 0.02, 1]) / spread
    ).sqrt()[:, None]
    spread = np.var(model.posterior(x)[0].double().numpy(), axis=0)
    (ours,) = card(Evaluation(model, data, {}), ["active_units"])
    assert ours["value"] == (spread > 0.01).sum() == 3 and ours["total"] == 6


ROOT = os.environ.get("GENBENCH_DATA", "")


@pytest.mark.slow
@pytest.mark.skipif(not ROOT, reason="set GENBENCH_DATA to the folder that holds MNIST/raw")
def test_halves_of_mnist_differ_in_few_bins():
    data = load_data(config_of("pca", f"dataset.root={ROOT}", dataset="mnist")["dataset"], CPU)
    x = data.train.values().flatten(1)
    different = []
    for seed in range(3):
        one, other = x[torch.randperm(len(x), generator=generator(seed))].chunk(2)
        centres, bins = cluster_points(one, BINS)
        different.append(different_bins(bins, members(other, centres), BINS))
    print(f"bins that differ between halves of {len(x):,} images: {different} of {BINS}")
    assert max(different) <= 10


def test_files_in_idx_are_read_as_torchvision_reads_them(tmp_path):
    from torchvision.datasets import MNIST  # takes a second

    write("mnist", tmp_path, np.random.default_rng(0))
    splits, _ = idx(PUBLISHED["mnist"].paths(tmp_path), tuple("0123456789"))
    for (x, y), train in zip(splits, (True, False), strict=True):
        theirs = MNIST(tmp_path, train=train)
        assert torch.equal(x[:, 0], theirs.data) and torch.equal(y, theirs.targets)

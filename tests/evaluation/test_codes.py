"""Measures of reconstructions, codes and representations on cases with a known answer."""

import math

import numpy as np
import pytest
import torch
from helpers.cards import CPU, made, model_with, normal, numbers
from helpers.configs import config_of
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from genbench.data.loading import load_data
from genbench.data.preprocessing import summed
from genbench.data.types import Split
from genbench.evaluation.card import card
from genbench.evaluation.context import Evaluation
from genbench.evaluation.measures.reconstruction import structural_similarity
from genbench.utils.rng import generator


def test_classes_are_told_apart_among_those_that_the_data_have():
    data = load_data(config_of("ae", "dataset.classes=[3,8]")["dataset"], CPU)
    threes = data.train.at(data.train.y == 3).values()
    model = model_with(data, sample=lambda n, rng: threes[torch.arange(n) % len(threes)])
    found = {
        entry["name"]: entry
        for entry in card(Evaluation(model, data, {}), ["classes_covered", "class_imbalance"])
    }
    assert found["classes_covered"]["value"] == 1 and found["classes_covered"]["total"] == 2
    assert found["class_imbalance"]["value"] == pytest.approx(math.log(2))


def test_structural_similarity_is_one_of_equal_images_and_that_of_its_definition():
    x, y = torch.rand(2, 4, 3, 17, 23, generator=generator(0), dtype=torch.float64)
    assert structural_similarity(x, x).tolist() == pytest.approx([1] * 4)
    dark, light = torch.full((1, 1, 12, 12), 0.2), torch.full((1, 1, 12, 12), 0.7)
    assert float(structural_similarity(dark, light)) == pytest.approx(
        (2 * 0.2 * 0.7 + 1e-4) / (0.2**2 + 0.7**2 + 1e-4)
    )

    def blurred(
        image,
    ):  # a window that ends at 3.5 standard deviations is 11 wide; what looks beyond the edge is cut off
        return gaussian_filter(image, 1.5, truncate=3.5, axes=(-2, -1))[..., 5:-5, 5:-5]

    a, b = x.numpy(), y.numpy()
    ma, mb = blurred(a), blurred(b)
    va, vb, cov = blurred(a * a) - ma**2, blurred(b * b) - mb**2, blurred(a * b) - ma * mb
    theirs = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
    np.testing.assert_allclose(structural_similarity(x, y), theirs.mean((1, 2, 3)), rtol=1e-9)


def test_reconstructions_are_measured_in_values_and_decibels():
    x = torch.rand(200, 1, 12, 12, generator=generator(0))
    data = made(x, x, unit=True)
    e = Evaluation(
        model_with(
            data,
            3,
            encode=lambda x: x.flatten(1),
            decode=lambda z: (z + 0.1).unflatten(1, (1, 12, 12)),
        ),
        data,
        {},
    )
    found = {entry["name"]: entry for entry in card(e, ["reconstruction"])}
    assert found["mse"]["value"] == pytest.approx(0.01, rel=1e-5) and found["psnr"][
        "value"
    ] == pytest.approx(20, rel=1e-5)
    assert (
        all(entry["low"] <= entry["value"] <= entry["high"] for entry in found.values())
        and found["ssim"]["value"] < 1
    )
    uneven = e.mean(torch.arange(200).double())
    assert (uneven.low, uneven.high) == pytest.approx(
        student.interval(0.95, 199, 99.5, math.sqrt(200 * 201 / 12 / 200))
    )
    for right in (0, 1, 150, 200):  # of 200
        share = e.mean(torch.arange(200) < right)
        theirs = binomtest(right, 200).proportion_ci(method="wilson")
        assert (share.low, share.high) == pytest.approx((theirs.low, theirs.high), abs=1e-7)
    assert e.mean(torch.ones(1)).low is None


def test_probes_are_those_of_scikit_learn_and_clusters_are_compared_with_classes():
    y = torch.arange(300) % 3
    train, test = (normal(300, 4, seed) + 2 * torch.nn.functional.one_hot(y, 4) for seed in (0, 1))
    data = made(train, test, y, classes=3)
    found = numbers(model_with(data, 4, encode=lambda x: x), data, "knn_accuracy", "linear_probe")
    assert found["knn_accuracy"] == KNeighborsClassifier(5).fit(train, y).score(test, y)
    scaler = StandardScaler().fit(train)
    probe = LogisticRegression(max_iter=1000, tol=1e-3).fit(scaler.transform(train), y)
    assert found["linear_probe"] == probe.score(scaler.transform(test), y)
    shares = model_with(data, encode=lambda x: x[:, :3].softmax(1))
    assert numbers(shares, data, "ari")["ari"] == pytest.approx(
        adjusted_rand_score(y, test[:, :3].argmax(1))
    )
    perfect = numbers(model_with(data, encode=lambda x: (y + 1) % 3), data, "nmi", "ari")
    assert perfect == pytest.approx({"nmi": 1, "ari": 1})
    y = y[:30]
    few = made(train[:30], test[:30], y, classes=3)
    nearly = model_with(
        few, encode=lambda x: torch.where(torch.arange(len(x)) == 0, (y + 1) % 3, y)
    )
    (ari,) = card(Evaluation(nearly, few, {}), ["ari"])
    assert ari["low"] < ari["value"] < 1 == ari["high"], "an interval ends where the index does"


def curve(decode, **more):
    """How even and how long the ways are between points on a line, by a decoder of one latent."""
    t = torch.linspace(0.1, 1, 20)
    t = torch.cat([-t, t])[
        :, None
    ]  # lines are from points of the first half to those of the second
    data = made(t, t)
    found = numbers(model_with(data, 1, encode=lambda x: x, decode=decode), data, "latent space")
    return found["largest_step"], found["path_length"]


def test_continuity_is_one_along_straight_lines_and_tells_bends_and_jumps():
    assert curve(lambda z: 3 * z + 1) == pytest.approx((1, 1), rel=1e-4)
    whole_way, _ = curve(lambda z: torch.cat([z, (z > 0.013).float() * 1000], 1))
    assert whole_way == pytest.approx(16, rel=0.01)
    x = torch.tensor([[-1.0], [1.0]])  # a half-circle between its ends, in 16 chords
    data = made(x, x)
    half = model_with(
        data,
        1,
        encode=lambda x: x,
        decode=lambda z: torch.cat([(math.pi / 2 * z).sin(), (math.pi / 2 * z).cos()], 1),
    )
    found = numbers(half, data, "latent space")
    assert found["path_length"] == pytest.approx(16 * math.sin(math.pi / 32), rel=1e-4) and found[
        "largest_step"
    ] == pytest.approx(1, rel=1e-3)
    still = model_with(data, 1, encode=lambda x: x, decode=lambda z: torch.zeros(len(z), 2))
    assert not numbers(
        still, data, "latent space"
    )  # there are no ways between points that are the same


def test_completeness_is_the_share_of_draws_that_decode_to_data():
    x = normal(400, 2, 0)
    data = made(x, x)
    codes = torch.cat([x[:300] + 1e-6, x[:100] + 100])  # a quarter far from everything
    model = model_with(data, 2, codes=lambda n, rng: codes[:n], decode=lambda z: z)
    (entry,) = card(Evaluation(model, data, {}), ["completeness"])
    assert entry["value"] == 0.75 and entry["n"] == {"draws": 400, "test": 400}


def test_codes_that_are_where_draws_are_match_them():
    x = normal(1000, 3, 0)
    data = made(x, x)
    for scale, low, high in (
        (1, 0, 0.1),
        (3, 1.8, 2.2),
    ):  # standard deviations of 1 and 3 are 2 apart
        model = model_with(
            data,
            3,
            encode=lambda x: x,
            codes=lambda n, rng, s=scale: s * normal(n, 3, 5),
        )
        assert low <= numbers(model, data, "code_mismatch")["code_mismatch"] <= high
    wide = {
        "encode": lambda x: 0 * x,
        "posterior": lambda x: (0 * x, 0 * x),
    }  # N(0, I) of every point, as the draws are
    model = model_with(data, 3, codes=lambda n, rng: normal(n, 3, 5), **wide)
    assert numbers(model, data, "code_mismatch")["code_mismatch"] < 0.1


def test_errors_of_tables_are_in_standardized_units():
    """A column of large numbers would be all that counts."""
    x = normal(100, 2, 0) * torch.tensor([1.0, 1000.0])
    wrong = lambda z: z + torch.tensor([1.0, 0.0])
    data = made(x, x)._replace(moments=summed(Split(x, None), torch.float64).moments)
    (found,) = card(
        Evaluation(model_with(data, 2, encode=lambda x: x, decode=wrong), data, {}), ["mse"]
    )
    assert found["value"] == pytest.approx(0.5, rel=0.3)
    assert found["unit"] == "squared error per standardized value"

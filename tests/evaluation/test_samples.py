"""Measures of samples on cases with a known answer."""

import math

import numpy as np
import pytest
import torch
from helpers.cards import CPU, made, model_with, normal, numbers
from helpers.configs import config_of
from prdc import compute_prdc

from genbench.data.loading import load_data
from genbench.evaluation.card import card, evaluated
from genbench.evaluation.context import Evaluation
from genbench.evaluation.measures.samples_bins import cluster_points, different_bins, members
from genbench.evaluation.registry import headlines, measures
from genbench.experiment import run
from genbench.stats import blocks, neighbours
from genbench.stats.intervals import parts
from genbench.utils.rng import generator


def test_samples_that_are_shifted_data_are_as_far_as_the_shift():
    x, shift = normal(500, 3, 0), torch.tensor([3.0, 0.0, 4.0])
    data = made(x, x)
    found = numbers(model_with(data, sample=lambda n, rng: x[:n] + shift), data)
    assert found["fid"] == pytest.approx(
        25, rel=1e-5
    )  # of Gaussians with one covariance: the squared distance of the means
    assert found["sliced_wasserstein"] == pytest.approx(
        math.sqrt(25 / 3), rel=0.2
    )  # 25 / 3, the mean over all directions
    assert found["kid"] > 1 and found["mmd"] > 0.3 and found["coverage"] < 0.1
    same = numbers(model_with(data, sample=lambda n, rng: normal(n, 3, 1)), data)
    assert same["fid"] < 0.1 and abs(same["kid"]) < 0.2 and abs(same["mmd"]) < 0.01


def test_intervals_are_as_wide_as_repeated_measurements_vary():
    def measured(seed):
        x, y, train = (
            normal(300, 3, 3 * seed),
            0.5 + 1.5 * normal(300, 3, 3 * seed + 1),
            normal(300, 3, 3 * seed + 2),
        )
        data = made(train, x)
        return {
            entry["name"]: entry
            for entry in card(
                Evaluation(model_with(data, sample=lambda n, rng: y), data, {}), names
            )
        }

    names = (
        "fid",
        "kid",
        "sliced_wasserstein",
        "mmd",
        "precision",
        "density",
        "coverage",
        "memorisation",
        "copied",
        "ndb",
    )
    repeated = [measured(seed) for seed in range(15)]
    for name in names:
        errors = np.array([(found[name]["high"] - found[name]["low"]) / 3.92 for found in repeated])
        spread = np.std([found[name]["value"] for found in repeated])
        assert 0.5 * spread < np.mean(errors) < 2.2 * spread, name


def test_points_that_are_sorted_by_class_count_evenly():
    y = torch.arange(5000) // 500
    x = y[:, None].float()
    e = Evaluation(model_with(made(x, x, y, classes=10)), made(x, x, y, classes=10), {}, "quick")
    for count, points in ((1000, e.test.y), (2000, e.train.flatten().long())):
        assert (
            len(points) == count and (points.bincount(minlength=10) - count / 10).abs().max() <= 1
        )
    for points, count in ((e.x, 90), (x, 50)):  # all but a tenth of few, a tenth of many
        assert (
            parts(lambda part: part.flatten().long().bincount().tolist(), points).parts
            == [[count] * 10] * 10
        )
    asked = []
    model = model_with(
        data := made(x, x, y, classes=10),
        1,
        codes=lambda n, rng: torch.zeros(n, 1),
        decode=lambda z: z,
    )
    object.__setattr__(model, "conditional", True)
    object.__setattr__(model, "conditioned_on", lambda y: asked.extend(y.tolist()) or model)
    assert (
        len(Evaluation(model, data, {}, "quick").draws) == 1000
        and torch.tensor(asked).bincount().tolist() == [100] * 10
    )


def test_neighbours_equal_the_package_that_defines_them():
    x, samples = normal(300, 4, 0), 1.3 * normal(300, 4, 1)
    data = made(x, x)
    found = numbers(
        model_with(data, sample=lambda n, rng: samples),
        data,
        "precision",
        "recall",
        "density",
        "coverage",
    )
    assert found == pytest.approx(compute_prdc(x.numpy(), samples.numpy(), 5))


def test_no_headline_prefers_a_blur_to_good_samples():
    x = normal(900, 6, 0)
    data = made(x[:300], x[300:600])
    chosen = [name for name in headlines() if measures()[name].group != "cost"]

    def measured(samples):
        def draw(n, rng):
            return samples[:n]

        model = model_with(data, latent_dim=6, sample=draw, codes=draw, decode=lambda z: z)
        return {entry["name"]: entry for entry in card(Evaluation(model, data, {}), chosen)}

    good, blur = measured(x[600:]), measured(x.mean(0) + 0.01 * normal(300, 6, 1))
    lost = set()
    for name, entry in good.items():
        values = (entry, blur[name])
        ends = [
            (of["value"],) * 2 if of["low"] is None else (of["low"], of["high"]) for of in values
        ]
        if entry["better"] == "lower":
            ends = [(-high, -low) for low, high in ends]
        (good_low, good_high), (blur_low, blur_high) = ends
        assert blur_low <= good_high, f"{name} prefers the blur"
        lost |= {name} if blur_high < good_low else set()
    assert {"fid", "coverage"} <= lost


def test_bins_differ_by_chance_only_between_halves_of_the_data_and_where_clusters_are_missing():
    centres = 4 * normal(10, 6, 0)
    x = centres[torch.arange(6000) % 10] + normal(6000, 6, 1)
    halves = x[torch.randperm(6000, generator=generator(2))].split(3000)
    centres, bins = cluster_points(halves[0], 100)
    assert different_bins(bins, members(halves[1], centres), 100) <= 10
    few = x[torch.arange(6000) % 10 < 5][:3000]
    assert different_bins(bins, members(few, centres), 100) > 60
    data = made(x, x)
    found = numbers(
        model_with(data, sample=lambda n, rng: few[torch.arange(n) % len(few)]), data, "ndb"
    )
    assert 0.6 < found["ndb"] <= 1


def test_classes_that_a_generator_drops_are_missed():
    data = load_data(config_of("ae")["dataset"], CPU)
    kept = data.train.values()[data.train.y < 7]

    def numbers_of(x):
        return numbers(model_with(data, sample=lambda n, rng: x[torch.arange(n) % len(x)]), data)

    found = numbers_of(kept)
    assert found["classes_covered"] == 7 and found["classifier_accuracy"] > 0.9
    assert found["class_divergence"] == pytest.approx(math.log(10 / 7), abs=0.1)
    assert found["class_imbalance"] == pytest.approx(math.log(10 / 7), abs=0.02)
    assert found["memorisation"] == 0  # they are training images
    every = numbers_of(data.splits["test"].values())
    assert (
        every["classes_covered"] == 10
        and every["class_divergence"] < 1e-6
        and every["memorisation"] == 1
    )


def test_copies_are_noticed_also_with_noise_and_honest_samples_are_none():
    train, test, fresh, noise = (normal(n, 20, i) for i, n in enumerate((1000, 300, 300, 300)))

    def measured(samples):
        data = made(train, test)
        found = card(
            Evaluation(model_with(data, sample=lambda n, rng: samples[:n]), data, {}),
            ["copied", "memorisation"],
        )
        return {entry["name"]: entry for entry in found}

    assert (
        measured(train[:300])["copied"]["value"] == 1
        and measured(train[:300])["memorisation"]["value"] == 0
    )
    # The noise is as large as what new points are away from training points, so that no distance to these betrays it.
    noisy = measured(train[:300] + 0.75 * noise)
    assert (
        noisy["memorisation"]["value"] == pytest.approx(1, abs=0.1) and noisy["copied"]["low"] > 0.5
    )
    half = measured(torch.cat([train[:150] + 0.3 * noise[:150], fresh[:150]]))["copied"]
    assert half["low"] < 0.5 < half["high"] and half["high"] - half["low"] < 0.5
    honest = measured(fresh)["copied"]
    assert honest["low"] < 0 < honest["high"] and abs(honest["value"]) < 0.2
    # A model of a single good point says the same of all its samples: its interval is that of a single draw.
    one = measured(fresh[:1].expand(300, -1))["copied"]
    assert one["low"] < 0 < one["high"]


def test_a_kernel_density_copies_its_points_however_wide(tmp_path):
    done = run(config_of("kde", "dataset.limit=600", "evaluation=none"), tmp_path)
    found = evaluated(done.model, done.data, done.metrics, "full")
    copied, ratio = (
        {entry["name"]: entry for entry in found["card"]}[name]["value"]
        for name in ("copied", "memorisation")
    )
    assert copied > 0.9 and ratio > 0.8  # by its noise
    assert "copies" in [entry["kind"] for entry in found["diagnosis"]]


def test_the_nearest_is_exact_where_single_precision_sees_no_difference(monkeypatch):
    for scale, offset, d in (
        (1.0, 0.0, 4),
        (1e-4, 1.0, 4),
        (1e-6, 1000.0, 2),
        (0.0, 5.0, 3),
        (0.1, 0.0, 300),
        (1e30, 0.0, 3),  # the squares do not fit single precision
    ):
        x, y = (offset + scale * normal(n, d, n).double() for n in (50, 700))
        x[::2], y[::2] = x[::2] + 1000, y[::2] + 1000  # far from the mean of all, whatever that is
        expected = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        for block in (2**22, 3000):
            monkeypatch.setattr(blocks, "PAIRS_AT_ONCE", block)
            found = neighbours.Nearest(x)
            for part in y.split(256):
                found.see(part)
            torch.testing.assert_close(found.distance, expected.values, rtol=1e-14, atol=0)
            assert torch.equal(found.index, expected.indices)


def test_modes_are_counted_near_which_samples_lie():
    data = load_data(config_of("gan", dataset="ring")["dataset"], CPU)

    def numbers_of(sample):
        found = card(
            Evaluation(model_with(data, sample=sample), data, {}),
            ["modes", "modes_loose", "high_quality"],
        )
        assert [entry["n"] for entry in found] == [
            {"samples": 10_000},
            {"samples": 2500},
            {"samples": 10_000},
        ]
        assert all(entry["total"] == 8 for entry in found[:2])
        return [entry["value"] for entry in found]

    def three(n, rng):
        x = data.density.means[:3].repeat(n // 3 + 1, 1)[:n].clone()
        x[: n // 4] = 5  # a quarter far from everything
        return x

    assert numbers_of(three) == [3, 3, 0.75]
    # The chance to lie within 3 sigma of a Gaussian in the plane is 1 - exp(-9/2).
    assert numbers_of(lambda n, rng: data.density.sample(n, rng)[0]) == [
        8,
        8,
        pytest.approx(1 - math.exp(-4.5), abs=0.005),
    ]

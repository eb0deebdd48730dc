"""The report card: each measure on cases with a known answer, and the whole of it for every model."""

import io
import json
import math
import os
import re
import resource

import numpy as np
import pytest
import torch
from conftest import CONFIGS, config_of, small_config
from prdc import compute_prdc
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from genbench.config.values import Settings
from genbench.data import loading
from genbench.data.loading import load
from genbench.data.preprocessing import moments
from genbench.data.types import Data, DataSpec, Split
from genbench.evaluation import features
from genbench.evaluation.card import card, evaluated, real_data
from genbench.evaluation.context import Evaluation
from genbench.evaluation.diagnosis import diagnose
from genbench.evaluation.measures.reconstruction import structural_similarity
from genbench.evaluation.measures.samples_bins import cluster_points, different_bins, members
from genbench.evaluation.registry import MEASURES, measure, measures
from genbench.experiment import evaluate, load_run, run
from genbench.model import Model
from genbench.runs.curves import late_fall, lowest_point
from genbench.stats import blocks, neighbours
from genbench.stats.intervals import Measured, around, mean, parts
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

CPU = torch.device("cpu")


def normal(n, d, seed):
    return torch.randn(n, d, generator=generator(seed))


def made(train, test, y=None, unit=False, classes=0):
    """A dataset of these points; labels y are those of both parts."""
    parts = {"train": Split(train, y), "test": Split(test, y)}
    return Data("made", parts, DataSpec(tuple(train.shape[1:]), unit, classes=classes))


def model_with(data, latent_dim=None, **abilities):
    """A model that can what these functions can."""
    model = Model(
        data.spec, Settings({"seed": 0, "latent_dim": latent_dim, "model": {"name": "made"}})
    )
    for name, ability in abilities.items():
        object.__setattr__(model, name, ability)
    return model


def numbers(model, data, *names, **more):
    """The values of these measures by name."""
    return {
        entry["name"]: entry["value"] for entry in card(Evaluation(model, data, {}, **more), names)
    }


def entry(name, value, **more):
    """An entry of a card, as far as the diagnosis looks at it."""
    return {"name": name, "value": value, "n": {"samples": 1000, "test": 1000}, "low": None} | more


def whole(entries):
    """A card but for what differs from run to run."""
    return [entry for entry in entries if entry["group"] != "cost"]


# --- samples --------------------------------------------------------------------------------------------------


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
    data = load(config_of("ae")["dataset"], CPU)
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


def test_a_kernel_density_copies_its_points_however_wide(tmp_path, undrawn):
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
    data = load(config_of("gan", dataset="ring")["dataset"], CPU)

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


def test_features_are_kept_and_made_anew_where_they_are_damaged(monkeypatch, tmp_path):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(features, "PASSES", 2)
    threads = torch.get_num_threads()
    data = load(small_config("ae")["dataset"], CPU)
    first = features.features_of(data)
    (file,) = (tmp_path / "features").iterdir()
    x, classes = data.splits["test"].values(), torch.arange(10)
    with monkeypatch.context() as patch:
        patch.setattr(features, "_train", lambda *args: pytest.fail("it is kept"))
        kept = features.features_of(data)
    assert kept.name == first.name and torch.equal(kept(x), first(x))
    assert torch.equal(kept.predict(x, classes), first.predict(x, classes))
    content = file.read_bytes()
    other = io.BytesIO()
    torch.save(
        torch.load(file) | {"weights": {n: 2 * w for n, w in torch.load(file)["weights"].items()}},
        other,
    )
    for damaged in (b"", content[: len(content) // 2], other.getvalue()):
        file.write_bytes(damaged)
        assert features.features_of(data).name == first.name and file.read_bytes() == content
    assert torch.get_num_threads() == threads
    assert features.features_of(data._replace(reference=None)).name == "values"


def test_features_depend_on_the_sources_images_and_labels_alone(monkeypatch):
    monkeypatch.setattr(features, "PASSES", 1)

    def name(*overrides):
        return features.features_of(load(config_of("ae", *overrides)["dataset"], CPU)).name

    usual = name()
    kept = [
        "limit=50",
        "labelled=0",
        "seed=7",
        "val_size=0",
        "test_size=0.5",
        "classes=[3,8]",
        "binarize=static",
        "dequantize=true",
    ]
    for setting in kept:
        assert name(f"dataset.{setting}") == usual, setting
    digits = loading._source

    def changed(s):
        source = digits(s)
        return source._replace(y=source.y.roll(1))

    monkeypatch.setattr(loading, "_source", changed)
    assert name() != usual
    data = load(config_of("ae")["dataset"], CPU)
    monkeypatch.setattr(loading, "_source", digits)
    with pytest.raises(UserError, match="changed during the run"):
        data.reference.read()


def test_classes_are_told_apart_among_those_that_the_data_have():
    data = load(config_of("ae", "dataset.classes=[3,8]")["dataset"], CPU)
    threes = data.train.at(data.train.y == 3).values()
    model = model_with(data, sample=lambda n, rng: threes[torch.arange(n) % len(threes)])
    found = {
        entry["name"]: entry
        for entry in card(Evaluation(model, data, {}), ["classes_covered", "class_imbalance"])
    }
    assert found["classes_covered"]["value"] == 1 and found["classes_covered"]["total"] == 2
    assert found["class_imbalance"]["value"] == pytest.approx(math.log(2))


# --- reconstructions ------------------------------------------------------------------------------------------


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


# --- codes ----------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("name", "overrides", "numbers"),
    [
        ("pca", ["latent_dim=3"], 64 + 3 * 64 + 64),  # mean, components, variances
        ("kmeans", ["n_components=4", "n_init=3"], 4 * 64 + 4),  # centres and sizes, of one start
        ("gmm", ["n_components=2", "covariance=diag"], 2 + 2 * 64 + 2 * 64),
        ("kde", ["bandwidth=1"], 130 * 64 + 2),
        (
            "vae",
            ["latent_dim=3", "hidden=[16]"],
            (64 * 16 + 16) + (16 * 6 + 6) + (3 * 16 + 16) + (16 * 64 + 64),
        ),
    ],
)
def test_parameters_are_all_numbers_that_a_model_consists_of(
    name, overrides, numbers, tmp_path, undrawn
):
    assert (
        run(small_config(name, "epochs=1", *overrides), tmp_path).metrics["cost"]["parameters"]
        == numbers
    )


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the system cannot forget a peak"
)
def test_the_peak_of_memory_is_the_runs_own(tmp_path, undrawn):
    large = np.ones(100_000_000)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    del large
    assert run(small_config("pca"), tmp_path).metrics["time"]["peak_memory"] < held - 500


# --- the whole ------------------------------------------------------------------------------------------------


def test_every_model_gets_a_finite_card_which_evaluating_its_run_repeats(
    model_name, tmp_path, undrawn, carded
):
    config = small_config(model_name) | {"evaluation": "full"}
    found = run(config, tmp_path).metrics
    assert all(
        math.isfinite(entry[key])
        for entry in found["card"]
        for key in ("value", "low", "high")
        if entry[key] is not None
    )
    names = [entry["name"] for entry in found["card"]]
    assert len(set(names)) == len(names) and {"fid", "ndb", "parameters", "fit_seconds"} <= {*names}
    for entry in found["card"]:
        assert entry["n"] or entry["name"] == "parameters"
        assert entry["better"] in ("higher", "lower", None) and entry["on"]
        least, most = measures()[entry["name"]].within
        assert all(
            least <= entry[end] <= most
            for end in ("value", "low", "high")
            if entry[end] is not None
        ), entry
    before = (tmp_path / "metrics.json").read_bytes()
    assert whole(evaluate(config, tmp_path, "full")["card"]) == whole(found["card"])
    assert (tmp_path / "metrics.json").read_bytes() == before
    (fewer,) = evaluate(config, tmp_path, "full", names=["knn_accuracy"])["card"] or [None]
    assert fewer is None or fewer in found["card"]


def test_a_card_does_not_depend_on_how_many_points_are_looked_at_together(tmp_path, undrawn):
    config = small_config("vae")
    done = run(config, tmp_path)
    once, again = (
        card(Evaluation(done.model, done.data, done.metrics, block=block)) for block in (1000, 37)
    )
    assert [entry["name"] for entry in once] == [entry["name"] for entry in again]
    for one, other in zip(once, again):
        assert one["value"] == pytest.approx(other["value"], rel=1e-4, abs=1e-6), one["name"]


def test_few_or_equal_points_leave_out_what_they_cannot_tell():
    for x in (normal(1, 2, 0), normal(3, 2, 0), torch.ones(40, 2)):
        data = made(x, x, torch.zeros(len(x), dtype=torch.long), classes=1)
        whole = model_with(
            data,
            2,
            encode=lambda x: x,
            decode=lambda z: z,
            sample=lambda n, rng, x=x: x[:n],
            codes=lambda n, rng, x=x: x[:n],
        )
        e = Evaluation(whole, data, {})
        found = card(e)
        assert (
            found
            and all(math.isfinite(entry["value"]) for entry in found)
            and isinstance(diagnose(e, found), list)
        )
        assert ("precision" in [entry["name"] for entry in found]) == (len(x) > 5)


def test_data_without_labels_have_a_card_of_what_needs_none():
    x = normal(200, 2, 0)
    data = made(x, x)
    for latent_dim, codes in ((2, lambda x: x), (None, lambda x: (x[:, 0] > 0).long())):
        able = {
            "encode": codes,
            "decode": lambda z: z.reshape(len(z), -1).float().expand(-1, 2),
            "sample": lambda n, rng: x[:n],
        }
        found = evaluated(model_with(data, latent_dim, **able), data, {}, "full")
        names = {entry["name"] for entry in found["card"]}
        assert {"mse", "fid", "ndb"} <= names and not {
            "knn_accuracy",
            "nmi",
            "classes_covered",
        } & names


def test_what_is_not_finite_is_told():
    x = torch.cat([normal(199, 2, 0), torch.full((1, 2), 9.0)])
    data = made(x, x, torch.arange(200) % 2, classes=2)
    wild = {
        "sample": lambda n, rng: torch.where(torch.arange(n)[:, None] == 7, math.nan, 0.0).expand(
            -1, 2
        ),
        "encode": lambda x: x + math.nan,
        "log_prob": lambda x: torch.where(x[:, 0] == 9, -math.inf, -1.0),
    }
    model = model_with(data, 2, **wild)
    model.s.update(lr=0.1)
    found = evaluated(model, data, {}, "full")
    assert [entry["name"] for entry in found["card"]] == ["parameters"]
    (finding,) = found["diagnosis"]
    said = (
        "1 of 200 samples are not finite",
        "200 of 200 codes are not finite",
        "log_prob is -inf",
    )
    assert all(words in finding["text"] for words in said) and finding["setting"] == "lr=0.01"


def test_every_measure_says_what_it_is_in_the_docs_and_in_a_list(genbench):
    docs = (CONFIGS.parent / "docs" / "evaluation.md").read_text()
    listed = genbench("evaluate", "--list").stdout
    for name, m in measures().items():
        assert (
            len(m.meaning) > 20 and m.unit and m.source and m.better in ("higher", "lower", None)
        ), name
        assert f"`{name}`" in docs and name[:8] in listed, name


def test_a_measure_is_one_function_in_one_place(monkeypatch, genbench):
    example = re.search(
        r"```python\n(@measure.*?)```",
        (CONFIGS.parent / "docs" / "evaluation.md").read_text(),
        re.S,
    )[1]
    measures()
    monkeypatch.setattr("genbench.evaluation.registry.MEASURES", dict(MEASURES))
    exec(example, {"measure": measure, "Measured": Measured})
    x = normal(500, 2, 0)
    data = made(x, x)
    (entry,) = card(
        Evaluation(
            model_with(data, sample=lambda n, rng: x[:n] + torch.tensor([3.0, 4.0])), data, {}
        ),
        ["mean_gap"],
    )
    assert (
        entry["value"] == pytest.approx(5)
        and entry["low"] < 5 < entry["high"]
        and entry["unit"] == "values"
    )
    assert (
        "mean_gap (values, lower is better; of models that can sample)"
        in genbench("evaluate", "--list").stdout
    )


def test_what_went_wrong_is_told_with_the_setting_to_paste():
    data = load(config_of("vae")["dataset"], CPU)

    def quality(precision, coverage):
        return [entry("precision", precision), entry("coverage", coverage)]

    def told(found, card=(), real=(), **settings):
        model = model_with(data, 10)
        model.s.update(settings)
        findings = diagnose(Evaluation(model, data, found), [*card], [*real])
        return [(finding["kind"], finding["setting"]) for finding in findings]

    assert told({"train": {"d_real": 0.995, "d_fake": 0.001}}, lr=0.1) == [
        ("saturated discriminator", "lr=0.05")
    ]
    modes = [entry("modes", 3, total=8)]
    assert told({}, modes, ema=0.0) == [("missing modes", "ema=0.999")]
    assert told({}, modes, n_components=3) == [("missing modes", "n_components=8")], (
        "as many as there are modes"
    )
    assert told({}, modes, n_components=8) == [("missing modes", "n_components=16")]
    classes = [entry("classes_covered", 7, total=10)]
    assert told({}, classes, epochs=3) == [("missing classes", "epochs=6")]
    assert told({}, classes, [entry("classes_covered", 7, total=10)]) == [], "nor do real data"
    assert told({}, [entry("memorisation", 0.01)], bandwidth=0.01) == [("copies", "bandwidth=0.02")]
    blurred = entry("memorisation", 0.4)
    assert told({}, [blurred]) == told({}, [blurred, entry("copied", -3.6, low=-7.3)]) == []
    assert told({}, [blurred, entry("copied", 0.3, low=0.1)]) == [("copies", "")]
    # Of few samples, that classes are missing or that some are near is no evidence.
    few = {"n": {"samples": 24, "test": 24}}
    for one in (*classes, *modes, *quality(0.1, 0.1), entry("memorisation", 0.01)):
        assert told({}, [one | few]) == []
    # Samples that are near data and reach it, but differ from it in many small ways.
    far, near = (entry("fid", 50.0, low=low) for low in (42.0, 30.0))
    real = [entry("fid", 7.0)]
    assert told({}, [*quality(0.9, 0.8), far], real, ema=0.0) == [
        ("samples unlike data", "ema=0.999")
    ]
    assert told({}, [*quality(0.9, 0.8), near], real) == told({}, [*quality(0.9, 0.8), far]) == []
    assert told({}, quality(0.33, 0.22), sampler="prior") == [
        ("samples unlike data", "sampler=gmm")
    ]
    assert told({}, quality(0.9, 0.22), sampler="prior") == [("low coverage", "sampler=gmm")]
    assert told({}, quality(0.9, 0.8), sampler="prior") == []
    assert told({}, [entry("memorisation", 1.0), entry("active_units", 5)]) == []
    # Nothing explains as much as that there was hardly any training, so it comes first.
    few, short = ({"cost": {"epochs": 4, "steps": steps}} for steps in (40, 800))
    assert told(few, modes, steps=None)[0] == ("undertrained", "epochs=200")
    for better in (
        {"late_fall": -0.1},
        {"late_fall": 0.3, "kept_epoch": 3},
    ):  # where more steps would be worse
        assert [kind for kind, _ in told({"cost": few["cost"] | better}, modes, steps=None)] == [
            "missing modes"
        ]
    assert told({}, modes, steps=None, epochs=4) == [("missing modes", "epochs=8")]
    enough = {"cost": {"epochs": 4, "steps": 4000}}
    assert told(enough, modes, steps=4000, epochs=4) == [("missing modes", "steps=8000")]
    # The remedies agree on the length, also where the curve says that the training was too short.
    both = [("undertrained", "steps=2000"), ("missing modes", "steps=2000")]
    falling, flat, long = (
        {"cost": {"steps": n, "late_fall": late}}
        for n, late in ((400, 0.1), (400, 0.01), (4000, 0.1))
    )
    assert told(few, modes, steps=40) == told(falling, modes, steps=400) == both
    assert told(short, steps=None) == [("undertrained", "epochs=10")], "no curve says otherwise"
    assert [kind for kind, _ in told(flat, steps=400) + told(long, steps=4000)] == []
    assert told(few, modes, epochs=4) == [
        ("missing modes", "epochs=8")
    ]  # what solves in an epoch makes no steps


def collapsed(encode, decode, card=(), posterior=None, d=5, **settings):
    """What is diagnosed of a model with such codes on points of several dimensions."""
    x = normal(300, d, 0)
    model = model_with(data := made(x, x), d, encode=encode, decode=decode)
    if posterior:
        object.__setattr__(model, "posterior", posterior)
    model.s.update(settings)
    return [
        (finding["kind"], finding["setting"])
        for finding in diagnose(Evaluation(model, data, {}), [*card])
    ]


def test_collapse_is_judged_by_what_is_lost():
    def one(x):
        return torch.cat([x[:, :1], torch.zeros(len(x), x.shape[1] - 1)], 1)

    active = [entry("active_units", 11)]
    assert collapsed(lambda x: x, lambda z: 0.9 * z, active, lambda x: (x, x), d=128) == []
    assert (
        collapsed(
            one,
            lambda z: z,
            [entry("active_units", 1)],
            lambda x: (x, x),
            d=20,
            beta=4.0,
        )
        == []
    )
    none = [entry("active_units", 0)]
    assert collapsed(lambda x: 0.01 * x, lambda z: z, none, lambda x: (x, x), beta=4.0) == [
        ("posterior collapse", "beta=1")
    ]
    assert collapsed(lambda x: 0.01 * x, lambda z: z, none, lambda x: (x, x), beta=0.5) == [
        ("posterior collapse", "beta=0.05")
    ]
    # What labels alone decode to differs, too: then the latents say so.
    assert collapsed(lambda x: 0.01 * x, lambda z: 90 * z, none, lambda x: (x, x)) == [
        ("posterior collapse", "")
    ]
    iwae = {"beta": 4.0, "objective": "iwae", "lr": 0.001}
    assert collapsed(lambda x: 0 * x, lambda z: z, none, lambda x: (x, x), **iwae) == [
        ("posterior collapse", "lr=0.0003")
    ]
    assert collapsed(lambda x: 0 * x + 3, lambda z: z, lr=0.01) == [("collapse", "lr=0.003")]
    assert collapsed(lambda x: x, lambda z: 0.01 * z, **{"lambda": 10.0}) == [
        ("collapse", "lambda=1")
    ]
    assert collapsed(one, lambda z: z) == [("idle units", "latent_dim=1")]
    assert collapsed(lambda x: x, lambda z: z) == [("nothing to compress", "latent_dim=4")]


def test_samples_that_are_one_point_are_no_copies_and_lie_near_nothing():
    x = normal(300, 5, 0)
    near = [entry("memorisation", 0.01), entry("precision", 1.0), entry("coverage", 0.1)]

    def told(width, **more):
        model = model_with(
            data := made(x, x), 5, sample=lambda n, rng: width * normal(n, 5, 1), **more
        )
        model.s.update(lr=0.1)
        return [
            (finding["kind"], finding["setting"])
            for finding in diagnose(Evaluation(model, data, {}), near)
        ]

    assert told(0.01) == [("samples alike", "lr=0.03")]
    assert told(0.01, encode=lambda x: 0 * x + 3) == [("collapse", "lr=0.03")], (
        "which explains the samples, too"
    )
    assert [kind for kind, _ in told(1.0)] == ["low coverage", "copies"]


def test_a_curve_that_still_falls_in_its_second_half_is_known():
    assert late_fall({3: 6.0, 1: 10.0, 2: 7.0, 4: 5.0, 5: 2.0}) == 0.5
    assert late_fall({epoch: 100 * 0.9**epoch for epoch in range(1, 200)}) < 1e-4
    assert late_fall({1: 3.0, 2: 2.0, 3: 1.0}) is late_fall(dict.fromkeys(range(9), 1.0)) is None
    assert late_fall({epoch: float(epoch) for epoch in range(9)}) == -0.5
    assert late_fall({1: 5.0, 2: 9.0, 3: 9.0, 4: 4.0, 5: 4.0}) == 1, (
        "a loss that rises before it falls"
    )


def with_losses(train, test, **more):
    """What is diagnosed of a model with these losses of single points, in parts of these sizes."""
    points = [torch.tensor(losses).double()[:, None] for losses in (train, test, test)]
    parts = {name: Split(x, None) for name, x in zip(("train", "validation", "test"), points)}
    data = Data("made", parts, DataSpec((1,), False))
    model = model_with(data, evaluate=lambda batch, rng: {model.criterion: batch.x.mean()})
    model.criterion = more.pop("criterion", "nll")
    model.s.update(patience=None, **more.pop("settings", {}))
    findings = diagnose(Evaluation(model, data, {"cost": {"epochs": 500, **more}}), [])
    return [(finding["kind"], finding["setting"]) for finding in findings]


def test_overfitting_is_judged_by_how_losses_scatter():
    losses = normal(200, 1, 0)[:, 0]
    train, test = (losses[:100] - 2).tolist(), losses[100:].tolist()
    half = {"settings": {"n_components": 8}}
    for unit in (1, 100):
        found = with_losses([unit * x for x in train], [unit * x for x in test], **half)
        assert found == [("overfitted", "n_components=4")]
    assert with_losses((losses[:100] - 0.3).tolist(), test) == []
    assert [kind for kind, _ in with_losses(train[:5], test[:2])] == ["few points"]
    # A smaller gap counts, too, where the loss rose after its minimum.
    some = (losses[:100] - 0.7).tolist()
    assert with_losses(some, test) == []
    flat = {"late_fall": 0.1}
    assert with_losses(some, test, **flat) == []
    assert with_losses(train, test, criterion="loss", **flat) == [], "nothing is lost yet"
    assert with_losses(train, test, **flat) != [], "a likelihood of training points alone"
    rose = flat | {"late_rise": 0.2, "lowest_epoch": 78}
    assert with_losses(some, test, **rose) == [("overfitted", "patience=20")]
    slightly = flat | {"late_rise": 0.02, "lowest_epoch": 78}
    assert with_losses(some, test, **slightly) == with_losses(test, test, **rose) == []


def test_few_pictures_are_judged_from_enough_samples():
    train, test = normal(20, 3, 0), normal(2, 3, 1)
    parts = {"train": Split(train, None), "test": Split(test, None)}
    data = Data("made", parts, DataSpec((3,), False))

    def kinds(samples):
        able = {"encode": lambda x: x, "decode": lambda z: 0.9 * z}
        e = Evaluation(model_with(data, 2, sample=lambda n, rng: samples[:n], **able), data, {})
        return [finding["kind"] for finding in diagnose(e, card(e))]

    new = normal(64, 3, 2)
    new[:2] = new[0]  # the two that a card would look at
    assert kinds(new) == ["few points"]
    assert kinds(new[:1].repeat(64, 1)) == ["few points", "samples alike"]
    assert kinds(train.repeat(4, 1)[:64] + 0.01 * new) == ["few points", "copies"]


def test_the_minimum_of_a_curve_before_its_end_is_known():
    assert lowest_point({1: 3.0, 2: 1.0, 3: 1.5, 4: 2.0}) == (2, 1.0)
    assert lowest_point({1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}) is lowest_point({1: 1.0, 2: 2.0}) is None
    noisy = {k: abs(k - 100) / 50 + (-1) ** k for k in range(1, 401)}
    epoch, rise = lowest_point(noisy)
    assert abs(epoch - 100) < 20 and 5 < rise < 6


def test_errors_of_tables_are_in_standardized_units():
    """A column of large numbers would be all that counts."""
    x = normal(100, 2, 0) * torch.tensor([1.0, 1000.0])
    wrong = lambda z: z + torch.tensor([1.0, 0.0])
    data = made(x, x)._replace(moments=moments(x.double()))
    (found,) = card(
        Evaluation(model_with(data, 2, encode=lambda x: x, decode=wrong), data, {}), ["mse"]
    )
    assert found["value"] == pytest.approx(0.5, rel=0.3)
    assert found["unit"] == "squared error per standardized value"


def test_what_a_model_says_of_its_fit_is_kept_with_its_numbers(tmp_path, undrawn, genbench):
    done = run(small_config("gmm", "n_components=2"), tmp_path / "run")
    (remark,) = json.loads((tmp_path / "run" / "metrics.json").read_text())["remarks"]
    assert [remark] == done.model.warnings() and "singular or nearly so" in remark
    assert remark in " ".join(genbench("show", "run").stdout.split())


def test_cross_entropy_on_grey_values_is_told_after_what_matters_more(tmp_path, undrawn):
    done = run(small_config("vae", "likelihood=bernoulli", "beta=8"), tmp_path)
    found = {
        entry["kind"]: entry
        for entry in evaluated(done.model, done.data, done.metrics, "quick")["diagnosis"]
    }
    assert "likelihood=bernoulli" in found["no likelihood"]["text"]
    assert next(iter(found)) == "undertrained" and [*found][-1] == "no likelihood"


def test_real_data_are_the_yardstick_of_samples_and_are_measured_once(monkeypatch, tmp_path):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    data = load(config_of("ae", "dataset.limit=500")["dataset"], CPU)
    digest = features.features_of(data).name
    test = data.splits["test"].values()
    model = model_with(data, sample=lambda n, rng: test[torch.arange(n) % 3])
    watched = []
    found = evaluated(
        model, data, {}, "full", watch=lambda i, n, name: watched.append((i, n, name))
    )
    own, real = ({entry["name"]: entry for entry in found[part]} for part in ("card", "real_data"))
    assert real["fid"].keys() == own["fid"].keys() and real["fid"]["features"] == digest
    assert real["fid"]["n"] == own["fid"]["n"] == {"samples": 360, "test": 360}
    assert (
        real["fid"]["value"] < 0.2 * own["fid"]["value"]
        and real["coverage"]["value"] > 0.9 > own["coverage"]["value"]
    )
    assert real["ndb"]["value"] < 0.2 < own["ndb"]["value"]
    assert all(entry["group"] == "samples" for entry in real.values())
    assert not {"memorisation", "copied", "classifier_accuracy", "completeness"} & real.keys()
    assert [i for i, n, name in watched if not name.startswith("real data")] == [
        *range(1, watched[0][1] + 1)
    ]
    # As training points are the samples, the numbers are those of a model that samples them.
    again = model_with(
        data, sample=lambda n, rng: data.train.spread(360).values()[:n]
    )  # in one draw, as n is below 1,000
    (kid,) = card(Evaluation(again, data, {}), ["kid"])
    assert kid["value"] == real["kid"]["value"]
    monkeypatch.setattr(
        "genbench.evaluation.card._entries", lambda *args: pytest.fail("it is kept")
    )
    assert real_data(Evaluation(model, data, {})) == found["real_data"]
    assert [entry["name"] for entry in real_data(Evaluation(model, data, {}), ["fid"])] == ["fid"]


def test_real_data_that_are_fewer_than_test_points_meet_as_many_of_these():
    for limit, n in ((400, 360), (100, 100)):  # which are kept apart
        few = load(config_of("ae", f"dataset.limit={limit}")["dataset"], CPU)
        (entry,) = real_data(
            Evaluation(model_with(few, sample=lambda n, rng: None), few, {}), ["fid"]
        )
        assert entry["n"] == {"samples": n, "test": n}


def test_a_finished_run_is_evaluated_on_demand(genbench, tmp_path, undrawn, carded):
    run(small_config("vae"), tmp_path / "run")
    assert "card" not in json.loads((tmp_path / "run" / "metrics.json").read_text())
    done = genbench("evaluate", "run", "evaluation=quick", "metrics=mse,log_prob", "k=7")
    assert (
        done.returncode == 0
        and "mse" in done.stdout
        and "7 importance samples" in " ".join(done.stdout.split())
    ), done.stderr
    kept = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert [entry["name"] for entry in kept["card"]] == ["mse", "log_prob"]
    assert genbench("evaluate", "run", "metrics=log_prob").returncode == 0
    both = load_run(small_config("vae"), tmp_path / "run", "cpu").metrics["card"]
    ks = {
        entry["of"].rpartition(", ")[2]: entry["value"]
        for entry in both
        if entry["name"] == "log_prob"
    }
    assert {*ks} == {"7 importance samples", "100 importance samples"}
    assert ks["7 importance samples"] < ks["100 importance samples"]
    for words, says in (
        ((), "needs the directory of a finished run"),
        (("run", "beta=4"), "it has evaluation, metrics, device, k, points, bins, level"),
        (("run", "evaluation=none"), "must be full | quick"),
        (("run", "k=0"), "must be int >= 1"),
        (("run", "metrics=fidd"), "no such measure"),
        (("nowhere",), "is not a run directory"),
    ):
        refused = genbench("evaluate", *words)
        assert refused.returncode == 2 and says in refused.stderr


@pytest.mark.parametrize("kind", [torch.float64, torch.bool])
def test_a_number_of_fewer_than_three_points_has_no_interval(kind):
    for points in (1, 2, 3):
        values = torch.tensor([1, 0, 1][:points], dtype=kind)
        for n in (
            {"test": points},
            {"samples": points, "train": 1000},
            {"pairs": points, "steps": 16},
        ):
            assert (mean(values, n).low is None) == (points < 3)
        assert (
            around(0.5, 0.1, 1000, {"samples": 1000, "test": points, "train": 2}, {}).high is None
        ) == (points < 3)
    assert around(0.5, 0.0, 1000, {"test": 1000}, {}).high is None, (
        "numbers that do not differ say nothing of their error"
    )

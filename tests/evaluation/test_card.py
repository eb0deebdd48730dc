"""The report card as a whole, for every model."""

import json
import math
import os
import re
import resource

import numpy as np
import pytest
import torch
from helpers.cards import made, model_with, normal, numbers
from helpers.configs import CONFIGS, settings_with, small_config

from genbench.evaluation.card import card, evaluated
from genbench.evaluation.context import Evaluation
from genbench.evaluation.diagnosis import diagnose
from genbench.evaluation.registry import MEASURES, measure, measures
from genbench.experiment import evaluate, load_run, run
from genbench.runs.facts import identity
from genbench.stats.intervals import Measured, around, mean


def whole(entries):
    """A card but for what differs from run to run."""
    return [entry for entry in entries if entry["group"] != "cost"]


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
def test_parameters_are_all_numbers_that_a_model_consists_of(name, overrides, numbers, tmp_path):
    assert (
        run(small_config(name, "epochs=1", *overrides), tmp_path).metrics["cost"]["parameters"]
        == numbers
    )


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the system cannot forget a peak"
)
def test_the_peak_of_memory_is_the_runs_own(tmp_path):
    large = np.ones(100_000_000)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    del large
    assert run(small_config("pca"), tmp_path).metrics["time"]["peak_memory"] < held - 500


def test_every_model_gets_a_finite_card_which_evaluating_its_run_repeats(
    model_name, tmp_path, carded
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


def test_a_card_does_not_depend_on_how_many_points_are_looked_at_together(tmp_path):
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


def test_reconstructions_of_an_invertible_model_are_not_measured():
    x = normal(100, 2, 0)
    model = model_with(made(x, x), encode=lambda x: 2 * x, decode=lambda z: z / 2)
    for invertible, measured in ((False, {"mse"}), (True, set())):
        model.invertible = invertible
        assert numbers(model, made(x, x), "mse").keys() == measured
        assert identity(model, made(x, x))["model"].get("invertible", False) == invertible


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
    model.settings = settings_with(model.settings, lr=0.1)
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


def test_a_finished_run_is_evaluated_on_demand(genbench, tmp_path, carded):
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

"""The measures of real data, beside which samples are judged."""

import pytest
import torch
from helpers.cards import CPU, model_with
from helpers.configs import config_of

from genbench.data.loading import load_data
from genbench.evaluation import features
from genbench.evaluation.card import card, evaluated, real_data
from genbench.evaluation.context import Evaluation


def test_real_data_are_the_yardstick_of_samples_and_are_measured_once(monkeypatch, tmp_path):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    data = load_data(config_of("ae", "dataset.limit=500")["dataset"], CPU)
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
        few = load_data(config_of("ae", f"dataset.limit={limit}")["dataset"], CPU)
        (entry,) = real_data(
            Evaluation(model_with(few, sample=lambda n, rng: None), few, {}), ["fid"]
        )
        assert entry["n"] == {"samples": n, "test": n}

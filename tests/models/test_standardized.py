"""Models of standardized values, which take and return values in data units."""

import copy

import pytest
import sklearn.datasets
import torch
from helpers.configs import Nowhere, built, small_config
from helpers.runs import differences, outcome, stopped_in

from genbench.config.declarations import typed
from genbench.data import loading
from genbench.data.loading import load_data
from genbench.data.preprocessing import moments_of
from genbench.data.types import Data, DataSpec, RawDataset, Split
from genbench.evaluation.card import evaluated
from genbench.experiment import build, load_run, run
from genbench.model import loses_information, supports
from genbench.training.loop import fit_model
from genbench.training.objective import final
from genbench.utils.rng import generator
from genbench.visualizations import Landscape, Rows

CPU = torch.device("cpu")
UNITS = torch.tensor([1e-3, 1.0, 2e4, 7.0, 1.0])  # of the columns; the last is constant
OFFSETS = torch.tensor([5.0, -3.0, 1e6, 0.0, 4.0])


@pytest.fixture(scope="module")
def table():
    """The same points, their columns in several units and in one."""
    x = torch.randn(300, 5, generator=generator(3)) @ torch.randn(5, 5, generator=generator(4))
    x[:, 4] = 0
    x, y = (
        (x - x[:200].mean(0)) / x[:200].std(0, correction=0).where(x[:200].std(0) > 0, 1),
        torch.arange(300) % 3,
    )

    def data(points):
        parts = {"train": slice(0, 200), "validation": slice(200, 250), "test": slice(250, None)}
        moments = moments_of(RawDataset(points, y, None, None, unit=False))
        found = {name: Split(points[at], y[at]) for name, at in parts.items()}
        return Data("table", found, DataSpec((5,), False, classes=3), moments=moments)

    return data(x), data(x * UNITS + OFFSETS)


def test_a_signal_is_standardized_by_channel():
    x = torch.randn(50, 2, 30, generator=generator(5)) * torch.tensor([[2.0], [1e4]]) + 7
    mean, deviation = moments_of(RawDataset(x, None, None, None, unit=False))
    each = x.transpose(0, 1).flatten(1).double()
    torch.testing.assert_close(mean, each.mean(1)[:, None].expand(2, 30))
    torch.testing.assert_close(deviation, each.std(1, correction=0)[:, None].expand(2, 30))


def trained(config, data):
    model = built(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    model.fit_posthoc(data.train, seed=0)
    return model


def test_units_of_the_columns_change_nothing_but_the_units(model_name, table):
    config = small_config(model_name, "epochs=2", "dataset.limit=null", dataset="moons")
    one, (plain, scaled) = copy.deepcopy(config), table
    config["dataset"]["standardize"] = True
    expected, model = trained(one, plain), trained(config, scaled)
    inner, expected_weights = model.inner.state_dict(), expected.state_dict()
    assert all(
        torch.allclose(inner[k].double(), v.double(), rtol=1e-2, atol=1e-2)
        for k, v in expected_weights.items()
        if k != "points"
    )
    assert (
        model.converged == expected.converged
        and model.size == expected.size
        and model.latent_dim == expected.latent_dim
        and model.sampler == expected.sampler
    )
    x, theirs, y = (
        plain.splits["test"].values(),
        scaled.splits["test"].values(),
        plain.splits["test"].y,
    )
    close = {
        "rtol": 1e-2,
        "atol": 3e-2,
    }  # single precision keeps four places of a column whose mean is 50 of its deviations
    with torch.no_grad():
        here, there = expected.conditioned_on(y), model.conditioned_on(y)
        if supports(expected, "encode"):
            torch.testing.assert_close(there.encode(theirs), here.encode(x), **close)
            points = there.decode(here.encode(x))
            torch.testing.assert_close(
                (points - OFFSETS) / UNITS, here.decode(here.encode(x)), **close
            )
        if supports(expected, "log_prob"):
            torch.testing.assert_close(
                there.log_prob(theirs) + UNITS.log().sum(), here.log_prob(x), rtol=1e-2, atol=0.2
            )
        if supports(expected, "score"):
            torch.testing.assert_close(
                there.score(theirs) * UNITS, here.score(x), rtol=1e-2, atol=0.5
            )
        if hasattr(expected, "sample_from_latent"):
            z = expected.prior(40, generator(2))
            torch.testing.assert_close(
                (model.sample_from_latent(z, generator(3)) - OFFSETS) / UNITS,
                expected.conditioned_on(None).sample_from_latent(z, generator(3)),
                **close,
            )
        samples = model.sample(40, generator(0))
        torch.testing.assert_close(
            (samples - OFFSETS) / UNITS, expected.sample(40, generator(0)), **close
        )
        found, shown = (
            model.visualizations(theirs, generator(1)),
            expected.visualizations(x, generator(1)),
        )
    for name, view in shown.items():
        if isinstance(view, Rows) and "original" in view.rows:
            torch.testing.assert_close(found[name].rows["original"], theirs)
        if isinstance(view, Landscape):
            torch.testing.assert_close(found[name].function(theirs), view.function(x), **close)
    assert all(
        supports(model, ability) == supports(expected, ability)
        for ability in ("encode", "decode", "sample", "log_prob", "score")
    )
    card = evaluated(
        model,
        scaled,
        final(model, scaled, 100, 0) | {"cost": {}, "time": {}},
        "quick",
        names=["mse", "log_prob"],
    )["card"]
    assert {entry["name"] for entry in card} >= ({"mse"} if loses_information(model) else set())


def test_variances_are_in_data_units(table):
    config = small_config(
        "gmm", "n_components=1", "covariance=full", "dataset.limit=null", dataset="moons"
    )
    config["dataset"]["standardize"] = True
    plain, scaled = (
        Data(
            "plane",
            {k: Split(p.raw[:, :2], p.y) for k, p in d.splits.items()},
            DataSpec((2,), False),
        )
        for d in table
    )
    model = trained(config, scaled)
    view = model.visualizations(scaled.splits["test"].values(), generator(0))["components"]
    torch.testing.assert_close(
        view.covariances[0].float(),
        scaled.train.values().T.cov(correction=0),
        rtol=1e-3,
        atol=1e-3,
    )
    torch.testing.assert_close(view.points[0], scaled.train.values().mean(0), rtol=1e-4, atol=1e-4)


def test_samples_of_a_table_are_compared_alike_in_any_units(table):
    config = small_config("gmm", "dataset.limit=null", "n_components=2", dataset="moons")
    config["dataset"]["standardize"] = True
    cards = []
    for data in table:
        model = trained(config, data)
        found = evaluated(model, data, final(model, data, 100, 0), "quick")["card"]
        cards.append({entry["name"]: entry for entry in found if entry["group"] == "samples"})
    one, other = cards
    assert (
        {"fid", "coverage", "sliced_wasserstein", "mmd", "memorisation", "copied", "ndb"}
        <= one.keys()
        == other.keys()
    )
    for name, entry in one.items():
        assert entry["features"] == other[name]["features"] == "standardized values"
        assert other[name]["value"] == pytest.approx(entry["value"], rel=0.05, abs=0.03), name


def test_a_standardized_run_is_resumed_and_loaded_as_any_other(tmp_path, monkeypatch):
    wine = sklearn.datasets.load_wine()
    source = RawDataset(
        torch.tensor(wine.data).float(), torch.tensor(wine.target), None, None, unit=False
    )
    monkeypatch.setattr(
        loading,
        "locate",
        lambda path, key, real=loading.locate: (
            (lambda s: source) if "loader" in key else real(path, key)
        ),
    )
    few = [
        "dataset.val_size=0.1",
        "dataset.test_size=0.2",
        "sampler=gmm",
        "sampler_components=2",
        "dataset.standardize=true",
    ]
    config = small_config("ae", *few, "patience=2", dataset="moons")
    whole = run(config, tmp_path / "whole")
    stopped_in(None, "step", 8, config, tmp_path / "parts")
    run(config, tmp_path / "parts")
    assert not differences(outcome(tmp_path / "whole"), outcome(tmp_path / "parts"))
    assert torch.equal(load_run(config, tmp_path / "parts", "cpu").sample(9), whole.sample(9))
    assert "deviation" in whole.model.state_dict() and whole.sample(500)[:, 12].mean() > 500, (
        "proline in mg/l"
    )
    assert "standardize" not in small_config("ae")["dataset"], "images have pixels"
    assert (
        load_data(config["dataset"], CPU).train.raw.std() > 100
        and build(config, load_data(config["dataset"], CPU)).spec.unit is False
    )

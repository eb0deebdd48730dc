"""Data at the edge of what can be learnt from: a finite result or a refusal, never NaN, never no step at all."""

import json
import math

import pytest
import torch
from helpers.configs import config_of, small_config

from genbench.data import loading
from genbench.data.types import RawDataset
from genbench.experiment import load_run, run
from genbench.utils.errors import UserError
from genbench.utils.rng import generator


def images(n, seed=0):
    """Random images whose values, if they count dots, are shares of 16."""
    return torch.randint(0, 17, (n, 1, 4, 4), generator=generator(seed)).float() / 16


EDGES = {
    "constant pixels": lambda: torch.cat([images(60), torch.zeros(60, 1, 4, 4)], 3),
    "all points the same": lambda: images(1).expand(60, 1, 4, 4).clone(),
    "all values zero": lambda: torch.zeros(60, 1, 4, 4),
    "all values one": lambda: torch.ones(60, 1, 4, 4),
    "two distinct points": lambda: images(2)[torch.arange(60) % 2],
    "no points": lambda: images(0),
    "one point": lambda: images(1),
    "two points": lambda: images(2),
    "fewer points than values": lambda: images(7),
    "one point more than a batch": lambda: images(51),
    "a batch larger than the data": lambda: images(20),
    "one value": lambda: images(60)[:, :, :1, :1].flatten(1),
    "values far from zero": lambda: 1e6 + images(60).flatten(1),
    "values far apart": lambda: 1e18 * (images(60).flatten(1) - 0.5),
}


@pytest.fixture
def points(monkeypatch):
    """A function that lets the dataset be these points, to train on and the first of them to test on."""

    def let_be(x, trials=None):
        y = torch.arange(len(x)) % 3
        unit = not len(x) or (float(x.min()) >= 0 and float(x.max()) <= 1)
        held_out = x[:9] if len(x) else torch.zeros(9, *x.shape[1:])
        source = RawDataset(
            x, y, held_out, torch.arange(len(held_out)) % 3, unit, trials=trials if unit else None
        )
        monkeypatch.setattr(loading, "locate", lambda path, key: lambda s: source)

    return let_be


@pytest.mark.parametrize("edge", EDGES)
def test_every_model_ends_finite_or_refuses(edge, model_name, tmp_path, points):
    x = EDGES[edge]()
    points(x, trials=16)
    config = small_config(model_name, "epochs=3", "dataset.val_size=0", "dataset.limit=null")
    if "latent_dim" in config:
        config["latent_dim"] = min(3, x[0].numel() if len(x) else 3)
    try:
        trained = run(config, tmp_path)
    except UserError as refused:
        assert refused.code == 2 or any(
            why in str(refused) for why in ("not finite", "singular")
        ), str(refused)
        assert "; fix: " in str(refused)
        return
    assert json.loads((tmp_path / "status.json").read_text())["step"] >= 1
    numbers = [
        v
        for part in trained.metrics.values()
        if isinstance(part, dict)
        for v in part.values()
        if isinstance(v, float)
    ]
    assert numbers and all(math.isfinite(v) for v in numbers), trained.metrics


def test_the_defaults_of_every_model_work_on_three_points(model_name, tmp_path, points):
    points(images(3).repeat(1, 1, 2, 2), trials=16)
    length = "steps=2" if "steps" in config_of(model_name) else "epochs=2"
    trained = run(
        config_of(model_name, length, "dataset.val_size=0", "evaluation=none", "device=cpu"),
        tmp_path,
    )
    assert all(
        getattr(trained.model.settings, name) <= most
        for name, most in trained.model.largest(trained.model.settings, 3, 64).items()
    )
    assert all(math.isfinite(value) for value in trained.metrics["test"].values())


def test_a_mixture_of_codes_has_no_more_components_than_there_are_points(tmp_path, points):
    points(images(3).repeat(1, 1, 2, 2))
    config = config_of(
        "ae", "sampler=gmm", "steps=2", "dataset.val_size=0", "evaluation=none", "device=cpu"
    )
    fitted = run(config, tmp_path).model
    assert fitted.density.settings.n_components == 3
    again = load_run(config, tmp_path, "cpu").model
    torch.testing.assert_close(again.sample(4, generator(0)), fitted.sample(4, generator(0)))


@pytest.mark.parametrize(
    ("model", "own", "says"),
    [
        ("kmeans", [], "3 of 5 clusters have no points"),
        ("gmm", ["covariance=spherical"], "5 of 5 covariances are singular"),
        ("gmm", ["covariance=tied"], "the covariance is singular"),
    ],
)
def test_more_clusters_than_distinct_points_end_finite_and_are_told(
    model, own, says, tmp_path, points, capsys
):
    settings = ["n_components=5", "dataset.val_size=0", "dataset.limit=null", *own]
    points(images(60))
    run(small_config(model, *settings), tmp_path / "distinct")
    assert "warning" not in capsys.readouterr().out
    points(images(2)[torch.arange(60) % 2])
    trained = run(small_config(model, *settings), tmp_path / "two")
    assert says in capsys.readouterr().out
    assert math.isfinite(trained.metrics["test"][trained.model.criterion])
    if model == "kmeans":
        assert trained.metrics["test"]["inertia"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("covariance", ["full", "diag", "spherical", "tied"])
def test_a_singular_covariance_is_an_error_that_names_its_component(covariance, tmp_path, points):
    points(images(2)[torch.arange(60) % 2])
    settings = [
        "n_components=2",
        f"covariance={covariance}",
        "dataset.val_size=0",
        "dataset.limit=null",
    ]
    with pytest.raises(UserError, match="component") as refused:
        run(small_config("gmm", "reg_covar=0", *settings), tmp_path)
    assert "reg_covar" in str(refused.value) and refused.value.code in (1, 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_data_that_are_not_finite_are_refused_naming_the_first_point(bad, tmp_path, points):
    x = images(60)
    x[[41, 17], 0, 2, 2] = bad
    points(x)
    with pytest.raises(UserError, match="point 17 is not finite") as refused:
        run(small_config("pca", "dataset.val_size=0", "dataset.limit=null"), tmp_path)
    assert refused.value.code == 2


def test_without_labels_what_needs_them_says_so(model_name, tmp_path, monkeypatch):
    x = images(60)
    monkeypatch.setattr(
        loading,
        "locate",
        lambda path, key: lambda s: RawDataset(x, None, x[:9], None, unit=True, trials=16),
    )
    try:
        trained = run(small_config(model_name, "dataset.limit=null"), tmp_path)
    except UserError as refused:
        assert "needs" in str(refused) and "class" in str(refused) and refused.code == 2
    else:
        assert trained.metrics["test"]["n"] == 9


@pytest.mark.parametrize("model_name", ["cvae", "supervised-ae", "swae", "vae"])
def test_a_class_that_only_test_points_have_is_reported_and_measured(
    model_name, tmp_path, monkeypatch, carded, capsys
):
    x, y = images(60).repeat(1, 1, 2, 2), torch.tensor([0, 2]).repeat(30)
    source = RawDataset(
        x,
        y,
        x[:30],
        torch.tensor([0, 2, 1, 5, 5]).repeat(6),
        unit=True,
        trials=16,
        names=tuple("abcdef"),
    )
    monkeypatch.setattr(loading, "locate", lambda path, key: lambda s: source)
    supervised = ["supervision=1.0"] if model_name == "swae" else []
    few = [
        "epochs=2",
        "dataset.val_size=0",
        "dataset.limit=null",
        "dataset.test_size=0.2",
        "evaluation=quick",
        *supervised,
    ]
    found = run(small_config(model_name, *few), tmp_path)
    said = capsys.readouterr().out
    assert "test points have 2 classes that no training point has (b, f)" in said
    assert (
        found.metrics["card"]
        and found.data.spec.classes == 6
        and found.data.spec.absent == (1, 3, 4, 5)
    )
    if model_name == "supervised-ae":
        assert found.metrics["test"]["accuracy"] <= 0.4, "what cannot be learnt counts as wrong"


@pytest.mark.parametrize(
    ("y", "test_y", "says"),
    [
        (
            torch.zeros(60).long(),
            None,
            "only the training points have labels; fix: give all points their labels, or none",
        ),
        (None, torch.zeros(9).long(), "only the test points have labels"),
        (
            torch.zeros(60).long() - 1,
            torch.zeros(9).long(),
            r"training point 0, counted from 0, has a label below 0 \(got -1\)",
        ),
        (
            torch.zeros(60).long(),
            torch.tensor([0] * 8 + [10**12]),
            "test point 8, counted from 0, has a label above all classes",
        ),
        (
            torch.zeros(60).long(),
            torch.tensor([0] * 8 + [-1]),
            "test point 8, counted from 0, has a label below 0",
        ),
        (
            torch.zeros(60),
            torch.zeros(9).long(),
            "expected a whole number as the label of each training point",
        ),
        (
            torch.zeros(60).long(),
            torch.zeros(8).long(),
            r"expected .* label of each test point \(got 9 points, and labels \[8\]",
        ),
    ],
)
def test_labels_that_only_some_points_have_are_refused(y, test_y, says, monkeypatch):
    source = RawDataset(images(60), y, images(9), test_y, unit=True)
    monkeypatch.setattr(loading, "locate", lambda path, key: lambda s: source)
    with pytest.raises(UserError, match=f"dataset=digits: {says}") as refused:
        loading.load_data(small_config("pca", "dataset.val_size=0")["dataset"], torch.device("cpu"))
    assert refused.value.code == 2

"""A user's own data from Python: models of arrays and tables, and results in the same form."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_wine

import genbench
from genbench.figures.renderer import FIGURES

SMALL = {"epochs": 2, "device": "cpu", "quiet": True}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def command(request):
    """The command line; a fixture of the name of the package."""
    return request.getfixturevalue("genbench")


@pytest.fixture(scope="module")
def wine():
    """A table with an index of texts, and labels that are texts."""
    data = load_wine(as_frame=True)
    index = [f"bottle {i}" for i in range(len(data.data))]
    labels = pd.Series(np.array(["red", "rose", "white"])[data.target], index=index)
    return data.data.set_index(pd.Index(index)), labels


def test_a_table_goes_in_and_tables_come_out(wine, capsys):
    x, y = wine
    trained = genbench.fit(x, y, model="vae", latent_dim=2, folder="run", **SMALL)
    codes, density = trained.encode(x), trained.log_prob(x)
    assert codes.index.equals(x.index) and [*codes.columns] == ["z0", "z1"]
    assert density.index.equals(x.index) and density.shape == (len(x),)
    again, drawn = trained.decode(codes), trained.sample(3, seed=0)
    assert again.index.equals(x.index) and len(drawn) == 3
    for table in (again, drawn):
        pd.testing.assert_series_equal(table.dtypes, x.dtypes)
        assert (abs(table.mean() - x.mean()) < 3 * x.std()).all(), "in the units of the data"
    scaled = genbench.fit(1000 * x, y, model="vae", latent_dim=2, **SMALL)
    expected = density - 13 * np.log(1000)
    np.testing.assert_allclose(scaled.log_prob(1000 * x), expected, atol=0.05)
    assert capsys.readouterr() == ("", "")


def test_what_was_inferred_of_the_data_is_said(wine, capsys):
    x, y = wine
    loud = SMALL | {"quiet": False, "epochs": 1}
    genbench.fit(x, y, model="pca", **loud)
    said = "178 rows, 13 features of 13 columns, 3 classes in y; standardized, gaussian likelihood"
    assert f"X: {said}, network=mlp\n" in capsys.readouterr().out
    genbench.fit(x.assign(grower=y, same=1), model="pca", **loud)
    said = (
        "16 features of 15 columns, categories in grower, no classes; the same in all rows: same;"
    )
    assert f"X: 178 rows, {said} standardized" in capsys.readouterr().out
    genbench.fit(np.arange(3840).reshape(60, 8, 8) % 256, model="pca", **loud)
    said = (
        "60 images [n, height, width] of 1x8x8, values from 0 (black) to 255 (white), no classes;"
    )
    assert f"X: {said} bernoulli likelihood, network=conv\n" in capsys.readouterr().out


def test_a_run_is_loaded_and_resumed_with_the_same_data_only(wine, command):
    x, y = wine
    trained = genbench.fit(x, y, model="pca", folder="run", **SMALL)
    for again in (
        genbench.load("run", x, y),
        genbench.fit(x, y, model="pca", folder="run", **SMALL),
    ):
        pd.testing.assert_frame_equal(again.encode(x), trained.encode(x))
    bare = genbench.load("run")  # without the data, and so without their form
    points = trained.data.layout.points(x)
    np.testing.assert_array_equal(bare.encode(points).numpy(), trained.encode(x))
    with pytest.raises(ValueError, match="these are not at hand; fix: give them again"):
        bare.plot("samples")
    with pytest.raises(ValueError, match="X: these are not the data that the run in run"):
        genbench.load("run", x + 1, y)
    with pytest.raises(ValueError, match="folder: run holds a run on other data"):
        genbench.fit(x + 1, y, model="pca", folder="run", **SMALL)
    for words, said in (
        (["sample", "run"], "given in Python, which no file holds"),
        (["dataset=memory"], "such data are given in Python, and a command has none"),
        (["resume", "run", "epochs=5"], "fix: repeat the call of genbench.fit"),
        (["show", "run"], None),
    ):
        done = command(*words)
        assert (done.returncode == 0) == (said is None) and (said or "") in done.stderr


@pytest.mark.parametrize(
    ("points", "form"),
    [
        (np.random.default_rng(0).random((60, 5)), np.ndarray),
        (np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8), np.ndarray),
        (torch.rand(60, 1, 8, 8), torch.Tensor),
    ],
    ids=["vectors", "bytes of colours", "tensor"],
)
def test_arrays_come_back_as_they_went_in(points, form):
    trained = genbench.fit(points, model="pca", latent_dim=2, X_test=points[:20], **SMALL)
    drawn = trained.sample(4)
    assert isinstance(drawn, form) and drawn.dtype == points.dtype
    assert drawn.shape[1:] == points.shape[1:]
    codes = trained.encode(points[:7])
    assert isinstance(codes, form) and codes.shape == (7, 2)
    assert isinstance(trained.decode(codes), form) and len(trained.data.splits["test"]) == 20
    assert isinstance(trained.log_prob(points[:7]), form)


def test_a_dataset_of_torch_is_read():
    points = torch.utils.data.TensorDataset(torch.rand(50, 4), torch.arange(50) % 2)
    trained = genbench.fit(points, model="gmm", n_components=2, **SMALL)
    assert trained.data.spec.classes == 2 and trained.sample(3).shape == (3, 4)


def test_classes_are_called_as_the_user_calls_them(wine):
    x, y = wine
    trained = genbench.fit(x, y, model="cvae", latent_dim=2, **SMALL)
    assert len(trained.sample(2, y="rose")) == 2 and len(trained.encode(x, y)) == len(x)
    with pytest.raises(
        ValueError, match=r"no class of the data \(got blue\); fix: one of red, rose"
    ):
        trained.sample(2, y="blue")


def test_wrong_data_are_refused_before_anything_starts(wine, tmp_path):
    x, y = wine
    for arguments, match in (
        ({"X": x, "dataset": "mnist"}, "dataset: X is given already"),
        ({"y": y}, "X: is missing"),
        ({"X": x, "y": y[:-1]}, "y: there are 178 points and 177 labels"),
        ({"X": x, "bta": 1}, "bta: no such setting .* did you mean 'beta'"),
        ({"X": np.array(["a", "b"])}, "X: holds no numbers"),
    ):
        with pytest.raises(ValueError, match=match):
            genbench.fit(**arguments, model="vae", folder="run", **SMALL)
    assert not (tmp_path / "run").exists()


def test_pictures_are_figures_by_name(wine):
    import matplotlib.figure

    x, y = wine
    trained = genbench.fit(x, y, model="pca", latent_dim=3, **SMALL)
    assert trained.pictures[:2] == ["samples", "reconstructions"] and "scree" in trained.pictures
    assert {*trained.pictures} - {figure.name for figure in FIGURES} <= {
        "components",
        "scree",
        "growth",
    }
    figure = trained.plot("scree")
    assert isinstance(figure, matplotlib.figure.Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"got scre.*; fix: choose from samples, reconstructions"):
        trained.plot("scre")
    page = trained._repr_html_()
    assert "squared_error" in page and page.startswith("<pre")


@pytest.mark.extras  # as it draws two reports, which takes seconds
def test_a_sweep_is_a_table_with_a_row_for_each_run(wine, tmp_path):
    x, y = wine
    chosen = {"model": ["vae", "pca"], "beta": [1, 2], "latent_dim": 2}

    def swept():
        return genbench.sweep(x, y, **chosen, folder="sweep", epochs=1, device="cpu")

    table = swept()
    assert table["model"].tolist() == ["vae", "vae", "pca"]
    assert table["beta"].tolist()[:2] == [1, 2] and table["beta"].isna().tolist()[2]
    assert {*table["state"]} == {"done"} and table["test.nll"].notna().all()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.json")}
    pd.testing.assert_frame_equal(swept(), table)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.json")}
    rows = genbench.report("sweep", quiet=True)
    assert sorted(rows["model"]) == ["pca", "vae", "vae"]
    with pytest.raises(ValueError, match="beta: model=pca has no setting 'beta'"):
        genbench.sweep(x, model="pca", beta=[1, 2])
    with pytest.raises(ValueError, match="report: no such folder"):
        genbench.report("nowhere")


def test_a_run_of_a_sweep_that_fails_says_why_and_the_others_go_on(wine, capsys, monkeypatch):
    monkeypatch.setattr("genbench.api.write_all", lambda *arguments, **more: None)
    x, _ = wine
    table = genbench.sweep(x, model="pca", latent_dim=[2, 500], epochs=1, device="cpu")
    assert table["state"].tolist() == ["done", "failed"]
    assert "must be at most 13" in table["reason"][1] and "latent_dim" in capsys.readouterr().err

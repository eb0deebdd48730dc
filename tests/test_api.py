"""genbench from Python."""

import numpy as np
import pytest
import torch
import yaml
from conftest import config_of

import genbench

SMALL = {"epochs": 2, "device": "cpu", "dataset__limit": 100}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_three_lines_train_a_model_that_encodes_decodes_and_samples():
    trained = genbench.fit(model="vae", beta=4, latent_dim=2, **SMALL)
    assert trained.folder.parent.name == "outputs" and "vae_beta-4_latent_dim-2" in trained.folder.name
    x = trained.data.parts["test"].values()
    z = trained.encode(x.numpy())
    assert z.shape == (len(x), 2) and not z.requires_grad
    assert torch.equal(trained.encode(x.numpy().astype(float)), z) and trained.decode(np.zeros((3, 2))).shape == (3, 1, 8, 8)
    assert torch.equal(trained.sample(5, seed=1), trained.sample(5, seed=1)) and trained.sample(5).shape == (5, 1, 8, 8)
    assert trained.decode([[0, 1]]).shape == (1, 1, 8, 8) and repr(trained).startswith("<vae on digits, in ")
    with pytest.raises(genbench.errors.UserError, match="cannot score; fix: it can encode, decode, sample, log_prob"):
        trained.score(x)
    with pytest.raises(ValueError, match=r"decode: codes have the shape \[n, 2\] \(got \[3, 5\]\)"):
        trained.decode(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"points: they have the shape \[n, 1, 8, 8\] \(got \[8, 8\]\)"):
        trained.encode(x[0, 0])
    with pytest.raises(ValueError, match=r"their values lie in \[0, 1\] \(got 0 to 16\); fix: scale them"):
        trained.encode(16 * x)


def test_codes_of_clusters_are_their_numbers():
    trained = genbench.fit(model="kmeans", n_components=3, **SMALL)
    x = trained.data.parts["test"].values()
    centres = trained.decode(trained.encode(x))
    assert trained.encode(x).shape == (len(x),) and torch.equal(trained.decode([2, 0])[1], trained.decode([0])[0])
    assert float(((centres - x) ** 2).flatten(1).sum(1).mean()) == pytest.approx(trained.metrics["test"]["inertia"], rel=1e-5)


def test_codes_of_a_mixture_are_responsibilities():
    trained = genbench.fit(model="gmm", n_components=3, covariance="diag", **SMALL)
    x = trained.data.parts["test"].values()
    assert trained.encode(x).shape == (len(x), 3) and trained.decode(trained.encode(x)).shape == x.shape


def test_an_editor_finds_what_there_is():
    assert {"fit", "load", "Trained"} <= {*dir(genbench)} and all(getattr(genbench, name).__doc__ for name in genbench.__all__)


def test_a_finished_run_is_taken_up_again_as_it_was_measured():
    first = genbench.fit(model="ae", patience=1, lr=0.5, folder="here", **(SMALL | {"epochs": 30}))
    assert first.metrics["cost"]["kept_epoch"] < first.metrics["cost"]["epochs"] < 30
    x = np.asarray(first.data.parts["test"].values())
    for again in (genbench.load("here"), genbench.fit(model="ae", patience=1, lr=0.5, folder="here", **(SMALL | {"epochs": 30}))):
        assert torch.equal(again.encode(x), first.encode(x))
        assert again.metrics["test"] == first.metrics["test"]


def test_keywords_name_every_setting():
    trained = genbench.fit(model="swae", lambda_=3, dataset__classes=[3, 8], **SMALL)
    assert trained.model.hp["lambda"] == 3 and set(trained.data.train.y.tolist()) == {3, 8}


def test_defaults_are_those_of_the_command_line():
    trained = genbench.fit(model="wgan", network="conv", channels=4, latent_dim=2, **SMALL)
    words = ["network=conv", "channels=4", "latent_dim=2", *(f"{k.replace('__', '.')}={v}" for k, v in SMALL.items())]
    assert yaml.safe_load((trained.folder / "config.yaml").read_text()) == config_of("wgan", *words)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "vea"}, "model: no such model"),
        ({"model": "pca", "beta": 4}, "model=pca has no setting 'beta'"),
        ({"beta": "x"}, "beta: must be float >= 0"),
        ({"dataset__rot": "x"}, "dataset.rot: no such setting"),
        ({"beta__x": 1}, "beta.x: no such setting"),
        ({"model__class": "os.system"}, "model.class: class is fixed by configs/model/"),
        ({"dataset__name": "moons"}, "dataset.name: name is fixed by configs/dataset/"),
    ],
)
def test_what_the_command_line_refuses_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        genbench.fit(**settings)


def test_numbers_of_numpy_and_paths_are_taken_and_own_configs_found(tmp_path):
    own = tmp_path / "it's my own, dir (1)"
    (own / "model").mkdir(parents=True)
    text = "# @package _global_\n# An autoencoder.\ndefaults: [ae, _self_]\nmodel: {name: flat-ae}\nhidden: []\n"
    (own / "model" / "flat-ae.yaml").write_text(text)
    trained = genbench.fit(model="flat-ae", latent_dim=np.int64(2), lr=np.float64(0.01), config_dir=own, folder=tmp_path / "run", **SMALL)
    assert trained.model.s.latent_dim == 2 and trained.model.s.hidden == []
    assert genbench.load(tmp_path / "run", config_dir=own, device="cpu").metrics == trained.metrics
    with pytest.raises(ValueError, match=r"dataset.root: holds no pictures, but files such as flat-ae.yaml"):
        genbench.fit(dataset="image-folder", dataset__root=own / "model", model="pca")


def test_a_run_that_is_not_finished_is_not_loaded():
    with pytest.raises(ValueError, match="is not a run directory"):
        genbench.load("nowhere")

"""genbench from Python."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.configs import config_of, small_config

import genbench
from genbench.experiment import run
from genbench.model import supports
from genbench.models.cvae import CVAE

SMALL = {"epochs": 2, "device": "cpu", "dataset__limit": 100}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_three_lines_train_a_model_that_encodes_decodes_and_samples():
    trained = genbench.fit(model="vae", beta=4, latent_dim=2, **SMALL)
    assert (
        trained.folder.parent.name == "outputs" and "vae_beta-4_latent_dim-2" in trained.folder.name
    )
    x = trained.data.splits["test"].values()
    z = trained.encode(x.numpy())
    assert z.shape == (len(x), 2) and not z.requires_grad
    assert torch.equal(trained.encode(x.numpy().astype(float)), z) and trained.decode(
        np.zeros((3, 2))
    ).shape == (3, 1, 8, 8)
    assert torch.equal(trained.sample(5, seed=1), trained.sample(5, seed=1)) and trained.sample(
        5
    ).shape == (5, 1, 8, 8)
    assert trained.decode([[0, 1]]).shape == (1, 1, 8, 8) and repr(trained).startswith(
        "<vae on digits, in "
    )
    with pytest.raises(
        genbench.utils.errors.UserError,
        match="cannot score; fix: it can encode, decode, sample, log_prob",
    ):
        trained.score(x)
    with pytest.raises(ValueError, match=r"decode: codes have the shape \[n, 2\] \(got \[3, 5\]\)"):
        trained.decode(np.zeros((3, 5)))
    with pytest.raises(
        ValueError, match=r"points: they have the shape \[n, 1, 8, 8\] \(got \[8, 8\]\)"
    ):
        trained.encode(x[0, 0])
    with pytest.raises(
        ValueError, match=r"their values lie in \[0, 1\] \(got 0 to 16\); fix: scale them"
    ):
        trained.encode(16 * x)


def test_a_model_takes_its_own_samples(model_name):
    trained = run(small_config(model_name, "epochs=1"), Path("here"))
    x, labels = trained.sample(3), {"y": [0, 1, 2]} if trained.model.conditional else {}
    for ability in ("encode", "log_prob", "score"):
        if supports(trained.model, ability):
            assert (
                getattr(trained, ability)(x, **(labels if ability != "score" else {}))
                .isfinite()
                .all()
            )


def test_samples_are_new_at_each_call_and_the_same_for_a_seed():
    first, again = (
        genbench.fit(model="pca", latent_dim=2, folder="here", **SMALL) for _ in range(2)
    )
    calls = [first.sample(4) for _ in range(3)] + [first.sample(4, seed=i) for i in range(3)]
    assert len({tuple(points.flatten().tolist()) for points in calls}) == 6
    assert torch.equal(torch.stack([again.sample(4) for _ in range(3)]), torch.stack(calls[:3])), (
        "a script gives the same again"
    )
    assert torch.equal(again.sample(4, seed=2), calls[5])
    assert first.encode(calls[0][:0]).shape == (0, 2) and first.sample(0).shape == (0, 1, 8, 8)
    with pytest.raises(ValueError, match="n: is a number of points to draw"):
        first.sample(-1)


def test_many_points_are_asked_about_a_block_at_a_time(monkeypatch):
    trained = genbench.fit(model="cvae", latent_dim=2, **SMALL)
    x = trained.data.splits["test"].values()[:50]
    y = trained.data.splits["test"].y[:50]
    z, blocks = trained.encode(x, y), []
    monkeypatch.setattr("genbench.trained.BLOCK", 16)
    for name in ("posterior", "decode", "sample_from_latent"):
        original = getattr(CVAE, name)
        monkeypatch.setattr(
            CVAE,
            name,
            lambda self, of, *more, original=original: (
                blocks.append(len(of)) or original(self, of, *more)
            ),
        )
    torch.testing.assert_close(trained.encode(x, y), z)
    whole = [
        trained.decode(z, y),
        trained.decode(z, 3),
        trained.log_prob(x, y),
        trained.sample(50, y=y),
    ]
    assert [len(found) for found in whole] == [50, 50, 50, 50] and max(blocks) <= 16
    torch.testing.assert_close(trained.decode(z[:16], y[:16]), whole[0][:16])
    with pytest.raises(
        ValueError, match=r"y: there is one label for all 50 points, or one for each \(got 3\)"
    ):
        trained.encode(x, [1, 2, 3])


def test_no_class_is_sampled_that_was_never_seen():
    trained = genbench.fit(model="cvae", latent_dim=2, **(SMALL | {"dataset__classes": [3, 8]}))
    assert len(trained.sample(2, y=8)) == 2
    with pytest.raises(
        ValueError, match=r"y: no training point has this label \(got 5\); fix: such as y=3"
    ):
        trained.sample(2, y=[3, 5])


def test_codes_of_clusters_are_their_numbers():
    trained = genbench.fit(model="kmeans", n_components=3, **SMALL)
    x = trained.data.splits["test"].values()
    centres = trained.decode(trained.encode(x))
    assert trained.encode(x).shape == (len(x),) and torch.equal(
        trained.decode([2, 0])[1], trained.decode([0])[0]
    )
    assert float(((centres - x) ** 2).flatten(1).sum(1).mean()) == pytest.approx(
        trained.metrics["test"]["inertia"], rel=1e-5
    )


def test_codes_of_a_mixture_are_responsibilities():
    trained = genbench.fit(model="gmm", n_components=3, covariance="diag", **SMALL)
    x = trained.data.splits["test"].values()
    assert (
        trained.encode(x).shape == (len(x), 3)
        and trained.decode(trained.encode(x)).shape == x.shape
    )


def test_an_editor_finds_what_there_is():
    assert {"fit", "load", "Trained"} <= {*dir(genbench)} and all(
        getattr(genbench, name).__doc__ for name in genbench.__all__
    )


def test_a_finished_run_is_taken_up_again_as_it_was_measured():
    first = genbench.fit(model="ae", patience=1, lr=0.5, folder="here", **(SMALL | {"epochs": 30}))
    assert first.metrics["cost"]["kept_epoch"] < first.metrics["cost"]["epochs"] < 30
    x = np.asarray(first.data.splits["test"].values())
    for again in (
        genbench.load("here"),
        genbench.fit(model="ae", patience=1, lr=0.5, folder="here", **(SMALL | {"epochs": 30})),
    ):
        assert torch.equal(again.encode(x), first.encode(x))
        assert again.metrics["test"] == first.metrics["test"]


def test_keywords_name_every_setting():
    trained = genbench.fit(model="swae", lambda_=3, dataset__classes=[3, 8], **SMALL)
    assert trained.model.weights["lambda"] == 3 and set(trained.data.train.y.tolist()) == {3, 8}


def test_defaults_are_those_of_the_command_line():
    trained = genbench.fit(model="wgan", network="conv", channels=4, latent_dim=2, **SMALL)
    words = [
        "network=conv",
        "channels=4",
        "latent_dim=2",
        *(f"{k.replace('__', '.')}={v}" for k, v in SMALL.items()),
    ]
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
        ({"dataset": "mnist", "dataset__root": "/nowhere"}, "dataset.root: no such folder"),
        ({"dataset__name": "moons"}, "dataset.name: name is fixed by configs/dataset/"),
    ],
)
def test_what_the_command_line_refuses_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        genbench.fit(**settings)
    assert not Path("outputs").exists(), "nothing is left of what could not begin"


def test_numbers_of_numpy_and_paths_are_taken_and_own_configs_found(tmp_path):
    own = tmp_path / "it's my own, dir (1)"
    (own / "model").mkdir(parents=True)
    text = "# @package _global_\n# An autoencoder.\ndefaults: [ae, _self_]\nmodel: {name: flat-ae}\nhidden: []\n"
    (own / "model" / "flat-ae.yaml").write_text(text)
    trained = genbench.fit(
        model="flat-ae",
        latent_dim=np.int64(2),
        lr=np.float64(0.01),
        config_dir=own,
        folder=tmp_path / "run",
        **SMALL,
    )
    assert trained.model.settings.latent_dim == 2 and trained.model.settings.hidden == []
    assert genbench.load(tmp_path / "run", config_dir=own, device="cpu").metrics == trained.metrics
    with pytest.raises(
        ValueError, match=r"dataset.root: holds no pictures, but files such as flat-ae.yaml"
    ):
        genbench.fit(dataset="image-folder", dataset__root=own / "model", model="pca")


def test_a_run_that_is_not_finished_is_not_loaded():
    with pytest.raises(ValueError, match="is not a run directory"):
        genbench.load("nowhere")

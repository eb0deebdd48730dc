"""What the app does with a run: codes to move through, samples, drawings and reconstructions."""

import numpy as np
import pytest
import torch

import genbench
from genbench.app.explorer import MOST_SLIDERS, Explorer
from genbench.utils.errors import UserError

SMALL = {"epochs": 1, "evaluation": "none", "device": "cpu", "dataset__limit": 60}


pytestmark = pytest.mark.extras


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    """A function that trains a model for an epoch, once for the same settings."""
    made = {}

    def trained(model, **settings):
        key = repr((model, settings))
        if key not in made:
            folder = tmp_path_factory.mktemp("run")
            made[key] = Explorer(genbench.fit(model=model, folder=folder, **SMALL, **settings))
        return made[key]

    return trained


def pixels(picture):
    return np.asarray(picture.convert("RGB"))


def test_a_slider_moves_its_latent_and_starts_between_its_ends(explorer):
    pca = explorer("pca", latent_dim=20)
    latents, start = pca.latents(), pca.start("mean", 0)
    assert len(latents) == MOST_SLIDERS and len(start) == 20
    spread = pca.codes.std(0, correction=0)
    others = {*range(20)} - {latent.place for latent in latents}
    assert min(spread[latent.place] for latent in latents) > max(spread[i] for i in others)
    before = pixels(pca.decoded(start))
    for latent in latents[:2]:
        assert latent.low < start[latent.place] < latent.high
        assert 100 <= (latent.high - latent.low) / latent.step <= 1000
        moved = [*start]
        moved[latent.place] = latent.high
        assert not np.array_equal(pixels(pca.decoded(moved)), before)
    assert pca.start("random", 1) == pca.start("random", 1) != pca.start("random", 2)
    point = pca.test_point(3)
    assert pca.start("point", 3) == pytest.approx(pca.trained.encode(point)[0].tolist())
    with pytest.raises(UserError, match="test points"):
        pca.start("point", 10_000)


def test_a_model_without_an_encoder_has_the_codes_that_it_draws_from(explorer):
    gan = explorer("gan", latent_dim=3)
    assert gan.has_latent_space and gan.codes.shape[1] == 3
    assert gan.codes.std() == pytest.approx(1, abs=0.1)
    assert not gan.can("encode") and gan.decoded(gan.start("mean", 0)).width > 100
    assert not np.array_equal(pixels(gan.sampled(4, 0)), pixels(gan.sampled(4, 1)))


def test_clusters_are_no_latent_space(explorer):
    mixture = explorer("gmm", n_components=2, dataset="moons")
    assert not mixture.has_latent_space and mixture.sampled(1, 0).width > 100


def test_a_decoded_row_of_a_table_is_drawn(tmp_path):
    points = np.random.default_rng(0).normal(size=(60, 5))
    trained = genbench.fit(points, model="pca", latent_dim=2, folder=tmp_path, evaluation="none")
    table = Explorer(trained)
    start = table.start("mean", 0)
    moved = [start[0] + 1, *start[1:]]
    assert not np.array_equal(pixels(table.decoded(start)), pixels(table.decoded(moved)))
    assert table.sampled(1, 0).width > 100 and not table.can_reconstruct_drawings


def test_a_class_is_chosen_of_a_conditional_model_only(explorer):
    cvae = explorer("cvae", latent_dim=2)
    assert cvae.classes == [str(digit) for digit in range(10)]
    assert explorer("pca", latent_dim=20).classes == []
    start = cvae.start("mean", 0)
    assert not np.array_equal(pixels(cvae.decoded(start, 0)), pixels(cvae.decoded(start, 7)))
    assert cvae.start("point", 0) and cvae.sampled(4, 0, 3)


def test_a_drawing_becomes_a_point_and_is_reconstructed(explorer):
    pca = explorer("pca", latent_dim=20)
    assert pca.canvas() == ("#000000", "#ffffff"), "the edges of digits are black"
    drawing = np.zeros((320, 320, 3), np.uint8)
    drawing[:, 160:200] = 255
    point = pca.drawing_as_point(drawing)
    assert point.shape == (1, 1, 8, 8) and torch.equal(point[0, 0, :, 4], torch.ones(8))
    assert point.sum() == 8
    seen, again = pca.reconstructed(point, 0.0)
    assert (pixels(seen)[0, :, 0] == 255).sum() == 40 and seen.size == again.size == (320, 320)
    noisy, _ = pca.reconstructed(point, 0.3)
    assert not np.array_equal(pixels(noisy), pixels(seen))
    shown = pca.drawing_as_point(pixels(pca.picture(pca.test_point(0), "nearest")))
    assert torch.allclose(shown, pca.test_point(0), atol=0.01), (
        "a test image as a drawing is the same"
    )

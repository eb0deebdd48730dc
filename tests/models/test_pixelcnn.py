"""PixelCNN: its probabilities sum to one, a value sees exactly those before it, and draws follow the probabilities."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from helpers.configs import Nowhere, small_config
from scipy.special import expit, logsumexp

from genbench.config.declarations import typed
from genbench.data.loading import load_data
from genbench.data.types import Data, DataSpec, Split
from genbench.experiment import build
from genbench.models.pixelcnn import PixelCNN
from genbench.nn.likelihoods import Bernoulli, Binomial, ContinuousBernoulli, ScaledGaussian
from genbench.nn.logistic_mixture import LogisticMixture
from genbench.nn.pixel import PixelNetwork
from genbench.training.loop import fit_model
from genbench.training.objective import means
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

CPU = torch.device("cpu")


def random_model(spec, *overrides):
    """A PixelCNN with random weights for data of this kind."""
    settings = typed(small_config("pixelcnn", *overrides))
    rng = generator(1)
    model = PixelCNN(spec, settings).requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(0.7 * torch.randn(parameter.shape, generator=rng))
    return model


def all_points(shape, levels):
    """Every point of this shape whose values have so many levels."""
    values = torch.tensor(list(product(range(levels), repeat=math.prod(shape)))).float()
    return (values / (levels - 1)).reshape(-1, *shape)


@pytest.mark.parametrize(
    ("shape", "levels", "overrides"),
    [
        ((1, 3, 3), 2, ["likelihood=bernoulli"]),
        ((2, 2, 2), 2, []),
        ((3, 1, 2), 3, ["features=7", "likelihood=binomial"]),
        ((2, 4), 2, []),
        ((7,), 2, []),
        ((2, 1, 2), 4, ["logistics=2"]),
    ],
)
def test_the_probabilities_of_all_images_sum_to_one(shape, levels, overrides):
    model = random_model(DataSpec(shape, unit=True, trials=levels - 1), *overrides)
    x = all_points(shape, levels)
    p = model.log_prob(x).double().exp()
    assert len(x) == levels ** math.prod(shape) and model.is_discrete
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    assert float(p.max() / p.min()) > 10, "and they differ"


@pytest.mark.parametrize(("channels", "kernel"), [(1, 3), (2, 3), (3, 1)])
def test_a_value_depends_on_all_values_before_it_and_on_no_other(channels, kernel):
    """In raster order, and within a pixel in the order of channels: without a blind spot."""
    height, width, parameters = 4, 6, 2
    network = PixelNetwork(channels, parameters, 6, 4, kernel, centred=True)
    network.head[0] = network.head[2] = torch.nn.Tanh()  # which switches nothing off
    x = torch.rand(1, channels, height, width, generator=generator(0))
    jacobian = torch.autograd.functional.jacobian(network, x)[0, :, :, :, :, 0]
    found = jacobian.abs().sum(0)
    # [channel, row, column] twice, to [row, column, channel] twice
    dependent = found.permute(1, 2, 0, 4, 5, 3).reshape(height * width * channels, -1)
    before = torch.ones_like(dependent).tril(-1).bool()
    assert (dependent[~before] == 0).all()
    if kernel > 1:
        assert (dependent[before] > 0).all()


def test_few_layers_see_a_neighbourhood_without_a_blind_spot():
    """One layer sees the rows above within its reach, all columns of them alike."""
    network = PixelNetwork(1, 1, 4, 1, 3, centred=True)
    network.head[0] = network.head[2] = torch.nn.Tanh()
    x = torch.rand(1, 1, 9, 15, generator=generator(0))
    jacobian = torch.autograd.functional.jacobian(network, x)[0, 0, 0, 8, 7, 0, 0]
    seen = torch.zeros(9, 15, dtype=torch.bool)
    seen[4:8, 4:11] = True  # the shifted kernel of 7: four rows above, three columns to each side
    seen[8, 4:7] = True
    assert torch.equal(jacobian != 0, seen)


@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 2, 3)])
def test_drawing_with_kept_features_equals_drawing_with_the_whole_network(shape):
    model = random_model(DataSpec(shape, unit=True, trials=1), "layers=3", "kernel_size=3")
    rng, slow, (channels, height, width) = generator(4), torch.zeros(6, *shape), shape
    for i, j, c in product(range(height), range(width), range(channels)):
        raw = model.network(slow)[:, 0, c, i, j]
        slow[:, c, i, j] = (torch.rand(6, generator=rng) < raw.sigmoid()).float()
    fast = model.sample(6, generator(4))
    assert torch.equal(fast, slow) and 0.1 < float(fast.mean()) < 0.9
    assert len(torch.unique(fast, dim=0)) > 3


def test_samples_are_as_frequent_as_they_are_probable():
    model = random_model(DataSpec((1, 2, 2), unit=True, trials=1))
    x = all_points((1, 2, 2), 2)
    drawn = model.sample(20_000, generator(0))
    index = (drawn.flatten(1) @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    p = model.log_prob(x).exp()
    error = 4 * (p * (1 - p) / 20_000).sqrt()
    assert ((index.bincount(minlength=16) / 20_000 - p).abs() < error + 1e-4).all()
    assert model.sample(0, generator(3)).shape == (0, 1, 2, 2)


def mixture_probabilities(raw, levels):
    """What PixelCNN++ says of each level, in double precision and from differences of functions."""
    logits, mean, log_scale = raw.double().numpy().reshape(3, -1)
    weight, scale = np.exp(logits - logsumexp(logits)), np.exp(np.maximum(log_scale, -7))
    edges = (2 * np.arange(1, levels) - 1) / (levels - 1) - 1
    cdf = expit((edges[:, None] - mean) / scale) @ weight
    return np.diff(np.concatenate([[0.0], cdf, [1.0]]))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_a_mixture_of_logistics_equals_its_definition(levels):
    output, scales = LogisticMixture(levels, 4), torch.tensor([1.0, 0.5, 1.5])
    raw = torch.randn(3, 4, generator=generator(levels)) * scales[:, None]
    p = mixture_probabilities(raw, levels)
    x = torch.arange(levels).float()[:, None] / (levels - 1)
    found = (-output.nll(raw.reshape(1, 12, 1).expand(levels, 12, 1), x)).exp()
    np.testing.assert_allclose(found, p, rtol=1e-3, atol=1e-6)
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    mean = output.mean(raw.reshape(1, 12, 1))
    assert float(mean) == pytest.approx(float(p @ x.flatten().numpy()), abs=1e-5)
    drawn = output.draw(raw.reshape(1, 12, 1).expand(50_000, 12, 1), generator(0)) * (levels - 1)
    level = drawn.flatten().round().long()
    assert float((drawn.flatten() - level).abs().max()) < 1e-4
    error = 5 * np.sqrt(p * (1 - p) / 50_000) + 1e-4
    assert (np.abs(level.bincount(minlength=levels).numpy() / 50_000 - p) < error).all()


def test_a_mixture_of_logistics_is_finite_where_it_is_sure():
    output, raw = LogisticMixture(256, 1), torch.tensor([0.0, 30.0, -20.0]).reshape(1, 3, 1)
    raw.requires_grad_()
    for x in (0.0, 128 / 255, 1.0):
        nll = output.nll(raw, torch.tensor(x).reshape(1, 1)).sum()
        (slope,) = torch.autograd.grad(nll, raw)
        assert nll.isfinite() and slope.isfinite().all()
        if x < 1:  # the distance to the mean in units of e^-7
            assert float(nll.detach()) == pytest.approx((31 - 2 * x) * math.exp(7), rel=0.01)


def test_it_beats_pixels_that_are_independent():
    config = small_config(
        "pixelcnn", "dataset.binarize=static", "dataset.limit=500", "epochs=8", "features=6",
        "batch_size=20", "lr=0.02",
    )  # fmt: skip
    data = load_data(config["dataset"], CPU)
    model = build(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    found = means(model, data.splits["test"], 500, 0)["loss"]
    train, test = data.train.values(), data.splits["test"].values()
    p = (train.sum(0) + 1) / (len(train) + 2)
    independent = -(test * p.log() + (1 - test) * (1 - p).log()).flatten(1).sum(1).mean()
    assert found < float(independent) - 0.7
    assert model.log_prob_kind == "exact"
    with torch.no_grad():
        assert float(-model.log_prob(test).mean()) == pytest.approx(found, rel=1e-4)


def data_of(x, **spec):
    part = Split(x, None)
    return Data("made", {"train": part, "test": part}, DataSpec(tuple(x.shape[1:]), **spec))


def test_the_likelihood_is_that_of_the_data():
    config = small_config("pixelcnn")
    grey = torch.randint(256, (9, 1, 4, 4), generator=generator(0)) * (1 / 255)
    noisy = torch.rand(9, 1, 4, 4, generator=generator(0))
    for x, spec, kind in (
        (noisy.round(), {"unit": True, "trials": 1}, Bernoulli),
        ((16 * noisy).round() / 16, {"unit": True, "trials": 16}, LogisticMixture),
        (grey, {"unit": True}, LogisticMixture),
        (noisy, {"unit": True, "cell": 1 / 256}, ContinuousBernoulli),
        (noisy.flatten(1), {"unit": True}, ContinuousBernoulli),
        (noisy - 3, {"unit": False}, ScaledGaussian),
    ):
        model = build(config, data_of(x, **spec)).requires_grad_(False)
        assert type(model.likelihood) is kind
        assert model.log_prob(x).isfinite().all() and model.sample(2, generator(0)).isfinite().all()
        levels = {16: 17, None: 256}.get(spec.get("trials"))
        assert kind is not LogisticMixture or model.likelihood.levels == levels
    dots = data_of((16 * noisy).round() / 16, unit=True, trials=16)
    assert type(build(config | {"likelihood": "binomial"}, dots).likelihood) is Binomial
    for kind in ("bernoulli", "binomial"):
        with pytest.raises(UserError, match="likelihood: needs values that"):
            build(config | {"likelihood": kind}, data_of(grey, unit=True))
    with pytest.raises(UserError, match="likelihood: needs values in"):
        build(config | {"likelihood": "logistic-mixture"}, data_of(noisy - 3, unit=False))


def test_values_between_levels_are_rounded_and_it_says_so():
    config = small_config("pixelcnn")
    grey = torch.randint(256, (9, 1, 4, 4), generator=generator(0)) * (1 / 255)
    noisy = torch.rand(9, 1, 4, 4, generator=generator(0))
    for x, is_between in ((grey, False), (noisy, True)):
        model = build(config, data_of(x, unit=True)).requires_grad_(False)
        model.setup(Split(x, None), seed=0, steps=1)
        assert any("rounded to 256 levels" in said for said in model.warnings()) == is_between
        rounded = (255 * noisy).round() / 255
        torch.testing.assert_close(model.log_prob(noisy), model.log_prob(rounded))

"""Models whose likelihood is exact: that it sums or integrates to one, and is that of other programs."""

import itertools

import numpy as np
import pytest
import torch
import zuko
from helpers.configs import Nowhere, config_of
from helpers.gaussian import vectors
from scipy.stats import chisquare, logistic, multivariate_normal
from torch.distributions import AffineTransform

from genbench.config.declarations import typed
from genbench.data.types import Data, DataSpec, Split
from genbench.experiment import build
from genbench.model import loses_information
from genbench.training.loop import fit_model
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

FLOWS = ("maf", "realnvp")


def data_of(x, unit=True, trials=None, cell=1.0):
    spec = DataSpec(tuple(x.shape[1:]), unit, trials, cell)
    return Data("made", {"train": Split(x, None), "test": Split(x, None)}, spec)


def filled(model, scale=0.5):
    """The model with random weights that are far from those at the start."""
    rng = generator(9)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=rng))
    return model.requires_grad_(False)


def made_for(name, data, *overrides):
    return build(config_of(name, "device=cpu", *overrides, dataset="moons"), data)


def trained(name, data, *overrides):
    config = config_of(name, "device=cpu", *overrides, dataset="moons")
    model = build(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    return model.requires_grad_(False)


def patterns(values, size):
    """All points whose `size` values are of these."""
    return torch.tensor([*itertools.product(values, repeat=size)])


@pytest.mark.parametrize("order", ["natural", "random"])
@pytest.mark.parametrize("hidden", ["[]", "[40]", "[6,30]"])
def test_probabilities_of_binary_points_sum_to_one(order, hidden):
    x = patterns([0.0, 1.0], 10)
    model = made_for("made", data_of(x, trials=1), f"order={order}", f"hidden={hidden}")
    log_prob = filled(model).double().log_prob(x.double())
    assert log_prob.std() > 1 and model.is_discrete
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-10)


def test_probabilities_of_counts_sum_to_one():
    x = patterns([k / 4 for k in range(5)], 4)
    model = filled(made_for("made", data_of(x, trials=4))).double()
    assert float(model.log_prob(x.double()).exp().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "overrides", "unit"),
    [
        ("made", ["hidden=[30]", "likelihood=gaussian"], False),
        ("made", ["hidden=[30]"], True),
        ("maf", ["hidden=[30]", "layers=2"], False),
        ("realnvp", ["hidden=[30]", "layers=2"], False),
        ("realnvp", ["hidden=[30]", "layers=2", "transform=logit"], True),
    ],
)
def test_densities_integrate_to_one(name, overrides, unit):
    model = made_for(name, data_of(torch.rand(50, 2), unit=unit), *overrides)
    model = filled(model, scale=0.3).double()
    low, high = (0, 1) if unit else (-20, 20)
    side = low + (high - low) * (torch.arange(500).double() + 0.5) / 500
    rows = torch.cartesian_prod(side, side).split(50_000)
    total = sum(float(model.log_prob(part).exp().sum()) for part in rows)
    assert total * ((high - low) / 500) ** 2 == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("order", ["natural", "random"])
def test_samples_come_as_often_as_their_probability_says(order):
    x = patterns([0.0, 1.0], 4)
    model = filled(made_for("made", data_of(x, trials=1), f"order={order}"), scale=0.3)
    drawn = model.sample(20_000, generator(1))
    assert {*drawn.unique().tolist()} == {0.0, 1.0}
    place = (drawn @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    counts = torch.bincount(place, minlength=16).numpy()
    expected = 20_000 * model.log_prob(x).exp().double().numpy()
    assert chisquare(counts, expected / expected.sum() * 20_000).pvalue > 1e-3


@pytest.mark.parametrize(("trials", "unit"), [(None, True), (16, True), (None, False)])
def test_the_mean_log_likelihood_of_samples_is_minus_the_entropy(trials, unit):
    """Both by importance weights: the mean of q / p over samples from p is one for any density q."""
    data = data_of(torch.rand(50, 3), unit=unit, trials=trials)
    one, other = (
        filled(made_for("made", data, "hidden=[20]", f"seed={i}"), scale=s)
        for i, s in enumerate((0.3, 0.25))
    )
    x = one.sample(20_000, generator(2))
    weights = (other.log_prob(x) - one.log_prob(x)).exp().double()
    assert float(weights.mean()) == pytest.approx(1, abs=5 * float(weights.std()) / 20_000**0.5)
    assert weights.std() > 0.01


@pytest.mark.parametrize("name", FLOWS)
def test_samples_of_a_flow_are_decoded_from_normal_draws(name):
    data = data_of(torch.rand(60, 1, 4, 5), cell=1 / 256)
    small = ["hidden=[30]", "layers=3"]
    model = filled(made_for(name, data, *small, "transform=none"), scale=0.2)
    x, z = model.sample(50, generator(3)), torch.randn(50, 20, generator=generator(3))
    torch.testing.assert_close(model.encode(x), z, rtol=0, atol=1e-4)
    torch.testing.assert_close(model.decode(model.encode(x)), x, rtol=0, atol=1e-4)
    pixels = filled(made_for(name, data, *small), scale=0.2).sample(50, generator(3))
    assert pixels.shape == (50, 1, 4, 5) and pixels.min() >= 0 and pixels.max() <= 1


def test_a_linear_masked_autoencoder_is_the_gaussian_of_its_data():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4))
    x = torch.from_numpy(rng.standard_normal((2000, 4)) @ root.T + [3, 0, -2, 1]).float()
    length = ["steps=1000", "batch_size=500", "lr=0.05", "hidden=[]", "order=random"]
    model = trained("made", vectors(x), *length)
    exact = multivariate_normal(x.double().mean(0), x.double().T.cov(correction=0)).logpdf(x)
    # Its log sigma is linear in the values, too: it may be above the best Gaussian, by little.
    assert float(model.log_prob(x).double().mean()) == pytest.approx(exact.mean(), abs=0.01)


@pytest.mark.parametrize("name", FLOWS)
def test_log_densities_of_pixels_are_in_the_units_of_the_pixels(name):
    """Before training, a flow is a Gaussian of standardized logits, here by SciPy."""
    x = torch.rand(500, 1, 2, 2, generator=generator(4))
    data = data_of(x, cell=1 / 256)
    model = made_for(name, data)
    model.setup(data.train, seed=0, steps=1)
    model.initialise(data.train, seed=0)
    y = 1e-6 + (1 - 2e-6) * x.flatten(1).double().numpy()
    logits = logistic.ppf(y)
    exact = multivariate_normal(logits.mean(0), np.diag(logits.var(0))).logpdf(logits)
    exact += np.log((1 - 2e-6) / (y * (1 - y))).sum(1)
    np.testing.assert_allclose(model.log_prob(x).detach(), exact, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "overrides", "unit"),
    [("made", [], False), ("made", [], True), ("maf", [], True), ("realnvp", [], False)],
)
def test_the_score_is_the_gradient_of_the_density(name, overrides, unit):
    data = data_of(torch.rand(50, 3), unit=unit)
    model = filled(made_for(name, data, *overrides, "hidden=[20]", "activation=tanh")).double()
    x = 0.1 + 0.8 * torch.rand(7, 3, generator=generator(5), dtype=torch.float64)
    with torch.no_grad():
        found = model.score(x)
        for i in range(3):
            step = torch.zeros(3).double()
            step[i] = 1e-6
            slope = (model.log_prob(x + step) - model.log_prob(x - step)) / 2e-6
            torch.testing.assert_close(found[:, i], slope, rtol=1e-5, atol=1e-5)


def test_there_is_no_score_of_a_probability():
    binary = made_for("made", data_of(torch.rand(50, 3).round(), trials=1))
    assert not hasattr(binary, "score") and hasattr(binary, "log_prob")


def scale(raw):
    """The scale of a layer, by the output of its network."""
    return (3 * (raw / 3).tanh()).exp()


def value_by_value(tensor, size):
    """Rows that begin with one number of all values, as zuko orders them: all numbers of one value."""
    return tensor.unflatten(0, (2, size)).transpose(0, 1).flatten(0, 1)


@pytest.mark.parametrize("order", ["reversed", "random"])
def test_a_masked_autoregressive_flow_is_that_of_zuko_with_the_same_weights(order):
    data = data_of(torch.rand(50, 6), unit=False)
    ours = made_for("maf", data, "hidden=[30,20]", "layers=3", f"order={order}", "activation=elu")
    theirs = zuko.flows.MAF(
        6,
        transforms=3,
        hidden_features=[30, 20],
        activation=torch.nn.ELU,
        univariate=lambda mu, raw: AffineTransform(-mu / scale(raw), 1 / scale(raw)),
    )
    filled(ours, scale=0.3)
    for layer, other in zip(ours.maps.maps[1:], theirs.transform.transforms, strict=True):
        linear = [one for one in other.hyper if hasattr(one, "weight")]
        for k, (mine, copy) in enumerate(zip(layer.net.layers, linear, strict=True)):
            for name in ("weight", "bias", "mask"):
                value = getattr(mine, name)
                value = value_by_value(value, 6) if k == 2 else value
                getattr(copy, name).data.copy_(value)
    x = torch.randn(40, 6, generator=generator(7))
    torch.testing.assert_close(ours.log_prob(x), theirs().log_prob(x), rtol=1e-5, atol=1e-4)


def test_affine_couplings_are_those_of_zuko_with_the_same_weights():
    data = data_of(torch.rand(50, 6), unit=False)
    ours = made_for("realnvp", data, "hidden=[30,20]", "layers=3", "activation=elu")
    theirs = zuko.flows.NICE(
        6,
        transforms=3,
        hidden_features=[30, 20],
        activation=torch.nn.ELU,
        univariate=lambda raw, t: AffineTransform(t, scale(raw)),
    )
    filled(ours, scale=0.3)
    for layer, other in zip(ours.maps.maps[1:], theirs.transform.transforms, strict=True):
        mine, copy = (
            [one for one in net if hasattr(one, "weight")] for net in (layer.net, other.hyper)
        )
        moved = torch.stack([~layer.kept, ~layer.kept]).flatten()
        copy[0].weight.data.copy_(mine[0].weight[:, layer.kept])
        copy[0].bias.data.copy_(mine[0].bias)
        copy[1].load_state_dict(mine[1].state_dict())
        copy[2].weight.data.copy_(value_by_value(mine[2].weight[moved], 3))
        copy[2].bias.data.copy_(value_by_value(mine[2].bias[moved], 3))
    x = torch.randn(40, 6, generator=generator(7))
    torch.testing.assert_close(ours.log_prob(x), theirs().log_prob(x), rtol=1e-5, atol=1e-4)


def test_data_that_a_model_cannot_describe_are_refused():
    grey, real = data_of(torch.rand(50, 3)), data_of(torch.randn(50, 3), unit=False)
    with pytest.raises(UserError, match="likelihood: needs values that are 0 or 1"):
        made_for("made", grey, "likelihood=bernoulli")
    with pytest.raises(UserError, match=r"likelihood: needs data in \[0, 1\]"):
        made_for("made", real, "likelihood=bernoulli")
    with pytest.raises(UserError, match=r"transform: needs data in \[0, 1\]"):
        made_for("maf", real, "transform=logit")
    assert made_for("made", grey).likelihood.describes(grey.spec)


@pytest.mark.parametrize(
    ("chosen", "cell", "logits"),
    [("auto", 1.0, False), ("auto", 1 / 256, True), ("none", 1 / 256, False), ("logit", 1.0, True)],
)
def test_dequantised_pixels_are_turned_into_logits(chosen, cell, logits):
    model = made_for("maf", data_of(torch.rand(50, 3), cell=cell), f"transform={chosen}")
    assert model.takes_logits() == model.bounded == logits


@pytest.mark.parametrize(
    ("shape", "trials", "cell", "way"),
    [
        ((1, 3, 3), None, 1.0, "dataset.dequantize=true"),
        ((1, 3, 3), 16, 1.0, "dataset.dequantize=true"),
        ((1, 3, 3), 1, 1.0, "model=made"),
        ((1, 3, 3), None, 1 / 256, None),
        ((9,), None, 1.0, None),
    ],
)
def test_a_flow_says_that_whole_numbers_have_no_density(shape, trials, cell, way):
    model = made_for("realnvp", data_of(torch.rand(50, *shape), trials=trials, cell=cell))
    assert [text.endswith(f"try {way}") for text in model.warnings()] == [True] * (way is not None)


@pytest.mark.parametrize("name", FLOWS)
def test_flows_are_invertible_with_codes_that_are_no_vectors_of_another_size(name):
    model = made_for(name, data_of(torch.rand(50, 1, 3, 3)), "layers=1", "hidden=[5]")
    assert model.invertible and model.latent_dim is None and not loses_information(model)
    assert model.encode(torch.rand(4, 1, 3, 3)).shape == (4, 9)

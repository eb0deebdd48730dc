"""The mixture of posteriors as a prior: its density, its draws, and the bounds that depend on it."""

import math

import pytest
import torch
from helpers.configs import Nowhere, config_of, small_config
from helpers.gaussian import vectors
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from genbench.config.declarations import typed
from genbench.data.loading import load_data
from genbench.data.types import Batch
from genbench.experiment import build
from genbench.training.loop import fit_model
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

CPU = torch.device("cpu")


def random_model(*overrides):
    """A model with random weights and pseudo-inputs, and a batch."""
    config = small_config("vamp-vae", *overrides)
    data = load_data(config["dataset"], CPU)
    model = build(config, data).requires_grad_(False)
    for parameter in model.parameters():
        parameter += 0.3 * torch.randn(parameter.shape, generator=generator(1))
    return model, next(data.train.batches(40))


def mixture_of(model):
    """The prior, as torch builds it."""
    mu, logvar = model.encoder(model.pseudo_inputs).chunk(2, 1)
    return MixtureSameFamily(
        Categorical(torch.ones(len(mu))), Independent(Normal(mu, (logvar / 2).exp()), 1)
    )


@pytest.mark.parametrize("draws", [1, 3])
def test_the_loss_is_that_of_the_paper(draws):
    model, batch = random_model("pseudo_inputs=5", "beta=2.0", f"draws={draws}")
    noise = model.draw_noise("model", 40, generator(2))
    loss, terms = model.loss(batch, noise, model.weights)
    mu, logvar = model.encoder(batch.x).chunk(2, 1)
    q = Independent(Normal(mu, (logvar / 2).exp()), 1)
    z = mu + noise["eps"] * (logvar / 2).exp()
    assert z.shape == (draws, 40, 3)
    kl = (q.log_prob(z) - mixture_of(model).log_prob(z)).mean()
    torch.testing.assert_close(terms["kl"], kl, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(loss, terms["nll"] + 2 * kl, rtol=1e-4, atol=1e-3)
    assert float(kl) > 1


def test_draws_from_the_prior_have_its_moments_and_its_density(monkeypatch):
    model, _ = random_model("pseudo_inputs=7")
    prior = mixture_of(model)
    drawn = model.prior(20_000, generator(3))
    error = 4 * prior.variance.sqrt() / math.sqrt(20_000)
    assert ((drawn.mean(0) - prior.mean).abs() < error).all()
    torch.testing.assert_close(drawn.var(0), prior.variance, rtol=0.05, atol=0)
    torch.testing.assert_close(model.log_prior(drawn), prior.log_prob(drawn), rtol=1e-4, atol=1e-4)
    monkeypatch.setattr("genbench.stats.products.IN_CACHE", 100)  # a few draws at a time
    torch.testing.assert_close(model.log_prior(drawn[:50]), prior.log_prob(drawn[:50]))


def test_the_bound_reaches_the_exact_likelihood_under_this_prior():
    """Of a linear decoder, under which the data are a mixture of Gaussians."""
    config = config_of(
        "vamp-vae", "hidden=[]", "latent_dim=2", "likelihood=gaussian", "sigma=0.5",
        "pseudo_inputs=3", "device=cpu", dataset="moons",
    )  # fmt: skip
    x = torch.randn(60, 4, generator=generator(0))
    model = build(config, vectors(x, x)).requires_grad_(False)
    model.initialise(vectors(x, x).train, seed=0)
    layer = model.decoder[0]
    mu, logvar = model.encoder(model.pseudo_inputs).chunk(2, 1)
    covariance = layer.weight @ torch.diag_embed(logvar.exp()) @ layer.weight.T
    parts = MultivariateNormal(model.decoder(mu), covariance + 0.25 * torch.eye(4))
    exact = MixtureSameFamily(Categorical(torch.ones(3)), parts).log_prob(x)
    bounds = [float(model.log_prob(x, k).mean()) for k in (1, 30, 4000)]
    assert bounds[0] < bounds[1] < bounds[2] == pytest.approx(float(exact.mean()), abs=0.06)


def test_one_pseudo_input_whose_posterior_is_standard_makes_it_a_vae():
    model, batch = random_model("pseudo_inputs=1")
    for parameter in model.encoder.parameters():
        parameter.zero_()  # q(z|x) = N(0, I) for every x
    noise = model.draw_noise("model", 40, generator(2))
    assert float(model.loss(batch, noise, model.weights)[1]["kl"]) == pytest.approx(0, abs=1e-5)
    eps, z = torch.randn(2, 4, 40, 3, generator=generator(4))
    logvar = torch.randn(40, 3, generator=generator(5))
    other = build(small_config("vae"), load_data(small_config("vae")["dataset"], CPU))
    torch.testing.assert_close(model.log_ratio(eps, logvar, z), other.log_ratio(eps, logvar, z))


def test_pseudo_inputs_start_at_training_points_and_stay_among_possible_ones():
    config = small_config("vamp-vae", "lr=0.05", "pseudo_inputs=20")
    data = load_data(config["dataset"], CPU)
    model = build(config, data)
    model.initialise(data.train, seed=0)
    found = torch.cdist(model.pseudo_inputs.flatten(1), data.train.values().flatten(1)).min(1)
    assert float(found.values.detach().max()) == 0 and len(found.indices.unique()) == 20
    start = model.pseudo_inputs.detach().clone()
    fit_model(model, data, Nowhere(), typed(config))
    assert model.pseudo_inputs.min() == 0 and model.pseudo_inputs.max() == 1
    assert not torch.equal(start, model.pseudo_inputs)
    shown = model.visualizations(batch_of(data).x, generator(0))["pseudo_inputs"]
    assert shown.points.shape == (20, 1, 8, 8) and float(shown.weights.sum()) == pytest.approx(1)


def batch_of(data):
    return Batch(data.splits["test"].values(slice(0, 5)), None)


def test_there_are_no_more_pseudo_inputs_than_points_by_default():
    few = small_config("vamp-vae", "dataset.limit=30", "dataset.val_size=0")
    model = build(few | {"pseudo_inputs": "auto"}, load_data(few["dataset"], CPU))
    assert len(model.pseudo_inputs) == model.settings.pseudo_inputs == 30
    with pytest.raises(UserError, match="pseudo_inputs: must be int >= 1"):
        small_config("vamp-vae", "pseudo_inputs=0")

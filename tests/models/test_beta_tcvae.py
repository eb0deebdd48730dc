"""The decomposition of the KL term: against independent code, closed forms, and the KL term itself."""

import math

import numpy as np
import pytest
import torch
from helpers.configs import small_config
from scipy.special import logsumexp
from scipy.stats import norm

from genbench.data.loading import load_data
from genbench.data.types import Split
from genbench.experiment import build
from genbench.nn.likelihoods import gaussian_kl
from genbench.utils.rng import generator

CPU = torch.device("cpu")


def random_model(*overrides, size=None):
    """A model with random weights, for training data of some size, and a batch."""
    config = small_config("beta-tcvae", *overrides)
    data = load_data(config["dataset"], CPU)
    model = build(config, data).requires_grad_(False)
    for parameter in model.parameters():
        parameter += 0.3 * torch.randn(parameter.shape, generator=generator(1))
    model.setup(data.train, seed=0, steps=1)
    assert int(model.train_size) == len(data.train)
    model.train_size.fill_(size or len(data.train))
    return model, next(data.train.batches(40))


def posteriors(n, d, seed=0):
    """Means, log variances [n, d] and draws [2, n, d]."""
    mu, logvar = torch.randn(2, n, d, generator=generator(seed)).unbind()
    eps = torch.randn(2, n, d, generator=generator(seed + 1))
    return mu, logvar - 1, mu + eps * ((logvar - 1) / 2).exp()


@pytest.mark.parametrize("aggregate", ["stratified", "weighted"])
@pytest.mark.parametrize("size", [9, 500])
def test_estimates_equal_independent_code(aggregate, size):
    model, _ = random_model(f"aggregate={aggregate}", size=size)
    mu, logvar, z = posteriors(9, 3)
    found = [float(term) for term in model.kl_terms(z, mu, logvar)]
    m, s, z = mu.double().numpy(), np.exp(logvar.double().numpy() / 2), z.double().numpy()
    terms = []
    for draw in z:
        for i, point in enumerate(draw):
            log_q = norm.logpdf(point, m, s)  # [j, d]
            if aggregate == "weighted":
                weights = np.full(9, 1 / (9 * size))
            else:
                weights = np.full(9, (size - 1) / (size * 8))
                weights[i] = 1 / size
            assert aggregate == "weighted" or weights.sum() == pytest.approx(1)
            joint = logsumexp(log_q.sum(1), b=weights)
            marginals = logsumexp(log_q, axis=0, b=weights[:, None]).sum()
            prior = norm.logpdf(point).sum()
            terms.append((log_q[i].sum() - joint, joint - marginals, marginals - prior))
    np.testing.assert_allclose(found, np.mean(terms, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("aggregate", ["stratified", "weighted"])
def test_the_loss_with_weights_of_one_is_that_of_a_vae_with_an_estimated_kl_term(aggregate):
    model, batch = random_model("alpha=1", "beta=1", "gamma=1", f"aggregate={aggregate}", "draws=4")
    noise = model.draw_noise("model", 40, generator(2))
    loss, terms = model.loss(batch, noise, model.weights)
    mu, logvar = model.encoder(batch.x).chunk(2, 1)
    z = mu + noise["eps"] * (logvar / 2).exp()
    ratio = 0.5 * (z**2 - noise["eps"] ** 2 - logvar).sum(-1).mean()  # log q(z|x) - log p(z)
    torch.testing.assert_close(loss, terms["nll"] + ratio, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(terms["kl"], gaussian_kl(mu, logvar).mean())
    other = dict(model.weights, alpha=2.0, beta=7.0, gamma=0.5)
    weighted = model.loss(batch, noise, other)[0]
    parts = [terms[k] for k in ("mutual_information", "total_correlation", "dimension_wise_kl")]
    expected = terms["nll"] + 2 * parts[0] + 7 * parts[1] + 0.5 * parts[2]
    torch.testing.assert_close(weighted, expected, rtol=1e-4, atol=1e-3)


def test_over_all_points_the_terms_are_those_of_gaussians_and_add_up_to_the_kl_term():
    """Codes whose distribution is a Gaussian with a known correlation, up to 600 of its draws."""
    n, noise, mixing = 600, 0.25, torch.tensor([[1.0, 0.0], [0.9, 0.4]])
    model, _ = random_model(size=n)
    base = torch.randn(n, 2, generator=generator(7))
    base = (base - base.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(base.T.cov())).T
    mu, logvar = base @ mixing.T, torch.full((n, 2), math.log(noise))
    eps = torch.randn(4, n, 2, generator=generator(8))
    found = [float(term) for term in model.kl_terms(mu + eps * noise**0.5, mu, logvar)]
    covariance = mixing @ mixing.T + noise * torch.eye(2)
    variances = covariance.diagonal()
    information = 0.5 * (torch.logdet(covariance) - 2 * math.log(noise))
    correlation = 0.5 * (variances.log().sum() - torch.logdet(covariance))
    single = 0.5 * (variances - 1 - variances.log()).sum()
    assert correlation > 0.3
    expected = [float(term) for term in (information, correlation, single)]
    np.testing.assert_allclose(found, expected, atol=0.06)
    assert sum(found) == pytest.approx(float(gaussian_kl(mu, logvar).mean()), abs=0.06)


def test_a_stratified_batch_estimates_the_aggregate_without_bias():
    """The mean of q(z) over all batches of 3 of 5 points that hold the point is that over all 5."""
    from itertools import combinations

    model, _ = random_model(size=5)
    mu, logvar, z = posteriors(5, 2)
    z = z[0, 0]  # drawn from the posterior of the first point
    q = norm.pdf(z.numpy(), mu.numpy(), np.exp(logvar.numpy() / 2)).prod(1)
    weights = model.log_batch_weights(3).exp()[0].double().numpy()
    batches = [(0, *others) for others in combinations(range(1, 5), 2)]
    assert np.mean([weights @ q[[*batch]] for batch in batches]) == pytest.approx(
        q.mean(), rel=1e-5
    )


def test_the_number_of_training_points_is_kept_with_the_weights():
    model, batch = random_model(size=777)
    config = small_config("beta-tcvae")
    data = load_data(config["dataset"], CPU)
    other = build(config, data).requires_grad_(False)
    other.load_state_dict(model.state_dict())
    assert int(other.train_size) == 777
    one = Split(batch.x[:1], None)
    other.setup(one, seed=0, steps=1)
    noise = other.draw_noise("model", 1, generator(0))
    loss, terms = other.loss(next(one.batches(1)), noise, other.weights)
    assert loss.isfinite() and float(terms["mutual_information"]) == pytest.approx(0, abs=1e-5)

"""Likelihoods and divergences of distributions against closed forms, integrals and torch.distributions."""

import pytest
import torch
from torch.distributions import Binomial as TheirBinomial
from torch.distributions import ContinuousBernoulli as TheirContinuousBernoulli
from torch.distributions import Independent, Normal, kl_divergence

from genbench.data.synthetic import MixtureDensity, Moons
from genbench.data.types import DataSpec
from genbench.nn import likelihoods
from genbench.settings.autoencoders import VAESettings
from genbench.utils.errors import UserError
from genbench.utils.rng import generator


def test_gaussian_kl_equals_torch():
    mu, logvar = torch.randn(2, 50, 7, generator=generator(0), dtype=torch.float64)
    q = Independent(Normal(mu, (logvar / 2).exp()), 1)
    p = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    torch.testing.assert_close(likelihoods.gaussian_kl(mu, logvar), kl_divergence(q, p))


def test_bernoulli_kl_equals_torch():
    q = torch.rand(30, generator=generator(0), dtype=torch.float64) * 0.98 + 0.01
    for p in (0.05, 0.5):
        theirs = kl_divergence(
            torch.distributions.Bernoulli(torch.tensor(p).double()),
            torch.distributions.Bernoulli(q),
        )
        torch.testing.assert_close(likelihoods.bernoulli_kl(p, q), theirs, rtol=1e-6, atol=1e-9)


def test_continuous_bernoulli_is_a_density_with_its_mean():
    raw = torch.tensor([-12.0, -2.0, -0.11, -0.09, -1e-4, 0.0, 0.05, 0.3, 4.0, 15.0]).double()
    x = (torch.arange(200_000).double() + 0.5) / 200_000
    density = torch.stack(
        [
            (-likelihoods.ContinuousBernoulli().nll(r.expand(len(x), 1), x[:, None])).exp()
            for r in raw
        ]
    )
    torch.testing.assert_close(density.mean(1), torch.ones(10).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        likelihoods.ContinuousBernoulli().mean(raw), (density * x).mean(1), atol=1e-6, rtol=0
    )
    theirs = TheirContinuousBernoulli(logits=raw[:, None], lims=(0.499, 0.501)).log_prob(
        torch.full((10, 1), 0.3).double()
    )
    ours = likelihoods.ContinuousBernoulli().nll(raw[:, None], torch.full((10, 1), 0.3).double())
    torch.testing.assert_close(-ours, theirs.squeeze(1), atol=1e-4, rtol=0)


def test_binomial_equals_torch():
    k, raw = torch.arange(17).double()[:, None], torch.linspace(-3, 3, 17).double()[:, None]
    theirs = TheirBinomial(16, logits=raw).log_prob(k).squeeze(1)
    torch.testing.assert_close(
        -likelihoods.Binomial(16).nll(raw, k / 16), theirs, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("sigma", [0.3, "learned"])
def test_gaussian_likelihood_equals_torch(sigma):
    raw, x = torch.randn(2, 9, 1, 4, 4, generator=generator(0))
    output = likelihoods.Gaussian(sigma)
    theirs = Independent(Normal(raw, output.sigma), 3).log_prob(x)
    torch.testing.assert_close(-output.nll(raw, x), theirs)
    assert (sigma == "learned") == bool(list(output.parameters()))


def test_likelihoods_refuse_data_they_are_no_likelihood_of():
    plane = DataSpec((2,), unit=False)
    with pytest.raises(UserError, match="likelihood: needs data in"):
        likelihoods.likelihood(plane, VAESettings(likelihood="bernoulli"))
    assert isinstance(
        likelihoods.likelihood(plane, VAESettings(likelihood="auto", sigma=1.0)),
        likelihoods.Gaussian,
    )
    assert (
        type(
            likelihoods.likelihood(
                DataSpec((1, 8, 8), True), VAESettings(likelihood="auto", sigma=1.0)
            )
        )
        is likelihoods.Bernoulli
    )
    assert isinstance(
        likelihoods.likelihood(
            DataSpec((1, 8, 8), True, 16), VAESettings(likelihood="auto", sigma=1.0)
        ),
        likelihoods.Binomial,
    )


@pytest.mark.parametrize(
    "density",
    [MixtureDensity(torch.tensor([[-1.0, 0], [2, 1]]), torch.tensor([0.3, 0.7])), Moons(0.1)],
)
def test_densities_integrate_to_one_and_match_their_samples(density):
    side = torch.linspace(-3.5, 4.5, 241, dtype=torch.float64)
    plane = torch.cartesian_prod(side, side)
    p = density.log_prob(plane).exp() * (side[1] - side[0]) ** 2
    assert float(p.sum()) == pytest.approx(1, abs=1e-3)
    x, _ = density.sample(100_000, generator(0))
    torch.testing.assert_close(x.mean(0), (p[:, None] * plane).sum(0), atol=0.02, rtol=0)
    # The entropy by both: the mean of -log p over samples is its integral.
    assert float(-density.log_prob(x).mean()) == pytest.approx(
        float(-(p * density.log_prob(plane)).sum()), abs=0.02
    )


def test_an_output_says_which_data_it_is_a_likelihood_of():
    specs = [DataSpec((4,), unit=True, trials=trials) for trials in (1, 16, None)]
    expected = {
        likelihoods.SquaredError(): [False, False, False],
        likelihoods.Bernoulli(): [True, False, False],
        likelihoods.BernoulliL1(): [False, False, False],
        likelihoods.Binomial(16): [False, True, False],
        likelihoods.Gaussian(1.0): [True, True, True],
    }
    for output, described in expected.items():
        assert [output.describes(spec) for spec in specs] == described

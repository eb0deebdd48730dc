"""Losses, likelihoods and densities against closed forms, integrals and torch.distributions."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import config_of, small_config
from torch.distributions import Binomial as TheirBinomial
from torch.distributions import ContinuousBernoulli as TheirContinuousBernoulli
from torch.distributions import Independent, Normal, kl_divergence

from genbench.config.values import Settings
from genbench.data.loading import load
from genbench.data.synthetic import MixtureDensity, Moons
from genbench.data.types import Data, DataSpec, Split
from genbench.experiment import build
from genbench.models.dae import CORRUPTIONS
from genbench.nn import likelihoods
from genbench.training.gradient import GradientModel
from genbench.training.optim import optimizer, rate
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

CPU = torch.device("cpu")


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
        likelihoods.likelihood(plane, Settings(likelihood="bernoulli", sigma=1.0))
    assert isinstance(
        likelihoods.likelihood(plane, Settings(likelihood="auto", sigma=1.0)), likelihoods.Gaussian
    )
    assert (
        type(
            likelihoods.likelihood(
                DataSpec((1, 8, 8), True), Settings(likelihood="auto", sigma=1.0)
            )
        )
        is likelihoods.Bernoulli
    )
    assert isinstance(
        likelihoods.likelihood(
            DataSpec((1, 8, 8), True, 16), Settings(likelihood="auto", sigma=1.0)
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


def test_corruptions_corrupt_as_much_as_they_say():
    x = torch.full((200, 500), 0.5)
    for name, (draw, corrupt) in CORRUPTIONS.items():
        y = corrupt(x, draw(x.shape, generator=generator(0)), 0.3)
        if name == "gaussian":
            assert float((y - x).std()) == pytest.approx(0.3, rel=0.02)
        else:
            assert float((y != x).double().mean()) == pytest.approx(0.3, abs=0.01)
            assert float((y == 1).double().mean()) == pytest.approx(
                0.15 if name == "salt-and-pepper" else 0, abs=0.01
            )


@pytest.mark.parametrize(
    ("prior", "test"),
    [
        ("normal", lambda z: abs(z.std() - 1) < 0.02),
        ("uniform", lambda z: z.abs().max() <= 1 and abs(z.std() - 1 / math.sqrt(3)) < 0.02),
        ("ring", lambda z: z.norm(dim=1).min() >= 0.8 and z.norm(dim=1).max() <= 1.0001),
    ],
)
def test_swae_priors(prior, test):
    config = small_config("swae", f"prior={prior}")
    model = build(config, load(config["dataset"], CPU))
    z = model.prior(20_000, generator(0))
    assert test(z) and z.mean().abs() < 0.02


def stepped(*overrides, steps=4):
    config = small_config(*overrides)
    data = load(config["dataset"], CPU)
    model = build(config, data)
    model.setup(data.train, seed=0, steps=steps)
    states = [{k: v.clone() for k, v in model.state_dict().items()}]
    for batch in list(data.train.batches(25))[:steps]:
        model.step(batch)
        states.append({k: v.clone() for k, v in model.state_dict().items()})
    return model, states


@pytest.mark.parametrize(
    ("name", "judge", "setting"),
    [("gan", "discriminator", "n_discriminator"), ("wgan", "critic", "n_critic")],
)
def test_players_move_only_their_own_parameters_and_in_turn(name, judge, setting):
    _, states = stepped(name, f"{setting}=3", "ema=0")
    for i, (before, after) in enumerate(pairwise(states)):
        moved = {k.partition(".")[0] for k in before if not torch.equal(before[k], after[k])}
        assert moved == ({judge, "generator"} if (i + 1) % 3 == 0 else {judge})


def test_clipping_bounds_the_critic_only():
    model, _ = stepped("wgan", "constraint=clipping", "clip=0.02")
    largest = {n: float(p.detach().abs().max()) for n, p in model.named_parameters()}
    assert max(v for n, v in largest.items() if n.startswith("critic.")) <= 0.02
    assert max(v for n, v in largest.items() if n.startswith("generator.")) > 0.02


def test_gradient_penalty_equals_autograd():
    config = small_config("wgan")
    data = load(config["dataset"], CPU)
    model = build(config, data)
    batch = next(iter(data.train.batches(40)))
    noise = model.draw_noise("critic", 40, generator(0))
    point = (
        batch.x + noise["between"] * (model.generator(noise["z"]).detach() - batch.x)
    ).requires_grad_()
    slope = torch.autograd.grad(model.critic(point).sum(), point, create_graph=True)[0]
    penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    _, terms = model.critic_loss(batch, noise, model.weights)
    torch.testing.assert_close(terms["penalty"], penalty)
    ours = torch.autograd.grad(terms["penalty"], model.critic.net[1].weight)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(penalty, model.critic.net[1].weight)[0])
    with torch.no_grad():  # as in evaluation
        torch.testing.assert_close(
            model.critic_loss(batch, noise, model.weights)[1]["penalty"], penalty
        )


def test_an_optimal_discriminator_loss_is_known_for_equal_densities():
    # V(D*, G) = -2 log 2 when samples and data have one density: at D = 1/2 the loss is 2 log 2 and cannot fall.
    config = small_config("gan", "r1_gamma=0")
    data = load(config["dataset"], CPU)
    model = build(config, data)
    for p in model.discriminator.parameters():
        torch.nn.init.zeros_(p)
    batch = next(iter(data.train.batches(40)))
    loss, _ = model.discriminator_loss(
        batch, model.draw_noise("discriminator", 40, generator(0)), {}
    )
    assert loss.item() == pytest.approx(2 * math.log(2))
    for kind, value in (("saturating", -math.log(2)), ("non-saturating", math.log(2))):
        model.s["generator_loss"] = kind
        assert model.generator_loss(batch, model.draw_noise("generator", 40, generator(0)), {})[
            0
        ].item() == pytest.approx(value)


def test_sparsity_reaches_rho():
    config = small_config(
        "sparse-ae",
        "lambda=100",
        "rho=0.1",
        "latent_dim=12",
        "hidden=[]",
        "lr=0.02",
        "schedule=constant",
    )
    data = load(config["dataset"], CPU)
    model = build(config, data)
    model.setup(data.train, seed=0, steps=1)
    for _ in range(150):
        for batch in data.train.batches(130):
            model.step(batch)
    with torch.no_grad():
        np.testing.assert_allclose(model.encode(data.train.values()).mean(0), 0.1, atol=0.02)


def test_a_linear_autoencoder_spans_the_principal_subspace():
    mixing = torch.linalg.qr(torch.randn(6, 6, generator=generator(0)))[0] * torch.tensor(
        [3.0, 2.0, 1.5, 0.7, 0.5, 0.3]
    )
    x = torch.randn(500, 6, generator=generator(1)) @ mixing.T + 1
    part = Split(x, None)
    config = config_of(
        "ae",
        "hidden=[]",
        "latent_dim=3",
        "lr=0.02",
        "schedule=cosine",
        "device=cpu",
        dataset="moons",
    )
    model = build(config, Data("made", {"train": part}, DataSpec((6,), unit=False)))
    model.setup(part, seed=0, steps=1500)
    for _ in range(1500):
        for batch in part.batches(500):
            model.step(batch)
    principal = np.linalg.svd((x - x.mean(0)).double().numpy(), full_matrices=False)[2][:3].T
    learned = np.linalg.qr(model.decoder[0].weight.detach().double().numpy())[0]
    angles = np.degrees(np.arccos(np.clip(np.linalg.svd(learned.T @ principal)[1], -1, 1)))
    assert angles.max() < 1


def test_learning_rates():
    s = Settings(warmup=10, schedule="linear")
    assert [rate(c, 110, 11, s) for c in (0, 9, 10, 60, 110)] == [0.1, 1.0, 1.0, 0.5, 0.0]
    assert rate(60, 110, 11, Settings(warmup=10, schedule="cosine")) == pytest.approx(0.5)
    assert rate(10**9, 10, 1, Settings(warmup=0, schedule="constant")) == 1
    stages = Settings(warmup=0, schedule="stages", stages=[[3, 0.1], [1, 0.5]])
    assert [rate(c, 35, 10, stages) for c in (0, 9, 10, 29, 30, 34)] == [1, 1, 0.5, 0.5, 0.1, 0.1]


@pytest.mark.parametrize("centred", [False, True])
def test_rmsprop_divides_by_the_root_of_the_second_moment_or_of_the_variance(centred):
    config = config_of("ae", "optimizer=rmsprop", f"centered={str(centred).lower()}", "lr=0.01")
    x = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    rule = optimizer([x], Settings(config))
    wanted, first, second = x.detach().clone(), torch.zeros(2), torch.zeros(2)
    for _ in range(3):
        x.grad = 3 * x.detach()
        g = 3 * wanted
        first, second = 0.99 * first + 0.01 * g, 0.99 * second + 0.01 * g**2
        wanted = wanted - 0.01 * g / ((second - (first**2 if centred else 0)).sqrt() + 1e-8)
        rule.step()
        torch.testing.assert_close(x.detach(), wanted)


def test_adam_starts_from_the_second_moment_it_is_given():
    config = config_of("ae", "adam_start=0.25", "adam_eps=0.001", "adam_betas=[0.9,0.99]", "lr=0.1")
    x = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    rule = optimizer([x], Settings(config))
    wanted, first, second = x.detach().clone(), torch.zeros(2), torch.full((2,), 0.25)
    for t in (1, 2, 3):
        x.grad = 3 * x.detach()
        g = 3 * wanted
        first, second = 0.9 * first + 0.1 * g, 0.99 * second + 0.01 * g**2
        wanted = wanted - 0.1 * (first / (1 - 0.9**t)) / ((second / (1 - 0.99**t)).sqrt() + 0.001)
        rule.step()
        torch.testing.assert_close(x.detach(), wanted)


class Transposed(GradientModel):
    """A model whose gradient comes with other strides than its parameter has."""

    def __init__(self, spec, s):
        super().__init__(spec, s)
        self.weight = torch.nn.Parameter(torch.ones(2, 3))

    def loss(self, batch, noise, weights):
        return (self.weight.T * torch.arange(6.0).reshape(3, 2)).sum(), {}


def test_gradients_of_any_layout_reach_the_optimiser():
    s = Settings(config_of("vae", "lr=0.5", "schedule=constant", "steps=1", dataset="ring"))
    model = Transposed(DataSpec((2,), unit=False), Settings(s | {"batch_size": 4}))
    data = Split(torch.zeros(4, 2), None)
    model.setup(data, seed=0, steps=1)
    model.step(next(data.batches(4)))
    moved = torch.tensor(
        [[1.0, 0.5, 0.5], [0.5, 0.5, 0.5]]
    )  # Adam's first step is lr times the sign of the gradient
    torch.testing.assert_close(model.weight.detach(), moved)
    assert model.weight.grad.stride() == model.weight.stride(), "or fused Adam refuses it on a GPU"


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

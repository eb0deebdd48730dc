"""Every gradient model's loss against its paper's formula, written out anew on fixed noise and non-trivial weights."""

import math

import numpy as np
import pytest
import torch
from helpers.configs import settings_with, small_config
from torch.distributions import Bernoulli, Normal
from torch.nn.functional import binary_cross_entropy_with_logits

from genbench.data.loading import load_data
from genbench.data.types import Batch
from genbench.experiment import build
from genbench.stats import products
from genbench.training.gradient import GradientModel
from genbench.utils.rng import generator

CPU = torch.device("cpu")


@pytest.fixture
def play():
    """play(name, *overrides) -> model, batch, noise of its first player (or of `objective`), and its loss."""

    def play(name, *overrides, objective=None, dataset="digits"):
        config = small_config(name, *overrides, dataset=dataset)
        data = load_data(config["dataset"], CPU)
        model = build(config, data)
        with torch.no_grad():
            for (
                parameter
            ) in model.parameters():  # far from the symmetric start, so that every term counts
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator(1))
        batch = next(iter(data.train.batches(40)))
        objective = objective or next(iter(model.objectives))
        noise = model.draw_noise(objective, 40, generator(2))
        loss, terms = getattr(model, model.objectives[objective].loss)(batch, noise, model.weights)
        return model, batch.x, noise, loss, terms

    return play


def close(a, b):
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=a.dtype), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("beta", [0.0, 1.0, 7.0])
@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "continuous-bernoulli", "gaussian", "binomial"]
)
def test_vae(play, beta, likelihood):
    sigma = ["sigma=0.7"] * (likelihood == "gaussian")
    model, x, noise, loss, terms = play("vae", f"beta={beta}", f"likelihood={likelihood}", *sigma)
    mu, logvar = model.encoder(x)[:, :3], model.encoder(x)[:, 3:]
    raw = model.decoder(mu + noise["eps"][0] * torch.exp(0.5 * logvar))
    p = torch.sigmoid(raw)
    if likelihood == "gaussian":
        log_p = Normal(raw, 0.7).log_prob(x)
    elif likelihood == "continuous-bernoulli":
        log_p = torch.distributions.ContinuousBernoulli(logits=raw).log_prob(x)
    elif likelihood == "bernoulli":
        log_p = x * p.log() + (1 - x) * (1 - p).log()
    else:
        log_p = torch.distributions.Binomial(16, logits=raw).log_prob((16 * x).round())
    nll = -log_p.sum((1, 2, 3)).mean()
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
    close(terms["nll"], nll)
    close(terms["kl"], kl)
    close(loss, nll + beta * kl)
    close(terms["negative_elbo"], nll + kl)


def test_learned_sigma_enters_the_gaussian_likelihood(play):
    model, x, noise, _, terms = play("vae", "likelihood=gaussian", "sigma=learned")
    mu, logvar = model.encoder(x).chunk(2, 1)
    raw = model.decoder(mu + noise["eps"][0] * torch.exp(0.5 * logvar))
    sigma = model.likelihood.log_sigma.exp() + 1e-3
    close(terms["nll"], -Normal(raw, sigma).log_prob(x).sum((1, 2, 3)).mean())
    assert torch.autograd.grad(terms["nll"], model.likelihood.log_sigma)[0] != 0


@pytest.mark.parametrize("reconstruction", ["mse", "bce", "bce+l1"])
def test_ae(play, reconstruction):
    model, x, _, loss, _ = play("ae", f"reconstruction={reconstruction}")
    raw = model.decoder(model.encoder(x))
    per_value = (
        (x - raw) ** 2
        if reconstruction == "mse"
        else -Bernoulli(logits=raw, validate_args=False).log_prob(x)
    )
    if reconstruction == "bce+l1":
        per_value = per_value + (x - raw.sigmoid()).abs()
    close(loss, per_value.sum((1, 2, 3)).mean())


@pytest.mark.parametrize("corruption", ["gaussian", "masking", "salt-and-pepper"])
def test_dae(play, corruption):
    model, x, noise, loss, _ = play("dae", f"corruption={corruption}", "level=0.4")
    n = noise["corruption"][:, 0]
    corrupted = {
        "gaussian": x + 0.4 * n,
        "masking": x * (n >= 0.4),
        "salt-and-pepper": x * (n >= 0.4) + ((n >= 0.2) & (n < 0.4)),
    }[corruption]
    close(loss, ((x - model.decoder(model.encoder(corrupted))) ** 2).sum((1, 2, 3)).mean())


@pytest.mark.parametrize("weight", [0.0, 3.0])
@pytest.mark.parametrize("sparsity", ["kl", "l1"])
def test_sparse_ae(play, sparsity, weight):
    rho = ["rho=0.1"] if sparsity == "kl" else []
    model, x, _, loss, _ = play("sparse-ae", f"sparsity={sparsity}", f"lambda={weight}", *rho)
    raw = model.encoder(x)
    h = 1 / (1 + (-raw).exp()) if sparsity == "kl" else raw.clamp(min=0)
    q = h.mean(0)
    kl = (0.1 * torch.log(0.1 / q) + 0.9 * torch.log(0.9 / (1 - q))).sum()
    penalty = kl if sparsity == "kl" else h.sum(1).mean()
    close(loss, ((x - model.decoder(h)) ** 2).sum((1, 2, 3)).mean() + weight * penalty)


@pytest.mark.parametrize("weight", [0.0, 5.0])
@pytest.mark.parametrize("prior", ["normal", "uniform", "ring"])
def test_swae(play, prior, weight):
    model, x, noise, loss, _ = play("swae", f"prior={prior}", f"lambda={weight}")
    z = model.encoder(x)
    gaps = []
    for direction in noise["directions"]:
        assert float(direction.norm()) == pytest.approx(1, abs=1e-5)
        ours, wanted = (
            (z * direction).sum(1).sort().values,
            (noise["prior"] * direction).sum(1).sort().values,
        )
        gaps.append(((ours - wanted) ** 2).mean())
    close(
        loss, ((x - model.decoder(z)) ** 2).sum((1, 2, 3)).mean() + weight * sum(gaps) / len(gaps)
    )


@pytest.mark.parametrize(
    ("prior", "scale"), [("normal", 6.0), ("uniform", 2.0), ("ring", 2 * 0.488 / 0.6)]
)
def test_wae(play, prior, scale):
    model, x, noise, loss, terms = play("wae", f"prior={prior}", "lambda=5.0")
    z = model.encoder(x)
    codes, draws = (t.detach().double().numpy() for t in (z, noise["prior"]))

    def mean_kernel(a, b, pairs):
        """Of the scales of the paper's code, over pairs of different points."""
        squared = np.square(a[:, None] - b).sum(2)
        own = np.eye(len(a), dtype=bool) if a is b else np.zeros(squared.shape, bool)
        return sum(
            np.where(own, 0, scale * w / (scale * w + squared)).sum() / pairs
            for w in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
        )

    distance = mean_kernel(codes, codes, 40 * 39) + mean_kernel(draws, draws, 40 * 39)
    distance -= 2 * mean_kernel(codes, draws, 40 * 40)
    assert abs(distance) > 0.1
    close(terms["kernel_distance"], distance)
    close(loss, ((x - model.decoder(z)) ** 2).sum((1, 2, 3)).mean() + 5 * terms["kernel_distance"])
    many = model.prior(20_000, generator(5))  # the scale is the mean squared distance of two draws
    assert float((many[::2] - many[1::2]).square().sum(1).mean()) == pytest.approx(scale, rel=0.03)


def test_gan_discriminator(play):
    model, x, noise, loss, terms = play("gan", "r1_gamma=0")
    real, fake = (
        torch.sigmoid(model.discriminator(x)),
        torch.sigmoid(model.discriminator(model.generator(noise["z"]))),
    )
    assert abs(float(real.mean().detach() - fake.mean().detach())) > 1e-3
    close(loss, -(real.log().mean() + (1 - fake).log().mean()))
    close(terms["d_real"], real.mean())
    close(terms["d_fake"], fake.mean())


@pytest.mark.parametrize("kind", ["saturating", "non-saturating"])
def test_gan_generator(play, kind):
    model, _, noise, loss, _ = play("gan", f"generator_loss={kind}", objective="generator")
    fake = torch.sigmoid(model.discriminator(model.generator(noise["z"])))
    close(loss, (1 - fake).log().mean() if kind == "saturating" else -fake.log().mean())


@pytest.mark.parametrize(("real", "fake"), [(0.0, 0.0), (0.1, 0.0), (0.1, 0.3)])
def test_gan_label_smoothing(play, real, fake):
    model, x, noise, loss, _ = play(
        "gan", "r1_gamma=0", f"label_smoothing={real}", f"fake_label_smoothing={fake}"
    )
    on_data, on_samples = model.discriminator(x), model.discriminator(model.generator(noise["z"]))
    wanted = [(on_data, 1 - real), (on_samples, fake)]
    close(
        loss,
        sum(
            binary_cross_entropy_with_logits(said, torch.full_like(said, label))
            for said, label in wanted
        ),
    )
    bound = model.held_out(Batch(x, None), generator(2))[
        "jsd_bound"
    ]  # of the discriminator, whatever it was taught
    close(
        bound,
        math.log(2)
        + (torch.sigmoid(on_data).log().mean() + (1 - torch.sigmoid(on_samples)).log().mean()) / 2,
    )


def test_gan_instance_noise_is_on_all_that_the_discriminator_sees_and_falls_to_zero(play):
    model, x, noise, _, _ = play("gan", "instance_noise=0.5", "r1_gamma=0")
    model.steps = 10
    assert [model.annealed(clock)["instance_noise"] for clock in (0, 5, 10)] == [0.5, 0.25, 0.0]
    assert model.weights["instance_noise"] == 0, "measurements are without"
    plain = play("gan", "r1_gamma=0")
    for name, objective in (
        ("discriminator_loss", "discriminator"),
        ("generator_loss", "generator"),
    ):
        drawn = model.draw_noise(objective, 40, generator(2))
        bare = {"z": plain[0].draw_noise(objective, 40, generator(2))["z"]}
        loss = getattr(model, name)
        ours, wanted = (
            loss(Batch(x, None), drawn, model.weights)[0],
            getattr(plain[0], name)(Batch(x, None), bare, plain[0].weights)[0],
        )
        assert torch.equal(ours, wanted), "at level 0 nothing has changed"
        seen = model.discriminator(model.generator(drawn["z"]) + 0.2 * drawn["samples"])
        wanted = -torch.sigmoid(seen).log().mean()
        if objective == "discriminator":
            on_data = model.discriminator(x + 0.2 * drawn["data"])
            wanted = -torch.sigmoid(on_data).log().mean() - (1 - torch.sigmoid(seen)).log().mean()
        close(loss(Batch(x, None), drawn, {**model.weights, "instance_noise": 0.2})[0], wanted)


class Quadratic(torch.nn.Module):
    """x'x a / 2, whose gradient is a x."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(3.0))

    def forward(self, x):
        return self.a * x.flatten(1).square().sum(1, keepdim=True) / 2


def test_gan_r1_is_the_squared_slope_on_data_of_a_discriminator_that_is_known(play):
    model, x, noise, *_ = play("gan", "r1_gamma=0", dataset="moons")
    model.discriminator = Quadratic()
    without, _ = model.discriminator_loss(Batch(x, None), noise, model.weights)
    model.settings = settings_with(model.settings, r1_gamma=4.0)
    model.weights["r1_gamma"] = 4.0
    loss, terms = model.discriminator_loss(Batch(x, None), noise, model.weights)
    square = x.square().sum(1).mean()
    close(terms["r1"], 9 * square)
    close(loss, without + 2 * 9 * square)
    (slope,) = torch.autograd.grad(terms["r1"], model.discriminator.a)
    close(slope, 2 * 3 * square)  # of a^2 E x'x


@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_wgan_critic(play, weight):
    model, x, noise, loss, terms = play("wgan", f"lambda={weight}")
    fake = model.generator(noise["z"]).detach()
    gap = model.critic(x).mean() - model.critic(fake).mean()
    point = (noise["between"] * fake + (1 - noise["between"]) * x).requires_grad_()
    slope = (
        torch.autograd.grad(model.critic(point).sum(), point, create_graph=True)[0]
        .flatten(1)
        .norm(dim=1)
    )
    close(terms["gap"], gap)
    close(loss, -gap + weight * ((slope - 1) ** 2).mean())


def test_wgan_clipping_has_no_penalty(play):
    _, _, _, loss, terms = play("wgan", "constraint=clipping")
    close(loss, -terms["gap"])


def test_wgan_generator(play):
    model, _, noise, loss, _ = play("wgan", objective="generator")
    close(loss, -model.critic(model.generator(noise["z"])).mean())


def test_judges_see_centred_images_and_other_data_as_they_are(play):
    model, x, *_ = play("gan")
    close(model.discriminator(x), model.discriminator.net(2 * x - 1))
    model, x, *_ = play("gan", "r1_gamma=0", dataset="moons")
    close(model.discriminator(x), model.discriminator.net(x))


def test_losses_are_pure(model_name):
    """The same batch, noise and numbers give the same loss, whatever was computed before, and change nothing."""
    config = small_config(model_name)
    data = load_data(config["dataset"], CPU)
    model = build(config, data)
    if not isinstance(model, GradientModel):
        pytest.skip("fits without gradients")
    first, second = list(data.train.batches(40))[:2]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    before = torch.random.get_rng_state()
    for name, objective in model.objectives.items():
        noise = model.draw_noise(name, 40, generator(3))
        loss = getattr(model, objective.loss)(first, noise, model.weights)[0].detach()
        getattr(model, objective.loss)(second, noise, model.weights)
        assert torch.equal(
            loss, getattr(model, objective.loss)(first, noise, model.weights)[0].detach()
        )
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
    assert torch.equal(before, torch.random.get_rng_state()), "no randomness but what is handed in"
    assert not any(
        isinstance(m, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.Dropout))
        for m in model.modules()
    )
    assert all(math.isfinite(v) for v in model.weights.values())


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_supervised_ae(play, weight):
    model, x, noise, loss, terms = play("supervised-ae", f"lambda={weight}")
    y = next(load_data(small_config("supervised-ae")["dataset"], CPU).train.batches(40)).y
    z = model.encoder(x)
    log_p = torch.log_softmax(model.classifier(z), 1)
    entropy = -log_p[torch.arange(40), y].mean()
    close(loss, ((x - model.decoder(z)) ** 2).sum((1, 2, 3)).mean() + weight * entropy)
    close(terms["accuracy"], (log_p.argmax(1) == y).float().mean())


def test_aae(play):
    model, x, _, loss, _ = play("aae", objective="autoencoder")
    close(loss, ((x - model.decoder(model.encoder(x))) ** 2).sum((1, 2, 3)).mean())
    model, x, noise, loss, _ = play("aae", objective="discriminator")
    real, fake = (
        torch.sigmoid(model.discriminator(noise["prior"])),
        torch.sigmoid(model.discriminator(model.encoder(x))),
    )
    close(loss, -(real.log() + (1 - fake).log()).mean())
    model, x, _, loss, _ = play("aae", objective="encoder")
    close(loss, -torch.sigmoid(model.discriminator(model.encoder(x))).log().mean())


@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_cvae(play, weight):
    model, x, noise, loss, terms = play("cvae", f"beta={weight}", "likelihood=binomial")
    y = torch.nn.functional.one_hot(
        next(load_data(small_config("cvae")["dataset"], CPU).train.batches(40)).y, 10
    ).float()
    channel = (y @ model.channel.weight.T + model.channel.bias).reshape(40, 1, 8, 8)
    mu, logvar = model.encoder(torch.cat([x, channel], 1)).chunk(2, 1)
    z = mu + noise["eps"][0] * torch.exp(0.5 * logvar)
    raw = model.decoder(torch.cat([z, y], 1))
    nll = (
        -torch.distributions.Binomial(16, logits=raw)
        .log_prob((16 * x).round())
        .sum((1, 2, 3))
        .mean()
    )
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
    close(terms["nll"], nll)
    close(loss, nll + weight * kl)


def test_iwae(play):
    model, x, noise, loss, _ = play("iwae", "draws=4", "likelihood=bernoulli")
    mu, logvar = model.encoder(x).chunk(2, 1)
    q, prior, weights = Normal(mu, torch.exp(0.5 * logvar)), Normal(0.0, 1.0), []
    for eps in noise["eps"]:
        z = mu + eps * torch.exp(0.5 * logvar)
        log_p = Bernoulli(logits=model.decoder(z), validate_args=False).log_prob(x).sum((1, 2, 3))
        weights.append((log_p + prior.log_prob(z).sum(1) - q.log_prob(z).sum(1)).double().exp())
    close(loss, -torch.stack(weights).mean(0).log().mean().float())


def test_swae_with_labels(play):
    config = small_config("swae", "supervision=3.0", "lambda=0")
    data = load_data(config["dataset"], CPU)
    model = build(config, data)
    model.setup(data.train, seed=0, steps=1)
    batch = next(data.train.batches(40))
    noise = model.draw_noise("model", 40, generator(2))
    loss, _ = model.loss(batch, noise, model.weights)
    gaps = []
    for images, draws in zip(noise["labelled"], noise["parts"]):
        for direction in noise["directions"]:
            a, b = (
                (model.encoder(images) * direction).sum(1).sort().values,
                (draws * direction).sum(1).sort().values,
            )
            gaps.append(((a - b) ** 2).mean())
    error = ((batch.x - model.decoder(model.encoder(batch.x))) ** 2).sum((1, 2, 3)).mean()
    close(loss, error + 3 * sum(gaps) / len(gaps))
    classes = {
        tuple(x.flatten().tolist()): int(y) for x, y in zip(data.train.values(), data.train.y)
    }
    assert all(
        classes[tuple(x.flatten().tolist())] == c
        for c, images in enumerate(noise["labelled"])
        for x in images
    )


@pytest.mark.parametrize("k", [1, 10, 13])
def test_a_bound_is_exact_where_the_posterior_is_the_prior_and_codes_do_not_matter(play, k):
    model, x, *_ = play("vae")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        exact = -model.nll(x, model.prior(len(x), generator(0))[None])[0]
        torch.testing.assert_close(model.log_prob(x, k), exact)


@pytest.mark.parametrize("name", ["vae", "cvae"])
def test_a_bound_does_not_depend_on_how_many_draws_are_decoded_together(play, name, monkeypatch):
    model, x, *_ = play(name)
    with torch.no_grad():
        given = model.conditioned_on(torch.arange(len(x)) % 10)
        together = given.log_prob(x, 13)
        monkeypatch.setattr(products, "IN_CACHE", 2 * x.numel())
        torch.testing.assert_close(given.log_prob(x, 13), together)

"""What losses do: corruptions, priors, players, penalties, sparsity."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.configs import config_of, settings_with, small_config

from genbench.data.loading import load_data
from genbench.data.types import Data, DataSpec, Split
from genbench.experiment import build
from genbench.models.dae import CORRUPTIONS
from genbench.utils.rng import generator

CPU = torch.device("cpu")


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
    model = build(config, load_data(config["dataset"], CPU))
    z = model.prior(20_000, generator(0))
    assert test(z) and z.mean().abs() < 0.02


def stepped(*overrides, steps=4):
    config = small_config(*overrides)
    data = load_data(config["dataset"], CPU)
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
    data = load_data(config["dataset"], CPU)
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
    data = load_data(config["dataset"], CPU)
    model = build(config, data)
    for p in model.discriminator.parameters():
        torch.nn.init.zeros_(p)
    batch = next(iter(data.train.batches(40)))
    loss, _ = model.discriminator_loss(
        batch, model.draw_noise("discriminator", 40, generator(0)), {}
    )
    assert loss.item() == pytest.approx(2 * math.log(2))
    for kind, value in (("saturating", -math.log(2)), ("non-saturating", math.log(2))):
        model.settings = settings_with(model.settings, generator_loss=kind)
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
    data = load_data(config["dataset"], CPU)
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

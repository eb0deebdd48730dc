"""Diffusion models and flows: what a network should learn is known where the density of the data is."""

import math
from functools import partial
from itertools import pairwise, permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.configs import small_config

from genbench.data.loading import load_data
from genbench.data.synthetic import MixtureDensity
from genbench.data.types import Batch, DataSpec
from genbench.diffusion.couplings import paired
from genbench.diffusion.exact import mixture_denoised
from genbench.diffusion.ode import dormand_prince, log_density_change, runge_kutta
from genbench.diffusion.paths import PATHS
from genbench.diffusion.predictions import PREDICTIONS, Denoised
from genbench.diffusion.samplers import Options, Process, ancestral, ddim, euler, heun
from genbench.diffusion.times import sampling_times
from genbench.experiment import build
from genbench.models import latent_model
from genbench.models.diffusion import Diffusion
from genbench.models.kde import KDE
from genbench.settings.classical import KDESettings
from genbench.utils.rng import generator
from genbench.verification.references import diffusion as references
from genbench.verification.references.diffusion import (
    excess_over_least_loss,
    least_score_cosine,
    modes_with_good_samples,
)

CPU = torch.device("cpu")
MEANS = torch.tensor([[1.0, 0.5], [-1.0, 0.2], [0.2, -1.2]], dtype=torch.float64)
SCALES = torch.tensor([0.5, 0.4, 0.6], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
DENSITY = MixtureDensity(MEANS, SCALES, WEIGHTS)
ALL_PATHS = ["vp-linear", "vp-cosine", "ve", "rectified"]


def path_of(name):
    return PATHS[name](0.002, 10.0)


def exact_process(path, means=MEANS, scales=SCALES, weights=WEIGHTS):
    """The process of a perfect network for a mixture."""

    def denoise(x, t):
        return mixture_denoised(x, path.at(t).like(x), means, scales, weights)

    return Process(path, denoise)


def start(path, n=40, d=2):
    at = path.at(torch.tensor(path.last, dtype=torch.float64))
    return at.scale * torch.randn(n, d, generator=generator(0, "start"), dtype=torch.float64)


@pytest.mark.parametrize("name", ALL_PATHS)
def test_slopes_of_a_path_are_its_derivatives(name):
    path = path_of(name)
    t = torch.linspace(path.first, path.last * 0.99, 7, dtype=torch.float64, requires_grad=True)
    at = path.at(t)
    for value, slope in ((at.alpha, at.alpha_slope), (at.sigma, at.sigma_slope)):
        (found,) = (
            torch.autograd.grad(value.sum(), t, allow_unused=True, retain_graph=True)
            if value.requires_grad
            else (torch.zeros_like(t),)
        )
        torch.testing.assert_close(torch.zeros_like(t) if found is None else found, slope)


@pytest.mark.parametrize("name", ALL_PATHS)
@pytest.mark.parametrize("kind", PREDICTIONS)
def test_data_and_noise_follow_from_every_prediction(name, kind):
    path, prediction = path_of(name), PREDICTIONS[kind]
    x, eps = (
        torch.randn(5, 3, generator=generator(0, what), dtype=torch.float64)
        for what in ("x", "eps")
    )
    at = path.at(torch.linspace(0.1, 0.9, 5, dtype=torch.float64)).like(x)
    x_t = at.alpha * x + at.sigma * eps
    found = prediction.denoised(prediction.target(x, eps, at), x_t, at)
    torch.testing.assert_close(found.x, x)
    torch.testing.assert_close(found.eps, eps)
    moved = prediction.denoised(prediction.target(x, eps, at) + 1e-3, x_t, at)
    torch.testing.assert_close((moved.x - x).abs(), 1e-3 * prediction.gain(at).abs().expand_as(x))


def test_v_is_the_preconditioned_network_of_karras_where_noise_explodes():
    """Karras et al. 2022, table 1, with sigma_data = 1: D = c_skip x + c_out F(c_in x)."""
    path, prediction = path_of("ve"), PREDICTIONS["v"]
    x_t, output = (
        torch.randn(6, 2, generator=generator(0, what), dtype=torch.float64) for what in "ab"
    )
    t = torch.linspace(0.01, 1, 6, dtype=torch.float64)
    sigma = (10 * t)[:, None]
    ours = prediction.denoised(output, x_t, path.at(t).like(x_t)).x
    theirs = x_t / (sigma**2 + 1) + sigma / (sigma**2 + 1).sqrt() * -output
    torch.testing.assert_close(ours, theirs)
    # Their weight lambda = (sigma^2 + 1) / sigma^2 makes an error of D one of F.
    torch.testing.assert_close(
        prediction.gain(path.at(t)) ** -2, (sigma[:, 0] ** 2 + 1) / sigma[:, 0] ** 2
    )


@pytest.mark.parametrize("name", ALL_PATHS)
def test_score_of_a_perfect_network_is_that_of_the_noised_mixture(name):
    path = path_of(name)
    process = exact_process(path)
    for t in (0.05, 0.3, 0.7):
        at = path.at(torch.tensor(t, dtype=torch.float64))
        noised = MixtureDensity(
            at.alpha * MEANS, (at.alpha**2 * SCALES**2 + at.sigma**2).sqrt(), WEIGHTS
        )
        x = start(path).requires_grad_()
        (exact,) = torch.autograd.grad(noised.log_prob(x).sum(), x)
        torch.testing.assert_close(process.score(x.detach(), t), exact, rtol=1e-6, atol=1e-9)


def test_ideal_denoiser_of_points_has_the_score_of_a_kernel_density():
    """x_t / alpha has the density of the points, blurred by sigma / alpha."""
    points = torch.randn(30, 3, generator=generator(0, "points"))
    path = path_of("vp-cosine")
    process = exact_process(
        path, points.double(), torch.zeros(30).double(), torch.full((30,), 1 / 30).double()
    )
    t = 0.4
    at = path.at(torch.tensor(t, dtype=torch.float64))
    kde = KDE(DataSpec((3,), False), KDESettings(bandwidth=float(at.sigma / at.alpha)))
    kde.points, kde.bandwidth = (
        points.to(kde.points),
        torch.as_tensor(float(at.sigma / at.alpha)).to(kde.bandwidth),
    )
    x = torch.randn(20, 3, generator=generator(0, "x"), dtype=torch.float64)
    ours = process.score(x, t) * at.alpha
    blurred = (x / at.alpha).requires_grad_()
    (exact,) = torch.autograd.grad(kde.log_prob(blurred).sum(), blurred)
    torch.testing.assert_close(ours, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["vp-linear", "vp-cosine", "rectified"])
@pytest.mark.parametrize("method, order", [(euler, 1), (heun, 2)])
def test_global_error_falls_with_the_order_of_the_method(name, method, order):
    path = path_of(name)
    process, x, last = exact_process(path), start(path), 0.1
    truth = dormand_prince(process.velocity, x, path.last, last, tolerance=1e-11)
    errors = []
    for steps in (64, 128, 256):
        times = np.linspace(path.last, last, steps + 1).tolist()
        errors.append(float((method(process, x, times, generator(0), Options()) - truth).norm()))
    slopes = -np.diff(np.log2(errors))
    assert np.abs(slopes - order).max() < 0.1


@pytest.mark.parametrize("name", ["vp-linear", "vp-cosine"])
def test_ddim_is_eulers_method_for_rescaled_points(name):
    path = path_of(name)
    process, x = exact_process(path), start(path)
    times = [0.99, 0.7, 0.5, 0.2, 0.1]
    ours = ddim(process, x, times, generator(0), Options(eta=0.0))
    at = path.at(torch.tensor(times, dtype=torch.float64))
    levels = at.sigma / at.alpha
    scaled = x / at.alpha[0]
    for i in range(len(times) - 1):
        eps = process.at(scaled * at.alpha[i], times[i])[0].eps
        scaled = scaled + (levels[i + 1] - levels[i]) * eps
    torch.testing.assert_close(ours, scaled * at.alpha[-1], rtol=1e-6, atol=1e-9)


def test_ancestral_sampling_of_a_gaussian_has_its_closed_form_moments():
    """With few steps the moments are not those of the data, but follow from linear maps."""
    mean, scale, n = 1.5, 0.5, 40_000
    path = path_of("vp-cosine")
    one = (
        torch.tensor([[mean]], dtype=torch.float64),
        torch.tensor([scale]).double(),
        torch.ones(1).double(),
    )
    times = [0.995, 0.8, 0.5, 0.25, 0.1]
    x = torch.randn(n, 1, generator=generator(0, "x"), dtype=torch.float64)
    found = ancestral(exact_process(path, *one), x, times, generator(0, "noise"), Options())
    m, v = 0.0, 1.0
    at = [
        tuple(float(part) for part in path.at(torch.tensor(t, dtype=torch.float64))[:2])
        for t in times
    ]
    for (a, s), (a_next, s_next) in pairwise(at):
        kept = a * scale**2 / (a**2 * scale**2 + s**2)  # E[x | x_t] = mean + kept (x_t - a mean)
        between = s**2 - (a / a_next) ** 2 * s_next**2
        to_x = a_next * between / s**2  # the mean of q(x_s | x_t, x), Ho et al. 2020, equation 7
        to_x_t = (a / a_next) * s_next**2 / s**2
        slope = to_x * kept + to_x_t
        m = slope * m + to_x * (mean - kept * a * mean)
        v = slope**2 * v + s_next**2 * between / s**2
    assert abs(float(found.mean()) - m) < 4 * math.sqrt(v / n)
    assert abs(float(found.var()) / v - 1) < 4 * math.sqrt(2 / n)


@pytest.mark.parametrize("name", ["vp-cosine", "rectified", "vp-linear"])
def test_likelihood_along_the_flow_is_that_of_the_mixture(name):
    path = path_of(name)
    process = exact_process(path)
    x, _ = DENSITY.sample(30, generator(0, "data"))
    first = 1e-4
    times = [(first**0.5 + i / 80 * (path.last**0.5 - first**0.5)) ** 2 for i in range(81)]
    end, change = log_density_change(process.velocity, x, times)
    last = path.at(torch.tensor(path.last, dtype=torch.float64))
    noised = MixtureDensity(
        last.alpha * MEANS, (last.alpha**2 * SCALES**2 + last.sigma**2).sqrt(), WEIGHTS
    )
    torch.testing.assert_close(
        noised.log_prob(end) + change, DENSITY.log_prob(x), rtol=0, atol=1e-3
    )


def test_estimated_trace_is_right_on_average():
    path, d, probes = path_of("rectified"), 6, 200
    rng = generator(0, "six")
    means = torch.randn(4, d, generator=rng, dtype=torch.float64)
    process = exact_process(
        path, means, torch.full((4,), 0.5).double(), torch.full((4,), 0.25).double()
    )
    x = torch.randn(1, d, generator=rng, dtype=torch.float64)
    times = np.linspace(0.05, 0.9, 11).tolist()
    exact = float(log_density_change(process.velocity, x, times)[1])
    signs = 2.0 * torch.randint(2, (1, probes, d), generator=rng).double() - 1
    found = log_density_change(process.velocity, x.expand(probes, d).clone(), times, signs)[1]
    error = float(found.std() / math.sqrt(probes))
    assert error > 0
    assert abs(float(found.mean()) - exact) < 3 * error


def test_integrators_solve_a_rotation():
    def turn(x, t):
        return torch.stack([-x[:, 1], x[:, 0]], 1)

    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[math.cos(2), math.sin(2)]], dtype=torch.float64)
    torch.testing.assert_close(dormand_prince(turn, x, 0.0, 2.0, 1e-9), expected, rtol=0, atol=1e-7)
    (found,) = runge_kutta(
        lambda state, t: (turn(state[0], t),), (x,), np.linspace(0, 2, 41).tolist()
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


# --- the model ------------------------------------------------------------------------------------


@pytest.fixture
def made():
    def make(model="flow", *overrides, dataset="gaussians"):
        config = small_config(model, *overrides, dataset=dataset)
        data = load_data(config["dataset"], CPU)
        found = build(config, data)
        found.setup(data.train, seed=0, steps=20)
        found.initialise(data.train, seed=0)
        return found, data

    return make


def test_network_sees_noisy_points_and_not_the_data(made):
    model, data = made("flow")
    seen = {}
    model.network.register_forward_pre_hook(lambda module, args: seen.update(x=args[0], t=args[1]))
    noise = model.draw_noise("model", 8, generator(0))
    model.loss(Batch(data.train.values(slice(8)), None), noise, {})
    x, t = (data.train.values(slice(8)) - model.mean) / model.deviation, noise["t"][:, None]
    x_t = (1 - t) * x + t * noise["eps"]
    torch.testing.assert_close(seen["x"], x_t / ((1 - t) ** 2 + t**2).sqrt())
    torch.testing.assert_close(seen["t"], noise["t"])


class Oracle(torch.nn.Module):
    """Predicts what follows from one estimate of x, whatever the prediction."""

    def __init__(self, model):
        super().__init__()
        self.model = [model]

    def forward(self, x, t, y):
        (model,) = self.model
        at = model.path.at(t).like(x)
        x_t = x * at.scale
        estimate = 0.3 * x_t
        return model.prediction.target(estimate, (x_t - at.alpha * estimate) / at.sigma, at)


def test_losses_of_predictions_differ_but_denoising_does_not(made):
    losses, denoising = [], []
    for prediction in PREDICTIONS:
        model, data = made("ddpm", f"prediction={prediction}", "path=vp-cosine")
        model.network = Oracle(model)
        noise = model.draw_noise("model", 50, generator(0))
        loss, terms = model.loss(Batch(data.train.values(slice(50)), None), noise, {})
        losses.append(float(loss))
        denoising.append(float(terms["denoising"]))
    np.testing.assert_allclose(denoising, denoising[0], rtol=1e-3)
    assert max(losses) > 1.5 * min(losses)


def test_linear_denoiser_of_gaussian_data_is_the_wiener_filter(made):
    model, _ = made("ddpm", "path=vp-cosine", "prediction=x0")
    d, n, t = model.spec.size, 4000, 0.5
    rng = generator(0, "wiener")
    x = torch.randn(n, d, generator=rng) @ torch.randn(d, d, generator=rng)
    noise = {"t": torch.full((n,), t), "eps": torch.randn(n, d, generator=rng)}
    linear = torch.nn.Linear(d, d).double()

    class Net(torch.nn.Module):
        def forward(self, x, t, y):
            return linear(x.double())

    model.network = Net()
    descent = torch.optim.LBFGS(
        linear.parameters(), max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-12
    )

    def closure():
        descent.zero_grad()
        loss = model.loss(Batch(x, None), noise, {})[0]
        loss.backward()
        return loss

    descent.step(closure)
    standard = ((x - model.mean) / model.deviation).double().numpy()
    alpha, sigma = math.cos(math.pi * t / 2), math.sin(math.pi * t / 2)
    x_t = alpha * standard + sigma * noise["eps"].double().numpy()
    both = np.cov(standard.T, x_t.T)  # the Wiener filter: Cov(x, x_t) Cov(x_t)^-1
    wiener = both[:d, d:] @ np.linalg.inv(both[d:, d:])
    np.testing.assert_allclose(linear.weight.detach().numpy(), wiener, atol=1e-4)


def test_optimal_pairs_have_the_least_cost_and_keep_to_their_class():
    rng = generator(0, "pairs")
    x, noise = torch.randn(7, 2, generator=rng), torch.randn(7, 2, generator=rng)
    u = torch.rand(7, generator=rng)
    cost = torch.cdist(x, noise) ** 2
    least = min(sum(cost[i, j].item() for i, j in enumerate(p)) for p in permutations(range(7)))
    order = paired("ot", x, noise, u, 0.1)
    assert sum(cost[i, j].item() for i, j in enumerate(order.tolist())) == pytest.approx(least)
    y = torch.tensor([0, 1, 0, 1, 2, 0, 1])
    within = paired("ot", x, noise, u, 0.1, y)
    assert sorted(within.tolist()) == list(range(7))
    assert torch.equal(y[within], y)


@pytest.mark.extras
def test_entropic_pairs_lie_between_the_nearest_and_random_ones_and_use_all_noise_alike():
    pytest.importorskip("ot")
    rng = generator(0, "sinkhorn")
    x, noise = torch.randn(30, 2, generator=rng), torch.randn(30, 2, generator=rng)
    cost = torch.cdist(x, noise) ** 2

    def draws(entropy, y=None, times=200):
        draw = partial(paired, "sinkhorn", x, noise, entropy=entropy, y=y)
        return torch.stack([draw(torch.rand(30, generator=rng)) for _ in range(times)])

    def mean_cost(orders):
        return float(cost[torch.arange(30).expand_as(orders), orders].mean())

    least = mean_cost(paired("ot", x, noise, torch.rand(30, generator=rng), 0.1)[None])
    sharp, soft, random = draws(0.005, times=3), draws(0.1), draws(1000.0)
    assert mean_cost(sharp) == pytest.approx(least, rel=0.02)
    assert 1.1 * least < mean_cost(soft) < 0.9 * mean_cost(random)
    assert mean_cost(random) == pytest.approx(float(cost.mean()), rel=0.05)
    counts = torch.bincount(soft.flatten(), minlength=30)  # each as often as every other
    assert (counts - 200).abs().max() < 5 * math.sqrt(200)
    y = torch.arange(30) % 3
    assert all(torch.equal(y[order], y) for order in draws(0.1, y, times=3))


def test_noise_of_a_class_tells_nothing_of_it():
    """Pairs over all classes would give each class a part of the noise."""
    rng = generator(0, "leak")
    n = 400
    y = torch.randint(2, (n,), generator=rng)
    x = torch.where(y == 1, 3.0, -3.0)[:, None] + 0.1 * torch.randn(n, 1, generator=rng)
    noise, u = torch.randn(n, 1, generator=rng), torch.rand(n, generator=rng)

    def gap(order):
        return abs(float(noise[order][y == 1].mean() - noise[order][y == 0].mean()))

    assert gap(paired("ot", x, noise, u, 0.1)) > 1.4  # of halves of a normal, 2 sqrt(2 / pi)
    assert gap(paired("ot", x, noise, u, 0.1, y)) < 4 * math.sqrt(4 / n)


def test_codes_return_to_their_points_and_times_to_zero(made):
    model, data = made("flow", "likelihood_steps=40")
    torch.nn.init.normal_(model.network.out.weight, std=0.03, generator=generator(0, "w"))
    x = data.train.values(slice(20))
    with torch.no_grad():
        z = model.encode(x)
        assert (z - model.standard(x)).abs().max() > 0.1
        torch.testing.assert_close(model.decode(z), x, rtol=1e-3, atol=1e-3)
    times = sampling_times(path_of("ve"), "power", 5, 7.0)
    karras = [(10 ** (1 / 7) + i / 4 * (0.002 ** (1 / 7) - 10 ** (1 / 7))) ** 7 for i in range(5)]
    np.testing.assert_allclose(times, [s / 10 for s in karras] + [0.0], rtol=1e-9)


def test_density_of_a_model_integrates_to_one(made):
    model, _ = made("flow", "likelihood_steps=10")
    torch.nn.init.normal_(model.network.out.weight, std=0.05, generator=generator(0, "w"))
    spread = float(model.deviation)
    side = torch.linspace(-5 * spread, 5 * spread, 41)
    with torch.no_grad():
        grid = torch.cartesian_prod(side, side) + model.mean
        total = model.log_prob(grid).exp().sum() * float(side[1] - side[0]) ** 2
    assert float(total) == pytest.approx(1, abs=0.01)


def test_guidance_leads_away_from_what_has_no_label(made):
    model, data = made("flow", "conditional=true", "guidance=2", dataset="digits")
    torch.nn.init.normal_(model.network.out.weight, std=0.3, generator=generator(0, "w"))
    torch.nn.init.normal_(model.network.condition.labels.weight, generator=generator(0, "y"))
    for block in model.network.blocks:
        torch.nn.init.normal_(block.norm.change.weight, std=0.3, generator=generator(0, "c"))
    torch.nn.init.normal_(model.network.leave.change.weight, std=0.3, generator=generator(0, "c"))
    x, t = data.train.values(slice(4)), torch.full((4,), 0.5)
    y = torch.tensor([3])
    with torch.no_grad():
        found = model.denoised_by(model.network, y, x, t)
        of_class, free = (
            model.output(model.network, x, t, torch.full((4,), label)) for label in (3, 10)
        )
    expected = model.prediction.denoised(free + 2 * (of_class - free), x, model.path.at(t).like(x))
    assert (of_class - free).abs().max() > 1e-3
    torch.testing.assert_close(found.x, expected.x)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_one_time_stands_for_all_points_and_each_has_its_own_label(network, made):
    settings = (f"network={network}", "conditional=true", "guidance=2")
    model, data = made("flow", *settings, dataset="digits")
    for i, parameter in enumerate(model.network.parameters()):
        torch.nn.init.normal_(parameter, std=0.2, generator=generator(0, f"{i}"))
    x, y = data.train.values(slice(6)), data.train.y[:6]
    with torch.no_grad():
        once = model.denoised_by(model.network, y, x, torch.tensor([0.4]))
        each = model.denoised_by(model.network, y, x, torch.full((6,), 0.4))
        other = model.denoised_by(model.network, y, x, torch.linspace(0.1, 0.9, 6))
        alone = [
            model.denoised_by(model.network, y[i : i + 1], x[i : i + 1], torch.tensor([0.4])).x
            for i in range(6)
        ]
    torch.testing.assert_close(once, each, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(once.x, torch.cat(alone), rtol=1e-4, atol=1e-4)
    assert (other.x - each.x).abs().max() > 0.01


def test_reflow_learns_from_the_flow_that_was_learnt_before(made):
    model, data = made("rectified", "sampling_steps=3", "reflow=0.5")
    batch = Batch(data.train.values(slice(16)), None)
    noise = model.draw_noise("model", 16, generator(0))
    model.clock = 9
    assert torch.equal(model.coupled("model", batch, noise, True)[0].x, batch.x)
    model.clock = 10
    torch.nn.init.normal_(model.network.out.weight, std=0.3, generator=generator(0, "w"))
    paired_with = model.coupled("model", batch, noise, True)[0].x
    times = sampling_times(model.path, "uniform", 3, 1.0)
    with torch.no_grad():
        expected = model.restored(
            euler(model.process, noise["eps"], times, generator(0), Options())
        )
    torch.testing.assert_close(paired_with, expected)
    model.clock = 11
    torch.nn.init.zeros_(model.network.out.weight)  # the teacher stays as it was
    torch.testing.assert_close(model.coupled("model", batch, noise, True)[0].x, expected)
    assert torch.equal(model.coupled("model", batch, noise, False)[0].x, batch.x)


def test_a_flow_of_codes_draws_codes_like_those_of_the_data_and_is_saved(monkeypatch):
    monkeypatch.setattr(latent_model, "FLOW_STEPS", 150)
    config = small_config(
        "ae", "sampler=flow", "latent_dim=2", "dataset.limit=1000", dataset="moons"
    )
    data = load_data(config["dataset"], CPU)
    model = build(config, data)
    model.setup(data.train, seed=0, steps=1)
    model.fit_posthoc(data.train, seed=0)
    with torch.no_grad():
        codes = model.encode(data.train.values())
        drawn = model.codes(2000, generator(0))
    assert not torch.allclose(codes.mean(0), torch.zeros(2), atol=0.05), "N(0, I) would do"
    deviation = codes.std(0)
    assert ((drawn.mean(0) - codes.mean(0)).abs() < 0.2 * deviation).all()
    assert ((drawn.std(0) / deviation - 1).abs() < 0.2).all()
    again = build(config, data)
    again.load_state_dict(model.state_dict(), strict=False)
    again.load_posthoc_state(model.posthoc_state())
    with torch.no_grad():
        assert torch.equal(again.codes(5, generator(1)), model.codes(5, generator(1)))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 30), (1, 28, 28), (2, 5, 9)])
def test_u_net_takes_images_of_any_size(shape):
    from genbench.diffusion.networks import UNet
    from genbench.settings.diffusion import DiffusionSettings

    settings = DiffusionSettings(network="conv", channels=4, depth=1, attention=True)
    net = UNet(DataSpec(shape, True, classes=3), settings, 3)
    torch.nn.init.normal_(net.out.weight, generator=generator(0, "w"))
    x = torch.randn(2, *shape, generator=generator(0, "x"))
    found = net(x, torch.tensor([0.2, 0.8]), torch.tensor([0, 3]))
    assert found.shape == x.shape and found.abs().max() > 0
    alone = net(x[1:], torch.tensor([0.8]), torch.tensor([3]))
    torch.testing.assert_close(found[1:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "model, overrides, setting",
    [
        ("flow", ("sampler=langevin",), "sampler"),
        ("flow", ("prediction=eps",), "prediction"),
        ("ddpm", ("times=log-normal",), "times"),
        ("flow", ("source=eight-gaussians",), "source"),
    ],
)
def test_choices_that_contradict_one_another_are_refused(model, overrides, setting, made):
    from genbench.utils.errors import UserError

    with pytest.raises(UserError) as error:
        made(model, *overrides, dataset="digits")
    assert error.value.key == setting


@pytest.fixture(params=["vp-cosine", "rectified"])
def run_with_error(request, made):
    """Runs on the grid whose model predicts as well as is possible, but for a factor."""
    prediction = {"vp-cosine": "eps", "rectified": "velocity"}[request.param]

    def run(factor):
        overrides = (f"path={request.param}", f"prediction={prediction}")
        model, data = made("flow", *overrides, dataset="grid")
        density = data.density
        mean, deviation = model.mean.double(), model.deviation.double()
        means, scales = (density.means - mean) / deviation, density.scales / deviation

        def denoise(x, t):
            process = exact_process(model.path, means, scales, density.weights)
            found = process.denoise(x.double(), t.double())
            return Denoised(*(factor * estimate for estimate in found))

        class Fixed(Diffusion):
            process = Process(model.path, denoise)

        model.__class__ = Fixed
        sample = lambda n, seed: density.sample(n, generator(seed, "sample"))[0]
        return SimpleNamespace(model=model, data=data, sample=sample)

    return run


def test_the_best_prediction_has_the_least_loss_and_the_score(run_with_error):
    run = run_with_error(1)
    assert abs(excess_over_least_loss([run])) < 1e-4
    assert least_score_cosine([run]) > 0.9999
    assert modes_with_good_samples([run]) == pytest.approx(0.9889, abs=0.005)


def test_of_several_runs_the_worst_counts(run_with_error):
    right, wrong = run_with_error(1), run_with_error(0.9)
    assert excess_over_least_loss([wrong, right]) > 0.01
    assert least_score_cosine([run_with_error(-1), right]) < -0.99


def test_samples_that_miss_a_mode_or_lie_beside_all_count_as_none(run_with_error):
    run = run_with_error(1)
    means, draw = run.data.density.means, run.sample
    run.sample = lambda n, seed: means[:24].repeat(n, 1)
    assert modes_with_good_samples([run]) == 0
    run.sample = lambda n, seed: torch.cat([draw(n // 2, seed), torch.full((n // 2, 2), 1.0)])
    assert modes_with_good_samples([run]) == pytest.approx(0.9889 / 2, abs=0.01)


def test_a_loss_below_the_least_possible_one_is_an_error(run_with_error, monkeypatch):
    loss = np.random.default_rng(0).random(100)
    monkeypatch.setattr(references, "_losses", lambda run: (loss - 0.2, loss))
    with pytest.raises(ValueError, match="below the least possible one"):
        excess_over_least_loss([run_with_error(1)])

"""Mixtures of Bernoullis against their definition, and mixtures and k-means by gradients against those by EM."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from helpers.configs import Nowhere, config_of, small_config
from scipy.special import comb, logsumexp
from scipy.stats import binom, multivariate_normal
from torch.distributions import MultivariateNormal

from genbench.config.declarations import typed
from genbench.data.loading import load_data
from genbench.data.types import Batch, Data, DataSpec, Split
from genbench.experiment import build
from genbench.models.bmm import Binomials
from genbench.models.covariances import Full, Whitened
from genbench.training.loop import fit_model
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

FORMS = ["full", "tied", "diag", "spherical"]


def vectors(x, trials=None):
    return Data(
        "made",
        {"train": Split(x, None)},
        DataSpec((x.shape[1],), unit=trials is not None, trials=trials),
    )


def started(name, data, *overrides):
    """A model of these data, ready to learn."""
    model = build(config_of(name, "device=cpu", *overrides, dataset="moons"), data)
    model.setup(data.train, seed=0, steps=1)
    model.initialise(data.train, seed=0)
    return model


def passes(model, data, count, batch=100):
    """The objective of each start [count, n_init] at the beginning of each pass."""
    found = []
    for _ in range(count):
        model.settled.fill_(False)
        for some in data.train.batches(batch):
            model.step(some)
        model.end_epoch()
        found.append(model.objective.clone())
    return torch.stack(found)


def dots(n, trials, seed=0, k=3, d=12):
    """Points of a known mixture of binomials, and the mixture."""
    rng = generator(seed)
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)[:k]
    truth = Binomials(
        weights.log(),
        torch.rand(k, d, generator=rng).double() * 0.8 + 0.1,
        trials=trials,
        floor=1e-3,
    )
    return vectors(
        truth.draw(torch.multinomial(weights, n, replacement=True, generator=rng), rng), trials
    ), truth


def set_to(model, components):
    """Let the only start of a model fitted by EM be this."""
    model.keep(0, components)
    return model


@pytest.mark.parametrize("trials", [1, 5])
@pytest.mark.parametrize("floor", [1e-3, 0.2])  # which binds nowhere, and in many places
def test_the_likelihood_of_bernoullis_never_falls(trials, floor):
    data, truth = dots(300, trials)
    model = started("bmm", data, "n_components=4", "n_init=3", f"floor={floor}")
    found = passes(model, data, 30)
    assert (
        all((b <= a + 1e-12 * a.abs()).all() for a, b in pairwise(found))
        and (found[-1] < found[0]).all()
    )
    assert model.means.min() >= floor and model.means.max() <= 1 - floor
    assert floor == 1e-3 or model.means.min() == floor


@pytest.mark.parametrize("trials", [1, 5])
def test_bernoullis_recover_a_known_mixture(trials):
    data, truth = dots(10_000, trials)
    model = started("bmm", data, "n_components=3")
    passes(model, data, 60, batch=10_000)
    order = torch.cdist(truth.means, model.mixture.means).argmin(1)
    torch.testing.assert_close(model.mixture.means[order], truth.means, atol=0.04, rtol=0)
    torch.testing.assert_close(model.mixture.weights[order], truth.weights, atol=0.03, rtol=0)


@pytest.mark.parametrize(("trials", "d"), [(1, 8), (3, 4), (16, 2)])
def test_probabilities_of_all_there_is_sum_to_one(trials, d):
    data, truth = dots(50, trials, d=d)
    model = set_to(started("bmm", data, "n_components=3"), truth)
    everything = torch.tensor(list(product(range(trials + 1), repeat=d))).double() / trials
    assert (
        float(model.log_prob(everything).exp().sum()) == pytest.approx(1, abs=1e-12)
        and type(model).is_discrete
    )


@pytest.mark.parametrize("trials", [1, 16])
def test_a_log_probability_is_that_of_the_definition(trials):
    data, truth = dots(50, trials)
    model = set_to(started("bmm", data, "n_components=3"), truth)
    x = data.train.values()
    counts = np.round(x.numpy() * trials)
    each = [
        np.log(w) + binom.logpmf(counts, trials, mu).sum(1)
        for w, mu in zip(truth.weights.numpy(), truth.means.numpy())
    ]
    np.testing.assert_allclose(model.log_prob(x), logsumexp(each, axis=0), rtol=1e-10)
    np.testing.assert_allclose(model.encode(x), np.exp(each - logsumexp(each, axis=0)).T, atol=1e-6)


def test_what_never_occurred_in_training_is_possible():
    x = torch.zeros(20, 3)
    x[:10, 0] = 1
    model = started("bmm", vectors(x, trials=1), "n_components=2")
    passes(model, vectors(x, trials=1), 5)
    usual, never = model.log_prob(torch.tensor([[1.0, 0, 0], [1.0, 0, 1]]))
    assert float(usual - never) == pytest.approx(np.log(0.999 / 0.001))


def test_samples_of_dots_are_dots_with_the_means_of_the_mixture():
    data, truth = dots(50, 4)
    model = set_to(started("bmm", data, "n_components=3"), truth)
    x = model.sample(50_000, generator(1))
    assert set(x.unique().tolist()) == {0, 0.25, 0.5, 0.75, 1}
    torch.testing.assert_close(x.mean(0).double(), truth.weights @ truth.means, atol=0.01, rtol=0)
    among = truth.weights @ (truth.means - truth.weights @ truth.means) ** 2
    torch.testing.assert_close(
        x.var(0).double(),
        among + truth.weights @ (truth.means * (1 - truth.means)) / 4,
        atol=0.01,
        rtol=0,
    )


def test_bernoullis_refuse_values_that_are_no_dots():
    config = config_of("bmm")
    with pytest.raises(
        UserError, match=r"dataset\.binarize: .*pixels.*fix: dataset\.binarize=static"
    ):
        build(
            config,
            Data(
                "grey",
                {"train": Split(torch.rand(20, 1, 8, 8), None)},
                DataSpec((1, 8, 8), unit=True),
            ),
        )
    with pytest.raises(UserError, match=r"model: .*0 or 1, or that count dots.*fix: model=gmm"):
        build(config, vectors(torch.rand(20, 2)))


def blobs(n=600, seed=0):
    """Three clusters that overlap a little, in four dimensions, away from the origin."""
    rng = np.random.default_rng(seed)
    shapes = [rng.normal(size=(4, 4)) * s for s in (0.2, 0.5, 0.8)]
    centres = 10 + 2 * rng.normal(size=(3, 4))
    return vectors(
        torch.tensor(
            np.concatenate([c + rng.normal(size=(n // 3, 4)) @ a for c, a in zip(centres, shapes)])
        ).float()
    )


def exact(d):
    """Noise with which the traces are no estimates."""
    return {"signs": d**0.5 * torch.eye(d)}


@pytest.mark.parametrize("form", FORMS)
def test_a_gradient_mixture_starts_where_em_does_and_has_its_objective(form):
    data = blobs()
    by_em, by_gradient = (
        started(name, data, "n_components=3", f"covariance={form}", "reg_covar=0.01")
        for name in ("gmm", "gmm-sgd")
    )
    batch = Batch(data.train.values(), None)
    loss, nll = value(by_gradient, batch, exact(4))
    assert nll == pytest.approx(float(by_em.evaluate(batch, None)["nll"]), rel=1e-5)
    precisions = [np.linalg.inv(c) for c in matrices(by_em.mixture, form)]
    penalty = (
        0.01 / 2 * sum(w * np.trace(p) for w, p in zip(by_em.mixture.weights.numpy(), precisions))
    )
    assert loss - nll == pytest.approx(penalty, rel=1e-4)
    noise = {
        "signs": torch.cat(
            [by_gradient.draw_noise("model", 1, generator(i))["signs"] for i in range(300)]
        )
    }
    assert value(by_gradient, batch, noise)[0] - nll == pytest.approx(
        penalty, rel=1e-4 if form in ("diag", "spherical") else 0.1
    )


@torch.no_grad()
def value(model, batch, noise):
    """The loss, and the part of it that is the likelihood."""
    loss, terms = model.loss(batch, noise, {})
    return float(loss), float(terms["nll"])


def matrices(mixture, form):
    """The covariances as matrices [3][4, 4]."""
    covariances = mixture.covariances.detach().double()
    if form in ("diag", "spherical"):
        covariances = torch.diag_embed(covariances.expand(3, 4))
    return covariances.expand(3, 4, 4).numpy()


@pytest.mark.parametrize("form", FORMS)
def test_where_em_comes_to_rest_no_gradient_leads_away(form):
    """Which says that reg_covar means the same to both, large as it is here."""
    data = blobs()
    by_em, by_gradient = (
        started(name, data, "n_components=3", f"covariance={form}", "reg_covar=0.2")
        for name in ("gmm", "gmm-sgd")
    )
    passes(by_em, data, 300, batch=600)
    mixture = by_em.mixture
    by_gradient.double()
    with torch.no_grad():
        for parameter, value in zip(
            by_gradient.parameters(),
            (mixture.log_weights, mixture.means, mixture.freed(mixture.factors)),
        ):
            parameter.copy_(value)
    noise = {name: signs.double() for name, signs in exact(4).items()}
    loss, _ = by_gradient.loss(Batch(data.train.values().double(), None), noise, {})
    for gradient in torch.autograd.grad(loss, list(by_gradient.parameters())):
        assert float(gradient.abs().max()) < 1e-6


@pytest.mark.parametrize("form", FORMS)
def test_the_density_of_a_gradient_mixture_is_that_of_scipy(form):
    data = blobs()
    model = started("gmm-sgd", data, "n_components=3", f"covariance={form}")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator(1))
        x, mixture = data.train.values(), model.mixture
        found = model.log_prob(x)
    parts = zip(
        mixture.weights.detach().numpy(), mixture.means.detach().numpy(), matrices(mixture, form)
    )
    each = [np.log(w) + multivariate_normal(m, c).logpdf(x.numpy()) for w, m, c in parts]
    np.testing.assert_allclose(found, logsumexp(each, axis=0), rtol=1e-3, atol=1e-3)


def fitted(name, data, *overrides):
    config = config_of(name, "device=cpu", *overrides, dataset="moons")
    model = build(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    return model


def objective(model, data):
    with torch.no_grad():
        return float(
            model.evaluate(Batch(data.train.values(), None), generator(0))[model.criterion]
        )


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_the_likelihood_that_em_reaches(form):
    for seed in range(3):
        data, shared = (
            blobs(seed=seed),
            ["n_components=3", f"covariance={form}", "reg_covar=1e-3", f"seed={seed}"],
        )
        by_em = fitted("gmm", data, *shared, "tol=1e-7", "epochs=300")
        by_gradient = fitted("gmm-sgd", data, *shared, "lr=0.1", "epochs=40", "batch_size=200")
        assert objective(by_gradient, data) == pytest.approx(objective(by_em, data), abs=0.02)


def test_gradients_reach_the_inertia_that_lloyd_reaches():
    for seed in range(3):
        data, shared = blobs(seed=seed), ["n_components=5", f"seed={seed}"]
        by_em = fitted("kmeans", data, *shared, "n_init=1")
        model = fitted("kmeans-sgd", data, *shared, "lr=0.1", "epochs=40", "batch_size=200")
        assert objective(model, data) == pytest.approx(objective(by_em, data), rel=0.002)
        nearest = torch.bincount(model.encode(data.train.values()), minlength=5) / len(data.train)
        torch.testing.assert_close(model.clusters.sizes, nearest, atol=0.01, rtol=0)
        assert float(model.clusters.inertia) == pytest.approx(objective(model, data), rel=0.01)


def test_the_gradient_of_the_inertia_moves_each_centre_towards_the_mean_of_its_points():
    data = blobs()
    by_em, model = (
        started("kmeans", data, "n_components=5", "n_init=1"),
        started("kmeans-sgd", data, "n_components=5"),
    )
    x = data.train.values()
    loss = model.inertia(Batch(x, None), {}, {})[0]
    assert loss.item() == pytest.approx(objective(by_em, data), rel=1e-5)
    nearest = model.encode(x)
    pull = torch.stack([2 * (model.centres[k] - x[nearest == k]).sum(0) / len(x) for k in range(5)])
    torch.testing.assert_close(
        torch.autograd.grad(loss, model.centres)[0], pull, rtol=1e-4, atol=1e-5
    )
    shifted = replace(
        data.train, raw=data.train.raw + 3000
    )  # squares of which single precision cannot hold
    far = started("kmeans-sgd", vectors(shifted.raw), "n_components=5")
    assert objective(far, vectors(shifted.raw)) == pytest.approx(loss.item(), rel=1e-3)


def test_the_size_of_a_mixture_counts_the_parameters_of_one_start():
    config = small_config("gmm", "n_components=3", "n_init=4", "covariance=full", dataset="moons")
    model = build(config, load_data(config["dataset"], torch.device("cpu")))
    assert model.size == 3 + 3 * 2 + 3 * 2 * 2  # weights, means, factors


@pytest.mark.parametrize("model", ["gmm", "gmm-sgd"])
def test_covariances_are_full_only_where_points_can_fill_them(model):
    for points, wanted in ((89, "diag"), (90, "full")):
        x = torch.randn(points, 20, generator=generator(0))
        data = Data("made", {"train": Split(x, None)}, DataSpec((20,), unit=False))
        built = build(config_of(model, "n_components=3", dataset="moons"), data)
        assert built.settings.covariance == wanted


@pytest.mark.parametrize("least, exact", [(0.05, False), (1e-5, True)])
def test_points_of_many_values_keep_their_densities_whatever_the_precision(least, exact):
    d = 200
    rng = generator(0)
    scales = torch.linspace(1, least, d)
    x = 30 + torch.randn(700, d, generator=rng) * scales
    model = started("gmm", vectors(x), "n_components=1", "covariance=full", "reg_covar=0")
    gaussians, x = model.gaussians, x.double()
    near = gaussians.in_single(x - gaussians.means[0])
    assert near.dtype == (torch.float64 if exact else torch.float32)
    theirs = MultivariateNormal(gaussians.means[0], scale_tril=gaussians.factors[0]).log_prob(x)
    torch.testing.assert_close(model.log_prob(x), theirs, rtol=0, atol=1e-9 if exact else 0.01)


@pytest.mark.parametrize("least", [1.0, 0.01, 1e-5])
def test_whitened_points_give_the_covariances_of_points_as_they_are(least):
    # Two components far from zero that overlap, so that most points belong to both. Their narrowest
    # direction is `least` wide. Iterations in double precision, without whitening, are the standard.
    k, d, n = 2, 40, 3000
    rng = generator(0)
    basis = torch.linalg.qr(torch.randn(d, d, generator=rng).double())[0]
    root = basis * torch.logspace(0, np.log10(least), d).double()
    own = (torch.arange(n) % k)[:, None]
    eps = torch.randn(n, d, generator=rng).double()
    x = 30 + (eps * (1 + 0.05 * own) + 0.1 * own) @ root.T
    model = started("gmm", vectors(x), f"n_components={k}", "covariance=full", "reg_covar=0")
    whitened = model.gaussians
    assert type(whitened) is Whitened
    plain = Full(whitened.log_weights, whitened.means, whitened.factors, 0.0)
    single = whitened.prepared(x)[1].dtype == torch.float32
    assert single == (least > 1e-5)
    for _ in range(5):
        joint, own = plain.joint(x), whitened.joint(x)
        torch.testing.assert_close(own.logsumexp(1), joint.logsumexp(1), rtol=0, atol=0.01)
        torch.testing.assert_close(own.softmax(1), joint.softmax(1), rtol=0, atol=1e-3)
        r = joint.softmax(1)
        assert ((r > 0.01) & (r < 0.99)).float().mean() > 0.1  # or weights would not matter
        plain = plain.maximised(plain.moments(plain.prepared(x), r))
        whitened = whitened.maximised(whitened.moments(whitened.prepared(x), r))
        # as multiples of the covariances, so that a narrow direction counts as much as a wide one
        ratio = torch.linalg.solve_triangular(plain.factors, whitened.factors, upper=False)
        one = torch.eye(d).double().expand(k, d, d)
        torch.testing.assert_close(ratio, one, rtol=0, atol=1e-5)
        shift = torch.linalg.solve_triangular(
            plain.factors, (whitened.means - plain.means)[:, :, None], upper=False
        )
        assert shift.abs().max() < 1e-6


def densities(mixture, x):
    """log pi_k + log p(x | k) [n, K] by NumPy and SciPy."""
    weights, means = mixture.weights.numpy(), mixture.means.numpy()
    if isinstance(mixture, Binomials):
        n = mixture.trials  # in single precision, x is not quite a share of n
        ways = np.log(comb(n, np.rint(n * x)))
        parts = [(ways + n * (x * np.log(m) + (1 - x) * np.log(1 - m))).sum(1) for m in means]
    else:
        k, d = means.shape
        found = mixture.covariances.numpy()
        if found.shape in ((k, 1), (k, d)):
            found = np.stack([np.diag(row * np.ones(d)) for row in found])
        found = np.broadcast_to(found, (k, d, d))
        parts = [multivariate_normal.logpdf(x, m, c) for m, c in zip(means, found)]
    return np.log(weights) + np.stack(parts, 1)


@pytest.mark.parametrize(
    ("name", "d"), [*((form, 3) for form in FORMS), ("full", 40), ("bmm", 1), ("bmm", 5)]
)
def test_the_bound_touches_the_likelihood_at_each_e_step_and_is_raised_by_each_m_step(name, d):
    if name == "bmm":
        data, given = dots(300, d)[0], ["bmm"]
    else:
        rng = generator(1)
        shape = torch.eye(d) + torch.randn(d, d, generator=rng) / (4 * d**0.5)
        x = torch.randn(600, d, generator=rng) @ shape + 3 * torch.randint(
            2, (600, 1), generator=rng
        )
        data, given = vectors(x), ["gmm", f"covariance={name}", "reg_covar=1e-9"]
    model = started(*given[:1], data, "n_components=4", "tol=0", "bound=true", *given[1:])
    x, r_before, terms = data.train.values().double().numpy(), None, []
    for _ in range(5):
        joint = densities(model.mixture, x)
        likelihood = logsumexp(joint, 1)
        log_r = joint - likelihood[:, None]
        for batch in data.train.batches(70):
            model.step(batch)
        logs = {key: float(value) for key, value in model.end_epoch().items()}
        raised = densities(model.mixture, x)
        bound = (np.exp(log_r) * (raised - log_r)).sum(1).mean()
        assert -logs["nll"] == pytest.approx(likelihood.mean(), rel=1e-7, abs=1e-7)
        assert -logs["nll_bound"] == pytest.approx(bound, rel=1e-7, abs=1e-7)
        assert -logs["nll_bound"] >= -logs["nll"] - 1e-9, "an M-step raises the bound"
        assert ("bound_gap" in logs) == bool(terms)
        if terms:  # how far the bound was below is the KL divergence of the responsibilities
            kl = (np.exp(r_before) * (r_before - log_r)).sum(1).mean()
            assert logs["bound_gap"] == pytest.approx(kl, abs=1e-6) and kl > 1e-5
        r_before = log_r
        terms.append([-logs["nll"], -logs["nll_bound"]])
    shown = model.visualizations(data.train.values(), generator(0))["bound"]
    assert torch.stack([shown.values, shown.bounds], 1).tolist() == terms
    again = started(*given[:1], data, "n_components=4", "tol=0", "bound=true", *given[1:])
    again.load_posthoc_state(model.posthoc_state())
    assert again.course == model.course
    plain = started(*given[:1], data, "n_components=4", *given[1:])
    passes(plain, data, 1)
    assert "bound" not in plain.visualizations(data.train.values(), generator(0))


def test_the_bound_of_kmeans_is_the_inertia_with_the_assignments_of_the_old_centres():
    x = torch.randn(500, 4, generator=generator(0))
    data = vectors(x)
    model, bound = started("kmeans", data, "n_components=6", "bound=true", "n_init=1"), np.inf
    for _ in range(4):
        centres = model.centres[0].numpy().copy()
        nearest = np.square(x.numpy()[:, None] - centres).sum(2).argmin(1)
        for batch in data.train.batches(70):
            model.step(batch)
        logs = {key: float(value) for key, value in model.end_epoch().items()}
        assert logs["inertia"] <= bound
        bound = np.square(x.numpy() - model.centres[0].numpy()[nearest]).sum(1).mean()
        assert logs["inertia_bound"] == pytest.approx(bound, abs=1e-9) and bound < logs["inertia"]

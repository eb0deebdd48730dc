"""What models generate from, and how likely they say data are: samplers, kernels, labels, importance weights, scores."""

import math

import numpy as np
import pytest
import torch
from helpers.configs import Nowhere, config_of, settings_with, small_config
from helpers.gaussian import linear_gaussian, vectors
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from genbench.config.declarations import typed
from genbench.data.loading import load_data
from genbench.data.synthetic import MixtureDensity
from genbench.data.types import Batch
from genbench.evaluation.card import card
from genbench.evaluation.context import Evaluation
from genbench.experiment import build, load_run, run
from genbench.models import kde
from genbench.models.latent_model import draw_prior
from genbench.runs.checkpoints import read_finished
from genbench.training.loop import fit_model
from genbench.training.objective import means
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

CPU = torch.device("cpu")


def trained(config, data=None):
    data = data or load_data(config["dataset"], CPU)
    model = build(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    model.fit_posthoc(data.train, seed=config["seed"])
    return model.requires_grad_(False), data


@pytest.mark.parametrize("bandwidth", ["0.05", "0.7", "scott", "silverman", "loo"])
@pytest.mark.parametrize("d", [1, 5])
def test_kde_equals_scikit_learn(bandwidth, d):
    x, y = (
        torch.randn(n, d, generator=generator(n), dtype=torch.float64) * 2 + 100
        for n in (5000, 300)
    )  # more than one chunk
    model, _ = trained(
        config_of("kde", f"bandwidth={bandwidth}", dataset="moons"), vectors(x.float(), y.float())
    )
    h = float(model.bandwidth)
    theirs = KernelDensity(bandwidth=h, leaf_size=10_000).fit(x.float().double().numpy())
    np.testing.assert_allclose(
        model.log_prob(y.float()), theirs.score_samples(y.float().double().numpy()), rtol=1e-5
    )
    spread, n = float(x.float().double().var(0).mean().sqrt()), len(x)
    if bandwidth in ("scott", "silverman"):
        assert h == pytest.approx(
            spread * (n if bandwidth == "scott" else n * (d + 2) / 4) ** (-1 / (d + 4)), rel=1e-6
        )


def test_the_bandwidth_makes_left_out_points_likeliest():
    x = torch.randn(300, 2, generator=generator(0)) * torch.tensor([1.0, 0.2])
    model, _ = trained(config_of("kde", dataset="moons"), vectors(x))

    def left_out(h):
        return np.mean(
            [
                KernelDensity(bandwidth=h)
                .fit(np.delete(x.numpy(), i, 0))
                .score_samples(x[i : i + 1].numpy())
                for i in range(300)
            ]
        )

    h = float(model.bandwidth)
    assert left_out(h) > max(left_out(0.9 * h), left_out(1.1 * h))
    twice = torch.cat([x, x])
    with pytest.raises(UserError, match="bandwidth: repeated training points lead it to zero"):
        trained(config_of("kde", dataset="moons"), vectors(twice))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e15])
def test_a_kernel_density_looks_at_few_points_at_a_time_which_changes_nothing(scale, monkeypatch):
    x, y = (scale * (1 + torch.rand(n, 3, generator=generator(n))) for n in (130, 90))
    whole, _ = trained(config_of("kde", dataset="moons"), vectors(x, y))
    sizes, distances = [], kde.squared_distances
    monkeypatch.setattr(
        kde, "squared_distances", lambda a, b: sizes.append((len(a), len(b))) or distances(a, b)
    )
    monkeypatch.setattr(kde, "KERNELS_AT_ONCE", 43)  # of which the last holds a point only
    parts, _ = trained(config_of("kde", dataset="moons"), vectors(x, y))
    assert sizes == [(130, 43)] * 3 + [(130, 1)], "all that are left out, beside a chunk"
    torch.testing.assert_close(
        parts.bandwidth, whole.bandwidth, rtol=2e-4, atol=0
    )  # as near as h is looked for
    whole.bandwidth.copy_(parts.bandwidth)
    found = parts.log_prob(y)
    assert max(max(size) for size in sizes[4:]) == 43
    torch.testing.assert_close(found, whole.log_prob(y), rtol=1e-9, atol=1e-9)
    squared = (x.double()[:, None] - x.double()).square().sum(2).fill_diagonal_(math.inf)

    def left_out(h):
        return float(3 * math.log(h) - (squared / (-2 * h * h)).logsumexp(1).mean())

    h = float(parts.bandwidth)
    assert left_out(h) <= min(left_out(0.99 * h), left_out(1.01 * h)), (
        "distances in single precision choose as well"
    )


def test_kde_keeps_points_as_they_came_and_draws_around_them():
    config = config_of("kde", "bandwidth=0.01", "dataset.limit=50")
    data = load_data(config["dataset"], CPU)
    model, _ = trained(config, data)
    assert model.points.dtype == data.train.raw.dtype and torch.equal(model.points, data.train.raw)
    gap = (
        torch.cdist(model.sample(200, generator(0)).flatten(1), data.train.values().flatten(1))
        .min(1)
        .values
    )
    assert float(gap.square().mean() / 64) == pytest.approx(0.01**2, rel=0.1)
    other = build(config, data)
    other.load_state_dict(model.state_dict())
    x = data.splits["test"].values()
    assert torch.equal(other.log_prob(x), model.log_prob(x))


@pytest.mark.parametrize("sampler", ["prior", "gaussian", "gmm", "kde"])
@pytest.mark.parametrize("name", ["pca", "ae", "vae"])
def test_a_sampler_is_fitted_saved_and_taken_up_again(name, sampler, tmp_path):
    config = small_config(name, f"sampler={sampler}")
    first = run(config, tmp_path)
    again = load_run(config, tmp_path, "cpu")
    assert torch.equal(first.sample(20, seed=0), again.sample(20, seed=0))
    files = list(tmp_path.glob("finished-*.pt"))
    assert len(files) == (sampler != "prior")
    for file in files:
        file.write_bytes(file.read_bytes()[:-1])
        assert read_finished(file, CPU) is None
        assert torch.equal(
            load_run(config, tmp_path, "cpu").sample(20, seed=0), first.sample(20, seed=0)
        )  # fitted anew, to the same bits


def test_fitted_samplers_have_the_moments_and_the_likelihood_of_the_codes():
    config = small_config("ae", "sampler=gaussian", "epochs=20")
    model, data = trained(config)
    z = model.encode(data.train.values())
    drawn = model.codes(50_000, generator(0))
    torch.testing.assert_close(drawn.mean(0), z.mean(0), atol=0.02 * float(z.std()), rtol=0)
    torch.testing.assert_close(drawn.T.cov(), z.T.cov(), atol=0.05 * float(z.var()), rtol=0)
    mixture, _ = trained(config | {"sampler": "gmm", "sampler_components": 3}, data)
    theirs = (
        GaussianMixture(3, n_init=5, random_state=0)
        .fit(z.double().numpy())
        .score(z.double().numpy())
    )
    assert float(mixture.density.log_prob(z).mean()) >= theirs - 0.1
    mixture, _ = trained(config | {"sampler": "gmm", "sampler_components": 1000}, data)
    assert mixture.density.settings.n_components == len(data.train)


@pytest.mark.parametrize("kind", ["normal", "uniform", "ring"])
def test_every_class_has_its_part_of_the_prior_and_together_they_are_the_prior(kind):
    config = small_config("swae", f"prior={kind}", "supervision=1.0", "latent_dim=2")
    model = build(config, load_data(config["dataset"], CPU))
    parts = torch.cat([model.part_of(c, 4000, generator(c)) for c in range(10)])
    whole = draw_prior(kind, 40_000, 2, generator(99))
    for power in (1, 2, 3):
        torch.testing.assert_close(
            (parts**power).mean(0), (whole**power).mean(0), atol=0.06, rtol=0
        )
    model.encode = lambda x: x
    assert torch.equal(model.classify(parts), torch.arange(10).repeat_interleave(4000))


def test_a_few_labels_lead_classes_to_their_parts():
    config = config_of(
        "swae",
        "supervision=10",
        "latent_dim=2",
        "prior=ring",
        "dataset.labelled=100",
        "epochs=60",
        "lr=0.003",
        "schedule=constant",
        "network=mlp",
        "hidden=[128]",
        "device=cpu",
    )
    data = load_data(config["dataset"], CPU)
    assert (
        int((data.train.y >= 0).sum()) == 100
        and torch.bincount(data.train.y[data.train.y >= 0]).tolist() == [10] * 10
    )
    model, _ = trained(config, data)
    with_labels = means(model, data.splits["test"], 500, 0)["accuracy"]
    assert with_labels > 0.5  # chance is .1
    assert "accuracy" not in means(model, data.train, 500, 0, learnt=True)


def test_a_conditional_model_draws_the_wanted_class_and_refuses_to_guess(tmp_path):
    x = torch.randn(600, 2, generator=generator(0)) * 0.1
    y = torch.arange(600) % 3
    x = x + torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]])[y]
    config = config_of(
        "cvae",
        "epochs=60",
        "batch_size=100",
        "latent_dim=2",
        "hidden=[32]",
        "lr=0.01",
        "device=cpu",
        dataset="moons",
    )
    model, _ = trained(config, vectors(x, classes=3, y=y))
    for c, centre in enumerate([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]]):
        drawn = model.conditioned_on(torch.tensor([c])).sample(500, generator(c))
        assert float((drawn.mean(0) - torch.tensor(centre)).norm()) < 0.15
        assert float((drawn - torch.tensor(centre)).norm(dim=1).max()) < 1.0
    counts = (
        torch.cdist(
            model.sample(3000, generator(1)), torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
        )
        .argmin(1)
        .bincount()
    )
    assert (counts - 1000).abs().max() < 120  # as often as in the training data
    ours = run(small_config("cvae"), tmp_path)
    assert ours.sample(4, y=3).shape == (4, 1, 8, 8) and ours.sample(4, y=[0, 1, 2, 3]).shape == (
        4,
        1,
        8,
        8,
    )
    test = ours.data.splits["test"]
    assert torch.equal(
        ours.encode(test.values(), y=test.y),
        ours.model.conditioned_on(test.y).encode(test.values()),
    )
    for call, says in (
        (lambda: ours.encode(test.values()), "y: encode needs the labels"),
        (lambda: ours.sample(4, y=10), "labels are whole numbers from 0 to 9"),
    ):
        with pytest.raises(UserError, match=says):
            call()


def test_only_the_classes_that_there_are_share_the_prior():
    model, data = trained(
        small_config(
            "swae", "supervision=1.0", "dataset.classes=[3,8]", "dataset.limit=60", "epochs=2"
        )
    )
    parts = torch.cat([model.part_of(c, 500, generator(c)) for c in (3, 8)])
    place = torch.atan2(parts[:, 1], parts[:, 0]) / (2 * torch.pi) % 1
    assert torch.equal((place >= 0.5).long(), torch.arange(2).repeat_interleave(500)), (
        "a half for each"
    )
    assert set(model.classify(data.train.values()).tolist()) <= {3, 8} and data.spec.absent == (
        0,
        1,
        2,
        4,
        5,
        6,
        7,
    )


def test_hidden_labels_are_refused_where_they_are_needed():
    with pytest.raises(UserError, match=r"dataset\.labelled: every training point needs its label"):
        trained(small_config("cvae", "dataset.labelled=20"))
    with pytest.raises(
        UserError, match=r"dataset\.labelled: no training point has the label [1-9]"
    ):
        trained(small_config("swae", "supervision=1.0", "dataset.labelled=5"))
    config = small_config("supervised-ae", "dataset.labelled=0")
    model, data = trained(config)
    loss, terms = model.loss(next(data.train.batches(50)), {}, model.weights)
    assert terms["cross_entropy"] == 0 and loss == terms["reconstruction"]


def test_the_importance_weighted_bound_grows_with_k_to_the_exact_likelihood():
    model, x, exact = linear_gaussian()
    for part in (model.encoder[1].weight, model.encoder[1].bias):
        part.zero_()  # q(z|x) is the prior, wider than the posterior, so that no draw has too large a weight
    for seed in range(3):
        model.settings = settings_with(model.settings, seed=seed)
        bounds = [float(model.log_prob(x, k).mean()) for k in (1, 10, 100, 5000)]
        assert bounds[0] < bounds[1] < bounds[2] - 0.1 and bounds[-1] == pytest.approx(
            exact.mean(), abs=0.05
        )


def test_the_exact_posterior_makes_every_bound_exact():
    model, x, exact = linear_gaussian()
    w, b = model.decoder[0].weight, model.decoder[0].bias
    # A diagonal posterior is exact where W'W is diagonal: turn the code to its axes.
    u, s, _ = torch.linalg.svd(w, full_matrices=False)
    model.decoder[0].weight.copy_(u * s)
    gain = s[:, None] * u.T / (0.64 + s[:, None] ** 2)
    logvar = (1 / (1 + s**2 / 0.64)).log()
    model.encoder[1].weight.copy_(torch.cat([gain, torch.zeros_like(gain)]))
    model.encoder[1].bias.copy_(torch.cat([-gain @ b, logvar]))
    for k in (1, 7):
        np.testing.assert_allclose(model.log_prob(x, k), exact, atol=1e-3)
    model.settings = settings_with(model.settings, objective="iwae")
    noise = {"eps": torch.randn(5, len(x), 2, generator=generator(3))}
    loss, terms = model.loss(Batch(x, None), noise, model.weights)
    assert float(loss) == pytest.approx(-exact.mean(), abs=1e-3)


def test_more_draws_average_the_elbo_and_tighten_the_importance_bound():
    model, x, exact = linear_gaussian()
    eps = torch.randn(6, len(x), 2, generator=generator(3))
    _, one = model.loss(Batch(x, None), {"eps": eps[:1]}, model.weights)
    _, many = model.loss(Batch(x, None), {"eps": eps}, model.weights)
    each = [model.loss(Batch(x, None), {"eps": e[None]}, model.weights)[1]["nll"] for e in eps]
    torch.testing.assert_close(many["nll"], torch.stack(each).mean())
    assert torch.equal(one["kl"], many["kl"])
    model.settings = settings_with(model.settings, objective="iwae")
    loss = model.loss(Batch(x, None), {"eps": eps}, model.weights)[0]
    assert -exact.mean() < float(loss) < float(many["negative_elbo"])


@pytest.mark.parametrize(
    ("name", "overrides", "kind", "of"),
    [
        ("gmm", [], "exact", "density of test values in [0, 1], as they are"),
        (
            "pca",
            ["dataset.dequantize=true"],
            "exact",
            "density of test values in [0, 1], dequantised in cells of 1/17",
        ),
        (
            "vae",
            ["dataset.binarize=static"],
            "lower bound, 100 importance samples",
            "probability of binary test values",
        ),
        (
            "vae",
            [],
            "lower bound, 100 importance samples",
            "probability of test values that count 16 dots",
        ),
        (
            "vae",
            ["likelihood=gaussian"],
            "lower bound, 100 importance samples",
            "density of test values in [0, 1], as they are",
        ),
        ("bmm", [], "exact", "probability of test values that count 16 dots"),
    ],
)
def test_a_likelihood_says_what_it_is_and_of_what(name, overrides, kind, of):
    config = small_config(name, "epochs=1", *overrides)
    model, data = trained(config)
    nats, bits = card(Evaluation(model, data, {}), ["likelihood"])
    assert nats["of"] == bits["of"] == f"{of}; {kind}" and nats["n"] == bits["n"] == {"test": 360}
    mean = float(model.log_prob(data.splits["test"].values()).double().mean())
    assert nats["value"] == pytest.approx(mean) and nats["low"] < mean < nats["high"]
    cell = 64 * math.log(17) if "cells" in of else 0
    assert (
        bits["value"] == pytest.approx((cell - mean) / (64 * math.log(2)))
        and bits["low"] < bits["value"] < bits["high"]
    )


def test_cross_entropy_on_grey_values_is_no_likelihood():
    config = small_config("vae", "likelihood=bernoulli")
    assert not hasattr(trained(config)[0], "log_prob")
    assert not hasattr(
        trained(small_config("vae", "likelihood=binomial", "dataset.binarize=none"))[0], "score"
    )


BLOBS = [
    "dataset.means=[[-2.0,0.0],[2.0,0.0],[0.0,3.0]]",
    "dataset.scales=[0.3,0.3,0.3]",
    "dataset.weights=[0.4,0.4,0.2]",
]


def test_a_denoising_autoencoder_points_to_where_points_get_likelier():
    own = [
        "epochs=12",
        "batch_size=250",
        "lr=0.005",
        "schedule=cosine",
        "hidden=[64,64]",
        "activation=silu",
        "latent_dim=16",
        "device=cpu",
    ]
    sampler = [
        "sampler=langevin",
        "denoise=false",
        "chain_steps=60",
        "dataset.val_size=0",
        "dataset.size=10000",
        "dataset.test_size=100",
    ]
    config = config_of("dae", *own, *sampler, *BLOBS, dataset="gaussians")
    model, data = trained(config)
    smoothed = MixtureDensity(
        data.density.means, (data.density.scales**2 + 0.3**2).sqrt(), data.density.weights
    )
    x = smoothed.sample(2000, generator(5))[0].float()
    exact = torch.func.grad(lambda x: smoothed.log_prob(x).sum())(x.double())
    ours = model.score(x).double()
    assert float(torch.nn.functional.cosine_similarity(ours, exact).mean()) > 0.95
    assert float((ours - exact).norm() / exact.norm()) < 0.25
    drawn = model.sample(1000, generator(6))
    distance, mode = torch.cdist(drawn.double(), data.density.means).min(1)
    near = distance < 3 * float(smoothed.scales[0])
    assert near.double().mean() > 0.9 and (mode[near].bincount(minlength=3) > 100).all()


@pytest.mark.parametrize(
    "change", ["corruption=masking", "reconstruction=bce", "walkbacks=1", "level=0"]
)
def test_only_gaussian_noise_and_squared_error_give_a_score(change):
    assert hasattr(
        build(small_config("dae"), load_data(small_config("dae")["dataset"], CPU)), "score"
    )
    config = small_config("dae", change)
    data = load_data(config["dataset"], CPU)
    assert not hasattr(build(config, data), "score")
    with pytest.raises(UserError, match="sampler: needs the score"):
        build(config | {"sampler": "langevin"}, data)


def test_walking_back_learns_from_the_chain_that_draws_samples():
    config = small_config(
        "dae", "walkbacks=2", "sampler=walkback", "chain_steps=3", "denoise=false"
    )
    model, data = trained(config)
    x = next(data.train.batches(40)).x
    noise = model.draw_noise("model", 40, generator(0))["corruption"]
    assert noise.shape == (40, 3, 1, 8, 8)
    chain, losses = x, []
    for i in range(3):
        again = model.decode(model.encode(chain + 0.3 * noise[:, i]))
        losses.append(((x - again) ** 2).sum((1, 2, 3)).mean())
        chain = again
    torch.testing.assert_close(
        model.loss(Batch(x, None), {"corruption": noise}, {})[0], torch.stack(losses).mean()
    )
    rng = generator(7)
    drawn = model.mean + model.spread * torch.randn(5, 1, 8, 8, generator=rng)
    for _ in range(3):
        drawn = model.decode(model.encode(drawn))
        drawn = drawn + 0.3 * torch.randn(5, 1, 8, 8, generator=rng)
    assert torch.equal(model.sample(5, generator(7)), drawn)


def test_what_judges_estimate_is_measured_on_data_they_have_not_learnt_from(tmp_path):
    for name, term in (("gan", "jsd_bound"), ("wgan", "wasserstein")):
        found = run(small_config(name), tmp_path / name).metrics
        assert term in found["test"] and term in found["validation"] and term not in found["train"]


def test_an_identity_for_a_generator_leaves_the_judge_alone():
    config = small_config(
        "gan", "generator=identity", "latent_dim=2", "r1_gamma=0", *BLOBS, dataset="gaussians"
    )
    model, data = trained(config)
    assert list(model.objectives) == ["discriminator"] and not list(model.generator.parameters())
    assert model.sample(50_000, generator(0)).std() == pytest.approx(1, abs=0.01)
    found = model.held_out(next(data.splits["test"].batches(100)), generator(1))
    again = model.evaluate(next(data.splits["test"].batches(100)), generator(1))
    assert float(found["jsd_bound"]) == pytest.approx(
        math.log(2) - float(again["discriminator_loss"]) / 2, rel=1e-6
    )
    with pytest.raises(
        UserError,
        match=r"latent_dim: samples that are codes have as many values as the data, 2 \(got 3\)",
    ):
        build(config | {"latent_dim": 3}, data)


@pytest.mark.parametrize("steep", [0.01, 1.0, 50.0])
def test_the_earth_movers_estimate_does_not_depend_on_how_steep_the_critic_is(steep):
    config = config_of(
        "wgan", "generator=identity", "hidden=[]", "latent_dim=2", "device=cpu",
        "dataset.means=[[3.0,4.0]]", "dataset.scales=[1.0]", "dataset.weights=[1.0]", dataset="gaussians",
    )  # fmt: skip
    data = load_data(config["dataset"], CPU)
    model = build(config, data).requires_grad_(False)
    model.critic.net[1].weight.copy_(
        steep * torch.tensor([[0.6, 0.8]])
    )  # the best direction for a shift of 5
    found = model.held_out(next(data.splits["test"].batches(10_000)), generator(0))
    assert float(found["wasserstein"]) == pytest.approx(5, abs=0.05)


def test_langevin_dynamics_reaches_the_variance_of_the_density_whose_score_it_follows(monkeypatch):
    config = small_config(
        "dae",
        "sampler=langevin",
        "denoise=false",
        "level=1.0",
        "langevin_rate=0.1",
        "chain_steps=100",
    )
    data = load_data(config["dataset"], torch.device("cpu"))
    model = build(config, data)
    model.initialise(data.train, seed=0)
    monkeypatch.setattr(type(model), "score", lambda self, x: -x)  # of N(0, I)
    with torch.no_grad():
        x = model.sample(500, generator(0))
    assert float(x.var()) == pytest.approx(
        2 / (2 - 0.1), rel=0.03
    )  # where x - e x + sqrt(2 e) noise stays as wide

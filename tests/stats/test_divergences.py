"""Divergences against closed forms, other libraries and their definitions written out."""

import math

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance
from torch.distributions import MultivariateNormal, Uniform, kl_divergence

from genbench.stats import blocks, transport
from genbench.stats.divergences import (
    jsd_discrete,
    jsd_gaussians,
    jsd_monte_carlo,
    jsd_quadrature,
    kl_discrete,
    kl_gaussians,
)
from genbench.stats.kernels import median_distance, multiscale_mmd, polynomial_mmd, squared_mmd
from genbench.stats.neighbours import prdc, share_within
from genbench.stats.transport import (
    frechet_distance,
    squared_sliced_wasserstein,
    w2_gaussians,
    wasserstein_1d,
)
from genbench.utils.rng import generator


def normals(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def gaussian(d, seed, rank=None):
    """A mean and a covariance, of full rank unless told."""
    root = normals(d, rank or d, seed=seed)
    return normals(d, seed=seed + 1000), root @ root.T + (0 if rank else 0.1) * torch.eye(d)


def near(value, **tolerance):
    return pytest.approx(float(value), **tolerance)


# What they have in common.

P, Q = torch.tensor([9, 12, 4.0]).double() / 25, torch.full((3,), 1 / 3).double()
X, Y = normals(60, 3), 1.5 * normals(40, 3, seed=1) + 0.3
BETWEEN_DISTRIBUTIONS = [jsd_discrete, kl_discrete, w2_gaussians, kl_gaussians, jsd_gaussians]
PAIRS = {
    jsd_discrete: (P, Q),
    kl_discrete: (P, Q),
    wasserstein_1d: (X[:, 0], Y[:, 0]),
    frechet_distance: (X, Y),
    squared_mmd: (X, Y),
}


def both_ways(divergence):
    """D(a, b), D(b, a) and D(a, a) of some a and b."""
    if divergence in PAIRS:
        a, b = ((side,) for side in PAIRS[divergence])
    else:
        a, b = gaussian(4, 0), gaussian(4, 1)
    return (float(divergence(*first, *second)) for first, second in ((a, b), (b, a), (a, a)))


@pytest.mark.parametrize(
    "divergence",
    [jsd_discrete, jsd_gaussians, wasserstein_1d, w2_gaussians, frechet_distance, squared_mmd],
)
def test_distances_are_symmetric(divergence):
    there, back, _ = both_ways(divergence)
    assert there > 0.01 and there == near(back, rel=1e-12)


@pytest.mark.parametrize(
    "divergence",
    [
        kl_discrete,
        jsd_discrete,
        kl_gaussians,
        jsd_gaussians,
        wasserstein_1d,
        w2_gaussians,
        frechet_distance,
    ],
)
def test_nothing_diverges_from_itself(divergence):
    assert list(both_ways(divergence))[2] == near(0, abs=1e-13)


# Probability vectors.


def test_discrete_divergences_of_a_worked_example():
    assert float(kl_discrete(P, Q)) == near(0.0852996, abs=5e-8)
    assert float(kl_discrete(Q, P)) == near(0.097455, abs=5e-7)
    m = (P + Q) / 2
    assert float(jsd_discrete(P, Q)) == near((kl_discrete(P, m) + kl_discrete(Q, m)) / 2)


def test_disjoint_supports():
    p, q = torch.tensor([0.5, 0.5, 0, 0]), torch.tensor([0, 0, 0.25, 0.75])
    assert kl_discrete(p, q) == kl_discrete(q, p) == math.inf
    assert float(jsd_discrete(p, q)) == near(math.log(2))
    near_p = torch.tensor([0.25, 0.5, 0.25, 0])
    assert math.isfinite(kl_discrete(p, near_p)) and kl_discrete(near_p, p) == math.inf
    # Points at 0 and at 7 are as far apart in Wasserstein's distance, which knows where they lie.
    assert wasserstein_1d(torch.zeros(3), torch.full((5,), 7.0)) == 7


def test_discrete_divergences_take_many_vectors_and_the_smallest_of_numbers():
    p = torch.stack([P, Q, Q])
    torch.testing.assert_close(kl_discrete(p, Q), torch.stack([kl_discrete(row, Q) for row in p]))
    torch.testing.assert_close(jsd_discrete(p, Q), torch.stack([jsd_discrete(row, Q) for row in p]))
    assert jsd_discrete(*torch.tensor([[5e-324, 1], [0, 1]], dtype=torch.float64)) == 0


@pytest.mark.parametrize("p", [[9, 12, 4.0], [1.5, -0.5, 0], [0.5, 0.4, 0], [math.nan, 1, 0]])
def test_what_is_no_distribution_is_refused(p):
    for divergence in (kl_discrete, jsd_discrete):
        with pytest.raises(ValueError, match="sum to 1"):
            divergence(Q, torch.tensor(p))


# Gaussians and other densities.


@pytest.mark.parametrize("d", [1, 2, 7])
def test_kl_of_gaussians_equals_torch(d):
    p, q = gaussian(d, 0), gaussian(d, 1)
    assert float(kl_gaussians(*p, *q)) == near(
        kl_divergence(MultivariateNormal(*p), MultivariateNormal(*q)), rel=1e-10
    )


def test_singular_gaussians_have_no_density():
    for divergence in (kl_gaussians, jsd_gaussians):
        with pytest.raises(torch.linalg.LinAlgError):
            divergence(*gaussian(4, 0), *gaussian(4, 1, rank=3))


@pytest.mark.parametrize("d", [1, 2])
def test_jsd_of_gaussians_equals_quadrature(d):
    for seed in range(3):
        p, q = gaussian(d, seed), gaussian(d, seed + 10)
        reach = 3 + 8 * float(torch.stack([p[1], q[1]]).amax().sqrt())
        value, error = jsd_quadrature(
            MultivariateNormal(*p).log_prob,
            MultivariateNormal(*q).log_prob,
            [(-reach, reach)] * d,
            2**16,
        )
        assert float(jsd_gaussians(*p, *q)) == near(value, abs=1e-9)
        assert error < 1e-3


def test_jsd_of_gaussians_in_many_dimensions_equals_monte_carlo():
    p, q = gaussian(6, 0), (gaussian(6, 0)[0] + 0.3, gaussian(6, 0)[1] * 1.5 + 0.2)
    one, two = MultivariateNormal(*p), MultivariateNormal(*q)
    x, y = (
        mean + normals(20_000, 6, seed=i) @ torch.linalg.cholesky(cov).T
        for i, (mean, cov) in enumerate((p, q))
    )
    value, error = jsd_monte_carlo(one.log_prob, two.log_prob, x, y)
    assert error < 0.003 and float(jsd_gaussians(*p, *q)) == near(value, abs=4 * float(error))


def test_jsd_of_gaussians_between_its_bounds():
    mean, cov = gaussian(3, 0)
    assert float(jsd_gaussians(mean, cov, mean + 1e3, cov)) == near(math.log(2), rel=1e-14)
    assert float(jsd_gaussians(mean, cov, mean, cov * 1e12)) == near(math.log(2), rel=1e-4)
    # Close by it is a quarter of KL / 2 + reversed KL / 2, as every f-divergence is Fisher's metric times its f''(1).
    shifted = (mean, cov, mean + 1e-4, cov)
    assert float(jsd_gaussians(*shifted)) == near(kl_gaussians(*shifted) / 4, rel=1e-4)


def test_quadrature_of_uniform_densities_and_its_error():
    def uniform(low):
        return lambda x: Uniform(low, low + 1.0, validate_args=False).log_prob(x.squeeze(1))

    assert float(jsd_quadrature(uniform(0), uniform(5), [(-1, 7)], 2**14)[0]) == near(
        math.log(2), abs=1e-3
    )
    value, error = jsd_quadrature(uniform(0), uniform(0.5), [(-1, 2)], 2**14)
    assert float(value) == near(math.log(2) / 2, abs=1e-3) and error < 1e-3
    value, error = jsd_quadrature(
        uniform(0), uniform(0.5), [(0, 1)], 2**14
    )  # half of one is outside
    assert float(value) == near(math.log(2) / 4, rel=1e-3) and float(error) == near(
        math.log(2) / 4, rel=1e-3
    )


@pytest.mark.parametrize("points", [20, 40, 80, 160])
def test_quadrature_says_how_coarse_it_is(points):
    p, q = (
        (mean.new_tensor([m]), mean.new_tensor([[v]]))
        for mean in [P]
        for m, v in ((0.0, 1.0), (2.0, 0.3))
    )
    logs = (MultivariateNormal(*g).log_prob for g in (p, q))
    value, error = jsd_quadrature(*logs, [(-8, 9)], points)
    assert 0 < abs(value - jsd_gaussians(*p, *q)) < error


def test_monte_carlo_errs_as_much_as_it_says():
    p, q = MultivariateNormal(*gaussian(2, 0)), MultivariateNormal(*gaussian(2, 3))
    truth = jsd_gaussians(*gaussian(2, 0), *gaussian(2, 3))
    roots = p.scale_tril.T, q.scale_tril.T
    found = [
        jsd_monte_carlo(
            p.log_prob,
            q.log_prob,
            p.mean + normals(50, 2, seed=i) @ roots[0],
            q.mean + normals(90, 2, seed=-i - 1) @ roots[1],
        )
        for i in range(200)
    ]
    off = torch.stack([(value - truth) / error for value, error in found])
    assert abs(float(off.mean())) < 4 / math.sqrt(200) and float(off.std()) == near(1, abs=0.15)
    assert max(value for value, _ in found) <= math.log(2)


# Optimal transport.


def test_wasserstein_1d_equals_scipy():
    for n, m in ((1, 1), (7, 7), (50, 33)):
        x, y = normals(n), 2 * normals(m, seed=1) + 1
        assert float(wasserstein_1d(x, y)) == near(wasserstein_distance(x, y), rel=1e-12)
        x, y = x.round(), y.round()  # ties
        assert float(wasserstein_1d(x, y)) == near(wasserstein_distance(x, y), rel=1e-12)


def test_sliced_wasserstein_of_gaussians_equals_its_closed_form():
    # Along a unit direction t, W2^2(N(m, s^2 I), N(0, I)) = (t.m)^2 + (s - 1)^2, whose mean over t is |m|^2/d + (s-1)^2.
    d, m, s = 3, torch.tensor([1.0, -2.0, 0.5]), 1.5
    a, b, t = (torch.randn(n, d, generator=generator(i)) for i, n in enumerate((5000, 5000, 200)))
    found = squared_sliced_wasserstein(m + s * a, b, t / t.norm(dim=1, keepdim=True))
    assert float(found) == pytest.approx(float(m.square().sum()) / d + (s - 1) ** 2, rel=0.1)
    assert float(squared_sliced_wasserstein(a, a[torch.randperm(len(a))], t)) == 0


def test_w2_of_gaussians_that_commute():
    a, b, shift = (
        torch.tensor([4, 1, 0, 0.0]),
        torch.tensor([1, 9, 4, 0.0]),
        torch.tensor([1, 0, 2, 3.0]),
    )
    expected = (a.sqrt() - b.sqrt()).square().sum() + 14
    turn = torch.linalg.qr(normals(4, 4))[0]
    turned = (
        turn @ shift.double(),
        turn @ torch.diag(a).double() @ turn.T,
        shift.double() * 0,
        turn @ torch.diag(b).double() @ turn.T,
    )
    assert float(w2_gaussians(shift, torch.diag(a), 0 * shift, torch.diag(b))) == near(
        expected, rel=1e-12
    )
    assert float(w2_gaussians(*turned)) == near(expected, rel=1e-6)


@pytest.mark.parametrize("d", [1, 5, 20])
def test_w2_of_gaussians_equals_its_definition_by_matrix_roots(d):
    (mean0, cov0), (mean1, cov1) = gaussian(d, 0), gaussian(d, 1)
    root = np.real(sqrtm(cov0.numpy() @ cov1.numpy()))
    expected = (mean0 - mean1).square().sum() + cov0.trace() + cov1.trace() - 2 * np.trace(root)
    assert float(w2_gaussians(mean0, cov0, mean1, cov1)) == near(expected, rel=1e-10)


def test_w2_of_singular_gaussians_is_that_of_the_subspace_they_share():
    (mean0, cov0), (mean1, cov1) = gaussian(3, 0), gaussian(3, 1)
    into = torch.linalg.qr(normals(40, 3))[0]
    inside = w2_gaussians(mean0, cov0, mean1, cov1)
    outside = w2_gaussians(into @ mean0, into @ cov0 @ into.T, into @ mean1, into @ cov1 @ into.T)
    assert float(outside) == near(
        inside, rel=1e-12
    )  # roots of eigenvalues that should be zero would leave 1e-8
    flat = torch.zeros(3, 3)  # a point: all the mass moves to it
    assert float(w2_gaussians(mean0, cov0, mean1, flat)) == near(
        (mean0 - mean1).square().sum() + cov0.trace()
    )


def test_w2_refuses_what_is_no_covariance():
    with pytest.raises(ValueError, match="eigenvalue -1"):
        w2_gaussians(
            torch.zeros(2), torch.eye(2), torch.zeros(2), torch.diag(torch.tensor([-1.0, 1.0]))
        )


def test_frechet_distance_is_w2_of_numpys_moments():
    expected = w2_gaussians(
        X.mean(0), torch.from_numpy(np.cov(X.T)), Y.mean(0), torch.from_numpy(np.cov(Y.T))
    )
    assert float(frechet_distance(X, Y)) == near(expected, rel=1e-12)
    turn = torch.linalg.qr(normals(3, 3))[0]
    assert float(frechet_distance(5 + 2 * X @ turn, 5 + 2 * Y @ turn)) == near(
        4 * expected, rel=1e-10
    )
    line = X[:, :1], Y[:, :1]
    by_hand = (line[0].mean() - line[1].mean()) ** 2 + (line[0].std() - line[1].std()) ** 2
    assert float(frechet_distance(*line)) == near(by_hand, rel=1e-10)


@pytest.mark.parametrize(("n", "m"), [(24, 24), (24, 60), (60, 24), (2, 5)])
def test_frechet_distance_of_few_points_is_that_of_their_covariances_and_takes_no_root_of_these(
    n, m, monkeypatch
):
    x, y = normals(n, 40), 1.5 * normals(m, 40, seed=1) + 0.2
    covariances = (torch.from_numpy(np.cov(sample.T)) for sample in (x, y))
    expected = w2_gaussians(
        *(part for pair in zip((x.mean(0), y.mean(0)), covariances) for part in pair)
    )
    assert float(frechet_distance(x, y)) == near(expected, rel=1e-8)
    root, rooted = transport._root, []
    monkeypatch.setattr(transport, "_root", lambda cov: rooted.append(len(cov)) or root(cov))
    frechet_distance(x, y)
    assert len(rooted) == (n > 40) + (m > 40)
    many = normals(n, 40 * 40)  # a covariance of which would hold 2.5 million numbers
    monkeypatch.setattr(
        transport, "_root", lambda cov: pytest.fail("there are fewer points than dimensions")
    )
    assert float(frechet_distance(many, many + 0.1)) == near(0.01 * 1600, rel=1e-8)


# Samples by their distances.

WRITTEN_OUT = {
    "rbf": lambda a, b, h: math.exp(-((a - b) ** 2).sum() / (2 * h * h)),
    "imq": lambda a, b, h: 1 / (1 + ((a - b) ** 2).sum() / (2 * h * h)),
}


@pytest.mark.parametrize("kernel", WRITTEN_OUT)
@pytest.mark.parametrize("bandwidth", [0.8, None])
def test_mmd_equals_its_definition_in_blocks_of_any_size(kernel, bandwidth, monkeypatch):
    x, y = X[:30], Y[:28]
    pooled = torch.cat([x, y]).numpy()
    h = bandwidth or np.median(
        [np.linalg.norm(a - b) for i, a in enumerate(pooled) for b in pooled[:i]]
    )
    k = np.array([[WRITTEN_OUT[kernel](a, b, h) for b in pooled] for a in pooled])
    np.fill_diagonal(k, 0)
    expected = (
        k[:30, :30].sum() / (30 * 29) + k[30:, 30:].sum() / (28 * 27) - 2 * k[:30, 30:].mean()
    )
    assert float(squared_mmd(x, y, kernel, bandwidth)) == near(expected, rel=1e-10)
    monkeypatch.setattr(blocks, "PAIRS_AT_ONCE", 100)
    assert float(squared_mmd(x, y, kernel, bandwidth)) == near(expected, rel=1e-10)


def test_the_polynomial_mmd_equals_its_definition_in_blocks_of_any_size(monkeypatch):
    x, y = X[:30], Y[:28]
    pooled = torch.cat([x, y]).numpy()
    k = (pooled @ pooled.T / 3 + 1) ** 3
    np.fill_diagonal(k, 0)
    expected = (
        k[:30, :30].sum() / (30 * 29) + k[30:, 30:].sum() / (28 * 27) - 2 * k[:30, 30:].mean()
    )
    assert float(polynomial_mmd(x, y)) == near(expected, rel=1e-10)
    monkeypatch.setattr(blocks, "PAIRS_AT_ONCE", 100)
    assert float(polynomial_mmd(x, y)) == near(expected, rel=1e-10)


@pytest.mark.parametrize("scale", [0.5, 6.0])
def test_the_mmd_of_several_scales_is_that_of_a_sum_of_kernels(scale):
    x, y = X[:30].float(), Y[:28].float()
    pooled = torch.cat([x, y]).double().numpy()
    squared = np.square(pooled[:, None] - pooled).sum(2)
    k = sum(w * scale / (w * scale + squared) for w in (0.1, 0.2, 0.5, 1, 2, 5, 10))
    np.fill_diagonal(k, 0)
    expected = (
        k[:30, :30].sum() / (30 * 29) + k[30:, 30:].sum() / (28 * 27) - 2 * k[:30, 30:].mean()
    )
    assert float(multiscale_mmd(x, y, scale)) == near(expected, abs=1e-5)
    assert float(multiscale_mmd(x[:1], y[:1], scale)) == near(-2 * k[0, 30], abs=1e-5)
    # A kernel with c = 2 h^2 is that of one bandwidth.
    each = [squared_mmd(x, y, "imq", (w * scale / 2) ** 0.5) for w in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    assert float(sum(each)) == near(expected, rel=1e-10)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (1.0, 0.5)])
def test_mmd_is_unbiased(mean, sd):
    # E exp(-(a - b)^2 / (2 h^2)) = h / sqrt(v) exp(-d^2 / (2 v)), v = h^2 + var a + var b, d the distance of the means.
    def expected(d, variances, h=0.7):
        v = h * h + variances
        return h / math.sqrt(v) * math.exp(-d * d / (2 * v))

    truth = expected(0, 2) + expected(0, 2 * sd * sd) - 2 * expected(mean, 1 + sd * sd)
    noise = normals(1000, 9, 1)
    found = torch.stack(
        [squared_mmd(draw[:4], mean + sd * draw[4:], bandwidth=0.7) for draw in noise]
    )
    assert float(found.mean()) == near(truth, abs=4 * float(found.std()) / math.sqrt(1000))
    assert found.min() < 0


def test_median_distance_of_many_points_takes_some_of_each_sample():
    x, y = normals(1600, 2), normals(1000, 2, seed=1) + 4
    every = torch.pdist(torch.cat([x, y])).median()
    assert float(median_distance(x, y)) == near(every, rel=0.05) and median_distance(
        x, y
    ) == median_distance(y, x)
    assert (
        median_distance(torch.ones(5, 2)) == 1
        and squared_mmd(torch.ones(5, 2), torch.ones(4, 2)) == 0
    )


FEW, OTHERS = normals(150, 4), 0.7 * normals(110, 4, seed=1) + 0.4


@pytest.mark.parametrize("k", [1, 3, 5])
def test_prdc_equals_the_authors_package(k, monkeypatch):
    for real, fake in ((FEW, OTHERS), (OTHERS, FEW), (FEW, OTHERS + 1.5)):
        theirs = compute_prdc(real.numpy(), fake.numpy(), nearest_k=k)
        assert prdc(real, fake, k) == pytest.approx(theirs, abs=1e-12)
        with monkeypatch.context() as patched:
            patched.setattr(blocks, "PAIRS_AT_ONCE", 1000)
            assert prdc(real, fake, k) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("k", [1, 5])
def test_the_share_within_balls_is_precision(k, monkeypatch):
    for real, fake in ((FEW, OTHERS), (OTHERS, FEW)):
        expected = prdc(real, fake, k)["precision"]
        assert share_within(real, fake, k) == expected
        with monkeypatch.context() as patched:
            patched.setattr(blocks, "PAIRS_AT_ONCE", 1000)
            assert share_within(real, fake, k) == expected
    with pytest.raises(ValueError, match="at least 4 points"):
        share_within(FEW[:3], OTHERS, 3)


def test_prdc_leaves_the_border_of_a_ball_outside():
    real, fake = torch.tensor([[0.0], [1], [3]]), torch.tensor([[2.0], [5], [4]])
    # Balls of real points end at distances 1, 1 and 2, those of fake points at 2, 1 and 1; four points lie just there.
    assert prdc(real, fake, 1) == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "density": 2 / 3, "coverage": 1 / 3}
    )


def test_prdc_of_a_sample_and_itself_is_one():
    for d in (2, 50):
        x = normals(200, d)
        assert prdc(x, x, 5) == {"precision": 1, "recall": 1, "density": 1, "coverage": 1}


def test_prdc_does_not_depend_on_order_and_scale_but_on_who_is_real():
    expected = prdc(FEW, OTHERS, 4)
    turn = torch.linalg.qr(normals(4, 4))[0]
    shuffled = FEW[torch.randperm(len(FEW), generator=generator(0))], OTHERS.flip(0)
    assert prdc(*shuffled, 4) == pytest.approx(expected)
    assert prdc(*(1 - 100 * sample @ turn for sample in (FEW, OTHERS)), 4) == pytest.approx(
        expected
    )
    swapped = prdc(OTHERS, FEW, 4)
    assert (swapped["precision"], swapped["recall"]) == (expected["recall"], expected["precision"])
    assert swapped["density"] != expected["density"]


@pytest.mark.parametrize(
    ("least", "measure"),
    [
        (1, lambda x, y: wasserstein_1d(x[:, 0], y[:, 0])),
        (2, frechet_distance),
        (2, squared_mmd),
        (2, lambda x, y: jsd_monte_carlo(lambda z: z.sum(1), lambda z: z.sum(1), x, y)),
        (5, lambda x, y: prdc(x, y, 4)),
    ],
)
def test_samples_may_be_too_small(least, measure):
    measure(X[:least], Y[:least])
    for x, y in ((X[: least - 1], Y), (X, Y[: least - 1])):
        with pytest.raises(ValueError, match=f"at least {least} points"):
            measure(x, y)
    with pytest.raises(ValueError, match="k must be at least 1"):
        prdc(X, Y, 0)

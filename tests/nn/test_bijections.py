"""Invertible maps: what undoes them, and their log-determinants against those of their Jacobians."""

import pytest
import torch
from scipy.stats import logistic

from genbench.nn.bijections import (
    AffineCoupling,
    Chain,
    Logit,
    MaskedAutoregression,
    Standardization,
)
from genbench.utils.rng import generator

SIZE = 5
KEPT = torch.tensor([True, False, True, False, True])


def filled(bijection):
    """The map with weights that are far from those at the start."""
    rng = generator(0)
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=rng))
        for name, buffer in bijection.named_buffers():
            if name.endswith("deviation"):
                buffer.copy_(1 + torch.rand(SIZE, generator=rng))
    return bijection


def coupling():
    return AffineCoupling(KEPT, [20, 15], "silu")


def autoregression(order=(3, 0, 4, 1, 2)):
    return MaskedAutoregression(order, [20, 15], "silu")


MAPS = {
    "logit": lambda: Logit(),
    "standardization": lambda: Standardization(SIZE),
    "coupling": coupling,
    "autoregression": autoregression,
    "chain": lambda: Chain(
        [Logit(), Standardization(SIZE), coupling(), autoregression(), autoregression(range(SIZE))]
    ),
}


@pytest.mark.parametrize("name", MAPS)
def test_the_inverse_undoes_a_map_whose_log_determinant_is_that_of_its_jacobian(name):
    bijection = filled(MAPS[name]())
    x = 0.02 + 0.96 * torch.rand(40, SIZE, generator=generator(1))
    with torch.no_grad():
        torch.testing.assert_close(bijection.inverse(bijection(x)[0]), x, rtol=0, atol=1e-5)
    precise = bijection.double()
    z, log_determinant = precise(x.double())
    assert z.shape == x.shape and log_determinant.shape == (40,)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda x: precise(x[None])[0][0]))(x.double())
    torch.testing.assert_close(log_determinant, torch.linalg.slogdet(jacobians).logabsdet)


def test_layers_begin_as_the_identity():
    x = torch.randn(7, SIZE, generator=generator(2))
    for made in (coupling(), autoregression()):
        z, log_determinant = made(x)
        assert torch.equal(z, x) and (log_determinant == 0).all()


def test_a_coupling_leaves_what_it_keeps():
    x = torch.randn(7, SIZE, generator=generator(2))
    z, _ = filled(coupling())(x)
    assert torch.equal(z[:, KEPT], x[:, KEPT]) and (z[:, ~KEPT] != x[:, ~KEPT]).all()


def test_the_logit_is_that_of_scipy_up_to_both_edges():
    x = torch.tensor([[0.0, 1e-7, 0.3, 1 - 2**-20, 1.0]])
    margin = 1e-6
    y = margin + (1 - 2 * margin) * x.double().numpy()
    z, log_determinant = Logit(margin)(x)
    assert z[0].tolist() == pytest.approx(logistic.ppf(y)[0].tolist(), abs=2e-5)
    slope = (1 - 2 * margin) / (y * (1 - y))
    import numpy as np

    assert float(log_determinant) == pytest.approx(float(np.log(slope).sum()), abs=1e-4)
    back = Logit(margin).inverse(torch.tensor([[-50.0, 50.0]]))
    assert back.tolist() == [[0.0, 1.0]]


def test_a_standardization_is_that_of_its_rows_and_leaves_constants_their_scale():
    x = torch.randn(300, 3, generator=generator(4)) * torch.tensor([5.0, 0.1, 0]) + 7
    made = Standardization(3)
    made.initialise(x)
    z, log_determinant = made(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(z.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]))
    assert log_determinant.shape == (300,)


def test_a_chain_is_initialised_with_what_each_map_will_see():
    x = 0.1 + 0.8 * torch.rand(200, SIZE, generator=generator(5))
    chain = Chain([Logit(), Standardization(SIZE)])
    chain.initialise(x)
    torch.testing.assert_close(chain(x)[0].std(0, correction=0), torch.ones(SIZE))

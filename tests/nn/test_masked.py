"""Masked networks: what their outputs depend on, and the same values one after the other."""

import pytest
import torch

from genbench.nn.masked import MaskedNetwork, random_order, spread_degrees
from genbench.utils.rng import generator

SIZE = 10


def network(order, hidden, outputs=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MaskedNetwork(order, hidden, outputs, "tanh").double()


@pytest.mark.parametrize("hidden", [[], [40], [40, 25], [4], [30, 5, 30]])
@pytest.mark.parametrize("order", [[*range(SIZE)], random_order(SIZE, 3)])
def test_the_jacobian_is_strictly_triangular_in_the_order(order, hidden):
    net = network(order, hidden)
    x = torch.randn(SIZE, generator=generator(1), dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda x: net(x[None])[0])(x)
    assert jacobian.shape == (2, SIZE, SIZE)
    ordered = jacobian[:, order][:, :, order]
    assert (ordered.triu() == 0).all()
    if all(width >= SIZE - 1 for width in hidden):  # there is a unit of each degree
        below = torch.ones(SIZE, SIZE).tril(-1).bool()
        assert (ordered[:, below].abs() > 1e-12).all()
    else:
        assert (ordered[:, -1, :-1].abs() > 1e-12).any(), "the last one still sees others"


def test_few_hidden_units_see_early_and_late_variables():
    assert spread_degrees(4, 785) == [1, 197, 393, 589]
    assert spread_degrees(9, 10) == [*range(1, 10)]
    assert spread_degrees(3, 1) == [1, 1, 1]


@pytest.mark.parametrize("hidden", [[], [40], [4], [30, 5, 30]])
@pytest.mark.parametrize("order", [[*range(SIZE)], random_order(SIZE, 3)])
def test_values_that_are_computed_in_order_are_those_of_the_whole_network(order, hidden):
    net = network(order, hidden)
    u = torch.randn(6, SIZE, generator=generator(2), dtype=torch.float64)
    steps = []

    def value(i, raw):
        steps.append(i)
        return raw[:, 0] + raw[:, 1] * u[:, i]

    with torch.no_grad():
        x = net.in_order(6, value)
        raw = net(x)
    torch.testing.assert_close(raw[:, 0] + raw[:, 1] * u, x)
    assert steps == order


def test_random_orders_are_permutations_that_a_seed_decides():
    assert sorted(random_order(50, 0)) == [*range(50)]
    assert random_order(50, 0) == random_order(50, 0) != random_order(50, 1)

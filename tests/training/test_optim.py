"""Learning rates and optimisers against their definitions."""

import pytest
import torch
from helpers.configs import config_of

from genbench.config.declarations import typed
from genbench.data.types import DataSpec, Split
from genbench.settings.groups import GradientSettings
from genbench.training.gradient import GradientModel
from genbench.training.optim import optimizer, rate


def test_learning_rates():
    s = GradientSettings(warmup=10, schedule="linear")
    assert [rate(c, 110, 11, s) for c in (0, 9, 10, 60, 110)] == [0.1, 1.0, 1.0, 0.5, 0.0]
    assert rate(60, 110, 11, GradientSettings(warmup=10, schedule="cosine")) == pytest.approx(0.5)
    assert rate(10**9, 10, 1, GradientSettings(warmup=0, schedule="constant")) == 1
    stages = GradientSettings(warmup=0, schedule="stages", stages=[[3, 0.1], [1, 0.5]])
    assert [rate(c, 35, 10, stages) for c in (0, 9, 10, 29, 30, 34)] == [1, 1, 0.5, 0.5, 0.1, 0.1]


@pytest.mark.parametrize("centred", [False, True])
def test_rmsprop_divides_by_the_root_of_the_second_moment_or_of_the_variance(centred):
    config = config_of("ae", "optimizer=rmsprop", f"centered={str(centred).lower()}", "lr=0.01")
    x = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    rule = optimizer([x], typed(config))
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
    rule = optimizer([x], typed(config))
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
    settings = GradientSettings(lr=0.5, steps=1, batch_size=4)
    model = Transposed(DataSpec((2,), unit=False), settings)
    data = Split(torch.zeros(4, 2), None)
    model.setup(data, seed=0, steps=1)
    model.step(next(data.batches(4)))
    moved = torch.tensor(
        [[1.0, 0.5, 0.5], [0.5, 0.5, 0.5]]
    )  # Adam's first step is lr times the sign of the gradient
    torch.testing.assert_close(model.weight.detach(), moved)
    assert model.weight.grad.stride() == model.weight.stride(), "or fused Adam refuses it on a GPU"

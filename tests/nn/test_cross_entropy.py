"""The cross-entropy against torch's own in double precision."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import grad, vmap

from genbench.nn import cross_entropy
from genbench.nn.cross_entropy import cross_entropy_with_logits


@pytest.fixture(params=[True, False], autouse=True)
def by_amd(request, monkeypatch):
    """Both ways to compute it, whatever processor this machine has."""
    monkeypatch.setattr(cross_entropy, "made_by_amd", lambda: request.param)
    return request.param


def exact(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """What torch computes, in double precision."""
    logits, x = logits.double(), x.double()
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


def derivatives(function, logits: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
    """The value, the gradient, and the diagonal of the second derivative."""
    logits = logits.clone().requires_grad_()
    value = function(logits, x)
    (first,) = torch.autograd.grad(value.sum(), logits, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), logits)
    return [value.detach().double(), first.detach().double(), second.double()]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("values", [1, 7, 8, 61, 784])
def test_value_and_derivatives_are_right_for_small_and_for_huge_logits(values, binary, by_amd):
    rng = torch.Generator().manual_seed(0)
    sizes = torch.logspace(-4, 3, 4000)
    logits = torch.cat([sizes, -sizes, torch.zeros(9)])
    logits = logits[torch.randperm(len(logits), generator=rng)]
    logits = logits[: len(logits) // values * values].view(-1, values)
    x = torch.rand(logits.shape, generator=rng)
    x = x.round() if binary else x
    ours, theirs = (
        derivatives(cross_entropy_with_logits, logits, x),
        derivatives(exact, logits.double(), x),
    )
    # torch subtracts terms of the size of the logits, however small the difference.
    sizes = torch.ones_like(logits) if by_amd else logits.abs()
    assert ((ours[0] - theirs[0]).abs() <= 5e-7 * theirs[0] + 1e-7 * sizes.sum(1)).all()
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-7)
    in_double = derivatives(cross_entropy_with_logits, logits.double(), x.double())
    for one, other in zip(in_double, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-13)


def test_the_gradient_of_dark_pixels_keeps_all_digits():
    # A share of 1e-9 that is rounded to the last digit of 1 is noise, which Adam makes as large as
    # any other step.
    logits = torch.linspace(-80, -1, 100)[:, None]
    _, gradient, _ = derivatives(cross_entropy_with_logits, logits, torch.zeros_like(logits))
    torch.testing.assert_close(gradient, logits.double().sigmoid(), rtol=5e-7, atol=0)


def test_data_have_a_gradient_too():
    logits = torch.linspace(-3, 3, 22, dtype=torch.float64).view(2, 11).requires_grad_()
    x = torch.linspace(0, 1, 22, dtype=torch.float64).view(2, 11).requires_grad_()
    assert torch.autograd.gradcheck(cross_entropy_with_logits, (logits, x))
    assert torch.autograd.gradgradcheck(cross_entropy_with_logits, (logits, x))


def test_it_can_be_batched_and_differentiated_by_torch_func():
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 5, 20, generator=rng)
    codes, x = torch.randn(6, 5, generator=rng), torch.rand(6, 1, 4, 5, generator=rng)

    def loss(weight: torch.Tensor) -> torch.Tensor:
        return cross_entropy_with_logits((codes @ weight).unflatten(1, (1, 4, 5)), x).mean()

    def steepness(weight: torch.Tensor) -> torch.Tensor:
        return grad(loss)(weight).square().sum()

    for function in (loss, grad(loss), grad(steepness)):
        one_by_one = torch.stack([function(weight) for weight in weights])
        torch.testing.assert_close(vmap(function)(weights), one_by_one)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_does_not_multiply_sigmoids(dtype):
    logits = torch.linspace(-4, 4, 64, dtype=dtype)[None]
    x = torch.full_like(logits, 0.25)
    theirs = exact(logits, x).to(dtype)
    torch.testing.assert_close(cross_entropy_with_logits(logits, x), theirs)

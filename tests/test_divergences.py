"""Divergences against closed forms."""

import pytest
import torch

from genbench.divergences import sliced_wasserstein
from genbench.seeds import generator


def test_sliced_wasserstein_of_gaussians_equals_its_closed_form():
    # Along a unit direction t, W2^2(N(m, s^2 I), N(0, I)) = (t.m)^2 + (s - 1)^2, whose mean over t is |m|^2/d + (s-1)^2.
    d, m, s = 3, torch.tensor([1.0, -2.0, 0.5]), 1.5
    a, b, t = (torch.randn(n, d, generator=generator(i)) for i, n in enumerate((5000, 5000, 200)))
    found = sliced_wasserstein(m + s * a, b, t / t.norm(dim=1, keepdim=True))
    assert float(found) == pytest.approx(float(m.square().sum()) / d + (s - 1) ** 2, rel=0.1)
    assert float(sliced_wasserstein(a, a[torch.randperm(len(a))], t)) == 0

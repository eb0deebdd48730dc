"""Products of matrices against NumPy's in double precision."""

import numpy as np
import pytest
import torch

from genbench.stats import products
from genbench.utils.rng import generator


def test_parts_in_the_cache_are_all_rows_in_order():
    x = torch.arange(5000.0)[:, None]
    parts = products.in_cache(x, 784)
    assert torch.equal(torch.cat(parts), x)
    assert max(map(len, parts)) * 784 <= products.IN_CACHE < (len(parts[0]) + 16) * 784
    assert len(products.in_cache(x[:3], 10**9)) == 3  # one row at least


@pytest.mark.parametrize("n", [1, 15, 16, 333])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_by_convolution_are_products(n, dtype, monkeypatch):
    monkeypatch.setattr(products, "WORTHWHILE", 1)
    monkeypatch.setattr(products, "made_by_amd", lambda: True)  # wherever the tests run
    x = torch.randn(n, 70, generator=generator(0)).to(dtype)
    y = torch.randn(130, 70, generator=generator(1)).to(dtype)
    error = 1e-13 if dtype == torch.float64 else 3e-5
    exact = x.double().numpy() @ y.double().numpy().T
    for rows in (x, x.T.contiguous().T):  # however they lie in memory
        found = products.product(rows, y)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, exact, atol=error)


@pytest.mark.parametrize("values", [1, 5, 112, 300])  # one block, and three
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_squares_are_symmetric_and_those_of_all_rows(values, dtype):
    x = torch.randn(200, values, generator=generator(0)).to(dtype)
    found, exact = products.squares(x), x.double().T @ x.double()
    assert torch.equal(found, found.T)
    error = 1e-14 if dtype == torch.float64 else 3e-6
    np.testing.assert_allclose(found, exact, rtol=0, atol=error * float(exact.max()))

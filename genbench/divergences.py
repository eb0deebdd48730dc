"""Divergences between distributions and between samples of them."""

import torch


def sliced_wasserstein(x: torch.Tensor, y: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Squared sliced 2-Wasserstein distance between two samples [n, d] of equal size, a scalar.

    The mean over unit `directions` [L, d] of the mean squared gap between sorted projections (Kolouri et al. 2018,
    equation 9, without a root per direction).
    """
    return ((x @ directions.T).sort(0).values - (y @ directions.T).sort(0).values).square().mean()

"""What a perfect network would return, where the density of the data is known."""

import torch

from genbench.diffusion.paths import Point
from genbench.diffusion.predictions import Denoised


def mixture_denoised(
    x_t: torch.Tensor,
    at: Point,
    means: torch.Tensor,
    scales: torch.Tensor,
    weights: torch.Tensor,
) -> Denoised:
    """E[x | x_t] and E[eps | x_t] [n, D] of a mixture of round Gaussians with means [K, D],
    standard deviations [K] and weights [K].

    x_t is a draw from sum_k w_k N(alpha mu_k, (alpha^2 s_k^2 + sigma^2) I). With data as means and
    scales of zero, E[x | x_t] is the average of the data that a network would learn by heart.
    """
    variances = at.alpha**2 * scales**2 + at.sigma**2  # [n or 1, K]
    centred = x_t.square().sum(1, keepdim=True) - 2 * at.alpha * x_t @ means.T
    squares = centred + at.alpha**2 * means.square().sum(1)
    d = means.shape[1]
    shares = (weights.log() - squares / (2 * variances) - d / 2 * variances.log()).softmax(1)
    kept = at.alpha * scales**2 / variances  # how far each component's mean moves towards x_t
    x = (shares * (1 - kept * at.alpha)) @ means + (shares * kept).sum(1, keepdim=True) * x_t
    return Denoised(x, (x_t - at.alpha * x) / at.sigma)

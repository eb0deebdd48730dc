"""What a network predicts about x_t = alpha x + sigma eps, and how x and eps follow from it.

All predictions say the same: an estimate of E[x | x_t]. They differ in how errors of the network
are weighted over time, so losses of two predictions cannot be compared; `denoising`, the squared
error of x, can.
"""

from typing import NamedTuple, Protocol

import torch

from genbench.diffusion.paths import Point


class Denoised(NamedTuple):
    """Estimates of E[x | x_t] and E[eps | x_t], both [n, *shape]."""

    x: torch.Tensor
    eps: torch.Tensor


class Prediction(Protocol):
    """A linear combination of x and eps that a network predicts."""

    def target(self, x: torch.Tensor, eps: torch.Tensor, at: Point) -> torch.Tensor:
        """What the network should return, on average: [n, *shape]."""

    def denoised(self, output: torch.Tensor, x_t: torch.Tensor, at: Point) -> Denoised:
        """What the network's output [n, *shape] says about x and eps."""

    def gain(self, at: Point) -> torch.Tensor:
        """By how much an error of the output is multiplied in x."""


class Eps:
    """The noise (Ho et al. 2020, arXiv:2006.11239)."""

    def target(self, x: torch.Tensor, eps: torch.Tensor, at: Point) -> torch.Tensor:
        return eps

    def denoised(self, output: torch.Tensor, x_t: torch.Tensor, at: Point) -> Denoised:
        return Denoised((x_t - at.sigma * output) / at.alpha, output)

    def gain(self, at: Point) -> torch.Tensor:
        return at.sigma / at.alpha


class X0:
    """The data."""

    def target(self, x: torch.Tensor, eps: torch.Tensor, at: Point) -> torch.Tensor:
        return x

    def denoised(self, output: torch.Tensor, x_t: torch.Tensor, at: Point) -> Denoised:
        return Denoised(output, (x_t - at.alpha * output) / at.sigma)

    def gain(self, at: Point) -> torch.Tensor:
        return torch.ones_like(at.sigma)


class V:
    """v = (alpha eps - sigma x) / sqrt(alpha^2 + sigma^2), of variance one at all times.

    Where alpha^2 + sigma^2 = 1 it is the v of Salimans & Ho 2022, arXiv:2202.00512. Where alpha = 1
    it is, but for its sign, the output of the preconditioned network of Karras et al. 2022,
    arXiv:2206.00364, for data of variance one; its squared error is their weighted loss.
    """

    def target(self, x: torch.Tensor, eps: torch.Tensor, at: Point) -> torch.Tensor:
        return (at.alpha * eps - at.sigma * x) / at.scale

    def denoised(self, output: torch.Tensor, x_t: torch.Tensor, at: Point) -> Denoised:
        whitened = x_t / at.scale
        x = (at.alpha * whitened - at.sigma * output) / at.scale
        return Denoised(x, (at.sigma * whitened + at.alpha * output) / at.scale)

    def gain(self, at: Point) -> torch.Tensor:
        return at.sigma / at.scale


class Velocity:
    """alpha' x + sigma' eps, the direction in which x_t moves (Lipman et al. 2023,
    arXiv:2210.02747).
    """

    def target(self, x: torch.Tensor, eps: torch.Tensor, at: Point) -> torch.Tensor:
        return at.alpha_slope * x + at.sigma_slope * eps

    def denoised(self, output: torch.Tensor, x_t: torch.Tensor, at: Point) -> Denoised:
        turn = at.alpha * at.sigma_slope - at.sigma * at.alpha_slope
        x = (at.sigma_slope * x_t - at.sigma * output) / turn
        return Denoised(x, (at.alpha * output - at.alpha_slope * x_t) / turn)

    def gain(self, at: Point) -> torch.Tensor:
        return at.sigma / (at.alpha * at.sigma_slope - at.sigma * at.alpha_slope)


PREDICTIONS: dict[str, Prediction] = {"eps": Eps(), "x0": X0(), "v": V(), "velocity": Velocity()}


def simple(at: Point, gain: torch.Tensor) -> torch.Tensor:
    """One: the squared error of the prediction itself."""
    return torch.ones_like(gain)


def min_snr(at: Point, gain: torch.Tensor) -> torch.Tensor:
    """min(snr, 5) for the squared error of x (Hang et al. 2023, arXiv:2303.09556)."""
    return at.snr.clamp(max=5) * gain**2


# By name: the weight of the squared error of a prediction with this gain.
WEIGHTINGS = {"simple": simple, "min-snr": min_snr}

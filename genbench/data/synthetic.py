"""Data drawn from known densities in one or two dimensions, so that the truth is known."""

import math

import torch

from genbench.data.splits import count
from genbench.data.types import RawDataset
from genbench.settings.datasets import GaussiansSettings, MoonsSettings, SyntheticSettings
from genbench.utils.rng import generator


class MixtureDensity:
    """A mixture of round Gaussians.

    means    [K, D]
    scales   standard deviations [K], or a scalar for all
    weights  [K], which sum to one; equal by default
    """

    modes: torch.Tensor | None  # what mode coverage counts

    def __init__(
        self, means: torch.Tensor, scales: torch.Tensor, weights: torch.Tensor | None = None
    ) -> None:
        self.means, self.scales = means.double(), scales.double().expand(len(means))
        if weights is None:
            weights = torch.full((len(means),), 1 / len(means))
        self.weights = weights.double()
        self.modes = self.means

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """log p(x) [n] of points [n, D], in nats."""
        squared = torch.cdist(x.double(), self.means) ** 2
        norm = self.means.shape[1] * (self.scales.log() + 0.5 * math.log(2 * math.pi))
        return (self.weights.log() - norm - squared / (2 * self.scales**2)).logsumexp(1)

    def sample(self, n: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """n points [n, D] with the component of each [n]."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=rng)
        noise = torch.randn(n, self.means.shape[1], generator=rng, dtype=torch.float64)
        return self.means[k] + self.scales[k, None] * noise, k


class Moons(MixtureDensity):
    """Points spread evenly over two half-circles, blurred by Gaussian noise.

    The density integrates the noise along the arcs by 200 midpoints an arc. It is exact to far
    below 0.01 nats if the noise is wider than the spacing of 0.016. All is multiplied by `scale`,
    and then moved by `shift` along both axes.
    """

    def __init__(self, noise: float, scale: float = 1.0, shift: float = 0.0) -> None:
        upper = self._arc((torch.arange(200, dtype=torch.float64) + 0.5) / 200)
        means = torch.cat([upper, self._lower(upper)])
        super().__init__(scale * means + shift, torch.tensor(scale * noise))
        self.modes = None  # arcs have none
        self.scale, self.shift = scale, shift

    @staticmethod
    def _arc(t: torch.Tensor) -> torch.Tensor:
        return torch.stack([(math.pi * t).cos(), (math.pi * t).sin()], 1)

    @staticmethod
    def _lower(upper: torch.Tensor) -> torch.Tensor:
        return torch.tensor([1.0, 0.5]).double() - upper

    def sample(self, n: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """n points [n, 2] with the half-circle of each [n]."""
        arc = self._arc(torch.rand(n, generator=rng, dtype=torch.float64))
        moon = torch.randint(2, (n,), generator=rng)
        arc = torch.where(moon[:, None] == 1, self._lower(arc), arc)
        noise = torch.randn(n, 2, generator=rng, dtype=torch.float64)
        return self.scale * arc + self.shift + self.scales[0] * noise, moon


def ring(s: SyntheticSettings) -> RawDataset:
    """Eight Gaussians of standard deviation .01 on the unit circle."""
    angle = torch.arange(8) * (2 * math.pi / 8)
    return _draw(MixtureDensity(torch.stack([angle.cos(), angle.sin()], 1), torch.tensor(0.01)), s)


def grid(s: SyntheticSettings) -> RawDataset:
    """Twenty-five Gaussians of standard deviation .05 on {-4, -2, 0, 2, 4}^2."""
    side = torch.arange(-4.0, 5.0, 2.0)
    return _draw(MixtureDensity(torch.cartesian_prod(side, side), torch.tensor(0.05)), s)


def moons(s: MoonsSettings) -> RawDataset:
    """Two interleaved half-circles of radius one, blurred by `noise`."""
    return _draw(Moons(s.noise, s.scale, s.shift), s)


def gaussians(s: GaussiansSettings) -> RawDataset:
    """A mixture with the given `means`, `scales` and `weights`."""
    weights = torch.tensor(s.weights, dtype=torch.float64)
    return _draw(
        MixtureDensity(torch.tensor(s.means), torch.tensor(s.scales), weights / weights.sum()), s
    )


def _draw(density: MixtureDensity, s: SyntheticSettings) -> RawDataset:
    x, y = density.sample(s.size, generator(s.seed, "density", "train"))
    test_size = count(s.test_size, s.size)
    test_x, test_y = density.sample(test_size, generator(s.seed, "density", "test"))
    return RawDataset(x.float(), y, test_x.float(), test_y, unit=False, density=density)

"""Sliced-Wasserstein autoencoder (Kolouri et al. 2018, arXiv:1804.01947)."""

import torch

from ..divergences import sliced_wasserstein
from .ae import Autoencoder


class SWAE(Autoencoder):
    """Minimises reconstruction + lambda SW2^2(f(x), prior), the squared sliced 2-Wasserstein distance.

    Both terms are sums over dimensions: the reconstruction over the values of a point; the distance is the mean over
    random directions of the mean squared gap between sorted projections, with no root per direction.
    """

    numbers = ("lambda",)
    usual_latent_dim = 8  # in 16, fewer draws from the prior decode to legible digits (MNIST)

    def draw(self, player, n, rng):
        directions = torch.randn(self.s.projections, self.s.latent_dim, generator=rng, device=rng.device)
        return {"directions": directions / directions.norm(dim=1, keepdim=True), "prior": self.prior(n, rng)}

    def prior(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n codes [n, latent_dim] from the prior.

        `normal` is N(0, I), `uniform` the cube [-1, 1]^d, `ring` the points at distance 0.8 to 1 from the origin, spread
        evenly over directions and distances.
        """
        shape = (n, self.s.latent_dim)
        if self.s.prior == "uniform":
            return 2 * torch.rand(shape, generator=rng, device=rng.device) - 1
        z = torch.randn(shape, generator=rng, device=rng.device)
        if self.s.prior == "normal":
            return z
        radius = 0.8 + 0.2 * torch.rand((n, 1), generator=rng, device=rng.device)
        return radius * z / z.norm(dim=1, keepdim=True)

    def loss(self, batch, noise, hp):
        z = self.encode(batch.x)
        reconstruction = self.reconstruction(batch.x, z)
        distance = sliced_wasserstein(z, noise["prior"], noise["directions"])
        return reconstruction + hp["lambda"] * distance, {"reconstruction": reconstruction, "sliced_wasserstein": distance}

    def sample(self, n, rng):
        """n decoded draws [n, *shape] from the prior."""
        return self.decode(self.prior(n, rng))

"""Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114); beta-VAE (Higgins et al. 2017)."""

import torch

from .. import nets
from ..losses import gaussian_kl, likelihood
from ..model import GradientModel


class VAE(GradientModel):
    """Minimises E_q[-log p(x|z)] + beta KL(q(z|x) || N(0, I)), with z = mu + sigma eps."""

    numbers = ("beta",)

    def __init__(self, space, s):
        super().__init__(space, s)
        self.encoder = nets.encoder(space.shape, 2 * s.latent_dim, s)
        self.decoder = nets.decoder(s.latent_dim, space.shape, s)
        self.likelihood = likelihood(space, s)

    def draw(self, player, n, rng):
        return {"eps": self.prior(n, rng)}

    def loss(self, batch, noise, hp):
        mu, logvar = self.encoder(batch.x).chunk(2, -1)
        z = mu + noise["eps"] * (logvar / 2).exp()
        nll = self.likelihood.nll(self.decoder(z), batch.x).mean()
        kl = gaussian_kl(mu, logvar).mean()
        return nll + hp["beta"] * kl, {"nll": nll, "kl": kl, "negative_elbo": nll + kl}

    def encode(self, x):
        """The mean of q(z|x): [n, *shape] -> [n, latent_dim]."""
        return self.encoder(x).chunk(2, -1)[0]

    def decode(self, z):
        """The mean of p(x|z): [n, latent_dim] -> [n, *shape]."""
        return self.likelihood.mean(self.decoder(z))

    def prior(self, n, rng):
        """n codes [n, latent_dim] from N(0, I)."""
        return torch.randn(n, self.s.latent_dim, generator=rng, device=rng.device)

    def sample(self, n, rng):
        """n draws [n, *shape]: z from the prior, then x from p(x|z) (its mean, unless it is Gaussian)."""
        return self.likelihood.sample(self.decoder(self.prior(n, rng)), rng)

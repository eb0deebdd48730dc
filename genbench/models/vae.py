"""Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114), beta-VAE (Higgins et al. 2017)
and importance-weighted autoencoder (Burda et al. 2016, arXiv:1509.00519).
"""

import math

import torch

from genbench.data.types import Batch, DataSpec
from genbench.model import available_if
from genbench.models.latent_model import LatentModel
from genbench.nn import networks
from genbench.nn.likelihoods import gaussian_kl, likelihood
from genbench.settings.autoencoders import VAESettings
from genbench.stats.products import in_cache
from genbench.training import shares
from genbench.training.gradient import GradientModel, LossAndTerms, LossNoise, LossWeights
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

IMPORTANCE_DRAWS = 100  # how many draws of z `log_prob` uses for each point


class VAE(LatentModel, GradientModel):
    """Minimises E_q[-log p(x|z)] + beta KL(q(z|x) || N(0, I)), with z = mu + sigma eps.

    With `objective=iwae` it minimises -E log 1/k sum_i p(x, z_i) / q(z_i|x) instead, where k is
    `draws`.
    """

    settings: VAESettings
    splits_batches = True

    loss_weights: tuple[str, ...] = ("beta",)
    log_prob_kind = f"lower bound, {IMPORTANCE_DRAWS} importance samples"

    def __init__(self, spec: DataSpec, settings: VAESettings) -> None:
        super().__init__(spec, settings)
        if settings.objective == "iwae" and settings.annealing != "none":
            raise UserError(
                "annealing",
                "has no effect with objective=iwae, which has no weight",
                settings.annealing,
                "annealing=none",
            )
        self.encoder = networks.encoder(spec.shape, 2 * settings.latent_dim, settings)
        self.decoder = networks.decoder(settings.latent_dim, spec.shape, settings)
        self.likelihood = likelihood(spec, settings)
        self.is_discrete, self.bounded = self.likelihood.is_discrete, self.likelihood.bounded

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        shape = (self.settings.draws, n, self.settings.latent_dim)
        return {"eps": torch.randn(shape, generator=rng, device=rng.device)}

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        mu, logvar = self.posterior(batch.x)
        z = mu + noise["eps"] * (logvar / 2).exp()  # [k, n, d]
        nll, kl = self.nll(batch.x, z), self.kl(mu, logvar, noise["eps"], z).mean()
        mean_nll = nll.mean()
        terms = {"nll": mean_nll, "kl": kl, "negative_elbo": mean_nll + kl}
        if self.settings.objective == "elbo":
            return mean_nll + weights["beta"] * kl, terms
        bound = importance_weighted_bound(self.log_ratio(noise["eps"], logvar, z), nll).mean()
        return -bound, terms | {"negative_iwae": -bound}

    # The prior p(z) is in two methods and in `prior`, which draws from it: a subclass with another
    # one overrides these three.

    def kl(
        self, mu: torch.Tensor, logvar: torch.Tensor, eps: torch.Tensor, z: torch.Tensor
    ) -> torch.Tensor:
        """KL(q(z|x) || p(z)) [n], exact or estimated from draws z = mu + sigma eps [k, n, d]."""
        return gaussian_kl(mu, logvar)

    def log_ratio(self, eps: torch.Tensor, logvar: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """log p(z) - log q(z|x) [k, n] of draws z = mu + sigma eps [k, n, d] from q(z|x)."""
        return 0.5 * (eps**2 + logvar - z**2).sum(-1)

    def nll(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """-log p(x|z) [k, n] of points x [n, *shape] for codes z [k, n, latent_dim]."""
        raw = self.raw(z.flatten(0, 1))
        repeated = x.expand(len(z), *x.shape).flatten(0, 1)  # no copy where there is one draw
        return self.likelihood.nll(raw, repeated).unflatten(0, z.shape[:2])

    def posterior(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean and log variance of q(z|x), both [n, latent_dim], for points x [n, *shape]."""
        return self.encoder(x).chunk(2, -1)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The mean of q(z|x): [n, *shape] -> [n, latent_dim]."""
        return self.posterior(x)[0]

    def raw(self, z: torch.Tensor) -> torch.Tensor:
        """The parameters of p(x|z): [n, latent_dim] -> [n, *shape]."""
        return self.decoder(z)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The mean of p(x|z): [n, latent_dim] -> [n, *shape]."""
        return self.likelihood.mean(self.raw(z))

    @property
    def adds_noise(self) -> bool:
        """Whether `sample_from_latent` adds the noise of a likelihood."""
        return self.likelihood.adds_noise

    def sample_from_latent(self, z: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return self.likelihood.sample(self.raw(z), rng)

    def has_likelihood(self) -> bool:
        """Whether p(x|z) is a probability or a density of the data, so that log p(x) exists."""
        return self.likelihood.describes(self.spec)

    @available_if(has_likelihood)
    def log_prob(
        self, x: torch.Tensor, k: int = IMPORTANCE_DRAWS, shared_draws: bool = False
    ) -> torch.Tensor:
        """The importance-weighted lower bound on log p(x) [n] of data [n, *shape], in nats, with k
        draws of z.

        It grows with k (Burda et al. 2016, theorem 1). The draws are the same at every call. With
        `shared_draws` they are the same for all points too, so that the bound of a point does not
        depend on the others.
        """
        mu, logvar = self.posterior(x)
        rng = generator(self.settings.seed, "log_prob", device=x.device)
        # On the CPU, because Apple's GPUs have no double precision.
        total = torch.full((len(x),), -math.inf, dtype=torch.float64)
        for start in range(0, k, 10):  # few at a time, because their codes are kept
            signals.check()
            points = 1 if shared_draws else shares.batch_size(len(x))
            shape = (min(10, k - start), points, mu.shape[1])
            eps = torch.randn(shape, generator=rng, device=rng.device)
            if not shared_draws:
                eps = shares.own_noise({"eps": eps}, lambda name: 1)["eps"]
            z = mu + eps * (logvar / 2).exp()
            nll = torch.cat([self.nll(x, part) for part in in_cache(z, x.numel())])
            bound = importance_weighted_bound(self.log_ratio(eps, logvar, z), nll)
            total = torch.logaddexp(total, bound.cpu().double() + math.log(len(eps)))
        return (total - math.log(k)).to(mu)


def importance_weighted_bound(log_ratio: torch.Tensor, nll: torch.Tensor) -> torch.Tensor:
    """log 1/k sum_i p(x, z_i) / q(z_i|x) [n] of k draws z_i from q(z|x).

    log_ratio, nll  log p(z) - log q(z|x), and -log p(x|z), both [k, n]
    """
    return (log_ratio - nll).logsumexp(0) - math.log(len(nll))

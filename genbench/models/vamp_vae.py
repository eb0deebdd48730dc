"""VAE with a variational mixture of posteriors as its prior (Tomczak & Welling 2018,
arXiv:1705.07120).
"""

import math
from typing import Any

import torch
from torch import nn

from genbench.data.types import DataSpec, Split
from genbench.models.vae import VAE
from genbench.settings.autoencoders import VampVAESettings
from genbench.settings.fields import is_auto
from genbench.settings.run import RunSettings
from genbench.stats.products import in_cache
from genbench.utils.rng import generator
from genbench.visualizations import MixtureComponents, Visualization

PSEUDO_INPUTS = 100  # with pseudo_inputs=auto, unless there are fewer training points


class VampVAE(VAE):
    """A VAE with the prior p(z) = 1/K sum_k q(z|u_k), where the pseudo-inputs u_k are learnt
    (equation 9 of the paper).

    No closed form is known for the KL term, so it is estimated by log q(z|x) - log p(z) at the
    draws of z. Pseudo-inputs start at training points, and stay in [0, 1] if the data do.
    """

    settings: VampVAESettings
    splits_batches = True

    @classmethod
    def automatic(cls, settings: RunSettings, points: int, size: int) -> dict[str, Any]:
        found = super().automatic(settings, points, size)
        assert isinstance(settings, VampVAESettings)
        if is_auto(settings.pseudo_inputs):
            found["pseudo_inputs"] = min(PSEUDO_INPUTS, points)
        return found

    def __init__(self, spec: DataSpec, settings: VampVAESettings) -> None:
        super().__init__(spec, settings)
        self.pseudo_inputs = nn.Parameter(torch.zeros(settings.pseudo_inputs, *spec.shape))

    @torch.no_grad()
    def initialise(self, train: Split, *, seed: int) -> None:
        super().initialise(train, seed=seed)
        order = torch.randperm(len(train), generator=generator(seed, "pseudo-inputs"))
        chosen = order[torch.arange(len(self.pseudo_inputs)) % len(train)]
        self.pseudo_inputs.copy_(train.values(chosen.to(train.device)))

    @torch.no_grad()
    def after_step(self, objective: str) -> None:
        super().after_step(objective)
        if self.spec.unit:
            self.pseudo_inputs.copy_(self.pseudo_inputs.clamp(0, 1))  # clamp_ cannot be batched

    def kl(
        self, mu: torch.Tensor, logvar: torch.Tensor, eps: torch.Tensor, z: torch.Tensor
    ) -> torch.Tensor:
        return -self.log_ratio(eps, logvar, z).mean(0)

    def log_ratio(self, eps: torch.Tensor, logvar: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        log_q = -0.5 * (eps**2 + logvar + math.log(2 * math.pi)).sum(-1)
        return self.log_prior(z) - log_q

    def log_prior(self, z: torch.Tensor) -> torch.Tensor:
        """log p(z) [...] of codes z [..., latent_dim], in nats."""
        mu, logvar = self.posterior(self.pseudo_inputs)  # [K, d]
        constant = 0.5 * (logvar + math.log(2 * math.pi)).sum(1) + math.log(len(mu))

        def of(z: torch.Tensor) -> torch.Tensor:
            distance = ((z[:, None] - mu).square() * (-logvar).exp()).sum(2)  # [n, K]
            return (-0.5 * distance - constant).logsumexp(1)

        parts = in_cache(z.flatten(0, -2), mu.numel())
        return torch.cat([of(part) for part in parts]).unflatten(0, z.shape[:-1])

    def prior(self, n: int, rng: torch.Generator) -> torch.Tensor:
        mu, logvar = self.posterior(self.pseudo_inputs)
        k = torch.randint(len(mu), (n,), generator=rng, device=rng.device)
        eps = torch.randn((n, self.latent_dim), generator=rng, device=rng.device)
        return mu[k] + eps * (logvar[k] / 2).exp()

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        points = self.pseudo_inputs.detach()
        equal = points.new_full((len(points),), 1 / len(points))
        note = "the points whose posteriors are mixed to the prior"
        shown = MixtureComponents(note, points, equal, label="pseudo-input")
        return {"pseudo_inputs": shown} | super().visualizations(x, rng)

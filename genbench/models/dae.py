"""Denoising autoencoder (Vincent et al. 2010, JMLR 11:3371).

It can draw samples along its score (Alain & Bengio 2014) or by corrupting and reconstructing in
turn (Bengio et al. 2013).
"""

import math
from collections.abc import Callable

import torch

from genbench.data.preprocessing import summed
from genbench.data.types import Batch, DataSpec, Split
from genbench.model import available_if
from genbench.models.ae import Autoencoder
from genbench.settings.autoencoders import DAESettings
from genbench.training.gradient import LossAndTerms, LossNoise, LossWeights
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.visualizations import Rows, Visualization


def salt_and_pepper(x: torch.Tensor, u: torch.Tensor, level: float) -> torch.Tensor:
    """Set a share `level` of the values to 0 or 1, each half of the time."""
    return torch.where(u < level / 2, 0.0, torch.where(u < level, 1.0, x))


# By name: how to draw the noise, and how to apply it.
CORRUPTIONS: dict[str, tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]] = {
    "gaussian": (torch.randn, lambda x, eps, level: x + level * eps),
    "masking": (torch.rand, lambda x, u, level: torch.where(u < level, 0.0, x)),
    "salt-and-pepper": (torch.rand, salt_and_pepper),
}
CHAINS = ("langevin", "walkback")


class DAE(Autoencoder):
    """Reconstructs x from a corrupted copy of it. Encoding and decoding work on clean data.

    With `walkbacks`, each reconstruction is corrupted and reconstructed again so many times, always
    towards x, so that the chain that draws samples learns to return to the data (Bengio et al.
    2013, arXiv:1305.6663, algorithm 1).
    """

    settings: DAESettings
    splits_batches = True

    mean: torch.Tensor  # [*shape]
    spread: torch.Tensor  # [*shape]

    def __init__(self, spec: DataSpec, settings: DAESettings) -> None:
        super().__init__(spec, settings)
        if settings.corruption == "salt-and-pepper" and not spec.unit:
            raise UserError(
                "corruption",
                "needs data in [0, 1], such as images",
                settings.corruption,
                "corruption=gaussian",
            )
        if settings.sampler == "langevin" and not self.has_score():
            needed = "reconstruction=mse, corruption=gaussian and walkbacks=0"
            what = f"needs the score, which only {needed} estimate"
            raise UserError("sampler", what, settings.sampler, "sampler=walkback")
        self.distribution, self.corruption = CORRUPTIONS[settings.corruption]
        for name in ("mean", "spread"):  # of the training data, where chains start
            self.register_buffer(name, torch.zeros(spec.shape))

    def initialise(self, train: Split, *, seed: int) -> None:
        found = summed(train, torch.float32)
        self.mean.copy_(found.mean)
        self.spread.copy_(found.deviation)

    def corrupt(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """A corrupted copy of x [n, *shape], with noise of the same shape."""
        return self.corruption(x, noise, self.settings.level)

    def noise(self, x: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """The noise that `corrupt` needs for points x [n, *shape]."""
        return self.distribution(x.shape, generator=rng, device=rng.device)

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        shape = (n, 1 + self.settings.walkbacks, *self.spec.shape)
        return {"corruption": self.distribution(shape, generator=rng, device=rng.device)}

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        x, losses = batch.x, []
        for corruption in noise["corruption"].unbind(1):
            z = self.encode(self.corrupt(x, corruption))
            losses.append(self.reconstruction(batch.x, z))
            x = self.decode(z).detach()
        return torch.stack(losses).mean(), {}

    def has_score(self) -> bool:
        """Whether (g(f(x)) - x) / level^2 estimates a score, as it does only for Gaussian noise and
        squared error.
        """
        return (
            self.settings.corruption == "gaussian"
            and self.settings.reconstruction == "mse"
            and not self.settings.walkbacks
            and self.settings.level > 0
        )

    @available_if(has_score)
    def score(self, x: torch.Tensor) -> torch.Tensor:
        """An estimate of grad log p(x) [n, *shape] at points x [n, *shape], where p is the density
        of the corrupted data.

        It tends to that of the data as `level` tends to zero (Alain & Bengio 2014, arXiv:1211.4246,
        theorem 1).
        """
        return (self.decode(self.encode(x)) - x) / self.settings.level**2

    def draws(self) -> bool:
        """Whether the model can draw samples yet."""
        return self.settings.sampler in CHAINS or self.draws_codes()

    @available_if(draws)
    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n draws [n, *shape]: decoded codes, or the ends of chains.

        A chain starts from Gaussian noise with the mean and spread of the data. `langevin` follows
        the score, x <- x + e score(x) + sqrt(2 e) noise with e = langevin_rate level^2; `walkback`
        corrupts and reconstructs in turn. With `denoise`, the last reconstructions are returned.
        """
        if self.settings.sampler not in CHAINS:
            return super().sample(n, rng)
        x = self.mean + self.spread * torch.randn(
            (n, *self.spec.shape), generator=rng, device=rng.device
        )
        for _ in range(self.settings.chain_steps):
            signals.check()
            if self.settings.sampler == "langevin":
                e = self.settings.langevin_rate * self.settings.level**2
                step = torch.randn(x.shape, generator=rng, device=rng.device)
                x = x + e * self.score(x) + math.sqrt(2 * e) * step
            else:
                x = self.corrupt(self.decode(self.encode(x)), self.noise(x, rng))
        return self.decode(self.encode(x)) if self.settings.denoise else x

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        corrupted = self.corrupt(x, self.noise(x, rng))
        rows = {
            "clean": x,
            "corrupted": corrupted,
            "reconstructed": self.decode(self.encode(corrupted)),
        }
        kind, level = self.settings.corruption, self.settings.level
        note = f"held-out points under {kind} corruption of level {level:g}"
        return {"denoising": Rows(note, rows)}

"""Wasserstein GAN: weight clipping (Arjovsky et al. 2017, arXiv:1701.07875), gradient penalty
(Gulrajani et al. 2017).
"""

import torch

from genbench.data.types import Batch
from genbench.model import Logs
from genbench.models.gan import Adversarial
from genbench.settings.adversarial import WGANSettings
from genbench.training.gradient import LossAndTerms, LossNoise, LossWeights


class WGAN(Adversarial):
    """min_G max_f E f(x) - E f(G(z)) over critics f that are 1-Lipschitz.

    The constraint is a penalty lambda E (||grad f|| - 1)^2 at points between data and samples
    (arXiv:1704.00028), or weights clipped to [-clip, clip].
    """

    settings: WGANSettings
    splits_batches = True

    loss_weights = ("lambda",)
    adversary = "critic"
    critic: torch.nn.Module
    default_batch_size = 256

    @property
    def adversary_lr(self) -> float | None:
        return self.settings.critic_lr

    @property
    def adversary_steps(self) -> int:
        return self.settings.n_critic

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        between = torch.rand((n, *[1] * len(self.spec.shape)), generator=rng, device=rng.device)
        return {**super().draw_noise(objective, n, rng), "between": between}

    def critic_loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        gap, samples = self.gap(batch.x, noise["z"])
        if self.settings.constraint == "clipping":
            return -gap, {"gap": gap}
        penalty = (self.steepness(batch.x, samples, noise["between"]) - 1).square().mean()
        return -gap + weights["lambda"] * penalty, {"gap": gap, "penalty": penalty}

    def gap(self, x: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """E f(x) - E f(G(z)) over data x [n, *shape] and codes z [n, latent_dim], and the samples
        G(z).
        """
        samples = self.samples(z)
        on_data, on_samples = self.score_real_and_fake(x, samples)
        return on_data.mean() - on_samples.mean(), samples

    def steepness(
        self, x: torch.Tensor, samples: torch.Tensor, between: torch.Tensor
    ) -> torch.Tensor:
        """||grad f|| [n] at the shares `between` [n, 1, ...] of the way from data to samples."""
        return self.slopes(x + between * (samples - x)).norm(dim=1)

    def generator_loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        return -self.critic(self.generator(noise["z"])).mean(), {}

    @torch.no_grad()
    def held_out(self, batch: Batch, rng: torch.Generator) -> Logs:
        """`wasserstein`: the gap over the mean gradient norm, which estimates the earth mover's
        distance in data units.

        The division removes the steepness that the constraint allows: with a penalty, the gap of
        two densities at distance a is a (1 + a / 2 lambda); with clipping, it is any multiple of a.
        """
        noise = self.draw_noise("critic", len(batch.x), rng)
        gap, samples = self.gap(batch.x, noise["z"])
        return {"wasserstein": gap / self.steepness(batch.x, samples, noise["between"]).mean()}

    @torch.no_grad()
    def after_step(self, objective: str) -> None:
        super().after_step(objective)
        if objective == "critic" and self.settings.constraint == "clipping":
            for weight in self.critic.parameters():
                bounded = weight.clamp(-self.settings.clip, self.settings.clip)
                weight.copy_(bounded)  # clamp_ cannot be batched

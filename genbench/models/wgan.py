"""Wasserstein GAN: weight clipping (Arjovsky et al. 2017, arXiv:1701.07875), gradient penalty (Gulrajani et al. 2017)."""

import torch

from genbench.models.gan import Adversarial


class WGAN(Adversarial):
    """min_G max_f E f(x) - E f(G(z)) over critics f that are 1-Lipschitz.

    The constraint is a penalty lambda E (||grad f|| - 1)^2 at points between data and samples (arXiv:1704.00028), or
    weights clipped to [-clip, clip].
    """

    loss_weights = ("lambda",)
    judge = "critic"
    default_batch_size = 256

    def draw_noise(self, objective, n, rng):
        between = torch.rand((n, *[1] * len(self.spec.shape)), generator=rng, device=rng.device)
        return {**super().draw_noise(objective, n, rng), "between": between}

    def critic_loss(self, batch, noise, weights):
        gap, samples = self.gap(batch.x, noise["z"])
        if self.s.constraint == "clipping":
            return -gap, {"gap": gap}
        penalty = (self.steepness(batch.x, samples, noise["between"]) - 1).square().mean()
        return -gap + weights["lambda"] * penalty, {"gap": gap, "penalty": penalty}

    def gap(self, x, z):
        """E f(x) - E f(G(z)) over data x [n, *shape] and codes z [n, latent_dim], and the samples G(z)."""
        samples = self.samples(z)
        on_data, on_samples = self.score_real_and_fake(x, samples)
        return on_data.mean() - on_samples.mean(), samples

    def steepness(self, x, samples, between):
        """||grad f|| [n] at points between data and samples [n, *shape], as far from x as `between` [n, 1, ...] in [0, 1] says."""
        return self.slopes(x + between * (samples - x)).norm(dim=1)

    def generator_loss(self, batch, noise, weights):
        return -self.critic(self.generator(noise["z"])).mean(), {}

    @torch.no_grad()
    def held_out(self, batch, rng):
        """`wasserstein`: the gap over the mean gradient norm, an estimate of the earth mover's distance, in the data's
        units, that does not depend on how steep the constraint lets the critic become: with a penalty the gap of two
        densities that lie a apart is a (1 + a / 2 lambda), with clipping any multiple of a."""
        noise = self.draw_noise("critic", len(batch.x), rng)
        gap, samples = self.gap(batch.x, noise["z"])
        return {"wasserstein": gap / self.steepness(batch.x, samples, noise["between"]).mean()}

    @torch.no_grad()
    def after_step(self, objective):
        super().after_step(objective)
        if objective == "critic" and self.s.constraint == "clipping":
            for weight in self.critic.parameters():
                weight.clamp_(-self.s.clip, self.s.clip)

"""Wasserstein GAN: weight clipping (Arjovsky et al. 2017, arXiv:1701.07875), gradient penalty (Gulrajani et al. 2017)."""

import torch

from genbench.models.gan import Adversarial


class WGAN(Adversarial):
    """min_G max_f E f(x) - E f(G(z)) over critics f that are 1-Lipschitz.

    The constraint is a penalty lambda E (||grad f|| - 1)^2 at points between data and samples (arXiv:1704.00028), or
    weights clipped to [-clip, clip].
    """

    numbers = ("lambda",)
    judge = "critic"
    usual_batch_size = 256

    def draw(self, player, n, rng):
        between = torch.rand((n, *[1] * len(self.space.shape)), generator=rng, device=rng.device)
        return {**super().draw(player, n, rng), "between": between}

    def critic_loss(self, batch, noise, hp):
        gap, samples = self.gap(batch.x, noise["z"])
        if self.s.constraint == "clipping":
            return -gap, {"gap": gap}
        penalty = (self.steepness(batch.x, samples, noise["between"]) - 1).square().mean()
        return -gap + hp["lambda"] * penalty, {"gap": gap, "penalty": penalty}

    def gap(self, x, z):
        """E f(x) - E f(G(z)) over data x [n, *shape] and codes z [n, latent_dim], and the samples G(z)."""
        samples = self.samples(z)
        on_data, on_samples = self.judge_both(x, samples)
        return on_data.mean() - on_samples.mean(), samples

    def steepness(self, x, samples, between):
        """||grad f|| [n] at points between data and samples [n, *shape], as far from x as `between` [n, 1, ...] in [0, 1] says."""
        return self.slopes(x + between * (samples - x)).norm(dim=1)

    def generator_loss(self, batch, noise, hp):
        return -self.critic(self.generator(noise["z"])).mean(), {}

    @torch.no_grad()
    def held_out(self, batch, rng):
        """`wasserstein`: the gap over the mean gradient norm, an estimate of the earth mover's distance, in the data's
        units, that does not depend on how steep the constraint lets the critic become: with a penalty the gap of two
        densities that lie a apart is a (1 + a / 2 lambda), with clipping any multiple of a."""
        noise = self.draw("critic", len(batch.x), rng)
        gap, samples = self.gap(batch.x, noise["z"])
        return {"wasserstein": gap / self.steepness(batch.x, samples, noise["between"]).mean()}

    @torch.no_grad()
    def settle(self, player):
        super().settle(player)
        if player == "critic" and self.s.constraint == "clipping":
            for weight in self.critic.parameters():
                weight.clamp_(-self.s.clip, self.s.clip)

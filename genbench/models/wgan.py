"""Wasserstein GAN: weight clipping (Arjovsky et al. 2017, arXiv:1701.07875), gradient penalty (Gulrajani et al. 2017)."""

import torch

from .gan import Adversarial


class WGAN(Adversarial):
    """min_G max_f E f(x) - E f(G(z)) over critics f that are 1-Lipschitz.

    The constraint is a penalty lambda E (||grad f|| - 1)^2 at points between data and samples (arXiv:1704.00028), or
    weights clipped to [-clip, clip].
    """

    numbers = ("lambda",)
    judge = "critic"

    def draw(self, player, n, rng):
        between = torch.rand((n, *[1] * len(self.space.shape)), generator=rng, device=rng.device)
        return {**super().draw(player, n, rng), "between": between}

    def critic_loss(self, batch, noise, hp):
        on_data, on_samples, samples = self.judge_both(batch.x, noise["z"])
        gap = on_data.mean() - on_samples.mean()
        if self.s.constraint == "clipping":
            return -gap, {"gap": gap}
        point = batch.x + noise["between"] * (samples - batch.x)
        slope = torch.func.grad(lambda x: self.critic(x).sum())(point)
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        return -gap + hp["lambda"] * penalty, {"gap": gap, "penalty": penalty}

    def generator_loss(self, batch, noise, hp):
        return -self.critic(self.generator(noise["z"])).mean(), {}

    @torch.no_grad()
    def settle(self, player):
        super().settle(player)
        if player == "critic" and self.s.constraint == "clipping":
            for weight in self.critic.parameters():
                weight.clamp_(-self.s.clip, self.s.clip)

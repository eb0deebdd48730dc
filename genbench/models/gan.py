"""Generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661)."""

import copy
import math

import torch
import torch.nn.functional as F

from genbench.model import View
from genbench.nn import networks
from genbench.training.gradient import GradientModel, Objective
from genbench.utils.errors import UserError


class Network(torch.nn.Module):
    """Codes [n, latent_dim] to data [n, *shape], in [0, 1] where the data are."""

    def __init__(self, spec, s):
        super().__init__()
        self.net, self.unit = networks.decoder(s.latent_dim, spec.shape, s), spec.unit

    def forward(self, z):
        x = self.net(z)
        return x.sigmoid() if self.unit else x


class Identity(torch.nn.Module):
    """Codes [n, latent_dim] as data [n, *shape]: a generator that has nothing to learn."""

    def __init__(self, spec, s):
        super().__init__()
        if s.latent_dim != spec.size:
            raise UserError(
                "latent_dim",
                f"samples that are codes have as many values as the data, {spec.size}",
                s.latent_dim,
                f"latent_dim={spec.size}",
            )
        self.shape = spec.shape

    def forward(self, z):
        return z.unflatten(1, self.shape)


GENERATORS = {"network": Network, "identity": Identity}


class Discriminator(torch.nn.Module):
    """Data [n, *shape] to one number each [n, 1]. Data in [0, 1] are centred first: mostly zeros would hardly move a layer."""

    def __init__(self, spec, s):
        super().__init__()
        self.net, self.unit = networks.encoder(spec.shape, 1, s), spec.unit

    def forward(self, x):
        return self.net(2 * x - 1 if self.unit else x)


class Adversarial(GradientModel):
    """A generator against a judge, a network that gives each point one number; what GAN and WGAN share.

    The generator moves after every n_`judge` steps of the judge. One that is the identity never does: the judge alone
    learns to tell the data from N(0, I), whose divergence from a density that is known is known too.
    """

    criterion = None
    judge = "discriminator"  # the attribute that holds the judge
    source_of_codes = "the prior"
    sampler = "prior"

    def __init__(self, spec, s):
        super().__init__(spec, s)
        self.generator = GENERATORS[s.generator](spec, s)
        self.add_module(self.judge, Discriminator(spec, s))
        if s.ema:
            self.average = copy.deepcopy(self.generator).requires_grad_(False)
            self.register_buffer("averaged", torch.zeros((), dtype=torch.long))
        self.objectives = {self.judge: Objective(f"{self.judge}_loss", parameters=f"{self.judge}.")}
        if s.generator == "network":
            self.objectives["generator"] = Objective(
                "generator_loss", parameters="generator.", every=s[f"n_{self.judge}"]
            )

    def draw_noise(self, objective, n, rng):
        return {"z": self.codes(n, rng)}

    def codes(self, n, rng):
        """n codes [n, latent_dim] from the prior, N(0, I)."""
        return torch.randn(n, self.s.latent_dim, generator=rng, device=rng.device)

    @torch.no_grad()
    def samples(self, z):
        """Samples [n, *shape] from codes z [n, latent_dim] as the judge learns from them: the generator stands still."""
        return self.generator(z)

    def score_real_and_fake(self, x, samples):
        """What the judge says [n, 1] of data x [n, *shape], and of as many samples."""
        return getattr(self, self.judge)(torch.cat([x, samples])).chunk(2)

    def slopes(self, x):
        """The gradient [n, size] of what the judge says with respect to each of the points x [n, *shape]."""
        judge = getattr(self, self.judge)
        return torch.func.grad(lambda x: judge(x).sum())(x).flatten(1)

    @torch.no_grad()
    def after_step(self, objective):
        """After the generator's move, move the average of its weights by a share 1 - ema.

        Early on the share is larger, 9 / (10 + moves): the first weights are random, and to be forgotten.
        """
        if objective == "generator" and self.s.ema:
            self.averaged += 1
            share = torch.clamp(9 / (10 + self.averaged), min=1 - self.s.ema)
            for mean, now in zip(self.average.parameters(), self.generator.parameters()):
                mean.lerp_(now, share.to(mean))

    def decode(self, z):
        """The generator, or with `ema` the average of it: [n, latent_dim] -> [n, *shape]."""
        return self.average(z) if self.s.ema else self.generator(z)

    def sample(self, n, rng):
        """n generated points [n, *shape]."""
        return self.decode(self.codes(n, rng))

    def critic_output(self, x):
        """What the judge says [n] of points x [n, *shape]."""
        return getattr(self, self.judge)(x).squeeze(1)

    def views(self, x, rng):
        return {
            self.judge: View(
                "landscape",
                f"the {self.judge}",
                {"function": self.critic_output, "label": self.judge},
            )
        }


class GAN(Adversarial):
    """min_G max_D E log D(x) + E log(1 - D(G(z))), D = sigmoid(discriminator) (Algorithm 1 of the paper).

    The generator minimises E log(1 - D(G(z))) when `saturating`, else -E log D(G(z)). The discriminator may learn from
    smoothed labels, and be kept from becoming too steep by `r1_gamma` or by noise on all that it sees, which falls to
    zero over the run and is zero in evaluation.
    """

    loss_weights = ("r1_gamma",)
    default_batch_size = 64

    def __init__(self, spec, s):
        super().__init__(spec, s)
        self.weights["instance_noise"] = 0.0

    def annealed(self, clock):
        if not self.s.instance_noise:
            return super().annealed(clock)
        return super().annealed(clock) | {
            "instance_noise": self.s.instance_noise * max(0.0, 1 - clock / self.steps)
        }

    def draw_noise(self, objective, n, rng):
        noise = super().draw_noise(objective, n, rng)
        if self.s.instance_noise:
            for seen in ("data", "samples") if objective == "discriminator" else ("samples",):
                noise[seen] = torch.randn(n, *self.spec.shape, generator=rng, device=rng.device)
        return noise

    def seen(self, name, x, noise, weights):
        """Data or samples x [n, *shape] as the discriminator sees them."""
        return x + weights["instance_noise"] * noise[name] if name in noise else x

    def discriminator_loss(self, batch, noise, weights):
        x = self.seen("data", batch.x, noise, weights)
        real, fake = self.score_real_and_fake(
            x, self.seen("samples", self.samples(noise["z"]), noise, weights)
        )
        loss = cross_entropy(real, 1 - self.s.label_smoothing) + cross_entropy(
            fake, self.s.fake_label_smoothing
        )
        terms = {"d_real": real.sigmoid().mean(), "d_fake": fake.sigmoid().mean()}
        if self.s.r1_gamma:
            terms["r1"] = self.slopes(x).square().sum(1).mean()
            loss = loss + weights["r1_gamma"] / 2 * terms["r1"]
        return loss, terms

    def generator_loss(self, batch, noise, weights):
        fake = self.discriminator(self.seen("samples", self.generator(noise["z"]), noise, weights))
        return -F.softplus(fake).mean() if self.s.generator_loss == "saturating" else F.softplus(
            -fake
        ).mean(), {}

    @torch.no_grad()
    def held_out(self, batch, rng):
        """`jsd_bound`: (V(D, G) + 2 log 2) / 2, in nats, at most the Jensen-Shannon divergence between data and samples,
        as V is largest at the best discriminator, where the two are equal (theorem 1 of the paper). On points that the
        discriminator has learnt from it may exceed it."""
        real, fake = self.score_real_and_fake(batch.x, self.samples(self.codes(len(batch.x), rng)))
        return {
            "jsd_bound": math.log(2) - (cross_entropy(real, 1.0) + cross_entropy(fake, 0.0)) / 2
        }

    def critic_output(self, x):
        """D(x) [n], the probability that points x [n, *shape] are data."""
        return super().critic_output(x).sigmoid()


def cross_entropy(logits, label):
    """The mean cross-entropy, in nats, of predictions sigmoid(logits) with one label in [0, 1] for all."""
    return label * F.softplus(-logits).mean() + (1 - label) * F.softplus(logits).mean()

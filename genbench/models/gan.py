"""Generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661)."""

import copy
import math

import torch
import torch.nn.functional as F

from genbench.data.types import Batch, DataSpec
from genbench.model import Logs
from genbench.nn import networks
from genbench.settings.adversarial import AdversarialSettings, GANSettings
from genbench.training.gradient import (
    GradientModel,
    LossAndTerms,
    LossNoise,
    LossWeights,
    Objective,
)
from genbench.utils.errors import UserError
from genbench.visualizations import Landscape, Visualization


class GeneratorNetwork(torch.nn.Module):
    """Maps codes [n, latent_dim] to points [n, *shape], in [0, 1] if the data are."""

    def __init__(self, spec: DataSpec, settings: AdversarialSettings) -> None:
        super().__init__()
        self.net, self.unit = networks.decoder(settings.latent_dim, spec.shape, settings), spec.unit

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = self.net(z)
        return x.sigmoid() if self.unit else x


class Identity(torch.nn.Module):
    """Returns codes [n, latent_dim] as points [n, *shape]: a generator without parameters."""

    def __init__(self, spec: DataSpec, settings: AdversarialSettings) -> None:
        super().__init__()
        if settings.latent_dim != spec.size:
            raise UserError(
                "latent_dim",
                f"samples that are codes have as many values as the data, {spec.size}",
                settings.latent_dim,
                f"latent_dim={spec.size}",
            )
        self.shape = spec.shape

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.unflatten(1, self.shape)


GENERATORS = {"network": GeneratorNetwork, "identity": Identity}


class Discriminator(torch.nn.Module):
    """Maps points [n, *shape] to one number each [n, 1].

    Data in [0, 1] are centred first, because inputs that are mostly zero have small gradients.
    """

    def __init__(self, spec: DataSpec, settings: AdversarialSettings) -> None:
        super().__init__()
        self.net, self.unit = networks.encoder(spec.shape, 1, settings), spec.unit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(2 * x - 1 if self.unit else x)


class Adversarial(GradientModel):
    """A generator against an adversary, a network that maps each point to one number; the base of
    GAN and WGAN.

    The adversary is a GAN's discriminator or a WGAN's critic. The generator takes one step after
    every n_discriminator or n_critic steps of it. With `generator=identity` only the adversary
    learns, to distinguish the data from N(0, I); if the density of the data is known, so is the
    divergence that it should estimate.
    """

    settings: AdversarialSettings

    adversary = "discriminator"  # the attribute that holds it
    criterion: str | None = None
    average_follows = "generator"
    sampler = "prior"

    def __init__(self, spec: DataSpec, settings: AdversarialSettings) -> None:
        super().__init__(spec, settings)
        self.generator = GENERATORS[settings.generator](spec, settings)
        self.add_module(self.adversary, Discriminator(spec, settings))
        self.average: torch.nn.Module | None = None
        self.objectives = {
            self.adversary: Objective(
                f"{self.adversary}_loss", parameters=f"{self.adversary}.", lr=self.adversary_lr
            )
        }
        if settings.generator == "network":
            self.objectives["generator"] = Objective(
                "generator_loss",
                parameters="generator.",
                every=self.adversary_steps,
                lr=settings.generator_lr,
            )

    @property
    def adversary_lr(self) -> float | None:
        """The adversary's learning rate; None is `lr`."""
        raise NotImplementedError

    @property
    def adversary_steps(self) -> int:
        """How many steps the adversary takes for each step of the generator."""
        raise NotImplementedError

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        return {"z": self.codes(n, rng)}

    def codes(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n codes [n, latent_dim] from the prior, N(0, I)."""
        return torch.randn(n, self.settings.latent_dim, generator=rng, device=rng.device)

    @torch.no_grad()
    def samples(self, z: torch.Tensor) -> torch.Tensor:
        """Samples [n, *shape] from codes z [n, latent_dim] without a gradient for the generator,
        for the adversary to learn from.
        """
        return self.generator(z)

    def score_real_and_fake(
        self, x: torch.Tensor, samples: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The adversary's outputs [n, 1] for data x [n, *shape], and for as many samples."""
        return getattr(self, self.adversary)(torch.cat([x, samples])).chunk(2)

    def slopes(self, x: torch.Tensor) -> torch.Tensor:
        """The gradient [n, size] of the adversary's output with respect to each point x [n,
        *shape].
        """
        adversary = getattr(self, self.adversary)
        return torch.func.grad(lambda x: adversary(x).sum())(x).flatten(1)

    def keep_average(self) -> None:
        # Of the generator alone, beside it: the adversary learns from what the generator makes now.
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.register_buffer("averaged", torch.zeros((), dtype=torch.long))

    def averages(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        assert self.average is not None  # averages move only where there are some
        return [*zip(self.average.parameters(), self.generator.parameters(), strict=True)]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The points of codes, by the generator or, with `ema`, its average: [n, latent_dim] -> [n,
        *shape].
        """
        return self.generator(z) if self.average is None else self.average(z)

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n generated points [n, *shape]."""
        return self.decode(self.codes(n, rng))

    def critic_output(self, x: torch.Tensor) -> torch.Tensor:
        """The adversary's output [n] for points x [n, *shape]."""
        return getattr(self, self.adversary)(x).squeeze(1)

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        name = self.adversary
        return {name: Landscape(f"the {name}", self.critic_output, name)}


class GAN(Adversarial):
    """min_G max_D E log D(x) + E log(1 - D(G(z))), D = sigmoid(discriminator) (Algorithm 1 of the
    paper).

    The generator minimises E log(1 - D(G(z))) when `saturating`, else -E log D(G(z)). The
    discriminator may learn from smoothed labels, and it is kept from becoming too steep by the
    penalty `r1_gamma` or by `instance_noise` on its inputs, which falls to zero over the run and is
    zero in evaluation.
    """

    settings: GANSettings
    splits_batches = True

    loss_weights = ("r1_gamma",)
    default_batch_size = 64
    discriminator: Discriminator

    def __init__(self, spec: DataSpec, settings: GANSettings) -> None:
        super().__init__(spec, settings)
        self.weights["instance_noise"] = 0.0

    @property
    def adversary_lr(self) -> float | None:
        return self.settings.discriminator_lr

    @property
    def adversary_steps(self) -> int:
        return self.settings.n_discriminator

    def annealed(self, clock: int) -> dict[str, float]:
        if not self.settings.instance_noise:
            return super().annealed(clock)
        left = max(0.0, 1 - clock / self.steps)
        return super().annealed(clock) | {"instance_noise": self.settings.instance_noise * left}

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        noise = super().draw_noise(objective, n, rng)
        if self.settings.instance_noise:
            for seen in ("data", "samples") if objective == "discriminator" else ("samples",):
                noise[seen] = torch.randn(n, *self.spec.shape, generator=rng, device=rng.device)
        return noise

    def seen(
        self, name: str, x: torch.Tensor, noise: LossNoise, weights: LossWeights
    ) -> torch.Tensor:
        """Data or samples x [n, *shape] as the discriminator sees them, with instance noise if
        there is any.
        """
        return x + weights["instance_noise"] * noise[name] if name in noise else x

    def discriminator_loss(
        self, batch: Batch, noise: LossNoise, weights: LossWeights
    ) -> LossAndTerms:
        x = self.seen("data", batch.x, noise, weights)
        real, fake = self.score_real_and_fake(
            x, self.seen("samples", self.samples(noise["z"]), noise, weights)
        )
        loss = cross_entropy(real, 1 - self.settings.label_smoothing) + cross_entropy(
            fake, self.settings.fake_label_smoothing
        )
        terms = {"d_real": real.sigmoid().mean(), "d_fake": fake.sigmoid().mean()}
        if self.settings.r1_gamma:
            terms["r1"] = self.slopes(x).square().sum(1).mean()
            loss = loss + weights["r1_gamma"] / 2 * terms["r1"]
        return loss, terms

    def generator_loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        fake = self.discriminator(self.seen("samples", self.generator(noise["z"]), noise, weights))
        if self.settings.generator_loss == "saturating":
            return -F.softplus(fake).mean(), {}
        return F.softplus(-fake).mean(), {}

    @torch.no_grad()
    def held_out(self, batch: Batch, rng: torch.Generator) -> Logs:
        """`jsd_bound`: (V(D, G) + 2 log 2) / 2, in nats, a lower bound on the Jensen-Shannon
        divergence of data and samples.

        V is largest at the best discriminator, where the two are equal (theorem 1 of the paper). On
        points that the discriminator has learnt from, the estimate may exceed the divergence.
        """
        real, fake = self.score_real_and_fake(batch.x, self.samples(self.codes(len(batch.x), rng)))
        return {
            "jsd_bound": math.log(2) - (cross_entropy(real, 1.0) + cross_entropy(fake, 0.0)) / 2
        }

    def critic_output(self, x: torch.Tensor) -> torch.Tensor:
        """D(x) [n], the probability that points x [n, *shape] are data."""
        return super().critic_output(x).sigmoid()


def cross_entropy(logits: torch.Tensor, label: float) -> torch.Tensor:
    """The mean cross-entropy, in nats, of predictions sigmoid(logits) with one label in [0, 1] for
    all.
    """
    return label * F.softplus(-logits).mean() + (1 - label) * F.softplus(logits).mean()

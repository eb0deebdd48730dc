"""Conditional variational autoencoder (Sohn, Lee & Yan 2015)."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from genbench.model import View, available_if
from genbench.models.vae import IMPORTANCE_DRAWS, VAE
from genbench.nn import networks
from genbench.utils.errors import UserError


class CVAE(VAE):
    """A VAE of points beside their labels: minimises E_q[-log p(x|z, y)] + beta KL(q(z|x, y) || N(0, I)).

    The encoder sees the label as one more channel, learnt for each class; the decoder sees it beside the code, as a one
    among zeros. Where no label is given, `sample` draws one as often as it occurs in the training data.
    """

    conditional = True
    y = None  # the labels of the points at hand, which `conditioned_on` sets

    def __init__(self, spec, s):
        if not spec.classes:
            raise UserError(
                "model", "needs data with classes", s.model["name"], "another dataset, or model=vae"
            )
        super().__init__(spec, s)
        channels, *side = spec.shape
        self.encoder = networks.encoder((channels + 1, *side), 2 * s.latent_dim, s)
        self.decoder = networks.decoder(s.latent_dim + spec.classes, spec.shape, s)
        self.channel = nn.Linear(spec.classes, torch.Size(side).numel())
        self.register_buffer("frequencies", torch.zeros(spec.classes))

    def setup(self, train, *, seed, steps):
        if train.y is None or bool((train.y < 0).any()):
            raise UserError(
                "dataset.labelled",
                "every training point needs its label",
                fix="dataset.labelled=null",
            )
        super().setup(train, seed=seed, steps=steps)

    def initialise(self, train, *, seed):
        self.frequencies.copy_(torch.bincount(train.y, minlength=self.spec.classes) / len(train))

    def conditioned_on(self, y):
        if y is None:
            return self
        other = copy.copy(self)  # with the same weights
        other.y = y
        return other

    def one_hot(self, points: torch.Tensor) -> torch.Tensor:
        """Labels of n points as [n, classes]: those given, again and again where there are several points for each."""
        if self.y is None:
            raise ValueError("call it on what given(labels) returns")
        return F.one_hot(self.y.repeat(len(points) // len(self.y)), self.spec.classes).to(points)

    def loss(self, batch, noise, weights):
        return super(CVAE, self.conditioned_on(batch.y)).loss(batch, noise, weights)

    def posterior(self, x):
        channel = self.channel(self.one_hot(x)).unflatten(1, (1, *x.shape[2:]))
        return super().posterior(torch.cat([x, channel], 1))

    def raw(self, z):
        return super().raw(torch.cat([z, self.one_hot(z)], 1))

    def sample_from_latent(self, z, rng):
        if self.y is not None:
            return super().sample_from_latent(z, rng)
        y = torch.multinomial(self.frequencies, len(z), replacement=True, generator=rng)
        return self.conditioned_on(y).sample_from_latent(z, rng)

    @available_if(VAE.has_likelihood)
    def log_prob(self, x, k=IMPORTANCE_DRAWS):
        """The bound on log p(x|y) [n], as in a VAE; where no label is given, that on log sum_y p(y) p(x|y)."""
        if self.y is not None:
            return super().log_prob(x, k)
        classes = torch.arange(self.spec.classes, device=x.device)
        return torch.stack(
            [
                p.log() + self.conditioned_on(c).log_prob(x, k)
                for c, p in zip(classes[:, None], self.frequencies)
            ]
        ).logsumexp(0)

    def views(self, x, rng):
        z = self.prior(10 if len(self.spec.shape) == 3 else 1000, rng)
        there = (self.frequencies > 0).nonzero().flatten()[:10]
        rows = {f"class {int(y)}": self.conditioned_on(y[None]).decode(z) for y in there}
        return {
            "classes": View(
                "rows", "decoded with each class from the same draws from the prior", rows
            )
        }

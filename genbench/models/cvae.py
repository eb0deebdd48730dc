"""Conditional variational autoencoder (Sohn, Lee & Yan 2015)."""

import copy

import torch
from torch import nn

from genbench.data.types import Batch, DataSpec, Split
from genbench.model import available_if
from genbench.models.vae import IMPORTANCE_DRAWS, VAE
from genbench.nn import networks
from genbench.settings.autoencoders import CVAESettings
from genbench.training.gradient import LossAndTerms, LossNoise, LossWeights
from genbench.utils.errors import UserError
from genbench.utils.tracing import is_traced
from genbench.visualizations import Rows, Visualization


class CVAE(VAE):
    """A VAE given labels: minimises E_q[-log p(x|z, y)] + beta KL(q(z|x, y) || N(0, I)).

    The encoder sees the label as one more channel, which is learnt for each class. The decoder sees
    it as a one-hot vector, appended to the code. Without a label, `sample` draws one with its
    frequency in the training data.
    """

    settings: CVAESettings
    splits_batches = True

    conditional = True
    y: torch.Tensor | None = None  # the labels of the current points, set by `conditioned_on`
    frequencies: torch.Tensor  # [classes]

    def __init__(self, spec: DataSpec, settings: CVAESettings) -> None:
        if not spec.classes:
            raise UserError(
                "model",
                "needs data with classes",
                settings.model.name,
                "another dataset, or model=vae",
            )
        super().__init__(spec, settings)
        channels, *side = spec.shape
        self.encoder = networks.encoder((channels + 1, *side), 2 * settings.latent_dim, settings)
        self.decoder = networks.decoder(settings.latent_dim + spec.classes, spec.shape, settings)
        self.channel = nn.Linear(spec.classes, torch.Size(side).numel())
        self.register_buffer("frequencies", torch.zeros(spec.classes))

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        if train.y is None or bool((train.y < 0).any()):
            raise UserError(
                "dataset.labelled",
                "every training point needs its label",
                fix="dataset.labelled=null",
            )
        super().setup(train, seed=seed, steps=steps)

    def initialise(self, train: Split, *, seed: int) -> None:
        assert train.y is not None  # checked by `setup`
        counts = torch.bincount(train.y, minlength=self.spec.classes)
        self.frequencies.copy_(counts / len(train))

    def conditioned_on(self, y: torch.Tensor | None) -> "CVAE":
        if y is None:
            return self
        other = copy.copy(self)  # with the same weights
        other.y = y
        return other

    def one_hot(self, points: torch.Tensor) -> torch.Tensor:
        """The labels of n points as [n, classes], repeated if there are several points for each
        label.
        """
        if self.y is None:
            raise ValueError("call it on what conditioned_on(labels) returns")
        labels = self.y
        if not is_traced():  # where there is one label for each point
            labels = labels.repeat(len(points) // len(labels))
        # F.one_hot looks at the values, for which a GPU would have to wait.
        classes = torch.arange(self.spec.classes, device=labels.device)
        return (labels[:, None] == classes).to(points)

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        return VAE.loss(self.conditioned_on(batch.y), batch, noise, weights)

    def posterior(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        channel = self.channel(self.one_hot(x)).unflatten(1, (1, *x.shape[2:]))
        return super().posterior(torch.cat([x, channel], 1))

    def raw(self, z: torch.Tensor) -> torch.Tensor:
        return super().raw(torch.cat([z, self.one_hot(z)], 1))

    def sample_from_latent(self, z: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        if self.y is not None:
            return super().sample_from_latent(z, rng)
        y = torch.multinomial(self.frequencies, z.shape[0], replacement=True, generator=rng)
        return self.conditioned_on(y).sample_from_latent(z, rng)

    @available_if(VAE.has_likelihood)
    def log_prob(
        self, x: torch.Tensor, k: int = IMPORTANCE_DRAWS, shared_draws: bool = False
    ) -> torch.Tensor:
        """The bound on log p(x|y) [n], as in a VAE; without a label, the bound on log sum_y p(y)
        p(x|y).
        """
        if self.y is not None:
            return super().log_prob(x, k, shared_draws)
        classes = torch.arange(self.spec.classes, device=x.device)
        return torch.stack(
            [
                p.log() + self.conditioned_on(c).log_prob(x, k, shared_draws)
                for c, p in zip(classes[:, None], self.frequencies)
            ]
        ).logsumexp(0)

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        z = self.prior(10 if len(self.spec.shape) == 3 else 1000, rng)
        seen = (self.frequencies > 0).nonzero().flatten()[:10]
        rows = {f"class {int(y)}": self.conditioned_on(y[None]).decode(z) for y in seen}
        note = "the same draws from the prior, decoded with each class"
        return {"classes": Rows(note, rows)}

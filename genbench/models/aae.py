"""Adversarial autoencoder (Makhzani et al. 2015, arXiv:1511.05644)."""

import torch
import torch.nn.functional as F
from torch import nn

from genbench.data.types import Batch, DataSpec
from genbench.models.ae import EncoderDecoder
from genbench.nn import networks
from genbench.settings.autoencoders import AAESettings
from genbench.training.gradient import LossAndTerms, LossNoise, LossWeights, Objective


class AAE(EncoderDecoder):
    """An autoencoder whose codes a discriminator cannot distinguish from draws of a prior (section
    2 of the paper).

    On each batch, encoder and decoder lower the reconstruction error. Then the discriminator learns
    to distinguish codes from draws of the prior, and the encoder, as its generator, learns codes
    that the discriminator takes for such draws.
    """

    settings: AAESettings
    splits_batches = True

    criterion = None

    def __init__(self, spec: DataSpec, settings: AAESettings) -> None:
        super().__init__(spec, settings)
        widths = [settings.latent_dim, *settings.discriminator_hidden, 1]
        self.discriminator = networks.initialised(
            nn.Sequential(*networks.MLP.layers(widths, settings)), settings
        )
        self.objectives = {
            "autoencoder": Objective("reconstruction_loss", parameters=("encoder.", "decoder.")),
            "discriminator": Objective(
                "discriminator_loss",
                parameters="discriminator.",
                lr=settings.discriminator_lr,
            ),
            "encoder": Objective("encoder_loss", parameters="encoder.", lr=settings.encoder_lr),
        }

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        return {"prior": self.prior(n, rng)} if objective == "discriminator" else {}

    def reconstruction_loss(
        self, batch: Batch, noise: LossNoise, weights: LossWeights
    ) -> LossAndTerms:
        """The objective of encoder and decoder."""
        return self.reconstruction(batch.x, self.encode(batch.x)), {}

    def discriminator_loss(
        self, batch: Batch, noise: LossNoise, weights: LossWeights
    ) -> LossAndTerms:
        """The cross-entropy of the discriminator, with draws of the prior as class 1 and codes as
        class 0.
        """
        on_prior = self.discriminator(noise["prior"])
        on_codes = self.discriminator(self.encode(batch.x))
        loss = F.softplus(-on_prior).mean() + F.softplus(on_codes).mean()
        return loss, {"d_prior": on_prior.sigmoid().mean(), "d_codes": on_codes.sigmoid().mean()}

    def encoder_loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        """The cross-entropy of the discriminator on codes, with class 1 as their label."""
        return F.softplus(-self.discriminator(self.encode(batch.x))).mean(), {}

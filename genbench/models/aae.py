"""Adversarial autoencoder (Makhzani et al. 2015, arXiv:1511.05644)."""

import torch.nn.functional as F
from torch import nn

from genbench.models.ae import Autoencoder
from genbench.nn import networks
from genbench.training.gradient import Objective


class AAE(Autoencoder):
    """An autoencoder whose codes a discriminator cannot tell from draws of a prior (section 2 of the paper).

    On each batch encoder and decoder lower the reconstruction error; then the discriminator learns to tell prior draws
    from codes; then the encoder, as its generator, learns to be taken for the prior.
    """

    criterion = None
    objectives = {
        "autoencoder": Objective("reconstruction_loss", parameters=("encoder.", "decoder.")),
        "discriminator": Objective("discriminator_loss", parameters="discriminator."),
        "encoder": Objective("encoder_loss", parameters="encoder."),
    }

    def __init__(self, spec, s):
        super().__init__(spec, s)
        widths = [s.latent_dim, *s.discriminator_hidden, 1]
        self.discriminator = networks.initialised(nn.Sequential(*networks.MLP.layers(widths, s)), s)

    def draw_noise(self, objective, n, rng):
        return {"prior": self.prior(n, rng)} if objective == "discriminator" else {}

    def reconstruction_loss(self, batch, noise, weights):
        return self.reconstruction(batch.x, self.encode(batch.x)), {}

    def discriminator_loss(self, batch, noise, weights):
        on_prior, on_codes = (
            self.discriminator(noise["prior"]),
            self.discriminator(self.encode(batch.x)),
        )
        loss = F.softplus(-on_prior).mean() + F.softplus(on_codes).mean()
        return loss, {"d_prior": on_prior.sigmoid().mean(), "d_codes": on_codes.sigmoid().mean()}

    def encoder_loss(self, batch, noise, weights):
        return F.softplus(-self.discriminator(self.encode(batch.x))).mean(), {}

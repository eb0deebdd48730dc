"""Adversarial autoencoder (Makhzani et al. 2015, arXiv:1511.05644)."""

import torch.nn.functional as F
from torch import nn

from genbench.models.ae import Autoencoder
from genbench.nn import networks
from genbench.training.gradient import Player


class AAE(Autoencoder):
    """An autoencoder whose codes a discriminator cannot tell from draws of a prior (section 2 of the paper).

    On each batch encoder and decoder lower the reconstruction error; then the discriminator learns to tell prior draws
    from codes; then the encoder, as its generator, learns to be taken for the prior.
    """

    criterion = None
    players = {
        "autoencoder": Player("reconstruction_loss", owns=("encoder.", "decoder.")),
        "discriminator": Player("discriminator_loss", owns="discriminator."),
        "encoder": Player("encoder_loss", owns="encoder."),
    }

    def __init__(self, space, s):
        super().__init__(space, s)
        widths = [s.latent_dim, *s.discriminator_hidden, 1]
        self.discriminator = networks.initialised(nn.Sequential(*networks.MLP.layers(widths, s)), s)

    def draw(self, player, n, rng):
        return {"prior": self.prior(n, rng)} if player == "discriminator" else {}

    def reconstruction_loss(self, batch, noise, hp):
        return self.reconstruction(batch.x, self.encode(batch.x)), {}

    def discriminator_loss(self, batch, noise, hp):
        on_prior, on_codes = self.discriminator(noise["prior"]), self.discriminator(self.encode(batch.x))
        loss = F.softplus(-on_prior).mean() + F.softplus(on_codes).mean()
        return loss, {"d_prior": on_prior.sigmoid().mean(), "d_codes": on_codes.sigmoid().mean()}

    def encoder_loss(self, batch, noise, hp):
        return F.softplus(-self.discriminator(self.encode(batch.x))).mean(), {}

"""Autoencoder (Rumelhart, Hinton & Williams 1986), the base of all autoencoders without a latent
density.
"""

import torch

from genbench.data.types import Batch, DataSpec
from genbench.models.latent_model import LatentModel
from genbench.nn import networks
from genbench.nn.likelihoods import reconstruction
from genbench.settings.groups import AutoencoderSettings, EncoderDecoderSettings
from genbench.training.gradient import GradientModel, LossAndTerms, LossNoise, LossWeights


class EncoderDecoder(LatentModel, GradientModel):
    """An encoder f, a decoder g and the loss of g(f(x)), without an objective."""

    settings: EncoderDecoderSettings

    def __init__(self, spec: DataSpec, settings: EncoderDecoderSettings) -> None:
        super().__init__(spec, settings)
        self.encoder = networks.encoder(spec.shape, settings.latent_dim, settings)
        self.decoder = networks.decoder(settings.latent_dim, spec.shape, settings)
        self.output = reconstruction(spec, settings)

    def reconstruction(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """The mean reconstruction loss of data x [n, *shape] from codes z [n, latent_dim]."""
        return self.output.nll(self.decoder(z), x).mean()

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The code f(x): [n, *shape] -> [n, latent_dim]."""
        return self.encoder(x)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The reconstruction g(z): [n, latent_dim] -> [n, *shape]."""
        return self.output.mean(self.decoder(z))


class Autoencoder(EncoderDecoder):
    """Minimises ||x - g(f(x))||^2, or the cross-entropy of x with g(f(x)), summed over the values
    of a point.

    With `hidden=[]` and squared error the code spans the subspace of the principal components
    (Baldi & Hornik 1989).
    """

    settings: AutoencoderSettings
    splits_batches = True

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        return self.reconstruction(batch.x, self.encode(batch.x)), {}

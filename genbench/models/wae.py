"""Wasserstein autoencoder with a kernel distance between codes and prior, WAE-MMD (Tolstikhin et
al. 2018, arXiv:1711.01558).
"""

import torch

from genbench.data.types import Batch
from genbench.models.ae import Autoencoder
from genbench.settings.autoencoders import WAESettings
from genbench.stats.kernels import multiscale_mmd
from genbench.training import shares
from genbench.training.gradient import LossAndTerms, LossNoise, LossWeights


def expected_squared_distance(kind: str, d: int) -> float:
    """E |z - z'|^2 of two independent draws from a prior that `draw_prior` knows, in d dimensions.

    It is 2 d of N(0, I), the scale of the kernel in the paper (section 4).
    """
    # Twice the mean squared length, as the mean is zero; the radius of the ring is even on [.8, 1].
    return {"normal": 2.0 * d, "uniform": 2 * d / 3, "ring": 2 * (1 - 0.8**3) / (3 * 0.2)}[kind]


class WAE(Autoencoder):
    """Minimises reconstruction + lambda MMD^2(f(x), prior), an unbiased estimate of the squared
    maximum mean discrepancy between the codes of a batch and as many draws (algorithm 2 of the
    paper).
    """

    settings: WAESettings
    splits_batches = True

    loss_weights = ("lambda",)
    default_batch_size = 200  # the distance is estimated within a batch
    default_latent_dim = 8  # as in the paper on MNIST

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        return {"prior": self.prior(n, rng)}

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        z = self.encode(batch.x)
        reconstruction = self.reconstruction(batch.x, z)
        scale = expected_squared_distance(self.settings.prior, self.latent_dim)
        codes, draws = shares.whole_batch(z), shares.whole_batch(noise["prior"])
        distance = multiscale_mmd(codes, draws, scale)
        loss = reconstruction + weights["lambda"] * distance
        return loss, {"reconstruction": reconstruction, "kernel_distance": distance}

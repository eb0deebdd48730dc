"""Sparse autoencoder (Ng 2011, CS294A lecture notes)."""

import torch

from genbench.data.types import Batch
from genbench.models.ae import Autoencoder
from genbench.nn.likelihoods import bernoulli_kl
from genbench.settings.autoencoders import SparseAESettings
from genbench.training import shares
from genbench.training.gradient import LossAndTerms, LossNoise, LossWeights
from genbench.visualizations import Distribution, Histograms, Visualization


class SparseAE(Autoencoder):
    """Reconstruction + lambda times a penalty on the code h.

    `kl` has sigmoid units and the penalty sum_j KL(rho || mean over the batch of h_j); `l1` has
    rectified units and the penalty sum_j |h_j|.
    """

    settings: SparseAESettings
    splits_batches = True

    loss_weights = ("lambda",)

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        h = self.encode(batch.x)
        reconstruction = self.reconstruction(batch.x, h)
        if self.settings.sparsity == "kl":
            sparsity = bernoulli_kl(self.settings.rho, shares.whole_batch(h).mean(0)).sum()
        else:
            sparsity = h.abs().sum(1).mean()
        return reconstruction + weights["lambda"] * sparsity, {
            "reconstruction": reconstruction,
            "sparsity": sparsity,
            "activation": h.mean(),
        }

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The code h(x): [n, *shape] -> [n, latent_dim], in (0, 1) for `kl`, >= 0 for `l1`."""
        h = self.encoder(x)
        return h.sigmoid() if self.settings.sparsity == "kl" else torch.relu(h)

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        h = self.encode(x)
        target, idle = (self.settings.rho, 0.5) if self.settings.sparsity == "kl" else (None, 0.0)
        never = f"{int((h.amax(0) <= idle).sum())} of {h.shape[1]} units are never above {idle:g}"
        note = f"activations on {len(x):,} held-out points; {never}"
        panels = {
            "activation": Distribution(h, target),
            "mean activation of a unit": Distribution(h.mean(0), target),
        }
        return {"activations": Histograms(note, panels)}

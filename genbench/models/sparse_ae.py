"""Sparse autoencoder (Ng 2011, CS294A lecture notes)."""

import torch

from genbench.model import View
from genbench.models.ae import Autoencoder
from genbench.nn.likelihoods import bernoulli_kl


class SparseAE(Autoencoder):
    """Reconstruction + lambda times a penalty on the code h.

    `kl`: sigmoid units, sum_j KL(rho || mean over the batch of h_j); `l1`: rectified units, sum_j |h_j|.
    """

    loss_weights = ("lambda",)

    def loss(self, batch, noise, weights):
        h = self.encode(batch.x)
        reconstruction = self.reconstruction(batch.x, h)
        sparsity = (
            bernoulli_kl(self.s.rho, h.mean(0)).sum()
            if self.s.sparsity == "kl"
            else h.abs().sum(1).mean()
        )
        return reconstruction + weights["lambda"] * sparsity, {
            "reconstruction": reconstruction,
            "sparsity": sparsity,
            "activation": h.mean(),
        }

    def encode(self, x):
        """The code h(x): [n, *shape] -> [n, latent_dim], in (0, 1) for `kl`, at least 0 for `l1`."""
        h = self.encoder(x)
        return h.sigmoid() if self.s.sparsity == "kl" else torch.relu(h)

    def views(self, x, rng):
        h = self.encode(x)
        wanted, idle = (self.s.rho, 0.5) if self.s.sparsity == "kl" else (None, 0.0)
        note = f"activations on {len(x):,} held-out points; {int((h.amax(0) <= idle).sum())} of {h.shape[1]} units are never above {idle:g}"
        panels = {"activation": (h, wanted), "mean_activation_of_a_unit": (h.mean(0), wanted)}
        return {"activations": View("histograms", note, panels)}

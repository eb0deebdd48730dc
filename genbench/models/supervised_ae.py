"""Supervised autoencoder (Le, Patterson & White 2018): a code that reconstructs and tells classes apart."""

import torch.nn.functional as F
from torch import nn

from genbench.models.ae import Autoencoder
from genbench.utils.errors import UserError


class SupervisedAE(Autoencoder):
    """Minimises reconstruction + lambda times the cross-entropy of the label with a linear classifier of the code.

    Points without a label (see `dataset.labelled`) count in the reconstruction alone.
    """

    loss_weights = ("lambda",)

    def __init__(self, spec, s):
        super().__init__(spec, s)
        if not spec.classes:
            raise UserError(
                "model", "needs data with classes", s.model["name"], "another dataset, or model=ae"
            )
        self.classifier = nn.Linear(s.latent_dim, spec.classes)

    def loss(self, batch, noise, weights):
        z = self.encode(batch.x)
        reconstruction = self.reconstruction(batch.x, z)
        known = batch.y >= 0
        share = (
            known.float().mean().clamp(min=1e-12)
        )  # so that both terms are means over points with a label
        logits = self.classifier(z)
        classification = (
            F.cross_entropy(logits, batch.y.clamp(min=0), reduction="none") * known
        ).mean() / share
        accuracy = ((logits.argmax(1) == batch.y) & known).float().mean() / share
        terms = {
            "reconstruction": reconstruction,
            "cross_entropy": classification,
            "accuracy": accuracy,
        }
        return reconstruction + weights["lambda"] * classification, terms

    def classify(self, x):
        """The probability of each class [n, classes] for points x [n, *shape]."""
        return self.classifier(self.encode(x)).softmax(1)

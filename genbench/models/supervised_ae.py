"""Supervised autoencoder (Le, Patterson & White 2018): a code that reconstructs and separates
classes.
"""

import torch
import torch.nn.functional as F
from torch import nn

from genbench.data.types import Batch, DataSpec
from genbench.models.ae import Autoencoder
from genbench.settings.autoencoders import SupervisedAESettings
from genbench.training import shares
from genbench.training.gradient import LossAndTerms, LossNoise, LossWeights
from genbench.utils.errors import UserError


class SupervisedAE(Autoencoder):
    """Minimises reconstruction + lambda times the cross-entropy of the label with a linear
    classifier of the code.

    Points without a label (see `dataset.labelled`) only count in the reconstruction.
    """

    settings: SupervisedAESettings
    splits_batches = True

    loss_weights = ("lambda",)

    def __init__(self, spec: DataSpec, settings: SupervisedAESettings) -> None:
        super().__init__(spec, settings)
        if not spec.classes:
            raise UserError(
                "model",
                "needs data with classes",
                settings.model.name,
                "another dataset, or model=ae",
            )
        self.classifier = nn.Linear(settings.latent_dim, spec.classes)

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        z = self.encode(batch.x)
        reconstruction = self.reconstruction(batch.x, z)
        assert batch.y is not None  # the data have classes
        known = batch.y >= 0
        share = shares.whole_batch(known.float()).mean().clamp(min=1e-12)  # of points with a label
        logits = self.classifier(z)
        cross_entropy = F.cross_entropy(logits, batch.y.clamp(min=0), reduction="none")
        classification = (cross_entropy * known).mean() / share
        accuracy = ((logits.argmax(1) == batch.y) & known).float().mean() / share
        terms = {
            "reconstruction": reconstruction,
            "cross_entropy": classification,
            "accuracy": accuracy,
        }
        return reconstruction + weights["lambda"] * classification, terms

    def classify(self, x: torch.Tensor) -> torch.Tensor:
        """The probability of each class [n, classes] for points x [n, *shape]."""
        return self.classifier(self.encode(x)).softmax(1)

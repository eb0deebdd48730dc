"""Sliced-Wasserstein autoencoder (Kolouri et al. 2018, arXiv:1804.01947), also with labels on a few
points.
"""

import math

import torch

from genbench.data.types import Batch, DataSpec, Split
from genbench.model import Logs
from genbench.models.ae import Autoencoder
from genbench.settings.autoencoders import SWAESettings
from genbench.stats.transport import squared_sliced_wasserstein
from genbench.training import shares
from genbench.training.gradient import LossAndTerms, LossNoise, LossWeights
from genbench.utils.errors import UserError

SEEN = 20  # how many labelled points of each class every step uses


class SWAE(Autoencoder):
    """Minimises reconstruction + lambda SW2^2(f(x), prior), the squared sliced 2-Wasserstein
    distance.

    Both terms are sums over dimensions: the reconstruction over the values of a point; the distance
    is the mean over random directions of the mean squared gap between sorted projections, with no
    root per direction.

    With `supervision`, each class of the training data has an equal part of the prior (see
    `part_of`). The distance between the codes of a class and draws from its part, averaged over
    classes, is added with this weight. Besides its batch, every step uses labelled training points
    of all classes, so that a few labels are enough.
    """

    settings: SWAESettings
    splits_batches = True

    loss_weights = ("lambda", "supervision")
    default_batch_size = 500  # the distance is estimated within a batch
    default_latent_dim = 8  # in 16, fewer draws from the prior decode to legible digits (MNIST)

    def __init__(self, spec: DataSpec, settings: SWAESettings) -> None:
        super().__init__(spec, settings)
        if settings.supervision and not spec.classes:
            raise UserError(
                "supervision", "needs data with classes", settings.supervision, "supervision=0"
            )
        if settings.supervision and settings.latent_dim < 2:
            raise UserError(
                "latent_dim",
                "supervision divides the prior by an angle, in two dimensions",
                settings.latent_dim,
                "latent_dim=2",
            )
        # each has a part of the prior, in this order
        self.classes = [c for c in range(spec.classes) if c not in spec.absent]

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        super().setup(train, seed=seed, steps=steps)
        if self.settings.supervision:
            assert train.y is not None  # the data have classes
            y, self.train_part = train.y, train
            self.members = [(y == c).nonzero().flatten() for c in self.classes]
            missing = [c for c, members in zip(self.classes, self.members) if not len(members)]
            if missing:
                what = f"no training point has the label {missing[0]}"
                raise UserError("dataset.labelled", what, fix="more labels, or supervision=0")

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        noise = self.draw_directions(n, rng)
        if self.settings.supervision:
            chosen = [
                members[torch.randint(len(members), (SEEN,), generator=rng, device=rng.device)]
                for members in self.members
            ]
            noise["labelled"] = torch.stack([self.train_part.values(index) for index in chosen])
            noise["parts"] = torch.stack([self.part_of(c, SEEN, rng) for c in self.classes])
        return noise

    def draw_directions(self, n: int, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """The random directions and draws that the distance of n codes to the prior needs."""
        directions = torch.randn(
            self.settings.projections, self.settings.latent_dim, generator=rng, device=rng.device
        )
        return {
            "directions": directions / directions.norm(dim=1, keepdim=True),
            "prior": self.prior(n, rng),
        }

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        z = self.encode(batch.x)
        reconstruction = self.reconstruction(batch.x, z)
        codes, draws = shares.whole_batch(z), shares.whole_batch(noise["prior"])
        distance = squared_sliced_wasserstein(codes, draws, noise["directions"])
        loss = reconstruction + weights["lambda"] * distance
        terms = {"reconstruction": reconstruction, "sliced_wasserstein": distance}
        if "labelled" not in noise:
            return loss, terms
        codes = self.encode(noise["labelled"].flatten(0, 1)).unflatten(0, (-1, SEEN))
        of_class = [
            squared_sliced_wasserstein(a, b, noise["directions"])
            for a, b in zip(codes, noise["parts"])
        ]
        terms["class_distance"] = torch.stack(of_class).mean()
        return loss + weights["supervision"] * terms["class_distance"], terms

    @torch.no_grad()
    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        noise = self.draw_directions(len(batch.x), rng)  # without labelled training points
        loss, terms = self.loss(batch, noise, self.weights)
        return {"loss": loss, **terms}

    @torch.no_grad()
    def held_out(self, batch: Batch, rng: torch.Generator) -> Logs:
        """`accuracy`: the share of points whose code lies in the part of the prior that belongs to
        their class.
        """
        if not self.settings.supervision or batch.y is None:
            return {}
        return {"accuracy": (self.classify(batch.x) == batch.y).float().mean()}

    def part_of(self, c: int, n: int, rng: torch.Generator) -> torch.Tensor:
        """n draws [n, latent_dim] from the part of the prior that belongs to class c.

        For `normal` and `ring`, whose density is rotationally symmetric, it is a sector of the
        angle of the first two coordinates; for `uniform`, a slice of the first coordinate.
        """
        z = self.prior(n, rng)
        within = torch.rand(n, generator=rng, device=rng.device)
        place = (self.classes.index(c) + within) / len(self.classes)
        if self.settings.prior == "uniform":
            return torch.cat([2 * place[:, None] - 1, z[:, 1:]], 1)
        angle, radius = 2 * math.pi * place, z[:, :2].norm(dim=1)
        plane = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
        return torch.cat([plane, z[:, 2:]], 1)

    def classify(self, x: torch.Tensor) -> torch.Tensor:
        """The class [n] whose part of the prior has the code, for points x [n, *shape]."""
        z = self.encode(x)
        if self.settings.prior == "uniform":
            place = (z[:, 0] + 1) / 2
        else:
            place = torch.atan2(z[:, 1], z[:, 0]) / (2 * math.pi) % 1
        index = (place * len(self.classes)).long().clamp(0, len(self.classes) - 1)
        return torch.tensor(self.classes, device=z.device)[index]

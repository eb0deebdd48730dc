"""Sliced-Wasserstein autoencoder (Kolouri et al. 2018, arXiv:1804.01947), also with labels on a few points."""

import math

import torch

from genbench.models.ae import Autoencoder
from genbench.stats.transport import sliced_wasserstein
from genbench.utils.errors import UserError

SEEN = 20  # labelled points of each class at every step


class SWAE(Autoencoder):
    """Minimises reconstruction + lambda SW2^2(f(x), prior), the squared sliced 2-Wasserstein distance.

    Both terms are sums over dimensions: the reconstruction over the values of a point; the distance is the mean over
    random directions of the mean squared gap between sorted projections, with no root per direction.

    With `supervision`, each class of the training data is given an equal part of the prior (see `part_of`), and the mean
    over the classes of the distance between codes of the class and draws from its part is added with this weight. Every
    step sees labelled training points of all classes, whatever its batch holds, so that a few labels are enough.
    """

    loss_weights = ("lambda", "supervision")
    default_batch_size = 500  # the distance is estimated within a batch
    default_latent_dim = 8  # in 16, fewer draws from the prior decode to legible digits (MNIST)

    def __init__(self, spec, s):
        super().__init__(spec, s)
        if s.supervision and not spec.classes:
            raise UserError(
                "supervision", "needs data with classes", s.supervision, "supervision=0"
            )
        if s.supervision and s.latent_dim < 2:
            raise UserError(
                "latent_dim",
                "supervision parts the prior by an angle, in two dimensions",
                s.latent_dim,
                "latent_dim=2",
            )
        self.classes = [
            c for c in range(spec.classes) if c not in spec.absent
        ]  # each has a part of the prior, in this order

    def setup(self, train, *, seed, steps):
        super().setup(train, seed=seed, steps=steps)
        if self.s.supervision:
            self.train_part = train
            self.members = [(train.y == c).nonzero().flatten() for c in self.classes]
            missing = [c for c, members in zip(self.classes, self.members) if not len(members)]
            if missing:
                what = f"no training point is labelled as of class {missing[0]}"
                raise UserError("dataset.labelled", what, fix="more labels, or supervision=0")

    def draw_noise(self, objective, n, rng):
        noise = self.draw_directions(n, rng)
        if self.s.supervision:
            chosen = [
                members[torch.randint(len(members), (SEEN,), generator=rng, device=rng.device)]
                for members in self.members
            ]
            noise["labelled"] = torch.stack([self.train_part.values(index) for index in chosen])
            noise["parts"] = torch.stack([self.part_of(c, SEEN, rng) for c in self.classes])
        return noise

    def draw_directions(self, n: int, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """What the distance of n codes to the prior needs."""
        directions = torch.randn(
            self.s.projections, self.s.latent_dim, generator=rng, device=rng.device
        )
        return {
            "directions": directions / directions.norm(dim=1, keepdim=True),
            "prior": self.prior(n, rng),
        }

    def loss(self, batch, noise, weights):
        z = self.encode(batch.x)
        reconstruction = self.reconstruction(batch.x, z)
        distance = sliced_wasserstein(z, noise["prior"], noise["directions"])
        loss, terms = (
            reconstruction + weights["lambda"] * distance,
            {"reconstruction": reconstruction, "sliced_wasserstein": distance},
        )
        if "labelled" not in noise:
            return loss, terms
        codes = self.encode(noise["labelled"].flatten(0, 1)).unflatten(0, (-1, SEEN))
        of_class = [
            sliced_wasserstein(a, b, noise["directions"]) for a, b in zip(codes, noise["parts"])
        ]
        terms["class_distance"] = torch.stack(of_class).mean()
        return loss + weights["supervision"] * terms["class_distance"], terms

    @torch.no_grad()
    def evaluate(self, batch, rng):
        loss, terms = self.loss(
            batch, self.draw_directions(len(batch.x), rng), self.weights
        )  # nothing of the training labels
        return {"loss": loss, **terms}

    @torch.no_grad()
    def held_out(self, batch, rng):
        """`accuracy`: the share of points whose code lies in the part of the prior that is their class's."""
        return (
            {"accuracy": (self.classify(batch.x) == batch.y).float().mean()}
            if self.s.supervision
            else {}
        )

    def part_of(self, c: int, n: int, rng: torch.Generator) -> torch.Tensor:
        """n draws [n, latent_dim] from class c's part of the prior: of `normal` and `ring`, whose density is the same all
        around, a sector of the angle of the first two coordinates; of `uniform`, a slice of the first coordinate."""
        z = self.prior(n, rng)
        place = (self.classes.index(c) + torch.rand(n, generator=rng, device=rng.device)) / len(
            self.classes
        )
        if self.s.prior == "uniform":
            return torch.cat([2 * place[:, None] - 1, z[:, 1:]], 1)
        angle, radius = 2 * math.pi * place, z[:, :2].norm(dim=1)
        return torch.cat(
            [torch.stack([radius * angle.cos(), radius * angle.sin()], 1), z[:, 2:]], 1
        )

    def classify(self, x):
        """The class [n] in whose part of the prior the codes of points x [n, *shape] lie."""
        z = self.encode(x)
        place = (
            (z[:, 0] + 1) / 2
            if self.s.prior == "uniform"
            else torch.atan2(z[:, 1], z[:, 0]) / (2 * math.pi) % 1
        )
        return torch.tensor(self.classes, device=z.device)[
            (place * len(self.classes)).long().clamp(0, len(self.classes) - 1)
        ]

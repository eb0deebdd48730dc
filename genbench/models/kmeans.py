"""k-means by Lloyd's iterations (Lloyd 1982) or by gradient descent (Bottou & Bengio 1995), from
k-means++ starts.
"""

from typing import NamedTuple

import torch
from torch import nn

from genbench.data.types import Batch, DataSpec, Split
from genbench.model import Logs, Model
from genbench.settings.classical import ComponentSettings, GradientKMeansSettings, KMeansSettings
from genbench.settings.run import RunSettings
from genbench.stats.clustering import (
    SINGLE_FROM,
    NearestCentre,
    distance_rows,
    plus_plus,
    squared_distances,
    squared_lengths,
    starting_rows,
    totals,
)
from genbench.stats.products import wide
from genbench.training import ranks
from genbench.training.em import EM, Sums
from genbench.training.gradient import (
    GradientModel,
    LossAndTerms,
    LossNoise,
    LossWeights,
    Objective,
)
from genbench.utils.rng import generator
from genbench.visualizations import MixtureComponents, Visualization


class Clusters(NamedTuple):
    """Centres [K, D], the share [K] of training points nearest to each, and the mean squared
    distance to them.
    """

    centres: torch.Tensor
    sizes: torch.Tensor
    inertia: torch.Tensor


class Clustering(Model):
    """The capabilities of K centres, however they were fitted; a subclass keeps them as its
    `clusters`.

    The mean squared distance to the nearest centre is the limit of the likelihood of a Gaussian
    mixture with covariance s2 I, weights 1/K and hard assignment. `sample` draws from that mixture,
    where s2 is the mean squared distance per dimension in the last epoch.
    """

    settings: ComponentSettings

    criterion: str | None = "inertia"

    @classmethod
    def largest(cls, settings: RunSettings, points: int, size: int) -> dict[str, int]:
        # each cluster begins at a point of its own
        return super().largest(settings, points, size) | {"n_components": points}

    @property
    def clusters(self) -> Clusters:
        """The fitted centres."""
        raise NotImplementedError

    def distances(self, x: torch.Tensor) -> torch.Tensor:
        """Squared distances [n, K] of data [n, *shape] to the centres."""
        centres = self.clusters.centres
        origin = centres.mean(0)  # against cancellation in single precision, for data far from zero
        return squared_distances(x.flatten(1).to(centres) - origin, centres - origin)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The index [n] of each point's nearest centre."""
        return self.distances(x).argmin(1)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The centre [n, *shape] of each index [n]."""
        return self.clusters.centres[z].float().unflatten(1, self.spec.shape)

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n draws [n, *shape] from the matching mixture."""
        z = torch.randint(self.settings.n_components, (n,), generator=rng, device=rng.device)
        scale = (self.clusters.inertia / self.spec.size).sqrt().float()
        return self.decode(z) + scale * torch.randn(
            n, *self.spec.shape, generator=rng, device=rng.device
        )

    def for_inference(self) -> Model:
        return FittedClusters(self)

    def warnings(self) -> list[str]:
        empty = int((self.clusters.sizes == 0).sum())
        what = f"{empty} of {self.settings.n_components} clusters have no points"
        return [f"{what}, as there are fewer distinct ones: lower n_components"] if empty else []

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        points = self.decode(torch.arange(self.settings.n_components, device=self.device))
        note = "centres, with the share of the training points that are nearest to them"
        centres = MixtureComponents(note, points, self.clusters.sizes, label="centre")
        return {"centres": centres}


class FittedClusters(Clustering):
    """The centres of a trained clustering, without what only training needs."""

    def __init__(self, trained: Clustering) -> None:
        super().__init__(trained.spec, trained.settings)
        self.fitted = Clusters(*(part.detach() for part in trained.clusters))

    @property
    def clusters(self) -> Clusters:
        return self.fitted

    @property
    def device(self) -> torch.device:
        """The device of the centres."""
        return self.fitted.centres.device


class KMeans(Clustering, EM):
    """Minimises E(D, K) = mean ||x - mu_z||^2, z = argmin_k ||x - mu_k||^2, by moving centres to
    their points' means.

    A cluster that has lost its last point moves to the point that is farthest from its centre.
    """

    settings: KMeansSettings
    splits_batches = True
    shown_as = ("inertia", "inertia with the last assignments", 1)

    centres: torch.Tensor  # [n_init, K, D]
    sizes: torch.Tensor  # [n_init, K], shares of the points in the last epoch
    points: Split  # what it learns from

    def __init__(self, spec: DataSpec, settings: KMeansSettings) -> None:
        super().__init__(spec, settings)
        if spec.size >= SINGLE_FROM:  # points between two centres may change sides forever
            self.rounding = 1e-6
        shape = (settings.n_init, settings.n_components)
        self.register_buffer("centres", torch.zeros(*shape, spec.size, dtype=torch.float64))
        self.register_buffer("sizes", torch.zeros(shape, dtype=torch.float64))
        # By start: the mean of the centres, and what finds the nearest of them around it, while
        # they stay where they are.
        self.nearest: dict[int, tuple[torch.Tensor, NearestCentre]] = {}

    @property
    def clusters(self) -> Clusters:
        return Clusters(self.centres[self.best], self.sizes[self.best], self.objective[self.best])

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        super().setup(train, seed=seed, steps=steps)
        self.points = train

    def init_params(self, start: int, x: torch.Tensor, rng: torch.Generator) -> None:
        self.centres[start] = wide(x[plus_plus(x, self.settings.n_components, rng)])
        self.nearest.pop(start, None)

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        return distance_rows(x)

    def e_step(self, start: int, x: torch.Tensor) -> Sums:
        if start not in self.nearest:
            origin = self.centres[start].mean(0)
            nearest = NearestCentre(self.centres[start] - origin, like=x)
            self.nearest[start] = origin.to(x), nearest
        origin, nearest = self.nearest[start]
        x = x - origin
        reduced, index = nearest.to(x)
        counts, shifts = totals(x, index, self.settings.n_components)
        distances = wide(reduced + squared_lengths(x)).clamp(min=0)
        return {"objective": distances.sum(), "counts": counts, "shifts": shifts}

    def gain(self, start: int, sums: Sums) -> torch.Tensor:
        counts, origin = sums["counts"], self.centres[start].mean(0)
        moves = origin + sums["shifts"] / counts.clamp(min=1)[:, None] - self.centres[start]
        return counts @ moves.square().sum(1)

    def m_step(self, start: int, sums: Sums, n: int) -> None:
        counts = sums["counts"]
        empty = counts == 0
        means = self.centres[start].mean(0) + sums["shifts"] / counts.clamp(min=1)[:, None]
        if empty.any():
            distances, means[empty] = self.farthest(start, int(empty.sum()))
            if distances[0] > 0:
                self.settled[start] = False  # the moved centres may still lower the objective
        self.sizes[start], self.centres[start] = counts / n, means
        self.nearest.pop(start, None)

    def farthest(self, start: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The points [count, D] that are farthest from their nearest centres, farthest first, after
        their squared distances [count].
        """
        distances, points = self.centres.new_empty(0), self.centres.new_empty(0, self.spec.size)
        for batch in self.points.batches(self.settings.batch_size):
            x = wide(batch.x.flatten(1))
            to_nearest = squared_distances(x, self.centres[start]).amin(1)
            distances, points = torch.cat([distances, to_nearest]), torch.cat([points, x])
            distances, index = distances.topk(min(count, len(distances)))
            points = points[index]
        return distances, points

    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        return {"inertia": self.distances(batch.x).amin(1).mean()}

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        return super().visualizations(x, rng) | EM.visualizations(self, x, rng)


class GradientKMeans(Clustering, GradientModel):
    """Minimises mean min_k ||x - mu_k||^2 by its gradient, which moves only the nearest centre of
    each point.
    """

    settings: GradientKMeansSettings
    splits_batches = True

    sizes: torch.Tensor  # [K], shares of the points in the last epoch
    reached: torch.Tensor  # the mean squared distance in the last epoch

    objectives = {"model": Objective("inertia")}

    def __init__(self, spec: DataSpec, settings: GradientKMeansSettings) -> None:
        super().__init__(spec, settings)
        self.centres = nn.Parameter(torch.randn(settings.n_components, spec.size))
        self.register_buffer("sizes", torch.zeros(settings.n_components))
        self.register_buffer("reached", torch.zeros(()))

    @property
    def clusters(self) -> Clusters:
        return Clusters(self.centres, self.sizes, self.reached)

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        super().setup(train, seed=seed, steps=steps)
        self.forget()

    def forget(self) -> None:
        """Start an epoch, in which no point has been assigned to a centre yet."""
        self.counts = torch.zeros_like(self.sizes)  # points assigned to each centre in this epoch
        self.distance = torch.zeros_like(self.reached)  # sum of their squared distances

    @torch.no_grad()
    def initialise(self, train: Split, *, seed: int) -> None:
        x = starting_rows(train, self.settings.n_components)
        rng = generator(seed, "start", 0, device=x.device)
        self.centres.copy_(x[plus_plus(x, self.settings.n_components, rng)])

    def inertia(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        """The mean squared distance of points to their nearest centre."""
        return self.distances(batch.x).amin(1).mean(), {}

    def step(self, batch: Batch) -> Logs:
        logs = super().step(batch)
        with torch.no_grad():
            distance, nearest = self.distances(batch.x).min(1)
            counts = torch.bincount(nearest, minlength=self.settings.n_components)
            sums = {"counts": counts, "distance": distance.sum()}
            sums = ranks.add_up(sums, are_complete=True)
            self.counts += sums["counts"]
            self.distance += sums["distance"]
        return logs

    def end_epoch(self) -> Logs:
        self.sizes.copy_(self.counts / self.counts.sum())
        self.reached.copy_(self.distance / self.counts.sum())
        self.forget()
        return super().end_epoch()

    def training_state(self) -> dict:
        return super().training_state() | {"counts": self.counts, "distance": self.distance}

    def load_training_state(self, state: dict) -> None:
        super().load_training_state(state)
        self.counts, self.distance = state["counts"], state["distance"]

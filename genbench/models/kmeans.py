"""k-means by Lloyd's iterations (Lloyd 1982) or by gradient descent (Bottou & Bengio 1995), from
k-means++ starts.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from genbench.data.types import Batch, DataSpec, Split
from genbench.model import Logs, Model
from genbench.settings.classical import ComponentSettings, GradientKMeansSettings, KMeansSettings
from genbench.settings.run import RunSettings
from genbench.training.em import EM, Sums, rows
from genbench.training.gradient import (
    GradientModel,
    LossAndTerms,
    LossNoise,
    LossWeights,
    Objective,
)
from genbench.utils import signals
from genbench.utils.rng import generator
from genbench.visualizations import MixtureComponents, Visualization


def squared_distances(x: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Squared distances [n, K] of points [n, D] to centres [K, D], never below zero."""
    return (x.square().sum(1, keepdim=True) - 2 * x @ centres.T + centres.square().sum(1)).clamp(
        min=0
    )


def memberships(distances: torch.Tensor) -> torch.Tensor:
    """A one-hot matrix [n, K] of each point's nearest centre, from distances [n, K]."""
    return torch.nn.functional.one_hot(distances.argmin(1), distances.shape[1]).to(distances)


def plus_plus(x: torch.Tensor, k: int, rng: torch.Generator) -> torch.Tensor:
    """k starting centres [k, D] among points [N, D]: greedy k-means++ (Arthur & Vassilvitskii
    2007).

    Each next centre is the best of a few candidates, which are drawn with probability proportional
    to their squared distance from the centres so far. If every point is a centre already, points
    are drawn at random.
    """
    trials = 2 + int(math.log(k))
    first = torch.randint(len(x), (1,), generator=rng, device=x.device)
    chosen, nearest = [first], squared_distances(x, x[first]).squeeze(1)
    for _ in range(k - 1):
        signals.check()
        total = nearest.cumsum(0)
        drawn = torch.rand(trials, generator=rng, device=x.device, dtype=x.dtype)
        if total[-1] > 0:
            candidates = torch.searchsorted(total, drawn * total[-1]).clamp(max=len(x) - 1)
        else:
            candidates = (drawn * len(x)).long()
        reached = torch.minimum(nearest, squared_distances(x, x[candidates]).T)
        best = reached.sum(1).argmin()
        chosen.append(candidates[best : best + 1])
        nearest = reached[best]
    return x[torch.cat(chosen)].clone()


def lloyd(x: torch.Tensor, k: int, rng: torch.Generator, iterations: int) -> torch.Tensor:
    """k centres [k, D] of points [N, D] after some of Lloyd's iterations from k-means++ starts."""
    centres = plus_plus(x, k, rng)
    for _ in range(iterations):
        signals.check()
        member = memberships(squared_distances(x, centres))
        counts = member.sum(0)[:, None]
        centres = torch.where(counts > 0, member.T @ x / counts.clamp(min=1), centres)
    return centres


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

    def warnings(self) -> list[str]:
        empty = int((self.clusters.sizes == 0).sum())
        what = f"{empty} of {self.settings.n_components} clusters have no points"
        return [f"{what}, as there are fewer distinct ones: lower n_components"] if empty else []

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        points = self.decode(torch.arange(self.settings.n_components, device=self.device))
        note = "centres, with the share of the training points that are nearest to them"
        centres = MixtureComponents(note, points, self.clusters.sizes, label="centre")
        return {"centres": centres}


class KMeans(Clustering, EM):
    """Minimises E(D, K) = mean ||x - mu_z||^2, z = argmin_k ||x - mu_k||^2, by moving centres to
    their points' means.

    A cluster that has lost its last point moves to the point that is farthest from its centre.
    """

    settings: KMeansSettings

    centres: torch.Tensor  # [n_init, K, D]
    sizes: torch.Tensor  # [n_init, K], shares of the points in the last epoch

    def __init__(self, spec: DataSpec, settings: KMeansSettings) -> None:
        super().__init__(spec, settings)
        shape = (settings.n_init, settings.n_components)
        self.register_buffer("centres", torch.zeros(*shape, spec.size, dtype=torch.float64))
        self.register_buffer("sizes", torch.zeros(shape, dtype=torch.float64))

    @property
    def clusters(self) -> Clusters:
        return Clusters(self.centres[self.best], self.sizes[self.best], self.objective[self.best])

    def init_params(self, start: int, x: torch.Tensor, rng: torch.Generator) -> None:
        self.centres[start] = plus_plus(x, self.settings.n_components, rng)

    def e_step(self, start: int, x: torch.Tensor) -> Sums:
        distances = squared_distances(x, self.centres[start])
        member, nearest = memberships(distances), distances.amin(1)
        totals = {"objective": nearest.sum(), "counts": member.sum(0), "sums": member.T @ x}
        return totals | {"nearest": nearest, "farthest": x}

    def merge_stats(self, sums: Sums, more: Sums) -> Sums:
        """Totals, and as many points as clusters: those farthest from their nearest centres,
        farthest first.
        """
        parts = [part for part in (sums, more) if part]
        totals = {
            name: torch.stack([part[name] for part in parts]).sum(0)
            for name in ("objective", "counts", "sums")
        }
        nearest = torch.cat([part["nearest"] for part in parts])
        points = torch.cat([part["farthest"] for part in parts])
        far = nearest.topk(min(self.settings.n_components, len(nearest))).indices
        return totals | {"nearest": nearest[far], "farthest": points[far]}

    def m_step(self, start: int, sums: Sums, n: int) -> None:
        counts, empty = sums["counts"], sums["counts"] == 0
        self.sizes[start] = counts / n
        self.centres[start] = sums["sums"] / counts.clamp(min=1)[:, None]
        self.centres[start][empty] = sums["farthest"][: int(empty.sum())]
        if empty.any() and sums["nearest"][0] > 0:
            self.settled[start] = False  # the moved centres may still lower the objective

    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        return {"inertia": self.distances(batch.x).amin(1).mean()}


class GradientKMeans(Clustering, GradientModel):
    """Minimises mean min_k ||x - mu_k||^2 by its gradient, which moves only the nearest centre of
    each point.
    """

    settings: GradientKMeansSettings

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
        x = rows(train.values())
        rng = generator(seed, "start", 0, device=x.device)
        self.centres.copy_(plus_plus(x, self.settings.n_components, rng))

    def inertia(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        """The mean squared distance of points to their nearest centre."""
        return self.distances(batch.x).amin(1).mean(), {}

    def step(self, batch: Batch) -> Logs:
        logs = super().step(batch)
        with torch.no_grad():
            distance, nearest = self.distances(batch.x).min(1)
            self.counts += torch.bincount(nearest, minlength=self.settings.n_components)
            self.distance += distance.sum()
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

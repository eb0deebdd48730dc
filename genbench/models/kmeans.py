"""k-means by Lloyd's iterations (Lloyd 1982) or by gradient descent (Bottou & Bengio 1995), from k-means++ starts."""

import math
from typing import NamedTuple

import torch
from torch import nn

from genbench.model import Model, View
from genbench.training.em import EM, rows
from genbench.training.gradient import GradientModel, Objective
from genbench.utils import signals
from genbench.utils.rng import generator


def squared_distances(x: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Squared distances [n, K] of points [n, D] to centres [K, D], never below zero."""
    return (x.square().sum(1, keepdim=True) - 2 * x @ centres.T + centres.square().sum(1)).clamp(
        min=0
    )


def memberships(distances: torch.Tensor) -> torch.Tensor:
    """For distances [n, K] of points to centres, [n, K] with a one at each point's nearest centre."""
    return torch.nn.functional.one_hot(distances.argmin(1), distances.shape[1]).to(distances)


def plus_plus(x: torch.Tensor, k: int, rng: torch.Generator) -> torch.Tensor:
    """k starting centres [k, D] among points [N, D]: greedy k-means++ (Arthur & Vassilvitskii 2007).

    Each next centre is the best of a few candidates drawn with probability proportional to their squared distance
    from the centres so far. Where every point is a centre already, points are drawn at random.
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
    """k centres [k, D] of points [N, D] after so many of Lloyd's iterations from k-means++."""
    centres = plus_plus(x, k, rng)
    for _ in range(iterations):
        signals.check()
        member = memberships(squared_distances(x, centres))
        counts = member.sum(0)[:, None]
        centres = torch.where(counts > 0, member.T @ x / counts.clamp(min=1), centres)
    return centres


class Clusters(NamedTuple):
    """Centres [K, D], the share [K] of the training points that are nearest to each, and their mean squared distance."""

    centres: torch.Tensor
    sizes: torch.Tensor
    inertia: torch.Tensor


class Clustering(Model):
    """What K centres can do, however they were found: a subclass keeps them as its `clusters`.

    The mean squared distance to the nearest centre is the limit of a Gaussian mixture with covariance s2 I, weights 1/K
    and hard assignment; `sample` draws from that mixture, with s2 the mean squared distance per dimension in the last
    pass.
    """

    criterion = "inertia"

    @classmethod
    def largest(cls, s, points, size):
        return super().largest(s, points, size) | {
            "n_components": points
        }  # each begins at a point of its own

    @property
    def clusters(self) -> Clusters:
        """The centres that were found."""
        raise NotImplementedError

    def distances(self, x):
        """Squared distances [n, K] of data [n, *shape] to the centres."""
        centres = self.clusters.centres
        origin = centres.mean(
            0
        )  # else, in single precision, squares would cancel where data are far from zero
        return squared_distances(x.flatten(1).to(centres) - origin, centres - origin)

    def encode(self, x):
        """The index [n] of each point's nearest centre."""
        return self.distances(x).argmin(1)

    def decode(self, z):
        """The centre [n, *shape] of each index [n]."""
        return self.clusters.centres[z].float().unflatten(1, self.spec.shape)

    def sample(self, n, rng):
        """n draws [n, *shape] from the matching mixture."""
        z = torch.randint(self.s.n_components, (n,), generator=rng, device=rng.device)
        scale = (self.clusters.inertia / self.spec.size).sqrt().float()
        return self.decode(z) + scale * torch.randn(
            n, *self.spec.shape, generator=rng, device=rng.device
        )

    def warnings(self):
        empty = int((self.clusters.sizes == 0).sum())
        of = f"{empty} of {self.s.n_components} clusters hold no points, as if there were fewer distinct ones: lower n_components"
        return [of] if empty else []

    def views(self, x, rng):
        points = self.decode(torch.arange(self.s.n_components, device=self.device))
        note = "centres, with the share of the training points that are nearest to them"
        return {
            "centres": View(
                "components",
                note,
                {"points": points, "weights": self.clusters.sizes, "called": "centre"},
            )
        }


class KMeans(Clustering, EM):
    """Minimises E(D, K) = mean ||x - mu_z||^2 with z = argmin_k ||x - mu_k||^2 by moving centres to the means of their
    points. A cluster that lost its last point moves to the point that is farthest from its centre.
    """

    def __init__(self, spec, s):
        super().__init__(spec, s)
        self.register_buffer(
            "centres", torch.zeros(s.n_init, s.n_components, spec.size, dtype=torch.float64)
        )
        self.register_buffer(
            "sizes", torch.zeros(s.n_init, s.n_components, dtype=torch.float64)
        )  # shares of the last pass

    @property
    def clusters(self):
        return Clusters(self.centres[self.best], self.sizes[self.best], self.objective[self.best])

    def init_params(self, start, x, rng):
        self.centres[start] = plus_plus(x, self.s.n_components, rng)

    def e_step(self, start, x):
        distances = squared_distances(x, self.centres[start])
        member, nearest = memberships(distances), distances.amin(1)
        totals = {"objective": nearest.sum(), "counts": member.sum(0), "sums": member.T @ x}
        return totals | {"nearest": nearest, "farthest": x}

    def merge_stats(self, sums, more):
        """Totals, and as many points as there are clusters: those farthest from their nearest centres, farthest first."""
        parts = [part for part in (sums, more) if part]
        totals = {
            name: sum(part[name] for part in parts) for name in ("objective", "counts", "sums")
        }
        nearest, points = (
            torch.cat([part[name] for part in parts]) for name in ("nearest", "farthest")
        )
        far = nearest.topk(min(self.s.n_components, len(nearest))).indices
        return totals | {"nearest": nearest[far], "farthest": points[far]}

    def m_step(self, start, sums, n):
        counts, empty = sums["counts"], sums["counts"] == 0
        self.sizes[start] = counts / n
        self.centres[start] = sums["sums"] / counts.clamp(min=1)[:, None]
        self.centres[start][empty] = sums["farthest"][: int(empty.sum())]
        if empty.any() and sums["nearest"][0] > 0:
            self.settled[start] = False  # the moved centres may still lower the objective

    def evaluate(self, batch, rng):
        return {"inertia": self.distances(batch.x).amin(1).mean()}


class GradientKMeans(Clustering, GradientModel):
    """Minimises the same mean of min_k ||x - mu_k||^2 by its gradient, which moves each point's nearest centre only."""

    objectives = {"model": Objective("inertia")}

    def __init__(self, spec, s):
        super().__init__(spec, s)
        self.centres = nn.Parameter(torch.randn(s.n_components, spec.size))
        self.register_buffer("sizes", torch.zeros(s.n_components))
        self.register_buffer("reached", torch.zeros(()))

    @property
    def clusters(self):
        return Clusters(self.centres, self.sizes, self.reached)

    def setup(self, train, *, seed, steps):
        super().setup(train, seed=seed, steps=steps)
        self.forget()

    def forget(self) -> None:
        """Start an epoch: no point was assigned to a centre yet."""
        self.counts = torch.zeros_like(self.sizes)  # points assigned to each centre in this epoch
        self.distance = torch.zeros_like(self.reached)  # sum of their squared distances

    @torch.no_grad()
    def initialise(self, train, *, seed):
        x = rows(train.values())
        self.centres.copy_(
            plus_plus(x, self.s.n_components, generator(seed, "start", 0, device=x.device))
        )

    def inertia(self, batch, noise, weights):
        """The mean squared distance of points to their nearest centre."""
        return self.distances(batch.x).amin(1).mean(), {}

    def step(self, batch):
        logs = super().step(batch)
        with torch.no_grad():
            distance, nearest = self.distances(batch.x).min(1)
            self.counts += torch.bincount(nearest, minlength=self.s.n_components)
            self.distance += distance.sum()
        return logs

    def end_epoch(self):
        self.sizes.copy_(self.counts / self.counts.sum())
        self.reached.copy_(self.distance / self.counts.sum())
        self.forget()
        return super().end_epoch()

    def training_state(self):
        return super().training_state() | {"counts": self.counts, "distance": self.distance}

    def load_training_state(self, state):
        super().load_training_state(state)
        self.counts, self.distance = state["counts"], state["distance"]

"""k-means (Lloyd 1982) from k-means++ starts (Arthur & Vassilvitskii 2007)."""

import math

import torch

from ..em import EM
from ..model import View


def squared_distances(x: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Squared distances [n, K] of points [n, D] to centres [K, D], never below zero."""
    return (x.square().sum(1, keepdim=True) - 2 * x @ centres.T + centres.square().sum(1)).clamp(min=0)


def memberships(distances: torch.Tensor) -> torch.Tensor:
    """For distances [n, K] of points to centres, [n, K] with a one at each point's nearest centre."""
    return torch.nn.functional.one_hot(distances.argmin(1), distances.shape[1]).to(distances)


def plus_plus(x: torch.Tensor, k: int, rng: torch.Generator) -> torch.Tensor:
    """k starting centres [k, D] among points [N, D]: greedy k-means++.

    Each next centre is the best of a few candidates drawn with probability proportional to their squared distance
    from the centres so far. Where every point is a centre already, points are drawn at random.
    """
    trials = 2 + int(math.log(k))
    first = torch.randint(len(x), (1,), generator=rng, device=x.device)
    chosen, nearest = [first], squared_distances(x, x[first]).squeeze(1)
    for _ in range(k - 1):
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


class KMeans(EM):
    """Minimises E(D, K) = mean ||x - mu_z||^2 with z = argmin_k ||x - mu_k||^2.

    It is the limit of a Gaussian mixture with covariance s2 I, weights 1/K and hard assignment; `sample` draws from
    that mixture, with s2 the mean squared distance per dimension in the last pass. A cluster that lost its last point moves to the
    point that is farthest from its centre.
    """

    criterion = "inertia"

    def __init__(self, space, s):
        super().__init__(space, s)
        self.register_buffer("centres", torch.zeros(s.n_init, s.n_components, space.size, dtype=torch.float64))
        self.register_buffer("sizes", torch.zeros(s.n_init, s.n_components, dtype=torch.float64))  # shares of the last pass

    def begin(self, start, x, rng):
        self.centres[start] = plus_plus(x, self.s.n_components, rng)

    def expect(self, start, x):
        distances = squared_distances(x, self.centres[start])
        member, nearest = memberships(distances), distances.amin(1)
        far = Farthest(nearest, x, self.s.n_components)
        return {"objective": nearest.sum(), "counts": member.sum(0), "sums": member.T @ x, "far": far}

    def maximise(self, start, sums, n):
        counts, empty = sums["counts"], sums["counts"] == 0
        self.sizes[start] = counts / n
        self.centres[start] = sums["sums"] / counts.clamp(min=1)[:, None]
        self.centres[start][empty] = sums["far"].points[: int(empty.sum())]
        if empty.any() and sums["far"].distance[0] > 0:
            self.settled[start] = False  # the moved centres may still lower the objective

    def evaluate(self, batch, rng):
        return {"inertia": squared_distances(self.flat(batch.x), self.centres[self.best]).min(1).values.mean()}

    def encode(self, x):
        """The index [n] of each point's nearest centre."""
        return squared_distances(self.flat(x), self.centres[self.best]).argmin(1)

    def decode(self, z):
        """The centre [n, *shape] of each index [n]."""
        return self.centres[self.best][z].float().unflatten(1, self.space.shape)

    def sample(self, n, rng):
        """n draws [n, *shape] from the matching mixture."""
        z = torch.randint(self.s.n_components, (n,), generator=rng, device=rng.device)
        scale = (self.objective[self.best] / self.space.size).sqrt().float()
        return self.decode(z) + scale * torch.randn(n, *self.space.shape, generator=rng, device=rng.device)

    def views(self, x, rng):
        points, sizes = self.decode(torch.arange(self.s.n_components, device=self.device)), self.sizes[self.best]
        note = "centres, with the share of the training points that are nearest to them"
        return {"centres": View("components", note, {"points": points, "weights": sizes})}


class Farthest:
    """The `keep` points farthest from their centres, farthest first, as something that adds up over batches."""

    def __init__(self, distance: torch.Tensor, points: torch.Tensor, keep: int):
        far = distance.topk(min(keep, len(distance))).indices
        self.distance, self.points, self.keep = distance[far], points[far], keep

    def __add__(self, other: "Farthest") -> "Farthest":
        return Farthest(torch.cat([self.distance, other.distance]), torch.cat([self.points, other.points]), self.keep)

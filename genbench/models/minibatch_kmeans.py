"""k-means from batches of points (Sculley 2010), for data of which a pass takes long."""

import torch

from genbench.data.types import Batch, DataSpec, Split
from genbench.model import Logs
from genbench.models.kmeans import Clustering, Clusters
from genbench.settings.classical import MiniBatchKMeansSettings
from genbench.stats.clustering import (
    NearestCentre,
    distance_rows,
    plus_plus,
    squared_lengths,
    totals,
)
from genbench.stats.products import wide
from genbench.training import ranks, shares
from genbench.utils.rng import generator

FIRST_LOOK = 10_000  # how many points, or three for each centre, starts are chosen from


class MiniBatchKMeans(Clustering):
    """Minimises mean min_k ||x - mu_k||^2 by moving each centre to the mean of all points that were
    nearest to it when they were visited.

    Each point moves its centre by one over the number of points that the centre has met, so there
    is no learning rate to choose.
    """

    settings: MiniBatchKMeansSettings
    splits_batches = True

    default_batch_size = 1024
    centres: torch.Tensor  # [K, D]
    met: torch.Tensor  # [K], how many points have moved each centre since the start
    sizes: torch.Tensor  # [K], shares of the points in the last epoch
    reached: torch.Tensor  # the mean squared distance in the last epoch

    def __init__(self, spec: DataSpec, settings: MiniBatchKMeansSettings) -> None:
        super().__init__(spec, settings)
        k = settings.n_components
        self.register_buffer("centres", torch.zeros(k, spec.size, dtype=torch.float64))
        self.register_buffer("met", torch.zeros(k, dtype=torch.float64))
        self.register_buffer("sizes", torch.zeros(k, dtype=torch.float64))
        self.register_buffer("reached", torch.zeros((), dtype=torch.float64))

    @property
    def clusters(self) -> Clusters:
        return Clusters(self.centres, self.sizes, self.reached)

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        self.forget()

    def forget(self) -> None:
        """Start an epoch, in which no point has been assigned to a centre yet."""
        self.counts = torch.zeros_like(self.sizes)  # points assigned to each centre in this epoch
        self.distance = torch.zeros_like(self.reached)  # sum of their squared distances

    def initialise(self, train: Split, *, seed: int) -> None:
        k = self.settings.n_components
        x = distance_rows(train.spread(max(FIRST_LOOK, 3 * k)).values())
        self.centres.copy_(x[plus_plus(x, k, generator(seed, "start", 0, device=x.device))])

    def step(self, batch: Batch) -> Logs:
        origin = self.centres.mean(0)
        x = distance_rows(batch.x)
        x = x - origin.to(x)
        reduced, index = NearestCentre(self.centres - origin, like=x).to(x)
        distance = wide(reduced + squared_lengths(x)).clamp(min=0).sum()
        counts, sums = totals(x, index, self.settings.n_components)
        found = {"counts": counts, "sums": sums, "distance": distance}
        found = ranks.add_up(found, are_complete=True)
        counts, sums, distance = found["counts"], found["sums"], found["distance"]
        self.met += counts
        moves = sums - counts[:, None] * (self.centres - origin)
        self.centres += moves / self.met.clamp(min=1)[:, None]
        self.counts += counts
        self.distance += distance
        return {"inertia": distance / shares.batch_size(len(x))}

    def end_epoch(self) -> Logs:
        self.sizes.copy_(self.counts / self.counts.sum())
        self.reached.copy_(self.distance / self.counts.sum())
        self.forget()
        return {}

    def training_state(self) -> dict:
        return {"counts": self.counts, "distance": self.distance}

    def load_training_state(self, state: dict) -> None:
        self.counts, self.distance = state["counts"], state["distance"]

    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        return {"inertia": self.distances(batch.x).amin(1).mean()}

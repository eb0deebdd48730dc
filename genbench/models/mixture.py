"""Mixtures of any distribution: their capabilities, and how EM fits them (Dempster, Laird & Rubin
1977).
"""

from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any

import torch

from genbench.data.types import Batch, DataSpec
from genbench.model import Logs, Model
from genbench.settings.classical import ComponentSettings, EMSettings
from genbench.settings.run import RunSettings
from genbench.stats.clustering import NearestCentre, lloyd, one_hot
from genbench.stats.products import wide
from genbench.training.em import EM, Sums, add
from genbench.utils.tracing import is_traced
from genbench.visualizations import Memberships, MixtureComponents, Visualization

WARM_START = 20  # iterations of k-means before EM or descent begins
NEGLIGIBLE = 1e-30  # responsibilities below this count as zero
POINTS_AT_ONCE = 4096  # how many points are processed together

Prepared = tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class Components:
    """K distributions over rows of D values, and their weights."""

    log_weights: torch.Tensor  # [K]
    means: torch.Tensor  # [K, D]

    @property
    def weights(self) -> torch.Tensor:
        """pi_k [K]."""
        return self.log_weights.exp()

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Points x [n, ...] in parts that are fast to process together."""
        return (x,) if is_traced() else x.split(POINTS_AT_ONCE)

    def completed(self) -> "Components":
        """The same components, with all that only depends on them worked out.

        In a trace it would be worked out from tensors that hold no values.
        """
        for base in type(self).__mro__:
            for name, value in vars(base).items():
                if isinstance(value, cached_property):
                    getattr(self, name)
        return self

    def prepared(self, x: torch.Tensor) -> Prepared:
        """What `joint_of` and `moments` read of rows x [n, D], computed once for both."""
        return (x,)

    def joint(self, x: torch.Tensor) -> torch.Tensor:
        """log pi_k + log p(x | k) [n, K] of rows x [n, D]."""
        return self.joint_of(self.prepared(x))

    def joint_of(self, prepared: Prepared) -> torch.Tensor:
        """log pi_k + log p(x | k) [n, K] of prepared rows."""
        raise NotImplementedError

    def draw(self, z: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """A draw from each of the components z [n]: [n, D]."""
        raise NotImplementedError

    def moments(self, prepared: Prepared, r: torch.Tensor) -> Sums:
        """The sufficient statistics of prepared rows with responsibilities r [n, K], which
        `maximised` needs.
        """
        raise NotImplementedError

    def maximised(self, sums: Sums) -> "Components":
        """The maximum-likelihood components, given the moments of all points."""
        raise NotImplementedError

    def gain(self, sums: Sums) -> torch.Tensor:
        """By how much `maximised` raises sum_ik r_ik (log pi_k + log p(x_i | k)), a scalar, given
        the moments of all points, with the responsibilities r that these were computed with.
        """
        raise NotImplementedError

    def around(self, centres: torch.Tensor, x: torch.Tensor) -> "Components":
        """The maximum-likelihood components if rows x [N, D] belong to the nearest of these centres
        [K, D].
        """
        here = replace(self, means=centres)
        origin, k = centres.mean(0), len(centres)
        nearest = NearestCentre(centres - origin, like=wide(centres))

        def moments(part: torch.Tensor) -> Sums:
            part = wide(part)
            _, index = nearest.to(part - origin)
            return here.moments(here.prepared(part), one_hot(index, k, like=part))

        return here.maximised(reduce(add, map(moments, here.parts(x)), {}))


class Mixture(Model):
    """p(x) = sum_k pi_k p(x | k) and its capabilities, however it was fitted; a subclass keeps its
    `mixture`.
    """

    settings: ComponentSettings

    criterion: str | None = "nll"

    @classmethod
    def largest(cls, settings: RunSettings, points: int, size: int) -> dict[str, int]:
        # each component begins at a point of its own
        return super().largest(settings, points, size) | {"n_components": points}

    @property
    def mixture(self) -> Components:
        """The fitted components."""
        raise NotImplementedError

    def joint(self, x: torch.Tensor) -> torch.Tensor:
        """log pi_k + log p(x | k) [n, K] of data x [n, *shape]."""
        mixture = self.mixture
        rows = x.flatten(1).to(mixture.means)
        return torch.cat([mixture.joint(part) for part in mixture.parts(rows)])

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Exact log p(x) [n] of data [n, *shape], in nats."""
        return self.joint(x).logsumexp(1)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Responsibilities [n, K]: the probability of each component given the point."""
        return self.joint(x).softmax(1).float()

    def decode(self, r: torch.Tensor) -> torch.Tensor:
        """The mean [n, *shape] of the components, weighted by responsibilities [n, K]."""
        means = self.mixture.means
        return (r.to(means) @ means).float().unflatten(1, self.spec.shape)

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n draws [n, *shape]."""
        mixture = self.mixture
        # Components are drawn by inverting their cumulative weights, so that the same noise gives
        # similar samples as the fit moves on.
        edges = mixture.weights.cumsum(0)
        u = torch.rand(n, generator=rng, device=rng.device, dtype=edges.dtype)
        z = (edges < u[:, None] * edges[-1]).sum(1).clamp(max=len(edges) - 1)
        return mixture.draw(z, rng).float().unflatten(1, self.spec.shape)

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        mixture = self.mixture
        means = mixture.means.float().unflatten(1, self.spec.shape)
        note = "the components' responsibilities for held-out points"
        return {
            "components": MixtureComponents(
                "means and weights of the components", means, mixture.weights
            ),
            "responsibilities": Memberships(note, x, self.encode(x)),
        }

    def warnings(self) -> list[str]:
        empty = int((self.mixture.weights < NEGLIGIBLE).sum())
        what = f"{empty} of {self.settings.n_components} components have no weight"
        return [f"{what}, as there are fewer distinct points: lower n_components"] if empty else []

    def start(self, x: torch.Tensor, rng: torch.Generator) -> Components:
        """The components to start from, given all points x [N, D]: clusters, as the likelihood has
        many poor optima.
        """
        return self.mixture.around(lloyd(x, self.settings.n_components, rng, WARM_START), x)

    def for_inference(self) -> Model:
        return FittedMixture(self)


class FittedMixture(Mixture):
    """The components of a trained mixture, without what only training needs."""

    def __init__(self, trained: Mixture) -> None:
        super().__init__(trained.spec, trained.settings)
        self.fitted = trained.mixture.completed()
        self.is_discrete, self.bounded = trained.is_discrete, trained.bounded

    @property
    def mixture(self) -> Components:
        return self.fitted

    @property
    def device(self) -> torch.device:
        """The device of the components."""
        return self.fitted.means.device


class EMMixture(Mixture, EM):
    """A mixture fitted by EM. E: r_ik = p(k | x_i); M: the maximum-likelihood components, given the
    r-weighted points.

    A subclass lists the `shapes` of its parameters by name, and builds `components` from them.
    """

    settings: EMSettings
    shown_as = ("log-likelihood of a training point", "evidence lower bound", -1)

    def __init__(self, spec: DataSpec, settings: EMSettings) -> None:
        super().__init__(spec, settings)
        for name, shape in self.shapes.items():
            self.register_buffer(name, torch.zeros(settings.n_init, *shape, dtype=torch.float64))
        self.current: dict[int, Components] = {}  # of this epoch, with what they have worked out

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter."""
        return {
            "log_weights": (self.settings.n_components,),
            "means": (self.settings.n_components, self.spec.size),
        }

    def components(self, **parameters: torch.Tensor) -> Components:
        """The components with these parameters."""
        raise NotImplementedError

    @property
    def mixture(self) -> Components:
        return self.at(self.best)

    def at(self, start: int) -> Components:
        """The components of a start."""
        return self.components(**{name: self.get_buffer(name)[start] for name in self.shapes})

    def keep(self, start: int, components: Components) -> None:
        """Store the components of a start."""
        self.current.pop(start, None)
        for name in self.shapes:
            self.get_buffer(name)[start] = getattr(components, name)

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.at(0).parts(x)

    def init_params(self, start: int, x: torch.Tensor, rng: torch.Generator) -> None:
        self.keep(start, self.start(x, rng))

    def e_step(self, start: int, x: torch.Tensor) -> Sums:
        mixture = self.current.get(start) or self.current.setdefault(start, self.at(start))
        prepared = mixture.prepared(x)
        joint = mixture.joint_of(prepared)
        total = joint.logsumexp(1)
        r = (joint - total[:, None]).exp()
        # Far below the rounding error of any sum; as denormal numbers they would slow products
        # tenfold.
        r[r < NEGLIGIBLE] = 0
        return {"objective": -total.sum(), **mixture.moments(prepared, r)}

    def gain(self, start: int, sums: Sums) -> torch.Tensor:
        return self.at(start).gain(sums)

    def m_step(self, start: int, sums: Sums, n: int) -> None:
        self.keep(start, self.at(start).maximised(sums))

    def load_training_state(self, state: dict[str, Any]) -> None:
        super().load_training_state(state)
        self.current = {}

    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        return {"nll": -self.log_prob(batch.x).mean()}

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        return super().visualizations(x, rng) | EM.visualizations(self, x, rng)

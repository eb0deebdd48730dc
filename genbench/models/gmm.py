"""Gaussian mixture by expectation-maximisation (Dempster, Laird & Rubin 1977) or by gradient descent, and what all
mixtures share."""

import math
from dataclasses import dataclass, replace
from functools import reduce

import torch
import torch.nn.functional as F
from torch import nn

from ..em import EM, Sums, add, require_points, rows
from ..errors import UserError
from ..model import GradientModel, Model, View
from ..seeds import generator
from .kmeans import lloyd, memberships, squared_distances

WARM_START = 20  # iterations of k-means before EM or descent begins
NEGLIGIBLE = 1e-30  # responsibilities below this count as zero
BLOCK = 4096  # points that are looked at together as a mixture starts


# --- mixtures of any distribution -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Components:
    """K distributions over rows of D values, and how likely each is."""

    log_weights: torch.Tensor  # [K]
    means: torch.Tensor  # [K, D]

    @property
    def weights(self) -> torch.Tensor:
        """pi_k [K]."""
        return self.log_weights.exp()

    def joint(self, x: torch.Tensor) -> torch.Tensor:
        """log pi_k + log p(x | k) [n, K] of rows x [n, D]."""
        raise NotImplementedError

    def draw(self, z: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """A row of each of the components z [n]: [n, D]."""
        raise NotImplementedError

    def moments(self, x: torch.Tensor, r: torch.Tensor) -> Sums:
        """Sums over rows x [n, D] with responsibilities r [n, K]: all that `maximised` needs to know of them."""
        raise NotImplementedError

    def maximised(self, sums: Sums) -> "Components":
        """The components that are most likely given the moments of all points."""
        raise NotImplementedError

    def around(self, centres: torch.Tensor, x: torch.Tensor) -> "Components":
        """The components that are most likely if rows x [N, D] belong to the nearest of these centres [K, D]."""
        here = replace(self, means=centres)
        parts = (here.moments(part, memberships(squared_distances(part, centres))) for part in x.split(BLOCK))
        return here.maximised(reduce(add, parts, {}))


class Mixture(Model):
    """p(x) = sum_k pi_k p(x | k), and what it can do, however it was fitted: a subclass keeps its `mixture`."""

    criterion = "nll"

    @property
    def mixture(self) -> Components:
        """The components that were fitted."""
        raise NotImplementedError

    def joint(self, x):
        """log pi_k + log p(x | k) [n, K] of data x [n, *shape]."""
        mixture = self.mixture
        return mixture.joint(x.flatten(1).to(mixture.means))

    def log_prob(self, x):
        """Exact log p(x) [n] of data [n, *shape], in nats."""
        return self.joint(x).logsumexp(1)

    def encode(self, x):
        """Responsibilities [n, K]: the probability of each component given the point."""
        return self.joint(x).softmax(1).float()

    def decode(self, r):
        """The mean [n, *shape] that responsibilities [n, K] expect."""
        means = self.mixture.means
        return (r.to(means) @ means).float().unflatten(1, self.space.shape)

    def sample(self, n, rng):
        """n draws [n, *shape]."""
        mixture = self.mixture
        # Components by inverse distribution function: the same noise gives similar samples as the fit moves on.
        edges = mixture.weights.cumsum(0)
        u = torch.rand(n, generator=rng, device=rng.device, dtype=edges.dtype)
        z = torch.searchsorted(edges, u * edges[-1]).clamp(max=len(edges) - 1)
        return mixture.draw(z, rng).float().unflatten(1, self.space.shape)

    def views(self, x, rng):
        mixture = self.mixture
        components = {"points": mixture.means.float().unflatten(1, self.space.shape), "weights": mixture.weights}
        return {
            "components": View("components", "means, with the weights of the components", components),
            "responsibilities": View(
                "memberships", "the components' responsibilities for held-out points", {"x": x, "shares": self.encode(x)}
            ),
        }

    def remarks(self):
        empty = int((self.mixture.weights < NEGLIGIBLE).sum())
        of = f"{empty} of {self.s.n_components} components have no weight, as if there were fewer distinct points: lower n_components"
        return [of] if empty else []

    def start(self, x: torch.Tensor, rng: torch.Generator) -> Components:
        """Where fitting all points x [N, D] begins: at clusters, as the likelihood has many poor optima."""
        return self.mixture.around(lloyd(x, self.s.n_components, rng, WARM_START), x)


class EMMixture(Mixture, EM):
    """A mixture fitted by EM. E: r_ik = p(k | x_i); M: the components that are most likely given the r-weighted points.

    A subclass tells the `shapes` of its parameters by name, and makes `components` of them.
    """

    def __init__(self, space, s):
        super().__init__(space, s)
        for name, shape in self.shapes.items():
            self.register_buffer(name, torch.zeros(s.n_init, *shape, dtype=torch.float64))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter."""
        return {"log_weights": (self.s.n_components,), "means": (self.s.n_components, self.space.size)}

    def components(self, **parameters: torch.Tensor) -> Components:
        """The components that have these parameters."""
        raise NotImplementedError

    @property
    def mixture(self):
        return self.at(self.best)

    def at(self, start: int) -> Components:
        """The components of a start."""
        return self.components(**{name: self.get_buffer(name)[start] for name in self.shapes})

    def keep(self, start: int, found: Components) -> None:
        """Let these be the components of a start."""
        for name in self.shapes:
            self.get_buffer(name)[start] = getattr(found, name)

    def begin(self, start, x, rng):
        self.keep(start, self.start(x, rng))

    def expect(self, start, x):
        mixture = self.at(start)
        joint = mixture.joint(x)
        total = joint.logsumexp(1)
        r = (joint - total[:, None]).exp()
        r[r < NEGLIGIBLE] = 0  # far below rounding error in any sum; as denormal numbers they would slow products tenfold
        return {"objective": -total.sum(), **mixture.moments(x, r)}

    def maximise(self, start, sums, n):
        self.keep(start, self.at(start).maximised(sums))

    def evaluate(self, batch, rng):
        return {"nll": -self.log_prob(batch.x).mean()}


# --- mixtures of Gaussians ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Gaussians(Components):
    """N(mu_k, Sigma_k). Covariances are kept as their factors, what noise is multiplied by, in the form of a subclass."""

    factors: torch.Tensor
    reg_covar: float  # added to the variances by `maximised`

    def joint(self, x):
        squared, log_det = self.mahalanobis(x)
        return self.log_weights - 0.5 * (squared + log_det + x.shape[1] * math.log(2 * math.pi))

    def draw(self, z, rng):
        eps = torch.randn(len(z), self.means.shape[1], generator=rng, device=rng.device).to(self.means)
        return self.means[z] + self.colour(eps, z)

    def moments(self, x, r):
        # Around the means and shifted, which loses no precision where covariances are small.
        counts = r.sum(0)
        return {"counts": counts, "shifts": r.T @ x - counts[:, None] * self.means, "scatter": self.scatter(x, r)}

    def maximised(self, sums):
        counts = sums["counts"] + 10 * torch.finfo(sums["counts"].dtype).eps  # a component without points stays where it is
        shift = sums["shifts"] / counts[:, None]
        factors = self.factorised(self.estimate(sums["scatter"], counts, shift))
        return replace(self, log_weights=(counts / counts.sum()).log(), means=self.means + shift, factors=factors)

    @property
    def covariances(self) -> torch.Tensor:
        """What the factors are the square roots of, in the same form."""
        raise NotImplementedError

    @property
    def left(self) -> torch.Tensor:
        """The variance that each value has left, given those before it, in each component: [K, D] or [D]."""
        raise NotImplementedError

    def mahalanobis(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(x - mu)' Sigma^-1 (x - mu) [n, K] and log det Sigma [K], or one for all."""
        raise NotImplementedError

    def colour(self, eps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Noise eps [n, D] given the covariance of its component z [n]."""
        raise NotImplementedError

    def scatter(self, x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        """Squares and products of x - mu, weighted by r and summed."""
        raise NotImplementedError

    def estimate(self, scatter: torch.Tensor, counts: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Covariances around means that are moved by `shift` [K, D]."""
        raise NotImplementedError

    def factorised(self, covariances: torch.Tensor) -> torch.Tensor:
        """Factors of covariances with reg_covar added; UserError naming the first component that is singular even so."""
        raise NotImplementedError

    @staticmethod
    def constrained(free: torch.Tensor) -> torch.Tensor:
        """Any numbers, in the shape of the factors, as factors."""
        raise NotImplementedError

    @staticmethod
    def freed(factors: torch.Tensor) -> torch.Tensor:
        """The numbers that `constrained` turns into these factors."""
        raise NotImplementedError

    @staticmethod
    def shape(k: int, d: int) -> tuple[int, ...]:
        """The shape of the factors of k components of d values."""
        raise NotImplementedError


def whiten(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Points x [n, D] as columns [D, n] of unit covariance, given the Cholesky factor of their covariance."""
    return torch.linalg.solve_triangular(factor, x.T, upper=False)


class Full(Gaussians):
    """A lower Cholesky factor of the covariance matrix per component: [K, D, D]."""

    @staticmethod
    def shape(k, d):
        return k, d, d

    @property
    def covariances(self):
        return self.factors @ self.factors.mT

    @property
    def left(self):
        return self.factors.diagonal(dim1=-2, dim2=-1).square()

    def mahalanobis(self, x):
        squared = [whiten(x - mean, factor).square().sum(0) for mean, factor in zip(self.means, self.factors)]
        return torch.stack(squared, 1), 2 * self.factors.diagonal(dim1=1, dim2=2).log().sum(1)

    def colour(self, eps, z):
        out = torch.empty_like(eps)
        for k, factor in enumerate(self.factors):
            out[z == k] = eps[z == k] @ factor.T
        return out

    def scatter(self, x, r):
        found = []
        for weight, mean in zip(r.T, self.means):
            own = weight > 0  # in many dimensions that leaves each component its own points only
            centred = x[own] - mean
            found.append((centred * weight[own, None]).T @ centred)
        return torch.stack(found)

    def estimate(self, scatter, counts, shift):
        return scatter / counts[:, None, None] - shift[:, :, None] * shift[:, None, :]

    def factorised(self, covariances):
        factors, info = torch.linalg.cholesky_ex(covariances + self.reg_covar * torch.eye(self.means.shape[1]).to(covariances))
        require_none(info.reshape(-1) > 0, "covariance", "singular")
        return factors

    @staticmethod
    def constrained(free):
        scales = F.softplus(free.diagonal(dim1=-2, dim2=-1))
        return (scales / free.shape[-1] ** 0.5)[..., None] * free.tril(-1) + torch.diag_embed(scales)

    @staticmethod
    def freed(factors):
        scales = factors.diagonal(dim1=-2, dim2=-1)
        return (factors.shape[-1] ** 0.5 * factors / scales[..., None]).tril(-1) + torch.diag_embed(inverse_softplus(scales))


class Tied(Full):
    """The lower Cholesky factor of one covariance matrix that all components share: [D, D]."""

    @staticmethod
    def shape(k, d):
        return d, d

    def mahalanobis(self, x):
        origin = self.means.mean(0)  # as in k-means, against cancellation in single precision
        squared = squared_distances(whiten(x - origin, self.factors).T, whiten(self.means - origin, self.factors).T)
        return squared, 2 * self.factors.diagonal().log().sum()

    def colour(self, eps, z):
        return eps @ self.factors.T

    def scatter(self, x, r):
        return super().scatter(x, r).sum(0)

    def estimate(self, scatter, counts, shift):
        return (scatter - (shift * counts[:, None]).T @ shift) / counts.sum()


class Diagonal(Gaussians):
    """A standard deviation per component and dimension: [K, D]."""

    @staticmethod
    def shape(k, d):
        return k, d

    @property
    def covariances(self):
        return self.factors.square()

    left = covariances

    def mahalanobis(self, x):
        deviations = self.factors.expand_as(self.means)
        squared = [((x - mean) / deviation).square().sum(1) for mean, deviation in zip(self.means, deviations)]
        return torch.stack(squared, 1), 2 * deviations.log().sum(1)

    def colour(self, eps, z):
        return eps * self.factors[z]

    def scatter(self, x, r):
        return torch.stack([weight @ (x - mean).square() for weight, mean in zip(r.T, self.means)])

    def estimate(self, scatter, counts, shift):
        return scatter / counts[:, None] - shift.square()

    def factorised(self, covariances):
        variances = covariances + self.reg_covar
        require_none((variances <= 0).any(1), "variance", "zero")
        return variances.sqrt()

    @staticmethod
    def constrained(free):
        return F.softplus(free)

    @staticmethod
    def freed(factors):
        return inverse_softplus(factors)


class Spherical(Diagonal):
    """One standard deviation per component: [K, 1]."""

    @staticmethod
    def shape(k, d):
        return k, 1

    def estimate(self, scatter, counts, shift):
        return super().estimate(scatter, counts, shift).mean(1, keepdim=True)


FORMS = {"full": Full, "tied": Tied, "diag": Diagonal, "spherical": Spherical}


def require_none(bad: torch.Tensor, what: str, how: str) -> None:
    """UserError naming the first component that is bad [K]."""
    if bad.any():
        k = int(bad.nonzero()[0])
        raise UserError("reg_covar", f"the {what} of component {k} is {how}", fix="raise reg_covar or lower n_components", code=1)


class GaussianMixture(Mixture):
    """A mixture of Gaussians in the form that `covariance` names."""

    @property
    def shapes(self):
        k, d = self.s.n_components, self.space.size
        return {"log_weights": (k,), "means": (k, d), "factors": FORMS[self.s.covariance].shape(k, d)}

    def components(self, **parameters):
        auto = 1e-3 if self.space.unit else 1e-6
        return FORMS[self.s.covariance](**parameters, reg_covar=auto if self.s.reg_covar == "auto" else self.s.reg_covar)

    def remarks(self):
        flat = (self.mixture.left <= 2 * self.mixture.reg_covar).any(-1).flatten()
        of = f"{int(flat.sum())} of {flat.numel()} covariances" if flat.numel() > 1 else "the covariance"
        by = f"reg_covar={self.mixture.reg_covar:g}"
        return super().remarks() + [f"{of} would be singular or nearly so without {by}, on which log p(x) then depends"] * bool(flat.any())

    def views(self, x, rng):
        views = super().views(x, rng)
        if self.space.size <= 3:  # where ellipses can be drawn
            k, d, mixture = self.s.n_components, self.space.size, self.mixture
            axes = torch.eye(d).to(mixture.means).repeat(k, 1)
            roots = mixture.colour(axes, torch.arange(k, device=axes.device).repeat_interleave(d)).unflatten(0, (k, d))
            views["components"].data["covariances"] = roots.mT @ roots
        return views


class GMM(GaussianMixture, EMMixture):
    """Maximises mean log sum_k pi_k N(x; mu_k, Sigma_k) by EM."""


class GradientGMM(GaussianMixture, GradientModel):
    """Maximises mean log p(x) - reg_covar / 2 sum_k pi_k tr Sigma_k^-1 by its gradient, with pi held fixed in the second term.

    It rests where EM does: the second term is what makes an M-step add reg_covar to the variances, as setting the gradient
    to zero shows. Its traces are estimated with random signs (Hutchinson 1990), which is exact for diag and spherical.

    pi is the softmax of logits. Standard deviations, and the diagonals of Cholesky factors, are the softplus of what is
    learnt; the other entries of a factor are learnt in units of their row's diagonal over the root of D. So one learning
    rate suits wide and narrow directions, and few dimensions and many.
    """

    probes = 16  # random vectors of signs per step

    def __init__(self, space, s):
        super().__init__(space, s)
        self.logits, self.means, self.free = (nn.Parameter(torch.randn(shape)) for shape in self.shapes.values())

    @property
    def mixture(self):
        mixture = self.components(log_weights=self.logits.log_softmax(0), means=self.means, factors=self.free)
        return replace(mixture, factors=mixture.constrained(self.free))

    def setup(self, train, *, seed, steps):
        require_points(train, self.s)
        super().setup(train, seed=seed, steps=steps)

    @torch.no_grad()
    def initialise(self, train, *, seed):
        x = rows(train.values())
        found = self.start(x, generator(seed, "start", 0, device=x.device))
        self.logits.copy_(found.log_weights)
        self.means.copy_(found.means)
        self.free.copy_(found.freed(found.factors))

    def draw(self, player, n, rng):
        return {"signs": torch.randint(2, (self.probes, self.space.size), generator=rng, device=rng.device).float() * 2 - 1}

    def loss(self, batch, noise, hp):
        mixture = self.mixture
        nll = -mixture.joint(batch.x.flatten(1)).logsumexp(1).mean()
        centred = replace(mixture, means=torch.zeros_like(mixture.means))
        traces = centred.mahalanobis(noise["signs"])[0].mean(0)
        return nll + mixture.reg_covar / 2 * mixture.weights.detach() @ traces, {"nll": nll}


def inverse_softplus(x: torch.Tensor) -> torch.Tensor:
    """The numbers whose softplus is x > 0."""
    return x + (-torch.expm1(-x)).log()

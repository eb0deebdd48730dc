"""Gaussians as components of a mixture, in four forms of covariance."""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from genbench.models.mixture import Components
from genbench.stats.clustering import squared_distances
from genbench.stats.products import in_cache, squares, wide
from genbench.training.em import Sums
from genbench.utils.errors import UserError

PER_VALUE = 4  # numbers per value: the value and its square, each in double precision


@dataclass(frozen=True, eq=False)
class Gaussians(Components):
    """N(mu_k, Sigma_k). Covariances are kept as factors, which noise is multiplied by, in the form
    of a subclass.
    """

    factors: torch.Tensor
    reg_covar: float  # `maximised` adds it to the variances

    def joint(self, x: torch.Tensor) -> torch.Tensor:
        squared, log_det = self.mahalanobis(x)
        return self.log_weights - 0.5 * (squared + log_det + x.shape[1] * math.log(2 * math.pi))

    def draw(self, z: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        eps = torch.randn(len(z), self.means.shape[1], generator=rng, device=rng.device)
        return self.means[z] + self.colour(eps.to(self.means), z)

    def moments(self, x: torch.Tensor, r: torch.Tensor) -> Sums:
        # Around the current means, which loses no precision where covariances are small.
        shifts, scatter = self.deviations(x, r)
        return {"counts": r.sum(0), "shifts": shifts, "scatter": scatter}

    def maximised(self, sums: Sums) -> Components:
        # A component without points stays where it is.
        counts = sums["counts"] + 10 * torch.finfo(sums["counts"].dtype).eps
        shift = sums["shifts"] / counts[:, None]
        factors = self.factorised(self.estimate(sums["scatter"], counts, shift))
        return replace(
            self,
            log_weights=(counts / counts.sum()).log(),
            means=self.means + shift,
            factors=factors,
        )

    @property
    def covariances(self) -> torch.Tensor:
        """The covariances, in the form of the factors, which are their square roots."""
        raise NotImplementedError

    @property
    def left(self) -> torch.Tensor:
        """The conditional variance of each value given those before it, in each component: [K, D]
        or [D].
        """
        raise NotImplementedError

    def mahalanobis(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(x - mu)' Sigma^-1 (x - mu) [n, K], and log det Sigma [K] (a scalar if shared)."""
        raise NotImplementedError

    def colour(self, eps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Noise eps [n, D], multiplied by the factors of the components z [n]."""
        raise NotImplementedError

    def deviations(self, x: torch.Tensor, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x - mu [K, D], and its squares and products, weighted by r and summed over points."""
        raise NotImplementedError

    def estimate(
        self, scatter: torch.Tensor, counts: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        """Covariances around the means after they have moved by `shift` [K, D]."""
        raise NotImplementedError

    def factorised(self, covariances: torch.Tensor) -> torch.Tensor:
        """The factors of covariances + reg_covar I; UserError naming the first component that is
        still singular.
        """
        raise NotImplementedError

    @staticmethod
    def constrained(free: torch.Tensor) -> torch.Tensor:
        """Maps unconstrained numbers, in the shape of the factors, to factors."""
        raise NotImplementedError

    @staticmethod
    def freed(factors: torch.Tensor) -> torch.Tensor:
        """The inverse of `constrained`."""
        raise NotImplementedError

    @staticmethod
    def shape(k: int, d: int) -> tuple[int, ...]:
        """The shape of the factors of k components over d values."""
        raise NotImplementedError


def whiten(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Points x [n, D] as columns [D, n] of unit covariance, given the Cholesky factor of their
    covariance.
    """
    return torch.linalg.solve_triangular(factor, x.T, upper=False)


class Full(Gaussians):
    """A lower Cholesky factor of the covariance matrix per component: [K, D, D]."""

    @staticmethod
    def shape(k: int, d: int) -> tuple[int, ...]:
        return k, d, d

    @property
    def covariances(self) -> torch.Tensor:
        return self.factors @ self.factors.mT

    @property
    def left(self) -> torch.Tensor:
        return self.factors.diagonal(dim1=-2, dim2=-1).square()

    def mahalanobis(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # One product with the inverses of all factors, of points around the mean of the means.
        k, d = self.means.shape
        origin = self.means.mean(0)
        inverses = torch.linalg.solve_triangular(
            self.factors, torch.eye(d).to(self.factors).expand(k, d, d), upper=False
        )
        whitened_means = (inverses @ (self.means - origin)[:, :, None]).flatten()
        squared = []
        for part in in_cache(x, k * d):
            whitened = torch.addmm(-whitened_means, part - origin, inverses.flatten(0, 1).T)
            squared.append(whitened.unflatten(1, (k, d)).square().sum(2))
        return torch.cat(squared), 2 * self.factors.diagonal(dim1=1, dim2=2).log().sum(1)

    def colour(self, eps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(eps)
        for k, factor in enumerate(self.factors):
            out[z == k] = eps[z == k] @ factor.T
        return out

    def deviations(self, x: torch.Tensor, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sums = []
        for weight, mean in zip(r.T, self.means):
            own = weight > 0  # in many dimensions few points have a weight in several components
            sums.append(squares((x[own] - mean).mul_(weight[own, None].sqrt())))
        return r.T @ x - r.sum(0)[:, None] * self.means, torch.stack(sums)

    def estimate(
        self, scatter: torch.Tensor, counts: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        return scatter / counts[:, None, None] - shift[:, :, None] * shift[:, None, :]

    def factorised(self, covariances: torch.Tensor) -> torch.Tensor:
        factors, info = torch.linalg.cholesky_ex(
            covariances + self.reg_covar * torch.eye(self.means.shape[1]).to(covariances)
        )
        require_none(info.reshape(-1) > 0, "covariance", "singular")
        return factors

    @staticmethod
    def constrained(free: torch.Tensor) -> torch.Tensor:
        scales = F.softplus(free.diagonal(dim1=-2, dim2=-1))
        return (scales / free.shape[-1] ** 0.5)[..., None] * free.tril(-1) + torch.diag_embed(
            scales
        )

    @staticmethod
    def freed(factors: torch.Tensor) -> torch.Tensor:
        scales = factors.diagonal(dim1=-2, dim2=-1)
        return (factors.shape[-1] ** 0.5 * factors / scales[..., None]).tril(-1) + torch.diag_embed(
            inverse_softplus(scales)
        )


class Tied(Full):
    """The lower Cholesky factor of one covariance matrix that all components share: [D, D]."""

    @staticmethod
    def shape(k: int, d: int) -> tuple[int, ...]:
        return d, d

    def mahalanobis(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        origin = self.means.mean(0)  # against cancellation in single precision, as in k-means
        squared = squared_distances(
            whiten(x - origin, self.factors).T, whiten(self.means - origin, self.factors).T
        )
        return squared, 2 * self.factors.diagonal().log().sum()

    def colour(self, eps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return eps @ self.factors.T

    def deviations(self, x: torch.Tensor, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shifts, scatter = super().deviations(x, r)
        return shifts, scatter.sum(0)

    def estimate(
        self, scatter: torch.Tensor, counts: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        return (scatter - (shift * counts[:, None]).T @ shift) / counts.sum()


class Diagonal(Gaussians):
    """A standard deviation per component and dimension: [K, D]."""

    @staticmethod
    def shape(k: int, d: int) -> tuple[int, ...]:
        return k, d

    @property
    def covariances(self) -> torch.Tensor:
        return self.factors.square()

    @property
    def left(self) -> torch.Tensor:
        return self.covariances

    def mahalanobis(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Two products of matrices, of points around the mean of the means. In single precision the
        # difference of their squares would lose the distances to narrow components.
        means = wide(self.means)
        factors, origin = wide(self.factors).expand_as(means), means.mean(0)
        precisions, scaled = factors.pow(-2), (means - origin) * factors.pow(-2)
        own = ((means - origin) * scaled).sum(1)
        squared = []
        for part in in_cache(x, PER_VALUE * x.shape[1]):
            near = wide(part) - origin
            cross = torch.addmm(own, near, scaled.T, alpha=-2)
            squared.append(torch.addmm(cross, near.square(), precisions.T))
        return torch.cat(squared).clamp(min=0), 2 * factors.log().sum(1)

    def colour(self, eps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return eps * self.factors[z]

    def deviations(self, x: torch.Tensor, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Around the mean of the means first, then moved to each of them.
        origin, counts = self.means.mean(0), r.sum(0)[:, None]
        first, second = torch.zeros_like(self.means), torch.zeros_like(self.means)
        width = PER_VALUE * x.shape[1]
        for part, weights in zip(in_cache(x, width), in_cache(r, width)):
            near = part - origin
            first += weights.T @ near
            second += weights.T @ near.square()
        moves = self.means - origin
        return first - counts * moves, second - moves * (2 * first - counts * moves)

    def estimate(
        self, scatter: torch.Tensor, counts: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        return scatter / counts[:, None] - shift.square()

    def factorised(self, covariances: torch.Tensor) -> torch.Tensor:
        variances = covariances + self.reg_covar
        require_none((variances <= 0).any(1), "variance", "zero")
        return variances.sqrt()

    @staticmethod
    def constrained(free: torch.Tensor) -> torch.Tensor:
        return F.softplus(free)

    @staticmethod
    def freed(factors: torch.Tensor) -> torch.Tensor:
        return inverse_softplus(factors)


class Spherical(Diagonal):
    """One standard deviation per component: [K, 1]."""

    @staticmethod
    def shape(k: int, d: int) -> tuple[int, ...]:
        return k, 1

    def estimate(
        self, scatter: torch.Tensor, counts: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        return super().estimate(scatter, counts, shift).mean(1, keepdim=True)


FORMS = {"full": Full, "tied": Tied, "diag": Diagonal, "spherical": Spherical}


def require_none(bad: torch.Tensor, what: str, how: str) -> None:
    """UserError naming the first component that is bad, given `bad` [K]."""
    if bad.any():
        k = int(bad.nonzero()[0])
        raise UserError(
            "reg_covar",
            f"the {what} of component {k} is {how}",
            fix="raise reg_covar or lower n_components",
            code=1,
        )


def inverse_softplus(x: torch.Tensor) -> torch.Tensor:
    """The inverse of softplus, for x > 0."""
    return x + (-torch.expm1(-x)).log()

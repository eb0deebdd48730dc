"""Covariances of Gaussians without correlations: diagonal and spherical ones."""

from functools import cached_property

import torch
import torch.nn.functional as F

from genbench.models.gaussians import Gaussians, inverse_softplus, require_none
from genbench.models.mixture import Prepared
from genbench.stats.products import in_cache, wide

PER_VALUE = 2  # parts with room for so many numbers per value are the fastest


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

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return in_cache(x, PER_VALUE * self.means.shape[1])

    @cached_property
    def origin(self) -> torch.Tensor:
        """The mean of the means [D]."""
        return wide(self.means).mean(0)

    @cached_property
    def quadratic(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The distance of a point x is x^2 a + x b + c, where x is taken from the origin: a, b
        [K, D], c [K, 1].
        """
        moves = wide(self.means) - self.origin
        precisions = wide(self.factors).expand_as(moves).pow(-2)
        scaled = moves * precisions
        return precisions, -2 * scaled, (moves * scaled).sum(1, keepdim=True)

    @cached_property
    def log_det(self) -> torch.Tensor:
        """log det Sigma [K]."""
        return 2 * wide(self.factors).expand_as(self.means).log().sum(1)

    def traces(self, covariances: torch.Tensor) -> torch.Tensor:
        return (covariances / self.covariances).expand_as(self.means).sum(1)

    def prepared(self, x: torch.Tensor) -> Prepared:
        # Around the mean of the means, and squared.
        near = wide(x) - self.origin
        return near, near.square()

    def mahalanobis(self, prepared: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        # Two products of matrices. In single precision the difference of their squares would lose
        # the distances to narrow components.
        near, near_squared = prepared
        square, linear, constant = self.quadratic
        # [K, n] is faster than [n, K] where K is small.
        squared = torch.addmm(torch.addmm(constant, linear, near.T), square, near_squared.T)
        return squared.T.clamp(min=0), self.log_det

    def colour(self, eps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return eps * self.factors[z]

    def deviations(self, prepared: Prepared, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # From sums around the mean of the means to sums around each of them.
        first, second = (r.T @ values for values in prepared)
        counts, moves = r.sum(0)[:, None], self.means - self.origin
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

    def prepared(self, x: torch.Tensor) -> Prepared:
        # Around the mean of the means [n, D], and squared lengths [n].
        near = wide(x) - self.origin
        return near, torch.linalg.vecdot(near, near)

    def mahalanobis(self, prepared: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        near, lengths = prepared
        moves, precisions = wide(self.means) - self.origin, wide(self.factors).pow(-2)
        cross = torch.addmm(lengths, moves, near.T, alpha=-2)
        squared = (cross + moves.square().sum(1, keepdim=True)).mul_(precisions)
        return squared.T.clamp(min=0), self.log_det

    def deviations(self, prepared: Prepared, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        near, lengths = prepared
        counts, moves, first = r.sum(0)[:, None], self.means - self.origin, r.T @ near
        squares = (moves * (2 * first - counts * moves)).sum(1, keepdim=True)
        return first - counts * moves, (r.T @ lengths)[:, None] - squares

    def estimate(
        self, scatter: torch.Tensor, counts: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        d = self.means.shape[1]
        return (scatter / counts[:, None] - shift.square().sum(1, keepdim=True)) / d

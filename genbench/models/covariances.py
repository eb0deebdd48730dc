"""The forms of the covariance of Gaussians: full and tied ones, and all of them by name."""

from functools import cached_property

import torch
import torch.nn.functional as F

from genbench.models.diagonal_covariances import Diagonal, Spherical
from genbench.models.gaussians import Gaussians, inverse_softplus, require_none
from genbench.models.mixture import Components, Prepared
from genbench.stats.clustering import SINGLE_FROM, squared_distances
from genbench.stats.products import in_cache, product, squares
from genbench.utils.tracing import is_traced

WHITENED = range(32, 128)  # how many values points have that are whitened for both steps of EM
LEAST_ROWS = 1024  # of whitened points: sums over fewer take longer to add up than to compute
BLOCK_OF_COLUMNS = 196  # of a triangular matrix, above which zeros are left out
WITHIN_SINGLE = 1e4  # distances over standard deviations that single precision resolves well enough


def whiten_by(x: torch.Tensor, inverse: torch.Tensor, whitened: torch.Tensor) -> torch.Tensor:
    """Points x [n, D] of unit covariance [n, D] around their mean, given the inverse of the
    Cholesky factor of their covariance and the whitened mean.
    """
    columns = range(0, len(inverse), BLOCK_OF_COLUMNS)
    parts = []
    for start in columns:  # an inverse is lower triangular, too
        rows = inverse[start : start + BLOCK_OF_COLUMNS]
        end = start + len(rows)
        parts.append(product(x[:, :end], rows[:, :end], -whitened[start:end]))
    return torch.cat(parts, 1)


def whiten(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Points x [n, D] as columns [D, n] of unit covariance, given the Cholesky factor of their
    covariance.
    """
    return torch.linalg.solve_triangular(factor, x.T, upper=False)


class Full(Gaussians):
    """A lower Cholesky factor of the covariance matrix per component: [K, D, D]."""

    @classmethod
    def suited(cls, values: int) -> type[Gaussians]:
        return Whitened if values in WHITENED else cls

    @staticmethod
    def shape(k: int, d: int) -> tuple[int, ...]:
        return k, d, d

    @property
    def covariances(self) -> torch.Tensor:
        return self.factors @ self.factors.mT

    @property
    def log_det(self) -> torch.Tensor:
        return 2 * self.factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def traces(self, covariances: torch.Tensor) -> torch.Tensor:
        solved = torch.cholesky_solve(covariances, self.factors)
        return solved.diagonal(dim1=-2, dim2=-1).sum(-1)

    @property
    def left(self) -> torch.Tensor:
        return self.factors.diagonal(dim1=-2, dim2=-1).square()

    def mahalanobis(self, prepared: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        # Products with the inverses of the factors, of points around the mean of the means.
        (x,) = prepared
        (k, d), origin, inverses = self.means.shape, self.means.mean(0), self.inverses
        whitened_means = (inverses @ (self.means - origin)[:, :, None]).squeeze(2)
        if d >= SINGLE_FROM:  # one component after the other, as the inverses leave the cache
            near = self.in_single(x - origin)
            whitened = (
                whiten_by(near, inverse.to(near), mean.to(near))
                for inverse, mean in zip(inverses, whitened_means)
            )
            return torch.stack([w.square().sum(1).to(x) for w in whitened], 1), self.log_det
        rows, squared = inverses.flatten(0, 1).T, []
        for part in in_cache(x, k * d):
            together = torch.addmm(-whitened_means.flatten(), part - origin, rows)
            squared.append(together.unflatten(1, (k, d)).square().sum(2))
        return torch.cat(squared), self.log_det

    @cached_property
    def inverses(self) -> torch.Tensor:
        """The inverses of the factors, in their shape."""
        identity = torch.eye(self.means.shape[1]).to(self.factors).expand_as(self.factors)
        return torch.linalg.solve_triangular(self.factors, identity, upper=False).contiguous()

    def in_single(self, near: torch.Tensor) -> torch.Tensor:
        """Points around the origin in single precision, if whitening them loses less than a
        thousandth of a standard deviation; else as they are.
        """
        if near.dtype != torch.float64 or is_traced():
            return near
        steepest = torch.linalg.vector_norm(self.inverses, dim=2).amax()
        farthest = torch.linalg.vector_norm(near, dim=1).amax()
        return near.float() if steepest * farthest < WITHIN_SINGLE else near

    def colour(self, eps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(eps)
        for k, factor in enumerate(self.factors):
            own = slice(None) if is_traced() else z == k  # which points is not known in a trace
            out[own] = torch.where((z[own] == k)[:, None], eps[own] @ factor.T, out[own])
        return out

    def deviations(self, prepared: Prepared, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (x,) = prepared
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


class Whitened(Full):
    """Full covariances of points that are whitened once for both steps of EM.

    For each component, a point is taken from its mean and multiplied by the inverse of its factor.
    The length is the Mahalanobis distance, and the squares and products, multiplied by the factor
    again, are the next covariance. Whitened points have about unit covariance, so that single
    precision loses nothing of small variances. Of few values double precision is as fast; products
    with the factors of many take longer than the squares of the points that belong to a component.
    """

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return in_cache(x, self.means.numel() // 2, LEAST_ROWS)

    def around(self, centres: torch.Tensor, x: torch.Tensor) -> Components:
        # As long as no covariance is known, points are compared as they are.
        plain = Full(self.log_weights, self.means, self.factors, self.reg_covar)
        return plain.around(centres, x)

    def prepared(self, x: torch.Tensor) -> Prepared:
        # The points, and whitened [n, K, D].
        origin, inverses = self.means.mean(0), self.inverses
        near = self.in_single(x - origin)
        whitened_means = (inverses @ (self.means - origin)[:, :, None]).flatten()
        rows = inverses.flatten(0, 1).to(near)
        whitened = product(near, rows, -whitened_means.to(near))
        return x, whitened.unflatten(1, self.means.shape)

    def mahalanobis(self, prepared: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        x, whitened = prepared
        return whitened.square().sum(2).to(x), self.log_det

    def deviations(self, prepared: Prepared, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, whitened = prepared
        vanishing = torch.finfo(whitened.dtype).eps ** 2 * r.amax(0)
        sums = []
        for points, weight, least in zip(whitened.unbind(1), r.T, vanishing):
            own = (weight > least).nonzero().flatten()
            sums.append(squares(points[own] * weight[own, None].sqrt().to(points)))
        return r.T @ x - r.sum(0)[:, None] * self.means, torch.stack(sums).to(x)

    def estimate(
        self, scatter: torch.Tensor, counts: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        coloured = self.factors @ scatter @ self.factors.mT
        return super().estimate(coloured, counts, shift)


class Tied(Full):
    """The lower Cholesky factor of one covariance matrix that all components share: [D, D]."""

    @classmethod
    def suited(cls, values: int) -> type[Gaussians]:
        return cls

    @staticmethod
    def shape(k: int, d: int) -> tuple[int, ...]:
        return d, d

    def mahalanobis(self, prepared: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        (x,) = prepared
        origin = self.means.mean(0)  # against cancellation in single precision, as in k-means
        whitened, means = (self.whitened(rows - origin) for rows in (x, self.means))
        squared = squared_distances(whitened, means)
        return squared, self.log_det

    def whitened(self, x: torch.Tensor) -> torch.Tensor:
        """Rows x [n, D] multiplied by the inverse of the factor."""
        return x @ self.inverses.T if is_traced() else whiten(x, self.factors).T

    def colour(self, eps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return eps @ self.factors.T

    def deviations(self, prepared: Prepared, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shifts, scatter = super().deviations(prepared, r)
        return shifts, scatter.sum(0)

    def estimate(
        self, scatter: torch.Tensor, counts: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        return (scatter - (shift * counts[:, None]).T @ shift) / counts.sum()


FORMS = {"full": Full, "tied": Tied, "diag": Diagonal, "spherical": Spherical}

"""Gaussians as components of a mixture, whatever the form of their covariance."""

import math
from dataclasses import dataclass, replace

import torch

from genbench.models.mixture import Components, Prepared
from genbench.training.em import Sums
from genbench.utils.errors import UserError


@dataclass(frozen=True, eq=False)
class Gaussians(Components):
    """N(mu_k, Sigma_k). Covariances are kept as factors, which noise is multiplied by, in the form
    of a subclass.
    """

    factors: torch.Tensor
    reg_covar: float  # `maximised` adds it to the variances

    @classmethod
    def suited(cls, values: int) -> "type[Gaussians]":
        """The class for covariances of this form that is fast for points of so many values."""
        return cls

    def joint_of(self, prepared: Prepared) -> torch.Tensor:
        squared, log_det = self.mahalanobis(prepared)
        constant = self.means.shape[1] * math.log(2 * math.pi)
        return self.log_weights - 0.5 * (squared + log_det + constant)

    def draw(self, z: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        eps = torch.randn(z.shape[0], self.means.shape[1], generator=rng, device=rng.device)
        return self.means[z] + self.colour(eps.to(self.means), z)

    def moments(self, prepared: Prepared, r: torch.Tensor) -> Sums:
        # Around the current means, which loses no precision where covariances are small.
        shifts, scatter = self.deviations(prepared, r)
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

    def gain(self, sums: Sums) -> torch.Tensor:
        counts = sums["counts"] + 10 * torch.finfo(sums["counts"].dtype).eps
        shift, new = sums["shifts"] / counts[:, None], self.maximised(sums)
        assert isinstance(new, Gaussians)
        before = self.expected_joint(self.estimate(sums["scatter"], counts, 0 * shift))
        after = new.expected_joint(self.estimate(sums["scatter"], counts, shift))
        return sums["counts"] @ (after - before)

    def expected_joint(self, covariances: torch.Tensor) -> torch.Tensor:
        """The mean of log pi_k + log p(x | k) [K] over points x that have these covariances, in the
        form of the factors, around the mean of each component.
        """
        constant = self.means.shape[1] * math.log(2 * math.pi)
        return self.log_weights - 0.5 * (self.traces(covariances) + self.log_det + constant)

    @property
    def log_det(self) -> torch.Tensor:
        """log det Sigma [K]; a scalar if it is shared."""
        raise NotImplementedError

    def traces(self, covariances: torch.Tensor) -> torch.Tensor:
        """tr Sigma^-1 C [K] of covariances C in the form of the factors; a scalar if shared."""
        raise NotImplementedError

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

    def mahalanobis(self, prepared: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        """(x - mu)' Sigma^-1 (x - mu) [n, K] of prepared rows x, and log det Sigma [K] (a scalar if
        shared).
        """
        raise NotImplementedError

    def colour(self, eps: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Noise eps [n, D], multiplied by the factors of the components z [n]."""
        raise NotImplementedError

    def deviations(self, prepared: Prepared, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x - mu [K, D] of prepared rows x, and its squares and products, weighted by r and summed
        over points.
        """
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

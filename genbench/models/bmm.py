"""Mixture of Bernoullis by expectation-maximisation (Bishop 2006, section 9.3.3), also of binomials
for counts of dots.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch

from genbench.data.types import DataSpec
from genbench.models.mixture import Components, EMMixture, Prepared
from genbench.settings.classical import BMMSettings
from genbench.training.em import Sums
from genbench.utils.errors import UserError


@dataclass(frozen=True, eq=False)
class Binomials(Components):
    """prod_j Bin(n x_j; n, mu_kj) for values x that are shares of n dots: Bernoullis if n is 1.

    The means are the probabilities mu of a dot.
    """

    trials: int
    floor: float  # `maximised` keeps the probabilities this far from 0 and 1

    def joint_of(self, prepared: Prepared) -> torch.Tensor:
        (x,) = prepared
        # log mu^x (1 - mu)^(1 - x) is x times the log-odds, plus log(1 - mu)
        fit = x @ self.means.logit().T + (-self.means).log1p().sum(1)
        return self.log_weights + self.trials * fit + self.log_ways(x)[:, None]

    def log_ways(self, x: torch.Tensor) -> torch.Tensor:
        """The log of the number of ways in which these counts of dots can arise: [n] for rows x [n,
        D].
        """
        if self.trials == 1:
            return x.new_zeros(x.shape[0])  # there is one way
        return self.ways.to(x)[(x * self.trials).round().long()].sum(1)

    @cached_property
    def ways(self) -> torch.Tensor:
        """The log of the number of ways in which 0, 1, ... dots can be set: [trials + 1]."""
        n = torch.tensor(float(self.trials)).to(self.means)
        dots = torch.arange(self.trials + 1).to(self.means)
        return (n + 1).lgamma() - (dots + 1).lgamma() - (n - dots + 1).lgamma()

    def draw(self, z: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        # A dot is set where the noise is below its probability, so samples change little as the fit
        # moves on.
        noise = torch.rand(
            self.trials, z.shape[0], self.means.shape[1], generator=rng, device=rng.device
        )
        return (noise < self.means[z]).float().mean(0)

    def moments(self, prepared: Prepared, r: torch.Tensor) -> Sums:
        (x,) = prepared
        return {"counts": r.sum(0), "dots": r.T @ x}

    def gain(self, sums: Sums) -> torch.Tensor:
        new = self.maximised(sums)
        weights = sums["counts"] @ (new.log_weights - self.log_weights)
        present = (sums["dots"] * (new.means.logit() - self.means.logit())).sum()
        absent = sums["counts"] @ ((-new.means).log1p() - (-self.means).log1p()).sum(1)
        return weights + self.trials * (present + absent)

    def maximised(self, sums: Sums) -> Components:
        # The log-likelihood is concave in each mu, so its maximum within bounds is the maximum
        # moved to the nearest bound, and no epoch lowers the likelihood.
        counts = (
            sums["counts"] + 10 * torch.finfo(sums["counts"].dtype).eps
        )  # a component without points stays where it is
        means = self.means + (sums["dots"] - sums["counts"][:, None] * self.means) / counts[:, None]
        return replace(
            self,
            log_weights=(counts / counts.sum()).log(),
            means=means.clamp(self.floor, 1 - self.floor),
        )


class BMM(EMMixture):
    """Maximises mean log sum_k pi_k prod_j Bin(n x_j; n, mu_kj) by EM, where n is `trials` of the
    data.
    """

    settings: BMMSettings
    splits_batches = True

    is_discrete = True
    bounded = True

    def __init__(self, spec: DataSpec, settings: BMMSettings) -> None:
        if spec.trials is None and len(spec.shape) == 3:
            what = "a mixture of Bernoullis needs black-and-white pixels, or counts as in digits"
            raise UserError("dataset.binarize", what, "none", "dataset.binarize=static")
        if spec.trials is None:
            raise UserError(
                "model",
                "a mixture of Bernoullis needs values that are 0 or 1, or that count dots",
                "bmm",
                "model=gmm",
            )
        super().__init__(spec, settings)

    def components(self, **parameters: torch.Tensor) -> Binomials:
        assert self.spec.trials is not None  # checked when the model was built
        return Binomials(**parameters, trials=self.spec.trials, floor=self.settings.floor)

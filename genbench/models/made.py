"""Masked autoencoder for distribution estimation (Germain et al. 2015, arXiv:1502.03509)."""

import torch

from genbench.data.fitting import usual_likelihood
from genbench.data.types import Batch, DataSpec
from genbench.model import available_if
from genbench.nn.likelihoods import Output, ScaledGaussian, named_likelihood
from genbench.nn.masked import MaskedNetwork, random_order
from genbench.settings.densities import MADESettings
from genbench.training.gradient import GradientModel, LossAndTerms, LossNoise, LossWeights
from genbench.utils.errors import UserError


class MADE(GradientModel):
    """Minimises -E log p(x), p(x) = prod_i p(x_i | x_j for all j before i in an order).

    One pass of a masked network gives all D factors. Each may be of any distribution whose
    parameters it can give: a Bernoulli, a binomial, a continuous Bernoulli or a Gaussian.
    """

    settings: MADESettings
    splits_batches = True
    value_by_value = True

    def __init__(self, spec: DataSpec, settings: MADESettings) -> None:
        super().__init__(spec, settings)
        self.likelihood = conditional_likelihood(spec, settings.likelihood)
        self.is_discrete, self.bounded = self.likelihood.is_discrete, self.likelihood.bounded
        order = [*range(spec.size)]
        if settings.order == "random":
            order = random_order(spec.size, settings.seed, "order")
        self.net = MaskedNetwork(
            order, settings.hidden, self.likelihood.raw_per_value, settings.activation
        )

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        nll = -self.log_prob(batch.x).mean()
        return nll, {"nll": nll}

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Exact log p(x) [n] of data [n, *shape], in nats."""
        x = x.flatten(1)
        return -self.likelihood.nll(self.as_raw(self.net(x)), x)

    def as_raw(self, numbers: torch.Tensor) -> torch.Tensor:
        """The network's numbers [n, raw_per_value, ...] as the likelihood takes them: [n, ...] if
        there is one for each value.
        """
        return numbers if self.likelihood.raw_per_value > 1 else numbers[:, 0]

    def is_density(self) -> bool:
        """Whether p(x) is a density, which has a gradient."""
        return not self.is_discrete

    @available_if(is_density)
    def score(self, x: torch.Tensor) -> torch.Tensor:
        """The gradient of log p(x) with respect to x, both [n, *shape]."""
        return torch.func.grad(lambda x: self.log_prob(x).sum())(x)

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n draws [n, *shape], one value after the other."""

        def value(i: int, raw: torch.Tensor) -> torch.Tensor:
            return self.likelihood.draw(self.as_raw(raw), rng)

        return self.net.in_order(n, value).unflatten(1, self.spec.shape)


def conditional_likelihood(spec: DataSpec, kind: str) -> Output:
    """The distribution of a value that the setting `likelihood` names; UserError if it is none of
    such data.
    """
    if kind == "auto":
        is_grey = spec.unit and spec.trials is None
        kind = "continuous-bernoulli" if is_grey else usual_likelihood(spec)
    output = named_likelihood(spec, kind, ScaledGaussian)
    if not output.describes(spec):
        what = "needs values that are 0 or 1, as an exact likelihood"
        raise UserError("likelihood", what, kind, "likelihood=auto")
    return output

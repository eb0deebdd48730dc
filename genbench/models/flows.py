"""Normalising flows: RealNVP (Dinh et al. 2017, arXiv:1605.08803) and masked autoregressive flows
(Papamakarios et al. 2017, arXiv:1705.07057).
"""

import math

import torch

from genbench.data.types import Batch, DataSpec, Split
from genbench.nn.bijections import (
    AffineCoupling,
    Bijection,
    Chain,
    Logit,
    MaskedAutoregression,
    Standardization,
)
from genbench.nn.masked import random_order
from genbench.settings.densities import FlowSettings, MAFSettings, RealNVPSettings
from genbench.training.gradient import GradientModel, LossAndTerms, LossNoise, LossWeights
from genbench.utils.errors import UserError
from genbench.utils.rng import fold

MOST_TO_START = 10_000  # training points whose mean and deviation the first layer standardizes by


class Flow(GradientModel):
    """Minimises -E log p(x), log p(x) = log N(f(x); 0, I) + log |det df/dx|, where f is a chain of
    invertible maps.

    First come a logit for dequantised pixels, and a standardization of each value that is computed
    from training points and not learnt. The layers that follow begin as the identity.
    """

    settings: FlowSettings

    invertible = True

    def __init__(self, spec: DataSpec, settings: FlowSettings) -> None:
        super().__init__(spec, settings)
        first = [Logit()] if self.takes_logits() else []
        self.bounded = bool(first)
        self.maps = Chain([*first, Standardization(spec.size), *self.layers()])

    def takes_logits(self) -> bool:
        """Whether the data are transformed first; UserError if they cannot be."""
        spec, chosen = self.spec, self.settings.transform
        if chosen == "logit" and not spec.unit:
            what = "needs data in [0, 1], such as images"
            raise UserError("transform", what, chosen, "transform=none")
        return chosen == "logit" or (chosen == "auto" and spec.unit and spec.cell < 1)

    def layers(self) -> list[Bijection]:
        """The invertible layers that are learnt."""
        raise NotImplementedError

    def warnings(self) -> list[str]:
        spec = self.spec
        is_whole = spec.trials is not None or (spec.unit and len(spec.shape) == 3)
        if not is_whole or spec.cell < 1:
            return []
        way = "model=made" if spec.trials == 1 else "dataset.dequantize=true"
        text = "values that repeat have no density, so log_prob says how narrow the model became"
        return [f"{text}; try {way}"]

    @torch.no_grad()
    def initialise(self, train: Split, *, seed: int) -> None:
        batches = train.spread(MOST_TO_START).batches(1000, draw=fold(seed, "standardization"))
        self.maps.initialise(torch.cat([batch.x.flatten(1) for batch in batches]))

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        nll = -self.log_prob(batch.x).mean()
        return nll, {"nll": nll}

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Exact log density [n] of data [n, *shape], in nats."""
        z, log_determinant = self.maps(x.flatten(1))
        constant = self.spec.size / 2 * math.log(2 * math.pi)
        return log_determinant - z.square().sum(1) / 2 - constant

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """The gradient of log p(x) with respect to x, both [n, *shape]."""
        return torch.func.grad(lambda x: self.log_prob(x).sum())(x)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """z = f(x) [n, size], as large as points x [n, *shape]."""
        return self.maps(x.flatten(1))[0]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The points [n, *shape] of which z [n, size] are the codes."""
        return self.maps.inverse(z).unflatten(1, self.spec.shape)

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n draws [n, *shape], decoded from N(0, I)."""
        return self.decode(torch.randn(n, self.spec.size, generator=rng, device=rng.device))


class RealNVP(Flow):
    """A flow of affine couplings, each of which leaves every second value as it is, like the
    squares of a chessboard; the next leaves the others.
    """

    settings: RealNVPSettings
    splits_batches = True

    def layers(self) -> list[Bijection]:
        settings, colours = self.settings, chessboard(self.spec.shape).flatten()
        return [
            AffineCoupling(colours == k % 2, settings.hidden, settings.activation)
            for k in range(settings.layers)
        ]


class MAF(Flow):
    """A flow of Gaussian masked autoencoders, which have different orders of the values."""

    settings: MAFSettings
    splits_batches = True
    value_by_value = True

    def layers(self) -> list[Bijection]:
        settings = self.settings
        return [
            MaskedAutoregression(self.order(k), settings.hidden, settings.activation)
            for k in range(settings.layers)
        ]

    def order(self, layer: int) -> list[int]:
        """The order of the values in a layer."""
        size = self.spec.size
        if self.settings.order == "random":
            return random_order(size, self.settings.seed, "order", layer)
        return [*range(size)] if layer % 2 == 0 else [*reversed(range(size))]


def chessboard(shape: tuple[int, ...]) -> torch.Tensor:
    """0 and 1 in turn along every axis: [*shape]."""
    axes = torch.meshgrid(*[torch.arange(side) for side in shape], indexing="ij")
    return torch.stack(axes).sum(0) % 2

"""PixelCNN: the distribution of an image as a product over its values, each given those before it
(van den Oord et al. 2016, arXiv:1601.06759; gated: arXiv:1606.05328).
"""

import torch

from genbench.data.types import Batch, DataSpec, Split
from genbench.models.made import conditional_likelihood
from genbench.nn.likelihoods import Output
from genbench.nn.logistic_mixture import LogisticMixture
from genbench.nn.pixel import PixelNetwork
from genbench.settings.densities import PixelCNNSettings
from genbench.stats.products import in_cache
from genbench.training.gradient import GradientModel, LossAndTerms, LossNoise, LossWeights
from genbench.utils.errors import UserError
from genbench.utils.tracing import is_traced

SAMPLES_AT_ONCE = 500  # whose features of a few rows need little memory


def pixel_likelihood(spec: DataSpec, s: PixelCNNSettings) -> Output:
    """The distribution of a value that the settings name; UserError if the data do not fit it.

    Counted dots are levels, too: given the pixels before it, a pixel of digits is nearly black or
    nearly white, which no binomial is at once. On digits the mixture is 34 nats better.
    """
    kind: str = s.likelihood
    if kind == "auto":
        is_grey = spec.unit and spec.cell == 1 and len(spec.shape) == 3
        has_levels = spec.trials > 1 if spec.trials else is_grey
        kind = "logistic-mixture" if has_levels else kind
    if kind != "logistic-mixture":
        return conditional_likelihood(spec, kind)
    levels = (spec.trials or 255) + 1 if s.levels == "auto" else s.levels
    output = LogisticMixture(levels, s.logistics)
    if not output.describes(spec):
        what = "needs values in [0, 1] that have levels, as the pixels of images do"
        raise UserError("likelihood", what, kind, "likelihood=auto")
    return output


class PixelCNN(GradientModel):
    """Minimises -log p(x) = -sum_i log p(x_i | x_1, ..., x_{i-1}) over the values of an image, row
    by row, from left to right, and of a pixel channel by channel.

    Signals are images of one row, and so are vectors, whose values take the place of pixels.
    """

    settings: PixelCNNSettings
    splits_batches = True
    value_by_value = True

    default_batch_size = 64

    def __init__(self, spec: DataSpec, settings: PixelCNNSettings) -> None:
        super().__init__(spec, settings)
        channels, *sides = spec.shape if len(spec.shape) > 1 else (1, *spec.shape)
        height, width = (1, *sides)[-2:]
        self.grid = channels, height, width
        self.likelihood = pixel_likelihood(spec, settings)
        self.is_discrete, self.bounded = self.likelihood.is_discrete, self.likelihood.bounded
        self.rounds = False  # whether values of the data lie between levels
        self.network = PixelNetwork(
            channels,
            self.likelihood.raw_per_value,
            settings.features,
            settings.layers,
            settings.kernel_size,
            centred=spec.unit,
        )

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        super().setup(train, seed=seed, steps=steps)
        if isinstance(self.likelihood, LogisticMixture):
            level = train.first(1000).values() * (self.likelihood.levels - 1)
            self.rounds = float((level - level.round()).abs().max()) > 0.01

    def warnings(self) -> list[str]:
        if not (self.rounds and isinstance(self.likelihood, LogisticMixture)):
            return []
        levels = f"{self.likelihood.levels} levels, as the data lie between them"
        return [f"log_prob is of values rounded to {levels}: see the settings levels, likelihood"]

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        nll = self.nll(batch.x).mean()
        return nll, {"nll": nll}

    def nll(self, x: torch.Tensor) -> torch.Tensor:
        """-log p(x) [n] of points x [n, *shape], in nats."""
        x = x.reshape(-1, *self.grid)  # len(x) is a constant in a trace
        return self.likelihood.nll(self.raw_of(self.network(x)), x)

    def raw_of(self, numbers: torch.Tensor) -> torch.Tensor:
        """The network's numbers [n, numbers, ...] as the likelihood takes them: [n, ...] if there
        is one for each value.
        """
        return numbers.squeeze(1) if self.likelihood.raw_per_value == 1 else numbers

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Exact log p(x) [n] of data x [n, *shape], in nats."""
        width = 8 * self.settings.features * self.spec.size  # numbers held for a point, about
        return -torch.cat([self.nll(part) for part in in_cache(x, width)])

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n draws [n, *shape], one value after the other."""
        _, height, width = self.grid
        starts = [0] if is_traced() else range(0, max(1, n), SAMPLES_AT_ONCE)
        drawn = [
            self.network.generate(
                n if is_traced() else min(SAMPLES_AT_ONCE, n - start),
                height,
                width,
                lambda numbers: self.likelihood.draw(self.raw_of(numbers), rng),
            )
            for start in starts
        ]
        return torch.cat(drawn).reshape(n, *self.spec.shape)

"""The likelihood of values with many ordered levels, such as the 256 of a pixel, by a mixture of
logistic distributions (Salimans et al. 2017, arXiv:1701.05517).
"""

import torch
from torch.nn.functional import logsigmoid

from genbench.data.types import DataSpec
from genbench.nn.likelihoods import Output, per_point

LEAST_LOG_SCALE = -7.0  # as in the paper's code, so that no level has an unbounded weight


class LogisticMixture(Output):
    """The exact probabilities of the values 0, 1/(L-1), ..., 1 of data with L levels (equation 2 of
    the paper).

    Each level has what the mixture puts on its cell, of width 2/(L-1) on the scale from -1 to 1;
    the cells of the first and the last level have no end. A value between two levels counts as the
    nearest. Raw outputs are [n, 3 * components, ...]: logits, then means, then logs of scales.
    """

    is_discrete = bounded = True

    def __init__(self, levels: int, components: int) -> None:
        super().__init__()
        self.levels, self.components = levels, components
        self.raw_per_value = 3 * components

    def describes(self, spec: DataSpec) -> bool:
        return spec.unit and spec.cell == 1

    def parts(self, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The logs of weights, the means and the logs of scales, all [n, components, ...]."""
        logits, mean, log_scale = raw.chunk(3, 1)
        return logits.log_softmax(1), mean, log_scale.clamp(min=LEAST_LOG_SCALE)

    def nll(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        log_weight, mean, log_scale = self.parts(raw)
        half = 1 / (self.levels - 1)
        x = ((self.levels - 1) * x[:, None]).round() * half
        per_scale = (-log_scale).exp()
        upper = (2 * x - 1 + half - mean) * per_scale
        lower = (2 * x - 1 - half - mean) * per_scale
        # s(a) - s(b) = s(a) s(-b) (1 - e^(b-a)), of which no factor loses digits.
        below = torch.where(x > 1 - half / 2, 0.0, logsigmoid(upper))
        above = torch.where(x < half / 2, 0.0, logsigmoid(-lower))
        is_inner = (x - 0.5).abs() < 0.5 - half / 2
        between = torch.where(is_inner, (-torch.expm1(-2 * half * per_scale)).log(), 0.0)
        return per_point(-(log_weight + below + above + between).logsumexp(1))

    def mean(self, raw: torch.Tensor) -> torch.Tensor:
        # E[k] is the sum over k > 0 of the probability of level k or more.
        log_weight, mean, log_scale = self.parts(raw)
        total = torch.zeros_like(mean[:, 0])
        for k in range(1, self.levels):
            edge = (2 * k - 1) / (self.levels - 1) - 1
            beyond = ((mean - edge) * (-log_scale).exp()).sigmoid()
            total = total + (log_weight.exp() * beyond).sum(1)
        return total / (self.levels - 1)

    def draw(self, raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        log_weight, mean, log_scale = self.parts(raw)
        u = torch.rand(raw[:, 0].shape, generator=rng, device=raw.device)[:, None]
        ends = log_weight.exp().cumsum(1)
        chosen = (ends[:, :-1] <= u).sum(1, keepdim=True)
        end, weight, mean, log_scale = (
            part.gather(1, chosen) for part in (ends, log_weight.exp(), mean, log_scale)
        )
        # Within the part of (0, 1) that belongs to the chosen component, u is uniform, too.
        v = ((u - end + weight) / weight).clamp(1e-5, 1 - 1e-5)
        x = mean + log_scale.exp() * (v.log() - (-v).log1p())
        level = ((x + 1) / 2 * (self.levels - 1)).round().clamp(0, self.levels - 1)
        return (level / (self.levels - 1))[:, 0]

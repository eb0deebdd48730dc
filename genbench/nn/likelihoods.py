"""Terms of the objectives: likelihoods of data given a decoder's output, and KL divergences.

Every term is summed over dimensions: nats per data point, [n].

The densities are ours and not those of torch.distributions 2.14, which work under vmap but give no
more. Its continuous Bernoulli is 3 times slower and wrong for saturated outputs: at a logit of 40
the negative log-density of 1 is -3.69, there -2.77. Its normal and binomial, and the KL divergence
of normals (half as fast), round otherwise, so that a seed would give other weights. Its Bernoulli
is torch's cross-entropy, which takes 6 times as long as ours on a CPU.
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from genbench.data.fitting import usual_likelihood
from genbench.data.types import DataSpec
from genbench.nn.cross_entropy import cross_entropy_with_logits
from genbench.settings.autoencoders import VAESettings
from genbench.settings.groups import ReconstructionSettings
from genbench.utils.errors import UserError
from genbench.utils.tracing import is_traced


def per_point(values: torch.Tensor) -> torch.Tensor:
    """Sum over everything but the first dimension: [n, ...] -> [n]."""
    return values.flatten(1).sum(1)


def gaussian_kl(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """KL(N(mu, diag exp(logvar)) || N(0, I)) [n] of codes [n, d], in nats (Kingma & Welling 2014,
    appendix B).
    """
    return 0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum(1)


def bernoulli_kl(p: float, q: torch.Tensor) -> torch.Tensor:
    """KL(Bernoulli(p) || Bernoulli(q)) elementwise, in nats; q is kept 1e-6 away from 0 and 1."""
    q = q.clamp(1e-6, 1 - 1e-6)
    none = torch.zeros_like(q)
    on = p * (math.log(p) - q.log()) if p > 0 else none
    off = (1 - p) * (math.log(1 - p) - (1 - q).log()) if p < 1 else none
    return on + off


class Output(nn.Module):
    """How the raw output of a decoder describes data: the `nll` [n] of data, the `mean`, and a
    `sample`.
    """

    is_discrete = False  # True if exp(-nll) is a probability, False if it is a density
    bounded = False  # True if it describes values in [0, 1] only
    adds_noise = False  # True if `sample` is more than the mean
    raw_per_value = 1  # how many numbers it takes for each value of a point

    def describes(self, spec: DataSpec) -> bool:
        """Whether exp(-nll) sums or integrates to one over such data: it is a likelihood."""
        return True

    def nll(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """-log p(x | raw) in nats, or the loss that replaces it."""
        raise NotImplementedError

    def mean(self, raw: torch.Tensor) -> torch.Tensor:
        """E[x | raw]."""
        raise NotImplementedError

    def sample(self, raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """A draw from p(x | raw), or the mean where a draw would only be noisier."""
        return self.mean(raw)

    def draw(self, raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """A draw from p(x | raw), even where `sample` is the mean."""
        raise NotImplementedError


class SquaredError(Output):
    """||x - raw||^2, which is a Gaussian of variance 1/2 up to a constant."""

    def describes(self, spec: DataSpec) -> bool:
        return False

    def nll(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return per_point((x - raw) ** 2)

    def mean(self, raw: torch.Tensor) -> torch.Tensor:
        return raw


class Bernoulli(Output):
    """Cross-entropy of data in [0, 1] with logits `raw`; a likelihood if all are 0 or 1."""

    is_discrete = bounded = True

    def describes(self, spec: DataSpec) -> bool:
        return spec.trials == 1

    def nll(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return cross_entropy_with_logits(raw, x)

    def mean(self, raw: torch.Tensor) -> torch.Tensor:
        return raw.sigmoid()

    def draw(self, raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return (_uniform(raw, rng) < raw.sigmoid()).to(raw)


class BernoulliL1(Bernoulli):
    """Cross-entropy and absolute error of the mean, as in the SWAE's published code (Kolouri et al.
    2018).
    """

    def describes(self, spec: DataSpec) -> bool:
        return False

    def nll(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return super().nll(raw, x) + per_point((x - raw.sigmoid()).abs())


class Binomial(Bernoulli):
    """The exact likelihood of shares of `trials` dots, each of which is set with probability
    sigmoid(raw).
    """

    def __init__(self, trials: int) -> None:
        super().__init__()
        self.trials = trials

    def describes(self, spec: DataSpec) -> bool:
        return spec.trials == self.trials

    def nll(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        k, n = x * self.trials, self.trials
        if is_traced():  # ONNX has no lgamma
            table = [math.log(math.comb(n, dots)) for dots in range(n + 1)]
            log_choose = torch.tensor(table).to(x)[k.round().long()]
        else:
            log_choose = math.lgamma(n + 1) - (k + 1).lgamma() - (n - k + 1).lgamma()
        return self.trials * super().nll(raw, x) - per_point(log_choose)

    def draw(self, raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return super().draw(raw.expand(self.trials, *raw.shape), rng).mean(0)


class ContinuousBernoulli(Output):
    """The density C(p) p^x (1-p)^(1-x) on [0, 1], p = sigmoid(raw) (Loaiza-Ganem & Cunningham
    2019).
    """

    bounded = True

    def nll(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        # log C = log(raw / tanh(raw / 2)); both it and the mean are 0/0 at raw = 0, hence the
        # series there.
        safe = torch.where(raw.abs() < 0.1, torch.ones_like(raw), raw)
        series = math.log(2) + raw**2 / 12 - 7 * raw**4 / 1440
        log_c = torch.where(raw.abs() < 0.1, series, (safe / (safe / 2).tanh()).log())
        return cross_entropy_with_logits(raw, x) - per_point(log_c)

    def mean(self, raw: torch.Tensor) -> torch.Tensor:
        safe = torch.where(raw.abs() < 0.1, torch.ones_like(raw), raw)
        return torch.where(
            raw.abs() < 0.1, 0.5 + raw / 12 - raw**3 / 720, 1 / (1 - (-safe).exp()) - 1 / safe
        )

    def draw(self, raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        # The inverse of the distribution function, log(1 + u (exp(raw) - 1)) / raw, for raw < 0,
        # where nothing overflows; 1 - x has the opposite raw. It too is 0/0 at raw = 0.
        u, size = _uniform(raw, rng), raw.abs()
        safe = torch.where(size < 1e-3, torch.ones_like(raw), size)
        x = -(u * (-safe).expm1()).log1p() / safe
        x = torch.where(size < 1e-3, u - size * u * (1 - u) / 2, x)
        return torch.where(raw > 0, 1 - x, x)


class Gaussian(Output):
    """N(raw, sigma^2 I) with the same sigma for all dimensions, fixed or learnt (>= .001)."""

    adds_noise = True
    # A learnt sigma must not shrink to zero on data that can be reconstructed exactly.
    floor = 1e-3
    fixed: torch.Tensor

    def __init__(self, sigma: float | str) -> None:
        super().__init__()
        self.learned = sigma == "learned"
        if self.learned:
            self.log_sigma = nn.Parameter(torch.zeros(()))
        else:
            self.register_buffer("fixed", torch.tensor(float(sigma)))

    @property
    def sigma(self) -> torch.Tensor:
        """The standard deviation, a scalar."""
        return self.floor + self.log_sigma.exp() if self.learned else self.fixed

    def nll(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return per_point(
            0.5 * ((x - raw) / self.sigma) ** 2 + self.sigma.log() + 0.5 * math.log(2 * math.pi)
        )

    def mean(self, raw: torch.Tensor) -> torch.Tensor:
        return raw

    def sample(self, raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return raw + self.sigma * torch.randn(raw.shape, generator=rng, device=raw.device)

    def draw(self, raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return self.sample(raw, rng)


class ScaledGaussian(Output):
    """N(mean, sigma^2) of each value, where `raw` [n, 2, ...] holds the mean and the logarithm of
    sigma, to which .001 is added.
    """

    adds_noise = True
    raw_per_value = 2

    def log_sigma(self, raw: torch.Tensor) -> torch.Tensor:
        """The logarithm of the standard deviation, [n, ...] of raw [n, 2, ...]."""
        floor = torch.full_like(raw[:, 1], math.log(Gaussian.floor))
        return torch.logaddexp(raw[:, 1], floor)

    def nll(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        log_sigma = self.log_sigma(raw)
        z = (x - raw[:, 0]) * (-log_sigma).exp()
        return per_point(0.5 * z**2 + log_sigma + 0.5 * math.log(2 * math.pi))

    def mean(self, raw: torch.Tensor) -> torch.Tensor:
        return raw[:, 0]

    def sample(self, raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        mean = raw[:, 0]
        noise = torch.randn(mean.shape, generator=rng, device=raw.device)
        return mean + self.log_sigma(raw).exp() * noise

    def draw(self, raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return self.sample(raw, rng)


def reconstruction(spec: DataSpec, s: ReconstructionSettings) -> Output:
    """The output that the setting `reconstruction` names; UserError if the data do not fit it."""
    if s.reconstruction == "mse":
        return SquaredError()
    _require_unit(spec, "reconstruction", s.reconstruction, "mse")
    return Bernoulli() if s.reconstruction == "bce" else BernoulliL1()


def likelihood(spec: DataSpec, s: VAESettings) -> Output:
    """The output that the settings `likelihood` and `sigma` name; UserError if the data do not fit
    it.
    """
    kind: str = s.likelihood
    if kind == "auto":
        kind = usual_likelihood(spec)
    return named_likelihood(spec, kind, lambda: Gaussian(s.sigma))


def named_likelihood(spec: DataSpec, kind: str, gaussian: Callable[[], Output]) -> Output:
    """The output of this name, of which `gaussian` makes the one for any real values; UserError if
    the data do not fit it.
    """
    if kind == "gaussian":
        return gaussian()
    _require_unit(spec, "likelihood", kind, "gaussian")
    if kind == "binomial":
        if spec.trials is None:
            raise UserError(
                "likelihood",
                "needs values that count dots, as in digits, or binary values",
                kind,
                "likelihood=bernoulli",
            )
        return Binomial(spec.trials)
    return Bernoulli() if kind == "bernoulli" else ContinuousBernoulli()


def _require_unit(spec: DataSpec, key: str, value: str, other: str) -> None:
    if not spec.unit:
        raise UserError(key, "needs data in [0, 1], such as images", value, f"{key}={other}")


def _uniform(raw: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Draws from [0, 1) of the shape of `raw`."""
    return torch.rand(raw.shape, generator=rng, device=raw.device)

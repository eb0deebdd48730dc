"""Ways from noise to data, given an estimate of E[x | x_t]: none knows a model.

Each takes a `Process`, points x [n, *shape] at the first time, falling times of which the last may
be zero, and a generator of noise, and returns points at the last time. At time zero these are the
estimates of E[x | x_t] of the time before.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch

from genbench.diffusion.ode import dormand_prince
from genbench.diffusion.paths import Path, Point
from genbench.diffusion.predictions import Denoised
from genbench.utils import signals

Denoise = Callable[[torch.Tensor, torch.Tensor], Denoised]


class Process(NamedTuple):
    """A path, and estimates of E[x | x_t] and E[eps | x_t] for points x_t [n, *shape] at times t
    [n], or [1] for all.
    """

    path: Path
    denoise: Denoise

    def at(self, x: torch.Tensor, t: float | torch.Tensor) -> tuple[Denoised, Point]:
        """The estimates at points x and one time, and the path there."""
        times = torch.as_tensor(t, dtype=x.dtype, device=x.device).reshape(1)
        return self.denoise(x, times), self.path.at(times).like(x)

    def velocity(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        """dx/dt [n, *shape] of the probability flow at points x and one time."""
        found, at = self.at(x, t)
        return at.alpha_slope * found.x + at.sigma_slope * found.eps

    def score(self, x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        """The gradient [n, *shape] of log p_t at points x and one time."""
        found, at = self.at(x, t)
        return -found.eps / at.sigma

    def within(self, low: torch.Tensor, high: torch.Tensor) -> "Process":
        """The process with estimates of x that are kept between two values."""

        def denoise(x_t: torch.Tensor, t: torch.Tensor) -> Denoised:
            at = self.path.at(t).like(x_t)
            x = self.denoise(x_t, t).x.clamp(low, high)
            return Denoised(x, (x_t - at.alpha * x) / at.sigma)

        return self._replace(denoise=denoise)


# A sampler that needs nothing more, and the points and times that it begins with.
Start = tuple[Callable[..., torch.Tensor], torch.Tensor, list[float]]


class Options(NamedTuple):
    """Numbers that some samplers use.

    eta     share of the ancestral noise that `ddim` adds
    churn   the S_churn of Karras et al. 2022: noise that `heun` adds before steps
    rate    step size of `langevin` over sigma^2, and how many such `corrections` it makes per level
    """

    eta: float = 0.0
    churn: float = 0.0
    rate: float = 0.1
    corrections: int = 10


def _noise(x: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(x.shape, generator=rng, device=x.device, dtype=x.dtype)


def _steps(times: Sequence[float]) -> Iterator[tuple[float, float]]:
    for step in pairwise(times):
        signals.check()
        yield step


def ddim(
    process: Process, x: torch.Tensor, times: Sequence[float], rng: torch.Generator, o: Options
) -> torch.Tensor:
    """Denoise, and add noise anew, of which a part is the old one (Song et al. 2021,
    arXiv:2010.02502, equation 12).

    With eta = 0 all of it is: a step of Euler's for x / alpha against sigma / alpha. With eta = 1
    the step is a draw from the posterior q(x_s | x_t, x), as in ancestral sampling.
    """
    for t, s in _steps(times):
        found, now = process.at(x, t)
        if s == 0:
            return found.x
        then = process.path.at(torch.full((1,), s, dtype=x.dtype, device=x.device)).like(x)
        # The variance of q(x_s | x_t, x), which is finite also where alpha_t is zero.
        fresh = then.sigma**2 * (1 - (now.alpha * then.sigma / (then.alpha * now.sigma)) ** 2)
        added = o.eta**2 * fresh
        x = then.alpha * found.x + (then.sigma**2 - added).clamp(min=0).sqrt() * found.eps
        if o.eta:
            x = x + added.sqrt() * _noise(x, rng)
    return x


def ancestral(
    process: Process, x: torch.Tensor, times: Sequence[float], rng: torch.Generator, o: Options
) -> torch.Tensor:
    """Draws from q(x_s | x_t, x) at the estimate of x (Ho et al. 2020, algorithm 2, with the
    posterior's own variance).
    """
    return ddim(process, x, times, rng, o._replace(eta=1.0))


def euler(
    process: Process, x: torch.Tensor, times: Sequence[float], rng: torch.Generator, o: Options
) -> torch.Tensor:
    """Euler's method for the probability flow."""
    for t, s in _steps(times):
        if s == 0:
            return process.at(x, t)[0].x
        x = x + (s - t) * process.velocity(x, t)
    return x


def heun(
    process: Process, x: torch.Tensor, times: Sequence[float], rng: torch.Generator, o: Options
) -> torch.Tensor:
    """Heun's method for the probability flow, with noise added before steps if `churn` is positive
    (Karras et al. 2022, algorithm 2).
    """
    more = min(o.churn / (len(times) - 1), math.sqrt(2) - 1)
    for t, s in _steps(times):
        if more:  # only where alpha = 1 and sigma is proportional to time
            level = process.path.at(torch.full((1,), t, dtype=x.dtype, device=x.device)).like(x)
            x = x + level.sigma * math.sqrt((1 + more) ** 2 - 1) * _noise(x, rng)
            t = t * (1 + more)
        if s == 0:
            return process.at(x, t)[0].x
        slope = process.velocity(x, t)
        ahead = process.velocity(x + (s - t) * slope, s)
        x = x + (s - t) * (slope + ahead) / 2
    return x


def langevin(
    process: Process, x: torch.Tensor, times: Sequence[float], rng: torch.Generator, o: Options
) -> torch.Tensor:
    """Langevin dynamics at one level of noise after the other (Song & Ermon 2019, algorithm 1),
    and a last denoising (Jolicoeur-Martineau et al. 2021, arXiv:2009.05475).
    """
    for t, s in _steps(times):
        level = process.path.at(torch.full((1,), t, dtype=x.dtype, device=x.device)).like(x)
        e = o.rate * level.sigma**2
        for _ in range(o.corrections):
            x = x + e * process.score(x, t) + (2 * e).sqrt() * _noise(x, rng)
        if s == 0:
            return process.at(x, t)[0].x
    return x


def adaptive(
    process: Process, x: torch.Tensor, times: Sequence[float], rng: torch.Generator, o: Options
) -> torch.Tensor:
    """The probability flow by steps as long as accuracy allows; only the ends of `times` count."""
    last = times[-1] or process.path.first
    x = dormand_prince(process.velocity, x, times[0], last)
    return x if times[-1] else process.at(x, last)[0].x


SAMPLERS = {
    "ancestral": ancestral,
    "ddim": ddim,
    "euler": euler,
    "heun": heun,
    "langevin": langevin,
    "adaptive": adaptive,
}

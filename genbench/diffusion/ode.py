"""Ordinary differential equations dx/dt = f(x, t), and how densities change along them."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch.func import vjp

from genbench.utils import signals

Slope = Callable[[torch.Tensor, float], torch.Tensor]
State = tuple[torch.Tensor, ...]

# Dormand & Prince 1980, J. Comput. Appl. Math. 6:19: the times of a step's seven slopes, what each
# is evaluated at, and the weights of the slopes in the error's estimate.
NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
TABLEAU = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
LEAST_STEP = 1e-4  # as a share of the time


def dormand_prince(
    slope: Slope, x: torch.Tensor, start: float, end: float, tolerance: float = 1e-5
) -> torch.Tensor:
    """x(end) [n, *shape] from x(start), by steps of fifth order whose estimated error, relative to
    1 + |x|, is at most `tolerance` in the root mean square over all points and values.

    All points take the same steps, so that those of one point depend, within the tolerance, on the
    others. It gives up on accuracy, and takes its smallest step, after 10,000 steps' worth of time.
    """
    t, span = start, end - start
    step, least = span / 20, abs(span) * LEAST_STEP
    first = slope(x, t)
    while abs(end - t) > 1e-9 * abs(span):
        signals.check()
        if abs(step) > abs(end - t):
            step = end - t
        slopes = [first]
        for node, weights in zip(NODES[1:], TABLEAU[1:]):
            ahead = x + step * _sum(weights, slopes)
            slopes.append(slope(ahead, t + node * step))
        error = step * _sum(ERROR, slopes) / (tolerance * (1 + torch.maximum(x.abs(), ahead.abs())))
        norm = float(error.square().mean().sqrt())
        if norm <= 1 or abs(step) <= least:
            # The last stage is the result, and its slope the first of the next step.
            t, x, first = t + step, ahead, slopes[-1]
        factor = 5.0 if norm == 0 else min(5.0, max(0.2, 0.9 * norm**-0.2))
        step = math.copysign(max(abs(step) * factor, least), span)
    return x


def _sum(weights: Sequence[float], slopes: Sequence[torch.Tensor]) -> torch.Tensor:
    terms = [weight * slope for weight, slope in zip(weights, slopes) if weight]
    return torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]


def runge_kutta(
    slope: Callable[[State, float], State], state: State, times: Sequence[float]
) -> State:
    """The state at the last of the times from that at the first, by the classical method of fourth
    order.
    """
    for t, s in pairwise(times):
        signals.check()
        h = s - t
        first = slope(state, t)
        second = slope(_moved(state, first, h / 2), t + h / 2)
        third = slope(_moved(state, second, h / 2), t + h / 2)
        fourth = slope(_moved(state, third, h), s)
        state = tuple(
            x + h / 6 * (a + 2 * b + 2 * c + d)
            for x, a, b, c, d in zip(state, first, second, third, fourth)
        )
    return state


def _moved(state: State, slopes: State, h: float) -> State:
    return tuple(x + h * slope for x, slope in zip(state, slopes))


def log_density_change(
    slope: Slope, x: torch.Tensor, times: Sequence[float], probes: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """x [n, *shape] at the last of the times, and log p(x(first)) - log p(x(last)) [n], which is
    the integral of the divergence of the slope (Chen et al. 2018, arXiv:1806.07366, theorem 1).

    The divergence is the exact trace of the Jacobian; or, with probes [k, n, *shape] of mean zero
    and covariance I, the mean over them of v' J v (Hutchinson 1990; Grathwohl et al. 2019,
    arXiv:1810.01367), which is right on average.
    """

    def along(state: State, t: float) -> State:
        pulled: Any = vjp(lambda points: slope(points, t), state[0])
        found, pull = pulled
        if probes is not None:
            traces = [(probe * pull(probe)[0]).flatten(1).sum(1) for probe in probes]
            return found, torch.stack(traces).mean(0)
        traces = []
        for i in range(found[0].numel()):
            direction = torch.zeros_like(found).flatten(1)
            direction[:, i] = 1
            traces.append(pull(direction.view_as(found))[0].flatten(1)[:, i])
        return found, torch.stack(traces).sum(0)

    start = torch.zeros(x.shape[0], dtype=x.dtype, device=x.device)
    end, change = runge_kutta(along, (x, start), times)
    return end, change

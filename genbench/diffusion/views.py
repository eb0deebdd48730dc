"""What a process shows of itself: its way from noise to data, its directions, its errors."""

from collections.abc import Callable, Sequence

import torch

from genbench.diffusion.samplers import Process, Start
from genbench.visualizations import Curves, PointFunction, Rows, VectorFields, Visualization

STAGES = 6  # at which the way of samples is shown
SHOWN_TIMES = (0.9, 0.5, 0.2, 0.05)  # of the vector fields, as shares of the last time
LEVELS = 25  # times at which errors are measured


def pictures(
    process: Process, start: Start, x: torch.Tensor, eps: torch.Tensor
) -> dict[str, Visualization]:
    """What to draw of a process that begins with `start`, and of held-out points x [n, *shape] with
    noise of the same shape; all at variance one.
    """
    times, errors = errors_by_time(process, x, eps)
    error = "squared error of E[x | x_t] over the variance of the data, on held-out points"
    way = "the way of samples from noise to data"
    return {
        "trajectories": Rows(way, trajectories(process, *start)),
        "field": VectorFields("where samples move, at four times", directions(process)),
        "error_by_time": Curves(error, times, {"error": errors}, "t", "error"),
    }


def trajectories(
    process: Process,
    led: Callable[[torch.Tensor, Sequence[float]], torch.Tensor],
    x: torch.Tensor,
    times: Sequence[float],
) -> dict[str, torch.Tensor]:
    """Points [n, *shape] at some of the times; `led` leads points through a part of them."""
    stops = sorted({round(i * (len(times) - 1) / (STAGES - 1)) for i in range(STAGES)})
    found = {}
    for before, stop in zip([0, *stops], stops):
        if stop > before:
            x = led(x, times[before : stop + 1])
        t = torch.full((1,), times[stop], dtype=x.dtype, device=x.device)
        scale = process.path.at(t).like(x).scale if times[stop] else 1.0
        found[f"t = {times[stop]:.2g}"] = x / scale
    return found


def directions(process: Process) -> dict[str, PointFunction]:
    """Where the probability flow leads at some times, as functions of points of variance one."""

    def at(t: float) -> PointFunction:
        def function(x: torch.Tensor) -> torch.Tensor:
            now = torch.full((1,), t, dtype=x.dtype, device=x.device)
            scale = process.path.at(now).like(x).scale
            return -process.velocity(x * scale, t) / scale  # towards the data

        return function

    shown = [share * process.path.last for share in SHOWN_TIMES]
    return {f"t = {t:.2g}": at(t) for t in shown}


def errors_by_time(
    process: Process, x: torch.Tensor, eps: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Times [m], and the mean squared error [m] of E[x | x_t], over values, at points x [n, *shape]
    with noise of the same shape.
    """
    times = torch.linspace(process.path.first, process.path.last, LEVELS)
    found = []
    for t in times:
        at = process.path.at(t.to(x).expand(1)).like(x)
        estimate, _ = process.at(at.alpha * x + at.sigma * eps, t)
        found.append((estimate.x - x).square().mean())
    return times, torch.stack(found).cpu()

"""The random draws of a model's sampler as arrays: record_draws from a generator, and replayed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from genbench.utils.rng import generator

# The functions by which models draw, and what they draw.
DISTRIBUTIONS: dict[Callable[..., Any], str] = {
    torch.randn: "normal",
    torch.rand: "uniform",
    torch.randint: "integers",
    torch.multinomial: "label",
}
TWO_SIZES = (5, 7)  # two numbers of points, which show along which axis the points are


class RecordedDraw(NamedTuple):
    """What one call of a random function returned.

    kind      a value of `DISTRIBUTIONS`
    below     the bound of `integers`, else 0
    shares    the probability of each label, else empty
    """

    kind: str
    below: int
    shares: tuple[float, ...]
    value: torch.Tensor


@dataclass(frozen=True)
class DrawsInput:
    """Draws of the same kind and shape that a sampler makes one after the other, as one input.

    The input has the shape [n, *shape], or [n, count, *shape] where there are several draws. The
    call itself returned the points along `axis`.
    """

    kind: str
    below: int
    shares: tuple[float, ...]
    shape: tuple[int, ...]
    count: int
    axis: int
    dtype: torch.dtype

    def joined(self, draws: Iterable[torch.Tensor]) -> torch.Tensor:
        """The results of the calls as the one input."""
        points_first = [draw.movedim(self.axis, 0) for draw in draws]
        return points_first[0] if self.count == 1 else torch.stack(points_first, 1)

    def parted(self, joined: torch.Tensor) -> Iterator[torch.Tensor]:
        """The results of the calls, given the one input."""
        parts = (joined,) if self.count == 1 else joined.unbind(1)
        yield from (part.movedim(0, self.axis) for part in parts)


class _Recording(TorchFunctionMode):
    """Keeps a list of what random functions with a generator return."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[RecordedDraw] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        value = func(*args, **(kwargs or {}))
        if func in DISTRIBUTIONS and (kwargs or {}).get("generator") is not None:
            kind = DISTRIBUTIONS[func]
            below = int(args[0]) if kind == "integers" else 0
            weights = args[0].double() if kind == "label" else torch.ones(0)
            shares = tuple((weights / weights.sum()).tolist()) if kind == "label" else ()
            self.draws.append(RecordedDraw(kind, below, shares, value))
        return value


class _Replaying(TorchFunctionMode):
    """Lets random functions with a generator return what was drawn before, in the same order."""

    def __init__(self, draws: Iterator[torch.Tensor]) -> None:
        super().__init__()
        self.draws = draws

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func in DISTRIBUTIONS and (kwargs or {}).get("generator") is not None:
            return next(self.draws)
        return func(*args, **(kwargs or {}))


SampleFunction = Callable[[int, torch.Generator], torch.Tensor]


def record_draws(
    sample: SampleFunction, n: int, seed: int, device: torch.device
) -> tuple[list[RecordedDraw], Any]:
    """The draws of n points from a sampler, and the points [n, *shape]."""
    with _Recording() as recording:
        points = sample(n, generator(seed, "sample", device=device))
    return recording.draws, points


@contextmanager
def replayed(inputs: Iterable[DrawsInput], values: Iterable[torch.Tensor]) -> Iterator[None]:
    """Within this block, samplers draw these values [n, ...] of their inputs."""
    draws = (part for i, value in zip(inputs, values, strict=True) for part in i.parted(value))
    with _Replaying(draws):
        yield


def inputs_of(sample: SampleFunction, device: torch.device) -> list[DrawsInput]:
    """What a sampler draws for each point, in the order of the calls.

    ValueError if the number of calls depends on the number of points.
    """
    few, more = (record_draws(sample, n, 0, device)[0] for n in TWO_SIZES)
    if len(few) != len(more):
        raise ValueError("the number of draws depends on the number of points")
    described = []
    for a, b in zip(few, more, strict=True):
        axes = [i for i, size in enumerate(a.value.shape) if size != b.value.shape[i]]
        if len(axes) != 1:
            raise ValueError("a draw is not one for each point")
        (axis,) = axes
        shape = tuple(size for i, size in enumerate(a.value.shape) if i != axis)
        described.append((a.kind, a.below, a.shares, shape, axis, a.value.dtype))
    found = []
    for (kind, below, shares, shape, axis, dtype), same in groupby(described):
        found.append(DrawsInput(kind, below, shares, shape, len(list(same)), axis, dtype))
    return found

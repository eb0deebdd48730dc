"""A model as functions of arrays, which are exported: encoder, decoder, sampler and log_prob."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from genbench.export.draws import inputs_of, record_draws, replayed
from genbench.model import Model, supports
from genbench.utils.rng import generator

MEANINGS = {  # of a sampler's inputs, by kind
    "normal": "independent draws from N(0, 1)",
    "uniform": "independent draws from the uniform distribution on [0, 1)",
    "integers": "independent whole numbers, each from 0 to below - 1 equally likely",
    "label": "class labels; drawn with these probabilities, samples are like the data",
}


@dataclass(frozen=True)
class ArrayInput:
    """An input of a program: an array [n, *shape]; `meaning` says what it holds.

    `below` bounds whole numbers, and `probabilities` are those of labels.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    meaning: str
    below: int = 0
    probabilities: tuple[float, ...] = ()

    def described(self) -> dict[str, Any]:
        """The input in words and numbers."""
        about: dict[str, Any] = {
            "name": self.name,
            "shape": ["n", *self.shape],
            "dtype": str(self.dtype).removeprefix("torch."),
            "meaning": self.meaning,
        }
        about |= {"below": self.below} if self.below else {}
        return about | ({"probabilities": self.probabilities} if self.probabilities else {})


class Example(NamedTuple):
    """Inputs of a program for some points, and what the model itself returns for them."""

    inputs: tuple[torch.Tensor, ...]
    result: torch.Tensor


class Program(nn.Module):
    """A method of a trained model as a function of arrays of n points, for any n."""

    name: str
    inputs: tuple[ArrayInput, ...]
    result: str  # the name of what it returns
    meaning: str  # of the result

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def example(self, n: int, seed: int) -> Example:
        """An example of n points."""
        raise NotImplementedError

    def described(self, example: Example) -> dict[str, Any]:
        """Inputs and result in words and numbers; the example shows the shape of the result."""
        result = {
            "name": self.result,
            "shape": ["n", *example.result.shape[1:]],
            "dtype": str(example.result.dtype).removeprefix("torch."),
            "meaning": self.meaning,
        }
        return {"inputs": [one.described() for one in self.inputs], "result": result}


class MethodProgram(Program):
    """A method of points or codes, with their labels where the model is conditional."""

    def __init__(
        self, model: Model, name: str, method: str, first: ArrayInput, result: str, meaning: str
    ) -> None:
        super().__init__(model)
        self.name, self.method, self.result, self.meaning = name, method, result, meaning
        self.call = getattr(model, method)  # whether a model has it is no question to be traced
        labels = ArrayInput("y", (), torch.int64, "class labels", below=model.spec.classes)
        self.inputs = (first, labels) if model.conditional else (first,)

    def forward(self, value: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        """The result for points or codes [n, ...], and labels [n]."""
        if y is None:
            return self.call(value)
        return getattr(self.model.conditioned_on(y), self.method)(value)

    def example(self, n: int, seed: int) -> Example:
        points, labels = example_points(self.model, n, seed)
        value = points if self.inputs[0].name == "x" else example_codes(self.model, points, labels)
        inputs = (value,) if labels is None else (value, labels)
        return Example(inputs, self(*inputs))


class SamplerProgram(Program):
    """Sampling, with all the randomness as inputs: the same draws give the same points."""

    name, result, meaning = "sampler", "x", "generated points"

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.sample = model.sample
        self.draws = inputs_of(self.sample, model.device)
        seen: Counter[str] = Counter()
        inputs = []
        for draw in self.draws:
            seen[draw.kind] += 1
            suffix = f"_{seen[draw.kind]}" if seen[draw.kind] > 1 else ""
            shape = draw.shape if draw.count == 1 else (draw.count, *draw.shape)
            kind = MEANINGS[draw.kind]
            inputs.append(
                ArrayInput(f"{draw.kind}{suffix}", shape, draw.dtype, kind, draw.below, draw.shares)
            )
        self.inputs = tuple(inputs)

    def forward(self, *draws: torch.Tensor) -> torch.Tensor:
        """The points [n, *shape] of these draws."""
        rng = torch.Generator(draws[0].device)  # which nothing is drawn from
        with replayed(self.draws, draws):
            return self.sample(draws[0].shape[0], rng)

    def example(self, n: int, seed: int) -> Example:
        draws, points = record_draws(self.sample, n, seed, self.model.device)
        values = iter([draw.value for draw in draws])
        inputs = tuple(i.joined([next(values) for _ in range(i.count)]) for i in self.draws)
        return Example(inputs, points)


def programs(model: Model) -> Iterator[Program]:
    """The programs of what a model can do; `log_prob` only where it is exact."""
    points = ArrayInput("x", model.spec.shape, torch.float32, "points, as the data are")
    if supports(model, "encode"):
        yield MethodProgram(model, "encoder", "encode", points, "z", "codes of the points")
    if supports(model, "decode"):
        codes = example_codes(model, *example_points(model, 2, 0))
        first = ArrayInput("z", tuple(codes.shape[1:]), codes.dtype, "codes")
        yield MethodProgram(model, "decoder", "decode", first, "x", "points of the codes")
    if supports(model, "sample"):
        yield SamplerProgram(model)
    if supports(model, "log_prob") and model.log_prob_kind == "exact" and not model.conditional:
        what = "log probability" if model.is_discrete else "log density"
        meaning = f"{what} of the points, in nats"
        yield MethodProgram(model, "log_prob", "log_prob", points, "log_prob", meaning)


def example_points(model: Model, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """n points [n, *shape] of the kind that a model accepts, and labels if it needs them.

    They are samples where the model can draw some, as the data themselves may be gone.
    """
    rng = generator(seed, "example", device=model.device)
    labels = None
    if model.conditional:
        labels = torch.arange(n, device=model.device) % model.spec.classes
    if supports(model, "sample"):
        points = model.conditioned_on(labels).sample(n, rng)
    else:
        points = torch.rand((n, *model.spec.shape), generator=rng, device=model.device)
    return (points.clamp(0, 1) if model.spec.unit else points), labels


def example_codes(model: Model, points: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    """Codes of points [n, *shape], or as many that a model without an encoder draws."""
    if supports(model, "encode"):
        return model.conditioned_on(labels).encode(points)
    return model.codes(len(points), generator(0, "example", device=model.device))

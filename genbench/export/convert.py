"""Programs as files of `torch.export` and ONNX, each run again from its file and compared."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genbench.export.programs import Example, Program
from genbench.utils.errors import UserError
from genbench.utils.imports import optional

TOLERANCE = 1e-5  # of a result, relative to its largest value where that is above 1

OTHER_FORMAT = "another format, such as formats=safetensors"

RunFunction = Callable[[Sequence[torch.Tensor]], Any]


def traced(program: Program, example: Example) -> torch.export.ExportedProgram:
    """The operations of a program, for any number of points."""
    n = torch.export.Dim("n")
    along: Any = tuple({0: n} for _ in example.inputs)
    several = program.name == "sampler"  # whose inputs are one argument with a star
    with quiet():
        return torch.export.export(
            program, example.inputs, dynamic_shapes=(along,) if several else along
        )


def write_torch(
    exported: torch.export.ExportedProgram, path: Path, examples: Sequence[Example]
) -> float:
    """Write a file for `torch.export.load`, and return how far its results are from the model's.

    UserError if they differ.
    """
    with quiet():
        torch.export.save(exported, path)
        loaded = torch.export.load(path).module()
    return difference(path.name, lambda inputs: loaded(*inputs), examples)


def write_onnx(
    exported: torch.export.ExportedProgram,
    program: Program,
    path: Path,
    examples: Sequence[Example],
) -> float:
    """Write a file for ONNX runtimes, and return how far its results are from the model's.

    UserError if they differ.
    """
    runtime = optional("onnxruntime", "export", "onnx")
    names = [one.name for one in program.inputs]
    with quiet():
        found = torch.onnx.export(
            exported,
            dynamo=True,
            verbose=False,
            input_names=names,
            output_names=[program.result],
        )
        assert found is not None  # as no file was named
        found.save(path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(inputs: Sequence[torch.Tensor]) -> Any:
        feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return session.run(None, feed)[0]

    return difference(path.name, run, examples)


def difference(name: str, run: RunFunction, examples: Sequence[Example]) -> float:
    """The largest difference of results from the model's own, relative to the largest result where
    that is above 1.

    UserError if it is above `TOLERANCE`.
    """
    largest = 0.0
    for example in examples:
        expected = example.result.double().numpy()
        got = np.asarray(run(example.inputs), dtype=np.float64)
        if got.shape != expected.shape:
            what = f"returns an array {list(got.shape)}, and the model {list(expected.shape)}"
            raise UserError(name, what, fix=OTHER_FORMAT, code=1)
        both_finite = np.isfinite(expected) & np.isfinite(got)
        same = (expected == got) | (np.isnan(expected) & np.isnan(got)) | both_finite
        apart = np.abs(expected - got, where=both_finite, out=np.zeros_like(got))
        scale = max(1.0, np.abs(expected, where=both_finite, out=np.zeros_like(got)).max(initial=0))
        off = float(apart.max(initial=0.0) / scale) if same.all() else float("inf")
        if off > TOLERANCE:
            what = f"differs from the model by {off:.1e}"
            raise UserError(name, what, fix=OTHER_FORMAT, code=1)
        largest = max(largest, off)
    return largest


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide what torch and its exporter print and warn of; what they raise is what counts."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)

"""How training steps compute: in which precision, and whether torch compiles them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from genbench.settings.groups import GradientSettings
from genbench.utils.errors import UserError, lacks_memory


def casting(s: GradientSettings, device: torch.device) -> AbstractContextManager[Any]:
    """For the loss, and not its gradient: with `precision=bf16`, torch casts where that is enough.

    Weights, optimisers and what is measured stay in float32.
    """
    if s.precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def rounding(s: GradientSettings, device: torch.device) -> AbstractContextManager[Any]:
    """For the loss and its gradient: whether products on a GPU round, as with `precision=tf32`."""
    if device.type == "cuda" and s.precision != "bf16":
        return _tensor_cores(s.precision == "tf32")
    return nullcontext()


@contextmanager
def _tensor_cores(used: bool) -> Iterator[None]:
    """Whether products of matrices and convolutions on a GPU round their factors to 10 bits."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if used else "highest")
    torch.backends.cudnn.allow_tf32 = used
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


class Compiled:
    """A function of tensors as it is or, with the setting `compile`, as torch compiles it.

    On a GPU, one launch of a CUDA graph then replaces those of single kernels.
    """

    def __init__(
        self, function: Callable[..., Any], s: GradientSettings, device: torch.device
    ) -> None:
        self.function, self.is_compiled, self.device = function, s.compile, device
        if self.is_compiled:
            torch.compiler.reset()  # torch keeps few versions of a function, also for other models
            mode = "reduce-overhead" if device.type == "cuda" else "default"
            self.function = torch.compile(function, dynamic=False, mode=mode)

    def __call__(self, *arguments: Any) -> Any:
        """Call the function. UserError if torch cannot compile it here."""
        if not self.is_compiled:
            return self.function(*arguments)
        try:
            return self.function(*arguments)
        except Exception as error:
            if lacks_memory(error):
                raise
            first = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            what = f"torch cannot compile the steps of this model here ({first})"
            raise UserError("compile", what, True, "compile=false", code=1) from error

    def weights(self, weights: Mapping[str, float]) -> Mapping[str, Any]:
        """Weights of a loss as arguments: numbers would be compiled into the code."""
        if not self.is_compiled:
            return weights
        return {name: torch.full((), w, device=self.device) for name, w in weights.items()}

    def kept(self, terms: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Results without their history, in memory that the next call does not write to."""
        kept = {name: value.detach() for name, value in terms.items()}
        return {name: v.clone() for name, v in kept.items()} if self.is_compiled else kept

"""The cross-entropy of data in [0, 1] with logits, summed over the values of a point.

On AMD's CPUs torch's own function spends most of its time in log1p, which costs 15 times as much as
a logarithm there, and 3 times on Intel's. Here the logarithms of several values are taken together.
"""

import inspect
from typing import Any

import torch
import torch.nn.functional as F

from genbench.utils.processor import made_by_amd

# How many sigmoids, each at least one half, are multiplied before a logarithm is taken. Their
# product is at least 2^-8, and each factor adds one rounding error to it, like a term of a sum.
FACTORS = 8


def cross_entropy_with_logits(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """-sum_d [x_d log s(l_d) + (1 - x_d) log s(-l_d)] [n], in nats, of data x [n, ...] in [0, 1]
    and logits l [n, ...], where s is the sigmoid.

    The gradient with respect to the logits is s(l) - x to the last digits, however large they are.
    """
    logits, x = logits.flatten(1), x.flatten(1)
    # Compilers and GPUs do all of it in one pass, and half precision is not enough for a product.
    precise = logits.dtype in (torch.float32, torch.float64)
    if logits.is_cpu and precise and not torch.compiler.is_compiling() and made_by_amd():
        return _CrossEntropy.apply(logits, x)
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


class _CrossEntropy(torch.autograd.Function):
    """sum_d [max(l_d, 0) - x_d l_d - log s(|l_d|)], and its gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        share = logits.abs().sigmoid_()
        columns = share.shape[1] // FACTORS
        products = share[:, : FACTORS * columns].unflatten(1, (FACTORS, columns)).prod(1)
        found = torch.addcmul(logits.relu(), x, logits, value=-1).sum(1) - products.log().sum(1)
        if rest := share.shape[1] % FACTORS:
            found = found - share[:, -rest:].log().sum(1)
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(
        ctx: Any, upstream: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        logits, x = ctx.saved_tensors
        upstream = upstream[:, None]
        to_logits = (logits.sigmoid() - x) * upstream if ctx.needs_input_grad[0] else None
        return to_logits, -logits * upstream if ctx.needs_input_grad[1] else None


# torch looks for the signature at every call, and finds it faster here.
_forward: Any = _CrossEntropy.forward
_forward.__signature__ = inspect.signature(_forward)

"""Whether code is being traced by `torch.export`, where it may not branch on values of tensors."""

import torch


def is_traced() -> bool:
    """Whether `torch.export` is recording the operations of a model.

    What is recorded must hold for any number of points and any values. Older versions of torch
    cannot tell, and cannot export models either.
    """
    is_exporting = getattr(torch.compiler, "is_exporting", None)
    return is_exporting is not None and bool(is_exporting())

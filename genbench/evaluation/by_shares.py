"""What a model computes for points of an evaluation, divided among the processes of a run.

The first process measures. The others wait in `serve_first` for points, compute what it asks for of
their share, and send it back, until the first says that nothing else comes.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch.linalg import LinAlgError

from genbench.data.types import Batch
from genbench.model import Model
from genbench.training import ranks, shares


def _reconstructed(model: Model, x: torch.Tensor) -> torch.Tensor:
    return model.decode(model.encode(x))


def _encoded(model: Model, x: torch.Tensor) -> torch.Tensor:
    return model.encode(x)


def _log_prob(model: Model, x: torch.Tensor, **more: Any) -> torch.Tensor:
    return model.log_prob(x, **more)


FUNCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "reconstruct": _reconstructed,
    "encode": _encoded,
    "log_prob": _log_prob,
}


def computed(model: Model, what: str, batch: Batch, **more: Any) -> torch.Tensor:
    """One of `FUNCTIONS` of the points of a batch [n, ...], on the CPU.

    The processes share the points if the model splits batches, whose noise does not depend on who
    computes what.
    """
    if not (ranks.several() and model.splits_batches):
        return FUNCTIONS[what](model.conditioned_on(batch.y), batch.x, **more).cpu()
    ranks.same((what, batch.x.cpu(), None if batch.y is None else batch.y.cpu(), more))
    return _of_own_share(model, what, batch, more)


def _of_own_share(model: Model, what: str, batch: Batch, more: dict[str, Any]) -> torch.Tensor:
    n = len(batch.x)
    rows = shares.own_rows(n)
    found = failure = None
    if rows.start < rows.stop:
        labels = None if batch.y is None else batch.y[rows]
        try:
            with shares.sharing(n):
                found = FUNCTIONS[what](model.conditioned_on(labels), batch.x[rows], **more).cpu()
        except LinAlgError as error:  # a measure less, after which the processes go on
            failure = error
    ranks.raise_together(failure)
    return ranks.gather_points(found)


@torch.no_grad()
def serve_first(model: Model) -> None:
    """Compute with the first process what it asks for, until `dismiss`."""
    while (asked := ranks.same(None)) is not None:
        what, x, y, more = asked
        labels = None if y is None else y.to(model.device)
        with suppress(LinAlgError):  # the first process says so
            _of_own_share(model, what, Batch(x.to(model.device), labels), more)


def dismiss() -> None:
    """Let the other processes go on: everything has been measured."""
    ranks.same(None)

"""What several processes of one run exchange: sums, points and values.

In a run of one process every function here returns what it was given, and exchanges nothing.
"""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from genbench.model import Model
from genbench.training.processes import exchange, is_first, process_count, process_rank
from genbench.utils import signals

CHECKED_EVERY = 0.2  # seconds in which the processes ask one another whether to stop

NamedTensors = dict[str, torch.Tensor]
Item = TypeVar("Item")


def several() -> bool:
    """Whether this run has several processes."""
    return process_count() > 1


def all_reduced(x: torch.Tensor) -> torch.Tensor:
    """The sum over all processes; it overwrites x."""
    exchange(lambda: dist.all_reduce(x))
    return x


def add_up(sums: NamedTensors, are_complete: bool = False) -> NamedTensors:
    """The sums over all processes of tensors by name, added up in double precision.

    A process that has seen no points may lack names, unless `are_complete`, which is faster.
    """
    if process_count() == 1:
        return sums
    complete = sums if are_complete else _with_zeros(sums)
    if not complete:
        return complete
    flat = all_reduced(torch.cat([t.double().reshape(-1) for t in complete.values()]))
    parts = flat.split([t.numel() for t in complete.values()])
    return {
        name: part.view(like.shape).to(like.dtype)
        for (name, like), part in zip(complete.items(), parts, strict=True)
    }


def _with_zeros(sums: NamedTensors) -> NamedTensors:
    """The sums, with zeros under the names that only other processes have."""
    shapes: dict[str, tuple[torch.Size, torch.dtype, str]] = {}
    for known in _objects({n: (t.shape, t.dtype, t.device.type) for n, t in sums.items()}):
        shapes |= known
    return {
        name: sums[name]
        if name in sums
        else torch.zeros(shape, dtype=dtype, device=own_device(kind))
        for name, (shape, dtype, kind) in shapes.items()
    }


def own_device(kind: str) -> torch.device:
    """This process's device of a kind: each has a GPU of its own."""
    return torch.device(kind, torch.cuda.current_device()) if kind == "cuda" else torch.device(kind)


def gather_points(x: torch.Tensor | None) -> torch.Tensor:
    """The tensors of all processes along the first dimension [n, ...], in their order.

    A process that has no points may give None.
    """
    if process_count() == 1:
        assert x is not None
        return x
    shapes = _objects(None if x is None else (x.shape, x.dtype, x.device.type))
    parts = []
    for rank, known in enumerate(shapes):
        if known is None or 0 in known[0]:
            continue
        shape, dtype, kind = known
        part = x if rank == process_rank() else None
        if part is None:
            part = torch.empty(shape, dtype=dtype, device=own_device(kind))
        parts.append(_broadcast(part.contiguous(), rank))
    return torch.cat(parts) if parts or x is None else x


def same_state(content: Any, device: torch.device) -> Any:
    """The first process's tensors and plain values, with tensors on this process's device."""
    file = io.BytesIO()
    if is_first():
        torch.save(content, file)
    data = io.BytesIO(same(file.getvalue()))
    return torch.load(data, map_location=device, weights_only=True)


def same(value: Item) -> Item:
    """The first process's value, in all of them."""
    if process_count() == 1:
        return value
    values: list[Any] = [value]
    exchange(lambda: dist.broadcast_object_list(values, 0))
    found: Item = values[0]
    return found


def raise_together(error: Exception | None) -> None:
    """Raise the error of the first process that has one, in all of them."""
    found = _objects(error)
    for raised in found:
        if raised is not None:
            raise raised


def make_same(model: Model) -> None:
    """Give the model the first process's tensors, whatever machines the others run on."""
    if process_count() > 1:
        for tensor in model.state_dict().values():
            if tensor.numel():
                tensor.copy_(_broadcast(tensor.detach().clone().contiguous(), 0))


@contextmanager
def first_on_each_machine(local_rank: int) -> Iterator[None]:
    """The first process of each machine does the block before the others, which find its files."""
    several = process_count() > 1
    if several and local_rank > 0:
        all_reduced(torch.zeros(1))  # waits for all
    yield
    if several and local_rank == 0:
        all_reduced(torch.zeros(1))


@contextmanager
def stopping_together() -> Iterator[Callable[[], None]]:
    """In this block a signal stops no process by itself; the function it gives, which all of them
    call at the same places, raises Interrupted in all of them.

    A process alone stops wherever it looks at signals, as ever.
    """
    alone = process_count() == 1
    with nullcontext() if alone else signals.held():
        yield (lambda: None) if alone else _Agreement().check


class _Agreement:
    """Asks all processes whether one has been asked to stop, every so many calls."""

    def __init__(self) -> None:
        self.every, self.calls, self.since = 1, 0, time.monotonic()

    def check(self) -> None:
        """Raise Interrupted if one of the processes was asked to stop."""
        self.calls += 1
        if self.calls < self.every:
            return
        took = max(time.monotonic() - self.since, 1e-6)
        fitting = max(1, min(2 * self.every, int(self.calls * CHECKED_EVERY / took)))
        found = torch.tensor([signals.asked(), fitting])
        exchange(lambda: dist.all_reduce(found, dist.ReduceOp.MAX))
        signum, self.every = (int(value) for value in found)
        self.calls, self.since = 0, time.monotonic()
        if signum:
            raise signals.Interrupted(signum)


def _broadcast(x: torch.Tensor, source: int) -> torch.Tensor:
    """The tensor of the process `source`, which overwrites x."""
    plain = x.view(torch.uint8) if x.dtype == torch.bool else x
    exchange(lambda: dist.broadcast(plain, source))
    return x


def _objects(value: Any) -> list[Any]:
    """The plain values of all processes."""
    found: list[Any] = [None] * process_count()
    exchange(lambda: dist.all_gather_object(found, value))
    return found

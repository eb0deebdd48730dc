"""Checkpoints of a run: one file each, with the SHA-256 of its content in its name, so that both appear in one rename."""

import hashlib
import io
import re
from pathlib import Path

import torch

from .errors import UserError
from .files import write

NAME = re.compile(r"checkpoint-(\d{6})-([0-9a-f]{64})\.pt")
KEPT = 2


def checkpoints(folder: Path) -> list[Path]:
    """Newest first, by the epoch in the name (never by the clock)."""
    return sorted((p for p in folder.glob("checkpoint-*.pt") if NAME.fullmatch(p.name)), reverse=True)


def write_checkpoint(folder: Path, content: dict) -> None:
    """Write the state of a run after `content["epoch"]`, and forget all but the newest two.

    `content` holds tensors, numbers, strings, lists and dicts. Raises UserError, and writes nothing, if a weight of
    `content["model"]` is not finite.
    """
    epoch, state = content["epoch"], content["model"]
    bad = next((name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()), None)
    if bad is not None:
        raise UserError(f"epoch {epoch}", f"{bad} is not finite", fix="lower lr where there is one, and look at the data", code=1)
    out = io.BytesIO()
    torch.save(content, out)
    data = out.getvalue()
    write(folder / f"checkpoint-{epoch:06d}-{hashlib.sha256(data).hexdigest()}.pt", data)
    for old in checkpoints(folder)[KEPT:]:
        old.unlink()


def read_newest(folder: Path, device: torch.device) -> tuple[dict | None, list[Path]]:
    """The newest checkpoint whose content matches its digest, on `device`; and the damaged ones before it.

    None if there is no checkpoint. Raises UserError if there are some, and none is good.
    """
    damaged = []
    for path in checkpoints(folder):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == NAME.fullmatch(path.name)[2]:
            return torch.load(io.BytesIO(data), map_location=device, weights_only=True), damaged
        damaged.append(path)
    if damaged:
        raise UserError(str(folder), "every checkpoint is damaged", fix="start a new run, or remove the checkpoints to start over")
    return None, []

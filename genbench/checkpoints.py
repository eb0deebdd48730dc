"""Checkpoints of a run, and what it fits in the end: files with the SHA-256 of their content in their names, so that both
appear in one rename."""

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
    _write(folder, f"checkpoint-{epoch:06d}", content)
    for old in checkpoints(folder)[KEPT:]:
        old.unlink()


def read_newest(folder: Path, device: torch.device) -> tuple[dict | None, list[Path]]:
    """The newest checkpoint whose content matches its digest, on `device`; and the damaged ones before it.

    None if there is no checkpoint. Raises UserError if there are some, and none is good.
    """
    damaged = []
    for path in checkpoints(folder):
        content = _read(path, device)
        if content is not None:
            return content, damaged
        damaged.append(path)
    if damaged:
        raise UserError(str(folder), "every checkpoint is damaged", fix="start a new run, or remove the checkpoints to start over")
    return None, []


def write_finished(folder: Path, content: dict[str, torch.Tensor]) -> None:
    """Write what was fitted once training was over, in place of what may be there from before."""
    before = list(folder.glob("finished-*.pt"))
    kept = _write(folder, "finished", content) if content else None
    for old in before:
        if old != kept:
            old.unlink()


def read_finished(folder: Path, device: torch.device) -> dict[str, torch.Tensor] | None:
    """What `write_finished` wrote, on `device`; None if there is nothing undamaged."""
    return next((content for path in folder.glob("finished-*.pt") if (content := _read(path, device)) is not None), None)


def _write(folder: Path, stem: str, content: dict) -> Path:
    out = io.BytesIO()
    torch.save(content, out)
    data = out.getvalue()
    path = folder / f"{stem}-{hashlib.sha256(data).hexdigest()}.pt"
    write(path, data)
    return path


def _read(path: Path, device: torch.device) -> dict | None:
    """The content of a file that is named by its digest; None if it is damaged."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != path.stem.rpartition("-")[2]:
        return None
    return torch.load(io.BytesIO(data), map_location=device, weights_only=True)

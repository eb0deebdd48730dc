"""Checkpoints of a run, and what it fits in the end: files with the SHA-256 of their content in their names, so that both
appear in one rename."""

import hashlib
import io
import zipfile
from pathlib import Path

import torch

from .errors import UserError
from .files import kind, read_bytes, set_aside, write
from .record import MEMORY, checkpoints, named_digest, plausible

KEPT = 2
FORMAT = 2  # of the content; counted up when an earlier one cannot be read any more


def write_checkpoint(folder: Path, epoch: int, batches: int, content: dict) -> None:
    """Write the state of a run after `epoch` passes and so many batches of the next; forget all but the newest two.

    `content` holds tensors, numbers, strings, lists and dicts. Raises UserError, and writes nothing, if a weight is not
    finite: of `content["model"]`, or of the best so far.
    """
    for weights in (content["model"], content["stopping"]["best"].get("weights", {})):
        bad = next((name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()), None)
        if bad is not None:
            raise UserError(f"epoch {epoch}", f"{bad} is not finite", fix="lower lr where there is one, and look at the data", code=1)
    _require_plain(content, "checkpoint")
    _write(folder, f"checkpoint-{epoch:06d}-{batches:06d}", {"format": FORMAT, **content})
    for old in [path for path in checkpoints(folder) if not kind(path)][KEPT:]:
        old.unlink()


def _require_plain(value, name: str) -> None:
    """TypeError for what could be written but not be read back without running code."""
    if isinstance(value, dict):
        for key, item in value.items():
            _require_plain(item, f"{name}[{key!r}]")
    elif type(value) in (list, tuple):
        for i, item in enumerate(value):
            _require_plain(item, f"{name}[{i}]")
    elif value is not None and type(value) not in (bool, int, float, str, torch.Tensor, torch.nn.Parameter):
        raise TypeError(f"{name} is a {type(value).__name__}; only tensors, numbers, strings, lists and dicts can be kept")


def read_newest(folder: Path, device: torch.device) -> tuple[dict | None, list[Path]]:
    """The newest checkpoint whose content matches its digest, on `device`; and the damaged ones before it.

    None if there is no checkpoint. Raises UserError if there are some, and none is good, or it is of another version.
    """
    damaged, named = [], checkpoints(folder)
    others = sorted(path.name for path in folder.glob("checkpoint-*.pt"))
    if others and not named:
        raise UserError(str(folder), "holds checkpoints of another version of genbench", others[0], "use that version, or start a new run")
    for path in named:
        content = _read(path, device)
        if content is None:
            damaged.append(path)
        elif content.get("format") != FORMAT:
            raise UserError(str(path), "is of another version of genbench", content.get("format"), "use that version, or start a new run")
        else:
            return content, damaged
    if damaged:
        names = ", ".join(path.name for path in damaged)
        raise UserError(
            str(folder), f"every checkpoint is damaged: {names}", fix="start a new run, or remove the checkpoints to start over"
        )
    return None, []


def write_finished(folder: Path, content: dict[str, torch.Tensor]) -> None:
    """Write what was fitted once training was over, in place of what may be there from before."""
    before = list(folder.glob("finished-*.pt"))
    kept = _write(folder, "finished", content) if content else None
    for old in before:
        if kind(old):
            set_aside(old)
        elif old != kept:
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
    """The content of a file that is named by its digest; None if it is damaged, or holds more than plain values."""
    if not plausible(path):
        return None
    try:
        data = read_bytes(path, MEMORY)
        if hashlib.sha256(data).hexdigest() != named_digest(path) or not _is_as_large_as_it_says(data):
            return None
        content = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except Exception:  # torch raises nine kinds; of a file with the right digest too, if somebody else made it
        return None
    return content if isinstance(content, dict) else None


def _is_as_large_as_it_says(data: bytes) -> bool:
    """Whether an archive holds its members as they are, so that reading it takes no more memory than it has bytes."""
    members = zipfile.ZipFile(io.BytesIO(data)).infolist()
    return all(member.compress_type == zipfile.ZIP_STORED for member in members) and sum(m.file_size for m in members) <= len(data)

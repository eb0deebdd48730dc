"""Checkpoints of a run, and what it fits in the end: files with the SHA-256 of their content in their names, so that both
appear in one rename."""

import hashlib
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from genbench.config.settings import flatten
from genbench.runs.checkpoint_files import MEMORY, NAME, checkpoints, is_intact
from genbench.runs.directory import digest
from genbench.utils.errors import UserError
from genbench.utils.files import kind, read_bytes, require_bounded, set_aside, write
from genbench.utils.schema import SETTINGS, Maybe, fault, number, positive, whole
from genbench.utils.text import quoted

KEPT = 2
FORMAT = 2  # of the content; counted up when an earlier one cannot be read any more
FINISHED = re.compile(r"finished-[0-9a-f]{64}\.pt")  # a user may call other files finished-...
TENSORS = {str: torch.Tensor}
CONTENT = {
    "format": int,
    "settings": SETTINGS,
    "data": str,
    "machine": {"torch": str, "threads": str, "device": str},
    "length": {"epochs": positive, "steps": positive, "steps_per_epoch": positive},
    "at": {
        **{"of": positive, "total": positive, "epoch": whole, "batches": whole, "before": number},
        "watch": {"seconds": number, "cpu_seconds": number},
        "meter": {
            "sums": dict,
            "counts": {str: whole},
            "good": (torch.Tensor, None),
            "all_good": (torch.Tensor, None),
        },
        "train": ({str: number}, None),
    },
    "model": TENSORS,
    "progress": dict,
    "stopping": {
        "latest": whole,
        "best": {"epoch": Maybe(whole), "value": Maybe(number), "weights": Maybe(TENSORS)},
    },
    "events": ({"bytes": whole, "sha256": str}, None),
    "seconds": number,
}
WRONG = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
)  # what comes of content that does not fit


class Unusable(UserError):
    """A checkpoint that a run cannot go on from: damaged, of another version, or of another run with this `content`."""

    def __init__(self, path: Path, what: str, content: dict | None = None, damaged: bool = False):
        super().__init__(
            str(path), what, fix=f"move it away, then genbench resume {quoted(path.parent)}"
        )
        self.content, self.damaged = content, damaged

    def __reduce__(self):
        return type(self), (Path(self.key), self.what)


def write_checkpoint(folder: Path, epoch: int, batches: int, content: dict) -> Path:
    """Write the state of a run after `epoch` passes and so many batches of the next; forget all before it but one.

    `content` holds tensors, numbers, strings, lists and dicts. Raises UserError, and writes nothing, if a weight is not
    finite: of `content["model"]`, or of the best so far.
    """
    for weights in (content["model"], content["stopping"]["best"].get("weights", {})):
        bad = next(
            (
                name
                for name, value in weights.items()
                if value.is_floating_point() and not value.isfinite().all()
            ),
            None,
        )
        if bad is not None:
            raise UserError(
                f"epoch {epoch}",
                f"{bad} is not finite",
                fix="lower lr where there is one, and look at the data",
                code=1,
            )
    _require_plain(content, "checkpoint")
    path = _write(folder, f"checkpoint-{epoch:06d}-{batches:06d}", {"format": FORMAT, **content})
    named = checkpoints(folder)
    for old in [old for old in named[named.index(path) + 1 :] if not kind(old)][KEPT - 1 :]:
        old.unlink()
    return path


def _require_plain(value, name: str) -> None:
    """TypeError for what could be written but not be read back without running code."""
    if isinstance(value, dict):
        for key, item in value.items():
            _require_plain(item, f"{name}[{key!r}]")
    elif type(value) in (list, tuple):
        for i, item in enumerate(value):
            _require_plain(item, f"{name}[{i}]")
    elif value is not None and type(value) not in (
        bool,
        int,
        float,
        str,
        torch.Tensor,
        torch.nn.Parameter,
    ):
        raise TypeError(
            f"{name} is a {type(value).__name__}; only tensors, numbers, strings, lists and dicts can be kept"
        )


def read_checkpoint(path: Path, config: dict, data: str, device: torch.device) -> dict:
    """The content of a checkpoint of the run with this config and the data of this digest, on `device`. Unusable if it is
    damaged, or of another run or version."""
    content = _read(path, device)
    if content is None:
        raise Unusable(path, "is damaged", damaged=True)
    version = content.get("format")
    if isinstance(version, int) and version != FORMAT:
        raise Unusable(path, f"is of another version of genbench (format {version})")
    _require(path, fault(content, CONTENT))
    if digest(content["settings"]) != digest(config):
        raise Unusable(
            path, f"is of another run: {_difference(content['settings'], config)}", content
        )
    if content["data"] != data:
        raise Unusable(path, "is of a run with other data", content)
    at, best, named = content["at"], content["stopping"]["best"], NAME.fullmatch(path.name)
    _require(
        path,
        "its name is of another epoch"
        * ((at["epoch"], at["batches"]) != (int(named[1]), int(named[2]))),
    )
    _require(path, "stopping.best is not whole" * (0 < len(best) < 3))
    return content


def read_newest(
    folder: Path, config: dict, data: str, device: torch.device, take: Callable[[dict], Any]
) -> tuple[Path | None, dict[Path, Unusable]]:
    """The newest checkpoint of the run with this config and the data of this digest, which is given to `take`; and those
    before it, which are not.

    None if there is no checkpoint. Raises UserError if there are some, and none can be used.
    """
    passed, named = {}, checkpoints(folder)
    others = sorted(path.name for path in folder.glob("checkpoint-*.pt"))
    if others and not named:
        raise UserError(
            str(folder),
            "holds checkpoints of another version of genbench",
            others[0],
            "use that version, or start a new run",
        )
    for path in named:
        try:
            taken(path, read_checkpoint(path, config, data, device), take)
            return path, passed
        except Unusable as error:
            passed[path] = error
    for error in passed.values():
        if not error.damaged:
            raise error
    if passed:
        names = ", ".join(path.name for path in passed)
        raise UserError(
            str(folder),
            f"every checkpoint is damaged: {names}",
            fix="start a new run, or remove the checkpoints to start over",
        )
    return None, {}


def taken(path: Path, content: dict, take: Callable[[dict], Any]) -> None:
    """Give the content of a checkpoint to what takes it. Unusable if it does not fit."""
    try:
        take(content)
    except (UserError, torch.cuda.OutOfMemoryError):
        raise
    except WRONG as error:
        raise Unusable(
            path, f"is damaged: it does not fit this model ({type(error).__name__})", damaged=True
        ) from error


def write_finished(folder: Path, content: dict[str, torch.Tensor]) -> Path | None:
    """Write what was fitted once training was over, if anything was, in place of what may be there from before."""
    before = [path for path in folder.glob("finished-*.pt") if FINISHED.fullmatch(path.name)]
    kept = _write(folder, "finished", content) if content else None
    for old in before:
        if kind(old):
            set_aside(old)
        elif old != kept:
            old.unlink()
    return kept


def read_finished(path: Path, device: torch.device) -> dict[str, torch.Tensor] | None:
    """What `write_finished` wrote, on `device`; None if it is lost or damaged."""
    content = _read(path, device)
    return None if content is None or fault(content, TENSORS) else content


def _require(path: Path, what: str) -> None:
    if what:
        raise Unusable(path, f"is damaged: {what}", damaged=True)


def _difference(there: dict, here: dict) -> str:
    """How a checkpoint's settings differ from those of the run in whose folder it lies: model and data, or the first other."""
    a, b = flatten(there), flatten(here)
    names = [name for name in ("model.name", "dataset.name", *b) if a.get(name) != b[name]]
    return (
        f"it has {names[0]}={a.get(names[0])}, and the run here {names[0]}={b[names[0]]}"
        if names
        else "it has other settings"
    )


def _write(folder: Path, stem: str, content: dict) -> Path:
    out = io.BytesIO()
    torch.save(content, out)
    data = out.getvalue()
    path = folder / f"{stem}-{hashlib.sha256(data).hexdigest()}.pt"
    write(path, data)
    return path


def _read(path: Path, device: torch.device) -> dict | None:
    """The content of a file that is named by its digest; None if it is damaged, or holds more than plain values."""
    try:
        if not is_intact(path):  # piece by piece, so that a forged file takes no memory
            return None
        data = read_bytes(path, MEMORY)
        if not _is_as_large_as_it_says(data):
            return None
        content = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        require_bounded(content)
    except (
        Exception
    ):  # torch raises nine kinds; of a file with the right digest too, if somebody else made it
        return None
    return content if isinstance(content, dict) else None


def _is_as_large_as_it_says(data: bytes) -> bool:
    """Whether an archive holds its members as they are, so that reading it takes no more memory than it has bytes."""
    members = zipfile.ZipFile(io.BytesIO(data)).infolist()
    return all(member.compress_type == zipfile.ZIP_STORED for member in members) and sum(
        m.file_size for m in members
    ) <= len(data)

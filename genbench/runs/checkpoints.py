"""Reading and writing checkpoints, and what was fitted after training.

The name of each file has the SHA-256 of its content, so that both appear in one rename.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from genbench.config.values import flatten
from genbench.runs.checkpoint_files import NAME, checkpoints, is_intact
from genbench.runs.directory import as_of_today, digest
from genbench.utils.errors import UserError
from genbench.utils.files import kind, read_bytes, require_bounded, set_aside, write
from genbench.utils.memory import MEMORY
from genbench.utils.schema import SETTINGS, Maybe, fault, is_finite_number, positive, whole
from genbench.utils.text import quoted

KEPT = 2
FORMAT = 2  # of the content; grows when earlier ones cannot be read any more
FINISHED = re.compile(r"finished-[0-9a-f]{64}\.pt")  # a user may call other files finished-...
TENSORS = {str: torch.Tensor}
CONTENT = {
    "format": int,
    "settings": SETTINGS,
    "data": str,
    "machine": {"torch": str, "threads": str, "device": str},
    "together": Maybe(positive),
    "length": {"epochs": positive, "steps": positive, "steps_per_epoch": positive},
    "at": {
        **{
            "of": positive,
            "total": positive,
            "epoch": whole,
            "batches": whole,
            "before": is_finite_number,
        },
        "watch": {"seconds": is_finite_number, "cpu_seconds": is_finite_number},
        "meter": {
            "sums": dict,
            "counts": {str: whole},
            "good": (torch.Tensor, None),
            "all_good": (torch.Tensor, None),
            "recent": Maybe([TENSORS]),
            "size": Maybe(whole),
        },
        "train": ({str: is_finite_number}, None),
    },
    "model": TENSORS,
    "progress": dict,
    "stopping": {
        "latest": whole,
        "best": {
            "epoch": Maybe(whole),
            "value": Maybe(is_finite_number),
            "weights": Maybe(TENSORS),
        },
    },
    "events": ({"bytes": whole, "sha256": str}, None),
    "seconds": is_finite_number,
}
WRONG = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
)  # what loading raises for content that does not fit the model


class Unusable(UserError):
    """A checkpoint that a run cannot resume from.

    It is damaged, of another version, or of another run, whose `content` it has then.
    """

    def __init__(
        self, path: Path, what: str, content: dict | None = None, damaged: bool = False
    ) -> None:
        fix = f"move it away, then genbench resume {quoted(path.parent)}"
        super().__init__(str(path), what, fix=fix)
        self.content, self.damaged = content, damaged

    def __reduce__(self) -> tuple:
        return type(self), (Path(self.key), self.what)


def write_checkpoint(folder: Path, epoch: int, batches: int, content: dict) -> Path:
    """Write the state of a run after `epoch` epochs and `batches` batches of the next one.

    `content` holds tensors, numbers, strings, lists and dicts. Of the older checkpoints, only the
    newest is kept. Raises UserError and writes nothing if a weight is not finite, of the model or
    of the best one so far.
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


def _require_plain(value: Any, name: str) -> None:
    """TypeError for values that can be written, but not read without running code."""
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
        allowed = "only tensors, numbers, strings, lists and dicts can be kept"
        raise TypeError(f"{name} is a {type(value).__name__}; {allowed}")


def read_checkpoint(path: Path, config: dict, data: str, device: torch.device) -> dict:
    """The content of a checkpoint, with its tensors on `device`.

    `config` and `data`, the digest of the data, are those of the run. Unusable if the checkpoint is
    damaged, or of another run or version.
    """
    content = _read(path, device)
    if content is None:
        raise Unusable(path, "is damaged", damaged=True)
    version = content.get("format")
    if isinstance(version, int) and version != FORMAT:
        raise Unusable(path, f"is of another version of genbench (format {version})")
    _require(path, fault(content, CONTENT))
    content["settings"] = as_of_today(content["settings"])
    if digest(content["settings"]) != digest(config):
        raise Unusable(
            path, f"is of another run: {_difference(content['settings'], config)}", content
        )
    if content["data"] != data:
        raise Unusable(path, "is of a run with other data", content)
    match = NAME.fullmatch(path.name)
    at, best = content["at"], content["stopping"]["best"]
    if match is None or (at["epoch"], at["batches"]) != (int(match[1]), int(match[2])):
        _require(path, "its name is of another epoch")
    if 0 < len(best) < 3:
        _require(path, "stopping.best is not whole")
    return content


def read_newest(
    folder: Path, config: dict, data: str, device: torch.device, take: Callable[[dict], Any]
) -> tuple[Path | None, dict[Path, Unusable]]:
    """Give the newest usable checkpoint to `take`; return its path, and why newer ones were not.

    `config` and `data` are those of `read_checkpoint`. The path is None if there is no checkpoint.
    Raises UserError if there are some, and none can be used.
    """
    unusable: dict[Path, Unusable] = {}
    named = checkpoints(folder)
    others = sorted(path.name for path in folder.glob("checkpoint-*.pt"))
    if others and not named:
        what = "holds checkpoints of another version of genbench"
        raise UserError(str(folder), what, others[0], "use that version, or start a new run")
    for path in named:
        try:
            taken(path, read_checkpoint(path, config, data, device), take)
            return path, unusable
        except Unusable as error:
            unusable[path] = error
    for reason in unusable.values():
        if not reason.damaged:
            raise reason
    if unusable:
        names = ", ".join(path.name for path in unusable)
        fix = "start a new run, or remove the checkpoints to start over"
        raise UserError(str(folder), f"every checkpoint is damaged: {names}", fix=fix)
    return None, {}


def taken(path: Path, content: dict, take: Callable[[dict], Any]) -> None:
    """Give the content of a checkpoint to `take`, which loads it. Unusable if it does not fit."""
    try:
        take(content)
    except (UserError, torch.cuda.OutOfMemoryError):
        raise
    except WRONG as error:
        what = f"is damaged: it does not fit this model ({type(error).__name__})"
        raise Unusable(path, what, damaged=True) from error


def write_finished(folder: Path, content: dict[str, torch.Tensor]) -> Path | None:
    """Write what was fitted after training, if anything was, and remove what earlier runs wrote."""
    before = [path for path in folder.glob("finished-*.pt") if FINISHED.fullmatch(path.name)]
    kept = _write(folder, "finished", content) if content else None
    for old in before:
        if kind(old):
            set_aside(old)
        elif old != kept:
            old.unlink()
    return kept


def read_finished(path: Path, device: torch.device) -> dict[str, torch.Tensor] | None:
    """The content that `write_finished` wrote, on `device`; None if it is lost or damaged."""
    content = _read(path, device)
    return None if content is None or fault(content, TENSORS) else content


def _require(path: Path, what: str) -> None:
    if what:
        raise Unusable(path, f"is damaged: {what}", damaged=True)


def _difference(there: dict, here: dict) -> str:
    """The first setting in which a checkpoint differs from the run, model and dataset first."""
    a, b = flatten(there), flatten(here)
    for name in ("model.name", "dataset.name", *b):
        if a.get(name) != b[name]:
            return f"it has {name}={a.get(name)}, and the run here {name}={b[name]}"
    return "it has other settings"


def _own(value: Any) -> Any:
    """The same content with tensors that are no views: a view would be written with all that it is
    a view of.
    """
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_own, value))
    if isinstance(value, torch.Tensor) and value.untyped_storage().nbytes() > value.nbytes:
        return value.clone()
    return value


def _write(folder: Path, stem: str, content: dict) -> Path:
    out = io.BytesIO()
    torch.save(_own(content), out)
    data = out.getvalue()
    path = folder / f"{stem}-{hashlib.sha256(data).hexdigest()}.pt"
    write(path, data)
    return path


def _read(path: Path, device: torch.device) -> dict | None:
    """The content of a file that is named by its digest; None if it is damaged or not plain."""
    try:
        if not is_intact(path):  # piece by piece, so that a forged file takes no memory
            return None
        data = read_bytes(path, MEMORY)
        if not _is_as_large_as_it_says(data):
            return None
        content = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        require_bounded(content)
    except Exception:  # torch raises nine kinds, also for a file that somebody made up
        return None
    return content if isinstance(content, dict) else None


def _is_as_large_as_it_says(data: bytes) -> bool:
    """Whether an archive is not compressed; else reading it may take any amount of memory."""
    members = zipfile.ZipFile(io.BytesIO(data)).infolist()
    return all(member.compress_type == zipfile.ZIP_STORED for member in members) and sum(
        m.file_size for m in members
    ) <= len(data)

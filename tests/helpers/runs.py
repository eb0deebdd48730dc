"""What a run leaves behind, and what a process that is stopped or killed would leave."""

import json
import os
import shutil
import signal
import stat
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from genbench import experiment
from genbench.experiment import run
from genbench.utils import signals


def newest(folder: Path) -> Path:
    """The last checkpoint of a run."""
    return max(folder.glob("checkpoint-*.pt"))


def outcome(folder: Path) -> dict:
    """All that a run leaves and that must not depend on when it was interrupted."""
    content = torch.load(newest(folder), weights_only=True)
    scalars, images = {}, {}
    (events,) = folder.glob("events.out.tfevents.*")
    for event in EventFileLoader(str(events)).Load():
        for value in event.summary.value:
            kind = value.metadata.plugin_data.plugin_name
            if kind == "scalars":
                scalars.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
            elif kind == "images":
                images.setdefault(value.tag, []).append(
                    (event.step, tuple(value.tensor.string_val))
                )
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = json.loads((folder / "metrics.json").read_text())
    costs = tuple(
        f"final/{entry['name']}:" for entry in found.get("card", []) if entry["group"] == "cost"
    )
    return {
        "model": content["model"],
        "progress": content["progress"],
        "stopping": content["stopping"],
        "curve": [{k: v for k, v in line.items() if k != "time"} for line in lines],
        "final": {
            k: v if k != "card" else [n for n in v if n["group"] != "cost"]
            for k, v in found.items()
            if k != "time"
        },
        "pictures": {p.name: p.read_bytes() for p in sorted(folder.glob("*.png"))},
        "scalars": {
            tag: points for tag, points in scalars.items() if not tag.startswith(("speed/", *costs))
        },
        "images": images,
    }


def same(a, b) -> bool:
    """Equality down to the bits of tensors."""
    if isinstance(a, torch.Tensor):
        return (
            a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()
        )
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return a == b


def differences(one: dict, other: dict) -> list[str]:
    """In what two outcomes differ."""
    return [name for name in one if not same(one[name], other[name])]


def forked(function, said=os.devnull):
    """Call a function in a copy of this process, which ends with its result as the exit status and says all in a file."""
    child = os.fork()
    if child == 0:
        try:
            for stream in (1, 2):
                os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
            sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1) for stream in (1, 2))
            os._exit(function() or 0)
        except SystemExit as stopped:
            os._exit(int(stopped.code or 0))
        finally:
            os._exit(99)
    return child


def put(kind: str, path: Path, elsewhere: Path) -> None:
    """Something that is no regular file, in the place of one; a link leads to a file elsewhere."""
    path.unlink(missing_ok=True)
    if kind == "a link":
        elsewhere.write_text("somebody else's")
        path.symlink_to(elsewhere)
    elif kind == "a folder":
        path.mkdir()
        (path / "inside").touch()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to(
            "/dev/zero"
        )  # making one takes root; what a link leads to is looked at no further
    elif kind == "a socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    else:
        with open(path, "wb") as file:
            file.truncate(50 << 30)


STRANGE = ("a link", "a folder", "a pipe", "a socket", "a device")


class Crashes:
    """Copies of a folder as a process that is killed at any moment would leave it.

    Taken before each change of a file's name or existence that the process makes in it, and after the last; and for each
    file that has grown since the copy before, one in which it has only half of what is new. Python tells of the changes
    itself (an audit hook), so that the code under test holds no back doors.
    """

    watching: "Crashes | None" = None
    hooked = False

    def __init__(self, folder: Path, copies: Path):
        self.folder, self.copies, self.seen, self.made = folder, copies, {}, []
        if not Crashes.hooked:  # a hook stays for as long as the process does
            sys.addaudithook(
                lambda event, args: Crashes.watching and Crashes.watching._notice(event, args)
            )
            Crashes.hooked = True

    def __enter__(self) -> "Crashes":
        Crashes.watching = self
        return self

    def __exit__(self, *error) -> None:
        Crashes.watching = None
        self._copy()

    def _notice(self, event: str, args: tuple) -> None:
        changes = event in ("os.rename", "os.remove", "os.truncate") or (
            event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if changes and isinstance(args[0], (str, Path)) and Path(args[0]).parent == self.folder:
            Crashes.watching = None  # copying opens files, too
            self._copy()
            Crashes.watching = self

    def _copy(self) -> None:
        now = {p.name: p.read_bytes() for p in sorted(self.folder.iterdir()) if p.is_file()}
        if {**now, "run.log": b""} == {
            **self.seen,
            "run.log": b"",
        }:  # nothing reads what the log says
            return
        there = set(self.seen.values())  # what was only renamed is never torn
        changed = [
            name
            for name in now
            if name != "run.log"
            and now[name] != self.seen.get(name, b"")
            and now[name] not in there
        ]
        before = {name: self.seen.get(name, b"") for name in changed}
        for name in changed:
            old = before[name] if now[name].startswith(before[name]) else b""
            self._keep(now | {name: now[name][: (len(old) + len(now[name])) // 2]})
        self._keep(now)
        self.seen = now

    def _keep(self, files: dict[str, bytes]) -> None:
        copy = self.copies / str(len(self.made))
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        for name, content in files.items():
            (copy / name).write_bytes(content)
        self.made.append(copy)


def stopped_in(where, method, number, config, folder, signum=signal.SIGTERM):
    """Run until the `number`-th call of a method, in which a signal comes; returns the steps made by then."""
    made = experiment.locate(config["model"]["class"], "model.class")
    steps, calls = [], []
    with pytest.MonkeyPatch.context() as patch, pytest.raises(signals.Interrupted) as stopped:
        learn = made.step
        patch.setattr(
            made,
            "step",
            lambda self, batch: (learn(self, batch), steps.append(self))[0],
        )
        original = getattr(where or made, method)

        def signalled(*args, **kwargs):
            calls.append(method)
            if len(calls) == number:
                signals.ask(signum)
            return original(*args, **kwargs)

        patch.setattr(where or made, method, signalled)
        run(config, folder)
    assert stopped.value.signum == signum
    signals._asked = None
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "interrupted"
    assert status["step"] == len(steps), "the checkpoint is of the current step"
    return len(steps)

"""Chaos: runs of every model, and sweeps, that are killed, stopped, starved of room and damaged, until they end as if left alone.

    python tests/chaos.py --seed 1 --seconds 600
    python tests/chaos.py --seed 1 --trial 17        one trial of these again, fault by fault

A trial starts a run in a process of its own, lets a fault befall it, resumes it, and so on; then lets it end, and compares
all that it leaves, to the bit, with a run that nothing befell. A fault strikes at a tick: a look at whether to stop, or a
file that is opened, renamed, cut or removed. Which fault strikes which run at which tick follows from the seed and the
trial's number alone, so that what is found can be found again. The exit status is 1 after a finding.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from contextlib import redirect_stdout
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from helpers.configs import MODELS, config_with_all_state, sketch, small_config
from helpers.runs import STRANGE, differences, outcome, put

from genbench.cli.main import main
from genbench.config.registry import builtin_registry
from genbench.experiment import run
from genbench.figures.renderer import FigureRenderer
from genbench.runs.directory import Record
from genbench.runs.sweep_summary import SUMMARY
from genbench.sweeps.command import sweep_command
from genbench.utils import signals
from genbench.utils.files import read_json_or_empty

TICKS = ("open", "os.rename", "os.remove", "os.truncate")
FAULTS = ("kill", "SIGTERM", "SIGINT", "full disk")
DAMAGES = (
    "none",
    "none",
    "none",
    "bit",
    "truncate",
    "zeros",
    "events",
    "temporary",
    "metrics",
    "status",
    *STRANGE,
    "50 GB",
)


class Clock:
    """Counts ticks in this process; at the wanted one it lets the fault strike."""

    now, strikes_at, fault = 0, 0, None

    @classmethod
    def tick(cls) -> None:
        """One more."""
        cls.now += 1
        if cls.now != cls.strikes_at:
            return
        if cls.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif cls.fault == "full disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        else:
            os.kill(os.getpid(), getattr(signal, cls.fault))


def started(
    words: list[str], folder: Path, fault: str | None = None, tick: int = 0
) -> tuple[int, str, int]:
    """Run the command in a process of its own; its exit status, what it said on stderr, and the ticks that it took."""
    said, told = folder.with_suffix(".err"), folder.with_suffix(".ticks")
    told.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        status = 98
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            Clock.now, Clock.strikes_at, Clock.fault = 0, tick, fault
            look = signals.check
            signals.check = lambda: (Clock.tick(), look())[1]
            inside = (str(folder), str(folder.parent / f".{folder.name}"))
            sys.addaudithook(
                lambda event, args: (
                    event in TICKS and str(args[0]).startswith(inside) and Clock.tick()
                )
            )
            try:
                main(words)
            except SystemExit as stopped:
                status = stopped.code or 0
            except BaseException:
                traceback.print_exc()
            if fault != "full disk":
                told.write_text(str(Clock.now))
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, said.read_text(), int(told.read_text()) if told.exists() else 0


def befall(folder: Path, damage: str, rng: random.Random, done: bool) -> str:
    """Do this damage to a run's files, sparing one checkpoint, and the curves of a run that is done; tells to which file."""
    checkpoints = sorted(folder.glob("checkpoint-*.pt"))
    spared = checkpoints[:-1] if damage in ("bit", "truncate", "zeros") else []
    if damage in ("bit", "truncate", "zeros") and spared:
        path = checkpoints[-1]
        content = bytearray(path.read_bytes())
        if damage == "bit":
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(
            {
                "bit": content,
                "zeros": bytes(len(content)),
                "truncate": content[: rng.randrange(len(content))],
            }[damage]
        )
    elif damage == "events" and (file := folder / "events.out.tfevents.genbench").exists():
        os.truncate(file, rng.randrange(file.stat().st_size + 1))
    elif damage == "temporary":
        (folder / ".checkpoint-000009.pt.genbench-123.tmp").write_bytes(b"half")
    elif damage == "metrics":
        (folder / "metrics.json").unlink(missing_ok=True)
    elif damage == "status" and (folder / "status.json").exists():
        (folder / "status.json").write_text('{"sta')
    elif damage in (*STRANGE, "50 GB"):  # in place of a file
        names = [
            ".lock",
            "run.log",
            "status.json",
            "metrics.json",
            *(path.name for path in checkpoints[1:][-1:]),
        ]
        name = rng.choice(names + ["events.out.tfevents.genbench"] * (not done))
        put(damage, folder / name, folder.with_suffix(".elsewhere"))
        return name
    return damage


class Trials:
    """All trials of a seed, with a run of each kind that nothing befell."""

    def __init__(self, seed: int, folder: Path):
        self.seed, self.folder, self.whole = seed, folder, {}
        with redirect_stdout(
            None
        ):  # once in this process, so that its copies need not import anything
            words = ["model=pca", "epochs=1", "device=cpu", f"hydra.sweep.dir={folder / 'first'}"]
            sweep_command(words, builtin_registry())
            run(small_config("ae"), folder / "second")

    def begin(self, kind: str, folder: Path) -> list[str]:
        """Lay out a run or a sweep in a folder; the command that runs it."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if kind == "sweep":
            words = [
                "-m",
                "model=pca,kmeans,kde",
                "epochs=2",
                "dataset.limit=60",
                "device=cpu",
                "draw_every=9",
                f"hydra.sweep.dir={folder}",
            ]
            return words
        Record(folder, config_with_all_state(kind, "epochs=3")).write_settings()
        return ["resume", str(folder)]

    def left(self, kind: str, folder: Path) -> dict:
        """All that a run or a sweep has left."""
        if kind != "sweep":
            return outcome(folder)
        rows = read_json_or_empty(folder / SUMMARY)["jobs"]
        found = {
            f"{row['directory']} {name}": value
            for row in rows
            for name, value in outcome(folder / row["directory"]).items()
        }
        return found | {"states": [row["state"] for row in rows]}

    def undisturbed(self, kind: str) -> tuple[dict, int]:
        """What a run of this kind leaves that nothing befell, and its ticks."""
        if kind not in self.whole:
            folder = self.folder / "whole" / kind
            status, said, ticks = started(self.begin(kind, folder), folder)
            assert status == 0 and not said and ticks, f"{kind}: {status}\n{said}"
            self.whole[kind] = self.left(kind, folder), ticks
        return self.whole[kind]

    def run(self, number: int, tell=lambda line: None) -> str | None:
        """One trial; what it found, if anything."""
        rng = random.Random(f"{self.seed} {number}")
        kinds = [*MODELS, "sweep"]
        random.Random(self.seed).shuffle(kinds)
        kind = kinds[number % len(kinds)]
        expected, ticks = self.undisturbed(kind)
        folder = self.folder / "trial" / kind
        words = self.begin(kind, folder)
        lost = set()
        for _ in range(rng.randint(1, 4)):
            fault, tick = rng.choice(FAULTS), rng.randint(1, ticks)
            began = time.monotonic()
            status, said, _ = started(words, folder, fault, tick)
            tell(
                f"{kind}: {fault} at tick {tick} of {ticks}: exit status {status} after {time.monotonic() - began:.1f} s"
            )
            allowed = {
                "kill": {-signal.SIGKILL},
                "SIGTERM": {143},
                "SIGINT": {130},
                "full disk": {1},
            }[fault] | {0}
            lines = [line for line in said.splitlines() if not line.startswith("genbench: error: ")]
            if status not in allowed or lines or (status == 1) != bool(said):
                return (
                    f"{kind}: {fault} at tick {tick}: exit status {status}, and on stderr: {said}"
                )
            if fault == "full disk" and (status == 0 or kind == "sweep"):
                lost |= {
                    "pictures",
                    "images",
                    "scalars",
                }  # a run ended without those that there was no room for
            damage = rng.choice(DAMAGES) if kind != "sweep" else "none"
            where = befall(folder, damage, rng, done=status == 0)
            tell(f"{kind}: damage: {damage} ({where})")
            if where.startswith("events") or fault == "full disk":
                lost |= (
                    {"images", "scalars"} if status == 0 else {"images"}
                )  # nothing draws the curves of what is done anew
        status, said, _ = started(words, folder)
        if status != 0 or said:
            return f"{kind}: at the end: exit status {status}, and on stderr: {said}"
        found = self.left(kind, folder)
        differ = [name for name in differences(expected, found) if name.split()[-1] not in lost]
        return f"{kind}: differs in {', '.join(differ)}" if differ else None


def command() -> int:
    """What is asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--trial", type=int, help="only this one, told fault by fault")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for some in (
        "watched",
        "finished",
    ):  # what is in pictures is tested elsewhere, and takes most of the time
        setattr(FigureRenderer, some, sketch)
    until, trials, number = time.monotonic() + asked.seconds, [], 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        chaos = Trials(asked.seed, Path(folder))
        findings = []
        while time.monotonic() < until:
            number = len(trials) if asked.trial is None else asked.trial
            found = chaos.run(number, print if asked.trial is not None else lambda line: None)
            trials.append(number)
            if found:
                findings.append(number)
                print(f"FOUND in trial {number}: {found}", flush=True)
            if asked.trial is not None:
                break
        kinds = len(chaos.whole)
    print(f"{len(trials)} trials of {kinds} kinds with seed {asked.seed}: {len(findings)} findings")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(command())

"""A run directory: everything one experiment leaves behind, and what it needs to go on.

config.yaml     the resolved settings
status.json     running, done, failed or interrupted, and the last epoch
run.log         every line of the run, with the traceback of a failure
metrics.jsonl   a line per logged epoch
metrics.json    the final numbers, each under the part of the data it was measured on
checkpoint-EPOCH-DIGEST.pt   the newest two; the name carries the SHA-256 of the content
samples.png reconstructions.png ...   the latest pictures
events.out.tfevents.*        TensorBoard
"""

import fcntl
import hashlib
import io
import json
import logging
import os
import re
import time
import traceback
from pathlib import Path

import torch
import yaml

from . import figures
from .console import Display, number
from .data import Data
from .errors import UserError
from .events import Events
from .files import finite, sweep_temporaries, sync, write, write_json
from .model import Model
from .settings import Settings

logger = logging.getLogger("genbench")
CHECKPOINT = re.compile(r"checkpoint-(\d{6})-([0-9a-f]{64})\.pt")
KEPT = 2


class Run:
    """Use as a context manager: it holds the directory's lock, and records how the run ended."""

    def __init__(self, folder: Path, config: dict, resume: str = ""):
        self.folder, self.config, self.s = Path(folder), config, Settings(config)
        self.resume = resume or f"genbench resume {quoted(self.folder)}"
        self.title = f"{config['model']['name']} on {config['dataset']['name']}"
        self.display = Display(self.title, config["epochs"])
        self.events: Events | None = None
        self.epoch = 0
        self.started = time.perf_counter()

    @property
    def done(self) -> bool:
        """Whether an earlier process finished exactly this run, and its settings and numbers are still there."""
        status = self._read_json("status.json")
        finished = status.get("state") == "done" and status.get("epochs") == self.s.epochs
        return finished and bool(self._read_json("metrics.json") and self._settings_before())

    @property
    def seconds(self) -> float:
        """How long this run has taken, earlier sessions up to their last checkpoint included."""
        return time.perf_counter() - self.started

    def __enter__(self) -> "Run":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = open(self.folder / ".lock", "a+")
            fcntl.lockf(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                str(self.folder), "another process is running here", fix="wait for it, or choose another hydra.run.dir=FOLDER"
            ) from None
        except OSError as error:
            raise UserError(str(self.folder), f"cannot be written: {error.strerror}", fix="choose another hydra.run.dir=FOLDER") from error
        try:
            self._require_same_settings()
        except UserError:
            self.lock.close()
            raise
        sweep_temporaries(self.folder)
        self.handler = logging.FileHandler(self.folder / "run.log", encoding="utf-8")
        self.handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logging.captureWarnings(True)
        for source in (logger, logging.getLogger("py.warnings")):
            source.addHandler(self.handler)
        return self

    def start(self) -> None:
        """Record the settings and tell where the run is and how to resume it."""
        write(self.folder / "config.yaml", yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True).encode())
        self._status("running")
        logger.info("settings: %s", json.dumps(self.config))
        self.say(f"{self.title}: {self.folder}")
        self.say(f"stop with Ctrl-C, go on with: {self.resume}")
        self.display.start()

    def say(self, text: str) -> None:
        """A line for the console and the log."""
        logger.info(text)
        self.display.say(text)

    def __exit__(self, kind, error, trace) -> bool:
        self.display.close()
        if self.events is not None:
            self.events.close()
        failed = kind is not None and issubclass(kind, Exception)
        if failed:
            logger.error("failed\n%s", "".join(traceback.format_exception(error)))
            self._status("failed", reason=str(error) or kind.__name__)
        elif kind is not None:
            self._status("interrupted")
            self.say(f"interrupted; go on with: {self.resume}")
        for source in (logger, logging.getLogger("py.warnings")):
            source.removeHandler(self.handler)
        logging.captureWarnings(False)
        self.handler.close()
        self.lock.close()
        if failed and not isinstance(error, UserError):
            raise UserError(str(self.folder), f"{kind.__name__}: {error}", fix=f"see {self.folder / 'run.log'}", code=1) from error
        return False

    # --- what comes out ---------------------------------------------------------------------------------------

    def log(self, epoch: int, point: dict[str, dict[str, float]], images_per_second: float) -> None:
        """One point of every curve: terms by part of the data, and the speed."""
        self.epoch = epoch
        line = finite({"epoch": epoch, **point, "time": {"images_per_second": images_per_second}})
        with open(self.folder / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
        self._plot(line)
        text = "  ".join(f"{part} " + " ".join(f"{k} {number(v)}" for k, v in numbers.items()) for part, numbers in point.items())
        speed = f"{images_per_second:,.0f}/s"
        logger.info("epoch %d  %s  %s", epoch, text, speed)
        self.display.epoch(epoch, text, speed)

    def _plot(self, line: dict) -> None:
        """A line of metrics.jsonl as points of TensorBoard's curves."""
        for part, numbers in line.items():
            if part != "epoch":
                for name, value in numbers.items():
                    self.events.scalar(f"{'speed' if part == 'time' else part}/{name}", value, line["epoch"])

    def draw(self, epoch: int, model: Model, data: Data) -> None:
        """Pictures of the model as it is now, as PNG files and in TensorBoard."""
        for name, picture in figures.pictures(model, data, self.s.seed, self.title):
            encoded = figures.png(picture)
            write(self.folder / f"{name}.png", encoded)
            self.events.picture(f"{name}/{self.title}", encoded, picture.shape[:2], epoch)

    def finish(self, measured: dict[str, dict], cost: dict) -> dict[str, dict]:
        """The final numbers by part of the data, and what they took; from here on the run is done."""
        found = {**measured, "cost": cost, "time": {"seconds": self.seconds}}
        for part, numbers in measured.items():
            for name, value in numbers.items():
                if name != "n":
                    self.events.scalar(f"final/{part}_{name}", value, self.epoch)
        self.events.sync()
        write_json(self.folder / "metrics.json", found)
        logger.info("measured: %s", json.dumps(finite(found)))
        self.display.close()
        self.display.summary(measured)
        made = sorted(p.name for p in self.folder.glob("*.png"))
        self.say(f"pictures: {', '.join(made)} in {self.folder}")
        self.say(f"look: tensorboard --logdir {quoted(self.folder.parent)}")
        self._status("done", epochs=self.s.epochs)
        return found

    # --- checkpoints ------------------------------------------------------------------------------------------

    def save(self, epoch: int, model: Model) -> None:
        """Write a checkpoint that `restore` can go on from, and forget all but the newest two.

        Raises UserError, and writes nothing, if a weight is not finite.
        """
        state = model.state_dict()
        bad = next((name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()), None)
        if bad is not None:
            raise UserError(f"epoch {epoch}", f"{bad} is not finite", fix="lower lr if the model has one, or look at the data", code=1)
        sync(self.folder / "metrics.jsonl")  # a checkpoint must not outlive the points it says were logged
        content = {
            "epoch": epoch,
            "model": state,
            "progress": model.progress(),
            "events": self.events.sync(),
            "seconds": self.seconds,
        }
        out = io.BytesIO()
        torch.save(content, out)
        data = out.getvalue()
        write(self.folder / f"checkpoint-{epoch:06d}-{hashlib.sha256(data).hexdigest()}.pt", data)
        for old in self._checkpoints()[KEPT:]:
            old.unlink()
        self._status("running")

    def restore(self, model: Model) -> int:
        """Bring model and curves back to the newest good checkpoint; returns its epoch, 0 if there is none.

        A checkpoint whose content does not match the digest in its name is set aside, and the one before it used.
        Raises UserError if there are checkpoints and none is good.
        """
        damaged = []
        epoch, events = 0, 0
        for path in self._checkpoints():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != CHECKPOINT.fullmatch(path.name)[2]:
                self.say(f"warning: {path.name} is damaged")
                damaged.append(path)
                continue
            content = torch.load(io.BytesIO(data), map_location=model.device, weights_only=True)
            model.load_state_dict(content["model"])
            model.resume(content["progress"])
            epoch, events = content["epoch"], content["events"]
            self.started -= content["seconds"]
            break
        if damaged and not epoch:
            raise UserError(str(self.folder), "every checkpoint is damaged", fix="start a new run, or remove the checkpoints to start over")
        for path in damaged:
            path.rename(path.with_suffix(".damaged"))
        self._rewind(epoch, events)
        self.epoch = epoch
        if epoch:
            self.say(f"resuming after epoch {epoch}")
        return epoch

    def _rewind(self, epoch: int, events: int) -> None:
        """Drop the points logged after the checkpoint, so that every curve has each point exactly once.

        Curves of a damaged event file are drawn anew from metrics.jsonl.
        """
        curve, file = self.folder / "metrics.jsonl", self.folder / "events.out.tfevents.genbench"
        text = curve.read_text(encoding="utf-8", errors="replace") if curve.exists() else ""
        lines = [line for line in text.splitlines() if _epoch_of(line) <= epoch]
        if len(lines) < epoch:
            self.say(f"warning: {curve.name} is damaged and holds {len(lines)} of the {epoch} points before")
        if curve.exists():
            write(curve, "".join(f"{line}\n" for line in lines).encode())
        whole = file.exists() and file.stat().st_size >= events
        self.events = Events(file, events if whole else 0)
        if epoch and not whole:
            self.say(f"warning: {file.name} is damaged; its curves are drawn anew, its earlier pictures are lost")
            for line in lines:
                self._plot(json.loads(line))

    def _checkpoints(self) -> list[Path]:
        """Newest first, by the epoch in the name (never by the clock)."""
        return sorted((p for p in self.folder.glob("checkpoint-*.pt") if CHECKPOINT.fullmatch(p.name)), reverse=True)

    # --- the record -------------------------------------------------------------------------------------------

    def _require_same_settings(self) -> None:
        """A directory that holds a run goes on only with the same settings, or the same with more epochs.

        config.yaml tells which setting differs; the digest in status.json is the judge, should config.yaml be lost,
        damaged or changed by hand.
        """
        status = self._read_json("status.json")
        if not self._checkpoints() and status.get("state") != "done":
            return
        before, now = _flat(self._settings_before()), _flat(self.config)
        for name in sorted(before.keys() | now.keys()) if before else ():
            a, b = before.get(name), now.get(name)
            if a == b:
                continue
            if name == "epochs" and b > a and self.s.get("schedule", "constant") == "constant":
                continue
            if name == "epochs" and b > a:
                what = f"the {self.s.schedule} schedule was laid out for {a} epochs"
            else:
                what = f"this directory holds a run with {name}={a}"
            raise UserError(name, what, f"{name}={b}", f"use {name}={a}, or another hydra.run.dir=FOLDER")
        recorded = status.get("config")
        if recorded != self._digest() and not (recorded is None and before):
            what = "is not what the run here was started with" if before else "is lost or damaged, and the run here had other settings"
            raise UserError(
                str(self.folder / "config.yaml"), what, fix="repeat the run's own command, or choose another hydra.run.dir=FOLDER"
            )

    def _settings_before(self) -> dict:
        """What config.yaml says; nothing if it is not a config."""
        try:
            found = yaml.safe_load((self.folder / "config.yaml").read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            return {}
        return found if isinstance(found, dict) and "epochs" in found else {}

    def _digest(self) -> str:
        """Of all settings but the epochs, which may grow."""
        fixed = {name: value for name, value in self.config.items() if name != "epochs"}
        return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()

    def _status(self, state: str, **more) -> None:
        write_json(self.folder / "status.json", {"state": state, "epoch": self.epoch, "config": self._digest(), **more})

    def _read_json(self, name: str) -> dict:
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}


def _epoch_of(line: str) -> float:
    try:
        return json.loads(line)["epoch"]
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line cut short by a crash belongs to no epoch


def _flat(tree, prefix=""):
    if not isinstance(tree, dict):
        return {prefix[:-1]: tree}
    return {k: v for key, value in tree.items() for k, v in _flat(value, f"{prefix}{key}.").items()}


def quoted(path: Path) -> str:
    """A path as one would type it into a shell, relative to the working directory where that is shorter."""
    import shlex

    relative = os.path.relpath(path)
    return shlex.quote(relative if len(relative) < len(str(path)) else str(path))

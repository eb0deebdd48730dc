"""A run directory: everything one experiment leaves behind, and what it needs to go on.

config.yaml     the resolved settings
status.json     running, done, failed or interrupted, and the last epoch
run.log         every line of the run, with the traceback of a failure
metrics.jsonl   a line per logged epoch
metrics.json    the final numbers, each under the part of the data it was measured on
checkpoint-EPOCH-DIGEST.pt   the newest two; the name carries the SHA-256 of the content
finished-DIGEST.pt           what was fitted once training was over, such as a density on the codes
samples.png reconstructions.png ...   the latest pictures; samples.gif, how the samples came about
events.out.tfevents.*        TensorBoard
projector_config.pbtxt, projector/    codes for TensorBoard's projector
"""

import json
import logging
import time
import traceback
from collections.abc import Iterable
from pathlib import Path

import torch

from .checkpoints import checkpoints, read_newest, write_checkpoint, write_finished
from .console import Display, number
from .data import Data
from .errors import UserError
from .events import Events
from .figures import Viewer
from .files import finite, sweep_temporaries, sync, write, write_json
from .model import Model
from .plots import film, png
from .projector import write_projection
from .record import Lock, Record, quoted
from .settings import ASIDE, Settings, flatten

logger = logging.getLogger("genbench")


class Run:
    """Use as a context manager: it holds the directory's lock, and records how the run ended."""

    def __init__(self, folder: Path, config: dict, resume: str = "", title: str = ""):
        self.folder, self.config, self.s = Path(folder), config, Settings(config)
        self.record, self.lock = Record(self.folder, config), Lock(self.folder)
        self.resume = resume or f"genbench resume {quoted(self.folder)}"
        self.name = f"{config['model']['name']} on {config['dataset']['name']}"
        self.title = title or self.name
        self.display = Display(self.name, config["epochs"])
        self.events: Events | None = None
        self.viewer: Viewer | None = None
        self.epoch = 0
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long this run has taken, earlier sessions up to their last checkpoint included."""
        return time.perf_counter() - self.started

    def __enter__(self) -> "Run":
        self.lock.take()
        try:
            if checkpoints(self.folder) or self.record.status.get("state") == "done":
                self.record.require_same_settings()
        except UserError:
            self.lock.release()
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
        """Record the settings and tell where the run is."""
        self.lock.sign()
        self.record.keep_settings()
        self._status("running")
        logger.info("settings: %s", json.dumps(self.config))
        self.say(f"{self.title}: {self.folder}")

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
        self.lock.release()
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
        if epoch == 1:
            self._lay_out(line)
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

    def _lay_out(self, line: dict) -> None:
        """A chart per term for TensorBoard's custom scalars, with all parts of the data in it.

        Every run has the same one category and names both parts in each chart: else TensorBoard, which merges the
        layouts of all runs, would lose some and repeat others.
        """
        parts = ("train", "validation")
        terms = dict.fromkeys(name for part in parts for name in line.get(part, {}))
        self.events.layout("training and validation", {name: [f"{part}/{name}" for part in parts] for name in terms})

    def draw(self, epoch: int, model: Model, data: Data) -> None:
        """Pictures of what is watched as the model trains, as PNG files and in TensorBoard."""
        self._draw(epoch, self._viewer(data).watched(model, epoch))

    def show(self, epoch: int, model: Model, data: Data, drawn: bool) -> None:
        """Pictures of all that the trained model, with the weights of `epoch`, can show; a film of its samples; its
        codes for TensorBoard's projector. `drawn` says that what is watched is in TensorBoard at this epoch already."""
        viewer = self._viewer(data)
        self._draw(epoch, viewer.watched(model, epoch), in_events=not drawn)
        self._draw(epoch, viewer.finished(model, epoch))
        frames = self.events.pictures(self._tag("samples"))
        if len(frames) > 1:
            encoded = film(frames)
            write(self.folder / "samples.gif", encoded)
            self.events.picture(self._tag("film"), encoded, (1, 1), epoch)
        points = viewer.projection(model)
        if points is not None:
            write_projection(self.folder, f"codes of {self.title}", *points)

    def _viewer(self, data: Data) -> Viewer:
        if self.viewer is None:
            self.viewer = Viewer(data, self.s.seed, self.title)
        return self.viewer

    def _draw(self, epoch: int, pictures: Iterable[tuple[str, torch.Tensor]], in_events: bool = True) -> None:
        for name, picture in pictures:
            encoded = png(picture)
            write(self.folder / f"{name}.png", encoded)
            if in_events:
                self.events.picture(self._tag(name), encoded, picture.shape[:2], epoch)

    def _tag(self, name: str) -> str:
        """A section of TensorBoard per kind of picture, with a card in it that says whose it is."""
        return f"{name}/{self.title}"

    def measured(self, measured: dict[str, dict], cost: dict) -> dict[str, dict]:
        """Keep the final numbers by part of the data, and what they took."""
        found = {**measured, "cost": cost, "time": {"seconds": self.seconds}}
        for part, numbers in measured.items():
            for name, value in numbers.items():
                if name != "n" and not isinstance(value, str):
                    self.events.scalar(f"final/{part}_{name}", value, self.epoch)
        self.events.scalar("final/epochs", cost["epochs"], self.epoch)
        self.events.ended()
        self.events.sync()
        write_json(self.folder / "metrics.json", found)
        logger.info("measured: %s", json.dumps(finite(found)))
        return found

    def finish(self, found: dict[str, dict]) -> None:
        """Tell how the run ended; from here on it is done."""
        self.events.sync()
        self.display.close()
        self.display.summary({part: numbers for part, numbers in found.items() if part not in ("cost", "time")})
        made = sorted(p.name for p in [*self.folder.glob("*.png"), *self.folder.glob("*.gif")])
        self.say(f"pictures: {', '.join(made)} in {self.folder}")
        self.say(f"look: tensorboard --logdir {quoted(self.folder.parent)}")
        self._status("done", epochs=self.s.epochs)

    def keep(self, finished: dict[str, torch.Tensor]) -> None:
        """Keep what the model fitted once training was over."""
        write_finished(self.folder, finished)

    # --- checkpoints ------------------------------------------------------------------------------------------

    def save(self, epoch: int, model: Model, stopping) -> None:
        """Write a checkpoint that `restore` can go on from. UserError if a weight is not finite."""
        sync(self.folder / "metrics.jsonl")  # a checkpoint must not outlive the points it says were logged
        content = {
            "epoch": epoch,
            "model": model.state_dict(),
            "progress": model.progress(),
            "stopping": stopping.progress(),
            "events": self.events.sync(),
            "seconds": self.seconds,
        }
        write_checkpoint(self.folder, content)
        self._status("running")

    def restore(self, model: Model, stopping) -> int:
        """Bring model, early stopping and curves back to the newest good checkpoint; returns its epoch, 0 if there is none.

        Damaged ones are set aside. Raises UserError if there are checkpoints and none is good. Nothing was refused up to
        here, so this is where to tell how the run can be stopped and resumed.
        """
        self.say(f"stop with Ctrl-C, go on with: {self.resume}")
        self.display.start()
        content, damaged = read_newest(self.folder, model.device)
        for path in damaged:
            self.say(f"warning: {path.name} is damaged")
            path.rename(path.with_suffix(".damaged"))
        if content is None:
            self._rewind(0, 0)
            return 0
        model.load_state_dict(content["model"])
        model.resume(content["progress"])
        stopping.resume(content["stopping"])
        self.started -= content["seconds"]
        self.epoch = content["epoch"]
        self._rewind(self.epoch, content["events"])
        self.say(f"resuming after epoch {self.epoch}")
        return self.epoch

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
        if not (epoch and whole):
            settings = {name: value for name, value in flatten(self.config).items() if name not in ASIDE}
            names = {"model": self.config["model"]["name"], "dataset": self.config["dataset"]["name"]}
            self.events.hparams(names | settings, f"{self.folder.name} in {self.folder.parent.name}")
        if epoch and not whole:
            self.say(f"warning: {file.name} is damaged; its curves are drawn anew, its earlier pictures are lost")
            points = [json.loads(line) for line in lines]
            self._lay_out(points[0] if points else {})
            for point in points:
                self._plot(point)

    def _status(self, state: str, **more) -> None:
        self.record.tell(state, epoch=self.epoch, **more)


def _epoch_of(line: str) -> float:
    try:
        return json.loads(line)["epoch"]
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line cut short by a crash belongs to no epoch

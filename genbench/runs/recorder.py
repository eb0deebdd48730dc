"""A run directory: everything one experiment leaves behind, and what it needs to go on.

config.yaml     the resolved settings
status.json     running, done, failed or interrupted, the last epoch and step, and the length that the run was given; once
                it is done, the names of the checkpoint and the file below that it ended with
run.log         every line of the run, with the traceback of a failure
skipped.txt     files that were left out of the data, if any
metrics.jsonl   a line per logged epoch
metrics.json    the final numbers, each under the part of the data it was measured on; the report card
checkpoint-EPOCHS-BATCHES-DIGEST.pt   the newest two, after so many epochs and batches of the next; the name carries the
                SHA-256 of the content
finished-DIGEST.pt           what was fitted once training was over, such as a density on the codes
samples.png reconstructions.png ...   the latest pictures; samples.gif, how the samples came about
events.out.tfevents.*        TensorBoard
projector_config.pbtxt, projector/    codes for TensorBoard's projector
"""

import json
import logging
import os
import resource
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import torch

from genbench.config.settings import Settings, flatten
from genbench.config.validation import ASIDE
from genbench.data.types import Data
from genbench.evaluation.registry import headlines
from genbench.figures.canvas import animation, png
from genbench.figures.renderer import FigureRenderer
from genbench.model import CAPABILITIES, Model, supports
from genbench.runs.checkpoints import (
    Unusable,
    checkpoints,
    read_newest,
    write_checkpoint,
    write_finished,
)
from genbench.runs.curves import read_points
from genbench.runs.directory import EVENTS, Record, digest, require_same
from genbench.runs.lock import Lock
from genbench.runs.progress import Display
from genbench.runs.projector import write_projection
from genbench.runs.summary import conditions, parts_of
from genbench.runs.tensorboard import Events
from genbench.training.loop import Position, Stopwatch
from genbench.training.stopping import EarlyStopping
from genbench.utils.console import echo
from genbench.utils.errors import UserError, lacks_memory, plain
from genbench.utils.files import (
    AppendOnlyFile,
    CannotWrite,
    Unreadable,
    finite,
    kind,
    set_aside,
    sweep_temporaries,
    sync,
    write,
    write_json,
)
from genbench.utils.text import counted, number, quoted

logger = logging.getLogger("genbench")


class Run:
    """Use as a context manager: it holds the directory's lock, and records how the run ended."""

    def __init__(
        self,
        folder: Path,
        config: dict,
        resume: str = "",
        title: str = "",
        display: Display | None = None,
    ):
        self.folder, self.config, self.s = Path(folder), config, Settings(config)
        self.record, self.lock = Record(self.folder, config), Lock(self.folder)
        self.resume = resume or f"genbench resume {quoted(self.folder)}"
        self.title = title or f"{config['model']['name']} on {config['dataset']['name']}"
        self.display = display or Display(self.title)
        self.viewer: FigureRenderer | None = None
        self.epoch = self.step = (
            0  # passes that were logged, and the step that the newest checkpoint is of
        )
        self.mark: dict | None = None  # of the event file before the newest epoch was logged
        self.given_up: set[str] = set()
        self.auto: dict = {}  # what `auto` stands for, by the name of the setting
        self.length: dict[str, int] = {}  # epochs and steps that the run was given
        self.data: Data | None = None
        self.lines: list[str] = []  # of metrics.jsonl
        self.curve: AppendOnlyFile | None = None  # metrics.jsonl
        self.events: Events | None = None
        self.started = time.perf_counter()
        self.begun = False  # whether the status is that of this session
        self.known = False  # whether the folder was on record as this run's before this session
        self.kept: dict[str, str | None] = {
            "checkpoint": None,
            "finished": None,
        }  # the names of what the model can be read from

    @property
    def seconds(self) -> float:
        """How long this run has taken, earlier sessions up to their last checkpoint included."""
        return time.perf_counter() - self.started

    def __enter__(self) -> "Run":
        self.record.require_own()
        self.lock.take()
        try:
            self.known = self.record.known
            if checkpoints(self.folder) or self.record.status.get("state") == "done":
                self.record.require_same_settings()
        except UserError:
            self.lock.release()
            raise
        sweep_temporaries(self.folder)
        self.handler = Log(self.folder / "run.log", self.lock)
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
        self.begun = True
        with suppress(
            OSError
        ):  # forget the peak of runs before this one in the process; there is such a file on Linux only
            Path("/proc/self/clear_refs").write_text("5")
        logger.info("settings: %s", json.dumps(self.config))
        self.echo(f"{self.title}: {self.folder}")

    def loaded(self, data: Data) -> None:
        """Remember which data these are, and list the files that were left out of them."""
        self.data = data
        if data.skipped:
            write(
                self.folder / "skipped.txt", "".join(f"{line}\n" for line in data.skipped).encode()
            )
            self.echo(f"files that were left out of the data: {self.folder / 'skipped.txt'}")

    def resolved(self, s: Settings) -> None:
        """Take note of what `auto` stands for in this run, of which these are the resolved settings, and say so."""
        self.auto = {
            name: s[name] for name, asked in self.config.items() if asked == "auto" != s[name]
        }
        if self.config["dataset"].get("val_size") == "auto":
            self.auto["dataset.val_size"] = len(self.data.splits.get("validation", ()))
        if self.auto:
            self.echo(
                f"auto is here {' '.join(f'{name}={value}' for name, value in self.auto.items())}"
            )

    def echo(self, text: str) -> None:
        """A line for the console and the log."""
        logger.info(plain(text))
        self.display.echo(text)

    def __exit__(self, kind, error, trace) -> bool:
        self.display.close()
        failed = kind is not None and issubclass(kind, (Exception, SystemExit))
        told = error if isinstance(error, UserError) else self._explained(error) if failed else None
        if failed:
            logger.error("failed\n%s", "".join(traceback.format_exception(error)))
        with suppress(CannotWrite):  # there may be no room to tell that there is no room
            mine = kind is not None and self.lock.held  # else the folder is gone or somebody else's
            if mine and (
                self.begun or not self.record.status
            ):  # what was refused at once leaves an earlier run as it was
                self._status(
                    "failed" if failed else "interrupted",
                    **({"reason": str(told)} if failed else {}),
                )
        if kind is not None and not failed:
            self.echo(f"interrupted after {counted(self.step, 'step')}; go on with: {self.resume}")
        for source in (logger, logging.getLogger("py.warnings")):
            source.removeHandler(self.handler)
        logging.captureWarnings(False)
        self.handler.close()
        self.lock.release()
        if told is not error and failed:
            raise told from error
        return False

    def _explained(self, error: BaseException) -> UserError:
        """What a user needs to know of an error that nobody foresaw."""
        log = self.folder / "run.log"
        if lacks_memory(error):
            fix = f"a smaller batch_size or model; see {log}"
            return UserError(
                "batch_size",
                "the memory does not suffice",
                self.auto.get("batch_size", self.s.batch_size),
                fix,
                code=1,
            )
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return UserError(str(self.folder), what, fix=f"see {log}", code=1)

    @contextmanager
    def _spared(self, what: str):
        """Let the run go on without what there is no room for; say so once."""
        try:
            yield
        except CannotWrite as error:
            if what not in self.given_up:
                self.given_up.add(what)
                self.echo(f"warning: the run goes on without some {what}: {error}")

    # --- what others do to the folder meanwhile ---------------------------------------------------------------

    def _look(self) -> None:
        """See whether somebody has removed or changed files of this run since it wrote them. What is in memory is
        written anew, and the rest is told. UserError if the folder has become another."""
        if not self.lock.held:
            self._take_again()
        if self.curve is not None and not self.curve.is_unchanged:
            self._warn_of_change(self.curve.path, "written anew")
            write(self.curve.path, "".join(f"{line}\n" for line in self.lines).encode())
            self.curve = AppendOnlyFile(self.curve.path)
        if self.events is not None and not self.events.file.is_unchanged:
            with self._spared("curves"):
                self._warn_of_change(
                    self.events.path, "its curves are drawn anew, its earlier pictures are lost"
                )
                self.events = Events(self.events.path)
                self._draw_anew()
                self.mark = self.events.mark()

    def _take_again(self) -> None:
        """Go on in a folder that was removed, or whose lock was."""
        if self.lock.moved and any(self.folder.iterdir()):
            fix = f"bring the run's own folder back, then {self.resume}"
            raise UserError(
                str(self.folder),
                "is another folder than the one in which the run began",
                fix=fix,
                code=1,
            )
        gone = not self.folder.is_dir() or self.lock.moved
        self.lock.take()
        self.lock.sign()
        self.echo(
            f"warning: {'the folder' if gone else '.lock'} was removed while the run was at work, and is made anew: {self.folder}"
        )
        if gone:
            self.record.keep_settings()
            self._status("running")

    def _warn_of_change(self, path: Path, what: str) -> None:
        if kind(path) or path.exists():
            set_aside(path, "was changed by another program")
            self.echo(f"warning: {path.name} is begun again; {what}")
        else:
            self.echo(f"warning: {path.name} was removed; {what}")

    # --- what comes out ---------------------------------------------------------------------------------------

    def log(self, epoch: int, point: dict[str, dict[str, float]], images_per_second: float) -> None:
        """One point of every curve: terms by part of the data, and the speed."""
        self._look()
        self.mark, self.epoch = self.events.mark(), epoch
        line = finite({"epoch": epoch, **point, "time": {"images_per_second": images_per_second}})
        self.lines.append(json.dumps(line, allow_nan=False))
        self.curve.append(f"{self.lines[-1]}\n".encode())
        with self._spared("curves"):
            if epoch == 1:
                self._lay_out(line)
            self._plot(line)
        text = "  ".join(
            f"{part} " + " ".join(f"{k} {number(v)}" for k, v in numbers.items())
            for part, numbers in point.items()
        )
        speed = f"{images_per_second:,.0f}/s"
        logger.info("epoch %d  %s  %s", epoch, text, speed)
        self.display.epoch(epoch, point, speed)

    def _plot(self, line: dict) -> None:
        """A line of metrics.jsonl as points of TensorBoard's curves."""
        for part, numbers in line.items():
            if part != "epoch":
                for name, value in numbers.items():
                    self.events.scalar(
                        f"{'speed' if part == 'time' else part}/{name}", value, line["epoch"]
                    )

    def _lay_out(self, line: dict) -> None:
        """A chart per term for TensorBoard's custom scalars, with all parts of the data in it.

        Every run has the same one category and names both parts in each chart: else TensorBoard, which merges the
        layouts of all runs, would lose some and repeat others.
        """
        parts = ("train", "validation")
        terms = dict.fromkeys(name for part in parts for name in line.get(part, {}))
        self.events.layout(
            "training and validation",
            {name: [f"{part}/{name}" for part in parts] for name in terms},
        )

    def draw(self, epoch: int, model: Model, data: Data) -> None:
        """Pictures of what is watched as the model trains, as PNG files and in TensorBoard."""
        self._look()
        self._draw(epoch, self._viewer(data).watched(model, epoch))

    def show(self, epoch: int, model: Model, data: Data, drawn: bool) -> None:
        """Pictures of all that the trained model, with the weights of `epoch`, can show; a film of its samples; its
        codes for TensorBoard's projector. `drawn` says that what is watched is in TensorBoard at this epoch already."""
        self._look()
        viewer = self._viewer(data)
        self._draw(epoch, viewer.watched(model, epoch), in_events=not drawn)
        self._draw(epoch, viewer.finished(model, epoch))
        frames = self.events.pictures(self._tag("samples"))
        with self._spared("pictures"):
            encoded, lost = animation(frames)
            if lost:
                self.echo(
                    f"warning: the film leaves out {counted(lost, 'frame')} of {self.events.path.name}, no PNG pictures"
                )
            if encoded:
                write(self.folder / "samples.gif", encoded)
                self.events.picture(self._tag("film"), encoded, (1, 1), epoch)
            points = viewer.projection(model)
            if points is not None:
                write_projection(self.folder, f"codes of {self.title}", *points, self.s.upscaling)

    def _viewer(self, data: Data) -> FigureRenderer:
        if self.viewer is None:
            look = {"theme": self.s.theme, "upscaling": self.s.upscaling}
            self.viewer = FigureRenderer(data, self.s.seed, self.title, **look)
        return self.viewer

    def _draw(
        self, epoch: int, pictures: Iterable[tuple[str, torch.Tensor]], in_events: bool = True
    ) -> None:
        self.display.drawing()
        for name, picture in pictures:
            encoded = png(picture)
            with self._spared("pictures"):
                write(self.folder / f"{name}.png", encoded)
                if in_events:
                    self.events.picture(self._tag(name), encoded, picture.shape[:2], epoch)

    def _tag(self, name: str) -> str:
        """A section of TensorBoard per kind of picture, with a card in it that says whose it is."""
        return f"{name}/{self.title}"

    def fitted(self, watch: Stopwatch) -> dict[str, float]:
        """What the fit took: seconds on the clock and of the CPU, and the most memory that the process has held, in MiB."""
        peak = resource.getrusage(
            resource.RUSAGE_SELF
        ).ru_maxrss  # of Linux since `start`, elsewhere of all runs of the process
        peak /= 2**20 if sys.platform == "darwin" else 2**10
        return {
            "fit_seconds": watch.seconds,
            "fit_cpu_seconds": watch.cpu_seconds,
            "peak_memory": peak,
        }

    def measuring(self, at: int, of: int, name: str) -> None:
        """Show that the `at`-th of so many measures begins."""
        self.display.measuring(at, of, name)

    def measured(self, found: dict) -> dict:
        """Keep the final numbers by part of the data, the report card and what all of it took."""
        self._look()
        found = found | {"auto": self.auto, "time": found["time"] | {"seconds": self.seconds}}
        with self._spared("curves"):
            for part, numbers in parts_of(found).items():
                for name, value in numbers.items():
                    if name != "n":
                        self.events.scalar(f"final/{part}_{name}", value, self.epoch)
            for entry in found.get(
                "card", []
            ):  # numbers that do not compare are in columns of their own
                self.events.scalar(
                    f"final/{entry['name']}: {conditions(entry)}", entry["value"], self.epoch
                )
            self.events.scalar("final/epochs", found["cost"]["epochs"], self.epoch)
            self.events.ended()
            self.events.sync()
        write_json(self.folder / "metrics.json", found)
        logger.info("measured: %s", json.dumps(finite(found)))
        return found

    def finish(self, found: dict) -> None:
        """Tell how the run ended; from here on it is done."""
        self._look()
        if self.record.settings() != self.config:
            self.record.keep_settings()
        with self._spared("curves"):
            self.events.sync()
        self.display.close()
        look = f"tensorboard --logdir {quoted(self.folder.parent)}"
        self.display.result(
            self.folder, found | {"seed": self.s.seed}, headlines(), pictures_in(self.folder), look
        )
        self._status("done", epochs=self.s.epochs, steps=self.s.get("steps"), **self.kept)

    def keep(self, finished: dict[str, torch.Tensor]) -> None:
        """Keep what the model fitted once training was over."""
        path = write_finished(self.folder, finished)
        self.kept["finished"] = path and path.name

    # --- checkpoints ------------------------------------------------------------------------------------------

    def save(self, at: Position, model: Model, stopping: EarlyStopping) -> None:
        """Write a checkpoint that `restore` can go on from. UserError if a weight is not finite, or there is no room."""
        self._look()
        if at.epoch:
            sync(self.curve.path)  # a checkpoint must not outlive the points it says were logged
        with self._spared("curves"):
            self.events.sync()
        mark = (
            self.mark if at.epoch < self.epoch else self.events.mark()
        )  # stopped amid the pictures of an epoch
        content = {
            "settings": self.config,
            "data": self.data.digest,
            "machine": machine(model),
            "length": self.length,
            "at": at.training_state(),
            "model": model.state_dict(),
            "progress": model.training_state(),
            "stopping": stopping.training_state(),
            "events": None if "curves" in self.given_up else mark,
            "seconds": self.seconds,
        }
        self.kept["checkpoint"] = write_checkpoint(self.folder, at.epoch, at.batches, content).name
        self.step = at.step
        self._status("running")

    def restore(self, at: Position, model: Model, stopping: EarlyStopping) -> bool:
        """Bring position, model, early stopping and curves back to the newest good checkpoint; tells whether there is one.

        Newer ones that are damaged, or of another run, are set aside. Raises UserError if there are checkpoints and none
        can be used, or the run cannot be made as long as is asked. Nothing was refused up to here, so this is where to
        tell how the run can be stopped and resumed.
        """
        self.echo(f"stop with Ctrl-C, go on with: {self.resume}")
        self.length = {"epochs": -(-at.total // at.of), "steps": at.total, "steps_per_epoch": at.of}
        found: dict = {}

        def take(content: dict) -> None:
            require_same(content["settings"], self.config, content["length"])
            if content["progress"].keys() != model.training_state().keys():
                raise ValueError("it is of another kind of model")
            at.load_training_state(content["at"])
            model.load_state_dict(content["model"])
            model.load_training_state(content["progress"])
            stopping.load_training_state(content["stopping"])
            found.update(content)

        try:
            path, passed = read_newest(
                self.folder, self.config, self.data.digest, model.device, take
            )
        except Unusable as error:
            self._refuse(error)
        may_end_early = model.until_converged or self.s.get("patience") is not None
        self.display.start(self.length["epochs"], model.criterion, may_end_early)
        for other, error in passed.items():
            set_aside(other, f"is damaged ({kind(other)})" if kind(other) else error.what)
        if path is None:
            self._rewind(0, None)
            return False
        self.kept["checkpoint"] = path.name
        self.started -= found["seconds"]
        self.epoch, self.step = at.epoch, at.step
        self._rewind(at.epoch, found["events"])
        self.echo(
            f"resuming after epoch {at.epoch}"
            + f" and {at.batches} of {at.of} batches of the next" * bool(at.batches)
        )
        before, now = found["machine"], machine(model)
        changed = [
            f"{name} {before[name]} then, {now[name]} now"
            for name in now
            if before[name] != now[name]
        ]
        if changed:
            self.echo(
                f"warning: the last digits may differ from those of an uninterrupted run: {', '.join(changed)}"
            )
        return True

    def _refuse(self, error: Unusable) -> NoReturn:
        """Raise why the newest checkpoint is another's: where nothing else is on record, it tells what the run here is."""
        if error.content is not None and not self.known:
            require_same(error.content["settings"], self.config, error.content["length"])
        refuse(error, self.config, self.data)

    def _rewind(self, epoch: int, mark: dict | None) -> None:
        """Drop the points logged after the checkpoint, so that every curve has each point exactly once.

        Curves of a damaged event file are drawn anew from metrics.jsonl.
        """
        path = self.folder / "metrics.jsonl"
        try:
            points = read_points(self.folder)
        except Unreadable:
            points = []
            if os.path.lexists(path):
                set_aside(path)
        self.lines = [line for line, point in points if point["epoch"] <= epoch]
        if len(self.lines) < epoch:
            self.echo(
                f"warning: {path.name} is damaged and holds {len(self.lines)} of {counted(epoch, 'point')} before"
            )
        if kind(path) or path.exists():
            write(path, "".join(f"{line}\n" for line in self.lines).encode())
        self.curve = AppendOnlyFile(path)
        self.events = Events(self.folder / EVENTS, mark)
        if not self.events.resumed:
            if epoch:
                self.echo(
                    f"warning: {self.events.path.name} is damaged; its curves are drawn anew, its earlier pictures are lost"
                )
            with self._spared("curves"):
                self._draw_anew()

    def _draw_anew(self) -> None:
        """Write what belongs at the beginning of an event file, and every point that was logged."""
        settings = {
            name: value for name, value in flatten(self.config).items() if name not in ASIDE
        }
        # TensorBoard sorts the columns by their names, so the capital letter puts the model first.
        names = {"Model": self.config["model"]["name"], "dataset": self.config["dataset"]["name"]}
        self.events.hparams(
            names | settings, plain(f"{self.folder.name} in {self.folder.parent.name}")
        )
        points = [json.loads(line) for line in self.lines]
        if points:
            self._lay_out(points[0])
        for point in points:
            self._plot(point)

    def _status(self, state: str, **more) -> None:
        self.record.tell(state, epoch=self.epoch, step=self.step, length=self.length, **more)


class Log(logging.Handler):
    """run.log, which does without lines that there is no room for: what they tell is told elsewhere, too."""

    def __init__(self, path: Path, lock: Lock):
        """Nothing is written while the lock is not held, as the folder is another's then."""
        super().__init__()
        self.path, self.held_by = path, lock
        self.file: AppendOnlyFile | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Add a line."""
        with suppress(CannotWrite):
            if not self.held_by.held:
                return
            if self.file is None or not self.file.still_exists:
                anew, self.file = self.file is not None, AppendOnlyFile(self.path)
                if anew:
                    echo(f"warning: {self.path.name} was removed or replaced, and is begun anew")
            lines = map(plain, self.format(record).split("\n"))
            self.file.append("".join(f"{line}\n" for line in lines).encode())


def identity(model: Model, data: Data) -> dict[str, dict | list]:
    """What metrics.json says of a run beside its settings and numbers: the data that it was trained on, what its model can
    do and draws samples from, and what a user should know of the fit."""
    abilities = [name for name in CAPABILITIES if supports(model, name)]
    about = {"abilities": abilities} | ({"sampler": model.sampler} if "sample" in abilities else {})
    return {"data": {"digest": data.digest}, "model": about, "remarks": model.warnings()}


def pictures_in(folder: Path) -> list[str]:
    """The names of the pictures in a run's folder, samples and reconstructions first."""
    first = ["samples.png", "reconstructions.png"]
    names = sorted(p.name for kind in ("*.png", "*.gif") for p in folder.glob(kind))
    return [name for name in first if name in names] + [name for name in names if name not in first]


def require_same_data(digest: str, data: Data, folder: Path) -> None:
    """UserError unless these are the data with this digest, which the run in the folder was started with."""
    if digest != data.digest:
        fix = "bring the data back, or choose another hydra.run.dir=FOLDER"
        raise UserError(
            f"dataset={data.name}",
            f"these are not the data that the run in {folder} was started with",
            fix=fix,
        )


def refuse(error: Unusable, config: dict, data: Data) -> NoReturn:
    """Raise why a checkpoint cannot be used: where its settings are those of the run, the data are others than then."""
    if error.content is not None and digest(error.content["settings"]) == digest(config):
        require_same_data(error.content["data"], data, Path(error.key).parent)
    raise error


def machine(model: Model) -> dict[str, str]:
    """What the bits of a result depend on, beside the settings."""
    return {
        "torch": str(torch.__version__),
        "threads": str(torch.get_num_threads()),
        "device": model.device.type,
    }

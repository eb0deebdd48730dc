"""Records a run in its folder, whose files `genbench.runs.directory` lists."""

import json
import logging
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from genbench.config.declarations import typed
from genbench.data.types import Data
from genbench.evaluation.registry import headlines
from genbench.model import Model
from genbench.runs.checkpointing import Checkpointing
from genbench.runs.checkpoints import checkpoints, write_finished
from genbench.runs.curve_files import CurveFiles
from genbench.runs.directory import Record
from genbench.runs.facts import machine, peak_memory_mib, reset_peak_memory
from genbench.runs.log_file import LogFile, all_terms
from genbench.runs.picture_files import PictureFiles, pictures_in
from genbench.runs.progress import Display
from genbench.settings.fields import is_auto
from genbench.settings.run import RunSettings
from genbench.training.loop import Fitted, Position
from genbench.training.memory import out_of_memory
from genbench.training.stopping import EarlyStopping, Prune
from genbench.utils import signals
from genbench.utils.errors import Pruned, UserError, lacks_memory, plain
from genbench.utils.files import CannotWrite, finite, sweep_temporaries, write, write_json
from genbench.utils.lock import Lock
from genbench.utils.text import counted, quoted

logger = logging.getLogger("genbench")


class Run:
    """The recorder of a run, a context manager that holds the folder's lock.

    It decides what is kept when. Files, console and checkpoints are jobs of its parts.
    """

    def __init__(
        self,
        folder: Path,
        config: dict,
        resume: str = "",
        title: str = "",
        display: Display | None = None,
        prune: Prune | None = None,
    ) -> None:
        """`resume` continues the run, `title` is on pictures, `prune` says why to end it."""
        self.folder, self.config, self.settings = Path(folder), config, typed(config)
        self.resume = resume or f"genbench resume {quoted(self.folder)}"
        self.title = title or f"{config['model']['name']} on {config['dataset']['name']}"
        self.display, self.prune = display or Display(self.title), prune
        self.record, self.lock = Record(self.folder, config), Lock(self.folder)
        self.log_file = LogFile(self.folder / "run.log", self.lock)
        self.curves = CurveFiles(self.folder, config, self.settings.loggers, self.echo)
        self.pictures = PictureFiles(self.folder, self.title, self.settings, self.curves, self.echo)
        self.checkpointing = Checkpointing(self.folder, config, self.echo, self.resume)
        self.auto: dict[str, Any] = {}  # what `auto` stands for, by the name of the setting
        self.data: Data  # from `set_data` on
        self.shape: tuple[int, ...] | None = None  # of a data point, until `set_data` unknown
        self.posthoc: str | None = None  # the file of what was fitted after training
        self.started = time.perf_counter()
        self.owns_status = False  # whether status.json is about this session
        self.before: dict[str, Any] = {}  # what status.json said of this run before this session

    @property
    def seconds(self) -> float:
        """How long this run has taken, including earlier sessions up to their last checkpoint."""
        return time.perf_counter() - self.started

    def __enter__(self) -> "Run":
        self.record.require_own()
        self.lock.acquire()
        try:
            self.before = self.record.status if self.record.known else {}
            if checkpoints(self.folder) or self.record.status.get("state") == "done":
                self.record.require_same_settings()
        except UserError:
            self.lock.release()
            raise
        sweep_temporaries(self.folder)
        self.log_file.attach()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.display.close()
        failure: UserError | None = None
        state, reason = "interrupted", {}
        if isinstance(error, Pruned):
            state, reason = "pruned", {"reason": str(error)}
        elif error is not None and not signals.is_request_to_stop(error):
            failure = error if isinstance(error, UserError) else self._explain(error)
            logger.error("failed\n%s", "".join(traceback.format_exception(error)))
            state, reason = "failed", {"reason": str(failure)}
        with suppress(CannotWrite):  # the disk may be too full to say that it is full
            # The folder may be gone, or another run's; a run refused at once leaves its status.
            is_ours = self.lock.held and (self.owns_status or not self.record.status)
            if error is not None and is_ours:
                self._write_status(state, **reason)
        if error is not None and failure is None:
            steps = counted(self.checkpointing.step, "step")
            what = reason.get("reason", f"interrupted after {steps}")
            self.echo(f"{what}; go on with: {self.resume}")
        try:
            self.curves.loggers.close()  # last, as it may take long and be interrupted
        finally:
            self.log_file.detach()
            self.lock.release()
        if failure is not None and failure is not error:
            raise failure from error

    # --- before training ------------------------------------------------------------------------

    def start(self) -> None:
        """Record the settings, and say where the run is."""
        self.lock.write_owner()
        self.record.write_settings()
        self._write_status("running")
        self.owns_status = True
        reset_peak_memory()
        logger.info("settings: %s", json.dumps(self.config))
        self.echo(f"{self.title}: {self.folder}")

    def set_data(self, data: Data) -> None:
        """Take note of the data, and list the files that were left out of them."""
        self.data, self.shape = data, data.spec.shape
        if data.skipped:
            path = self.folder / "skipped.txt"
            write(path, "".join(f"{line}\n" for line in data.skipped).encode())
            self.echo(f"files that were left out of the data: {path}")

    def set_resolved(self, resolved: RunSettings) -> None:
        """Take note of what `auto` stands for in these resolved settings, and say so."""
        found = resolved.values()
        self.auto = {
            name: found[name]
            for name, asked in self.config.items()
            if is_auto(asked) and not is_auto(found[name])
        }
        if self.config["dataset"].get("val_size") == "auto":
            self.auto["dataset.val_size"] = len(self.data.splits.get("validation", ()))
        if self.auto:
            values = " ".join(f"{name}={value}" for name, value in self.auto.items())
            self.echo(f"auto chose {values}")

    def echo(self, text: str) -> None:
        """A line for the console and the log."""
        logger.info(plain(text))
        self.display.echo(text)

    # --- what the training loop calls -----------------------------------------------------------

    def restore(self, at: Position, model: Model, stopping: EarlyStopping) -> bool:
        """Restore position, model, early stopping and curves from the newest good checkpoint.

        Returns whether there is one. Raises UserError as `Checkpointing.restore`.
        """
        # Nothing was refused until here, so this is the place to say how to stop and resume.
        self.echo(f"stop with Ctrl-C, go on with: {self.resume}")
        content = self.checkpointing.restore(at, model, stopping, self.data, self.before)
        may_end = model.until_converged or stopping.patience is not None
        self.display.start(self.checkpointing.length["epochs"], model.criterion, may_end)
        if content is None:
            self.curves.rewind(0, None)
            return False
        self.started -= content["seconds"]
        self.curves.rewind(at.epoch, content["events"])
        self.checkpointing.report(at, content["machine"], machine(model))
        return True

    def log(self, epoch: int, point: dict[str, dict[str, float]], images_per_second: float) -> None:
        """Keep the terms of an epoch by part of the data, and show them."""
        self._check_folder()
        self.curves.add(epoch, {**point, "time": {"images_per_second": images_per_second}})
        speed = f"{images_per_second:,.0f}/s"
        logger.info("epoch %d  %s  %s", epoch, all_terms(point), speed)
        self.display.epoch(epoch, point, speed)
        if self.prune and (why := self.prune(epoch, self.checkpointing.length["epochs"], point)):
            raise Pruned(why)

    def draw(self, epoch: int, model: Model, data: Data) -> None:
        """Draw the pictures of an epoch, as PNG files and in TensorBoard."""
        self._check_folder()
        self.display.drawing()
        self.pictures.draw_progress(epoch, model, data)

    def save(
        self, at: Position, model: Model, stopping: EarlyStopping, *, may_skip: bool = False
    ) -> None:
        """Write a checkpoint. UserError if a weight is not finite, or there is no room."""
        self._check_folder()
        if may_skip and self.checkpointing.is_too_soon(model.together):
            return
        self.curves.sync()
        events, seconds = self.curves.mark_at(at.epoch), self.seconds
        self.checkpointing.save(at, model, stopping, data=self.data, events=events, seconds=seconds)
        self._write_status("running")

    # --- after training -------------------------------------------------------------------------

    def draw_final(self, epoch: int, model: Model, data: Data, drawn: bool) -> None:
        """Draw all that the trained model can show; see `PictureFiles.draw_final`."""
        self._check_folder()
        self.display.drawing()
        self.pictures.draw_final(epoch, model, data, drawn=drawn)

    def training_cost(self, fitted: Fitted) -> dict[str, float]:
        """What training took: wall-clock and CPU seconds, and the peak memory in MiB."""
        return {
            "fit_seconds": fitted.watch.seconds,
            "fit_cpu_seconds": fitted.watch.cpu_seconds,
            "peak_memory": peak_memory_mib(),
        }

    def save_posthoc(self, state: dict[str, torch.Tensor]) -> None:
        """Keep what the model fitted after training."""
        self.posthoc = path.name if (path := write_finished(self.folder, state)) else None

    def show_measuring(self, i: int, total: int, name: str) -> None:
        """Show that the i-th of `total` measures begins."""
        self.display.measuring(i, total, name)

    def save_metrics(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """Write metrics.json, and return it: the given numbers, and what the whole run took."""
        self._check_folder()
        metrics = metrics | {"auto": self.auto, "time": metrics["time"] | {"seconds": self.seconds}}
        self.curves.add_final(metrics)
        write_json(self.folder / "metrics.json", metrics)
        logger.info("measured: %s", json.dumps(finite(metrics)))
        return metrics

    def finish(self, metrics: dict[str, Any]) -> None:
        """Show the result. From here on, the run is done."""
        self._check_folder()
        if self.record.settings() != self.config:
            self.record.write_settings()
        self.curves.loggers.sync()
        self.display.close()
        look = f"tensorboard --logdir {quoted(self.folder.parent)}"
        shown = metrics | {"seed": self.settings.seed}
        self.display.result(self.folder, shown, headlines(), pictures_in(self.folder), look)
        self._write_status(
            "done",
            epochs=self.settings.epochs,
            steps=self.config.get("steps"),
            checkpoint=self.checkpointing.newest,
            finished=self.posthoc,
        )

    # --- other programs in the folder, and failures ---------------------------------------------

    def _check_folder(self) -> None:
        """Repair what other programs have done to the folder. UserError if it is another one."""
        if not self.lock.held:
            self._reacquire()
        self.curves.repair()

    def _reacquire(self) -> None:
        """Continue after the folder or its lock was removed."""
        if self.lock.moved and any(self.folder.iterdir()):
            raise UserError(
                str(self.folder),
                "is another folder than the one in which the run began",
                fix=f"bring the run's own folder back, then {self.resume}",
                code=1,
            )
        folder_is_new = not self.folder.is_dir() or self.lock.moved
        self.lock.acquire()
        self.lock.write_owner()
        what = "the folder" if folder_is_new else ".lock"
        where = f"while the run was at work, and is made anew: {self.folder}"
        self.echo(f"warning: {what} was removed {where}")
        if folder_is_new:
            self.record.write_settings()
            self._write_status("running")

    def _explain(self, error: BaseException) -> UserError:
        """The line for the user about an error that no code foresaw."""
        log = self.folder / "run.log"
        if lacks_memory(error):
            return out_of_memory(self.settings, self.shape, self.auto, f"see {log}")
        what = f"{type(error).__name__}: {error}".removesuffix(": ")
        return UserError(str(self.folder), what, fix=f"see {log}", code=1)

    def _write_status(self, state: str, **more: Any) -> None:
        length, step = self.checkpointing.length, self.checkpointing.step
        self.record.write_status(state, epoch=self.curves.epoch, step=step, length=length, **more)

"""The files of a run that can be read without torch: its settings, status and numbers.

A run leaves these files in its folder:

config.yaml     the resolved settings
status.json     running, done, failed, interrupted or pruned (ended early by a search), the last
                epoch and step, and the length that the run was given; once it is done, the names of
                its last checkpoint and of the file of what was fitted after training
run.log         every line of the run, with the traceback of a failure
skipped.txt     files that were left out of the data, if any
metrics.jsonl   a line per logged epoch
metrics.json    the final numbers, by the part of the data they were measured on; the report card
checkpoint-EPOCHS-BATCHES-DIGEST.pt   the newest two, named by the epochs and the batches of the
                next epoch that were made, and by the SHA-256 of the content
finished-DIGEST.pt           what was fitted after training, such as a density on the codes
samples.png reconstructions.png ...   the latest pictures; samples.gif shows how samples changed
events.out.tfevents.*        TensorBoard
loggers.json                 by which other loggers find the run again
projector_config.pbtxt, projector/    codes for TensorBoard's projector
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from genbench.config.saved import as_recorded_then, completed
from genbench.runs.checkpoint_files import checkpoints, is_intact
from genbench.runs.compatibility import LENGTH, WATCHING, require_same
from genbench.runs.sweep_summary import is_sweep
from genbench.utils.errors import UserError
from genbench.utils.files import (
    Unreadable,
    kind,
    read_json,
    read_json_or_empty,
    read_yaml,
    write,
    write_json,
)
from genbench.utils.lock import is_lock, is_locked
from genbench.utils.schema import CONFIG, METRICS, STATUS
from genbench.utils.text import quoted

SPLITS = ("train", "validation", "test")  # of the data, as metrics.json has their numbers
EVENTS = "events.out.tfevents.genbench"
STATES = ("running", "done", "failed", "interrupted", "pruned")
ENDED = ("done", "pruned")  # states of runs that there is nothing left to do for
MOVED = {  # modules of loaders by their names in version 0.1, which its runs have on record
    "genbench.datasets": "genbench.data.published",
    "genbench.densities": "genbench.data.synthetic",
    "genbench.image_folder": "genbench.data.image_folder",
}
OUTPUTS = (  # patterns of the names of files that a run may overwrite
    *("config.yaml", "status.json", "metrics.json", "metrics.jsonl", "skipped.txt", "run.log"),
    *("*.png", "samples.gif", "projector_config.pbtxt"),
    *(f"projector/{name}" for name in ("codes.tsv", "labels.tsv", "thumbnails.png")),
)


class PlainDumper(yaml.SafeDumper):
    """YAML without aliases, which PyYAML uses where two values are the same object by chance."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value in full."""
        return True


class Record:
    """config.yaml and status.json in the folder of a run with these settings."""

    def __init__(self, folder: Path, config: dict) -> None:
        self.folder, self.config = Path(folder), config

    @property
    def status(self) -> dict:
        """The content of status.json; empty if it is lost or damaged."""
        return read_json_or_empty(self.folder / "status.json", STATUS)

    @property
    def state(self) -> str:
        """The state in status.json; `interrupted` if it says running and no process is at work.

        Empty if it is lost or damaged.
        """
        state = str(self.status.get("state", ""))
        return "interrupted" if state == "running" and not is_locked(self.folder) else state

    @property
    def done(self) -> bool:
        """Whether an earlier process finished this run, and its results are still there."""
        try:
            self.require_done()
        except UserError:
            return False
        return True

    def require_done(self) -> None:
        """UserError if no earlier process finished this run, or if its results are lost."""
        status, last = self.status, self.last_checkpoint
        resume = f"genbench resume {quoted(self.folder)}"
        if not self.known or status["state"] != "done":
            raise self._unfinished(f"it is {status.get('state', 'not on record')}", resume)
        if any(status.get(name) != self.config.get(name) for name in LENGTH):
            raise self._unfinished("it had another length", resume)
        if _results_of(self.settings()) != _results_of(self.config):
            raise self._unfinished("config.yaml is lost or damaged", resume)
        try:
            read_metrics(self.folder)
        except Unreadable as error:
            raise self._unfinished(f"metrics.json {error.what}", error.fix) from error
        if last is None or not is_intact(last):
            name = status.get("checkpoint") or "its checkpoint"
            what = f"{name}, which has its weights, is {'damaged' if last else 'gone'}"
            raise self._unfinished(what, f"bring it back, or train it again: {resume}")

    def _unfinished(self, reason: str, fix: str) -> UserError:
        return UserError(str(self.folder), f"holds no finished run: {reason}", fix=fix)

    @property
    def known(self) -> bool:
        """Whether status.json is about a run with these settings, of any length."""
        return self.status.get("config") in digests(self.config)

    @property
    def last_checkpoint(self) -> Path | None:
        """The checkpoint that the run ended with, which status.json names.

        Earlier versions did not name it; there it is the newest.
        """
        named = {path.name: path for path in checkpoints(self.folder)}
        name = self.status.get("checkpoint")
        return next(iter(named.values()), None) if name is None else named.get(name)

    def settings(self) -> dict:
        """The content of config.yaml; empty if it is lost or damaged."""
        try:
            return as_of_today(read_yaml(self.folder / "config.yaml", CONFIG))
        except Unreadable:
            return {}

    @property
    def foreign(self) -> str:
        """A file that a run would overwrite, in a folder without any trace of a run; else empty."""
        if self._has_trace:
            return ""
        if not is_lock(self.folder / ".lock"):
            return ".lock"
        for pattern in OUTPUTS:
            for path in sorted(self.folder.glob(pattern)):
                if path.is_file() and not kind(path) and kind(path.parent) != "a link":
                    return str(path.relative_to(self.folder))
        return ""

    @property
    def _has_trace(self) -> bool:
        """Whether a run was here: a checkpoint, an event file, a status, or settings with code."""
        if checkpoints(self.folder) or os.path.lexists(self.folder / EVENTS):
            return True
        status = self.status
        config_digest = str(status.get("config"))
        if status.get("state") in STATES and re.fullmatch("[0-9a-f]{64}", config_digest):
            return True
        groups = [self.settings().get(group) for group in ("model", "dataset")]
        return all(
            isinstance(group, dict) and "name" in group and {"class", "loader"} & group.keys()
            for group in groups
        )

    def require_own(self) -> None:
        """UserError if a run here would hide a sweep, or replace files that no run has written."""
        if is_sweep(self.folder):
            fix = "choose another hydra.run.dir=FOLDER, or add -m to go on with the sweep"
            raise UserError(str(self.folder), "is the folder of a sweep", fix=fix)
        foreign = self.foreign
        if foreign:
            what = f"holds {foreign}, which no run of genbench wrote"
            fix = "choose another hydra.run.dir=FOLDER, or move the file away"
            raise UserError(str(self.folder), what, fix=fix)

    def write_settings(self) -> None:
        """Write config.yaml."""
        text = yaml.dump(self.config, Dumper=PlainDumper, sort_keys=False, allow_unicode=True)
        write(self.folder / "config.yaml", text.encode())

    def write_status(self, state: str, **more: Any) -> None:
        """Write status.json. `state` is one of STATES, `more` are other keys of it."""
        content = {"state": state, "config": digest(self.config), **more}
        write_json(self.folder / "status.json", content)

    def replace_state(self, state: str, reason: str) -> None:
        """Correct the status that a process has left behind which was killed."""
        more = {key: value for key, value in self.status.items() if key not in ("state", "config")}
        if not self.foreign:
            self.write_status(state, **more | {"reason": reason})

    def require_unchanged(self, settings: dict | None = None) -> None:
        """UserError if config.yaml was changed after the run, so that it explains no numbers.

        The status of an earlier version does not say what the settings were, and passes. `settings`
        are the content of config.yaml, where the caller has read it already.
        """
        status = self.status
        settings = self.settings() if settings is None else as_of_today(settings)
        if not settings or status.get("config") is None:
            return
        lengths = [name for name in LENGTH if name in status and status.get("state") == "done"]
        is_same = status["config"] in digests(settings)
        if not is_same or any(status[name] != settings.get(name) for name in lengths):
            what = "does not hold the settings that the run was started with"
            command = f"the run's own command with hydra.run.dir={self.folder}"
            fix = f"repeat {command}, which brings them back"
            raise UserError(str(self.folder / "config.yaml"), what, fix=fix)

    def require_same_settings(self) -> None:
        """UserError if the run in this folder had other settings; it may become longer.

        config.yaml says which setting differs. The digest in status.json decides, because
        config.yaml may be lost, damaged or changed. If both are lost, a checkpoint knows them.
        """
        status, before = self.status, self.settings()
        recorded = status.get("config")
        if before and recorded in (None, *digests(before)):
            require_same(before, self.config, status.get("length") or {})
        if recorded not in (None, *digests(self.config)):
            what = "is lost or damaged, and the run here had other settings"
            if before:
                what = "is not what the run here was started with"
            fix = "repeat the run's own command, or choose another hydra.run.dir=FOLDER"
            raise UserError(str(self.folder / "config.yaml"), what, fix=fix)


def read_metrics(folder: Path) -> dict[str, Any]:
    """The content of metrics.json. Unreadable if it is lost or damaged."""
    return _read(folder, "metrics.json", METRICS)


def read_status(folder: Path) -> dict[str, Any]:
    """The content of status.json. Unreadable if it is lost or damaged."""
    return _read(folder, "status.json", STATUS)


def _read(folder: Path, name: str, form: Any) -> dict[str, Any]:
    try:
        return read_json(folder / name, form)
    except Unreadable as error:
        raise Unreadable(error.key, error.what, f"genbench resume {quoted(folder)}") from error


def digest(config: dict) -> str:
    """The SHA-256 of the settings that results depend on, except the length, which may grow."""
    fixed = {name: v for name, v in _results_of(config).items() if name not in LENGTH}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def _results_of(config: dict) -> dict:
    """The settings without those of how the run is watched."""
    return {name: value for name, value in config.items() if name not in WATCHING}


def digests(config: dict) -> list[str]:
    """The digests by which runs know these settings: today's, and those of earlier versions."""
    forms = [config, *as_recorded_then(config)]
    earlier = [_moved(form, {new: old}) for form in forms for old, new in MOVED.items()]
    return [digest(one) for one in (*forms, *earlier)]


def as_of_today(config: dict) -> dict:
    """The settings of a run of any version, with the loader of its data where it is today, and with
    settings that its version lacked.
    """
    return completed(_moved(config, MOVED))


def _moved(config: dict, modules: dict[str, str]) -> dict:
    """The settings with the loader in another module, if it is in one that has moved."""
    data = config.get("dataset")
    module, _, function = str(data.get("loader") if isinstance(data, dict) else "").rpartition(".")
    if module not in modules:
        return config
    return {**config, "dataset": {**config["dataset"], "loader": f"{modules[module]}.{function}"}}


def in_words(finding: dict[str, str] | str) -> str:
    """A line of a diagnosis: what seems to be wrong and, if there is one, the setting to try."""
    if isinstance(finding, str):  # as earlier versions kept them
        return finding
    return finding["text"] + (f"; try {finding['setting']}" if finding["setting"] else "")

"""What a folder says of the run in it, without torch: its settings, how far it has come, and who is at work there."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from genbench.config.settings import FIXED, flatten
from genbench.runs.lock import is_lock
from genbench.utils import files
from genbench.utils.errors import UserError
from genbench.utils.files import (
    Unreadable,
    digest_of,
    kind,
    opened,
    read_json_or_empty,
    write,
    write_json,
)
from genbench.utils.schema import CONFIG, JOB, METRICS, STATUS, fault
from genbench.utils.text import counted, quoted

SPLITS = ("train", "validation", "test")  # of the data, as metrics.json has their numbers
SUMMARY = "sweep_summary.json"
EVENTS = "events.out.tfevents.genbench"
STATES = ("running", "done", "failed", "interrupted")
WRITTEN = (  # patterns of the names that runs give to files, of which any may be overwritten
    *("config.yaml", "status.json", "metrics.json", "metrics.jsonl", "skipped.txt", "run.log"),
    *("*.png", "samples.gif", "projector_config.pbtxt"),
    *(f"projector/{name}" for name in ("codes.tsv", "labels.tsv", "thumbnails.png")),
)
NAME = re.compile(r"checkpoint-(\d{6,})-(\d{6,})-([0-9a-f]{64})\.pt")
ARCHIVE_END = b"PK\5\6"  # what the last 22 bytes of a file that torch writes begin with
MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf(
    "SC_PHYS_PAGES"
)  # bytes: no checkpoint that was in use has more


class PlainDumper(yaml.SafeDumper):
    """YAML without aliases, which would stand for values that are the same object by chance."""

    def ignore_aliases(self, data) -> bool:
        """Write every value in full."""
        return True


class Record:
    """config.yaml and status.json of the folder of a run with these settings."""

    def __init__(self, folder: Path, config: dict):
        self.folder, self.config = Path(folder), config

    @property
    def status(self) -> dict:
        """What status.json says; nothing if it is lost or damaged."""
        return read_json_or_empty(self.folder / "status.json", STATUS)

    @property
    def done(self) -> bool:
        """Whether an earlier process finished exactly this run, and its settings, numbers and weights are still there."""
        finished = (
            self.known
            and self.status["state"] == "done"
            and all(self.status.get(n) == self.config.get(n) for n in LENGTH)
        )
        if not (
            finished
            and self.settings() == self.config
            and read_json_or_empty(self.folder / "metrics.json", METRICS)
        ):
            return False
        last = self.last
        return last is not None and intact(last)

    @property
    def known(self) -> bool:
        """Whether the run in this folder is on record with these settings, whatever its length."""
        return self.status.get("config") == digest(self.config)

    @property
    def last(self) -> Path | None:
        """The checkpoint that the run ended with: the one that status.json names or, of earlier versions, the newest."""
        named = {path.name: path for path in checkpoints(self.folder)}
        name = self.status.get("checkpoint")
        return next(iter(named.values()), None) if name is None else named.get(name)

    def settings(self) -> dict:
        """What config.yaml says; nothing if it is lost or damaged."""
        try:
            return files.read_yaml(self.folder / "config.yaml", CONFIG)
        except Unreadable:
            return {}

    @property
    def foreign(self) -> str:
        """The name of a file that a run would replace, in a folder that shows no trace of a run; else nothing.

        A trace is a checkpoint, an event file, a status, or a config.yaml that names code, whatever else is damaged.
        """
        matching = [path for pattern in WRITTEN for path in sorted(self.folder.glob(pattern))]
        there = [
            str(path.relative_to(self.folder))
            for path in matching
            if path.is_file() and not kind(path) and not kind(path.parent).startswith("a link")
        ]
        if not is_lock(self.folder / ".lock"):
            there.append(".lock")
        if not there or checkpoints(self.folder) or os.path.lexists(self.folder / EVENTS):
            return ""
        status, config = self.status, self.settings()
        told = status.get("state") in STATES and re.fullmatch(
            "[0-9a-f]{64}", str(status.get("config"))
        )
        parts = [config.get(group) for group in ("model", "dataset")]
        own = all(
            isinstance(part, dict) and "name" in part and {"class", "loader"} & part.keys()
            for part in parts
        )
        return "" if told or own else there[0]

    def require_own(self) -> None:
        """UserError if a run here would replace files that no run has written."""
        if self.foreign:
            what = f"holds {self.foreign}, which no run of genbench wrote"
            raise UserError(
                str(self.folder),
                what,
                fix="choose another hydra.run.dir=FOLDER, or move the file away",
            )

    def keep_settings(self) -> None:
        """Write config.yaml."""
        write(
            self.folder / "config.yaml",
            yaml.dump(
                self.config, Dumper=PlainDumper, sort_keys=False, allow_unicode=True
            ).encode(),
        )

    def tell(self, state: str, **more) -> None:
        """Write status.json: running, done, failed or interrupted, and more."""
        write_json(
            self.folder / "status.json", {"state": state, "config": digest(self.config), **more}
        )

    def require_unchanged(self) -> None:
        """UserError if config.yaml was changed since the run wrote it, so that its numbers are not of these settings.

        A status of an earlier version, which does not say what the settings were, passes.
        """
        status, found = self.status, self.settings()
        lengths = [name for name in LENGTH if name in status and status.get("state") == "done"]
        if not found or status.get("config") is None:
            return
        if status["config"] != digest(found) or any(
            status[name] != found.get(name) for name in lengths
        ):
            what = "does not hold the settings that the run was started with"
            fix = f"repeat the run's own command with hydra.run.dir={self.folder}, which brings them back"
            raise UserError(str(self.folder / "config.yaml"), what, fix=fix)

    def require_same_settings(self) -> None:
        """UserError if the run in this folder had other settings; more epochs are no others, where rates allow.

        config.yaml tells which setting differs; the digest in status.json is the judge, should config.yaml be lost,
        damaged or changed by hand. Should both be lost, a checkpoint has its settings with it.
        """
        status, before = self.status, self.settings()
        recorded = status.get("config")
        if before and recorded in (None, digest(before)):
            require_same(before, self.config, status.get("length") or {})
        if recorded not in (None, digest(self.config)):
            what = (
                "is not what the run here was started with"
                if before
                else "is lost or damaged, and the run here had other settings"
            )
            fix = "repeat the run's own command, or choose another hydra.run.dir=FOLDER"
            raise UserError(str(self.folder / "config.yaml"), what, fix=fix)


def checkpoints(folder: Path) -> list[Path]:
    """Newest first, by the passes made and the batches of the next one in the name (never by the clock)."""
    named = [(NAME.fullmatch(p.name), p) for p in folder.glob("checkpoint-*.pt")]
    return [p for _, p in sorted(((int(m[1]), int(m[2]), p.name), p) for m, p in named if m)][::-1]


def intact(path: Path) -> bool:
    """Whether the content of a checkpoint is what the file's name says: the SHA-256 at its end."""
    try:
        return plausible(path) and digest_of(path, MEMORY) == named_digest(path)
    except Unreadable:
        return False


def plausible(path: Path) -> bool:
    """Whether a file ends as torch ends its own, at a glance: not where zeros were added, be it 50 GB of them."""
    try:
        with open(opened(path), "rb") as file:
            file.seek(-22, os.SEEK_END)
            return file.read(4) == ARCHIVE_END
    except OSError:
        return False


def named_digest(path: Path) -> str:
    """The SHA-256 that a file's name ends in."""
    return path.stem.rpartition("-")[2]


def require_same(before: dict, now: dict, length: dict) -> None:
    """UserError naming the first setting in which these configs differ, and both values.

    The run may have become longer than it was: `length` is what the settings before came to, in `epochs` and `steps`, of
    which an epoch has `steps_per_epoch`; nothing where that is lost. It is advised to set what was set before only where
    that is a setting: a folder may be somebody else's, and name code to run.
    """
    a, b = flatten(before), flatten(now)
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) != b.get(name) and (name in FIXED or name not in b or name not in a):
            what = f"the run in this directory was started by another version of genbench or its configs, or was changed: it has {name}"
            raise UserError(name, what, a.get(name), "choose another hydra.run.dir=FOLDER")
        if a.get(name) != b.get(name) and name not in LENGTH:
            raise _differs(
                name,
                f"this directory holds a run with {name}={a.get(name)}",
                a.get(name),
                b.get(name),
            )
    if any(before.get(name) != now.get(name) for name in LENGTH):
        _require_longer(before, now, length)


LENGTH = ("epochs", "steps")  # the settings that may grow


def _require_longer(before: dict, now: dict, length: dict) -> None:
    name = "epochs" if now.get("steps") is None else "steps"
    old, new = length.get(name, before.get(name)), now[name]
    steps, per_epoch = length.get("steps", 0), length.get("steps_per_epoch", 1)
    if not (isinstance(old, int) and isinstance(new, int) and new >= old):
        raise _differs(name, f"this directory holds a run with {name}={old}", old, new)
    if new == old and (name == "steps" or steps % per_epoch == 0):
        return
    laid_out = (
        f"{now['schedule']} schedule"
        if now.get("schedule", "constant") not in ("constant", "stages")
        else ""
    )
    laid_out = "instance noise" if now.get("instance_noise") else laid_out
    if laid_out:
        raise _differs(name, f"the {laid_out} was laid out for {counted(old, name[:-1])}", old, new)
    if steps % per_epoch:
        what = f"this directory holds a run that ends within an epoch, after {steps} steps of {per_epoch} each"
        raise _differs("steps", what, steps, now.get("steps") or new * per_epoch)


def _differs(name: str, what: str, old: Any, new: Any) -> UserError:
    return UserError(
        name, what, f"{name}={new}", f"use {name}={old}, or another hydra.run.dir=FOLDER"
    )


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep, rather than of one run."""
    return os.path.exists(folder / SUMMARY) and not os.path.exists(folder / "config.yaml")


def swept(folder: Path) -> set[str]:
    """The settings in which the jobs of a sweep differ, where the folder is that of one of its jobs; else none."""
    return differing(
        [job["overrides"] for job in jobs(folder.absolute().parent / SUMMARY, {"overrides": [str]})]
    )


def jobs(summary: Path, form: dict = JOB) -> list[dict]:
    """The jobs of this form in the summary of a sweep, in the order in which they were asked for."""
    return [
        job
        for job in read_json_or_empty(summary, {"jobs": list}).get("jobs", [])
        if not fault(job, form)
    ]


def read_metrics(folder: Path) -> dict:
    """The numbers of a finished run. Unreadable if they are lost or damaged."""
    try:
        return files.read_json(folder / "metrics.json", METRICS)
    except Unreadable as error:
        raise Unreadable(error.key, error.what, f"genbench resume {quoted(folder)}") from error


def differing(jobs: list[list[str]]) -> set[str]:
    """The settings in which the overrides of some jobs differ."""
    common = set.intersection(*map(set, jobs)) if jobs else set()
    return {
        word.lstrip("+~").partition("=")[0]
        for words in jobs
        for word in words
        if word not in common
    }


def digest(config: dict) -> str:
    """Of all settings but those of the run's length, which may grow."""
    fixed = {name: value for name, value in config.items() if name not in LENGTH}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def in_words(finding: dict[str, str] | str) -> str:
    """A line of a diagnosis: what seems to be wrong and, if there is one, the setting to try."""
    if isinstance(finding, str):  # as earlier versions kept them
        return finding
    return finding["text"] + (f"; try {finding['setting']}" if finding["setting"] else "")

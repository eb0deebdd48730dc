"""`genbench ls`: the runs in a folder, a line for each, from their small files alone."""

import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.report.words import printable
from genbench.runs.directory import SPLITS, Record
from genbench.runs.summary import brief_run, entry_in_words, newest
from genbench.utils import signals
from genbench.utils.console import PipeSafeConsole
from genbench.utils.errors import UserError, plain
from genbench.utils.files import (
    Unreadable,
    parse_yaml,
    read_json_or_empty,
    read_text,
    within,
)
from genbench.utils.schema import ENTRY, PART, Maybe, fault
from genbench.utils.text import aligned, counted, quoted

USUAL_FOLDER = "outputs"
OPTION_OF_LIST = "metrics"  # as of `genbench evaluate`
# Of these measures, a line shows the first that the run has, else its objective. All are headline
# measures of a report card, which are declared where they are computed, with torch.
SHOWN_FIRST = ("fid", "log_prob", "mse")
NAMED: dict[str, Any] = {"model": {"name": str}, "dataset": {"name": str}}  # of config.yaml
LISTED: dict[str, Any] = {  # of metrics.json
    **{part: Maybe(PART) for part in SPLITS},
    "cost": Maybe({"criterion": (str, None)}),
    "card": Maybe([{"name": str}]),
}
UNKNOWN = "?"


@dataclass(frozen=True)
class ListedRun:
    """A run as a line shows it; `changed` is when its state was written, in seconds."""

    folder: Path
    state: str
    model: str
    data: str
    measures: str
    changed: float


def list_command(words: Sequence[str]) -> int:
    """Print the runs in the folder that the words name, the newest last; returns the exit status.

    UserError for a folder without runs, and for other words.
    """
    folder, names = _asked(words)
    runs = listed_runs(folder, names)
    if not runs:
        raise UserError(str(folder), "holds no runs", fix="genbench model=vae beta=4 makes one")
    now = time.time()
    rows = [["when", "state", "model", "data", ", ".join(names) or "measure", "run"]]
    rows += [
        [
            _when(run.changed, now),
            run.state,
            run.model,
            run.data,
            run.measures,
            quoted(run.folder),
        ]
        for run in runs
    ]
    console = PipeSafeConsole(highlight=False, soft_wrap=True)
    states = Counter(run.state for run in runs)
    console.print("\n".join(map(plain, aligned(rows, "<<<<<<"))), markup=False)
    counts = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    console.print(f"{counted(len(runs), 'run')}: {counts}", markup=False)
    return 0


def _asked(words: Sequence[str]) -> tuple[Path, list[str]]:
    """The folder and the names of measures that the words of a command ask for."""
    folders, names = [], []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and not os.path.lexists(word):
            if name != OPTION_OF_LIST or not value:
                what = "names no measures" if name == OPTION_OF_LIST else "is no option of ls"
                raise UserError(name, what, word, f"{OPTION_OF_LIST}=fid,mse is its only option")
            names = [one for one in value.split(",") if one]
        else:
            folders.append(word)
    if len(folders) > 1:
        raise UserError("ls", "lists one folder", " ".join(folders), f"genbench ls {folders[0]}")
    folder = Path(folders[0] if folders else USUAL_FOLDER)
    if not os.path.isdir(folder):
        raise UserError("ls", "no such folder", str(folder), "genbench ls FOLDER")
    return folder, names


def listed_runs(folder: Path, names: Iterable[str] = ()) -> list[ListedRun]:
    """The runs in and below a folder, in the order in which they were at work.

    `names` are the measures to show, by default the first of `SHOWN_FIRST`.
    """
    names = [*names]
    found = []
    for place in {file.parent: None for file in within(folder, ("status.json", "config.yaml"))}:
        signals.check()
        run = _listed(place, names)
        if run is not None:
            found.append(run)
    return sorted(found, key=lambda run: (run.changed, str(run.folder)))


def _listed(folder: Path, names: Sequence[str]) -> ListedRun | None:
    """A run from its files, with a question mark for what they do not say; None if it is none."""
    record = Record(folder, {})
    state = record.state
    model, data = _names(folder)
    if not state and UNKNOWN in (model, data):
        return None  # a config.yaml of something else
    if state == "done":
        metrics = read_json_or_empty(folder / "metrics.json", LISTED)
        shown = ", ".join(_measures(metrics, names))
    else:
        shown = _progress(record.status)
    changed = max(_written(folder / name) for name in ("status.json", "config.yaml"))
    state, model, data, shown = map(printable, (state or "not on record", model, data, shown))
    return ListedRun(folder, state, model, data, shown, changed)


def _names(folder: Path) -> tuple[str, str]:
    """The names of model and data in config.yaml.

    Only the two blocks that have them are parsed, as all of YAML takes much longer to read.
    """
    file = folder / "config.yaml"
    try:
        blocks = re.findall(r"^(?:model|dataset):\n(?: .*\n?)+", read_text(file), re.M)
        config = parse_yaml("".join(blocks), file)
    except Unreadable:
        return UNKNOWN, UNKNOWN
    if fault(config, NAMED):
        return UNKNOWN, UNKNOWN
    dataset = config["dataset"]
    source = dataset.get("path") or dataset.get("root")
    own = [Path(source).name] if isinstance(source, str) else []
    return config["model"]["name"], " ".join([dataset["name"], *own])


def _measures(metrics: dict, names: Sequence[str]) -> list[str]:
    """The measures with these names in words, or the one that says most."""
    card = newest(metrics.get("card", []))
    entries = [card[name] for name in names or SHOWN_FIRST if name in card]
    shown = [entry_in_words(entry) for entry in entries if not fault(entry, ENTRY)]
    return shown if names else [*shown, *brief_run(metrics, ())][:1]


def _progress(status: dict) -> str:
    """How far a run is that is not done."""
    length = status.get("length", {}).get("epochs")
    return (
        f"epoch {status['epoch']}" + (f" of {length}" if length else "")
        if "epoch" in status
        else ""
    )


def _written(path: Path) -> float:
    """When a file was written, in seconds; 0 if it is not there."""
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


def _when(seconds: float, now: float) -> str:
    """A time as people write it: with the time of day in the last half year, else with the year."""
    is_recent = 0 <= now - seconds < 180 * 24 * 3600
    return time.strftime("%d %b %H:%M" if is_recent else "%d %b  %Y", time.localtime(seconds))

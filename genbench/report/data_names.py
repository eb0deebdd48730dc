"""The names of data: runs on different data never share one."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from genbench.report.load import RunResult
from genbench.settings.setting import written

DataId = tuple[str, str]  # "digest" or "root", and its value


def with_data_named(runs: Iterable[RunResult]) -> list[RunResult]:
    """The same runs; data that their dataset's name does not identify get a name of their own.

    That has in brackets the folder that the data came from, as of a user's own pictures and where
    there are several data of one dataset and the same settings. Where that does not distinguish
    them, it has the beginning of their digest, too.
    """
    runs = [*runs]
    done = [run for run in runs if run.state == "done"]
    kinds: dict[tuple[str, str], dict[str, set[DataId]]] = {}
    for run in done:  # by dataset and its settings, then by folder, which data there are
        own = {n: written(v) for n, v in run.settings.items() if n.startswith("dataset.")}
        same = kinds.setdefault((run.dataset, json.dumps(own)), {})
        same.setdefault(Path(run.root).name, set()).add(run.data_id)
    several: set[str] = set()  # datasets
    repeated: set[tuple[str, DataId]] = set()  # in one folder, at different times
    for (dataset, _), folders in kinds.items():
        if len(set.union(*folders.values())) > 1:
            several.add(dataset)
        for in_folder in folders.values():
            if len(in_folder) > 1:
                repeated |= {(dataset, data) for data in in_folder}
    names: dict[tuple[str, DataId], str] = {}
    for run in done:
        key = run.dataset, run.data_id
        has_folder = run.is_named_by_root or run.dataset in several
        folder = Path(run.root).name if has_folder else ""
        source = ", ".join(filter(None, [folder, _exact(*run.data_id) if key in repeated else ""]))
        names.setdefault(key, f"{run.dataset} ({source})" if source else run.dataset)
    return [_on_data(run, names.get((run.dataset, run.data_id), run.dataset)) for run in runs]


def _exact(known_by: str, value: str) -> str:
    return value[:8] if known_by == "digest" else f"from {value or 'an earlier version'}"


def _on_data(run: RunResult, name: str) -> RunResult:
    rest = run.title.removeprefix(f"{run.model} on {run.dataset}")
    return replace(run, dataset=name, title=f"{run.model} on {name}{rest}")

"""Writes search.json: what a search has tried, for the report, which needs no Optuna to read it."""

import shlex
from collections.abc import Sequence
from typing import Any

from genbench.runs.directory import Record
from genbench.runs.search_file import SEARCH_FILE
from genbench.settings.setting import written
from genbench.sweeps.goals import Goal
from genbench.sweeps.study import Study, Trial
from genbench.sweeps.sweep import Job, Sweep
from genbench.utils.errors import report
from genbench.utils.files import CannotWrite, write_json


def write_search(
    sweep: Sweep, study: Study, goals: Sequence[Goal], trials: Sequence[Trial], is_over: bool
) -> None:
    """Write search.json in the sweep's folder; importances only when the search `is_over`.

    The search goes on if that fails, and says so.
    """
    best = {trial.number for trial in study.best()}
    rows = [_row(trial, job, trial.number in best) for trial, job in zip(trials, sweep.jobs)]
    content = {
        "goals": [{"name": goal.name, "direction": goal.direction} for goal in goals],
        "settings": [dimension.name for dimension in study.space.dimensions],
        "trials": rows,
        "importances": study.importances() if is_over else [],
    }
    try:
        write_json(sweep.folder / SEARCH_FILE, content)
    except CannotWrite as error:
        report(error)


def _row(trial: Trial, job: Job, is_best: bool) -> dict[str, Any]:
    run = job.first or job
    status = Record(run.folder, run.config).status
    return {
        "number": trial.first + 1,
        "settings": {name: written(value) for name, value in trial.settings.items()},
        "state": trial.state,
        "values": list(trial.values),
        "epochs": status.get("epoch", 0),
        "directory": run.folder.name,
        "is_best": is_best,
        "command": shlex.join(["genbench", *job.overrides]),
    }

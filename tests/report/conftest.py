"""Runs that are left on disk by hand, for reports about them."""

import itertools
import json

import pytest
import yaml
from helpers.configs import config_of
from helpers.reports import COST

from genbench.config.registry import builtin_registry
from genbench.report import command


@pytest.fixture
def left(tmp_path, monkeypatch):
    """A function that leaves a run's files; `left.report()` are the texts of what a report on all of them writes."""
    count = itertools.count()
    monkeypatch.setenv("COLUMNS", "150")

    def run(
        model="gmm",
        changes=(),
        state="done",
        under="runs",
        dataset="digits",
        metrics=None,
        curve=(),
        **status,
    ):
        folder = tmp_path / under / f"{next(count)}_{model}"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(
            yaml.safe_dump(config_of(model, dataset=dataset) | dict(changes))
        )
        (folder / "status.json").write_text(json.dumps({"state": state, **status}))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in curve))
        if state == "done":
            content = {"time": {}, **(metrics or {})}
            content["cost"] = COST | content.get("cost", {"criterion": "nll"})
            (folder / "metrics.json").write_text(json.dumps(content))
        return folder

    def reported(*folders):
        registry = builtin_registry()
        runs = tmp_path / "runs"
        return command.write_all([*folders] or [runs], runs, registry)

    run.folder, run.report = tmp_path / "runs", reported
    return run

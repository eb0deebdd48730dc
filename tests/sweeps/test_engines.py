"""Sweeps on each engine: a worker is killed, its job goes on, and the results are those of a serial sweep."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from helpers.sweeps import states

pytestmark = pytest.mark.engines

WORDS = [
    *(
        "-m",
        "model=ae",
        "dataset.limit=100",
        "network=mlp",
        "hidden=[8]",
        "latent_dim=2",
        "epochs=12",
    ),
    *("lr=.01,.003", "seed=0,1,2,3", "evaluation=none", "draw_every=1000000", "device=cpu"),
    "together=false",
]
NEEDS = {"joblib": "joblib", "submitit_local": "submitit", "ray": "ray"}  # packages


def start(folder, *words):
    command = [sys.executable, "-m", "genbench", *WORDS, f"hydra.sweep.dir={folder}", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder.parent, env=environment, **pipes)


def kill_in_training(folder, process):
    """Kill the worker of a job that has trained for some epochs; returns the job's folder."""
    while process.poll() is None:
        for file in folder.glob("*/metrics.jsonl"):
            lines = file.read_bytes().count(b"\n")
            if 2 < lines < 9 and '"running"' in (file.parent / "status.json").read_text():
                os.kill(int((file.parent / ".lock").read_text().split()[0]), signal.SIGKILL)
                return file.parent
        time.sleep(0.005)
    raise AssertionError(process.communicate())


def results(folder):
    """What each run has computed, without times: weights, optimizers, terms, numbers, pictures."""
    found = {}
    for run in sorted(folder.glob("ae*")):
        newest = max(run.glob("checkpoint-*.pt"), key=lambda path: path.name)
        content = torch.load(newest, weights_only=True)
        metrics = json.loads((run / "metrics.json").read_text())
        points = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        found[run.name] = (
            {name: value.numpy().tobytes() for name, value in content["model"].items()},
            repr(content["progress"]),
            {name: metrics[name] for name in metrics.keys() - {"time", "machine"}},
            [{name: point[name] for name in point.keys() - {"time"}} for point in points],
            {picture.name: picture.read_bytes() for picture in run.glob("*.png")},
        )
    return found


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """The results of a sweep whose jobs run one after another in one process."""
    folder = tmp_path_factory.mktemp("serial") / "sweep"
    with start(folder, "jobs=1") as process:
        assert process.communicate()[1] == ""
    return results(folder)


@pytest.mark.parametrize("launcher", ["genbench", *NEEDS])
def test_a_killed_worker_costs_no_other_job_anything_and_changes_no_result(
    launcher, serial, tmp_path
):
    pytest.importorskip(NEEDS.get(launcher, "joblib"))
    sweep, words = tmp_path / "sweep", [f"hydra/launcher={launcher}", "jobs=2"]
    with start(sweep, *words) as process:
        killed = kill_in_training(sweep, process)
        said, errors = process.communicate()
    assert process.returncode == 0 and errors == "", (said, errors)
    assert states(sweep) == ["done"] * 8 and "8 of 8 jobs done" in said
    assert said.count(" restarted ") == 1 and (sweep / "report.html").exists()
    for run in sweep.glob("ae*"):
        log = (run / "run.log").read_text()
        assert log.count("resuming after") == (run == killed), "no other job is interrupted"
        assert log.count("measured: ") == 1
    assert results(sweep) == serial

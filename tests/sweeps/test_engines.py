"""Sweeps on each engine: a worker is killed, its job goes on, and the results are those of a serial sweep."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from helpers.slurm import install_slurm
from helpers.sweeps import states

pytestmark = pytest.mark.engines

WORDS = [
    *("-m", "model=ae", "dataset.limit=100", "network=mlp", "hidden=[8]", "latent_dim=2"),
    *("evaluation=none", "draw_every=1000000", "device=cpu", "together=false"),
]
EIGHT = ["lr=.01,.003", "seed=0,1,2,3", "epochs=12"]
NEEDS = {"joblib": "joblib", "submitit_local": "submitit", "ray": "ray"}  # packages


def slow(*launchers):
    """Launchers that CI leaves out of a test, as they share most of the code of another."""
    return [pytest.param(name, marks=pytest.mark.slow) for name in launchers]


def start(folder, *words):
    command = [sys.executable, "-m", "genbench", *WORDS, f"hydra.sweep.dir={folder}", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder.parent, env=environment, **pipes)


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
    with start(folder, *EIGHT, "jobs=1") as process:
        assert process.communicate()[1] == ""
    return results(folder)


@pytest.mark.parametrize("launcher", ["genbench", "ray", *slow("joblib", "submitit_local")])
def test_a_killed_worker_costs_no_other_job_anything_and_changes_no_result(
    launcher, serial, tmp_path
):
    pytest.importorskip(NEEDS.get(launcher, "joblib"))
    sweep, words = tmp_path / "sweep", [*EIGHT, f"hydra/launcher={launcher}", "jobs=2"]
    with start(sweep, *words) as process:
        killed = signalled(sweep, signal.SIGKILL, before=9)
        said, errors = process.communicate()
    assert process.returncode == 0 and errors == "", (said, errors)
    assert states(sweep) == ["done"] * 8 and "8 of 8 jobs done" in said
    assert said.count(" restarted ") == 1 and (sweep / "report.html").exists()
    for run in sweep.glob("ae*"):
        log = (run / "run.log").read_text()
        assert log.count("resuming after") == (run == killed), "no other job is interrupted"
        assert log.count("measured: ") == 1
    assert results(sweep) == serial


@pytest.mark.parametrize("launcher", ["genbench", *slow(*NEEDS)])
def test_a_job_that_was_killed_twice_is_given_up_and_the_same_command_goes_on_with_it(
    launcher, tmp_path
):
    pytest.importorskip(NEEDS.get(launcher, "joblib"))
    sweep, words = tmp_path / "sweep", ["seed=0,1", "epochs=300", f"hydra/launcher={launcher}"]
    with start(sweep, *words, "jobs=2") as process:
        killed = signalled(sweep, signal.SIGKILL, before=290)
        first = (killed / ".lock").read_text()
        signalled(killed.parent, signal.SIGKILL, before=290, only=killed, other_than=first)
        said, _ = process.communicate()
    assert process.returncode == 1 and sorted(states(sweep)) == ["done", "failed"], said
    said = ran(sweep, *words, "jobs=2")
    assert states(sweep) == ["done"] * 2 and "1 done already" in said
    for run in sweep.glob("ae*"):
        log = (run / "run.log").read_text()
        assert log.count("measured: ") == 1
        assert run == killed or "resuming after" not in log, "no other job is interrupted"


@pytest.mark.parametrize("launcher", ["submitit_slurm", *slow("submitit_local")])
def test_jobs_that_are_not_waited_for_are_submitted_once_put_back_and_collected(
    launcher, tmp_path, monkeypatch
):
    """Slurm is played by stand-ins for its commands."""
    pytest.importorskip("submitit")
    for name, value in install_slurm(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    sweep = tmp_path / "sweep"
    words = ["seed=0,1", "epochs=60", "jobs=2", f"hydra/launcher={launcher}"]
    said = ran(sweep, *words, "wait=false")
    assert "2 jobs submitted, 0 queued or running from before" in said
    assert "genbench status" in said and not (sweep / "report.html").exists()
    put_back = signalled(sweep, signal.SIGUSR2)
    assert "0 jobs submitted, 2 queued or running from before" in ran(sweep, *words, "wait=false")
    shown = subprocess.run(
        [sys.executable, "-m", "genbench", "status", str(sweep)], capture_output=True, text=True
    )
    assert "2 jobs: " in shown.stdout and "seed=1" in shown.stdout and shown.stderr == ""
    said = ran(sweep, *words)
    assert "2 of 2 jobs done" in said and " restarted " not in said
    assert states(sweep) == ["done"] * 2 and (sweep / "report.html").exists()
    assert len((sweep / ".submitit" / "submissions.jsonl").read_text().splitlines()) == 2
    log = (put_back / "run.log").read_text()
    assert log.count("interrupted after") == log.count("resuming after") == 1
    assert "report: " not in ran(sweep, *words), "it is collected already"


def ran(folder, *words):
    """What a sweep prints that ends well."""
    with start(folder, *words) as process:
        said, errors = process.communicate()
    assert process.returncode == 0 and errors == "", (said, errors)
    return said


def signalled(folder, signum, before=30, only=None, other_than=""):
    """Send a signal to the process of a job that is training, `only` of one or of any, and not to a
    process that its lock named before; returns the job's folder.
    """
    ends = time.monotonic() + 180
    while time.monotonic() < ends:
        for file in folder.glob("*/metrics.jsonl") if only is None else [only / "metrics.jsonl"]:
            lines = file.read_bytes().count(b"\n")
            lock = (file.parent / ".lock").read_text() if 2 < lines < before else other_than
            is_running = '"running"' in (file.parent / "status.json").read_text()
            if lock and lock != other_than and is_running:
                os.kill(int(lock.split()[0]), signum)
                return file.parent
        time.sleep(0.01)
    raise AssertionError([path.read_text() for path in folder.glob(".submitit/*.err")])

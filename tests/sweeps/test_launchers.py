"""Launchers and sweepers other than the default: the same promises hold."""

import json
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.sweeps import PCA, TINY, files, states, summary

from genbench.cli import main as cli
from genbench.sweeps.job import JobTask
from genbench.utils import signals


def test_the_sweep_is_ours_where_the_launcher_is_named(genbench, undrawn):
    done = genbench(*PCA, "latent_dim=2,100,3", "hydra/launcher=basic")
    assert (
        done.returncode == 1 and done.stderr.count("\n") == 1 and "2 of 3 jobs done" in done.stdout
    )
    assert states() == ["done", "failed", "done"] and "latent_dim" in summary()[1]["reason"]
    assert "curve: sweep/squared_error_against_latent_dim_pca_on_digits.png" in done.stdout
    untouched = files(next(Path("sweep").glob("*dim-3")))
    assert "3 of 3 jobs done (2 already)" in genbench(*PCA, "latent_dim=2,4,3").stdout
    assert files(next(Path("sweep").glob("*dim-3"))) == untouched


def test_another_sweeper_leaves_a_summary_too(genbench, uncurved):
    """Its jobs are not known beforehand."""
    done = genbench(*PCA, "latent_dim=2,100", "hydra/sweeper=basic")
    assert done.returncode == 1 and sorted(states()) == ["done", "failed"]
    assert "latent_dim" in next(job["reason"] for job in summary() if job["state"] == "failed")


@pytest.mark.parametrize("name", [None, "test.nll", "nonsense"])
def test_a_job_returns_its_objective(name, genbench, uncurved, monkeypatch, capsys):
    returned = []
    monkeypatch.setattr(JobTask, "__call__", recorded(JobTask.__call__, returned))
    words = [f"optimize={name}"] if name else []
    with pytest.raises(SystemExit):
        cli.main([*PCA, "latent_dim=2,100", *words])
    found = json.loads(next(Path("sweep").glob("*dim-2/metrics.json")).read_text())
    part, _, term = (name or "validation.squared_error").partition(".")
    expected = found.get(part, {}).get(term, math.nan)
    assert returned == [pytest.approx(expected, nan_ok=True), pytest.approx(math.nan, nan_ok=True)]
    assert ("optimize: the run has no such number (got nonsense)" in capsys.readouterr().err) == (
        name == "nonsense"
    )


def recorded(function, results):
    """The function, which puts what it returns into a list, too."""

    def call(*args):
        results.append(function(*args))
        return results[-1]

    return call


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_that_was_killed_goes_on_where_it_was_under_any_launcher(launcher, tmp_path):
    def start(folder):
        words = ["-m", "model=ae", "network=mlp", "hidden=[8]", "schedule=constant", *TINY[1:]]
        words += ["evaluation=none", "draw_every=1000000", "epochs=1,2,100000"]
        words += [f"hydra/launcher={launcher}", f"hydra.sweep.dir={folder}"]
        words += ["hydra.launcher.n_jobs=2"] * (launcher == "joblib")
        command = [sys.executable, "-m", "genbench", *words]
        text = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, start_new_session=True, cwd=tmp_path, **text)

    def read(file):
        return file.read_text() if file.exists() else ""

    def wait(process, until):
        for _ in range(1200):
            if until():
                return
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(process.communicate())

    shorts = [f"network-mlp_hidden-8_schedule-constant_dataset.limit-60_epochs-{n}" for n in (1, 2)]
    sweep = tmp_path / "sweep"
    done = [sweep / f"ae_{name}" for name in shorts]
    with start("sweep") as process:  # until the last job, which is endless, can be gone on with
        wait(
            process,
            lambda: (
                [*sweep.glob("*100000/checkpoint*")]
                and all('"done"' in read(folder / "status.json") for folder in done)
            ),
        )
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    before = [*map(files, done)]
    with start("sweep") as process:
        (log,) = sweep.glob("*100000/run.log")
        wait(process, lambda: b"resuming after" in log.read_bytes())
        process.terminate()
        said = process.communicate(timeout=60)
    assert process.returncode == 143 and said[1] == "", said
    assert "2 done already" in said[0] and "go on with: genbench resume sweep" in said[0]
    assert states(sweep) == ["done", "done", "interrupted"]
    assert [*map(files, done)] == before
    assert "1/3" not in said[0] and "2/3" not in said[0], "only the unfinished job is started"


def test_launchers_leave_the_same_summary_and_report(genbench, undrawn):
    for launcher in ("basic", "joblib"):
        words = ["latent_dim=2,2,100", "evaluation=none", f"hydra/launcher={launcher}"]
        assert genbench(*PCA[:-1], *words, f"hydra.sweep.dir={launcher}").returncode == 1
    basic, joblib = (
        [{**row, "command": "", "reason": row["reason"].partition(";")[0]} for row in summary(name)]
        for name in ("basic", "joblib")
    )
    assert basic == joblib
    tables = [
        {tuple(row.split(",")[:4]) for row in Path(name, "report.csv").read_text().splitlines()}
        for name in ("basic", "joblib")
    ]
    assert tables[0] == tables[1]


def test_a_task_and_being_stopped_survive_the_way_to_a_worker_and_back():
    task = pickle.loads(pickle.dumps(JobTask(words=("a=1",), labels=("a",), watcher=object())))
    assert task == JobTask(words=("a=1",), labels=("a",))
    assert pickle.loads(pickle.dumps(signals.Interrupted(signal.SIGTERM))).signum == signal.SIGTERM

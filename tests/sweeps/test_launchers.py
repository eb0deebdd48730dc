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
import torch
from helpers.sweeps import PCA, TINY, files, states, summary

from genbench.cli import main as cli
from genbench.sweeps import launchers
from genbench.sweeps.job import JobTask
from genbench.sweeps.launcher import Launch
from genbench.utils import signals

pytestmark = pytest.mark.engines


def test_the_sweep_is_ours_where_the_launcher_is_named(genbench):
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


SLOW_JOBLIB = pytest.param("joblib", marks=pytest.mark.slow)
TWO = {"genbench": ["jobs=2"], "joblib": ["hydra.launcher.n_jobs=2"]}  # jobs at once


@pytest.mark.parametrize("launcher", ["genbench", SLOW_JOBLIB])
def test_a_sweep_that_was_killed_goes_on_where_it_was_under_any_launcher(launcher, tmp_path):
    def start(folder):
        words = ["-m", "model=ae", "network=mlp", "hidden=[8]", "schedule=constant", *TINY[1:]]
        words += ["evaluation=none", "draw_every=1000000", "epochs=1,2,100000"]
        words += [f"hydra/launcher={launcher}", f"hydra.sweep.dir={folder}"]
        words += TWO[launcher]
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


@pytest.mark.parametrize("launcher", ["genbench", SLOW_JOBLIB])
def test_launchers_leave_the_same_runs_summary_and_report(launcher, genbench, monkeypatch):
    """Also when jobs run at the same time, as each uses as many threads as it would alone."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # for joblib
    for folder, chosen in (("alone", ["jobs=1"]), ("at_once", TWO[launcher])):
        words = ["latent_dim=2,2,100,3", "evaluation=none", f"hydra.sweep.dir={folder}", *chosen]
        words += ["hydra/launcher=joblib"] * (chosen == TWO["joblib"])
        assert genbench(*PCA[:-1], *words).returncode == 1
    alone, at_once = (
        [{**row, "command": "", "reason": row["reason"].partition(";")[0]} for row in summary(name)]
        for name in ("alone", "at_once")
    )
    assert alone == at_once and states("alone") == ["done", "done", "failed", "done"]
    tables = [
        {tuple(row.split(",")[:4]) for row in Path(name, "report.csv").read_text().splitlines()}
        for name in ("alone", "at_once")
    ]
    assert tables[0] == tables[1]
    for job in alone:
        one, other = (newest(Path(name, job["directory"])) for name in ("alone", "at_once"))
        assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def newest(folder):
    """The weights in the newest checkpoint of a run; none if it has failed."""
    found = sorted(folder.glob("checkpoint-*.pt"))
    return torch.load(found[-1], weights_only=True)["model"] if found else {}


def test_resume_runs_as_many_jobs_at_once_as_the_sweep_did(genbench, uncurved, monkeypatch):
    started = []

    def run(self, overrides, first):
        started.append((self.options["jobs"], self.options["threads"], len(overrides)))
        return []

    monkeypatch.setattr(Launch, "run", run)
    genbench(*PCA, "latent_dim=2,3", "+jobs=2", "threads=3")
    genbench("resume", "sweep")
    genbench("resume", "sweep", "++jobs=1")
    genbench("resume", "sweep")
    assert started == [(2, 3, 2), (2, 3, 2), (1, 3, 2), (1, 3, 2)]


def test_a_launcher_that_cannot_work_is_refused_with_the_setting(genbench, tmp_path):
    for words, says in (
        (
            ["hydra/launcher=joblib", "hydra.launcher.n_jobs=0"],
            "jobs: must be int in [1, 1000] | auto",
        ),
        (["hydra/launcher=basic", "jobs=2"], "jobs: is an option of hydra/launcher=genbench"),
        (["hydra/launcher=ray", "wait=false"], "wait: must be true with hydra/launcher=ray"),
        (["wait=false"], "wait: must be true with hydra/launcher=genbench"),
        (["jobs=0"], "jobs: must be int in [1, 1000] | auto"),
        (["jobs=1,2"], "jobs: holds for all jobs of a sweep (got 1,2); fix: give one value"),
        (["jobs=2", "+jobs=1"], "jobs: is given twice, as jobs=2 and as +jobs=1"),
        (["hydra.launcher.threads=many"], "threads: must be int in [1, 1000] | auto"),
    ):
        done = genbench(*PCA, "latent_dim=2,3", *words)
        assert done.returncode == 2 and says in done.stderr and not [*tmp_path.iterdir()]


def test_an_engine_that_is_not_here_is_refused_before_anything_is_written(
    genbench, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    for is_installed, name, says in (
        (False, "ray", "needs the package ray; fix: pip install 'genbench[ray]'"),
        (False, "submitit_local", "pip install 'genbench[slurm]'"),
        (True, "submitit_slurm", "finds no srun, which comes with Slurm"),
    ):
        monkeypatch.setattr(
            launchers, "find_spec", lambda package, found=is_installed: found or None
        )
        done = genbench(*PCA, "latent_dim=2,3", f"hydra/launcher={name}")
        assert done.returncode == 2 and says in done.stderr and not [*tmp_path.iterdir()]


def test_a_task_and_being_stopped_survive_the_way_to_a_worker_and_back():
    task = pickle.loads(pickle.dumps(JobTask(words=("a=1",), labels=("a",), watcher=object())))
    assert task == JobTask(words=("a=1",), labels=("a",))
    assert pickle.loads(pickle.dumps(signals.Interrupted(signal.SIGTERM))).signum == signal.SIGTERM

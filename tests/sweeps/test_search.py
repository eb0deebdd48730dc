"""Searches by Optuna: trials that are killed, repeated, pruned or run at once, and what is left."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from helpers.sweeps import states

from genbench.sweeps.goals import Goal
from genbench.sweeps.study import Study
from genbench.utils import signals
from genbench.utils.errors import UserError

pytest.importorskip("optuna", "5", reason="needs genbench[optuna]")
pytestmark = pytest.mark.engines

TINY = [
    *("model=beta-vae", "dataset=moons", "dataset.limit=200", "hidden=[8]", "device=cpu"),
    *("evaluation=none", "draw_every=1000000", "save_every=1", "batch_size=50"),
]
SEARCH = ["-m", "hydra/sweeper=optuna", *TINY, "beta=interval(0.1,10)", "lr=log(1e-4,1e-1)"]
NLL = ["objective=validation.nll", "direction=minimize"]


def tried(folder="sweep"):
    """The trials of a search as its search.json has them."""
    return json.loads((Path(folder) / "search.json").read_text())["trials"]


def outcomes(folder="sweep"):
    return [(one["settings"], one["state"], one["values"], one["epochs"]) for one in tried(folder)]


def study(folder):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(Path(folder) / "study.journal")))
    return optuna.load_study(study_name="genbench", storage=storage)


def test_a_search_that_was_killed_at_its_seventh_trial_ends_as_if_it_had_not_been(
    genbench, uncurved, tmp_path
):
    words = [*SEARCH, *NLL, "epochs=4", "jobs=1"]
    command = [sys.executable, "-m", "genbench", *words, "trials=20", "hydra.sweep.dir=killed"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        while not [*tmp_path.glob("killed/007_*/checkpoint-*")]:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert len(study("killed").trials) == 7
    damaged = Path("killed/study.journal")
    damaged.write_bytes(damaged.read_bytes() + b'{"op_code": 4, "wor')  # as by a full disk
    done = genbench("resume", "killed")
    assert done.returncode == 0 and "6 done already" in done.stdout, done
    assert "resuming after" in next(Path("killed").glob("007_*/run.log")).read_text()
    assert len(study("killed").trials) == len(tried("killed")) == 20
    assert not any("001_" in line and "started" in line for line in done.stdout.splitlines())
    genbench(*words, "trials=12", "hydra.sweep.dir=whole")
    assert outcomes("killed")[:12] == outcomes("whole")
    counts = Counter(states("killed"))
    assert counts["pruned"] > 3 and counts["done"] + counts["pruned"] == 20
    more = genbench("resume", "whole", "trials=13")
    assert more.returncode == 0 and "12 done already" in more.stdout
    assert outcomes("whole") == outcomes("killed")[:13]


def test_a_trial_that_has_ended_is_not_run_again_if_the_search_was_killed_before_it_took_note(
    genbench, uncurved, monkeypatch
):
    words = [*SEARCH, *NLL, "epochs=3", "trials=6", "jobs=1", "hydra.sweep.dir=sweep"]
    for state in ("done", "pruned"):
        with monkeypatch.context() as patch:
            patch.setattr(Study, "tell", killed_at(state, Study.tell))
            assert genbench(*words).returncode == 143
        (ended,) = [trial for trial in study("sweep").trials if trial.state.name == "RUNNING"]
        (folder,) = Path("sweep").glob(f"{ended.number + 1:03d}_*")
        before = (folder / "run.log").read_text()
    assert genbench(*words).returncode == 0 and len(tried()) == 6
    assert (folder / "run.log").read_text() == before
    assert tried()[ended.number]["state"] == "pruned" and tried()[ended.number]["values"]


def killed_at(state, tell):
    """`Study.tell`, before which a signal comes when a trial has ended in this state."""

    def call(self, number, how, values=()):
        if how == state:
            raise signals.Interrupted(signal.SIGTERM)
        return tell(self, number, how, values)

    return call


@pytest.mark.parametrize(
    "launcher", [["jobs=2"], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]]
)
def test_trials_run_at_once_under_any_launcher_and_are_pruned_there(
    launcher, genbench, uncurved, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # for joblib
    words = [*SEARCH, *NLL, "epochs=4", "trials=6", "pruner=median", "hydra.sweep.dir=sweep"]
    done = genbench(*words, *launcher)
    assert done.returncode == 0 and len(tried()) == 6
    pruned = [one for one in tried() if one["state"] == "pruned"]
    assert pruned and all(one["epochs"] < 4 for one in pruned)
    for one in tried():
        status = json.loads(Path("sweep", one["directory"], "status.json").read_text())
        assert status["state"] == one["state"]
        if one["state"] == "done":
            metrics = json.loads(Path("sweep", one["directory"], "metrics.json").read_text())
            assert one["values"] == [metrics["validation"]["nll"]]
    assert [trial.state.name for trial in study("sweep").trials].count("PRUNED") == len(pruned)


def test_two_objectives_leave_a_front_that_no_trial_beats(genbench, uncurved):
    goals = ["objective=[rate,distortion]", "direction=[minimize,minimize]"]
    genbench(*SEARCH, *goals, "epochs=3", "trials=6", "jobs=1", "hydra.sweep.dir=sweep")
    front = [one["values"] for one in tried() if one["is_best"]]
    assert front and all(one["state"] == "done" for one in tried())
    for a in (one["values"] for one in tried()):
        assert not any(a[0] < b[0] and a[1] < b[1] for b in front)
    importances = json.loads(Path("sweep/search.json").read_text())["importances"]
    assert [{*one} for one in importances] == [{"beta", "lr"}] * 2


def test_a_failed_trial_is_repeated_by_the_next_command_and_counts_once(
    genbench, uncurved, tmp_path
):
    words = [*SEARCH[:2], "model=pca", "dataset.limit=60", "latent_dim=interval(2,90)", *NLL[:0]]
    words += ["objective=validation.squared_error", "evaluation=none", "jobs=1", "trials=6"]
    done = genbench(*words, "hydra.sweep.dir=sweep")
    failed = [one["number"] for one in tried() if one["state"] == "failed"]
    assert done.returncode == 1 and failed and "latent_dim" in done.stderr
    before = tried()
    assert genbench("resume", "sweep").returncode == 1
    assert tried() == before and len(study("sweep").trials) == 6 + len(failed)
    duplicates = genbench(*words[:-1], "trials=1", "latent_dim=2,3", "hydra.sweep.dir=other")
    assert duplicates.returncode == 2 and "latent_dim: is given twice" in duplicates.stderr


def test_trials_with_the_same_settings_share_a_run(genbench, uncurved):
    words = [*SEARCH[:2], "model=pca", "dataset.limit=60", "latent_dim=2,3", "evaluation=none"]
    words += ["objective=validation.squared_error", "trials=8", "jobs=1", "hydra.sweep.dir=sweep"]
    assert genbench(*words).returncode == 0
    assert len(tried()) == 8 and len({one["directory"] for one in tried()}) == 2
    assert len([*Path("sweep").glob("*/status.json")]) == 2
    other = genbench(*words[:-4], "objective=validation.squared_error", "seed=1", *words[-3:])
    assert other.returncode == 2 and "seed: the search in" in other.stderr


def test_a_search_for_a_number_that_runs_do_not_have_stops(genbench, uncurved):
    words = [*SEARCH, "objective=validation.bits", "epochs=2", "trials=9", "jobs=1"]
    done = genbench(*words, "hydra.sweep.dir=sweep")
    assert done.returncode == 1 and len(tried()) == 3
    assert "optimize: the run has no such number (got validation.bits)" in done.stderr
    assert "validation.nll" in done.stderr and "all of the first 3 trials failed" in done.stderr


def test_a_trial_without_the_number_fails_and_the_others_go_on(genbench, uncurved, monkeypatch):
    number_of = Goal.of_run
    without = iter([True])

    def lacking(goal, folder):
        if next(without, False):
            raise UserError("optimize", "the run has no such number", goal.name, "choose another")
        return number_of(goal, folder)

    monkeypatch.setattr(Goal, "of_run", lacking)
    done = genbench(*SEARCH, *NLL, "epochs=1", "jobs=1", "trials=3", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    assert sorted(one["state"] for one in tried()) == ["done", "done", "failed"]


def test_a_search_waits_for_its_runs(genbench):
    pytest.importorskip("submitit")
    words = ["hydra/launcher=submitit_local", "hydra.launcher.wait=false", "trials=2"]
    done = genbench(*SEARCH, *NLL, *words, "hydra.sweep.dir=sweep")
    assert done.returncode == 2 and "wait: must be true in a search" in done.stderr
    assert not Path("sweep").exists()

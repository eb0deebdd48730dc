"""Sweeps: what tells jobs apart, and how a sweep goes on."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.sweeps import PCA, TINY, files, states, summary
from PIL import Image

from genbench.config.compose import composed, resolved
from genbench.config.registry import builtin_registry
from genbench.config.validation import check_config
from genbench.runs.recorder import Run
from genbench.sweeps import sweep
from genbench.utils import signals
from genbench.utils.files import CannotWrite


def stopped_at(monkeypatch, job, epoch, signum=signal.SIGTERM):
    """A signal is noticed in the job that has this in its folder's name, after this epoch's points were logged."""
    log = Run.log

    def and_stop(self, at, *args, **named):
        log(self, at, *args, **named)
        if job in self.folder.name and at == epoch:
            raise signals.Interrupted(signum)

    monkeypatch.setattr(Run, "log", and_stop)


def refuse(folder, *content):
    """Write no summary, as on a file system that is read-only."""
    raise CannotWrite(str(folder), "cannot be written")


def test_all_jobs_are_checked_before_any_starts(genbench, tmp_path):
    for wrong in (
        ["latent_dim=2,-1"],
        ["latent_dim=2,3", "hydra.sweep.subdir=x"],
        ["latent_dim=2,3", "hydra/launcher=nowhere"],
    ):
        done = genbench(*PCA, *wrong)
        assert (
            done.returncode == 2
            and len(done.stderr.splitlines()) == 1
            and not list(tmp_path.iterdir())
        ), wrong


@pytest.mark.engines
def test_a_sweep_that_was_stopped_goes_on_where_it_was_and_a_finished_one_is_left_alone(
    genbench, uncurved, monkeypatch
):
    command = [
        "-m",
        "model=vae",
        "beta=1,2,3,4",
        "network=mlp",
        "hidden=[8]",
        "epochs=3",
        *TINY[1:],
        "hydra.sweep.dir=a sweep",
    ]
    with monkeypatch.context() as patch:
        stopped_at(patch, "beta-2", 2)
        done = genbench(*command)
    assert (
        done.returncode == 143
        and done.stderr == ""
        and done.stdout.count("go on with: genbench resume 'a sweep'") >= 2
    )
    assert states("a sweep") == ["done", "interrupted", "pending", "pending"]
    assert re.search(r"^2/4 interrupted beta=2 +[\d.]+ s", done.stdout, re.M)
    first, second = (next(Path("a sweep").glob(f"*beta-{beta}*")) for beta in (1, 2))
    status = json.loads((second / "status.json").read_text())
    (second / "status.json").write_text(
        json.dumps(status | {"state": "running"})
    )  # as after kill -9
    (second.parent / ".sweep_summary.json.genbench-1.tmp").write_text("cut sh")
    untouched = files(first)
    done = genbench(*command)
    assert done.returncode == 0 and "4 of 4 jobs done (1 already)" in done.stdout, done.stderr
    assert (second / "run.log").read_text().count("resuming after epoch 1") == 1 and files(
        first
    ) == untouched
    assert states("a sweep") == ["done"] * 4 and not list(Path("a sweep").glob(".*.tmp"))
    everything = files("a sweep")
    for again in (command, ["resume", "a sweep"]):
        with monkeypatch.context() as patch:
            patch.setattr(sweep, "write_summary", refuse)
            done = genbench(*again)
        assert (
            done.returncode == 0
            and not done.stderr
            and done.stdout == "4 of 4 jobs done (4 already): 'a sweep/sweep_summary.json'\n"
        )
    assert files("a sweep") == everything
    code = f"import sys; from genbench.cli.main import main\ntry: main({command})\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("\nFalse\n"), (
        "what is done is told without torch"
    )


def test_resume_repeats_the_command_and_reruns_what_failed(genbench, uncurved, monkeypatch):
    finish = Run.finish

    def fail(self, found):
        if "latent_dim-2" in self.folder.name:
            raise OSError("the disk is full")
        finish(self, found)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish", fail)
        assert genbench(*PCA, "latent_dim=2,3").returncode == 1
    assert states() == ["failed", "done"] and "the disk is full" in summary()[0]["reason"]
    done = genbench("resume", "sweep")
    assert (
        done.returncode == 0
        and "2 of 2 jobs done (1 already)" in done.stdout
        and states() == ["done", "done"]
    )
    refused = genbench("resume", "sweep", "epochs=3")
    assert refused.returncode == 2 and "a sweep is resumed as it is" in refused.stderr


def test_jobs_are_known_by_their_settings_whatever_their_number_order_or_name(genbench, uncurved):
    assert genbench(*PCA, "latent_dim=2,3").returncode == 0
    two, three = (next(Path("sweep").glob(f"*latent_dim-{k}")) for k in (2, 3))
    kept = files(two), files(three)
    done = genbench(
        "-m", "latent_dim=4,3,2", "seed=0", "model=pca", *TINY[::-1], "hydra.sweep.dir=sweep"
    )
    assert (
        done.returncode == 0
        and "3 of 3 jobs done (2 already)" in done.stdout
        and (files(two), files(three)) == kept
    )
    assert [job["directory"] for job in summary()][1:] == [three.name, two.name] and len(
        list(Path("sweep").glob("pca*"))
    ) == 3
    two.rename(two.with_name(two.name.replace("dim-2", "dim-5")))
    done = genbench(*PCA, "latent_dim=2,5")
    assert done.returncode == 0 and "(1 already)" in done.stdout
    assert (
        summary()[0]["directory"].endswith("dim-5")
        and len(summary()[1]["directory"]) == len(two.name) + 9
    )
    assert genbench(*PCA[:2], "epochs=3", *PCA[3:], "latent_dim=2").returncode == 0
    assert summary()[0]["directory"] == two.name.replace("epochs-2", "epochs-3"), (
        "other epochs are another job"
    )


def test_a_job_that_is_asked_for_twice_runs_once(genbench, uncurved):
    done = genbench(
        "-m",
        "model=kmeans",
        "n_init=1",
        "tol=1,1.0",
        *TINY,
        'hydra.sweep.dir="${model.name}/${now:%Y}"',
    )
    assert done.returncode == 0 and done.stdout.count("/2 done ") == 1
    assert "job 2 has the same settings as job 1 and runs once with it" in done.stdout
    (folder,) = Path("kmeans").iterdir()
    first, second = summary(folder)
    assert (
        first["directory"] == second["directory"]
        and second["state"] == "done"
        and folder.name.isdecimal()
    )


@pytest.mark.parametrize(
    "job",
    [
        ["model=vae", "beta=4"],
        ["beta=${lr}", "lr=1"],
        ["model=ae", "hidden=[8,8]", "++lr=0.5", "dataset=ring"],
        ["model=dae", "corruption=masking", "dataset.classes=[1,2]"],
        ["model=wgan", "network=conv"],
        ["dataset=image-folder", "dataset.root='a \\'b, c'"],
    ],
)
def test_a_job_has_the_settings_that_hydra_composes(job):
    registry = builtin_registry()
    assert resolved(job, registry) == check_config(composed(job, registry), registry)


def test_a_sweep_over_folders_goes_on_from_anywhere(genbench, uncurved, tmp_path, monkeypatch):
    for folder in ("some pictures", "others"):
        Path(folder).mkdir()
        for i in range(12):
            Image.fromarray(np.full((8, 8), 20 * i, np.uint8)).save(f"{folder}/{i}.png")
    roots = "dataset.root='some pictures',others"
    assert (
        genbench(
            "-m",
            "model=kmeans",
            "n_components=2",
            "dataset=image-folder",
            roots,
            "device=cpu",
            "hydra.sweep.dir=s",
        ).returncode
        == 0
    )
    monkeypatch.chdir("/")
    done = genbench("resume", str(tmp_path / "s"))
    assert done.returncode == 0 and "2 of 2 jobs done (2 already)" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["model=pca", "hydra/launcher=basic"],
        ["model=pca", "+hydra.callbacks.own._target_=os.mkdir"],
        ["model=pca", " ++hydra.sweeper._target_=os.mkdir"],
        ["model=pca", "~hydra.sweeper"],
        ["model=pca", "++hydra.callbacks.own._target_=os.mkdir"],
        ["model=pca", "hydra.sweep.dir=elsewhere"],
        ["model=pca", "latent_dim=${oc.env:NUMBER}"],
        ["model=pca", "latent_dim=${${sampler}:NUMBER}"],
        ["model=pca", "--config-dir=/tmp"],
        ["model=pca", "model.class=os.mkdir"],
        ["model=pca", 3],
        "model=pca",
    ],
)
def test_a_summary_of_somebody_else_names_settings_and_no_code(command, genbench, monkeypatch):
    monkeypatch.setenv("NUMBER", "2")
    Path("sweep").mkdir()
    Path("sweep", "sweep_summary.json").write_text(json.dumps({"command": command}))
    done = genbench("resume", "sweep")
    assert (
        done.returncode == 2
        and len(done.stderr.splitlines()) == 1
        and list(files()) == [Path("sweep/sweep_summary.json")]
    )
    assert any(
        why in done.stderr for why in ("is damaged", "more than plain settings", "class is fixed")
    ), done.stderr


def test_settings_that_not_all_models_have_can_be_swept_over_those_that_do(genbench, uncurved):
    words = ["model=kmeans,gmm", "n_components=2", "device=cpu", "epochs=1", "dataset.limit=60"]
    assert genbench("-m", *words, "hydra.sweep.dir=sweep").returncode == 0
    assert states() == ["done", "done"]


def test_settings_of_the_sweeper_are_swept_unless_the_command_says_otherwise(genbench, uncurved):
    params = [f"+hydra.sweeper.params.{text}" for text in ("latent_dim='2,3'", "seed='0,1'")]
    assert genbench(*PCA, "seed=5", *params).returncode == 0
    jobs = {tuple(job["overrides"][:1] + job["overrides"][1:2]) for job in summary()}
    assert jobs == {("latent_dim=2", "seed=5"), ("latent_dim=3", "seed=5")}

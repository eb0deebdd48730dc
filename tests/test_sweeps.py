"""Sweeps: jobs that fail, stop and go on, what tells them apart, and what becomes of their summary."""

import json
import math
import os
import pickle
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image
from runs import put

from genbench.cli import main as cli
from genbench.config import overrides
from genbench.config.compose import composed, resolved
from genbench.config.registry import builtin_registry
from genbench.config.validation import check
from genbench.report import command, sweep_curves
from genbench.runs.recorder import Run
from genbench.sweeps.job import JobTask
from genbench.sweeps.launch import attempt
from genbench.utils import signals
from genbench.utils.errors import UserError

TINY = ["epochs=2", "dataset.limit=60", "device=cpu"]
PCA = ["-m", "model=pca", *TINY, "hydra.sweep.dir=sweep"]

MOODS = """
import os, random, sys, warnings, weakref
import matplotlib, numpy, torch
from typing import Literal
from pydantic import Field
from genbench.models.kmeans import KMeans
from genbench.settings.classical import KMeansSettings

class MoodySettings(KMeansSettings):
    mood: Literal["fine", "raise", "exit", "memory", "meddle"] = Field("fine", description="a mood")
    tag: str = Field("none", description="nothing")

alive, seen = weakref.WeakSet(), []

class Moody(KMeans):
    settings: MoodySettings
    def __init__(self, space, s):
        super().__init__(space, s)
        seen.append(len(alive))
        alive.add(self)
        if s.mood == "exit":
            sys.exit(3)
        if s.mood == "memory":
            raise MemoryError("of all there is")
        if s.mood == "meddle":
            self.itself = [self]
            os.chdir("/")
            os.environ.pop("COLUMNS")
            os.environ["MEDDLED"] = "1"
            random.seed(1), numpy.random.seed(1), torch.manual_seed(1), numpy.seterr(all="raise")
            torch.set_default_dtype(torch.float64), torch.set_num_threads(3), torch.set_grad_enabled(False)
            torch.use_deterministic_algorithms(True), torch.set_float32_matmul_precision("medium")
            warnings.simplefilter("error"), matplotlib.rcParams.update({"font.size": 40})
        if s.mood in ("raise", "meddle"):
            raise RuntimeError("in no mood")
"""
MOODY = """# @package _global_
# Clusters with moods.
defaults: [kmeans, _self_]
model: {name: moody, class: moods.Moody}
n_init: 1
"""


@pytest.fixture
def moody(genbench, tmp_path, monkeypatch, uncurved):
    """A sweep over a model of one's own, by its further overrides."""
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "moody.yaml").write_text(MOODY)
    (tmp_path / "mine" / "moods.py").write_text(MOODS)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield lambda *words, folder="sweep": genbench(
        "--config-dir", "mine", "-m", "model=moody", *TINY, *words, f"hydra.sweep.dir={folder}"
    )
    sys.modules.pop("moods", None)


@pytest.fixture
def uncurved(undrawn, monkeypatch):
    """Sweeps draw no pictures at all."""
    monkeypatch.setattr(sweep_curves, "draw_curves", lambda folder, registry: None)
    monkeypatch.setattr(command, "write_report", lambda folder, registry: None)


def summary(folder="sweep"):
    """What a sweep's folder says of its jobs."""
    return json.loads((Path(folder) / "sweep_summary.json").read_text())["jobs"]


def states(folder="sweep"):
    return [job["state"] for job in summary(folder)]


def files(folder="sweep"):
    """Every file with its content and when it was written."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def stopped_at(monkeypatch, job, epoch, signum=signal.SIGTERM):
    """A signal is noticed in the job that has this in its folder's name, after this epoch's points were logged."""
    log = Run.log

    def and_stop(self, at, *args, **named):
        log(self, at, *args, **named)
        if job in self.folder.name and at == epoch:
            raise signals.Interrupted(signum)

    monkeypatch.setattr(Run, "log", and_stop)


# --- what fails -----------------------------------------------------------------------------------------------


def test_no_failure_stops_another_job_and_each_is_told_with_its_reason(moody, genbench, tmp_path):
    done = moody("mood=raise,exit,fine,memory")
    assert done.returncode == 1 and "1 of 4 jobs done: sweep/sweep_summary.json" in done.stdout
    errors = done.stderr.splitlines()
    assert len(errors) == 3, done.stderr
    assert all(
        line.startswith("genbench: error: ") and "; fix: " in line and line.endswith("run.log")
        for line in errors
    )
    assert states() == ["failed", "failed", "done", "failed"]
    ended = [
        line.split()[:3]
        for line in done.stdout.splitlines()
        if re.match(r"\d/4 (done|failed)", line)
    ]
    assert ended == [
        [f"{i}/4", job["state"], job["overrides"][-1]] for i, job in enumerate(summary(), 1)
    ]
    for job, reason in zip(
        summary(), ("RuntimeError: in no mood", "SystemExit: 3", "", "the memory does not suffice")
    ):
        assert (
            reason in job["reason"]
            and job["overrides"][1:] == [*TINY, job["overrides"][-1]]
            and reason in " ".join(errors)
        )
        assert Path("sweep", job["directory"]).is_dir()
    alone = genbench(*shlex.split(summary()[2]["command"])[1:])
    assert alone.returncode == 0 and "is done already" in alone.stdout


def test_a_job_that_fails_outside_of_its_run_is_a_failure_too_and_being_stopped_is_none():
    for wrong in (lambda: 1 / 0, lambda: sys.exit(3)):
        failure = attempt(wrong)
        assert (
            isinstance(failure, UserError) and failure.code == 1 and failure.__traceback__ is None
        )
    with pytest.raises(KeyboardInterrupt):
        attempt(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert attempt(lambda: None) is None


def test_a_job_that_cannot_begin_has_its_reason_in_the_summary(genbench, uncurved):
    Path("sweep").mkdir()
    Path("sweep", "pca_epochs-2_dataset.limit-60_latent_dim-2").write_text(
        "a file where a folder belongs"
    )
    assert genbench(*PCA, "latent_dim=2,3").returncode == 1
    assert states() == ["failed", "done"]
    assert (
        "is a file where a folder should be; fix: move it away, then repeat the command"
        in summary()[0]["reason"]
    )


def test_a_job_finds_the_process_as_the_one_before_it_did(moody, genbench, tmp_path):
    def process():
        found = {
            "cwd": os.getcwd(),
            "environment": dict(os.environ),
            "random": random.getstate(),
            "numpy": repr(np.random.get_state()),
            "numpy errors": np.geterr(),
            "torch": torch.get_rng_state().tolist(),
            "dtype": torch.get_default_dtype(),
            "threads": torch.get_num_threads(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "precision": torch.get_float32_matmul_precision(),
            "gradients": torch.is_grad_enabled(),
            "warnings": list(warnings.filters),
            "font": matplotlib.rcParams["font.size"],
        }
        return {
            name: value
            for name, value in found.items()
            if name != "environment" or value.pop("HYDRA_FULL_ERROR", True)
        }

    before = process()
    assert moody("mood=meddle,fine").returncode == 1 and states() == ["failed", "done"]
    after = process()
    assert all(before[name] == after[name] for name in before), [
        name for name in before if before[name] != after[name]
    ]
    assert sys.modules["moods"].seen == [0, 0], (
        "the failed model is still in memory when the next is made"
    )
    assert moody("mood=fine", folder="alone").returncode == 0
    second, alone = (
        max(Path(name).glob("*mood-fine*/checkpoint-*.pt")) for name in ("sweep", "alone")
    )
    second, alone = (torch.load(path, weights_only=True)["model"] for path in (second, alone))
    assert alone.keys() == second.keys() and all(
        torch.equal(second[name], alone[name]) for name in alone
    )


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


# --- what stops and goes on -----------------------------------------------------------------------------------


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
        done = genbench(*again)
        assert (
            done.returncode == 0
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


def test_a_signal_between_two_jobs_stops_the_sweep_there(genbench, uncurved, monkeypatch):
    finish = Run.finish
    monkeypatch.setattr(
        Run,
        "finish",
        lambda self, found: (finish(self, found), os.kill(os.getpid(), signal.SIGINT)),
    )
    done = genbench(*PCA, "latent_dim=2,3")
    assert (
        done.returncode == 130
        and states() == ["done", "pending"]
        and "interrupted; go on with: genbench resume sweep" in done.stdout
    )


# --- what tells jobs apart ------------------------------------------------------------------------------------


def test_a_link_in_place_of_a_jobs_folder_is_not_followed(genbench, uncurved, tmp_path):
    assert genbench(*PCA, "latent_dim=2,3").returncode == 0
    job = next(Path("sweep").glob("*latent_dim-2"))
    before = [*files(job).values()]
    job.rename(tmp_path / "elsewhere")
    job.symlink_to(tmp_path / "elsewhere")
    done = genbench(*PCA, "latent_dim=2,3")
    assert (
        done.returncode == 0
        and "2 of 2 jobs done (1 already)" in done.stdout
        and [*files(tmp_path / "elsewhere").values()] == before
    )
    assert len(summary()[0]["directory"]) == len(job.name) + 9


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


def test_nothing_in_a_swept_value_leads_out_of_the_sweep_or_into_another_job(moody, tmp_path):
    values = ["a/b", "../x", "..", "ü ß", "it's", 'say "a b"', "a b", "a-b", "x" * 300]
    texts = ['"' + value.replace('"', '\\"') + '"' for value in values]
    outside = {path.name for path in tmp_path.iterdir()} | {'my sweép\'s "1"'}
    done = moody("tag=" + ",".join(texts), folder='"my sweép\'s \\"1\\""')
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("my*")
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    assert {path.name for path in tmp_path.iterdir()} == outside and len(names) == len(values)
    assert all(len(name.encode()) <= 80 for name in names) and not list(
        folder.glob("*/*/config.yaml")
    )
    assert moody("tag=" + ",".join(texts), folder='"my sweép\'s \\"1\\""').stdout.startswith(
        f"{len(values)} of {len(values)} jobs done ({len(values)} "
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
    assert resolved(job, registry) == check(composed(job, registry), registry)


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


# --- who may do what ------------------------------------------------------------------------------------------


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


def test_a_sweep_belongs_to_one_process_at_a_time(genbench, uncurved):
    code = "from genbench.utils.lock import Lock; from pathlib import Path; lock = Lock(Path('sweep')); lock.acquire(); lock.write_owner(); "
    code += "print(flush=True); input()"
    assert genbench(*PCA, "latent_dim=2").returncode == 0 and Path(
        "sweep", ".lock"
    ).read_text() == str(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        before = files()
        done = genbench(*PCA, "latent_dim=2,3")
        assert (
            done.returncode == 2
            and f"process {other.pid} is at work here" in done.stderr
            and "hydra.sweep.dir=" in done.stderr
        )
        assert genbench(*PCA, "latent_dim=2").returncode == 0 and files() == before
        other.communicate(b"\n")
    assert genbench(*PCA, "latent_dim=2,3").returncode == 0


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


def test_settings_that_not_all_models_have_can_be_swept_over_those_that_do(genbench, uncurved):
    words = ["model=kmeans,gmm", "n_components=2", "device=cpu", "epochs=1", "dataset.limit=60"]
    assert genbench("-m", *words, "hydra.sweep.dir=sweep").returncode == 0
    assert states() == ["done", "done"]


def test_settings_of_the_sweeper_are_swept_unless_the_command_says_otherwise(genbench, uncurved):
    params = [f"+hydra.sweeper.params.{text}" for text in ("latent_dim='2,3'", "seed='0,1'")]
    assert genbench(*PCA, "seed=5", *params).returncode == 0
    jobs = {tuple(job["overrides"][:1] + job["overrides"][1:2]) for job in summary()}
    assert jobs == {("latent_dim=2", "seed=5"), ("latent_dim=3", "seed=5")}


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
                and all((folder / "metrics.json").exists() for folder in done)
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


def test_an_error_that_nobody_foresaw_is_one_line(genbench, monkeypatch, tmp_path):
    def fail(words, registry):
        raise RuntimeError("a\nbug")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setitem(cli.COMMANDS, "models", fail)
    done = genbench("models")
    assert done.returncode == 1 and done.stderr.startswith(
        "genbench: error: unexpected: RuntimeError: a bug; fix: "
    )
    (file,) = tmp_path.glob("genbench-*.log")
    assert (
        str(file) in done.stderr
        and len(done.stderr.splitlines()) == 1
        and "Traceback" in file.read_text()
    )


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a device"])
def test_hydra_writes_through_nothing_that_leads_elsewhere(kind, genbench, tmp_path):
    Path("sweep").mkdir()
    for name in ("multirun.yaml", ".submitit"):
        put(kind, Path("sweep", name), tmp_path / "outside")
        before = files()
        done = genbench(*PCA, "latent_dim=2,3", "hydra/launcher=joblib")
        assert (
            done.returncode == 2
            and f"holds {name}, " in done.stderr
            and "hydra.sweep.dir=FOLDER" in done.stderr
        )
        assert files() == before
        Path("sweep", name).unlink()


def test_hydra_changes_a_file_with_a_second_name_elsewhere_under_its_own_name_only(
    genbench, undrawn, tmp_path
):
    Path("sweep").mkdir()
    Path("theirs").write_text("somebody else's")
    os.link("theirs", "sweep/multirun.yaml")
    assert genbench(*PCA, "latent_dim=2", "hydra/sweeper=basic").returncode == 0
    assert (
        Path("theirs").read_text() == "somebody else's"
        and "hydra" in Path("sweep/multirun.yaml").read_text()
    )


@pytest.mark.parametrize(
    "word",
    [
        *(
            "hydra.output_subdir=.hydra",
            "++hydra.output_subdir=x",
            "hydra/job_logging=default",
            "hydra.mode=MULTIRUN",
        ),
        *("hydra.job_logging.root.level=INFO", "hydra/output=default"),
        *(
            "hydra.run.dir=",
            "hydra.run.dir=''",
            "+hydra.sweep.dir=",
            "hydra.run.dir=null",
            "~hydra.run.dir",
        ),
    ],
)
def test_hydra_keeps_no_files_of_its_own_in_folders_of_runs_and_each_folder_has_a_name(
    word, genbench, tmp_path
):
    for more in ([], ["-m"]):
        done = genbench("model=pca", *TINY, *more, word)
        assert done.returncode == 2 and "hydra" in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "count"),
    [
        (["seed=range(0,3000000000)"], "3,000,000,000"),
        (["seed=shuffle(range(0,100001))"], "100,001"),
        (["seed=range(0,1000)", "latent_dim=range(1,1000)"], "999,000"),
        (["beta=range(0,1e300,1e-9)"], "inf"),
    ],
)
def test_jobs_are_counted_before_they_are_listed(values, count):
    parsed = OverridesParser.create().parse_overrides(values)
    with pytest.raises(
        UserError,
        match=f"asks for {count} jobs, and a sweep has at most 100,000; fix: give fewer values",
    ):
        overrides.require_few_jobs(parsed)
    with pytest.raises(UserError, match="beta: a range has a step other than 0"):
        overrides.require_few_jobs(OverridesParser.create().parse_overrides(["beta=range(1,2,0)"]))


def test_more_jobs_than_anybody_can_run_are_refused(genbench, monkeypatch):
    monkeypatch.setattr(overrides, "MOST_JOBS", 10)
    values = ["model=pca", "seed=range(0,3)", "latent_dim=2,3,4,5"]
    Path("sweep").mkdir()
    Path("sweep", "sweep_summary.json").write_text(json.dumps({"command": values}))
    for words in (["-m", *values], ["resume", "sweep"]):
        done = genbench(*words)
        assert (
            done.returncode == 2 and "asks for 12 jobs, and a sweep has at most 10" in done.stderr
        )


def test_many_jobs_can_be_counted_and_be_stopped(genbench, monkeypatch):
    monkeypatch.setattr(
        signals, "check", lambda: (_ for _ in ()).throw(signals.Interrupted(signal.SIGTERM))
    )
    assert genbench("-m", "model=pca", "seed=range(0,100000)").returncode == 143


# --- files of others ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "epochs: 3\nmodel: {name: mine}\ndataset: {name: mine}\n"),
        ("config.yaml", "[project"),
        ("metrics.json", '{"accuracy": 0.9}'),
        ("status.json", '{"state": "done"}'),
        ("samples.png", "mine"),
        ("codes.png", "mine"),
        ("samples.gif", "mine"),
        ("run.log", "mine"),
        (".lock", "mine"),
        ("projector_config.pbtxt", "mine"),
    ],
)
def test_files_that_no_run_has_written_are_left_alone(name, content, genbench, undrawn, tmp_path):
    for folder in ("project", "sweep/pca"):
        Path(folder).mkdir(parents=True)
        Path(folder, name).write_text(content)
    before = files()
    done = genbench("model=pca", *TINY, "hydra.run.dir=project")
    assert (
        done.returncode == 2
        and f"holds {name}, which no run of genbench wrote" in done.stderr
        and files() == before
    )
    done = genbench(*PCA)
    assert done.returncode == 0 and states() == ["done"], "a job has another folder"
    assert (
        Path("sweep/pca", name).read_text() == content
        and len(list(Path("sweep").glob("pca*/metrics.json"))) >= 1
    )


def test_files_whose_names_only_resemble_those_of_a_run_are_kept(genbench, undrawn):
    names = ["finished-thesis.pt", ".notes.2024.tmp", "notes.txt"]
    Path("run").mkdir()
    for name in names:
        Path("run", name).write_text("mine")
    for _ in range(2):
        assert genbench("model=pca", *TINY, "hydra.run.dir=run").returncode == 0
        assert all(Path("run", name).read_text() == "mine" for name in names)


def test_a_job_never_runs_behind_a_link_whatever_its_name(genbench, undrawn):
    for folder in ("sweep", "victim"):
        Path(folder).mkdir()
    Path("victim", "codes.png").write_text("mine")
    for _ in range(3):  # each link has the name that the job would take next
        assert genbench(*PCA, "latent_dim=2").returncode == 0
        (ran,) = (path for path in Path("sweep").glob("pca*") if not path.is_symlink())
        shutil.rmtree(ran)
        ran.symlink_to(Path("victim").resolve())
    assert genbench("resume", "sweep").returncode == 0 and states() == ["done"]
    assert [path.name for path in Path("victim").iterdir()] == ["codes.png"]


@pytest.mark.parametrize(
    "lost",
    [
        ["config.yaml", "status.json"],
        ["status.json"],
        ["config.yaml"],
        ["metrics.json", "config.yaml"],
    ],
)
def test_a_run_is_known_as_one_by_any_trace_of_it(lost, genbench, undrawn):
    assert genbench("model=pca", *TINY, "hydra.run.dir=run").returncode == 0
    for name in lost:
        Path("run", name).write_text("no longer readable: [")
    assert genbench("model=pca", *TINY, "hydra.run.dir=run").returncode == 0
    assert json.loads(Path("run", "status.json").read_text())["state"] == "done"

"""Jobs that fail or are stopped: no other job is harmed, and each reason is in the summary."""

import os
import random
import re
import shlex
import signal
import sys
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from helpers.sweeps import PCA, TINY, states, summary

from genbench.cli import main as cli
from genbench.runs.recorder import Run
from genbench.sweeps.launch import attempt
from genbench.utils.errors import UserError


def test_no_failure_stops_another_job_and_each_is_told_with_its_reason(moody, genbench, tmp_path):
    done = moody("mood=raise,exit,fine,memory,stop")
    assert done.returncode == 1 and "1 of 5 jobs done: sweep/sweep_summary.json" in done.stdout
    errors = done.stderr.splitlines()
    assert len(errors) == 4, done.stderr
    assert all(
        line.startswith("genbench: error: ") and "; fix: " in line and line.endswith("run.log")
        for line in errors
    )
    assert states() == ["failed", "failed", "done", "failed", "failed"]
    ended = [
        line.split()[:3]
        for line in done.stdout.splitlines()
        if re.match(r"\d/5 (done|failed)", line)
    ]
    assert ended == [
        [f"{i}/5", job["state"], job["overrides"][-1]] for i, job in enumerate(summary(), 1)
    ]
    reasons = ["RuntimeError: in no mood", "SystemExit: 3", "", "the memory does not suffice"]
    for job, reason in zip(summary(), [*reasons, "KeyboardInterrupt"], strict=True):
        assert (
            reason in job["reason"]
            and job["overrides"][1:] == [*TINY, job["overrides"][-1]]
            and reason in " ".join(errors)
        )
        assert Path("sweep", job["directory"]).is_dir()
    alone = genbench(*shlex.split(summary()[2]["command"])[1:])
    assert alone.returncode == 0 and "is done already" in alone.stdout


def test_a_job_that_fails_outside_of_its_run_is_a_failure_too_and_being_stopped_is_none(
    monkeypatch,
):
    # An earlier test may have left another handler; with Python's own, this is Ctrl-C.
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
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

"""Sweeps of very many jobs."""

import json
import signal
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from genbench.config import overrides
from genbench.utils import signals
from genbench.utils.errors import UserError


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


@pytest.mark.parametrize("values", ["range(5,5)", "glob(*)"])
def test_values_that_make_no_job_are_refused(values, genbench, tmp_path):
    done = genbench("-m", "model=pca", f"seed={values}", "hydra.sweep.dir=sweep")
    assert done.returncode == 2 and "makes no job of these values" in done.stderr
    assert not [*tmp_path.iterdir()]


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

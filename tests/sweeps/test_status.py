"""`genbench status`: what the files of a sweep say of its jobs, while it runs and afterwards."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genbench.sweeps import status
from genbench.sweeps.status import SweepStatus, show_status
from genbench.utils.console import PipeSafeConsole
from genbench.utils.lock import Lock


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Five jobs: done after 10 s, running at epoch 25 of 100 for 5 s, failed, interrupted, waiting."""
    monkeypatch.chdir(tmp_path)
    folder, length = Path("sweep"), {"length": {"epochs": 100}}
    listed = [{"overrides": ["model=ae", f"seed={i}"], "directory": f"job{i}"} for i in range(5)]
    write(folder / "sweep_summary.json", {"jobs": listed, "command": []})
    write(folder / "job0" / "status.json", {"state": "done"})
    write(folder / "job0" / "metrics.json", {"time": {"seconds": 10.0}})
    write(folder / "job1" / "status.json", {"state": "running", **length})
    write(folder / "job1" / "metrics.jsonl", {"epoch": 25, "train": {"loss": 0.5}})
    write(folder / "job1" / "config.yaml", {})
    os.utime(folder / "job1" / "config.yaml", (time.time() - 5, time.time() - 5))
    write(folder / "job2" / "status.json", {"state": "failed", "reason": "lr: is odd"})
    write(folder / "job3" / "status.json", {"state": "running", **length})
    lock = Lock(folder / "job1")
    lock.acquire()
    yield folder
    lock.release()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) + "\n")


def test_states_progress_and_the_time_left_are_read_from_files(genbench, sweep):
    shown = genbench("status", "sweep").stdout.splitlines()
    assert shown[0].startswith(
        "sweep: 5 jobs: 1 running, 1 failed, 1 interrupted, 1 done, 1 waiting"
    )
    found = SweepStatus(sweep)
    assert found.jobs["job1"].left == pytest.approx(15, rel=0.2)
    # That of the running job, and one more that takes as long as it and the one that is done.
    assert found.left == pytest.approx(15 + (10 + 20) / 2, rel=0.2)
    rows = [line.split() for line in shown[2:]]
    assert [row[:3] for row in rows] == [
        ["2", "running", "seed=1"],
        ["3", "failed", "seed=2"],
        ["4", "interrupted", "seed=3"],
        ["1", "done", "seed=0"],
        ["5", "waiting", "seed=4"],
    ]
    assert "25/100" in rows[0] and "0.5" in rows[0] and rows[1][3:] == ["lr:", "is", "odd"]


def test_a_terminal_is_kept_up_to_date_until_nothing_runs(sweep, monkeypatch):
    monkeypatch.setattr(status, "LOOK_EVERY", 0.0)
    read, looks = SweepStatus.read, []

    def end_after_two(self):
        looks.append(self)
        if len(looks) == 3:
            write(sweep / "job1" / "status.json", {"state": "done"})
        read(self)

    monkeypatch.setattr(SweepStatus, "read", end_after_two)
    console = PipeSafeConsole(file=io.StringIO(), force_terminal=True, width=90, height=8)
    show_status(sweep, console)
    said = console.file.getvalue()
    assert len(looks) == 3 and "1 running" in said and "2 done" in said and "and 2 more" in said


def test_only_a_sweep_has_jobs_and_nothing_heavy_is_imported(genbench, sweep):
    done = genbench("status", "sweep/job1")
    assert done.returncode == 2 and "status: needs the folder of a sweep" in done.stderr
    assert "genbench status outputs/SWEEP" in genbench("status").stderr
    code = (
        "import sys, genbench.sweeps.status; print({'torch', 'hydra', 'pandas'} & {*sys.modules})"
    )
    root = str(Path(status.__file__).parents[2])
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert told.stdout == "set()\n"

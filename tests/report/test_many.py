"""Reports and summaries over many runs: their cost grows with the number of runs, and no faster."""

import importlib.util
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from genbench.config.registry import builtin_registry
from genbench.report.command import report_command
from genbench.sweeps import sweep as sweeps
from genbench.sweeps.sweep import Sweep

FORGE = Path(__file__).resolve().parent.parent.parent / "scripts" / "forge_runs.py"


@pytest.mark.engines
def test_a_report_takes_time_in_proportion_to_its_runs(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("forge_runs", FORGE)
    forge_runs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(forge_runs)
    sources = {m: forge_runs.trained(m, tmp_path / "real" / m) for m in forge_runs.VARIED}
    took = []
    for runs in (50, 50, 250):  # the first imports what a report needs
        folder = tmp_path / f"{len(took)}"
        forge_runs.forge(sources, folder, runs)
        started = time.process_time()
        assert report_command([str(folder)], builtin_registry()) == 0
        took.append(time.process_time() - started)
        assert (folder / "report.csv").read_text().count("\n") > runs / 10  # averaged over seeds
    assert took[2] < 7 * took[1], took


def test_a_long_summary_is_not_written_for_every_job(tmp_path, monkeypatch):
    """Else the time for all jobs would grow with their number squared."""
    sweep, written = Sweep.__new__(Sweep), []
    sweep.next_note = 0.0
    sweep.jobs = [SimpleNamespace(state="", reason="", first=None) for _ in range(50)]
    monkeypatch.setattr(Sweep, "save", lambda self: written.append(time.sleep(0.01)))
    for longest, is_long in ((1e9, False), (0, True)):
        written.clear()
        monkeypatch.setattr(sweeps, "LONG_SAVE", longest)
        for job in sweep.jobs:
            sweep.note(job, "done")
        assert len(written) >= 1 and (len(written) < 10) == is_long
        assert {job.state for job in sweep.jobs} == {"done"}

"""What engines do with their jobs where nothing runs: GPUs, states that Slurm gives, records of earlier commands."""

import threading
import time
from types import SimpleNamespace

import pytest
from helpers.slurm import install_slurm

from genbench.sweeps.engines.interface import Wanted
from genbench.sweeps.engines.lane import Lane

pytestmark = pytest.mark.engines


def wanted(folder, gpus=0, **settings):
    options = {"jobs": 2, "threads": 1}
    timing = {"timeout_min": 1, "signal_delay_s": 1}
    devices = {"cuda"} if gpus else {"cpu"}
    return Wanted(folder, options, timing | settings, devices, lambda: gpus, lambda: 2)


def lane():
    return Lane(None, {}, (), {})


class Submitting:
    """An executor whose jobs are over when they are told so."""

    def __init__(self, folder):
        self.folder, self.calls = folder, []

    def submit_array(self, calls):
        self.calls += calls
        return [self.job(len(self.calls) - len(calls) + i) for i in range(len(calls))]

    def job(self, number):
        gone = SimpleNamespace(exists=lambda: False, unlink=lambda missing_ok: None)
        job = SimpleNamespace(job_id=str(2**22 + number), is_over=False)
        job.paths = SimpleNamespace(result_pickle=gone, stderr="err")
        job.done = lambda: job.is_over
        return job


def test_a_lane_that_is_begun_again_gets_the_gpu_that_is_free(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    from genbench.sweeps.engines.on_processes import LocalEngine

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    engine = LocalEngine(wanted(tmp_path, gpus=2))
    engine.executor = executor = Submitting(tmp_path)
    names = [frozenset({"a"}), frozenset({"b"})]
    tickets = engine.submit([lane(), lane()], names)
    tickets[1].job.is_over = True
    assert engine.end_of(tickets[0]) is None and engine.end_of(tickets[1]).code == 1
    engine.submit([lane()], names[1:])
    used = [call.lane.environment["CUDA_VISIBLE_DEVICES"] for call in executor.calls]
    assert used == ["0", "1", "1"]
    # another command finds the two that still run, and their places are taken
    later = LocalEngine(wanted(tmp_path, gpus=3))
    alive = {tickets[0].job.job_id}
    monkeypatch.setattr(later, "_is_running", alive.__contains__)
    later.executor = executor
    assert [one.names for one in later.earlier()] == [names[0]]
    later.submit([lane(), lane()], names)
    used = [call.lane.environment["CUDA_VISIBLE_DEVICES"] for call in executor.calls[3:]]
    assert used == ["1", "0"] and later.window == 2


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Slurm's commands, played by stand-ins; returns the engine and the folder of the states."""
    pytest.importorskip("submitit")
    from genbench.sweeps.engines.on_slurm import SlurmEngine

    for name, value in install_slurm(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    return SlurmEngine(wanted(tmp_path / "sweep")), tmp_path / "slurm" / "state"


def recorded(engine, ids, age=0.0):
    from genbench.sweeps.engines.submissions import Submission

    now = time.time() - age
    engine.record.folder.mkdir(parents=True, exist_ok=True)
    engine.record.add([Submission("slurm", id_, now, 0, frozenset({id_})) for id_ in ids])


def test_slurm_is_asked_once_for_all_jobs_and_only_those_that_are_over_count_as_over(slurm):
    from genbench.sweeps.engines.on_slurm import SlurmJob

    engine, folder = slurm
    states = ["PENDING", "RUNNING", "SUSPENDED", "REQUEUE_HOLD", "RESIZING", "PREEMPTED"]
    over = ["COMPLETED", "CANCELLED by 5", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT", "FAILED"]
    for i, state in enumerate(states + over):
        (folder / f"77_{i}").write_text(state)
    recorded(engine, [f"77_{i}" for i in range(len(states + over))])
    calls = SlurmJob.watcher.num_calls
    found = {name for one in engine.earlier() for name in one.names}
    assert found == {f"77_{i}" for i in range(len(states))}
    assert SlurmJob.watcher.num_calls == calls + 1


def test_a_job_with_a_result_is_over_and_one_that_slurm_forgot_is_too(slurm):
    engine, folder = slurm
    recorded(engine, ["78_0", "78_1"])  # the accounting lags behind
    recorded(engine, ["79_0"], age=4000)
    (folder / "78_0").write_text("RUNNING")
    (folder / "78_1").write_text("RUNNING")
    (engine.record.folder / "78_1_0_result.pkl").touch()
    assert [one.names for one in engine.earlier()] == [frozenset({"78_0"})]


def test_a_journal_is_mended_only_while_no_trial_writes(tmp_path):
    journal = pytest.importorskip("optuna.storages.journal")
    from genbench.sweeps.study import _mend

    file = tmp_path / "study.journal"
    file.write_bytes(b"{}\n{")
    lock = journal.JournalFileSymlinkLock(str(file))
    lock.acquire()
    mending = threading.Thread(target=_mend, args=(file,))
    mending.start()
    mending.join(0.3)
    assert mending.is_alive() and file.read_bytes() == b"{}\n{"
    lock.release()
    mending.join(10)
    assert file.read_bytes() == b"{}\n"

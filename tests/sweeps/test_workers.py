"""Worker processes: what they promise when they, or the process that started them, are killed."""

import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers.workers import Die, Endless, Fail, LeaveThread, Look
from omegaconf import OmegaConf

from genbench.sweeps import launcher
from genbench.sweeps.display import ForwardingDisplay, JobTable, TabledJobDisplay
from genbench.sweeps.launchers import (
    PLUGIN,
    checked_launcher,
    chosen_again,
    launcher_failure,
    thread_count,
)
from genbench.sweeps.pool import Exit, Killed, Message, Pool, gpu_environments
from genbench.utils import signals
from genbench.utils.console import PipeSafeConsole
from genbench.utils.errors import UserError

TESTS = str(Path(__file__).parent.parent)


def calls(*made):
    """Functions that prepare these calls."""
    return [lambda call=call: call for call in made]


def test_a_process_takes_many_calls_and_sees_its_gpu_only(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 7")
    received = []
    results = Pool(gpu_environments(2, 2)).run(calls(*map(Look, range(5))), received.append)
    assert [value for value, _, _ in results] == [*range(5)]
    assert sorted(received) == [Message(i, ("looked", i)) for i in range(5)]
    seen = {(process, gpu) for _, process, gpu in results}
    assert len(seen) <= 2 and {gpu for _, gpu in seen} <= {"5", "7"}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [e["CUDA_VISIBLE_DEVICES"] for e in gpu_environments(2, 3)] == ["0", "1", "0"]


def test_a_killed_process_costs_no_other_call_anything(tmp_path):
    received = []
    dying = Die(tmp_path / "once", 1), Die(tmp_path / "always", 9, status=0)
    once, always, *others = Pool([{}, {}]).run(calls(*dying, Look(1), Look(2)), received.append)
    assert once == "alive" and always == Killed(Exit(0))
    assert [value for value, _, _ in others] == [1, 2]
    ends = [(message.call, str(message.content)) for message in received if message.call < 2]
    assert sorted(ends) == [(0, "was killed by SIGKILL"), *[(1, "exited with status 0")] * 2]


def test_an_error_that_no_pickle_can_hold_is_raised_in_words():
    with pytest.raises(RuntimeError, match="Unpicklable: went wrong"):
        Pool([{}]).run(calls(Fail()), print)


def test_a_pool_ends_although_calls_leave_threads_behind():
    began = time.monotonic()
    processes = Pool([{}, {}]).run(calls(LeaveThread(), LeaveThread()), print)
    assert not any(map(is_alive, processes)) and time.monotonic() - began < 60


def test_a_signal_stops_all_calls_and_each_saves_first(tmp_path):
    begun = []

    def receive(message):
        begun.append(message)
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    made = [Endless(tmp_path, name) for name in "abc"]
    with pytest.raises(signals.Interrupted) as stopped:
        Pool([{}, {}]).run(calls(*made), receive)
    signals.forget()
    assert stopped.value.signum == signal.SIGTERM
    assert sorted(file.name for file in tmp_path.glob("*.saved")) == ["a.saved", "b.saved"]


def test_workers_end_with_the_process_that_started_them_and_save_first(tmp_path):
    code = f"""
import sys
sys.path.append({TESTS!r})
from pathlib import Path
from helpers.workers import Endless
from genbench.sweeps.pool import Pool
folder = Path({str(tmp_path)!r})
calls = [lambda n=n: Endless(folder, n) for n in "ab"]
Pool([{{}}, {{}}]).run(calls, lambda message: print(message, flush=True))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    for _ in "ab":
        assert b"begun" in process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    workers = [int(file.read_text()) for file in tmp_path.glob("*.pid")]
    ends = time.monotonic() + 30
    while any(map(is_alive, workers)):
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert len(workers) == 2 and len([*tmp_path.glob("*.saved")]) == 2


def is_alive(pid):
    """Whether a process runs; one that has ended and waits for its parent to notice does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_as_many_jobs_run_at_once_as_there_are_gpus_or_else_cores(monkeypatch):
    monkeypatch.setattr(launcher, "DRIVERS", ("/",))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    for devices, gpus in (({"auto"}, 3), ({"cuda", "cpu"}, 3), ({"cpu"}, 0), ({"cuda:1"}, 1)):
        assert launcher.gpu_count(devices) == gpus
    monkeypatch.setattr(launcher, "DRIVERS", ())
    if sys.platform != "darwin":
        assert launcher.gpu_count({"auto"}) == 0


def test_threads_do_not_depend_on_how_many_jobs_run(monkeypatch):
    for variable, asked, threads in (
        ("", "auto", 1),
        ("3", "auto", 3),
        ("x", "auto", 1),
        ("3", 2, 2),
    ):
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
        assert thread_count(asked) == threads
    with pytest.raises(UserError, match="threads: must be"):
        thread_count(0)


def test_a_sweep_is_resumed_with_the_launcher_that_it_had():
    own = {"name": "genbench", "jobs": 2, "threads": 1}
    words = ["hydra/launcher=genbench", "hydra.launcher.jobs=2", "hydra.launcher.threads=1"]
    assert chosen_again(own) == words
    assert chosen_again({"name": "basic"}) == ["hydra/launcher=basic"]
    for somebody_elses in ({}, {"name": "os.system"}, {"name": 3}, {"name": "a b=c"}):
        assert chosen_again(somebody_elses) == []
    strange = chosen_again(
        own | {"jobs": "${oc.env:HOME}", "threads": True, "_target_": "os.mkdir"}
    )
    assert strange == words[:1]


def test_a_sweep_whose_launcher_had_settings_that_no_summary_holds_is_not_resumed_without_them():
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.setup=[module load x]"]
    words += ["hydra.launcher.partition=a,b", "hydra.launcher.account=me", "hydra.launcher.jobs=2"]
    settings = {"jobs": 2, "threads": 1, "together": "auto", "partition": "a,b", "account": "me"}
    hydras = {
        "runtime": {"choices": {"hydra/launcher": "submitit_slurm"}},
        "launcher": settings | {"_target_": f"{PLUGIN}SlurmLauncher", "setup": ["module load x"]},
        "overrides": {"hydra": words},
    }
    launcher = checked_launcher(OmegaConf.create({"hydra": hydras}))
    with pytest.raises(UserError, match=r"hydra.launcher.partition, hydra.launcher.setup: was"):
        chosen_again(launcher)
    hydras["overrides"]["hydra"] = [words[0], *words[3:]]
    assert "hydra.launcher.account=me" in chosen_again(
        checked_launcher(OmegaConf.create({"hydra": hydras}))
    )


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (BrokenProcessPool("died"), "hydra/launcher=joblib: one of its processes was killed"),
        (TimeoutError(), "hydra.launcher.timeout: was too short for a job (got 1)"),
        (ValueError("odd"), "hydra/launcher=joblib: ValueError: odd"),
    ],
)
def test_the_failure_of_another_launcher_names_the_way_out(error, says):
    hydras = {"runtime": {"choices": {"hydra/launcher": "joblib"}}, "launcher": {"timeout": 1}}
    failure = launcher_failure(error, OmegaConf.create({"hydra": hydras}), "genbench resume s")
    assert str(failure).startswith(says) and str(failure).endswith("go on with: genbench resume s")


def shown(is_terminal):
    """What two jobs in workers show that run at the same time."""
    console = PipeSafeConsole(file=io.StringIO(), force_terminal=is_terminal, width=90)
    with JobTable(console) as table:
        displays = [TabledJobDisplay(table, f"beta={i}", i, 2, 6) for i in (1, 2)]
        workers = [ForwardingDisplay(partial(play, display), True) for display in displays]
        for worker in workers:
            worker.begin()
            worker.start(20, "loss")
            worker.epoch(3, {"train": {"loss": 12.5}}, "1/s")
            worker.measuring(2, 9, "fid")
            worker.echo("warning: something")
        table.progress.refresh()
        workers[1].ended("done", ["loss 12.5"])
        workers[0].ended("failed", failure=UserError("memory", "does not suffice"))
    return console.file.getvalue()


def play(display, message):
    """Show what a worker has sent."""
    getattr(display, message[0])(*message[1:])


def test_jobs_that_run_at_the_same_time_share_a_table_on_a_terminal_and_else_have_lines(capsys):
    lines = [line.split()[:3] for line in shown(is_terminal=False).splitlines()]
    assert lines == [
        ["1/2", "started", "beta=1"],
        ["2/2", "started", "beta=2"],
        ["2/2", "done", "beta=2"],
        ["1/2", "failed", "beta=1"],
    ]
    live = shown(is_terminal=True)
    assert "measuring 2 of 9: fid" in live and "started" not in live and "1 warning" in live
    assert capsys.readouterr().err.count("memory: does not suffice") == 2

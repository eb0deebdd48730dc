"""Signals stop a command within seconds, from its first moment on."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest
import torch
from helpers.faults import TINY
from helpers.runs import forked, newest

from genbench.cli.main import main
from genbench.utils import signals


def test_a_terminal_that_closes_stops_a_run(tmp_path):
    words = [
        sys.executable,
        "-c",
        "from genbench.cli.main import main; main()",
        "model=ae",
        "epochs=100000",
        *TINY[1:],
        "hydra.run.dir=run",
    ]
    terminal, inside = pty.openpty()
    with subprocess.Popen(
        words, cwd=tmp_path, stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    ) as process:
        os.close(inside)
        while not list((tmp_path / "run").glob("checkpoint-*.pt")):
            assert process.poll() is None
            if select.select([terminal], [], [], 0.01)[0]:
                os.read(terminal, 10_000)
        os.close(terminal)
        process.send_signal(signal.SIGHUP)  # as the kernel does to what a terminal controls
        assert process.wait(20) == 129
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "interrupted"


def test_a_signal_while_the_program_is_imported_is_no_traceback():
    code = "import os, signal, genbench.utils.signals as s; listen = s.listen; "
    code += "s.listen = lambda: (listen(), os.kill(os.getpid(), signal.SIGINT)); "
    code += "from genbench.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "models"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130 and not done.stderr and not done.stdout


def test_a_thread_that_a_model_has_left_behind_does_not_keep_the_program_from_its_end():
    code = "import sys, threading, time, genbench.__main__ as program, genbench.cli.main as cli; "
    code += "left = threading.Thread(target=time.sleep, args=(600,)); program.GRACE = 0.1; "
    code += "cli.main = lambda: (left.start(), print('done'), sys.exit(3)); program.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 3 and done.stdout == "done\n" and not done.stderr


def test_a_signal_is_not_lost_where_an_import_catches_what_it_raises():
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(signals.Interrupted), signals.stopping():
            try:
                signal.raise_signal(signal.SIGINT)
                pytest.fail("it waited")
            except BaseException:  # as libraries do around optional imports
                pass
        assert signal.getsignal(signal.SIGINT) == before
    finally:
        signals.forget()


def test_nohup_is_heeded():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    others = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        signals.listen()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        for signum, handler in {**others, signal.SIGHUP: before}.items():
            signal.signal(signum, handler)


@pytest.mark.parametrize(
    ("signals", "status"),
    [([signal.SIGTERM], 143), ([signal.SIGINT, signal.SIGINT], 130), ([signal.SIGHUP], 129)],
)
def test_a_signal_stops_the_command_within_seconds(signals, status, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    child = forked(
        lambda: main(["model=ae", "epochs=100000", *TINY[1:], "hydra.run.dir=run"]),
        said=tmp_path / "said",
    )
    while not list((tmp_path / "run").glob("checkpoint-*.pt")):
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.01)
    started = time.perf_counter()
    for number in signals:
        os.kill(child, number)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended == status and time.perf_counter() - started < 5
    said = (tmp_path / "said").read_text()
    assert (
        "go on with: genbench resume run" in said and "rror" not in said and "Traceback" not in said
    )
    found = json.loads((tmp_path / "run" / "status.json").read_text())
    content = torch.load(newest(tmp_path / "run"), weights_only=True)
    assert found["state"] == "interrupted" and found["step"] == content["progress"]["clock"]

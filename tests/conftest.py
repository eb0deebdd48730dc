"""Fixtures of all tests."""

import logging
import os
import signal
import subprocess

import pytest
import torch
from helpers.configs import ERROR, EVERY_CLASS, sketch

from genbench import experiment
from genbench.cli.main import main
from genbench.figures.canvas import Canvas
from genbench.figures.renderer import FigureRenderer
from genbench.sweeps import launcher

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several, which would be in one another's way
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the programs under test

signal.signal(
    signal.SIGHUP, signal.SIG_DFL
)  # nohup has it ignored, which the programs under test would inherit


@pytest.fixture
def genbench(tmp_path, monkeypatch, capsys):
    """The command, called inside this process, which has paid for importing torch; its working directory is tmp_path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    log, level = list(logging.root.handlers), logging.root.level  # hydra.verbose changes both

    def call(*args):
        with pytest.raises(SystemExit) as stopped:
            main(list(args))
        out, err = capsys.readouterr()
        assert all(ERROR.fullmatch(line) for line in err.splitlines()), err
        assert "Traceback" not in out
        return subprocess.CompletedProcess(args, stopped.value.code, out, err)

    yield call
    for signum, handler in handlers.items():
        signal.signal(signum, handler)
    logging.root.handlers[:] = log
    logging.root.setLevel(level)


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """What the program keeps between runs is kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def carded():
    """Runs inside this process end with their report card, as any others do."""


@pytest.fixture(autouse=True)
def uncarded(request, monkeypatch):
    """Runs inside this process have no report card, which takes a second or more, unless a test asks for it."""
    if "carded" not in request.fixturenames:
        monkeypatch.setattr(experiment, "evaluated", lambda *args, **more: {})


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Files are not forced onto the disk, and jobs share this process."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    monkeypatch.setattr(launcher, "core_count", lambda: 1)


DRAWING = {"drawn", "sketched", "unrendered", "coarse"}


@pytest.fixture
def drawn():
    """Runs inside this process draw their pictures, as any others do."""


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    """Runs inside this process draw no pictures, which take long, unless a test asks for some."""
    if not DRAWING & {*request.fixturenames}:
        for some in ("watched", "finished"):
            monkeypatch.setattr(FigureRenderer, some, lambda self, model, epoch: iter(()))


@pytest.fixture
def sketched(monkeypatch):
    """Runs draw a picture that costs nothing, for tests of what becomes of pictures."""
    for some in ("watched", "finished"):
        monkeypatch.setattr(FigureRenderer, some, sketch)


@pytest.fixture
def unrendered(monkeypatch):
    """Pictures are laid out but not turned into pixels, which takes most of the time, for tests of what is in them."""
    pixels = torch.randint(256, (200, 200, 3), generator=torch.Generator().manual_seed(0)).byte()
    monkeypatch.setattr(Canvas, "picture", lambda sheet: pixels)


@pytest.fixture
def coarse(monkeypatch):
    """Pictures are drawn at a fifth of their size, which takes a fraction of the time, for tests that compare them."""
    drawn = Canvas.picture

    def picture(sheet):
        sheet.figure.set_dpi(20)
        return drawn(sheet)

    monkeypatch.setattr(Canvas, "picture", picture)


@pytest.fixture(params=EVERY_CLASS)
def model_name(request) -> str:
    """A model of each class in configs/model/, the plainest."""
    return request.param

"""Failing disks and meddled files."""

import resource
import sys
from contextlib import contextmanager

import pytest

from genbench.experiment import run
from genbench.runs.recorder import Run

LINUX = sys.platform == "linux"
TINY = ["epochs=2", "dataset.limit=100", "device=cpu"]


@contextmanager
def no_file_larger_than(size):
    """What a disk that is full does to a file: it takes a part of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def meddled(folder, config, meddle):
    """Run, and after the second epoch let somebody meddle with the run's folder."""
    log = Run.log
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Run,
            "log",
            lambda self, epoch, *args, **more: (
                log(self, epoch, *args, **more),
                epoch == 2 and meddle(),
            )[0],
        )
        return run(config, folder)

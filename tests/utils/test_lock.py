"""Locks: what they promise to processes on other machines, where those of the file system do not hold."""

import errno
import fcntl
import os
import time

import pytest

from genbench.utils import lock
from genbench.utils.lock import InUse, Lock, is_locked


@pytest.fixture(params=["other_machine", "no_locks"])
def unseen(request, monkeypatch, tmp_path):
    """A lock that a process holds whose lock the file system does not show; it renews its time."""
    monkeypatch.setattr(lock, "BEAT", 0.1)
    if request.param == "no_locks":
        monkeypatch.setattr(fcntl, "lockf", lambda *args: fail(errno.ENOLCK))
    elsewhere = tmp_path / ".lock"
    elsewhere.write_text(
        "17 node12" if request.param == "other_machine" else f"17 {lock._machine()}"
    )
    return elsewhere


def fail(number):
    raise OSError(number, "no locks")


def test_a_process_of_another_machine_is_seen_by_the_time_that_it_renews(unseen, monkeypatch):
    folder, looked = unseen.parent, []
    assert is_locked(folder)

    def renew(seconds):
        looked.append(seconds)
        os.utime(unseen)

    monkeypatch.setattr(time, "sleep", renew)
    with pytest.raises(InUse, match=r"process 17 of .* is at work here"):
        Lock(folder).acquire()
    monkeypatch.setattr(time, "sleep", looked.append)
    mine = Lock(folder)
    mine.acquire()  # it is gone
    mine.write_owner()
    assert unseen.read_text() == f"{os.getpid()} {lock._machine()}" and is_locked(folder)
    mine.release()
    assert unseen.read_text() == "" and not is_locked(folder)


def test_a_process_that_died_long_ago_holds_nothing(unseen):
    os.utime(unseen, (1, 1))
    assert not is_locked(unseen.parent)


def test_the_time_of_a_lock_is_renewed_while_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    held = Lock(tmp_path)
    held.acquire()
    held.write_owner()
    os.utime(tmp_path / ".lock", (1, 1))
    ends = time.monotonic() + 30
    while (tmp_path / ".lock").stat().st_mtime < 2:
        assert time.monotonic() < ends
        time.sleep(0.005)
    held.release()

"""A disk without room, or one that takes nothing: one line, and nothing is lost."""

import errno
import json
import os

import pytest
from helpers.configs import small_config
from helpers.faults import no_file_larger_than
from helpers.runs import differences, newest, outcome

from genbench.experiment import run
from genbench.utils import files
from genbench.utils.errors import UserError
from genbench.utils.files import appending
from genbench.utils.lock import Lock


def test_a_checkpoint_that_finds_no_room_ends_the_run_and_the_last_good_one_is_kept(tmp_path):
    config = small_config("ae", "schedule=constant", "epochs=3")
    run(config, tmp_path / "whole")
    room = newest(tmp_path / "whole").stat().st_size
    run(small_config("ae", "schedule=constant", "epochs=2"), tmp_path / "full")
    kept = {p.name for p in (tmp_path / "full").glob("checkpoint-*")}
    with (
        no_file_larger_than(room - 1000),
        pytest.raises(
            UserError, match=r"checkpoint.*cannot be written: .*; it takes [\d,]+ bytes"
        ) as told,
    ):
        run(config, tmp_path / "full")
    assert told.value.code == 1 and "allow larger files" in str(told.value)
    assert {p.name for p in (tmp_path / "full").glob("checkpoint-*")} == kept
    assert not list((tmp_path / "full").glob(".*.tmp"))
    assert json.loads((tmp_path / "full" / "status.json").read_text())["state"] == "failed"
    run(config, tmp_path / "full")
    assert not differences(outcome(tmp_path / "whole"), outcome(tmp_path / "full"))


def test_a_disk_without_room_for_a_lock_is_a_line_and_limits_of_size_are_named(tmp_path):
    lock = Lock(tmp_path)
    lock.acquire()
    with no_file_larger_than(0), pytest.raises(UserError) as told:
        lock.write_owner()
    lock.release()
    assert ".lock: cannot be written: File too large; it takes" in str(told.value)
    assert "ulimit" in str(told.value) and "free" not in str(told.value)


def test_a_file_that_cannot_be_written_is_not_said_to_be_in_a_folders_way(tmp_path):
    (tmp_path / ".lock").touch()
    error = OSError(errno.EROFS, "Read-only file system", str(tmp_path / ".lock"))
    told = str(files.folder_error(error, tmp_path, "choose another"))
    assert "cannot be written: Read-only file system; fix: choose another" in told


def full(path, content):
    """An append that finds no room."""
    raise files.CannotWrite.because(
        OSError(errno.ENOSPC, "No space left on device"), path, len(content)
    )


def test_metrics_that_find_no_room_end_the_run(tmp_path, monkeypatch):
    appended = files.append
    monkeypatch.setattr(
        appending,
        "append",
        lambda path, content: (full if content and "jsonl" in path.name else appended)(
            path, content
        ),
    )
    with pytest.raises(
        UserError,
        match=r"metrics.jsonl: cannot be written: No space left on device; it takes \d+ bytes, and",
    ) as told:
        run(small_config("ae"), tmp_path)
    assert told.value.code == 1


def test_curves_that_find_no_room_cost_one_warning_and_come_back(tmp_path, monkeypatch, capsys):
    config, calls = small_config("ae", "schedule=constant"), []
    run(config, tmp_path / "whole")

    append = files.append

    def fails_later(path, content):
        calls.extend([path] if "tfevents" in path.name else [])
        return full(path, content) if calls[4:] and path == calls[-1] else append(path, content)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(appending, "append", fails_later)
        run(config | {"epochs": 3}, tmp_path / "parts")
    assert capsys.readouterr().out.count("warning: the run goes on without some curves") == 1
    run(config, tmp_path / "parts")
    found, whole = outcome(tmp_path / "parts"), outcome(tmp_path / "whole")
    assert differences(whole, found) in ([], ["images"]), (
        "the curves are drawn anew from the numbers"
    )


def test_a_picture_that_cannot_be_written_does_not_stop_the_run(
    tmp_path, capsys, unrendered, monkeypatch
):
    written = files.write
    monkeypatch.setattr(
        "genbench.runs.picture_files.write",
        lambda path, content: (full if path.name == "samples.png" else written)(path, content),
    )
    found = run(small_config("ae"), tmp_path)
    assert found.metrics["test"] and (tmp_path / "reconstructions.png").is_file()
    assert capsys.readouterr().out.count("warning: the run goes on without some pictures") == 1


def test_a_file_system_that_takes_nothing_is_told_with_the_way_out(tmp_path, monkeypatch):
    def refused(*args, **more):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        patch.setattr(os, "unlink", refused)
        with pytest.raises(
            files.CannotWrite, match="Read-only file system; fix: choose another folder"
        ):
            files.write(tmp_path / "file", b"content")


def test_a_log_that_finds_no_room_does_not_stop_the_run(tmp_path, capfd, monkeypatch):
    append = files.append
    monkeypatch.setattr(
        appending,
        "append",
        lambda path, content: (full if path.name == "run.log" else append)(path, content),
    )
    run(small_config("pca"), tmp_path)
    assert not capfd.readouterr().err

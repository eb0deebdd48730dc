"""Writing files: whole or not at all, on the disk before they have their names, and never through links."""

import os
import time

import pytest
from helpers.faults import LINUX, no_file_larger_than
from helpers.runs import STRANGE, put

from genbench.utils import files


def test_what_is_written_is_on_the_disk_before_it_has_its_name_and_the_name_thereafter(
    tmp_path, monkeypatch
):
    done, replace = [], os.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda file: done.append(os.readlink(f"/proc/self/fd/{file}") if LINUX else "synced"),
    )
    monkeypatch.setattr(os, "replace", lambda old, new: (done.append("renamed"), replace(old, new)))
    files.write(tmp_path / "file", b"content")
    temporary, renamed, folder = done
    assert renamed == "renamed" and (tmp_path / "file").read_bytes() == b"content"
    assert not LINUX or (temporary.endswith(".tmp") and folder == str(tmp_path))


def test_half_a_line_is_never_left_behind(tmp_path):
    file = tmp_path / "lines"
    files.append(file, b"one\n")
    with no_file_larger_than(10), pytest.raises(files.CannotWrite):
        files.append(file, b"a longer line\n")
    assert file.read_bytes() == b"one\n"


@pytest.mark.parametrize("kind", [*STRANGE, "50 GB"])
def test_only_regular_files_of_a_sensible_size_are_read_and_all_else_is_set_aside(
    kind, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path, elsewhere = tmp_path / "file.json", tmp_path / "elsewhere"
    put(kind, path, elsewhere)
    started = time.perf_counter()
    for read in (
        files.read_bytes,
        files.read_text,
        files.read_lines,
        files.read_json,
        files.read_yaml,
    ):
        with pytest.raises(files.Unreadable, match=r"file.json: is damaged: it (is|has)"):
            read(path)
    if kind in STRANGE:
        with pytest.raises(
            files.CannotWrite, match=r"file.json: cannot be written: it is .*; fix: move it away"
        ):
            files.append(path, b"ours")
        files.write(path, b"ours")
        assert path.read_bytes() == b"ours" and os.path.lexists(tmp_path / "file.json.damaged")
        assert "set aside as file.json.damaged" in capsys.readouterr().out
    assert time.perf_counter() - started < 1
    assert kind != "a link" or elsewhere.read_text() == "somebody else's"


def test_a_file_with_a_second_name_elsewhere_changes_under_its_own_name_only(tmp_path):
    (tmp_path / "copy").mkdir()
    ours, theirs = tmp_path / "lines", tmp_path / "copy" / "lines"
    for change in (
        lambda: files.append(ours, b"two\n"),
        lambda: files.truncate(ours, 2),
        lambda: files.write(ours, b"new"),
    ):
        ours.write_bytes(b"one\n")
        theirs.unlink(missing_ok=True)
        os.link(ours, theirs)
        change()
        assert theirs.read_bytes() == b"one\n" and ours.read_bytes() != b"one\n"


def test_a_file_with_a_second_name_and_an_absurd_size_is_set_aside(tmp_path):
    (tmp_path / "copy").mkdir()
    ours, theirs = tmp_path / "lines", tmp_path / "copy" / "lines"
    with open(theirs, "wb") as file:
        file.truncate(1 << 40)
    os.link(theirs, ours)
    started = time.perf_counter()
    files.append(ours, b"one\n")
    assert ours.read_bytes() == b"one\n" and theirs.stat().st_size == 1 << 40
    assert (tmp_path / "lines.damaged").samefile(theirs)
    assert time.perf_counter() - started < 1

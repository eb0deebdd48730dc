"""What can go wrong around a run: the disk, the folder, other processes, the memory, its console. One line tells, and nothing is lost."""

import ast
import errno
import io
import json
import os
import pty
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import sketch, small_config
from PIL import EpsImagePlugin, Image
from rich.table import Table
from rich.text import Text
from runs import STRANGE, differences, forked, newest, outcome, put

from genbench import experiment
from genbench.cli.main import main
from genbench.data import readers
from genbench.experiment import load_run, run
from genbench.figures.renderer import FigureRenderer
from genbench.models.ae import Autoencoder
from genbench.runs.checkpoints import Unusable, read_checkpoint
from genbench.runs.compatibility import require_same
from genbench.runs.recorder import Run
from genbench.utils import files, signals
from genbench.utils.console import PipeSafeConsole, echo
from genbench.utils.errors import UserError
from genbench.utils.files import appending
from genbench.utils.lock import Lock
from genbench.utils.text import quoted

PACKAGE = Path(files.__file__).parent.parent.parent
LINUX = sys.platform == "linux"
TINY = ["epochs=2", "dataset.limit=100", "device=cpu"]


# --- the disk -------------------------------------------------------------------------------------------------


@contextmanager
def no_file_larger_than(size):
    """What a disk that is full does to a file: it takes a part of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_that_finds_no_room_ends_the_run_and_the_last_good_one_is_kept(
    tmp_path, undrawn
):
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
    assert told.value.code == 1 and "make room" in str(told.value)
    assert {p.name for p in (tmp_path / "full").glob("checkpoint-*")} == kept
    assert not list((tmp_path / "full").glob(".*.tmp"))
    assert json.loads((tmp_path / "full" / "status.json").read_text())["state"] == "failed"
    run(config, tmp_path / "full")
    assert not differences(outcome(tmp_path / "whole"), outcome(tmp_path / "full"))


def full(path, content):
    """An append that finds no room."""
    raise files.CannotWrite.because(
        OSError(errno.ENOSPC, "No space left on device"), path, len(content)
    )


def test_metrics_that_find_no_room_end_the_run(tmp_path, monkeypatch, undrawn):
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


def test_curves_that_find_no_room_cost_one_warning_and_come_back(
    tmp_path, monkeypatch, capsys, undrawn
):
    config, calls = small_config("ae", "schedule=constant"), []
    run(config, tmp_path / "whole")

    append = files.append

    def fails_later(path, content):
        calls.extend([path] if "tfevents" in path.name else [])
        return full(path, content) if calls[10:] and path == calls[-1] else append(path, content)

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


# --- what is no file, and what no parser should be given --------------------------------------------------------


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


def test_a_forged_checkpoint_is_recognised_without_taking_memory(tmp_path):
    path = tmp_path / f"checkpoint-000009-000000-{'a' * 64}.pt"
    with open(path, "wb") as file:
        file.truncate(256 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"PK\5\6" + bytes(18))  # as the end of what torch writes
    tracemalloc.start()
    try:
        with pytest.raises(Unusable, match="is damaged"):
            read_checkpoint(path, {}, "", torch.device("cpu"))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def both(self, model, epoch):
    """What `Viewer.watched` and `finished` are, but for a moment's work: two pictures each time."""
    ((_, pixels),) = sketch(self, model, epoch)
    return iter([("samples", pixels), ("codes", pixels)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with something of everything that runs leave, and how it ends if it is left alone."""
    folder, config = (
        tmp_path_factory.mktemp("finished"),
        small_config("ae", "sampler=gmm", "epochs=3"),
    )
    with pytest.MonkeyPatch.context() as patch:
        for some in ("watched", "finished"):
            patch.setattr(FigureRenderer, some, both)
        run(config, folder / "run")
    (folder / "run" / "skipped.txt").write_text("one\n")
    return config, folder / "run", outcome(folder / "run")


def names_of(folder: Path) -> list[str]:
    """All files of a run but the older of its checkpoints."""
    older = min(folder.glob("checkpoint-*.pt"))
    return sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p != older
    )


@pytest.mark.parametrize("kind", [*STRANGE, "50 GB"])
def test_a_run_whose_files_are_none_goes_on_from_its_older_checkpoint(
    kind, finished, tmp_path, monkeypatch
):
    config, original, whole = finished
    for some in ("watched", "finished"):
        monkeypatch.setattr(FigureRenderer, some, both)
    folder, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(original, folder)
    outside.mkdir()
    monkeypatch.chdir(folder)
    for name in names_of(original):
        put(kind, Path(name), outside / name.replace("/", "-"))
    if kind == "a link":
        (folder / "projector").rename(outside / "codes")
        (folder / "projector").symlink_to(outside / "codes")

    def left_alone():
        return {
            path: (path.lstat().st_mtime_ns, path.is_symlink() or path.read_bytes())
            for path in outside.rglob("*")
            if not path.is_dir()
        }

    before, started = left_alone(), time.perf_counter()
    with pytest.raises(UserError, match="holds no finished run, or a damaged one"):
        load_run(config, folder, "cpu")
    assert time.perf_counter() - started < 1
    assert run(config, folder) is not None
    assert set(differences(whole, outcome(folder))) <= {"curve", "scalars", "images"}, (
        "what was lost before the older checkpoint"
    )
    assert load_run(config, folder, "cpu").metrics["test"] and left_alone() == before
    assert not any(
        files.kind(Path(name)) for name in names_of(original) if name != "skipped.txt"
    ), "no file was left out of these data"
    assert kind == "50 GB" or len(list(folder.glob("*.damaged"))) > 8, (
        "all are kept under another name"
    )


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


MEDDLED = {  # what somebody does to a file of a run at work, and what must not be lost by it
    "removed": lambda path: path.unlink(),
    "changed": lambda path: path.write_text("something else"),
    "a link": lambda path: put("a link", path, path.parent.parent / "elsewhere"),
    "a folder": lambda path: put("a folder", path, path),
    "a pipe": lambda path: put("a pipe", path, path),
}


@pytest.mark.parametrize("how", MEDDLED)
def test_files_that_somebody_removes_or_replaces_during_a_run_are_told_of_and_written_anew(
    how, tmp_path, capsys, undrawn
):
    config, folder = small_config("ae", "epochs=4"), tmp_path / "run"
    run(config, tmp_path / "whole")
    names = [
        "metrics.jsonl",
        "events.out.tfevents.genbench",
        "config.yaml",
        "status.json",
        "run.log",
        ".lock",
    ]
    names = names[:-1] if how == "changed" else names  # nobody reads what is in it
    capsys.readouterr()
    assert (
        meddled(folder, config, lambda: [MEDDLED[how](folder / name) for name in names]) is not None
    )
    said = capsys.readouterr().out
    assert not differences(outcome(tmp_path / "whole"), outcome(folder))
    assert all(name in said for name in names[:2]) and ("run.log" in said or how == "changed")
    assert (
        not (tmp_path / "elsewhere").exists()
        or (tmp_path / "elsewhere").read_text() == "somebody else's"
    )
    assert how == "removed" or (folder / "metrics.jsonl.damaged").exists() or how == "a link"
    assert run(config, folder) is None, "it is done, and on record with its settings"


def test_a_run_whose_folder_is_removed_goes_on_in_a_new_one(tmp_path, capsys, undrawn):
    config, folder = small_config("ae", "epochs=4"), tmp_path / "run"
    run(config, tmp_path / "whole")
    assert meddled(folder, config, lambda: shutil.rmtree(folder)) is not None
    assert (
        "the folder was removed while the run was at work, and is made anew"
        in capsys.readouterr().out
    )
    assert (
        not differences(outcome(tmp_path / "whole"), outcome(folder))
        and run(config, folder) is None
    )
    assert "epoch 3" in (folder / "run.log").read_text()


def test_a_run_whose_folder_has_become_another_stops_and_touches_nothing(tmp_path, undrawn):
    config, folder = small_config("ae", "epochs=4"), tmp_path / "run"
    run(config, tmp_path / "other")
    before = {p.name: p.read_bytes() for p in (tmp_path / "other").iterdir() if p.is_file()}

    def replace():
        folder.rename(tmp_path / "moved")
        (tmp_path / "other").rename(folder)

    with pytest.raises(
        UserError,
        match=r"is another folder than the one in which the run began; fix: bring the run's own folder",
    ) as told:
        meddled(folder, config, replace)
    assert told.value.code == 1 and before == {
        p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()
    }
    assert run(config, tmp_path / "moved") is not None, "what was done up to there is kept"


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EACCES, "choose another folder"),
        (errno.EROFS, "choose another"),
    ],
)
def test_room_is_asked_for_only_where_it_lacks(error, fix, tmp_path):
    assert fix in str(
        files.CannotWrite.because(OSError(error, os.strerror(error)), tmp_path / "file", 9)
    )
    assert "its folder is gone; fix: bring" in str(
        files.CannotWrite.because(OSError(error, ""), tmp_path / "gone" / "file", 9)
    )


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


def test_what_strangers_wrote_into_a_runs_settings_is_never_advised(finished, tmp_path):
    config, original, _ = finished
    before = config | {"model": config["model"] | {"class": "os.system"}}
    with pytest.raises(UserError, match=r"another hydra\.run\.dir=FOLDER") as told:
        require_same(before, config, {})
    assert "use " not in str(told.value)
    with pytest.raises(UserError) as told:
        require_same(config | {"x\x1b[2J": "$(reboot)"}, config, {})
    assert "use " not in told.value.fix and str(told.value).isprintable()


SELF_REFERRING = "a: &a [*a]"
MERGED = (
    f"a: &a {{{', '.join(f'k{i}' for i in range(5000))}}}\n" + "b: [" + "{<<: *a}," * 5000 + "]"
)
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi")
)
NO_TEXT = b"\xff\xfe\x00beta: 4".decode("latin-1")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "{a: " * 20_000,
        "[" * 60 + "]" * 60,
        SELF_REFERRING,
        LAUGHS,
        MERGED,
        NO_TEXT,
        "a: 2020-99-99",
        "!!int ''",
        "!!timestamp x",
    ],
    ids=range(10),
)
def test_yaml_that_no_program_could_work_with_is_damaged(text, tmp_path):
    (tmp_path / "config.yaml").write_bytes(text.encode("latin-1"))
    started = time.process_time()
    with pytest.raises(files.Unreadable, match=r"config.yaml: is damaged: "):
        files.read_yaml(tmp_path / "config.yaml")
    assert time.process_time() - started < 5


def test_yaml_may_nest_and_merge_as_far_as_people_do(tmp_path):
    nested = "{a: " * 40 + "1" + "}" * 40
    (tmp_path / "config.yaml").write_text(f"one: &one {{b: 2}}\ntwo: {{<<: *one}}\nc: {nested}\n")
    found = files.read_yaml(tmp_path / "config.yaml")
    assert found["two"] == {"b": 2} and str(found["c"]).count("a") == 40


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 50_000, "[" * 60 + "]" * 60, NO_TEXT, '{"a": 1', "1" * 5000],
    ids=range(6),
)
def test_json_that_no_program_could_work_with_is_damaged(text, tmp_path):
    (tmp_path / "metrics.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(files.Unreadable, match=r"metrics.json: is damaged: "):
        files.read_json(tmp_path / "metrics.json")


def lines_of(content: bytes, path: Path) -> list[dict]:
    """What can be read of a file of records with this content."""
    path.write_bytes(content)
    return [value for _, value in files.read_json_lines(path, {"epoch": int})]


def test_lines_that_are_no_records_take_no_time(tmp_path):
    path, good = tmp_path / "metrics.jsonl", b'{"epoch": 1}\n'
    started = time.process_time()
    assert lines_of(b"\n" * 10_000_000 + good, path) == [{"epoch": 1}]
    assert lines_of(good + b"{" + good, path) == [{"epoch": 1}]
    with pytest.raises(files.Unreadable, match="more than 1,000 lines are no records"):
        lines_of(b"x\n" * 1_000_000, path)
    assert time.process_time() - started < 5


def test_reading_lines_stops_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr(signals, "_asked", signal.SIGTERM)
    with pytest.raises(signals.Interrupted):
        lines_of(b'{"epoch": 1}\n' * 5000, tmp_path / "metrics.jsonl")


def test_points_that_cannot_be_read_are_kept_under_another_name(tmp_path, undrawn):
    config = small_config("pca")
    run(config, tmp_path)
    for name in ("status.json", "metrics.json"):
        (tmp_path / name).unlink()
    (tmp_path / "metrics.jsonl").write_text("x\n" * 2000)
    assert run(config, tmp_path) is not None
    assert (tmp_path / "metrics.jsonl.damaged").read_text() == "x\n" * 2000


def test_a_log_that_finds_no_room_does_not_stop_the_run(tmp_path, capfd, undrawn, monkeypatch):
    append = files.append
    monkeypatch.setattr(
        appending,
        "append",
        lambda path, content: (full if path.name == "run.log" else append)(path, content),
    )
    run(small_config("pca"), tmp_path)
    assert not capfd.readouterr().err


# --- the folder and other processes ---------------------------------------------------------------------------


def test_a_folder_that_cannot_be_is_refused_before_the_data_are_loaded(
    genbench, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(experiment, "load", lambda *args: pytest.fail("the data were loaded"))
    done = genbench("model=pca", *TINY, "hydra.run.dir=file/run")
    assert (
        done.returncode == 2
        and "Not a directory" in done.stderr
        and "hydra.run.dir=FOLDER" in done.stderr
    )


@pytest.mark.parametrize("below", ["", "/run"])
def test_a_link_that_leads_nowhere_is_named_where_a_folder_should_be(below, genbench, tmp_path):
    (tmp_path / "link").symlink_to("gone")
    for words in (["hydra.run.dir="], ["-m", "hydra.sweep.dir="]):
        done = genbench("model=pca", *TINY, *words[:-1], f"{words[-1]}link{below}")
        assert done.returncode == 2
        assert "link: is a link where a folder should be; fix: move it away" in done.stderr
    with pytest.raises(UserError, match="is a link where a folder should be"):
        files.make_folder(Path(f"link{below}"), "choose another")


def test_a_folder_whose_name_is_not_utf8_holds_a_run_like_any_other(genbench, tmp_path, sketched):
    folder = os.fsdecode(b"caf\xe9")
    done = genbench("model=pca", *TINY, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / folder / "samples.gif").exists() and genbench("show", folder).returncode == 0


def test_a_lock_of_another_program_is_set_aside(tmp_path):
    (tmp_path / ".lock").write_text("held by backup.sh")
    lock = Lock(tmp_path)
    lock.acquire()
    lock.write_owner()
    assert (tmp_path / ".lock.damaged").read_text() == "held by backup.sh"
    lock.release()
    lock.acquire()
    assert not (tmp_path / ".lock.damaged-2").exists(), "it is known as a lock again"
    lock.release()


def test_of_two_processes_in_one_folder_one_runs_and_the_other_names_it(genbench, tmp_path):
    folder = tmp_path / "run"
    ready, tell = os.pipe()

    def hold():
        lock = Lock(folder)
        lock.acquire()
        lock.write_owner()
        os.write(tell, b".")
        time.sleep(60)

    owner = forked(hold)
    try:
        os.read(ready, 1)
        done = genbench("model=pca", *TINY, f"hydra.run.dir={folder}")
        assert done.returncode == 2 and f"process {owner} is at work here" in done.stderr
        assert not (folder / "config.yaml").exists()
    finally:
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
    assert genbench("model=pca", *TINY, f"hydra.run.dir={folder}").returncode == 0, (
        "a lock ends with its owner, however that ends"
    )


def test_runs_started_at_once_have_folders_of_their_own(tmp_path, monkeypatch, undrawn):
    monkeypatch.chdir(tmp_path)
    children = [forked(lambda: main(["model=pca", *TINY])) for _ in range(5)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 5
    states = [
        json.loads((folder / "status.json").read_text())["state"]
        for folder in (tmp_path / "outputs").iterdir()
    ]
    assert states == ["done"] * 5


# --- the memory and the console -------------------------------------------------------------------------------


def test_a_batch_that_does_not_fit_the_memory_is_told_with_the_way_out(
    tmp_path, monkeypatch, undrawn
):
    monkeypatch.setattr(Autoencoder, "step", lambda self, batch: torch.empty(10**16))
    with pytest.raises(
        UserError,
        match=r"batch_size: the memory does not suffice \(got 50\); fix: a smaller batch_size",
    ) as told:
        run(small_config("ae"), tmp_path)
    assert told.value.code == 1 and "Traceback" in (tmp_path / "run.log").read_text()


def test_an_error_that_nobody_foresaw_is_one_line_with_the_traceback_in_the_log(
    genbench, tmp_path, monkeypatch
):
    def broken(self, batch):
        raise KeyError("weights\nof nothing")

    monkeypatch.setattr(Autoencoder, "step", broken)
    done = genbench("model=ae", *TINY, "hydra.run.dir=run")
    assert done.returncode == 1 and "KeyError: 'weights\\nof nothing'; fix: see " in done.stderr
    assert "Traceback" in (tmp_path / "run" / "run.log").read_text()
    assert json.loads((tmp_path / "run" / "status.json").read_text())["reason"].startswith(
        str(tmp_path / "run")
    )


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_every_error_tells_a_way_out(file):
    for call in ast.walk(ast.parse(file.read_text())):
        if isinstance(call, ast.Call) and getattr(call.func, "id", None) == "UserError":
            assert len(call.args) >= 4 or any(k.arg == "fix" for k in call.keywords), (
                f"{file.name}:{call.lineno}"
            )


def test_output_to_a_file_holds_lines_and_nothing_else(genbench, tmp_path):
    done = genbench("model=ae", *TINY)
    assert (
        done.returncode == 0
        and "\x1b" not in done.stdout
        and "\r" not in done.stdout
        and "\b" not in done.stdout
    )
    assert any("epoch 2/2" in line for line in done.stdout.splitlines())


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


# --- what strangers wrote and called their files ----------------------------------------------------------------

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def test_frames_that_are_no_pictures_start_no_program_and_cost_only_themselves(
    tmp_path, capsys, monkeypatch, sketched
):
    draw_final = Run.draw_final

    def meddled(self, epoch, *args, **more):
        for content in (POSTSCRIPT, b"\x89PNG\r\n\x1a\n and nothing more"):
            self.curves.events.picture(self.pictures.tag("samples"), content, (9, 9), 0)
        draw_final(self, epoch, *args, **more)

    monkeypatch.setattr(Run, "draw_final", meddled)
    monkeypatch.setattr(
        EpsImagePlugin, "Ghostscript", lambda *args, **more: pytest.fail("a program was started")
    )
    run(small_config("pca"), tmp_path)
    assert "the film leaves out 2 frames of events.out.tfevents.genbench" in capsys.readouterr().out
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "done"


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_pictures_are_opened_by_decoders_that_are_named(file):
    for call in ast.walk(ast.parse(file.read_text())):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("Image.open"):
            assert any(k.arg == "formats" for k in call.keywords), f"{file.name}:{call.lineno}"


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_no_file_is_opened_but_as_a_regular_one(file):
    """Nothing waits for a pipe: what is opened is known to be regular, new, in memory, or the program's own."""
    for call in ast.walk(ast.parse(file.read_text())):
        if (
            not isinstance(call, ast.Call)
            or file.parent.name == "files"
            or file.name == "output.py"
        ):
            continue
        text, (*owner, name) = ast.unparse(call), ast.unparse(call.func).split(".")
        raw = text.startswith("open(") or (owner and name in ("read_bytes", "read_text"))
        raw = raw or ".".join([*owner, name]) in ("torch.load", "np.load", "Image.open")
        own = any(known in text for known in ("opened(", "O_EXCL", "BytesIO", "__file__"))
        known = {
            ("card.py", "file.read_bytes()"),
            ("pictures.py", "Image.open(file, formats=formats)"),
        }
        assert not raw or own or (file.name, text) in known, f"{file.name}:{call.lineno}: {text}"


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder", "a socket"])
def test_data_may_be_links_to_files_and_nothing_else(kind, tmp_path):
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to("file")
    with open(files.opened(tmp_path / "link", links=True), "rb") as content:
        assert content.read() == b"data"
    put(kind, tmp_path / "strange", tmp_path / "elsewhere")
    started = time.perf_counter()
    for read in (
        readers.read_content,
        lambda path: readers._idx_bytes(path, 1),
        lambda path: readers._amat_bytes(path, 28),
    ):
        with pytest.raises(OSError, match=r"it is (a|no) |No such device"):
            read(tmp_path / "strange")
    assert time.perf_counter() - started < 1


EVIL = "bad\x1b[32mY\nZ\udcff"


def test_names_of_folders_and_files_are_one_printable_line_wherever_they_come_out(
    genbench, tmp_path
):
    rng = np.random.default_rng(0)
    for name in ("good", EVIL):
        (tmp_path / "root" / name).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(
                tmp_path / "root" / name / f"{i}.png"
            )
    (tmp_path / "root" / "good" / f"{EVIL}.png").write_bytes(b"none")
    (tmp_path / "root" / "good" / f"loop{EVIL}").symlink_to(tmp_path / "root" / "good")
    words = [
        "model=pca",
        "dataset=image-folder",
        "dataset.root=root",
        "dataset.skip_bad=true",
        "device=cpu",
    ]
    done = genbench(*words, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    escaped = r"bad\x1b[32mY\nZ\xff"
    assert f"{escaped}.png" in done.stdout and f"loop{escaped}" in done.stdout
    assert all(line.isprintable() for line in done.stdout.splitlines())
    for name in ("skipped.txt", "projector/labels.tsv"):
        text = (tmp_path / "run" / name).read_text(encoding="utf-8")
        assert escaped in text and all(
            line.replace("\t", "").isprintable() for line in text.split("\n")
        )
    labels = (tmp_path / "run" / "projector" / "labels.tsv").read_text().splitlines()
    assert len(labels) == len(
        (tmp_path / "run" / "projector" / "codes.tsv").read_text().splitlines()
    )


def test_no_text_steers_a_terminal_and_a_path_can_be_typed(tmp_path, monkeypatch, capsys):
    on = PipeSafeConsole(file=io.StringIO(), width=80)
    on.print("a\x1b[2Jb", Text("c\x07\x9bd"), markup=False)
    table = Table("e\x1b]0;f")
    table.add_row("g\x1bh")
    on.print(table)
    echo(f"one{EVIL}line")
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and said.rstrip("\n").isprintable()
    assert "\x1b" not in on.file.getvalue() and "\\x1b" in on.file.getvalue()
    monkeypatch.chdir(tmp_path)
    for name in (EVIL, "it's\\x\n'", "plain", "a b"):
        folder = tmp_path / name
        folder.mkdir()
        assert quoted(folder).isprintable()
        found = subprocess.run(
            ["bash", "-c", f"cd {quoted(folder)} && pwd"], capture_output=True, check=True
        ).stdout
        assert os.fsencode(folder) + b"\n" == found


class Full(io.StringIO):
    """A stream to a disk without room."""

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("words", "status"),
    [(["models"], 1), (["--help"], 1), (["model=pca", "device=cpu", "hydra.run.dir=run"], 0)],
    ids=lambda w: str(w)[:9],
)
def test_output_that_cannot_be_written_fails_no_run(
    words, status, genbench, tmp_path, monkeypatch, undrawn
):
    monkeypatch.setattr(sys, "stdout", Full())
    done = genbench(*words)
    assert (
        done.returncode == status
        and "standard output: cannot be written: No space left on device; fix: " in done.stderr
    )
    assert status or json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"


@pytest.mark.skipif(not LINUX, reason="there is such a device on Linux only")
def test_a_full_disk_behind_the_output_is_told_in_a_line():
    with open("/dev/full", "w") as full_disk:
        done = subprocess.run(
            [sys.executable, "-m", "genbench", "models"],
            stdout=full_disk,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (
        done.returncode == 1
        and done.stderr.count("\n") == 1
        and "No space left on device" in done.stderr
    )

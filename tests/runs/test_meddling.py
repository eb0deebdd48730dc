"""What others do to the folder of a run: links, forged and removed files, other processes."""

import json
import os
import shutil
import signal
import time
import tracemalloc
from pathlib import Path

import pytest
import torch
from helpers.configs import sketch, small_config
from helpers.faults import TINY, meddled
from helpers.runs import STRANGE, differences, forked, outcome, put

from genbench import experiment
from genbench.cli.main import main
from genbench.experiment import load_run, run
from genbench.figures.renderer import FigureRenderer
from genbench.models.ae import Autoencoder
from genbench.runs.checkpoints import Unusable, read_checkpoint
from genbench.runs.compatibility import require_same
from genbench.utils import files
from genbench.utils.errors import UserError
from genbench.utils.lock import Lock


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
    with pytest.raises(UserError, match="holds no finished run: "):
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


MEDDLED = {  # what somebody does to a file of a run at work, and what must not be lost by it
    "removed": lambda path: path.unlink(),
    "changed": lambda path: path.write_text("something else"),
    "a link": lambda path: put("a link", path, path.parent.parent / "elsewhere"),
    "a folder": lambda path: put("a folder", path, path),
    "a pipe": lambda path: put("a pipe", path, path),
}


@pytest.mark.parametrize("how", MEDDLED)
def test_files_that_somebody_removes_or_replaces_during_a_run_are_told_of_and_written_anew(
    how, tmp_path, capsys
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


def test_a_run_whose_folder_is_removed_goes_on_in_a_new_one(tmp_path, capsys):
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


def test_a_run_whose_folder_has_become_another_stops_and_touches_nothing(tmp_path):
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


def test_another_model_in_a_folder_is_named_before_its_settings():
    """Its settings differ, too, and would be taken for those of another version."""
    before, now = small_config("vae"), small_config("pca")
    with pytest.raises(UserError, match=r"model: .* run with model=vae \(got model=pca\); fix:"):
        require_same(before, now, {})


def test_what_strangers_wrote_into_a_runs_settings_is_never_advised(finished, tmp_path):
    config, original, _ = finished
    before = config | {"model": config["model"] | {"class": "os.system"}}
    with pytest.raises(UserError, match=r"another hydra\.run\.dir=FOLDER") as told:
        require_same(before, config, {})
    assert "use " not in str(told.value)
    with pytest.raises(UserError) as told:
        require_same(config | {"x\x1b[2J": "$(reboot)"}, config, {})
    assert "use " not in told.value.fix and str(told.value).isprintable()


def test_points_that_cannot_be_read_are_kept_under_another_name(tmp_path):
    config = small_config("pca")
    run(config, tmp_path)
    for name in ("status.json", "metrics.json"):
        (tmp_path / name).unlink()
    (tmp_path / "metrics.jsonl").write_text("x\n" * 2000)
    assert run(config, tmp_path) is not None
    assert (tmp_path / "metrics.jsonl.damaged").read_text() == "x\n" * 2000


def test_a_folder_that_cannot_be_is_refused_before_the_data_are_loaded(
    genbench, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(experiment, "load_data", lambda *args: pytest.fail("the data were loaded"))
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


def test_runs_started_at_once_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    children = [forked(lambda: main(["model=pca", *TINY])) for _ in range(5)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 5
    states = [
        json.loads((folder / "status.json").read_text())["state"]
        for folder in (tmp_path / "outputs").iterdir()
    ]
    assert states == ["done"] * 5


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("batch_size=50", r"batch_size: .* \(got 50\); fix: a smaller batch_size or model; see "),
        ("hidden=[32,3000]", r"hidden: .* \(got \[32, 3000\]\); fix: lower hidden; see "),
        ("dataset.resize=[300,8]", r"dataset.resize: .* \(got \[300, 8\]\); fix: dataset.resize="),
    ],
)
def test_a_batch_that_does_not_fit_the_memory_is_told_with_the_way_out(
    setting, says, tmp_path, monkeypatch
):
    monkeypatch.setattr(Autoencoder, "step", lambda self, batch: torch.empty(10**16))
    with pytest.raises(UserError, match=says) as told:
        run(small_config("ae", setting), tmp_path)
    assert told.value.code == 1 and "Traceback" in (tmp_path / "run.log").read_text()


@pytest.mark.parametrize(
    ("model", "setting", "memory"),
    [
        ("gan", "latent_dim=100000", 30_000_000),
        ("gan", "latent_dim=9223372036854775807", 100_000_000),
        ("ae", "hidden=[32,100000]", 30_000_000),
        ("gmm", "n_init=100000", 100_000_000),
        ("vae", "dataset.resize=[1000,1000]", 2_000_000_000),  # of the images
        # of the model: all images take 9 MB
        ("gmm", "dataset.resize=[50,50] covariance=full", 100_000_000),
    ],
)
def test_what_cannot_fit_the_memory_is_refused_before_it_is_made(
    model, setting, memory, tmp_path, monkeypatch
):
    monkeypatch.setattr("genbench.utils.memory.MEMORY", memory)
    name = setting.partition("=")[0]
    with pytest.raises(UserError, match=rf"{name}: .* would take .* of memory, and this machine"):
        run(small_config(model, *setting.split()), tmp_path)


def test_data_that_do_not_fit_the_memory_are_named_not_the_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("genbench.experiment.load_data", lambda *_: torch.empty(10**16))
    with pytest.raises(UserError, match=r"dataset: .* for the data \(got digits\)"):
        run(small_config("ae"), tmp_path / "usual")
    with pytest.raises(UserError, match=r"dataset.size: .* for the data \(got 100000\)"):
        config = small_config("gan", "dataset.size=100000", dataset="ring")
        run(config, tmp_path / "large")

"""Loggers: every point once, also after a resume and a crash; one that fails costs a warning, never a run."""

import json
import sys
from types import SimpleNamespace

import pytest
from helpers.configs import small_config
from helpers.loggers import Remembering
from helpers.runs import newest

from genbench.config.registry import builtin_registry
from genbench.config.saved import recorded
from genbench.experiment import run
from genbench.runs.directory import Record, digest
from genbench.runs.loggers.group import LOGGER_CLASSES, LoggerGroup
from genbench.runs.loggers.interface import LoggedRun, tags
from genbench.runs.loggers.on_wandb import WandB
from genbench.runs.recorder import Run
from genbench.utils import files
from genbench.utils.files import appending

LONG = small_config("kmeans-sgd", "schedule=constant")


@pytest.fixture
def server(monkeypatch):
    """The class of a logger that is chosen as logger=mlflow, with nothing in it yet."""
    monkeypatch.setattr(Remembering, "servers", {})
    monkeypatch.setattr(Remembering, "broken", set())
    monkeypatch.setitem(LOGGER_CLASSES, "mlflow", "helpers.loggers.Remembering")
    return Remembering


def points_of(server):
    (mine,) = server.servers.values()
    return mine


def curve(folder):
    """The points of metrics.jsonl, as a logger gets them."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(point["epoch"], tags(point)) for point in lines]


def test_a_logger_gets_every_point_once_through_resumes_and_lost_checkpoints(server, tmp_path):
    config = LONG | {"logger": ["mlflow"]}
    run(config | {"epochs": 2}, tmp_path)
    newest(tmp_path).unlink()  # as after a crash between a point and its checkpoint
    run(config, tmp_path)
    mine = points_of(server)
    assert [epoch for epoch, _ in mine.points] == [1, 2, 3, 4]
    speed = {"speed/images_per_second"}
    for (_, got), (_, kept) in zip(mine.points, curve(tmp_path), strict=True):
        assert {k: v for k, v in got.items() if k not in speed} == {
            k: v for k, v in kept.items() if k not in speed
        }
    assert mine.finals[-1]["final/epochs"] == 4 and mine.closed == 2
    assert not [*tmp_path.glob("events.out.*")]


def test_another_logger_may_be_chosen_when_a_run_goes_on(server, tmp_path):
    run(LONG | {"epochs": 2}, tmp_path)
    assert not (tmp_path / "loggers.json").exists()
    run(LONG | {"logger": ["tensorboard", "mlflow"]}, tmp_path)
    assert [epoch for epoch, _ in points_of(server).points] == [1, 2, 3, 4]
    assert (tmp_path / "events.out.tfevents.genbench").stat().st_size > 0
    assert Record(tmp_path, LONG | {"logger": "none"}).done


def test_a_logger_that_fails_costs_one_warning(server, tmp_path, capsys):
    server.broken.add("point")
    run(LONG | {"epochs": 2, "logger": ["mlflow", "tensorboard"]}, tmp_path)
    out = capsys.readouterr().out
    assert out.count("warning: the run goes on without some curves in mlflow") == 1
    assert "no server answers" in out
    server.broken.clear()
    run(LONG | {"logger": ["mlflow", "tensorboard"]}, tmp_path)
    assert [epoch for epoch, _ in points_of(server).points] == [1, 2, 3, 4]
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize("what", ["point", "replay"])
def test_a_logger_that_fails_is_closed(what, server, tmp_path):
    group = LoggerGroup(["mlflow"], LoggedRun(tmp_path, "run", {}), lambda line: None)
    point = {"epoch": 1, "train": {"loss": 1.0}}
    server.broken.add("point")
    group.open(0, None, [point] if what == "replay" else [])
    group.point(point)
    assert points_of(server).closed == 1
    group.close()
    assert points_of(server).closed == 1


def test_tensorboard_goes_on_after_a_write_that_found_no_room(tmp_path, monkeypatch):
    lines, points = [], [{"epoch": epoch, "train": {"loss": 1.0}} for epoch in (1, 2, 3)]

    def board():
        return LoggerGroup(["tensorboard"], LoggedRun(tmp_path, "run", {}), lines.append)

    def full(path, content):
        raise files.CannotWrite.because(OSError(28, "No space left"), path, len(content))

    group = board()
    group.open(0, None, [])
    for point in points:
        with monkeypatch.context() as patch:
            if point["epoch"] == 2:
                patch.setattr(appending, "append", full)
            group.point(point)
        group.picture("samples/run", b"png", (1, 1), point["epoch"])
    assert len(lines) == 1 and "without some curves in tensorboard" in lines[0]
    assert len(group.pictures("samples/run")) == 3
    assert group.mark() is None  # so that a resumed run draws all curves anew
    group.close()
    group = board()
    group.open(3, None, points)
    assert "its earlier pictures are lost" in lines[1] and len(lines) == 2
    assert group.mark() is not None
    assert [path.name for path in tmp_path.glob("*.damaged")] == [
        "events.out.events.genbench.damaged"
    ]


@pytest.mark.parametrize(
    ("mode", "has_key", "expected"),
    [("", False, "offline"), ("", True, None), ("online", False, None)],
)
def test_wandb_never_asks_for_a_key(mode, has_key, expected, tmp_path, monkeypatch):
    lines, asked = [], []

    def login(*, prompt, verify):
        assert not prompt
        return has_key

    library = SimpleNamespace(login=login, init=lambda **more: asked.append(more), Settings=dict)
    monkeypatch.setitem(sys.modules, "wandb", library)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    WandB(LoggedRun(tmp_path, "run", {}), lines.append).open(0, {})
    assert asked[0]["mode"] == expected and len(lines) == (expected == "offline")


def test_a_run_has_its_state_before_loggers_close_which_may_be_interrupted(server, tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    recorder = Run(tmp_path, LONG | {"logger": ["mlflow"]})
    with pytest.raises(KeyboardInterrupt), recorder:
        recorder.start()
        recorder.curves.loggers.close = interrupted
        raise ValueError("a mistake")
    assert recorder.record.status["state"] == "failed" and not recorder.lock.held


def test_a_logger_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(LOGGER_CLASSES, "trackio", "genbench_has_no_such_module.Trackio")
    run(small_config("pca", "logger=trackio"), tmp_path)
    assert "pip install 'genbench[trackio]'" in capsys.readouterr().out


def test_how_a_run_is_watched_is_no_part_of_its_identity(tmp_path):
    config = small_config("pca", "logger=none")
    without = {name: value for name, value in config.items() if name != "logger"}
    assert digest(config) == digest(config | {"logger": "wandb"}) == digest(without)
    run(config, tmp_path)
    file = tmp_path / "config.yaml"
    text = "".join(x for x in file.read_text().splitlines(True) if not x.startswith("logger:"))
    file.write_text(text)  # as of a run that an earlier version made
    found = recorded(tmp_path, builtin_registry())
    assert found["logger"] == "tensorboard" and Record(tmp_path, found).done


# --- the real ones, with local stores ------------------------------------------------------------


@pytest.fixture
def stores(tmp_path, monkeypatch):
    """Local stores of MLflow, Trackio and W&B."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # of processes that are started
    return tmp_path


def epochs_in_mlflow():
    """The epochs of the training loss, and the status, of each run by its key."""
    import mlflow

    client, found = mlflow.MlflowClient(), {}
    for experiment in client.search_experiments():
        for one in client.search_runs([experiment.experiment_id]):
            histories = {
                name: sorted(m.step for m in client.get_metric_history(one.info.run_id, name))
                for name in one.data.metrics
            }
            found[one.data.tags["genbench.key"]] = (one.info.status, histories, one.data.params)
    return found


def epochs_in_trackio(curve="epoch"):
    """The values of a curve that counts epochs of each run by its name."""
    from trackio.sqlite_storage import SQLiteStorage

    return {
        name: [row[curve] for row in SQLiteStorage.get_logs("genbench", name) if curve in row]
        for name in SQLiteStorage.get_runs("genbench")
    }


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")  # of these libraries
def test_mlflow_has_every_point_once(stores, tmp_path):
    pytest.importorskip("mlflow")
    config, folder = LONG | {"logger": "mlflow"}, tmp_path / "run"
    run(config | {"epochs": 2}, folder)
    newest(folder).unlink()
    run(config, folder)
    ((status, histories, parameters),) = epochs_in_mlflow().values()
    assert status == "FINISHED" and parameters["Model"] == "kmeans-sgd"
    curves = {name: steps for name, steps in histories.items() if not name.startswith("final/")}
    assert curves and all(steps == [1, 2, 3, 4] for steps in curves.values())
    assert histories["final/epochs"] == [2, 4]  # the run was finished twice, the longer one last


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
def test_trackio_has_every_point_once(stores, tmp_path, monkeypatch):
    pytest.importorskip("trackio")
    from trackio import sqlite_storage

    monkeypatch.setattr(sqlite_storage, "TRACKIO_DIR", tmp_path / "trackio")
    config, folder = LONG | {"logger": "trackio"}, tmp_path / "run"
    run(config | {"epochs": 2}, folder)
    newest(folder).unlink()
    run(config, folder)
    (epochs,) = epochs_in_trackio().values()
    assert epochs == [1, 2, 3, 4]
    assert [*epochs_in_trackio("final/epochs").values()] == [[2, 4]]


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
def test_trackio_knows_a_run_whose_folder_was_moved(stores, tmp_path, monkeypatch):
    pytest.importorskip("trackio")
    from trackio import sqlite_storage

    monkeypatch.setattr(sqlite_storage, "TRACKIO_DIR", tmp_path / "trackio")
    config = LONG | {"logger": "trackio"}
    run(config | {"epochs": 2}, tmp_path / "run", title="first")
    (tmp_path / "run").rename(tmp_path / "moved")
    run(config, tmp_path / "moved", title="second")
    assert [*epochs_in_trackio().values()] == [[1, 2, 3, 4]]


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
def test_wandb_works_without_a_network(stores, tmp_path, capfd):
    pytest.importorskip("wandb")
    config, folder = LONG | {"logger": "wandb"}, tmp_path / "run"
    run(config | {"epochs": 2}, folder)
    run(config, folder)
    state = json.loads((folder / "loggers.json").read_text())
    assert state["reached"] == {"wandb": 4}
    assert len([*(folder / "wandb").glob(f"offline-run-*-{state['key']}")]) >= 1
    assert "goes on without" not in capfd.readouterr().out


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
def test_each_job_of_a_sweep_is_a_run_of_its_own(stores, genbench, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("trackio")
    from trackio import sqlite_storage

    monkeypatch.setattr(sqlite_storage, "TRACKIO_DIR", tmp_path / "trackio")
    words = [
        "model=ae",
        "lr=.001,.002",
        "together=true",
        "epochs=2",
        "evaluation=none",
    ]
    words += ["dataset.limit=130", "logger=[mlflow,trackio]", "jobs=1", "hydra.sweep.dir=sweep"]
    assert genbench("-m", *words).returncode == 0
    found = epochs_in_mlflow().values()
    assert {parameters["lr"] for _, _, parameters in found} == {"0.001", "0.002"}
    assert all(histories["train/loss"] == [1, 2] for _, histories, _ in found)
    assert [*epochs_in_trackio().values()] == [[1, 2], [1, 2]]

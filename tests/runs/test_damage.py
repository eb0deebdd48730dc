"""Files of runs that are well-formed and wrong: another run's weights, content of the wrong form. Each is told of, and the
printed way out is one."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from helpers.configs import small_config
from helpers.runs import differences, newest, outcome
from rich.text import Text

from genbench import experiment
from genbench.config.registry import builtin_registry
from genbench.experiment import load_run, run
from genbench.figures.renderer import FigureRenderer
from genbench.report.load import gathered
from genbench.runs import checkpoints
from genbench.runs.directory import digest
from genbench.sweeps.launch import execute
from genbench.utils.console import PipeSafeConsole
from genbench.utils.files import within
from genbench.utils.schema import METRICS, Maybe, fault, is_finite_number

CPU = torch.device("cpu")
CATALOGUE = builtin_registry()


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Finished runs that differ in their seed, their data, or their model: each its config and its folder."""
    top = tmp_path_factory.mktemp("originals")
    configs = {
        "one": small_config("ae", "sampler=gaussian", "schedule=constant", "epochs=3", "seed=1"),
        "two": small_config("ae", "sampler=gaussian", "schedule=constant", "epochs=3", "seed=2"),
        "pca": small_config("pca"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for some in ("watched", "finished"):
            patch.setattr(FigureRenderer, some, lambda self, model, epoch: iter(()))
        patch.setattr(
            experiment, "evaluated", lambda *args, **more: {"card": [dict(ENTRY)], "diagnosis": []}
        )
        for name, config in configs.items():
            execute(config, top / name, CATALOGUE)
    return {name: (config, top / name) for name, config in configs.items()}


ENTRY = {
    "name": "mse",
    "group": "reconstruction",
    "unit": "",
    "better": "lower",
    "value": 1.0,
    "low": None,
    "high": None,
}
ENTRY |= {"n": {"test": 9}, "on": "test", "features": None, "of": ""}


@pytest.fixture
def copy(originals, tmp_path):
    """A copy of a finished run in the working directory."""

    def copied(name="one"):
        return Path(shutil.copytree(originals[name][1], tmp_path / "run"))

    return copied


def changed(folder, name, change):
    """A JSON file of a run with a change of its content."""
    found = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(change(found) or found))


def put_checkpoint(folder, content, stem="checkpoint-000003-000000"):
    """A checkpoint with this content, and the digest that belongs to it, in place of the newest."""
    newest(folder).unlink()
    return checkpoints._write(folder, stem, content)


def ends_as(folder, other):
    """Whether the training of two runs came to the same."""
    return not {"model", "progress", "stopping", "curve"} & {
        *differences(outcome(folder), outcome(other))
    }


def follow(genbench, told):
    """Do what an error line advises."""
    fix = re.search(r"fix: (?:move it away, then )?genbench (.+)", told.stderr)[1]
    if "move it away" in told.stderr:
        Path(re.search(r"error: (\S+?): ", told.stderr)[1]).unlink()
    done = genbench(*shlex.split(fix))
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("stem", ["checkpoint-000003-000000", "checkpoint-000009-000000"])
def test_a_finished_run_uses_the_weights_that_it_ended_with_whatever_else_lies_there(
    stem, originals, copy, genbench
):
    (config, original), (_, other), folder = originals["one"], originals["two"], copy()
    theirs = newest(other)
    for file in (*other.glob("finished-*.pt"), theirs):
        shutil.copy(file, folder / file.name.replace(theirs.name[:24], stem))
    ours = load_run(config, original, "cpu")
    found = load_run(config, folder, "cpu")
    assert (
        torch.equal(found.sample(5, seed=0), ours.sample(5, seed=0))
        and "done already" in genbench("resume", "run").stdout
    )
    if "9" in stem:  # as of an earlier version, of which nothing tells which was the last
        changed(
            folder,
            "status.json",
            lambda status: {k: v for k, v in status.items() if k not in ("checkpoint", "finished")},
        )
        told = genbench("sample", "run", "n=2")
        assert (
            told.returncode == 2
            and "is of another run: it has seed=2, and the run here seed=1; fix: move it"
            in told.stderr
        )
        follow(genbench, told)
    assert torch.equal(load_run(config, folder, "cpu").sample(5, seed=0), ours.sample(5, seed=0))


@pytest.mark.parametrize("name", ["two", "pca"])
def test_a_run_with_only_another_runs_weights_is_refused_with_a_way_out(
    name, originals, copy, genbench
):
    folder = copy()
    for file in folder.glob("checkpoint-*.pt"):
        file.unlink()
    shutil.copy(newest(originals[name][1]), folder)
    assert "train it again: genbench resume run" in genbench("evaluate", "run").stderr
    told = genbench("resume", "run")
    assert told.returncode == 2 and re.search(
        r"is of another run: it has (seed=2|model.name=pca), and the run here", told.stderr
    )
    follow(genbench, told)
    assert ends_as(folder, originals["one"][1]) and genbench("sample", "run", "n=2").returncode == 0


def test_weights_of_the_same_settings_and_other_data_are_not_taken(originals, copy, genbench):
    folder = copy()
    content = torch.load(newest(folder), weights_only=True)
    put_checkpoint(folder, content | {"data": "others"})
    changed(folder, "status.json", lambda status: status.pop("checkpoint") and None)
    assert "these are not the data" in genbench("sample", "run").stderr
    done = genbench("resume", "run", "epochs=4")
    assert (
        done.returncode == 0
        and "is of a run with other data, and set aside" in done.stdout
        and "after epoch 2" in done.stdout
    )


def test_a_fit_that_is_not_the_runs_own_is_made_anew(originals, copy):
    (config, original), folder = originals["one"], copy()
    ours = load_run(config, original, "cpu").sample(5, seed=0)
    path = checkpoints._write(folder, "finished", {"mean": torch.zeros(1)})
    changed(folder, "status.json", lambda status: status | {"finished": path.name})
    assert torch.equal(load_run(config, folder, "cpu").sample(5, seed=0), ours)


def without(*names):
    """A change of a nested dict that takes away what these names lead to."""

    def change(content):
        *parents, last = names
        for name in parents:
            content = content[name]
        del content[last]

    return change


def having(value, *names):
    """A change of a nested dict that puts a value where these names lead to."""

    def change(content):
        *parents, last = names
        for name in parents:
            content = content[name]
        content[last] = value

    return change


MISSHAPEN = {
    "another version": having(99, "format"),
    "nothing but a format": lambda content: [
        content.pop(name) for name in [*content] if name != "format"
    ],
    "no data": without("data"),
    "settings are a number": having(3, "settings"),
    "no weights": having({}, "model"),
    "a weight is text": lambda content: having("x", "model", next(iter(content["model"])))(content),
    "a weight of another shape": lambda content: having(
        torch.zeros(3), "model", next(iter(content["model"]))
    )(content),
    "no clock": without("progress", "clock"),
    "more than there is": having(1, "progress", "step"),
    "momentum of another shape": having(
        torch.zeros(3), "progress", "optimizers", "model", "state", 0, "exp_avg"
    ),
    "no groups": having([], "progress", "optimizers", "model", "param_groups"),
    "another epoch": having(2, "at", "epoch"),
    "epochs of another length": having(7, "at", "of"),
    "a mark that is none": having([1], "events"),
    "half of the best": having({"epoch": 1}, "stopping", "best"),
    "seconds are text": having("x", "seconds"),
}


@pytest.mark.parametrize("how", MISSHAPEN)
def test_a_checkpoint_of_the_wrong_form_is_set_aside_and_the_one_before_used(
    how, originals, copy, genbench
):
    folder = copy()
    content = torch.load(newest(folder), weights_only=True)
    MISSHAPEN[how](content)
    bad = put_checkpoint(folder, content)
    done = genbench("resume", "run")
    assert done.returncode == 0 and re.search(
        rf"{bad.name} is (damaged|of another version).* set aside", done.stdout
    ), done.stdout
    assert "after epoch 2" in done.stdout and ends_as(folder, originals["one"][1])
    before = newest(folder)
    for file in folder.glob("checkpoint-*.pt"):
        if file != before:
            file.unlink()
    bad = put_checkpoint(folder, content)
    changed(folder, "status.json", lambda status: status | {"checkpoint": bad.name})
    told = genbench("evaluate", "run")
    if told.returncode:
        assert "move it away, then genbench resume run" in told.stderr
        follow(genbench, told)
    assert genbench("sample", "run", "n=2").returncode == 0


NUMBERS = {
    "a size is a number": having(5, "card", 0, "n"),
    "no yardstick": having(None, "card", 0, "of"),
    "real data are a number": having(5, "real_data"),
    "no cost": having({}, "cost"),
    "a part is a list": having([1], "test"),
    "a measure is no text": having([1], "card", 0, "name"),
    "a number is none": having("x", "time", "fit_seconds"),
    "remarks are numbers": having([3], "remarks"),
    "a fall is a text": having("x", "cost", "late_fall"),
    "no such letter": having("\ud800", "cost", "criterion"),
}


@pytest.mark.parametrize("how", NUMBERS)
def test_numbers_of_the_wrong_form_are_damaged_and_measured_anew(how, copy, genbench):
    folder = copy()
    changed(folder, "metrics.json", NUMBERS[how])
    told = genbench("show", "run")
    assert told.returncode == 2 and re.search(
        r"run/metrics.json: is damaged: .*; fix: genbench resume run", told.stderr
    )
    for command in ("sample", "evaluate"):
        assert "fix: genbench resume run" in genbench(command, "run").stderr
    follow(genbench, told)
    assert all(genbench(command, "run").returncode == 0 for command in ("show", "sample"))


def test_what_a_run_writes_has_the_form_that_is_read(originals):
    for config, folder in originals.values():
        assert load_run(config, folder, "cpu").metrics and not fault(
            json.loads((folder / "metrics.json").read_text()), METRICS
        )


@pytest.mark.parametrize(
    "line",
    [
        '{"epoch":"x"}',
        "null",
        '{"epoch":1,"train":5}',
        '{"epoch":0}',
        '{"epoch":1,"train":{"x":1e400}}',
        "7",
    ],
)
def test_a_point_of_the_wrong_form_is_left_out_of_the_curves(line, originals, copy, genbench):
    folder = copy()
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    (folder / "metrics.jsonl").write_text("\n".join([line, *lines[1:]]) + "\n")
    (folder / "events.out.tfevents.genbench").write_bytes(b"no events")
    done = genbench("resume", "run", "epochs=4")
    assert (
        done.returncode == 0 and "metrics.jsonl is damaged and holds 2 of 3 points" in done.stdout
    )
    assert [
        json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()
    ] == [2, 3, 4]


@pytest.mark.parametrize(
    "change",
    [
        having([1], "length"),
        having({"steps_per_epoch": 0}, "length"),
        having(3, "state"),
        without("state"),
    ],
)
def test_a_status_of_the_wrong_form_counts_as_lost(change, copy, genbench):
    folder = copy()
    changed(folder, "status.json", change)
    done = genbench("resume", "run", "epochs=4")
    assert (
        done.returncode == 0 and json.loads((folder / "status.json").read_text())["state"] == "done"
    )


@pytest.mark.parametrize("state", ["done", "interrupted"])
def test_lost_weights_are_named_before_the_run_trains_again(state, copy, originals, genbench):
    folder = copy()
    last = newest(folder)
    for path in folder.glob("checkpoint-*"):
        path.unlink()
    if state != "done":
        changed(folder, "status.json", having(state, "state"))
        changed(folder, "status.json", without("checkpoint"))
    refused = genbench("sample", "run")
    reason = f"{last.name}, which has its weights, is gone" if state == "done" else f"it is {state}"
    assert f"run: holds no finished run: {reason}" in refused.stderr
    done = genbench("resume", "run")
    what = last.name if state == "done" else "the checkpoint after 9 steps"
    assert done.returncode == 0 and f"warning: {what} is lost" in done.stdout
    assert ends_as(folder, originals["one"][1])
    assert "is lost" not in genbench("resume", "run", "epochs=4").stdout


def test_lost_settings_come_back_by_the_command_of_the_run(copy, genbench):
    folder = copy()
    (folder / "config.yaml").unlink()
    (folder / "status.json").unlink()
    for command in ("resume", "sample", "show"):
        error = "run/config.yaml: is gone; fix: repeat the run's own command with hydra.run.dir=run"
        assert error in genbench(command, "run").stderr


def test_report_and_show_give_one_way_out_of_damaged_numbers(copy, genbench):
    folder = copy()
    for name in ("metrics.json", "status.json", "config.yaml"):
        whole = (folder / name).read_bytes()
        (folder / name).write_text("{")
        (lost,) = gathered([folder], CATALOGUE)[1]
        if name != "status.json":  # without which it shows the numbers that are there
            assert lost.reason.partition("fix: ")[2] in genbench("show", "run").stderr
        assert lost.reason.startswith(f"{name}: is damaged: ")
        (folder / name).write_bytes(whole)


def test_a_run_of_version_0_1_is_done_and_goes_on(originals, copy, genbench):
    config, folder = originals["one"][0], copy()
    old = {**config, "dataset": {**config["dataset"], "loader": "genbench.datasets.digits"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(old))
    for path in folder.glob("checkpoint-*"):
        content = torch.load(path, weights_only=True)
        path.unlink()
        checkpoints._write(folder, path.name[:24], {**content, "settings": old})
    changed(folder, "status.json", having(digest(old), "config"))
    changed(folder, "status.json", having(newest(folder).name, "checkpoint"))
    for words in (("show", "run"), ("sample", "run"), ("resume", "run")):
        done = genbench(*words)
        assert done.returncode == 0, done.stderr
    assert "is done already" in done.stdout
    assert not gathered([folder], CATALOGUE)[1]
    done = genbench("resume", "run", "epochs=4")
    assert done.returncode == 0 and "resuming after epoch 3" in done.stdout
    assert load_run({**config, "epochs": 4}, folder, "cpu").metrics["cost"]["epochs"] == 4


@pytest.mark.parametrize("directory", ["a" * 300, "", "..", "a/b", "a\0b", 3])
def test_a_job_whose_folder_cannot_be_costs_only_itself(directory, copy, genbench, tmp_path):
    copy()
    jobs = [
        {"directory": directory, "state": "pending"},
        {"directory": "never", "state": "pending"},
    ]
    (tmp_path / "sweep_summary.json").write_text(json.dumps({"jobs": jobs}))
    done = genbench("report", ".")
    assert done.returncode == 0 and "never" in done.stdout and done.stderr == ""


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("seed", "2026-01-01", "seed is datetime.date"),
        ("seed", "x", "seed: must be int in"),
        ("model.name", "x", "has the name 'model.name'"),
    ],
)
def test_settings_that_cannot_be_name_their_file_and_the_runs_own_command_brings_them_back(
    key, value, says, originals, copy, genbench
):
    folder = copy()
    text = (folder / "config.yaml").read_text()
    whole, lines = (
        yaml.safe_load(text),
        [line for line in text.splitlines() if not line.startswith(f"{key}:")],
    )
    (folder / "config.yaml").write_text("\n".join([*lines, f"{key}: {value}"]) + "\n")
    for command in ("show", "sample", "resume"):
        told = genbench(command, "run")
        assert (
            told.returncode == 2
            and "run/config.yaml: is damaged" in told.stderr
            and says in told.stderr
        )
        assert "fix: repeat the run's own command with hydra.run.dir=run" in told.stderr
    execute(originals["one"][0], folder, CATALOGUE)
    assert (
        yaml.safe_load((folder / "config.yaml").read_text()) == whole
        and genbench("sample", "run", "n=2").returncode == 0
    )


@pytest.mark.parametrize(
    ("key", "value"), [("latent_dim", 5), ("seed", 7), ("  limit", 99), ("epochs", 2)]
)
def test_numbers_are_never_told_beside_settings_that_were_changed_by_hand(
    key, value, originals, copy, genbench
):
    folder = copy()
    whole = (folder / "config.yaml").read_text()
    edited = re.sub(rf"(?m)^{key}: .*$", f"{key}: {value}", whole)
    assert edited != whole
    (folder / "config.yaml").write_text(edited)
    (found, lost) = gathered([folder], CATALOGUE)
    shown = genbench("show", "run")
    assert not found and shown.returncode == 2
    for text in (lost[0].reason, shown.stderr):
        assert (
            "config.yaml: does not hold the settings that the run was started with; fix: repeat the run's own command"
            in text
        )
    execute(originals["one"][0], folder, CATALOGUE)  # as it advises
    assert (folder / "config.yaml").read_text() == whole and genbench("show", "run").returncode == 0
    changed(folder, "status.json", lambda status: status.pop("config") and status)
    (folder / "config.yaml").write_text(edited)
    assert len(gathered([folder], CATALOGUE)[0]) == 1, "earlier versions did not say"


def test_no_text_of_a_file_is_markup(copy, genbench):
    folder = copy()
    for term in ("[/red]", "[bold]x", ":smile:", "[link=file:///etc/passwd]y[/link]"):
        changed(folder, "metrics.json", having(1.5, "test", term))
        changed(
            folder,
            "metrics.json",
            lambda found, term=term: found["card"].append(
                ENTRY | {"name": term, "group": term, "of": term}
            ),
        )
        done = genbench("show", "run")
        assert done.returncode == 0 and done.stdout.count(term) >= 3, done.stdout
    console = PipeSafeConsole(width=80)
    assert console.render_str("[/red] :smile:").plain == Text("[/red] :smile:").plain


def test_a_number_of_any_length_is_refused_as_any_other(copy, genbench):
    copy()
    told = genbench("resume", "run", f"epochs={'9' * 5000}")
    assert told.returncode == 2 and "epochs: must be int >= 1" in told.stderr


def test_folders_may_be_deeper_than_calls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        Path("d").mkdir()
        monkeypatch.chdir("d")
    Path("status.json").touch()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path)
    found = within(tmp_path, ["status.json"])
    assert [len(file.parts) - len(tmp_path.parts) for file in found] == [1201]
    found[0].unlink()
    for folder in found[0].parents[:1200]:  # as what clears up calls itself for each
        folder.rmdir()


def test_a_working_directory_that_is_gone_is_told(tmp_path, genbench, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (["model=pca"], ["resume", "run"], ["-m", "seed=1,2"], ["report", "x"]):
        told = genbench(*words)
        assert told.returncode == 2 and "working directory: is gone; fix: cd " in told.stderr, (
            told.stderr
        )
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("value", "form", "says"),
    [
        ({"a": 1}, {"a": int, "b": Maybe(str)}, ""),
        ({"a": True}, {"a": int}, "a is True"),
        ({}, {"a": int}, "a is missing"),
        ({"a": {"b": [1, "x"]}}, {"a": {"b": [int]}}, "a.b[1] is 'x'"),
        ({"a": "x", "b": 1}, {"a": str, str: int}, ""),
        ({"a": "x", "b": "y"}, {"a": str, str: int}, "b is 'y'"),
        ({1: 2}, {str: int}, "it has the name 1"),
        ([{"a": None}], [({"a": int}, None)], "it[0].a is None"),
        (None, (int, None), ""),
        (float("nan"), is_finite_number, "it is nan"),
        (10**5000, is_finite_number, "it is a number of too many digits"),
        (3, object, ""),
        (True, object, ""),
    ],
    ids=range(13),
)
def test_a_form_tells_where_a_value_departs_from_it(value, form, says):
    assert fault(value, form) == says


def test_a_deep_value_is_looked_at_once():
    seen = []
    form = [(lambda value: seen.append(value) or False, [(str, None)], {str: int})]
    for _ in range(45):
        form = [(int, form, {str: form})]
    value = [3.0]
    for _ in range(45):
        value = [value]
    assert fault(value, form).endswith("[0] is 3.0") and len(seen) == 1


def test_other_checkpoints_do_not_push_out_the_runs_own(originals, tmp_path):
    config, _ = originals["one"]
    tmp_path = tmp_path / "run"
    tmp_path.mkdir()
    write = checkpoints._write
    for epoch in (8, 9):
        write(tmp_path, f"checkpoint-00000{epoch}-000000", {"somebody": epoch})
    with pytest.raises(checkpoints.UserError, match="every checkpoint is damaged"):
        run(config, tmp_path)
    content = torch.load(newest(originals["one"][1]), weights_only=True)
    own = [checkpoints.write_checkpoint(tmp_path, epoch, 0, content) for epoch in (1, 2, 3)]
    assert [path.exists() for path in own] == [False, True, True] and len(
        list(tmp_path.glob("checkpoint-*.pt"))
    ) == 4

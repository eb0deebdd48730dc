"""Folders of runs: their names, their files, and going on in them."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from helpers.commands import TINY
from helpers.configs import config_of, small_config
from helpers.runs import differences, forked, outcome

from genbench.cli.main import main
from genbench.config.registry import builtin_registry
from genbench.config.resolvers import run_name, unique_name
from genbench.config.saved import recorded
from genbench.experiment import load_run, run
from genbench.runs.directory import Record, digest
from genbench.utils.errors import UserError
from genbench.utils.lock import Lock


def test_the_same_command_with_the_runs_directory_goes_on(genbench, tmp_path):
    """Also where Hydra's grammar, not a shell, reads the directory's name."""
    assert genbench("model=pca", "latent_dim=[3]", *TINY).returncode == 2
    args = ["model=ae", "network=mlp", "hidden=[8,8]", *TINY]
    assert genbench(*args).returncode == 0
    (folder,) = (tmp_path / "outputs").iterdir()
    again = genbench(*args, f"hydra.run.dir=outputs/{folder.name}")
    assert again.returncode == 0 and "is done already" in again.stdout, again.stderr


def test_a_run_is_at_work_only_while_a_process_holds_its_lock(tmp_path):
    record, lock = Record(tmp_path, {}), Lock(tmp_path)
    assert record.state == ""
    record.write_status("running")
    assert record.state == "interrupted", "no process was ever here"
    lock.acquire()
    assert record.state == "running" and locked_for_others(tmp_path), "asking did not unlock it"
    lock.release()
    assert record.state == "interrupted" and not locked_for_others(tmp_path)
    record.replace_state("failed", "was killed")
    assert record.state == "failed" and record.status["reason"] == "was killed"


def locked_for_others(folder):
    """Whether another process finds the folder locked."""
    code = f"""
from pathlib import Path
from genbench.utils.lock import is_locked
print(is_locked(Path({str(folder)!r})))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True).stdout == b"True\n"


def test_only_the_settings_of_a_run_go_on_in_its_directory(genbench, tmp_path):
    folder = tmp_path / "run"
    run = ["model=ae", "schedule=constant", *TINY, f"hydra.run.dir={folder}"]
    assert genbench(*run).returncode == 0
    kept = {p: p.read_bytes() for p in folder.iterdir() if p.is_file()}

    def files(*without, **changed):
        """The run as it was, but for these files."""
        for path, content in kept.items():
            path.write_bytes(content)
        for path in kept:
            if path.name.startswith(without):
                path.unlink()
            if path.stem in changed:
                path.write_text(changed[path.stem])

    for without in (("checkpoint",), ("config",), ("config", "metrics.json")):
        files(*without)
        other = genbench(*run, "lr=0.1")
        assert other.returncode == 2 and (
            "lr=0.1" in other.stderr or "config.yaml" in other.stderr
        ), without
        assert genbench(*run).returncode == 0
    files(config=re.sub("(?m)^lr: .*$", "lr: 0.1", (folder / "config.yaml").read_text()))
    changed = genbench("resume", str(folder), "epochs=3")
    assert changed.returncode == 2 and "is not what the run here was started with" in changed.stderr
    for damaged in ("hello: [", "", "model: {name: ae}"):
        files(config=damaged)
        refused = genbench("resume", str(folder))
        assert refused.returncode == 2 and re.search("is damaged: .*; fix: repeat", refused.stderr)
        assert genbench(*run).returncode == 0 and genbench("resume", str(folder)).returncode == 0
    wrong = genbench("resume", str(folder), "epochs=²")
    assert wrong.returncode == 2 and "epochs: must be int >= 1" in wrong.stderr


def test_numbers_and_curves_that_were_lost_come_back_or_are_missed(genbench, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    genbench("model=ae", "schedule=constant", *TINY, f"hydra.run.dir={folder}")
    numbers = (folder / "metrics.json").read_text()
    (folder / "metrics.json").unlink()
    assert genbench("resume", str(folder)).returncode == 0
    again = json.loads((folder / "metrics.json").read_text())
    assert {**again, "time": None} == {**json.loads(numbers), "time": None}

    os.truncate(folder / "events.out.tfevents.genbench", 1000)
    done = genbench("resume", str(folder), "epochs=3")
    assert done.returncode == 0 and "curves are drawn anew" in done.stdout
    events = EventAccumulator(str(folder))
    events.Reload()
    curve = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    drawn = [(e.step, e.value) for e in events.Scalars("train/loss")]
    assert (
        drawn == [(line["epoch"], pytest.approx(line["train"]["loss"])) for line in curve]
        and len(drawn) == 3
    )

    (folder / "metrics.jsonl").write_bytes(
        b"\xff\xfe" + (folder / "metrics.jsonl").read_bytes()[:-20]
    )
    done = genbench("resume", str(folder), "epochs=4")
    assert done.returncode == 0 and "holds 1 of 3 points" in done.stdout


def test_damaged_checkpoints_are_noticed(genbench, tmp_path):
    folder = tmp_path / "run"
    args = ["model=ae", "schedule=constant", *TINY, f"hydra.run.dir={folder}"]
    assert genbench(*args).returncode == 0
    newest = max(folder.glob("checkpoint-*.pt"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    done = genbench("resume", str(folder), "epochs=3")
    assert (
        done.returncode == 0
        and "is damaged" in done.stdout
        and "resuming after epoch 1" in done.stdout
    )
    whole = tmp_path / "whole"
    assert (
        genbench(
            "model=ae", "schedule=constant", *TINY[1:], "epochs=3", f"hydra.run.dir={whole}"
        ).returncode
        == 0
    )
    ours, theirs = (max(d.glob("checkpoint-*.pt")) for d in (folder, whole))
    ours, theirs = (torch.load(path, weights_only=True)["model"] for path in (ours, theirs))
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    for path in folder.glob("checkpoint-*.pt"):
        path.write_bytes(b"")
    done = genbench("resume", str(folder), "epochs=4")
    assert done.returncode == 2 and "every checkpoint is damaged" in done.stderr


def test_a_killed_run_goes_on_to_the_same_end(genbench, tmp_path, sketched):
    args = ["model=ae", "epochs=40", "draw_every=20", *TINY[1:]]
    child = forked(lambda: main([*args, "hydra.run.dir=killed"]))
    while len(list((tmp_path / "killed").glob("checkpoint-*.pt"))) < 2:
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    status = json.loads((tmp_path / "killed" / "status.json").read_text())
    assert status["state"] == "running" and 1 <= status["epoch"] < 40
    assert "resuming after epoch" in genbench("resume", "killed").stdout
    assert genbench(*args, "hydra.run.dir=whole").returncode == 0
    assert not differences(outcome(tmp_path / "whole"), outcome(tmp_path / "killed"))


def test_a_run_that_was_refused_can_be_corrected_in_its_directory(genbench, tmp_path):
    folder = tmp_path / "run"
    done = genbench("model=pca", "latent_dim=100", *TINY, f"hydra.run.dir={folder}")
    assert done.returncode == 2 and "latent_dim" in done.stderr
    done = genbench("model=pca", "latent_dim=10", *TINY, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr


def test_a_folder_is_named_by_model_dataset_and_chosen_values():
    assert run_name("vae", ["model=vae", "beta=4", "hydra.sweep.dir=x"]) == "vae_beta-4"
    chosen = ["lr=1e-3", "++hidden=[8,8]", "prior=salt-and-pepper", "dataset=ring"]
    assert run_name("beta-vae", chosen) == "beta-vae_ring_lr-1e-3_hidden-8-8_prior-salt-and-pepper"
    aside = [
        "device=cpu",
        "evaluation=quick",
        "draw_every=2",
        "save_every=3",
        "dataset.root='/some where/cats'",
    ]
    assert run_name("pca", [*aside, "dataset=image-folder"]) == "pca_image-folder"
    assert (
        run_name("pca", aside, named={"dataset.root", "evaluation"})
        == "pca_evaluation-quick_root-cats"
    )


def test_jobs_that_do_not_know_of_each_other_have_names_of_their_own():
    texts = [
        "a/b",
        "a-b",
        "a b",
        "'a b'",
        "../a/b",
        "..",
        ".",
        "-a-b",
        "a-b-",
        "a_b-1",
        "a_b=1",
        "ü",
        "u",
        "[a b]",
        "'[a,b]'",
        "[a,b",
        "100," * 100,
    ]
    texts += ["100," * 100 + "1", "é" * 300, "a\\b", "a\nb", "\udce9"]
    names = [unique_name("vae", [f"tag={text}"]) for text in texts]
    assert len({*names, "vae_tag"}) == len(texts) + 1
    assert all(
        re.fullmatch(r"vae_tag[\w.+-]*", name) and len(name.encode()) <= 80 for name in names
    ), names
    assert unique_name("vae", ["x=a", "y=b"]) != unique_name("vae", ["x=a_y=b"])
    assert all(
        re.fullmatch(r"vae_tag[\w.+-]*", name) and len(name.encode()) <= 80
        for name in (run_name("vae", [f"tag={t}"]) for t in texts)
    )


@pytest.mark.parametrize(
    ("model", "setting", "value", "another"),
    [("ae", "ema", 0.0, 0.5), ("gan", "ema", 0.0, 0.5), ("kmeans", "bound", False, True)],
)
def test_a_run_of_a_version_without_a_setting_of_its_model_goes_on(
    model, setting, value, another, tmp_path
):
    """The setting has the value that says what was done then."""
    config = small_config(model, f"{setting}={value}")
    run(config, tmp_path)
    then = {name: given for name, given in config.items() if name != setting}
    lines = (tmp_path / "config.yaml").read_text().splitlines(True)
    (tmp_path / "config.yaml").write_text(
        "".join(x for x in lines if not x.startswith(f"{setting}:"))
    )
    status = json.loads((tmp_path / "status.json").read_text())
    (tmp_path / "status.json").write_text(json.dumps(status | {"config": digest(then)}))
    found = recorded(tmp_path, builtin_registry())
    assert found == config and Record(tmp_path, found).done
    Record(tmp_path, found).require_same_settings()
    with pytest.raises(UserError, match=f"with {setting}={value}"):
        Record(tmp_path, found | {setting: another}).require_same_settings()
    load_run(found, tmp_path, "cpu")


def test_a_run_of_a_version_without_a_setting_of_its_data_goes_on(tmp_path):
    """Such as `dataset.header`, which was as `auto` says."""
    file = tmp_path / "t.csv"
    file.write_text("a,b\n" + "".join(f"{i},{i % 7}\n" for i in range(30)))
    config = config_of("pca", f"dataset.path={file}", "dataset.label=none", dataset="table")
    folder = tmp_path / "run"
    run(config, folder)
    dataset = {name: value for name, value in config["dataset"].items() if name != "header"}
    then = config | {"dataset": dataset}
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("  header: auto\n", ""))
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"config": digest(then)}))
    found = recorded(folder, builtin_registry())
    assert found == config and Record(folder, found).done
    load_run(found, folder, "cpu")

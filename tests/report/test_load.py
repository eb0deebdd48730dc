"""Reading the folders of runs, whatever is in them."""

import json
import math
import os
import signal
import sys

import pytest
import yaml
from helpers.reports import card, page, read_csv, said
from PIL import EpsImagePlugin, Image

from genbench.config.registry import builtin_registry
from genbench.report import command
from genbench.utils import signals


def test_runs_without_results_are_listed_with_their_reason(left, capsys):
    left(metrics=card(("fid", 1.0, {})))
    left(changes={"n_components": 3}, state="failed", reason="n_components: too many")
    left(changes={"n_components": 4}, state="interrupted", epoch=7)
    damaged = left(changes={"n_components": 5})
    (damaged / "metrics.json").write_text('{"cost": {"crit')
    (left(changes={"n_components": 6}) / "config.yaml").write_text("model: [")
    odd = left(changes={"n_components": 7})
    (odd / "metrics.json").write_text(
        json.dumps({"cost": {"criterion_contains": 3}, "test": [1], "card": "none"})
    )
    deep = left(
        changes={"n_components": 8},
        metrics=card(("fid", 10**400, {}), ("recall", math.nan, {}), ("modes", True, {})),
    )
    (deep / "metrics.jsonl").write_text('{"epoch": Infinity}\n' + "[" * 100_000)
    (left(changes={"n_components": 9}) / "status.json").write_text('{"a":' * 100_000)
    (left.folder / "early").mkdir()
    (left.folder / "early" / "status.json").write_text('{"state": "failed", "reason": "no room"}')
    jobs = [{"directory": "never", "state": "pending"}, {"directory": "0_gmm", "state": "done"}, 7]
    (left.folder / "sweep_summary.json").write_text(json.dumps({"jobs": jobs}))
    report = left.report()
    missing = {run.folder: (run.state, run.reason) for run in report.failed}
    assert missing["1_gmm"] == ("failed", "n_components: too many") and missing["2_gmm"] == (
        "interrupted",
        "stopped after epoch 7",
    )
    assert (
        "metrics.json: is damaged" in missing["3_gmm"][1]
        and "config.yaml: is damaged" in missing["4_gmm"][1]
    )
    assert (
        missing["5_gmm"][0] == "unreadable"
        and missing["early"] == ("failed", "no room")
        and missing["never"][0] == "pending"
    )
    assert missing["7_gmm"] == ("unreadable", missing["7_gmm"][1])
    assert missing["7_gmm"][1].startswith("status.json: is damaged")
    assert len(missing) == 9 and [row.runs[0].folder for row in report.rows] == ["0_gmm"]
    shown, text = capsys.readouterr().out, (left.folder / "report.md").read_text()
    for words in ("n_components: too many", "stopped after epoch 7", "no room"):
        assert words in shown and words in page(left.folder).words
    assert "n\\_components: too many" in text and "9 without results" in text


def test_damaged_pictures_and_curves_cost_only_themselves(left):
    folder = left(
        metrics=card(("fid", 1.0, {}), diagnosis=["the samples are alike"])
        | {"cost": {"criterion": "nll"}}
    )
    (folder / "samples.png").write_bytes(b"\x89PNG no")
    (folder / "metrics.jsonl").write_bytes(
        b'\xff{"epoch": 1}\n[]\n{"epoch": 1, "validation": {"nll": 1}}\n{"ep'
    )
    Image.new("RGB", (900, 300)).save(folder / "reconstructions.png")
    left.report()
    found = page(left.folder)
    assert (
        "Reconstructions" in found.words
        and "Samples" not in found.words
        and "the samples are alike" in found.words
    )
    assert not list(left.folder.glob("report_learning*")), "one point is no curve"


def postscript(path):
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


def of_another_kind(path):
    Image.new("RGB", (9, 9)).save(path, "gif")


def huge(path):
    Image.new("1", (20_000, 20_000)).save(path)


def cut(path):
    Image.effect_noise((90, 90), 9).save(path)
    path.write_bytes(path.read_bytes()[:2000])


NO_PICTURES = [
    (postscript, "is no PNG file"),
    (of_another_kind, "is no PNG file"),
    (huge, "exceeds limit"),
    (cut, "cannot be drawn"),
    (os.mkfifo, "a pipe"),
    (os.mkdir, "a folder"),
    (lambda path: path.symlink_to("/dev/zero"), "a link"),
    (lambda path: path.symlink_to(path), "a link"),
]


def test_only_png_files_are_opened_as_pictures_and_a_bad_one_leaves_the_rest(left, monkeypatch):
    for k, (make, _) in enumerate(NO_PICTURES):
        make(left(changes={"n_components": k + 2}, metrics=card(("fid", 1.0, {}))) / "samples.png")
    Image.new("L", (9, 9)).save(left(metrics=card(("fid", 1.0, {}))) / "samples.png")
    monkeypatch.setattr(
        EpsImagePlugin, "Ghostscript", lambda *args, **more: pytest.fail("a program was started")
    )
    left.report()
    found = page(left.folder)
    assert [tag for tag, attributes in found.tags if "loading" in attributes] == ["img"]
    for k, (_, why) in enumerate(NO_PICTURES):
        assert f"{k}_gmm/samples.png " in found.words and why in found.words


def test_a_report_can_be_stopped_at_every_run_picture_and_chart(left, monkeypatch):
    for k in (2, 3, 4):
        Image.new("L", (9, 9)).save(
            left(changes={"n_components": k}, metrics=card(("fid", k, {}))) / "samples.png"
        )
    callers = []
    monkeypatch.setattr(signals, "check", lambda: callers.append(sys._getframe(1).f_code.co_name))
    left.report()
    assert callers.count("gathered") == 3 and callers.count("_galleries") >= 3
    assert callers.count("svg") == len([*left.folder.glob("report_*.svg")]) > 0

    def stop():
        raise signals.Interrupted(signal.SIGINT)

    monkeypatch.setattr(signals, "check", stop)
    with pytest.raises(signals.Interrupted):
        left.report()


def test_files_that_are_none_are_reported_and_not_waited_for(left, capsys):
    left(metrics=card(("fid", 1.0, {})))
    for name in ("config.yaml", "status.json", "metrics.json", "metrics.jsonl"):
        folder = left(metrics=card(("fid", 1.0, {})), changes={"n_components": 3 + len(name)})
        (folder / name).unlink()
        os.mkfifo(folder / name)
    (left(changes={"n_components": 4}) / "status.json").write_bytes(b'{"state": "\xff"}')
    (left(changes={"n_components": 5}) / "metrics.json").write_text(
        '{"cost":' + "[" * 60 + "]" * 60 + "}"
    )
    os.mkfifo(left.folder / "sweep_summary.json")
    report = left.report()
    reasons = {trouble.folder: trouble.reason for trouble in report.failed}
    assert len(report.rows) == 2 and set(reasons) == {
        "1_gmm",
        "2_gmm",
        "3_gmm",
        "5_gmm",
        "6_gmm",
    }, "a curve is no result"
    assert (
        "pipe" in reasons["2_gmm"] and "UTF-8" in reasons["5_gmm"] and "nested" in reasons["6_gmm"]
    )


def test_numbers_of_a_users_own_model_are_read_without_its_configs(left, genbench, tmp_path):
    folder = left(metrics=card(("fid", 1.5, {})))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model"]["name"] = "mine"
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"own_setting": 3}))
    report = left.report()
    assert report.failed == [] and report.title == "mine on digits"
    assert [row["fid"] for row in read_csv(left.folder)] == ["1.5"]
    (tmp_path / "configs" / "model").mkdir(parents=True)
    left(changes={"evaluation": "none"})
    registry = builtin_registry(str(tmp_path / "configs"))
    made = command.write_all([left.folder], left.folder, registry)
    assert "--config-dir configs measures it" in " ".join(said(made))


def test_a_run_that_could_not_record_its_failure_has_the_reason_that_the_sweep_knows(left):
    folders = [left(state="running"), left(), left()]
    (folders[1] / "status.json").unlink()
    reasons = {folder: f"the disk of {folder.name} is full" for folder in folders[:2]}
    made = command.write_all([left.folder], left.folder, builtin_registry(), reasons)
    failed = [(run.folder, run.state, run.reason) for run in made.failed]
    assert failed == [(f.name, "failed", reason) for f, reason in reasons.items()]


def test_a_total_is_a_number_also_in_files_that_had_it_as_a_text(left):
    new = ("modes", 7, {"total": 8, "better": "higher"})
    old = ("modes", 6, {"of": "of 8", "better": "higher"})
    for k, entry in enumerate((new, old)):
        left(changes={"n_components": k + 2}, metrics=card(entry))
    (quantity,) = (q for q in left.report().quantities if q.name == "modes")
    assert quantity.total == 8 and quantity.of == ""

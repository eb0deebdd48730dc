"""`genbench report` and the report at the end of a sweep: which files are written and which are left alone."""

import json
import re

import pytest
from helpers.reports import card, read_csv

from genbench.config.registry import builtin_registry
from genbench.report import command


@pytest.mark.parametrize("name", ["report.html", "report.csv", "report.md", "report_x.svg"])
def test_files_of_a_user_are_never_overwritten(left, genbench, capsys, name):
    for k in (2, 3):
        time = {"time": {"fit_seconds": 1.0 + k}}
        left(changes={"n_components": k}, metrics=card(("fid", 1.0 + k, {})) | time)
    left.report()
    chart = min(left.folder.glob("report_*.svg"))
    mine = left.folder / (chart.name if name == "report_x.svg" else name)
    left.report()
    mine.write_text("mine")
    before = {p: p.read_bytes() for p in left.folder.iterdir() if p.is_file()}
    done = genbench("report", "runs")
    assert done.returncode == 2 and f"{mine.name}: no report" in done.stderr, done.stderr
    assert {p: p.read_bytes() for p in left.folder.iterdir() if p.is_file()} == before
    capsys.readouterr()
    command.write_report(left.folder, builtin_registry())  # as a sweep does at its end
    shown = capsys.readouterr()
    assert "2 runs in 2 settings" in shown.out and f"{mine.name}: no report" in shown.err
    assert {p: p.read_bytes() for p in left.folder.iterdir() if p.is_file()} == before
    assert genbench("report", "runs", "report.dir=elsewhere").returncode == 0
    mine.unlink()
    assert genbench("report", "runs").returncode == 0 and mine.read_text() != "mine"


@pytest.mark.parametrize(
    "sweeper, name", [("genbench", "report.md"), ("basic", "report_of-mine.svg")]
)
def test_a_sweep_refuses_a_users_report_before_its_first_job(genbench, tmp_path, sweeper, name):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / name).write_text("mine")
    words = ["model=pca", "seed=0,1", "hydra.sweep.dir=sweep", f"hydra/sweeper={sweeper}"]
    done = genbench("-m", *words)
    assert done.returncode == 2 and "another folder with hydra.sweep.dir" in done.stderr
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == [name]


@pytest.mark.parametrize("damage", ["null", "[]", '{"files": 3}', "", None])
def test_the_way_out_of_a_damaged_list_is_one_that_works(left, genbench, damage, tmp_path):
    left(metrics=card(("fid", 1.0, {})))
    left.report()
    listed = left.folder / "report_files.json"
    listed.unlink()
    listed.mkdir() if damage is None else listed.write_text(damage)
    done = genbench("report", "runs")
    assert done.returncode == 2 and "report_files.json: is damaged" in done.stderr
    (names,) = re.findall("fix: move (.*) away, or", done.stderr)
    (tmp_path / "away").mkdir()
    for name in names.split(", "):
        (left.folder / name).rename(tmp_path / "away" / name)
    assert genbench("report", "runs").returncode == 0


@pytest.mark.parametrize("listed", [None, '["my list"]', "mine", "{}"])
def test_files_beside_no_list_of_ours_are_a_users(left, genbench, listed):
    """Also a page of ours that was changed, and the list itself."""
    left(metrics=card(("fid", 1.0, {})))
    left.report()
    files = left.folder / "report_files.json"
    if listed is None:
        files.unlink()
        with open(left.folder / "report.html", "a") as page:
            page.write("<p>my remarks")
    else:
        for page in left.folder.glob("report*"):
            page.unlink()
        files.write_text(listed)
    before = {p: p.read_bytes() for p in left.folder.iterdir() if p.is_file()}
    done = genbench("report", "runs")
    says = "no report of genbench wrote this file" if listed is None else "report_files.json: is"
    assert done.returncode == 2 and says in done.stderr
    assert {p: p.read_bytes() for p in left.folder.iterdir() if p.is_file()} == before


def test_nothing_to_report_is_told(genbench, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "report.dir=\n" in genbench("completion", "--", "report", "").stdout
    for words, says in (
        ([], "needs the folders"),
        (["nowhere"], "no such folder"),
        (["empty", "sort=x"], "no such option (got sort); fix: leave it out"),
        (["empty", "dir=x"], "no such option (got dir); fix: did you mean report.dir=x?"),
        (["empty"], "holds no runs"),
    ):
        done = genbench("report", *words)
        assert done.returncode == 2 and says in done.stderr, done.stderr


def test_several_folders_make_one_report_where_it_is_wanted(left, genbench, tmp_path):
    left(under="a", metrics=card(("fid", 1.0, {})))
    left(under="b/c", changes={"n_components": 3}, metrics=card(("fid", 2.0, {})))
    left(under="b/c", state="failed", reason="why")
    done = genbench("report", "a", "b", "b/../b/c", "report.dir=out/here")
    assert done.returncode == 0 and "2 runs in 2 settings; 1 without results" in done.stdout, (
        done.stderr
    )
    assert (
        "report: out/here/report.html" in done.stdout
        and len(read_csv(tmp_path / "out" / "here")) == 2
    )
    assert genbench("report", "a", "b").returncode == 0
    (folder,) = (tmp_path / "outputs").iterdir()
    assert folder.name.endswith("_report") and {"report.html", "report.csv", "report.md"} <= {
        path.name for path in folder.iterdir()
    }
    files = {path: path.read_bytes() for path in (tmp_path / "out" / "here").iterdir()}
    genbench("report", "a", "b", "report.dir=out/here")
    assert {path: path.read_bytes() for path in files} == files, (
        "the same runs make the same report"
    )


def test_a_sweep_ends_with_its_report_and_a_finished_one_is_left_alone(genbench, tmp_path):
    command = [
        "-m",
        "model=pca",
        "latent_dim=2,3",
        "epochs=1",
        "dataset.limit=60",
        "device=cpu",
        "hydra.sweep.dir=sweep",
    ]
    done = genbench(*command)
    assert done.returncode == 0 and "report: sweep/report.html" in done.stdout
    metrics = [
        json.loads(path.read_text()) for path in sorted(tmp_path.glob("sweep/*/metrics.json"))
    ]
    rows = read_csv(tmp_path / "sweep")
    assert [float(row["squared_error"]) for row in rows] == [
        found["test"]["squared_error"] for found in metrics
    ]
    files = {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in (tmp_path / "sweep").rglob("*")
        if path.is_file()
    }
    assert genbench(*command).returncode == 0
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == files

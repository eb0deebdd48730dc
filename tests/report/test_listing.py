"""Lists of runs and comparisons of a few, as `genbench ls` and `genbench compare` print them."""

import os
import subprocess
import sys
import time

import pytest
from helpers.reports import card, fault, sure

from genbench.evaluation.registry import headlines
from genbench.report.listing import SHOWN_FIRST, listed_runs


def entries(fid, mse, **more):
    return card(
        ("fid", fid, sure(fid, 1.0)),
        ("mse", mse, {"group": "reconstruction", **sure(mse, 0.01)}),
        cost={"criterion": "nll"},
        test={"n": 100, "nll": 12.25},
        **more,
    )


def test_a_list_has_a_line_for_each_run_the_newest_last(left, genbench):
    old = left("vae", metrics=entries(7.0, 0.5))
    young = left("pca", dataset="moons", metrics={"test": {"n": 100, "nll": 12.25}})
    stopped = left("gan", state="interrupted", epoch=3, length={"epochs": 40})
    broken = left("gmm", metrics=entries(7.0, 0.5))
    (broken / "metrics.json").write_text("{")
    (stopped / "config.yaml").write_text("model: [")
    folder_of_others = left.folder / "others"
    folder_of_others.mkdir()
    (folder_of_others / "config.yaml").write_text("server: 8080\n")
    for place, run in enumerate((young, stopped, broken, old)):
        for file in run.iterdir():
            os.utime(file, (place * 1e8, time.time() + place))
    done = genbench("ls", "runs")
    head, *lines, counts = done.stdout.splitlines()
    assert done.returncode == 0 and head.split() == [
        "when",
        "state",
        "model",
        "data",
        "measure",
        "run",
    ]
    assert [line.split()[3:] for line in lines] == [
        ["done", "pca", "moons", "nll", "12.25", f"runs/{young.name}"],
        ["interrupted", "?", "?", "epoch", "3", "of", "40", f"runs/{stopped.name}"],
        ["done", "gmm", "digits", f"runs/{broken.name}"],
        ["done", "vae", "digits", "fid", "7", f"runs/{old.name}"],
    ]
    assert counts == "4 runs: 3 done, 1 interrupted"
    chosen = genbench("ls", "runs", "metrics=mse,fid").stdout
    assert "mse 0.5, fid 7" in chosen and "nll" not in chosen


def test_pictures_and_tables_of_ones_own_are_told_apart(left):
    config = {"dataset": {"name": "image-folder", "root": "/home/me/birds"}}
    left("vae", config)
    (run,) = listed_runs(left.folder)
    assert run.data == "image-folder birds"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "no such folder (got nowhere)"),
        (["."], "holds no runs"),
        ([".", ".."], "lists one folder"),
        (
            [".", "metric=fid"],
            "is no option of ls (got metric=fid); fix: metrics=fid,mse is its only",
        ),
        ([".", "metrics="], "names no measures"),
    ],
)
def test_what_cannot_be_listed_is_said(words, says, genbench):
    done = genbench("ls", *words)
    assert done.returncode == 2 and says in done.stderr


def test_what_a_list_shows_first_are_headline_measures():
    """Their declarations import torch, which a list must not."""
    assert {*SHOWN_FIRST} <= {*headlines()}


def test_a_list_imports_neither_torch_nor_hydra_and_is_fast_for_many_runs(left, tmp_path):
    run = left("vae", metrics=entries(7.0, 0.5))
    for i in range(300):
        copy = left.folder / f"copy{i}"
        copy.mkdir()
        for file in run.iterdir():
            os.link(file, copy / file.name)
    code = (
        "import sys, time; from genbench.cli.main import main\n"
        "try: main(['ls', 'runs'])\n"
        "finally: print({*sys.modules} & {'torch', 'hydra', 'pandas'}, time.process_time())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    *_, counts, last = done.stdout.splitlines() or [done.stderr]
    assert counts == "301 runs: 301 done" and last.startswith("set() ")
    assert float(last.split()[1]) < 3, "seconds of CPU, of which 0.4 are needed"


def test_a_comparison_names_what_differs_beyond_the_intervals(left, genbench):
    symptom = {"diagnosis": [fault("undertrained")]}
    one = left("vae", {"beta": 1.0}, metrics=entries(7.0, 0.500))
    other = left("vae", {"beta": 4.0}, metrics=entries(9.5, 0.505) | symptom)
    third = left("pca", metrics=card(("fid", 20.0, sure(20.0))))
    done = genbench("compare", str(one), str(other))
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0 and ["beta", "1", "4"] in lines
    assert ["fid", "↓", "7", "[6,", "8]", "9.5", "[8.5,", "10.5]", "A", "is", "better"] in lines
    assert ["mse", "↓", "0.5", "[0.49,", "0.51]", "0.505", "[0.495,", "0.515]"] in lines
    assert ["nll", "↓", "12.25", "12.25"] in lines, "without an interval nothing is said"
    assert "Beyond the intervals, A is better at fid." in done.stdout
    assert "Within the intervals: mse." in done.stdout
    three = genbench("compare", str(other), str(third), str(one)).stdout
    lines = [line.split() for line in three.splitlines()]
    assert ["model", "vae", "pca", "vae"] in lines and ["beta", "4", "–", "1"] in lines
    assert "Beyond the intervals, C is best at fid." in three
    same = genbench("compare", str(one), str(left("vae", {"beta": 1.0}, metrics=entries(7, 0.5))))
    assert "no settings differ" in same.stdout


def test_numbers_on_other_data_are_shown_and_not_compared(left, genbench):
    runs = [
        left("vae", dataset=data, metrics=entries(fid, 0.5))
        for data, fid in (("mnist", 3), ("usps", 9))
    ]
    done = genbench("compare", *map(str, runs))
    assert (
        "A is better" not in done.stdout and "No measure with an interval compares" in done.stdout
    )


def test_terms_of_standardized_values_are_said_to_be_that(left, genbench):
    standardized = {"model": {"abilities": [], "standardized": True}}
    runs = [left("vae", {"beta": b}, metrics=entries(7.0, 0.5) | standardized) for b in (1.0, 4.0)]
    heading = "terms of the objective, test data"
    assert f"{heading}, standardized values\n" in genbench("compare", *map(str, runs)).stdout
    other = left("vae", metrics=entries(7.0, 0.5))
    assert f"{heading}\n" in genbench("compare", str(runs[0]), str(other)).stdout


def test_what_cannot_be_compared_is_said(left, genbench, tmp_path):
    run = left("vae", metrics=entries(7.0, 0.5))
    stopped = left("gan", state="interrupted", epoch=3)
    for words, says in (
        ([run], "needs the folders of two to 8 finished runs"),
        ([run, run], "needs the folders of two to 8 finished runs"),
        ([run, stopped], "has no numbers to compare, as the run is interrupted"),
        ([run, left.folder], "is not the folder of one run"),
        ([run, tmp_path / "nowhere"], "is not the folder of one run"),
    ):
        done = genbench("compare", *map(str, words))
        assert done.returncode == 2 and says in done.stderr

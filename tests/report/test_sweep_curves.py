"""Curves of a sweep: what is averaged, marked and left out, from job folders made by hand and from a real sweep."""

import csv
import itertools
import json

import numpy as np
import pytest
import yaml
from helpers.configs import config_of
from PIL import Image

from genbench.config.registry import builtin_registry
from genbench.figures import curves
from genbench.figures.canvas import Canvas
from genbench.report import sweep_curves, sweep_lines
from genbench.report.load import gathered


@pytest.fixture
def sweep(tmp_path):
    """A function that leaves a job's files in a sweep's folder; `sweep.curves()` are the curves of those so far."""
    count = itertools.count()

    def job(model, changes, criterion="nll", contains=(), state="done", dataset="digits", **values):
        folder = tmp_path / f"{next(count)}_{model}"
        folder.mkdir()
        config = config_of(model, dataset=dataset) | changes
        cost = dict.fromkeys(("epochs", "steps", "kept_epoch", "parameters"), 1)
        cost |= {"criterion": criterion, "criterion_contains": list(contains)}
        parts = {
            part: {"n": 1} | ({} if criterion is None else {criterion: value})
            for part, value in values.items()
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "status.json").write_text(json.dumps({"state": state}))
        if state == "done":
            (folder / "metrics.json").write_text(
                json.dumps(parts | {"cost": cost, "time": {}, "machine": {"device": "cpu"}})
            )

    job.folder = tmp_path
    job.curves = lambda: list(sweep_lines.curves(gathered([tmp_path], builtin_registry())[0]))
    return job


def test_the_least_held_out_value_is_marked_and_told_with_the_test_value_there(sweep, capsys):
    for k, held_out in zip(
        (1, 2, 3, 5, 8, 12, 20), (9.0, 7.0, 5.0, 4.0, 3.0, 3.5, 6.0)
    ):  # job 10 comes after job 9
        sweep(
            "gmm",
            {"n_components": k, "covariance": "diag"},
            train=9.5 - k / 3,
            validation=held_out,
            test=held_out + 0.125,
        )
    (curve,) = sweep.curves()
    (line,) = curve.lines
    assert line.x.tolist() == [1, 2, 3, 5, 8, 12, 20] and line.parts["train"][:, 0].argmin() == 6
    assert (line.at, line.word, line.judged, curve.log) == (4, "least", "validation", True)
    sweep_curves.draw_curves(sweep.folder, builtin_registry())
    shown = capsys.readouterr().out
    assert (
        "least validation nll at n_components=8: 3; test nll there: 3.125" in shown
        and curve.title == "gmm on digits, covariance=diag"
    )
    with Image.open(sweep.folder / "nll_against_n_components_gmm_on_digits.png") as picture:
        assert picture.width > 500
    with open(sweep.folder / "nll_against_n_components_gmm_on_digits.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["n_components"], row["test"]) for row in rows if row["marked"] == "least"] == [
        ("8", "3.125")
    ]


def test_a_falling_curve_is_marked_at_its_knee_on_the_axis_that_is_drawn(sweep):
    for k in (1, 2, 3, 4, 5, 6, 7, 8):  # steep down to 4, then flat
        sweep("kmeans", {"n_components": k}, "inertia", validation=10.0 - 2 * min(k, 4) - 0.1 * k)
    # two straight pieces over log K that meet at 64; over K itself 32 is farthest out
    for k in (1, 2, 4, 8, 16, 32, 64, 128):
        sweep(
            "pca",
            {"latent_dim": k},
            "squared_error",
            validation=-10 * min(np.log2(k), 6.0) - np.log2(k),
        )
    linear, log = sweep.curves()
    assert (linear.lines[0].x[linear.lines[0].at], linear.lines[0].word, linear.log) == (
        4,
        "elbow",
        False,
    )
    assert (log.lines[0].x[log.lines[0].at], log.lines[0].word, log.log) == (64, "elbow", True)


def test_a_curve_without_a_knee_has_no_elbow():
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert sweep_lines.elbow(x, -x) is None, "straight"
    assert sweep_lines.elbow(x, -(x**2)) is None, "bent the other way"
    assert sweep_lines.elbow(x[:2], -x[:2]) is None, "two points"
    assert sweep_lines.mark(x, np.ones(4), log=False, falls=True) == (None, "")
    assert sweep_lines.mark(x[:2], -x[:2], log=False, falls=True) == (None, "")
    assert sweep_lines.mark(x, x, log=False, falls=True) == (0, "least")


@pytest.mark.parametrize("setting", ["bandwidth", "n_components"])
def test_of_a_likelihood_the_least_is_marked_even_at_the_end_of_the_range(sweep, setting, capsys):
    model = "kde" if setting == "bandwidth" else "gmm"
    for value, nll in ((1, 90.0), (2, 30.0), (3, 28.0), (4, 27.0)):  # bent at 2
        sweep(model, {setting: value}, validation=nll)
    (curve,) = sweep.curves()
    assert (curve.lines[0].at, curve.lines[0].word) == (3, "least")
    sweep_curves.draw_curves(sweep.folder, builtin_registry())
    end = f"{setting}=4 (the largest tried: try larger ones): 27"
    assert f"least validation nll at {end}" in capsys.readouterr().out


def test_values_off_the_axis_are_named_and_said_to_be_better_where_they_are(sweep, capsys):
    for value, nll in ((0.1, -21.0), (0.2, -22.0), ("loo", -29.5), ("silverman", -16.5)):
        sweep("kde", {"bandwidth": value}, validation=nll)
    (curve,) = sweep.curves()
    assert sweep_curves.note(curve) == (
        "least validation nll at bandwidth=0.2 (of the numbers): -22; not on the curve: "
        "bandwidth=loo (-29.5, which is better) and bandwidth=silverman (-16.5)"
    )
    sweep("kde", {"bandwidth": 0.5}, validation=-30.0)
    (curve,) = sweep.curves()
    assert "bandwidth=0.5 (the largest tried: try larger ones): -30" in sweep_curves.note(curve)
    assert sweep_curves.note(curve).endswith(
        "bandwidth=loo (-29.5) and bandwidth=silverman (-16.5)"
    )


def test_seeds_are_averaged_and_a_repeated_run_counts_once(sweep):
    for k, seed in itertools.product((2, 3, 4), (0, 1, 2)):
        sweep("gmm", {"n_components": k, "seed": seed}, validation=float(10 * k + seed**2))
    sweep("gmm", {"n_components": 2, "seed": 0}, validation=20.0)
    (curve,) = sweep.curves()
    assert np.allclose(
        curve.lines[0].parts["validation"],
        [[10 * k + 5 / 3, 10 * k, 10 * k + 4] for k in (2, 3, 4)],
    )
    assert (
        curve.seeds == (3, 3)
        and "over 3 seeds" in sweep_curves.note(curve)
        and "the smallest tried" in sweep_curves.note(curve)
    )


def test_runs_that_are_not_done_are_left_out_and_told(sweep, capsys):
    for k in (1, 2, 3):
        sweep("gmm", {"n_components": k}, validation=-float(k))
    sweep("gmm", {"n_components": 4}, state="failed")
    sweep("gmm", {"n_components": 5}, state="running")
    (sweep.folder / "damaged").mkdir()
    (sweep.folder / "damaged" / "status.json").write_text('{"sta')
    sweep_curves.draw_curves(sweep.folder, builtin_registry())
    shown = capsys.readouterr().out
    assert (
        "left out, as they are not done: 3_gmm, 4_gmm" in shown
        and "n_components=3 (the largest tried: try larger ones): -3" in shown
    )
    (curve,) = sweep.curves()
    assert curve.lines[0].x.tolist() == [1, 2, 3] and "left out: 2" in sweep_curves.note(curve)


def test_there_is_nothing_to_draw_of_games_single_values_and_words(sweep, capsys):
    for lr in (0.1, 0.01):
        sweep("gan", {"lr": lr}, None, train=1.0, validation=1.0)
    for covariance in ("full", "diag"):
        sweep("gmm", {"covariance": covariance}, validation=1.0)
    for seed in (0, 1):
        sweep("kmeans", {"seed": seed}, "inertia", validation=1.0)
    sweep_curves.draw_curves(sweep.folder, builtin_registry())
    assert not list(sweep.folder.glob("*.png")) and capsys.readouterr().out == ""


def test_every_swept_number_has_its_curve_with_a_line_for_each_choice_of_the_others(sweep, capsys):
    for covariance, k, tol in itertools.product(("full", "diag"), (1, 2, 3), (0.0, 0.1)):
        changes = {
            "covariance": covariance,
            "n_components": k,
            "tol": tol,
            "device": "cpu" if k == 1 else "auto",
        }
        sweep("gmm", changes, train=2.0, validation=k + tol, test=1.0)
    sweep("gmm", {"n_components": 2}, dataset="ring", validation=1.0)
    by_setting = {curve.setting: curve for curve in sweep.curves()}
    assert set(by_setting) == {"n_components", "tol"}, (
        "the device that was used distinguishes runs, not the one in the settings"
    )
    names = [line.name for line in by_setting["n_components"].lines]
    assert names[0] == "covariance=full, tol=0.0" and len(set(names)) == 4
    assert len(by_setting["tol"].lines) == 6 and by_setting["tol"].title == "gmm on digits"
    sweep_curves.draw_curves(sweep.folder, builtin_registry())
    assert len(list(sweep.folder.glob("*.png"))) == 2
    assert (
        "covariance=diag, tol=0.1: least validation nll at n_components=1 (the smallest tried: try "
        "smaller ones): 1.1"
    ) in capsys.readouterr().out


def test_of_many_lines_those_that_get_lowest_are_drawn(sweep):
    for seed, (size, k) in enumerate(itertools.product(range(1, 12), (1, 2))):
        sweep("gmm", {"n_init": size, "n_components": k, "seed": seed}, validation=float(size * k))
    curve = next(curve for curve in sweep.curves() if curve.setting == "n_components")
    assert len(curve.lines) == 11 and [line.name for line in curve.shown] == [
        f"n_init={n}" for n in range(1, 9)
    ]
    assert "the 8 of 11 lines" in sweep_curves.note(curve)


def test_a_criterion_that_contains_the_setting_tells_no_best_value(sweep):
    for beta, latent_dim in itertools.product((1.0, 2.0, 4.0), (2, 4, 8)):
        sweep(
            "vae",
            {"beta": beta, "latent_dim": latent_dim},
            "loss",
            ["beta"],
            validation=10 * beta + (latent_dim - 4) ** 2,
        )
    against = {curve.setting: curve for curve in sweep.curves()}
    assert all(
        line.at is None for line in against["beta"].lines
    ) and "the loss itself contains beta" in sweep_curves.note(against["beta"])
    assert [line.x[line.at] for line in against["latent_dim"].lines] == [4, 4, 4]


def test_numbers_below_the_axis_do_not_run_into_one_another():
    x = np.array([0.0, *np.linspace(98, 100, 9)])
    sheet = Canvas(300, 100, "title", "note")
    axes = sheet.axes(0, 0, 300, 60)
    axes.plot(x, x)
    curves.set_ticks(axes, x.tolist(), 300)
    sheet.picture()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    assert len(axes.get_xticks()) == 10 and len(boxes) == 2 and boxes[0].x1 < boxes[1].x0


def test_a_sweep_ends_with_its_curve_and_one_that_is_repeated_takes_in_all_its_runs(
    genbench, tmp_path
):
    def swept(values):
        return genbench(
            "-m",
            "model=kmeans",
            f"n_components={values}",
            "n_init=1",
            "dataset.limit=150",
            "device=cpu",
            "hydra.sweep.dir=sweep",
        )

    done = swept("2,400,4")
    assert (
        done.returncode == 1
        and "curve: sweep/inertia_against_n_components_kmeans_on_digits.png" in done.stdout
    )
    assert (
        "2 of 3 jobs done" in done.stdout
        and "left out, as they are not done: kmeans_n_components-400_" in done.stdout
    )
    file = tmp_path / "sweep" / "inertia_against_n_components_kmeans_on_digits.png"
    before = file.read_bytes()
    swept("2,8")
    assert file.read_bytes() != before
    rows = list(csv.DictReader(file.with_suffix(".csv").read_text().splitlines()))
    assert [int(row["n_components"]) for row in rows] == [2, 4, 8]
    metrics = json.loads(
        (next((tmp_path / "sweep").glob("*components-8*")) / "metrics.json").read_text()
    )
    assert [float(rows[2][part]) for part in sweep_lines.SPLITS] == [
        metrics[part]["inertia"] for part in sweep_lines.SPLITS
    ]

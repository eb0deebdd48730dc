"""The report in a terminal: a screen at most, and what matters first."""

import itertools

import pytest
from helpers.reports import card, drawing, fault, only, page, pictures_in, sure

from genbench.report.terminal import first_that_fit


@pytest.mark.parametrize("datasets, settings", [(1, 70), (3, 20), (12, 4)])
def test_any_number_of_runs_fits_a_screen(left, capsys, monkeypatch, datasets, settings):
    monkeypatch.setenv("COLUMNS", "80")
    for i, k in itertools.product(range(datasets), range(settings)):
        metrics = card(
            ("fid", 10.0 * k, sure(k, k)),
            ("mse", k + 1.0, {"group": "reconstruction"}),
            diagnosis=[fault("undertrained", f"{k} more epochs would help", "epochs=99")],
        )
        root = pictures_in(f"set{i}")
        left("vae", {"beta": k + 1.0, "lr": 0.1 / (k + 1)} | root, "done", metrics=metrics)
    for k in range(9):
        left("gan", state="failed", reason=f"the loss is not finite at step {k}")
    capsys.readouterr()
    left.report()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("report: ")
    assert len(lines) <= 22 and max(map(len, lines[:-1])) <= 80, "\n".join(lines)


def test_a_terminal_shows_samples_of_all_models_rather_than_what_few_have(
    left, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    mse, likely = {"group": "reconstruction"}, {"group": "likelihood", "better": "higher"}
    for seed, model in itertools.product((0, 1), ("pca", "gmm", "vae", "gan", "gmm-sgd")):
        entries = [("fid", 10.0 + seed, {})]
        entries += [("mse", 0.0123 + seed, mse)] * (model in ("pca", "vae"))
        entries += [("log_prob", -12345.0 - seed, likely)] * (model != "gan")
        sampler = "prior + noise" if model in ("pca", "vae") else "model"
        left(model, {"seed": seed}, metrics=card(*entries) | drawing(sampler))
    left.report()
    shown = capsys.readouterr().out
    assert "fid ↓" in shown and "sampler" in shown
    assert "Two seeds are too few" in " ".join(shown.split())


def test_a_narrow_terminal_has_room_for_numbers(left, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for k, epochs in itertools.product((2, 3), (10, 20)):
        mse = 1 / k + epochs / 1000
        metrics = card(
            ("fid", 10.0 * k + epochs, {"of": f"{k}"}),
            ("mse", mse, {"group": "reconstruction"} | sure(mse, 0.001)),
        )
        left(
            "kmeans",
            {"n_components": k, "epochs": epochs, "n_init": k, "tol": k / 7},
            metrics=metrics,
        )
    report = left.report()
    assert [c.head for c in only(report).columns] == ["mse ↓", "fid (1) ↓", "fid (2) ↓"]
    shown = capsys.readouterr().out
    assert "mse ↓" in shown and "0.343 *" in shown and max(map(len, shown.splitlines()[:12])) <= 80
    assert "fid (2) ↓" in page(left.folder).words and "of 3" not in page(left.folder).tables[0][1]


def test_runs_that_share_no_measure_still_show_what_matters(left):
    for n in (10, 20):
        left(
            changes={"n_components": n},
            metrics=card(*((name, 1.0, {"n": {"samples": n}}) for name in ("fid", "kid"))),
        )
    assert [c.head for c in only(left.report()).columns] == ["fid (1) ↓", "fid (2) ↓"]


def test_a_sentence_that_is_too_long_gives_way_to_the_next():
    long, short = ["..."] * 9, ["short"]
    assert first_that_fit([["a", "b"], long, short], 4) == [
        "a",
        "b",
        "short",
        "1 more remark in the page",
    ]
    assert first_that_fit([["a", "b"], short], 3) == ["a", "b", "short"]
    assert first_that_fit([long, short], 3) == ["...", "... …", "1 more remark in the page"]


def test_the_way_out_of_damaged_numbers_is_shown_in_full(left, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    left(metrics=card(("fid", 1.0, {})))
    damaged = left(metrics=card(("fid", 1.0, {})))
    (damaged / "metrics.json").write_text("{")
    left.report()
    shown = "".join(capsys.readouterr().out.split())
    assert f"fix:genbenchresume{damaged}" in shown and "…" not in shown


def test_a_terminal_shows_rows_with_numbers_and_the_reason_why_others_have_none(
    left, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    for k in range(2, 10):
        left("vae", {"beta": float(k)}, metrics=card(("fid", 1.0, {})) if k < 4 else {"cost": {}})
    left("gmm", state="failed", reason="dataset.means: there are 1 means and 3 scales; " * 5)
    left.report()
    shown = capsys.readouterr().out
    assert "the best 2 of 8 settings" in shown and "beta=9" not in shown.partition("8 runs")[0]
    (reason,) = (line for line in shown.splitlines() if line.startswith("without results"))
    after = shown.partition(reason)[2].splitlines()
    assert "dataset.means: there are 1 means and 3" in " ".join([reason, after[1]])

"""The report's table: what is averaged, which columns and rows there are, and in which order."""

import dataclasses
import itertools
import json
import math

import pytest
from helpers.reports import best, card, drawing, drawn, everywhere, only, page, read_csv, sure

from genbench.config.registry import builtin_registry
from genbench.report import charts, gaps, ranking, verdicts
from genbench.report.quantities import Quantity, Value, brief_value, full
from genbench.report.ranking import standings
from genbench.report.table import compared, labels


def test_seeds_are_averaged_with_students_interval_and_the_best_is_marked(left, capsys):
    for k, seed in itertools.product((2, 3), (0, 1, 2)):
        metrics = card(
            ("fid", 10.0 * k + seed, {}),
            ("coverage", k / 10, {"better": "higher"}),
            ("modes", k, {"better": None}),
        )
        left(changes={"n_components": k, "seed": seed}, metrics=metrics)
    left(
        changes={"n_components": 2, "seed": 0},
        metrics=card(("fid", 20.0, {}), ("coverage", 0.2, {"better": "higher"})),
    )  # a repeated run counts once
    report = left.report()
    assert [len(row.runs) for row in report.rows] == [3, 3]
    fid = next(q for q in report.quantities if q.name == "fid")
    value, half = (
        report.rows[0].cells[fid],
        4.302652729911275 / math.sqrt(3),
    )  # t for 2 degrees of freedom; deviation 1
    assert (
        value[:2] == pytest.approx((21, 21 - half))
        and value.high == pytest.approx(21 + half)
        and value.seeds == 3
    )
    assert best(report) == {(0, "fid"), (1, "coverage")}, (
        "where no direction is known, none is best"
    )
    shown = capsys.readouterr().out
    assert (
        "21 ± 2.5 *" in shown
        and "31 ± 2.5 *" not in shown
        and "fid ↓" in shown
        and "coverage ↑" in shown
    )
    markdown = (left.folder / "report.md").read_text()
    assert "| **21 ± 2.5** |" in markdown and "| 31 ± 2.5 |" in markdown
    groups, heads, *rows = page(left.folder).tables[0]
    assert groups == ["", "samples"] and heads == [
        "model",
        "n_components",
        "seeds",
        "fid ↓",
        "coverage ↑",
        "modes",
    ]
    assert "21 ± 2.5 *" in [c.strip() for c in rows[0]] and "31 ± 2.5" in [
        c.strip() for c in rows[1]
    ]
    assert "31 ± 2.5" in [c.strip() for c in page(left.folder).tables[1][3]], (
        "all measures, in full"
    )


def test_rows_are_in_the_order_in_which_a_sweep_was_asked_for(left):
    names = [
        left("kmeans", {"n_components": k}, metrics=card(("fid", float(k), {}))).name
        for k in (30, 4, 12, 5)
    ]
    jobs = [{"directory": name, "state": "done"} for name in reversed(names[:3])]
    (left.folder / "sweep_summary.json").write_text(json.dumps({"jobs": ["damaged", {}, *jobs]}))
    assert [row.settings["n_components"] for row in left.report().rows] == [12, 4, 30, 5]


@pytest.mark.parametrize(
    "different",
    [
        {"n": {"samples": 200}},
        {"n": {"real": 1, "samples": 2}},
        {"features": "abc"},
        {"on": "train"},
        {"unit": "%"},
    ],
)
def test_numbers_that_were_measured_otherwise_are_in_another_column(left, different):
    left(changes={"n_components": 2}, metrics=card(("fid", 1.0, sure(1))))
    left(changes={"n_components": 3}, metrics=card(("fid", 2.0, sure(2))))
    left(changes={"n_components": 4}, metrics=card(("fid", 0.5, sure(0.5) | different)))
    report = left.report()
    one, other = (q for q in report.quantities if q.name == "fid")
    assert [one in row.cells for row in report.rows] == [True, True, False] and [
        other in row.cells for row in report.rows
    ] == [
        False,
        False,
        True,
    ]
    assert only(report).best == {(0, one)}, "the only one of its kind is not the best of anything"
    name, value = next(iter(different.items()))
    words = ", ".join(f"{n} {what}" for what, n in value.items()) if name == "n" else value
    assert words in report.labels[other] and report.labels[one] != report.labels[other]
    assert {*report.labels.values()} <= set(read_csv(left.folder)[0])


def test_terms_of_an_objective_are_their_models_own(left):
    left(
        "gmm",
        metrics={
            "train": {"n": 90, "nll": 0.0},
            "test": {"n": 10, "nll": 3.0, "squared_error": 0.1},
        },
    )
    left("gmm", {"n_components": 3}, metrics={"test": {"n": 10, "nll": 2.0, "squared_error": 0.2}})
    left("gmm", {"n_components": 4}, metrics={"test": {"n": 9, "nll": 1.0, "squared_error": 0.2}})
    left("kde", metrics={"test": {"n": 10, "nll": 1.0, "squared_error": 0.3}})
    report = left.report()
    contests = only(report).contests
    assert {c.quantity.name for c in contests} == {"nll"}, "of other terms no direction is known"
    assert [(c.leaders[0], c.quantity.model, c.won) for c in contests] == [(1, "gmm", False)], (
        "one seed of a term has no interval"
    )
    headers = {"nll, of gmm, from 10 test points", "nll, of gmm, from 9 test points", "nll, of kde"}
    headers |= {
        "squared_error, of gmm, from 10 test points",
        "squared_error, of gmm, from 9 test points",
        "squared_error, of kde",
    }
    assert {*report.labels.values()} == headers | {"parameters"}, "held-out data only"


def test_a_criterion_with_other_weights_is_another_number(left):
    for beta in (1.0, 4.0):
        cost = {"criterion": "loss", "criterion_contains": ["beta"]}
        left("vae", {"beta": beta}, metrics={"test": {"n": 9, "loss": beta}, "cost": cost})
    report = left.report()
    assert best(report) == set()
    assert {"loss, of: beta=1", "loss, of: beta=4"} <= {*report.labels.values()}


def test_what_is_best_is_best_on_the_same_data(left):
    for dataset, value in (("digits", 5.0), ("digits", 4.0), ("ring", 1.0), ("ring", 2.0)):
        left(
            changes={"n_components": int(value)},
            dataset=dataset,
            metrics=card(("fid", value, sure(value))),
        )
    report = left.report()
    assert {i for i, _ in best(report)} == {1, 2}
    assert [row.dataset for row in report.rows] == ["digits", "digits", "ring", "ring"]


def test_columns_are_the_settings_that_were_chosen_and_differ(left):
    here = {"machine": {"device": "cpu"}}
    left("gmm", {"device": "cpu", "n_components": 3}, metrics=card(("fid", 1.0, {})) | here)
    left("vae", metrics=card(("fid", 2.0, {})) | here)
    left("vae", {"beta": 2.0, "epochs": 7}, metrics=card(("fid", 3.0, {})) | here)
    report = left.report()
    assert only(report).settings == ["epochs", "beta"], "what follows from the model is no choice"
    differs = page(left.folder).tables[-1]
    assert ["beta", "1 (vae); 2 (vae)"] in differs and not any(
        row[0] == "device" for row in differs
    )


def test_one_dataset_has_one_table_and_data_are_said_once_not_to_compare(left, capsys):
    data = {"digits": 10, "ring": 100, "grid": 50}
    for (dataset, points), model in itertools.product(data.items(), ("gmm", "vae", "pca")):
        n = {"n": {"samples": points, "test": points}}
        left(model, dataset=dataset, metrics=card(("fid", 1.0, n | sure(1)), ("copied", 1.0, n)))
    left("kmeans", metrics=card(("fid", 1.0, {"n": {"samples": 3}})))
    report = left.report()
    texts, _ = everywhere(left.folder, capsys)
    tables = page(left.folder).tables
    assert [t[1][0] for t in tables[:6:2]] == ["model"] * 3 and len(report.sections) == 3
    for text in texts:
        assert text.count("not compared") == 1 and "digits, ring and grid" in text
    for section in report.sections[1:]:
        assert [c.head for c in section.columns] == ["sampler", "fid ↓", "copied ↓"], "no (1)"
    otherwise = gaps.otherwise_measured(report.sections[0])
    assert otherwise == [
        "No fid of kmeans: it was measured from 3 samples, not 10 samples, 10 test points, "
        "which does not compare."
    ]


def test_the_sampler_is_shown_beside_samples_also_where_it_is_the_default(left, capsys):
    left("vae", metrics=card(("fid", 3.0, {})) | drawing("prior"))
    left("vae", {"sampler": "gmm"}, metrics=card(("fid", 2.0, {})) | drawing("gmm"))
    left("gmm", metrics=card(("fid", 1.0, {})) | drawing("model"))
    left("kmeans", metrics=card(("mse", 1.0, {"group": "reconstruction"})) | drawing("model"))
    report = left.report()
    texts, rows = everywhere(left.folder, capsys)
    assert [row["sampler"] for row in rows] == ["prior", "gmm", "model", "model"]
    heads = page(left.folder).tables[0][1]
    assert heads.index("sampler") == heads.index("fid ↓") - 1 and heads.count("sampler") == 1
    for text in texts:
        assert (
            "compare different samplers (prior: vae (sampler=prior); gmm: vae (sampler=gmm); model: gmm)"
            in text
        )
    section = only(report)
    one = dataclasses.replace(section, rows=[r for r in section.rows if r.sampler == "model"])
    assert verdicts.sampler_warnings(one, report) == []


def test_real_data_are_shown_and_neither_ranked_nor_averaged_with_runs(left, capsys):
    real = {
        "real_data": card(
            ("fid", 0.5, sure(0.5)), ("kid", 0.1, {}), ("mse", 0.0, {"group": "reconstruction"})
        )["card"]
    }
    for k, dataset in ((2, "digits"), (3, "digits"), (4, "ring")):
        here = real if dataset == "digits" else {}
        left(
            changes={"n_components": k},
            dataset=dataset,
            metrics=card(("fid", k, sure(k)), ("mse", 1.0, {})) | here,
        )
    left(changes={"n_components": 5}, metrics=card(("fid", 5.0, sure(5))))
    report = left.report()
    (row,) = (row for section in report.sections for row in section.real)
    assert (row.model, row.dataset) == ("real data", "digits") and {
        m.name: v.mean for m, v in row.cells.items()
    } == {"fid": 0.5}
    won = {(report.rows[i].settings["n_components"], name) for i, name in best(report)}
    assert won == {(2, "fid")}
    assert max(i for s in report.sections for i, _ in s.standings) < 3 < len(report.rows)
    texts, rows = everywhere(left.folder, capsys)
    assert all("real data" in text for text in texts) and "4 runs in 4 settings" in texts[0]
    (line,) = (r for r in rows if r["model"] == "real data")
    assert (line["dataset"], line["fid"], line["best"], line["seeds"]) == ("digits", "0.5", "", "")
    assert page(left.folder).tables[0][-1][0] == "real data"


APART = [  # two numbers, and whether the first is below the second beyond doubt
    (Value(1, 0.5, 1.5), Value(2, 1.6, 2.4), True),
    (Value(1, 0.5, 1.5), Value(2, 1.4, 2.6), False),
    (Value(1), Value(2, 1.9, 2.1), False),
    (Value(1, 0.9, 1.1, seeds=3), Value(2, 1.9, 2.1, seeds=3), True),
    (Value(1, 0.9, 1.1, seeds=3, within=0.5), Value(2, 1.9, 2.1, seeds=3, within=0.5), False),
    (Value(1, 1, 1, seeds=3), Value(1 + 1e-9, 1 + 1e-9, 1 + 1e-9, seeds=3), False),
]


def test_a_share_below_zero_is_no_better_than_zero_and_shown_as_zero(left, capsys):
    share = {"unit": "share of samples"}
    for k, value in ((2, -2.94), (3, 0.0), (4, 0.5)):
        left(changes={"n_components": k}, metrics=card(("copied", value, share | sure(value, 0.1))))
    report = left.report()
    assert [standing for _, standing in sorted(only(report).standings.items())] == [1, 1, 0]
    assert best(report) == set(), "the first two are alike"
    (column,) = only(report).columns
    shown = [column.text(row, full) for row in only(report).rows]
    assert shown == ["0 [0, 0]", "0 [0, 0.1]", "0.5 [0.4, 0.6]"]
    texts, _ = everywhere(left.folder, capsys)
    assert not [text for text in texts if "-2.9" in text]
    assert read_csv(left.folder)[0]["copied"] == "-2.94", "as it was measured"


def test_a_number_about_which_next_to_nothing_is_known_says_so():
    assert brief_value(Value(0.497, 0.0, 1.0)) == "0.497 (0 to 1)"
    assert brief_value(Value(0.497, 0.4, 0.6)) == "0.497"
    assert brief_value(Value(0.497, 0.0, 1.0, seeds=3)) == "0.497 ± 0.5"


def test_an_interval_ends_where_its_measure_does(left):
    for k, seed in itertools.product((2, 3), (0, 1)):
        metrics = card(("fid", 1.0 + 9 * seed, {})) | {"time": {"fit_seconds": 1.0 + k}}
        left(changes={"n_components": k, "seed": seed}, metrics=metrics)
    left.report()
    assert {float(row["fid low"]) for row in read_csv(left.folder)} == {0.0}
    ((_, canvas),) = charts.cost(compared([left.folder], builtin_registry()).rows)
    assert canvas.figure.axes[0].dataLim.y0 == 0


@pytest.mark.parametrize("one, other, wanted", APART)
def test_numbers_are_apart_where_their_intervals_are(one, other, wanted):
    assert ranking.apart(one, other) is ranking.apart(other, one) is wanted


def test_the_best_has_an_interval_apart_from_all_others(left, capsys):
    better = {"better": "higher"}
    for k, fid, density in ((2, 1.0, 0.5), (3, 2.0, 0.6), (4, 9.0, 0.9)):
        cost = [(name, k, {"group": "cost", **sure(k)}) for name in ("fit_seconds", "parameters")]
        entries = [
            ("fid", fid, sure(fid, 0.6)),
            ("density", density, better | sure(density)),
            ("modes", k, better),
        ]
        left(changes={"n_components": k}, metrics=card(*entries, *cost))
    report = left.report()
    assert best(report) == {(2, "density"), (0, "parameters")}, "time is not compared"
    texts, _ = everywhere(left.folder, capsys)
    for text in texts:
        assert "Too close to call: fid between n_components=2 and n_components=3." in text
        assert "With one seed that interval says nothing of another training" in text


def test_a_number_that_seeds_lack_says_so_and_is_not_the_best(left):
    for k, seed, fid in (
        (2, 0, 1.0),
        (2, 1, None),
        (3, 0, 5.0),
        (3, 1, 25.0),
        (4, 0, 6.0),
        (4, 1, 26.0),
    ):
        left(
            changes={"n_components": k, "seed": seed},
            metrics=card(*[("fid", fid, {})] * (fid is not None), ("ndb", 0.1, {})),
        )
    report = left.report()
    rows = page(left.folder).tables[0][2:]
    assert [row[3].strip() for row in rows] == ["1 (1 of 2 seeds)", "15 ± 127", "16 ± 127"]
    assert best(report) == set()
    assert [(c.quantity.name, c.leaders) for c in only(report).contests] == [("fid", [1, 2])]
    assert {i for i, quantity in standings(report.rows) if quantity.name == "fid"} == {1, 2}


def test_a_single_run_has_a_report_without_comparisons(left):
    left(metrics={"test": {"n": 9, "nll": 1.0}, "time": {"seconds": 1.0}})
    report = left.report()
    assert (
        best(report) == set() and drawn(left.folder) == {} and "1 run in 1 setting" in report.counts
    )


def test_headers_say_all_that_tells_measures_apart():
    one, two = Quantity("fid", "a", n="1", features="x"), Quantity("fid", "a", n="2", features="x")
    assert labels([one, two, Quantity("mse", "a")]) == {
        one: "fid, from 1",
        two: "fid, from 2",
        Quantity("mse", "a"): "mse",
    }

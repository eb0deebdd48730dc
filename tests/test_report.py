"""Reports: what is averaged, marked and kept apart, from run folders made by hand; and that the page is safe and whole."""

import csv
import dataclasses
import itertools
import json
import math
import os
import signal
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from conftest import config_of
from PIL import EpsImagePlugin, Image

from genbench.config.registry import builtin_registry
from genbench.report import charts, command, diagnosis, export, gaps, ranking, verdicts
from genbench.report.load import gathered
from genbench.report.names import row_name
from genbench.report.quantities import Quantity, Value
from genbench.report.ranking import standings
from genbench.report.rows import averaged
from genbench.report.table import compared, labels
from genbench.utils import signals

COST = {
    **dict.fromkeys(("epochs", "steps", "kept_epoch", "parameters"), 1),
    "criterion": None,
    "criterion_contains": [],
}
VOID = {"meta", "img", "br", "link", "input", "wbr"}


@pytest.fixture
def left(tmp_path, monkeypatch):
    """A function that leaves a run's files; `left.report()` are the texts of what a report on all of them writes."""
    count = itertools.count()
    monkeypatch.setenv("COLUMNS", "150")

    def run(
        model="gmm",
        changes=(),
        state="done",
        under="runs",
        dataset="digits",
        metrics=None,
        curve=(),
        **status,
    ):
        folder = tmp_path / under / f"{next(count)}_{model}"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(
            yaml.safe_dump(config_of(model, dataset=dataset) | dict(changes))
        )
        (folder / "status.json").write_text(json.dumps({"state": state, **status}))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in curve))
        if state == "done":
            content = {"time": {}, **(metrics or {})}
            content["cost"] = COST | content.get("cost", {"criterion": "nll"})
            (folder / "metrics.json").write_text(json.dumps(content))
        return folder

    def reported(*folders):
        registry = builtin_registry()
        runs = tmp_path / "runs"
        return command.write_all([*folders] or [runs], runs, registry)

    run.folder, run.report = tmp_path / "runs", reported
    return run


def card(*entries, **more):
    """metrics.json with a report card; each entry a name, a value and what else is report of it."""
    usual = {
        "group": "samples",
        "low": None,
        "high": None,
        "n": {"samples": 100},
        "on": "test",
        "of": "",
        "unit": "",
        "better": "lower",
        "features": None,
    }
    return {
        "card": [usual | {"name": name, "value": value} | extra for name, value, extra in entries],
        "cost": {},
        **more,
    }


def only(report):
    """The section of a report on one dataset."""
    (section,) = report.sections
    return section


def best(report):
    """The row, among all, and the name of each measure that it is clearly best at."""
    rows = report.rows
    return {
        (next(k for k, row in enumerate(rows) if row is section.rows[i]), quantity.name)
        for section in report.sections
        for i, quantity in section.best
    }


def said(report):
    """All sentences of a report."""
    return [*verdicts.sentences(report)]


def warnings(left):
    report = left.report()
    return verdicts.sampler_warnings(only(report), report)


def verdicts_of(report):
    return [text for s in report.sections for text in verdicts.verdicts(s, report)]


def gathered_runs(folder, registry):
    """The runs below a folder."""
    return gathered([folder], registry)[0]


def sure(value, reach=0.01):
    """The ends of a narrow interval around a number."""
    return {"low": value - reach, "high": value + reach}


def read_csv(folder):
    with open(folder / "report.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """What a page consists of; raises where elements are not closed in order or lie where they may not."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.tables, self.words = [], [], [], ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            assert self.open[-1] == "tr"
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data
        if {"td", "th"} & {*self.open}:
            self.tables[-1][-1][-1] += data


def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


# --- numbers --------------------------------------------------------------------------------------------------


def test_seeds_are_averaged_with_students_interval_and_the_best_is_marked(left, capsys):
    for k, seed in itertools.product((2, 3), (0, 1, 2)):
        metrics = card(
            ("fid", 10.0 * k + seed, {}),
            ("precision", k / 10, {"better": "higher"}),
            ("modes", k, {"better": None}),
        )
        left(changes={"n_components": k, "seed": seed}, metrics=metrics)
    left(
        changes={"n_components": 2, "seed": 0},
        metrics=card(("fid", 20.0, {}), ("precision", 0.2, {"better": "higher"})),
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
    assert best(report) == {(0, "fid"), (1, "precision")}, (
        "where no direction is known, none is best"
    )
    shown = capsys.readouterr().out
    assert (
        "21 ± 2.5 *" in shown
        and "31 ± 2.5 *" not in shown
        and "fid ↓" in shown
        and "precision ↑" in shown
    )
    markdown = (left.folder / "report.md").read_text()
    assert "| **21 ± 2.5** |" in markdown and "| 31 ± 2.5 |" in markdown
    groups, heads, *rows = page(left.folder).tables[0]
    assert groups == ["", "samples"] and heads == [
        "model",
        "n_components",
        "seeds",
        "fid ↓",
        "precision ↑",
        "modes",
    ]
    assert "21 ± 2.5 *" in [c.strip() for c in rows[0]] and "31 ± 2.5" in [
        c.strip() for c in rows[1]
    ]
    assert "31 ± 2.5" in [c.strip() for c in page(left.folder).tables[1][3]], (
        "all measures, in full"
    )


def test_a_page_shades_numbers_by_where_they_stand_and_leaves_out_what_a_model_cannot(left):
    mse = {"group": "reconstruction"}
    left("pca", metrics=card(("fid", 30.0, sure(30)), ("mse", 0.1, mse)))
    left("gan", metrics=card(("fid", 10.0, sure(10))))
    left(
        "ae",
        metrics=card(
            ("fid", 20.0, sure(20)), ("mse", 0.1, mse), ("psnr", 10.0, mse | {"better": None})
        ),
    )
    left(
        "vae",
        metrics=card(
            ("fid", 20.0, sure(20)), ("mse", 0.3, mse), ("psnr", 20.0, mse | {"better": None})
        ),
    )
    report = left.report()
    found = {
        (report.rows[i].model, q.name): standing
        for (i, q), standing in only(report).standings.items()
        if q.name != "parameters"
    }
    assert found == {
        **{("pca", "fid"): 0, ("ae", "fid"): 0.5, ("vae", "fid"): 0.5, ("gan", "fid"): 1},
        **{("pca", "mse"): 1, ("ae", "mse"): 1, ("vae", "mse"): 0},
    }
    groups, heads, _, gan, *_ = page(left.folder).tables[0]
    assert groups == ["", "reconstruction", "samples"] and heads == [
        "model",
        "mse ↓",
        "sampler",
        "fid ↓",
    ]
    assert gan == ["gan", "", "", "10 *"]
    shades = [tag["style"] for name, tag in page(left.folder).tags if "style" in tag]
    assert shades[:7] == [f"--standing: {s:.3f}" for s in (1, 0, 1, 1, 0.5, 0, 0.5)]


def test_rows_are_in_the_order_in_which_a_sweep_was_asked_for(left):
    names = [
        left("kmeans", {"n_components": k}, metrics=card(("fid", float(k), {}))).name
        for k in (30, 4, 12, 5)
    ]
    jobs = [{"directory": name, "state": "done"} for name in reversed(names[:3])]
    (left.folder / "sweep_summary.json").write_text(json.dumps({"jobs": ["damaged", {}, *jobs]}))
    assert [row.settings["n_components"] for row in left.report().rows] == [12, 4, 30, 5]


def test_the_csv_reads_back_as_the_numbers_of_the_files(left):
    values = {2: 0.1 + 0.2, 3: -1e-17, 4: 123456789.123456789}
    for k, value in values.items():
        left(changes={"n_components": k}, metrics=card(("fid", value, sure(value, 0.1))))
    left.report()
    rows = read_csv(left.folder)
    assert {int(row["n_components"]): float(row["fid"]) for row in rows} == values
    low = [value - 0.1 for value in values.values()]
    assert [float(row["fid low"]) for row in rows] == [low[0], -1e-17, low[2]], "fid has a least"
    assert [row["best"] for row in rows] == ["", "fid", ""] and rows[0]["runs"] == "0_gmm"


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


# --- what distinguishes runs -----------------------------------------------------------------------------------


def on(digest, device="cpu", **more):
    """What metrics.json says of the data with this digest, and of where the run was computed."""
    return {"data": {"digest": digest}, "machine": {"device": device}, **more}


def pictures_in(root, **more):
    """The settings of a dataset of the pictures in a folder."""
    return {
        "dataset": config_of("pca", dataset="image-folder")["dataset"]
        | {"root": f"/pictures/{root}", **more}
    }


@pytest.mark.parametrize("more", [{}, {"seed": 1}])
def test_runs_on_other_data_are_never_averaged_and_are_called_by_their_folders(left, more, capsys):
    for seed, (root, extra) in enumerate({"cats": {}, "dogs": more}.items()):
        settings = {"seed": seed, **pictures_in(root, **extra)}
        left(
            "pca",
            settings,
            dataset="image-folder",
            metrics=card(("fid", seed, sure(seed))) | on(root * 16),
        )
    report = left.report()
    assert "2 runs in 2 settings on 2 datasets" in report.counts and best(report) == set()
    shown = capsys.readouterr().out
    for text in (shown, page(left.folder).words, (left.folder / "report.md").read_text()):
        assert "2 seeds" not in text and "image-folder dogs" in text
        assert "Runs on different data are not compared: image-folder cats and" in " ".join(
            text.split()
        )
    own = ["image-folder cats", "image-folder dogs"]
    assert [row["dataset"] for row in read_csv(left.folder)] == own
    assert not more or [row["dataset.seed"] for row in read_csv(left.folder)] == ["0", "1"]


def test_data_are_known_by_their_content_and_not_by_their_folder(left):
    for seed, (root, digest) in enumerate(
        (("a/cats", "1" * 64), ("b/cats", "1" * 64), ("b/cats", "2" * 64), ("c", ""), ("d/c", ""))
    ):
        found = card(("fid", 1.0, {})) | (on(digest) if digest else {"machine": {"device": "cpu"}})
        left("pca", {"seed": seed, **pictures_in(root)}, dataset="image-folder", metrics=found)
    rows = left.report().rows
    assert [len(row.runs) for row in rows] == [2, 1, 1, 1], (
        "the same pictures elsewhere are the same data"
    )
    names = ["cats 11111111", "cats 22222222", "c from /pictures/c", "c from /pictures/d/c"]
    assert [row.dataset for row in rows] == [f"image-folder {name}" for name in names]


def test_only_what_can_change_a_result_tells_runs_apart(left):
    for patience, every in ((None, 1), (None, 2), (5, 1), (5, 2)):
        left(
            "gmm",
            {"patience": patience, "validate_every": every},
            metrics=card(("fid", 1.0, {})) | on("1"),
        )
    left(
        "gmm",
        {"evaluation": "quick", "save_every": 9, "draw_every": 9},
        metrics=card(("fid", 2.0, {"n": {"samples": 9}}), ("kid", 1.0, {})) | on("1"),
    )
    left("gmm", {"device": "cuda"}, metrics=card(("fid", 3.0, {})) | on("1", device="cuda"))
    report = left.report()
    assert "4 runs in 4 settings; 2 more of the same settings, seed and data" in report.counts
    assert [row.settings["device"] for row in report.rows] == ["cpu", "cpu", "cpu", "cuda"]
    assert [row.settings.get("validate_every") for row in report.rows] == [None, 1, 2, None]
    measured = [
        sorted(v.mean for q, v in row.cells.items() if q.group == "samples") for row in report.rows
    ]
    assert measured == [[1, 1, 2], [1], [1], [3]]
    assert read_csv(left.folder)[0]["runs"] == "4_gmm 0_gmm 1_gmm", (
        "what was measured by any of them is in its row"
    )


def test_a_sweep_over_folders_has_a_row_for_each(genbench, undrawn, tmp_path):
    rng = np.random.default_rng(0)
    for root in ("cats", "dogs"):
        for i in range(12):
            (tmp_path / root / "some").mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(
                tmp_path / root / "some" / f"{i}.png"
            )
    command = [
        "-m",
        "model=pca",
        "dataset=image-folder",
        "dataset.root=cats,dogs",
        "device=cpu",
        "latent_dim=2",
        "hydra.sweep.dir=s",
    ]
    done = genbench(*command)
    assert done.returncode == 0 and "2 runs in 2 settings" in done.stdout
    assert [row["dataset"] for row in read_csv(tmp_path / "s")] == [
        "image-folder cats",
        "image-folder dogs",
    ]
    blocks = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("s/*/metrics.json"))]
    assert len({found["data"]["digest"] for found in blocks}) == 2 and {
        found["machine"]["device"] for found in blocks
    } == {"cpu"}
    assert blocks[0]["model"] == {
        "abilities": ["encode", "decode", "codes", "sample", "log_prob"],
        "sampler": "prior + noise",
    }


def test_a_setting_without_effect_tells_no_runs_apart(left):
    """Without patience, validate_every only says when to look; with steps, epochs follow."""
    for patience in (None, 2):
        left("gmm", {"patience": patience}, metrics=card(("fid", 1.0, {})))
    assert only(left.report()).settings == ["patience"]
    ring = {"dataset": "ring", "metrics": card(("fid", 1.0, {}))}
    left("gan", {"steps": 6000}, **ring)
    left("gan", {"steps": None}, **ring)
    (section,) = (s for s in left.report().sections if s.dataset == "ring")
    assert ["epochs" in row.settings for row in section.rows] == [False, True]
    assert section.settings == ["steps"]


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


# --- what a column compares -----------------------------------------------------------------------------------


def drawing(sampler, *abilities):
    return {"model": {"sampler": sampler, "abilities": ["sample", *abilities]}}


def everywhere(folder, capsys):
    """What a report says on the terminal, as a page and as Markdown; and its lines as comma-separated values."""
    texts = [
        capsys.readouterr().out,
        page(folder).words,
        (folder / "report.md").read_text().replace("\\", ""),
    ]
    return [" ".join(text.split()) for text in texts], read_csv(folder)


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


def test_a_share_below_zero_is_no_better_than_zero(left):
    share = {"unit": "share of samples"}
    for k, value in ((2, -2.94), (3, 0.0), (4, 0.5)):
        left(changes={"n_components": k}, metrics=card(("copied", value, share | sure(value, 0.1))))
    report = left.report()
    assert [standing for _, standing in sorted(only(report).standings.items())] == [1, 1, 0]
    assert best(report) == set(), "the first two are alike"


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


def test_a_report_says_who_is_best_at_what_and_why_cells_are_empty(left, capsys):
    mse, log_prob = {"group": "reconstruction"}, ("log_prob", 3.0, {"group": "likelihood"})
    left("gan", metrics=card(("fid", 1.0, sure(1)), log_prob) | drawing("prior"))
    left(
        "pca",
        metrics=card(("fid", 2.0, sure(2)), ("mse", 1.0, mse | sure(1)), log_prob)
        | drawing("prior", "encode", "decode"),
    )
    left(
        "ae",
        metrics=card(("fid", 3.0, sure(3)), ("mse", 2.0, mse | sure(2)))
        | drawing("prior", "encode", "decode"),
    )
    left("vae", {"evaluation": "none"}, metrics={"cost": {}})
    left(
        "kde",
        metrics=card(("fid", 3.0, {"n": {"samples": 7}}), ("mse", 2.0, mse | {"n": {"test": 7}}))
        | drawing("prior", "encode", "decode"),
    )
    report = left.report()
    text = " ".join(said(report))
    assert "gan is best at fid among gan, pca and ae." in text
    assert "pca is best at mse among pca and ae." in text and "of gan: it cannot encode." in text
    assert "of vae: evaluation=none; genbench evaluate" in text
    assert "No mse and fid of kde: they were measured otherwise, which does not compare." in text
    assert "No log_prob of ae and kde: it has no likelihood of these data" in text
    page_words = " ".join(page(left.folder).words.split())
    assert (
        "of gan: it cannot encode." in page_words
        and "it cannot encode" in (left.folder / "report.md").read_text()
    )


def test_a_kind_of_problem_is_told_once_with_its_runs_and_the_setting_to_paste(left):
    for k, seed in itertools.product((2, 3), (0, 1)):
        found = [
            {
                "kind": "missing modes",
                "text": f"samples cover {k + seed} of 9 modes",
                "setting": f"n_components={2 * k}",
            }
        ]
        found += [{"kind": "copies", "text": "samples are copies", "setting": ""}] * (k == seed + 2)
        left(
            changes={"n_components": k, "seed": seed},
            metrics=card(("fid", 1.0, {}), diagnosis=found),
        )
    report = left.report()
    modes, copies = diagnosis.problems(report.rows)
    assert modes.text == "samples cover 2 to 4 of 9 modes" and modes.rows == [
        "n_components=2",
        "n_components=3",
    ]
    assert modes.settings == [
        ("n_components=4", ["n_components=2"]),
        ("n_components=6", ["n_components=3"]),
    ]
    assert (
        copies.rows == ["n_components=2 (1 of 2 seeds)", "n_components=3 (1 of 2 seeds)"]
        and copies.settings == []
    )
    assert "n_components=6" in page(left.folder).words
    assert (
        "- samples cover 2 to 4 of 9 modes: n\\_components=2 and"
        in (left.folder / "report.md").read_text()
    )


def fault(kind, text="it is bad", setting=""):
    return {"kind": kind, "text": text, "setting": setting}


def test_who_is_best_is_qualified_by_its_faults_and_remarks_in_the_same_sentence(left, capsys):
    complete, log_prob = (
        {"group": "latent space", "better": "higher"},
        {"group": "likelihood", "better": "higher"},
    )
    collapsed = [
        fault("note", "no fault"),
        fault("posterior collapse", "0 of 2 latents"),
        fault("copies", "copies"),
    ]
    left(
        "vae",
        metrics=card(
            ("completeness", 1.0, complete | sure(1)), ("fid", 9.0, sure(9)), diagnosis=collapsed
        ),
    )
    remarks = ["3 of 10 covariances are singular"]
    own = [
        ("completeness", 0.5, complete | sure(0.5)),
        ("fid", 1.0, sure(1)),
        ("log_prob", 5.0, log_prob | sure(5)),
    ]
    left("gmm", metrics=card(*own, diagnosis=[fault("nothing to compress")], remarks=remarks))
    left(
        "kde",
        metrics=card(
            ("completeness", 0.4, complete | sure(0.4)),
            ("fid", 2.0, sure(2)),
            ("log_prob", 1.0, log_prob | sure(1)),
        ),
    )
    report = left.report()
    assert verdicts_of(report) == [
        "gmm is best at fid, and at log_prob among gmm and kde (but 3 of 10 covariances are singular).",
        "vae is best at completeness (but 0 of 2 latents).",
    ]
    texts, _ = everywhere(left.folder, capsys)
    assert all(
        "3 of 10 covariances are singular" in text and "0 of 2 latents" in text for text in texts
    )
    assert (
        "diagnosis of vae: 0 of 2 latents" in texts[0]
        and "no fault" not in texts[0]
        and "no fault" in texts[1]
    )
    assert [problem.text for problem in diagnosis.problems(report.rows)][-2:] == [
        "no fault",
        remarks[0],
    ], "the worst are first"


def test_the_reason_of_an_empty_cell_is_one_and_the_right_one(left, capsys):
    nmi, likely = (
        ("nmi", 0.5, {"group": "representation"}),
        {"group": "likelihood", "better": "higher"},
    )
    able = drawing("prior", "encode", "decode", "log_prob")
    for k, model in enumerate(("gmm", "kmeans")):
        of = "density of test values, in cells; exact"
        left(
            model,
            metrics=card(("fid", k, {}), nmi, ("log_prob", k, likely | {"of": of}), diagnosis=[])
            | able,
        )
    of = "probability of dot counts; at least, by 100 importance samples"
    left(
        "vae",
        metrics=card(("fid", 3.0, {}), ("log_prob", 3.0, likely | {"of": of}), diagnosis=[]) | able,
    )
    left("pca", metrics=card(("fid", 2.0, {}), ("log_prob", 3.0, likely | {"of": of})) | able)
    report = left.report()
    text = " ".join(gaps.gaps(only(report), report))
    assert (
        "No nmi of vae: it is measured only of models whose codes are clusters, on data with labels."
        in text
    )
    assert (
        "No nmi of pca: it was not asked for; genbench evaluate" in text
        and "metrics=nmi measures it" in text
    )
    kinds = "probability of dot counts, not density of test values, in cells, which does not"
    assert f"No log_prob (1) of vae and pca: it is {kinds} compare." in text
    shown = " ".join(capsys.readouterr().out.split())
    assert kinds in shown and "No nmi" not in shown


def test_sentences_name_rows_by_what_differs_in_them(left):
    for beta, latent_dim in itertools.product((1.0, 2.0), (2, 10)):
        left(
            "vae",
            {"beta": beta, "latent_dim": latent_dim},
            under="one",
            metrics=card(("fid", beta * latent_dim, sure(beta * latent_dim))),
        )
    assert verdicts_of(left.report(left.folder.parent / "one")) == [
        "beta=1 latent_dim=2 is best at fid."
    ]
    for dataset, k in itertools.product(("ring", "grid"), (2, 3)):
        left("gmm", {"n_components": k}, dataset=dataset, metrics=card(("fid", k, sure(k))))
    left("kde", dataset="ring", metrics=card(("fid", 9.0, sure(9)), ("mse", 9.0, {})))
    report = left.report(left.folder)
    assert verdicts_of(report) == [
        "On ring: gmm (n_components=2) is best at fid.",
        "On grid: n_components=2 is best at fid.",
    ]
    assert [row_name(row, report.rows) for row in report.rows][:3:2] == [
        "gmm (n_components=2) on ring",
        "kde on ring",
    ]


def test_what_rises_and_falls_with_a_swept_number_is_a_sentence(left, capsys):
    for beta, latent_dim in itertools.product((1.0, 2.0, 4.0, 8.0), (2, 10)):
        values = {
            "mse": beta / 100,
            "fid": 9 - beta if latent_dim == 10 else (beta - 3) ** 2,
            "kid": 1.0,
            "coverage": beta / 1e6,
        }
        found = card(
            *((name, value, sure(value, 1e-3)) for name, value in values.items()),
            ("parameters", beta, {"group": "cost"}),
        )
        left("vae", {"beta": beta, "latent_dim": latent_dim}, metrics=found)
    report = left.report()
    assert verdicts.effects(only(report), report) == [
        "At latent_dim=2, mse rises from 0.01 to 0.08 as beta grows from 1 to 8.",
        "At latent_dim=10, mse rises from 0.01 to 0.08 and fid falls from 8 to 1 as beta grows from 1 to 8.",
    ], (
        "two values show no trend, and what does not always change, or by less than its interval, is none"
    )
    for seed in (0, 1, 2):
        left("kde", {"dataset.seed": seed}, metrics=card(("fid", 1.0 + seed, sure(seed, 1e-3))))
    report = left.report()
    assert len(verdicts.effects(only(report), report)) == 2, (
        "a seed is no quantity that anything could grow with"
    )
    assert "At latent_dim=10, mse rises" in " ".join(capsys.readouterr().out.split())
    assert "At latent_dim=10, mse rises" in page(left.folder).words


def test_a_sweep_over_samplers_is_not_told_to_sweep_them(left):
    for sampler in ("prior", "gmm"):
        left("ae", {"sampler": sampler}, metrics=card(("fid", 3.0, {})) | drawing(sampler))
    assert warnings(left) == [], "of one model the sampler is all that differs"
    left("gmm", metrics=card(("fid", 1.0, {})) | drawing("model"))
    (text,) = warnings(left)
    assert "compare different samplers" in text and "sampler=prior,gmm" not in text
    left("vae", metrics=card(("fid", 3.0, {})) | drawing("prior"))
    (text,) = warnings(left)
    assert "sampler=prior,gmm" in text


def test_one_measure_without_an_interval_is_one(left):
    for k in (2, 3):
        left(changes={"n_components": k}, metrics=card(("fid", k, {})))
    assert verdicts_of(left.report()) == [
        "Nobody is called best at fid: no interval is known for n_components=2 and n_components=3; seed=0,1,2 may give one."
    ]


# --- what is not there ----------------------------------------------------------------------------------------


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


def test_a_formula_after_a_separator_is_none(left):
    folder = left(metrics=card(("fid", -1.0, {})))
    folder.rename(left.folder / "a;=1+1")
    left.report()
    text = (left.folder / "report.csv").read_text()
    cells = [cell for line in text.splitlines() for cell in line.split(";")]
    assert not [cell for cell in cells if cell.lstrip().startswith(export.FORMULAS)], cells


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


def test_a_report_of_an_earlier_version_is_replaced(left):
    left(metrics=card(("fid", 1.0, {})))
    left.report()
    (left.folder / "report_files.json").unlink()
    left(changes={"n_components": 3}, metrics=card(("fid", 2.0, {})))
    left.report()
    assert len(read_csv(left.folder)) == 2


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


def test_a_total_is_a_number_also_in_files_that_had_it_as_a_text(left):
    new = ("modes", 7, {"total": 8, "better": "higher"})
    old = ("modes", 6, {"of": "of 8", "better": "higher"})
    for k, entry in enumerate((new, old)):
        left(changes={"n_components": k + 2}, metrics=card(entry))
    (quantity,) = (q for q in left.report().quantities if q.name == "modes")
    assert quantity.total == 8 and quantity.of == ""


@pytest.mark.parametrize("evil", ["=1+2", "+1", "-1+2", "@SUM(1)", "\t=1", " =1", "|calc", "%1"])
def test_no_cell_of_the_csv_is_a_formula(left, evil):
    for k in (2, 3):
        found = card((evil, k, {"of": evil, **sure(k)}), ("fid", -k, {})) | drawing(evil)
        left(changes={"n_components": k}, metrics=found).rename(left.folder / f"{evil}{k}")
    left.report()
    with open(left.folder / "report.csv", newline="", encoding="utf-8") as file:
        heads, *rows = csv.reader(file)
    cells = [cell for row in (heads, *rows) for cell in row]
    assert (
        sum(evil in cell for cell in cells)
        + sum(evil.replace("\t", "\ufffd") in cell for cell in cells)
        > 4
    )
    numbers = {str(value) for k in (2, 3) for value in (-k, float(-k))}
    assert not [
        cell for cell in cells if cell.lstrip().startswith(export.FORMULAS) and cell not in numbers
    ]
    assert {row[heads.index("fid")] for row in rows} <= numbers, "numbers stay numbers"


def test_nothing_to_report_is_told(genbench, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "report.dir=\n" in genbench("completion", "--", "report", "").stdout
    for words, says in (
        ([], "needs the folders"),
        (["nowhere"], "no such folder"),
        (["empty"], "holds no runs"),
    ):
        done = genbench("report", *words)
        assert done.returncode == 2 and says in done.stderr, done.stderr


# --- the page -------------------------------------------------------------------------------------------------


def test_hostile_names_are_text_and_the_page_needs_nothing_else(left, capsys):
    evil = (
        "<script>alert(1)</script>\"'><img src=http://x/y onerror=alert(1)>{{ 7*7 }}/../../$\\frac$"
    )
    metrics = [
        card(
            (evil, k, {"group": evil, "on": evil, "unit": evil, "n": {evil: 3}}),
            diagnosis=[evil + "\x1b[2J"],
        )
        for k in (1, 2)
    ]
    for k, found in enumerate(metrics):
        folder = left(
            "kmeans", {"n_components": k + 2}, metrics=found | {"time": {"seconds": 2.0 + k}}
        )
        Image.new("L", (20, 20)).save(folder / "samples.png")
        folder.rename(folder.with_name(f"{k}<b>|`\n"))
    left("kmeans", state="failed", reason=evil)
    report = left.report()
    text = (left.folder / "report.html").read_text()
    found = page(left.folder)
    assert (
        evil in found.words
        and [tag for tag, _ in found.tags].count("script") == 1
        and "<script>alert" not in text
    )
    for tag, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes) and tag not in (
            "link",
            "iframe",
            "base",
            "form",
        )
        assert all(
            attributes[name].startswith("data:image/")
            for name in ("src", "href")
            if name in attributes
        )
    assert "@import" not in text and "url(" not in text and "default-src 'none'" in text
    assert {len(row) for row in found.tables[0][1:]} == {len(found.tables[0][1])}
    assert "\x1b" not in text + capsys.readouterr().out + (left.folder / "report.csv").read_text()
    rows = [
        line
        for line in (left.folder / "report.md").read_text().splitlines()
        if line.startswith("| kmeans")
    ]
    assert (
        len(rows) == 4 == 2 * len(report.rows)
        and "<script>" not in (left.folder / "report.md").read_text()
    )
    names = {path.name for path in left.folder.iterdir() if path.is_file()}
    assert all(path.isascii() and path.startswith("report") for path in names) and list(
        left.folder.parent.iterdir()
    ) == [left.folder]


def test_the_page_sorts_by_numbers_and_has_a_picture_of_each_setting(left):
    for k in (2, 10):
        folder = left(changes={"n_components": k}, metrics=card(("fid", 1e-7 / k, {})))
        Image.new("RGB", (480, 200)).save(folder / "samples.png")
    left.report()
    found = page(left.folder)
    keys = [
        attributes["data-key"]
        for tag, attributes in found.tags
        if tag == "td" and "data-key" in attributes
    ]
    assert {"2", "10", "5e-08", "1e-08"} <= set(keys)
    pictures = [
        attributes for tag, attributes in found.tags if tag == "img" and "loading" in attributes
    ]
    assert [p["alt"] for p in pictures] == [
        "samples of n_components=2",
        "samples of n_components=10",
    ]


# --- charts ---------------------------------------------------------------------------------------------------


def drawn(folder):
    """What each chart shows: by name, its lines in the order drawn, as (x, y) of each point."""
    report = compared([folder], builtin_registry())
    return {
        name: [(*map(tuple, line.get_data()),) for axes in sheet.figure.axes for line in axes.lines]
        for name, sheet in charts.charts(report)
    }


def test_rate_and_distortion_are_those_of_the_files_in_the_order_of_beta(left):
    truth = {4.0: (2.0, 30.0), 1.0: (9.0, 12.0), 2.0: (5.0, 20.0)}
    for (beta, (kl, nll)), seed in itertools.product(truth.items(), (0, 1)):
        test = {"n": 9, "kl": kl + seed, "nll": nll - seed, "loss": 1.0}
        left(
            "vae",
            {"beta": beta, "seed": seed},
            metrics={"test": test, "cost": {"criterion": "loss", "criterion_contains": ["beta"]}},
        )
    left("gmm", metrics={"test": {"n": 9, "nll": 1.0}})
    (line,) = drawn(left.folder)["rate_against_distortion_on_digits"]
    assert line == ((9.5, 5.5, 2.5), (11.5, 19.5, 29.5))


def test_words_in_a_chart_do_not_lie_on_one_another(left):
    for beta in (1.0, 2.0, 3.0, 4.0):
        test = {"n": 9, "kl": 5 + beta / 100 + 9 * (beta == 1), "nll": 20 - beta / 100, "loss": 1.0}
        left(
            "vae",
            {"beta": beta},
            metrics={"test": test, "cost": {"criterion": "loss", "criterion_contains": ["beta"]}},
        )
    rows = averaged(gathered_runs(left.folder, builtin_registry()))
    ((_, sheet),) = charts.trades(rows)
    boxes = {text.get_text(): text.get_window_extent() for text in sheet.figure.axes[0].texts}
    assert {*boxes} == {f"beta={beta}" for beta in (1, 2, 3, 4)}
    assert not [
        pair for pair in itertools.combinations(boxes, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])
    ]


def test_each_chart_is_there_where_it_applies(left):
    for latent_dim, lam in itertools.product((2, 4), (1.0, 10.0)):
        test = {
            "n": 9,
            "reconstruction": latent_dim + lam,
            "sliced_wasserstein": 1 / lam,
            "loss": 1.0,
            "mse": latent_dim * lam,
        }
        curve = [{"epoch": e, "validation": {"loss": lam / e}} for e in (1, 2, 3)]
        cost = {"criterion": "loss", "criterion_contains": ["lambda"]}
        metrics = {
            "validation": {"n": 9, "loss": lam},
            "test": test,
            "cost": cost,
            "time": {"fit_seconds": lam, "seconds": 99.0},
        }
        left("swae", {"latent_dim": latent_dim, "lambda": lam}, metrics=metrics, curve=curve)
    found = drawn(left.folder)
    assert set(found) == {
        "prior_match_against_reconstruction_on_digits",
        *(f"loss_against_{name}_swae_on_digits" for name in ("lambda", "latent_dim")),
        *(f"measures_against_{name}_swae_on_digits" for name in ("lambda", "latent_dim")),
        "reconstruction_over_lambda_and_latent_dim_swae_on_digits",
        "learning_curves",
        "cost_against_reconstruction_on_digits",
    }
    assert set(found["prior_match_against_reconstruction_on_digits"]) == {
        ((1.0, 0.1), (3.0, 12.0)),
        ((1.0, 0.1), (5.0, 14.0)),
    }
    assert ((1, 2, 3), (10.0, 5.0, 10 / 3)) in found["learning_curves"] and len(
        found["learning_curves"]
    ) == 4
    (chart,) = (name for name in found if name.startswith("cost_against"))
    assert sorted(found[chart][0][0]) == [1, 1, 10, 10], (
        "the time to learn, without measuring and drawing"
    )


def test_a_measure_that_only_some_lines_have_is_drawn_for_these(left):
    for likelihood, beta in itertools.product(("bernoulli", "gaussian"), (1.0, 2.0, 4.0)):
        entries = [("fid", beta, {}), ("log_prob", -beta, {"better": "higher", "of": likelihood})]
        left(
            "vae",
            {"likelihood": likelihood, "beta": beta},
            metrics=card(*entries[: 2 - (likelihood == "bernoulli")]),
        )
    assert ((1.0, 2.0, 4.0), (-1.0, -2.0, -4.0)) in drawn(left.folder)[
        "measures_against_beta_vae_on_digits"
    ]


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


def test_a_remedy_names_its_runs_unless_it_is_for_all_that_have_the_problem(left):
    def worst(**remedies):
        for model, setting in remedies.items():
            left(
                model,
                metrics=card(
                    ("fid", 1.0, {}), diagnosis=[fault("missing modes", "3 of 8 modes", setting)]
                ),
            )
        return diagnosis.worst(left.report().rows)

    assert worst(swae="sampler=gmm") == ["diagnosis of swae: 3 of 8 modes; try sampler=gmm"]
    assert worst(vae="") == ["diagnosis of swae and vae: 3 of 8 modes; try sampler=gmm (swae)"]
    assert worst(gan="ema=0.9") == [
        "diagnosis of swae, vae and gan: 3 of 8 modes; try sampler=gmm (swae); or ema=0.9 (gan)"
    ]


def test_a_single_run_has_a_report_without_comparisons(left):
    left(metrics={"test": {"n": 9, "nll": 1.0}, "time": {"seconds": 1.0}})
    report = left.report()
    assert (
        best(report) == set() and drawn(left.folder) == {} and "1 run in 1 setting" in report.counts
    )


def test_a_heat_map_shows_what_was_measured_where(left):
    values = {(k, s): 10.0 * k + s for k in (2, 3) for s in (1, 2)}
    for (k, n_init), value in values.items():
        left("kmeans", {"n_components": k, "n_init": n_init}, metrics=card(("fid", value, {})))
    rows = averaged(gathered_runs(left.folder, builtin_registry()))
    ((name, sheet),) = charts.heat_maps(rows)
    shades = np.asarray(sheet.figure.axes[0].images[0].get_array())
    axes = sheet.figure.axes[0]
    across, up = (
        [int(t.get_text()) for t in ticks]
        for ticks in (axes.get_xticklabels(), axes.get_yticklabels())
    )
    first = axes.get_xlabel()
    assert {
        (a, b) if first == "n_components" else (b, a): shades[j, i]
        for i, a in enumerate(across)
        for j, b in enumerate(up)
    } == values


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


def test_headers_say_all_that_tells_measures_apart():
    one, two = Quantity("fid", "a", n="1", features="x"), Quantity("fid", "a", n="2", features="x")
    assert labels([one, two, Quantity("mse", "a")]) == {
        one: "fid, from 1",
        two: "fid, from 2",
        Quantity("mse", "a"): "mse",
    }


# --- the command ----------------------------------------------------------------------------------------------


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


def test_a_sweep_ends_with_its_report_and_a_finished_one_is_left_alone(genbench, undrawn, tmp_path):
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

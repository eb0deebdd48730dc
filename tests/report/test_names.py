"""The names of rows: the same settings for all rows of a table, and never the same name twice."""

import itertools

from helpers.reports import card

from genbench.report.names import row_name, setting_columns


def test_all_rows_of_a_table_are_named_by_the_same_settings(left, capsys):
    for covariance, k in itertools.product(("full", "diag"), (2, 3)):
        left(changes={"covariance": covariance, "n_components": k}, metrics=card(("fid", k, {})))
    last = {"covariance": "full", "reg_covar": 0.5, "n_components": 2}
    left(changes=last, metrics=card(("fid", 9.0, {})))
    rows = left.report().rows
    names = [row_name(row, rows) for row in rows]
    assert len({*names}) == 5
    named_by = {tuple(word.split("=")[0] for word in name.split()) for name in names}
    assert named_by == {("covariance", "n_components", "reg_covar")}


def test_rows_keep_distinct_names_on_a_narrow_terminal(left, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    swept = itertools.product(("full", "diag"), (0.001, 0.01, 0.1), (3, 10))
    for covariance, added, k in swept:
        changes = {"covariance": covariance, "reg_covar": added, "n_components": k}
        left(changes=changes, metrics=card(("fid", 10 * added + k, {})))
    capsys.readouterr()
    left.report()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("gmm ")]
    shown = [tuple(line.split()[1:4]) for line in lines]
    assert len({*shown}) == len(shown) == 12
    assert ("full", "10", "0.001") in shown


def test_what_rows_share_is_cut_and_not_their_values():
    folders = [[f"dataset.root=/a/long/path/to/{name}", "beta=4"] for name in "AB"]
    assert setting_columns(folders, 60) == [("settings", [" ".join(line) for line in folders])]
    root, beta = setting_columns(folders, 20)
    assert root == ("dataset.root", ["…A", "…B"]) and beta == ("beta", ["4", "4"])
    alike = [["sampler=gmm", "sampler_components=10"], ["sampler=gmm", "sampler_components=20"]]
    heads = [head for head, _ in setting_columns(alike, 15)]
    assert len({*heads}) == 2 and heads[0] == "sampler"

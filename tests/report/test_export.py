"""The report's CSV file."""

import csv

import pytest
from helpers.reports import (
    card,
    drawing,
    read_csv,
    sure,
)

from genbench.report import export


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


def test_a_formula_after_a_separator_is_none(left):
    folder = left(metrics=card(("fid", -1.0, {})))
    folder.rename(left.folder / "a;=1+1")
    left.report()
    text = (left.folder / "report.csv").read_text()
    cells = [cell for line in text.splitlines() for cell in line.split(";")]
    assert not [cell for cell in cells if cell.lstrip().startswith(export.FORMULAS)], cells


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

"""The notebooks in examples/: each runs from first to last cell, and is kept without outputs."""

import json
import os
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
SECONDS = 300  # that a cell may take on a machine with other work
STEPS = 20  # in place of those of a notebook, which takes a minute to learn something worth seeing


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None, cell["source"]


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")  # of Jupyter, about its own parts
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_its_first_cell_to_its_last(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    paths = [str(EXAMPLES.parent), os.environ.get("PYTHONPATH")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    text, found = re.subn(r"STEPS = \d+", f"STEPS = {STEPS}", path.read_text(encoding="utf-8"))
    assert found == 1
    notebook = nbformat.reads(text, as_version=4)
    folder = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources=folder
    ).execute()  # raises for a cell that fails
    shown = [data for cell in notebook.cells for data in kinds_of(cell)]
    assert "image/png" in shown and "text/html" in shown


def kinds_of(cell):
    """The kinds of what a cell shows: text, tables, pictures."""
    return [kind for output in cell.get("outputs", []) for kind in output.get("data", {})]

"""genbench in a notebook: results and pictures are shown, and progress is lines of text."""

import pytest


@pytest.mark.extras
def test_a_notebook_shows_progress_results_and_pictures(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    pytest.importorskip("ipykernel")
    cells = [
        "import numpy as np, genbench\nx = np.random.default_rng(0).random((60, 5))",
        "run = genbench.fit(x, model='pca', latent_dim=2, evaluation='none')",
        "run",
        "run.plot('samples')",
        "genbench.sklearn.PCA(n_components=2).fit(x)",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    client(book, timeout=120, kernel_name="python3", resources=resources).execute()
    outputs = [cell["outputs"] for cell in book.cells]
    assert not outputs[0] and {o["output_type"] for o in outputs[1]} == {"stream"}
    text = "".join(output["text"] for output in outputs[1])
    assert {output["name"] for output in outputs[1]} == {"stdout"} and "\x1b" not in text
    assert "epoch 1/1" in text and "objective on standardized values: squared_error" in text
    assert "<img" in outputs[2][0]["data"]["text/html"]
    assert "image/png" in outputs[3][0]["data"]
    assert "PCA" in outputs[4][0]["data"]["text/plain"]

"""What a search is worth: it finds the best of a fine grid in fewer runs, and pruning saves epochs."""

import json
from pathlib import Path

import pytest
from helpers.sweeps import summary

pytest.importorskip("optuna", "5", reason="needs genbench[optuna]")
pytestmark = pytest.mark.slow

# The bound on held-out data has its optimum inside the range: beta=1 is the bound itself, and on
# few data a little more regularizes.
DIGITS = [
    *("-m", "model=beta-vae", "dataset=digits", "network=mlp", "hidden=[64]", "latent_dim=4"),
    *("batch_size=100", "schedule=constant", "evaluation=none", "draw_every=1000000", "jobs=1"),
]
SEARCH = [*DIGITS, "hydra/sweeper=optuna", "optimize=validation.negative_elbo"]


def tried(folder):
    return json.loads((Path(folder) / "search.json").read_text())["trials"]


def bound(folder, job):
    content = json.loads((Path(folder) / job["directory"] / "metrics.json").read_text())
    return content["validation"]["negative_elbo"]


def test_a_search_finds_the_best_beta_of_a_fine_grid_in_half_as_many_runs(genbench, uncurved):
    grid = [0.1 * 100 ** (i / 40) for i in range(41)]
    values = ",".join(f"{beta:.4g}" for beta in grid)
    usual = ["lr=0.003", "epochs=30"]
    assert genbench(*DIGITS, *usual, f"beta={values}", "hydra.sweep.dir=grid").returncode == 0
    jobs = summary("grid")
    best = min(range(len(jobs)), key=lambda i: bound("grid", jobs[i]))
    assert 0 < best < 40, "the optimum is inside"
    words = [*SEARCH, *usual, "beta=log(0.1,10)", "trials=20", "pruner=none"]
    assert genbench(*words, "hydra.sweep.dir=search").returncode == 0
    (found,) = [one for one in tried("search") if one["is_best"]]
    assert float(found["settings"]["beta"]) == pytest.approx(grid[best], rel=0.2)


def test_pruning_saves_a_third_of_the_epochs_and_loses_little(genbench, uncurved):
    words = [*SEARCH, "beta=log(0.1,10)", "lr=log(1e-4,1e-1)", "epochs=30", "trials=20"]
    for pruner in ("none", "median"):
        done = genbench(*words, f"pruner={pruner}", f"hydra.sweep.dir={pruner}")
        assert done.returncode == 0
    epochs = {name: sum(one["epochs"] for one in tried(name)) for name in ("none", "median")}
    assert epochs["none"] == 20 * 30 and epochs["median"] <= 2 / 3 * epochs["none"]
    best = {
        name: min(one["values"][0] for one in tried(name) if one["is_best"])
        for name in ("none", "median")
    }
    assert best["median"] <= best["none"] + 1

"""`experiment=NAME`: files that set several settings at once."""

import re

import pytest
import yaml
from helpers.commands import TINY, put_own
from helpers.configs import CONFIGS

from genbench.config.compose import composed, resolved
from genbench.config.registry import builtin_registry
from genbench.config.validation import check_config


@pytest.mark.parametrize("plus", ["", "+"])
def test_an_experiment_sets_what_its_file_says_and_the_command_wins(plus, genbench, tmp_path):
    text = "# @package _global_\n# Mine.\ndefaults: [override /model: kmeans, override /dataset: ring]\n"
    put_own(tmp_path, experiment__mine=text + "n_components: 5\ndataset: {size: 300}\n")
    put_own(tmp_path, experiment__more="# @package _global_\n# More.\ndefaults: [mine]\nseed: 3\n")
    own = ["--config-dir", "own", f"{plus}experiment=more"]
    shown = yaml.safe_load(genbench("--cfg", "job", *own, "n_components=7").stdout)
    assert (shown["model"]["name"], shown["dataset"]["name"]) == ("kmeans", "ring")
    assert (shown["n_components"], shown["dataset"]["size"], shown["seed"]) == (7, 300, 3)
    other = yaml.safe_load(genbench("--cfg", "job", *own, "model=gmm").stdout)
    assert (other["model"]["name"], other["n_components"]) == ("gmm", 5)
    done = genbench(*own, "hydra.run.dir=run", *TINY[0:1], *TINY[2:])
    assert done.returncode == 0, done.stderr
    ran = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert {**ran, "epochs": 0, "device": "", "evaluation": ""} == {
        **shown,
        **{"epochs": 0, "device": "", "evaluation": "", "n_components": 5},
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# What.\nmeasure: test.nll\nminutes: 1\n", "is a recipe, not an experiment"),
        ("seed: 3\n", "begin it with the line: # @package _global_"),
        ("# @package _global_\nnope: 3\n", "nope: no such setting"),
        ("# @package _global_\nseed: -3\n", "seed: must be int"),
        ("# @package _global_\ndefaults: [mine]\n", "includes itself (got mine > mine)"),
        ("# @package _global_\ndefaults: [override /hydra/launcher: joblib]\n", "chooses a model"),
        ("# @package _global_\ndefaults: [override /model: vea]\n", "fix: model=vae"),
        ("# @package _global_\nseed: [\n", "is damaged"),
        ("# @package _global_\nmodel: vae\n", "fix: choose it in the defaults list"),
    ],
    ids=range(9),
)
def test_a_file_that_is_no_experiment_is_refused_in_one_line(text, says, genbench, tmp_path):
    put_own(tmp_path, experiment__mine=text)
    for sweep in ([], ["-m"]):
        done = genbench(*sweep, "experiment=mine", "--config-dir", "own")
        assert done.returncode == 2 and says in done.stderr, done.stderr


def test_a_damaged_experiment_is_named_where_experiments_are_listed(genbench, tmp_path):
    put_own(tmp_path, experiment__bad="", experiment__odd="# @package _global_\nmodel: vae\n")
    (tmp_path / "own" / "experiment" / "bad.yaml").write_bytes(b"\xff")
    listed = genbench("experiments", "--config-dir", "own")
    assert listed.returncode == 0 and "  smoke " in listed.stdout
    assert re.search("  bad +cannot be used: .*is no UTF-8 text", listed.stdout)
    assert re.search("  odd +cannot be used: .*choose it in the defaults list", listed.stdout)
    assert genbench("help", "vae", "--config-dir", "own").returncode == 0
    assert genbench("help", "experiment", "--config-dir", "own").stdout == listed.stdout


@pytest.mark.parametrize("name", sorted(f.stem for f in (CONFIGS / "experiment").glob("*.yaml")))
def test_every_experiment_is_as_hydra_composes_it_and_is_listed(name, genbench):
    registry = builtin_registry()
    job = [f"experiment={name}"]
    assert resolved(job, registry) == check_config(composed(job, registry), registry)
    assert re.search(rf"^  {name} +\S", genbench("experiments").stdout, re.M)

"""What a search varies and optimizes is read from the command, and checked before the first trial."""

import sys

import pytest

from genbench.config.registry import builtin_registry
from genbench.sweeps.goals import search_goals
from genbench.sweeps.pruning import pruner_of
from genbench.sweeps.search_space import Choice, Range, search_space
from genbench.sweeps.search_words import search_words, searched_again, with_objective_renamed
from genbench.utils.errors import UserError


@pytest.fixture(scope="module")
def registry():
    return builtin_registry()


@pytest.mark.parametrize(
    "word, expected",
    [
        ("beta=interval(0.1,10)", Range("beta", 0.1, 10.0)),
        ("beta=interval(1,10)", Range("beta", 1.0, 10.0)),
        ("lr=log(1e-4,1e-2)", Range("lr", 1e-4, 1e-2, is_log=True)),
        ("lr=tag(log,interval(1e-4,1e-2))", Range("lr", 1e-4, 1e-2, is_log=True)),
        ("latent_dim=interval(2,32)", Range("latent_dim", 2, 32, 1, is_whole=True)),
        ("latent_dim=int(log(2,32))", Range("latent_dim", 2, 32, 1, is_log=True, is_whole=True)),
        ("latent_dim=range(2,9,2)", Range("latent_dim", 2, 8, 2, is_whole=True)),
        ("beta=range(0.5,2.1,0.5)", Range("beta", 0.5, 2.0, 0.5)),
        ("latent_dim=2,4,8", Choice("latent_dim", ("2", "4", "8"))),
        ("hidden=[32],[64,64]", Choice("hidden", ("[32]", "[64,64]"))),
        ("model=vae,beta-vae", Choice("model", ("vae", "beta-vae"))),
        ("likelihood=choice(gaussian,bernoulli)", Choice("likelihood", ("gaussian", "bernoulli"))),
    ],
)
def test_ranges_and_choices_are_written_as_hydra_writes_them(word, expected, registry):
    others = [one for one in ("model=beta-vae", "network=mlp") if not word.startswith("model")]
    space = search_space([*others, word], registry)
    assert space.dimensions == (expected,)
    (corner, *_) = space.corners()
    assert space.overrides(corner)[-1].startswith(f"{expected.name}=")
    assert space.overrides({expected.name: 4})[: len(others)] == others


@pytest.mark.parametrize(
    "words, says",
    [
        (["beta=4"], "hydra/sweeper=optuna: has nothing to vary"),
        (["beta=interval(-1,4)"], "beta: must be float >= 0 (got -1.0)"),
        (["lr=interval(0,1)"], "lr: must be float > 0 (got 0.0)"),
        (["latent_dim=interval(0,4)"], "latent_dim: must be int >= 1 | auto (got 0)"),
        (["latent_dim=interval(1.5,4)"], "latent_dim: is a whole number (got interval(1.5,4))"),
        (["beta=interval(4,1)"], "beta: the first end of a range is below the second"),
        (["beta=range(4,1)"], "beta: the first end of a range is below the second"),
        (["beta=range(1,4,0)"], "beta: a range has a step above 0"),
        (["lr=log(0,1)"], "lr: a logarithmic range begins above 0 (got log(0,1))"),
        (["beta=interval(0,inf)"], "beta: a range has finite ends"),
        (["latent_dim=tag(log,range(1,9,2))"], "latent_dim: a logarithmic range has no step"),
        (["bata=interval(0,1)"], "bata: no such setting (got bata=0.0); fix: did you mean 'beta'?"),
        (["beta=1,x"], "beta: must be float >= 0 (got x)"),
        (["seed=0,1", "beta=interval(0,1)"], "seed: is the same in all trials of a search"),
        (["dataset=digits,moons"], "dataset: is the same in all trials of a search"),
        (["beta=interval(0,1)", "beta=2"], "beta: is given twice"),
        (["beta=log(1)"], "beta: cannot be read as a value"),
        (["beta"], "beta: neither a command nor a setting"),
    ],
)
def test_what_cannot_run_is_refused_with_setting_value_and_way_out(words, says, registry):
    with pytest.raises(UserError) as refused:
        search_space(["model=beta-vae", *words], registry)
    assert says in str(refused.value) and "fix:" in str(refused.value)


def test_every_choice_is_checked_with_both_ends(registry):
    with pytest.raises(UserError, match="model=pca has no setting 'beta'"):
        search_space(["model=vae,pca", "beta=interval(1,4)"], registry)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"optimize": "validation.nll"}, [("validation.nll", "minimize")]),
        ({"optimize": "fid"}, [("fid", "minimize")]),
        ({"optimize": "active_units", "direction": "maximize"}, [("active_units", "maximize")]),
        ({"optimize": "knn_accuracy"}, [("knn_accuracy", "maximize")]),
        ({"optimize": "fid", "direction": "maximize"}, [("fid", "maximize")]),
        (
            {"optimize": ["rate", "distortion"]},
            [("validation.kl", "minimize"), ("validation.nll", "minimize")],
        ),
    ],
)
def test_a_goal_is_a_measure_or_a_term_with_the_direction_that_is_better(
    options, expected, registry
):
    space = search_space(["model=beta-vae", "beta=interval(1,4)"], registry)
    goals = search_goals(options, space, registry)
    assert [(goal.key, goal.direction) for goal in goals] == expected


@pytest.mark.parametrize(
    "options, words, says",
    [
        ({}, [], "optimize: a search needs the number to optimize"),
        ({"optimize": ["a.b"] * 3}, [], "optimize: a search has one number to optimize, or two"),
        ({"optimize": ["fid"] * 2}, [], "optimize: names one number twice"),
        ({"optimize": "fidd"}, [], "optimize: no such number (got fidd); fix: did you mean fid?"),
        ({"optimize": "valid.nll"}, [], "such as optimize=validation.nll"),
        ({"optimize": "active_units"}, [], "direction: active_units may be better high or low"),
        ({"optimize": "fid", "direction": "min"}, [], "direction: is minimize or maximize"),
        (
            {"optimize": "fid", "direction": ["minimize", "minimize"]},
            [],
            "direction: has 2 for 1 to optimize",
        ),
        ({"optimize": "validation.loss"}, [], "validation.loss contains beta"),
        ({"optimize": "fid"}, ["evaluation=none"], "which evaluation=none leaves out"),
        ({"optimize": "fid", "pruner": "median"}, [], "pruner: prunes by what is logged"),
        ({"optimize": ["rate", "distortion"], "pruner": "median"}, [], "pruner: prunes by one"),
    ],
)
def test_a_goal_that_says_nothing_is_refused(options, words, says, registry):
    space = search_space(["model=beta-vae", "beta=interval(1,4)", *words], registry)
    with pytest.raises(UserError) as refused:
        pruner_of(options, search_goals(options, space, registry))
    assert says in str(refused.value)


def test_the_loss_may_be_optimized_over_settings_that_it_does_not_contain(registry):
    space = search_space(["model=beta-vae", "lr=log(1e-4,1e-2)"], registry)
    (goal,) = search_goals({"optimize": "validation.loss"}, space, registry)
    assert goal.is_logged and pruner_of({}, [goal]) == "median"
    assert goal.at_epoch({"train": {"loss": 1.0}}) is None
    with pytest.raises(UserError, match="no such number"):
        goal.at_epoch({"validation": {"nll": 1.0}})


def test_objective_is_read_as_optimize_unless_it_is_a_setting(registry):
    words = ["objective=validation.nll", "+objective=fid", "objective=elbo,iwae", "objective=iwae"]
    renamed = with_objective_renamed(words, registry)
    assert renamed[0] == "optimize=validation.nll" and renamed[2:] == words[2:]
    assert with_objective_renamed(["objective=[rate,distortion]"], registry) == [
        "optimize=[rate,distortion]"
    ]


def test_options_of_a_search_are_refused_elsewhere_and_restored_by_resume():
    with pytest.raises(UserError, match=r"trials: is of a search \(got 3\)"):
        search_words(["model=vae"], {"trials": 3})
    with pytest.raises(UserError, match="optimize: is of a search"):
        search_words(["hydra/sweeper=basic"], {"optimize": ["a", "b"]})
    assert search_words(["hydra/sweeper=basic"], {"optimize": "fid"}) == []
    again = searched_again({"optimize": ["rate", "distortion"], "trials": 7}, {"pruner": "none"})
    assert {"hydra/sweeper=optuna", "optimize=[rate,distortion]", "trials=7"} <= {*again}
    assert not any(word.startswith("pruner=") for word in again)
    with pytest.raises(UserError, match="trials: must be int"):
        searched_again({"trials": "x"}, {})


def test_without_optuna_the_command_says_how_to_install_it(genbench, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = genbench("-m", "hydra/sweeper=optuna", "beta=interval(1,2)", "optimize=validation.nll")
    assert done.returncode == 2 and "pip install 'genbench[optuna]'" in done.stderr
    assert not [*tmp_path.iterdir()]

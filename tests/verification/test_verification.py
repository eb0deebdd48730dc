"""`genbench verify`: what a recipe may say, what comes of it, and what it is compared with."""

import json
import math
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from helpers.configs import CONFIGS, config_of

from genbench.cli.completion import candidates
from genbench.cli.main import COMMANDS
from genbench.config.registry import builtin_registry
from genbench.config.validation import ASIDE, known_settings
from genbench.config.values import flatten
from genbench.data.loading import load_data
from genbench.experiment import build, run
from genbench.trained import Trained
from genbench.utils.imports import locate
from genbench.verification.outcome import Outcome
from genbench.verification.recipe import Recipe
from genbench.verification.recipes import USUAL_SET, read, sets
from genbench.verification.references import classical as exact_classical
from genbench.verification.references import linear as exact_linear
from genbench.verification.references import samples as exact_samples

SHIPPED = sorted(f.stem for f in (CONFIGS / "recipe").glob("*.yaml"))
HEAD = "# What it shows.\n# Somebody 1999\n"
RUN = "run: {model: pca, latent_dim: 2, dataset.limit: 50}\n"
ROOT = {"dataset.root": "/data"}  # which some datasets must be given
CHECKS = """
def seed(runs):
    return float(runs[0].model.settings.seed)

def twice(runs):
    return seed(runs), 2 * seed(runs) + 0.0

def crash(runs):
    raise RuntimeError("no [such] number")

def stop(runs):
    raise KeyboardInterrupt
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Makes recipes of one's own: `own(NAME=TEXT)` writes them, with a head, and returns the words that find them."""
    folder = tmp_path / "mine"
    (folder / "recipe").mkdir(parents=True)
    (folder / "own_checks.py").write_text(CHECKS)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(**recipes):
        for name, text in recipes.items():
            (folder / "recipe" / f"{name}.yaml").write_text(HEAD + text)
        return "--config-dir", str(folder)

    yield write
    sys.modules.pop("own_checks", None)


def tables(folder):
    """The numbers of the only session in outputs/, by recipe, and its table to read."""
    (session,) = (folder / "outputs").glob("verify_*")
    return {
        row["name"]: row for row in json.loads((session / "table.json").read_text())["recipes"]
    }, session


def test_recipes_that_fail_or_crash_stop_no_others(genbench, own, tmp_path):
    words = own(
        crashing=f"{RUN}measure: own_checks.crash\nat_most: 1\nminutes: 1\nsets: [mine]\n",
        failing=f"{RUN}seeds: [0, 2, 1]\nmeasure: own_checks.seed\nat_most: 1\nminutes: 1\nsets: [mine]\ndiffers: The seed.\n",
        passing=f"{RUN}seeds: [0, 1]\nmeasure: own_checks.twice\ntolerance: 1e0\nminutes: 1\nsets: [mine]\npublished: true\n",
        measuring=f"{RUN}measure: train.n\nexpected: 49\nrelative: 0.03\nminutes: 1\nsets: [mine, other]\n",
        unknown=f"{RUN}measure: test.nil\nat_least: 0\nminutes: 1\nsets: [mine]\n",
    )
    done = genbench(*words, "verify", "mine", "device=cpu")
    assert done.returncode == 1
    found, session = tables(tmp_path)
    results = {
        "crashing": "ERROR",
        "failing": "FAIL",
        "measuring": "PASS",
        "passing": "PASS",
        "unknown": "ERROR",
    }
    assert {name: row["result"] for name, row in found.items()} == results
    assert found["failing"]["ours"] == 2 and found["failing"]["seeds"]["1"] == {
        "ours": 1,
        "expected": None,
    }
    assert (
        found["passing"]["ours"],
        found["passing"]["expected"],
        found["passing"]["tolerance"],
    ) == (1, 2, 1)
    assert found["measuring"]["ours"] == 50 and found["measuring"]["minutes"] > 0
    assert (
        found["crashing"]["error"] == "RuntimeError: no [such] number"
        and found["crashing"]["ours"] is None
    )
    assert (
        "test.nil" in found["unknown"]["error"]
        and "test.squared_error" in found["unknown"]["error"]
    )
    assert "in crash" in (session / "crashing" / "error.txt").read_text()
    # A run that several recipes need is made once, for the first of them.
    made = {("crashing", 0), ("failing", 1), ("failing", 2)}
    folders = {
        (p.parent.parent.name, int(p.parent.name[-1])) for p in session.glob("*/seed-*/config.yaml")
    }
    assert folders == made
    for recipe, seed in made:
        config = yaml.safe_load((session / recipe / f"seed-{seed}" / "config.yaml").read_text())
        assert (config["seed"], config["device"], config["dataset"]["limit"]) == (seed, "cpu", 50)
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (session / "table.md").read_text().splitlines()
        if "|" in line
    ]
    assert rows[3][:6] == ["failing", "What it shows.", "", "≤ 1", "2 (worst of 3 seeds)", "FAIL"]
    assert rows[3][7] == "Somebody 1999 Differs: The seed."
    assert rows[5][2:6] == ["2 (published)", "± 1", "1 (worst of 2 seeds)", "PASS"]
    facts = json.loads((session / "table.json").read_text())
    assert facts["torch"] == torch.__version__ and "cores" in facts["machine"]
    assert facts["command"].startswith("genbench verify ") and facts["command"].endswith(
        " mine device=cpu"
    )
    assert (
        "2 of 5 pass" in done.stdout
        and "RuntimeError: no [such] number" in done.stdout
        and "epoch 1" not in done.stdout
    )
    assert genbench(*words, "verify", "other").returncode == 0


def test_runs_are_compared_in_the_order_of_the_recipe(genbench, own, tmp_path):
    (tmp_path / "mine" / "own_checks.py").write_text(
        "def dims(runs):\n    return runs[0].model.latent_dim - runs[1].model.latent_dim\n"
    )
    words = own(
        pair="run:\n  - {model: pca, latent_dim: 5}\n  - {model: pca, latent_dim: 3}\nmeasure: own_checks.dims\nat_least: 2\nminutes: 1\n"
    )
    done = genbench(*words, "verify", "pair")
    assert done.returncode == 0, done.stdout
    assert {p.parent.name for p in tables(tmp_path)[1].glob("pair/seed-0/*/metrics.json")} == {
        "0",
        "1",
    }


def test_a_function_alone_needs_no_run(genbench, own, tmp_path):
    (tmp_path / "mine" / "own_checks.py").write_text("def none(runs):\n    return len(runs)\n")
    done = genbench(
        *own(alone="measure: own_checks.none\nexpected: 0\ntolerance: 0\nminutes: 1\n"),
        "verify",
        "alone",
    )
    assert done.returncode == 0 and tables(tmp_path)[0]["alone"]["ours"] == 0


def test_an_interruption_shows_what_is_done(genbench, own, tmp_path):
    stopping = "measure: own_checks.stop\nat_most: 1\nminutes: 1\n"
    words = own(
        first=f"{RUN}measure: own_checks.seed\nat_most: 1\nminutes: 1\n", stopping=RUN + stopping
    )
    done = genbench(*words, "verify", "first", "stopping", "first")
    assert (
        done.returncode == 130
        and "1 of 2 pass, 1 not tried" in done.stdout
        and "Somebody 1999" in done.stdout
    )
    assert [*tables(tmp_path)[0]] == ["first"]


@pytest.mark.parametrize(
    ("allowed", "cases"),
    [
        (
            {"tolerance": 0.5},
            [
                (9.5, 10, True),
                (10.51, 10, False),
                (math.nan, 10, False),
                (math.inf, 10, False),
                (1, math.nan, False),
            ],
        ),
        ({"relative": 0.1}, [(-9, -10, True), (-11.1, -10, False), (0, 0, True)]),
        (
            {"at_most": 1},
            [
                (-math.inf, None, False),
                (-9, None, True),
                (1, None, True),
                (1.1, 1.1, False),
                (math.nan, None, False),
            ],
        ),
        ({"at_least": 1}, [(1, None, True), (0.9, None, False)]),
        (
            {"at_least": 1, "at_most": 2},
            [(1.5, None, True), (0.9, None, False), (2.1, None, False)],
        ),
    ],
)
def test_what_counts_as_near_enough(allowed, cases):
    recipe = Recipe("a", Path("a.yaml"), "what", "source", "a.b", False, 1.0, [], **allowed)
    assert [recipe.excess(ours, expected) <= 0 for ours, expected, _ in cases] == [
        good for *_, good in cases
    ]


def test_the_worst_seed_counts_or_the_mean_where_the_recipe_says_so():
    about = ("a", Path("a.yaml"), "what", "source", "a.b", False, 1.0, [])
    found = [(9.0, 10.0), (12.0, 10.0), (9.6, 10.0)]  # within .5 on average, and none by itself
    worst = Outcome(Recipe(*about, tolerance=0.5), found, 1.0)
    mean = Outcome(Recipe(*about, tolerance=0.5, average=True), found, 1.0)
    assert worst.counted == (12, 10) and worst.result == "FAIL"
    assert mean.counted == (pytest.approx(10.2), 10) and mean.result == "PASS"
    assert "worst of 3" in worst.row()["measured"] and "mean of 3" in mean.row()["measured"]
    bounded = Outcome(Recipe(*about, at_most=1.0, average=True), [(1.5, None), (0.1, None)], 1.0)
    assert bounded.counted == (0.8, None) and bounded.result == "PASS"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            RUN.replace("latent_dim", "latent_dam")
            + "measure: own_checks.seed\nat_most: 1\nminutes: 1",
            ["run: latent_dam", "'latent_dim'"],
        ),
        (
            RUN.replace("pca", "pac") + "measure: own_checks.seed\nat_most: 1\nminutes: 1",
            ["run: model: no such model", "model=pca"],
        ),
        (
            RUN.replace("2", "none") + "measure: own_checks.seed\nat_most: 1\nminutes: 1",
            ["run: latent_dim: must be", "got none"],
        ),
        (
            RUN + "measure: own_checks.sed\nat_most: 1\nminutes: 1",
            ["measure: cannot be imported", "got own_checks.sed"],
        ),
        (
            RUN + "measure: nll\nat_most: 1\nminutes: 1",
            ["measure: names neither", "got nll", "test.nll"],
        ),
        (
            RUN + "measure: likelihood.log_prob\nat_most: 1\nminutes: 1",
            ["measure: names neither", "got likelihood.log_prob"],
        ),
        (
            RUN + "measure: test.nll\nat_most: 1\nminutes: 1\nlast_run: '2026-11-27'",
            ["last_run: needs the other one", "measured"],
        ),
        (
            RUN + "measure: test.nll\nat_most: 1\nminutes: 1\nmeasured: 1",
            ["measured: needs the other one", "last_run"],
        ),
        (
            RUN + "measure: test.nll\nat_most: 1\nminutes: 1\nmeasured: 1\nlast_run: today",
            ["last_run: must be a day", "got today"],
        ),
        (
            RUN
            + "measure: own_checks.twice\ntolerance: 1\nminutes: 1\nmeasured: 1\nlast_run: '2026-11-27'",
            ["measured: must be what was measured and what was expected", "[measured, expected]"],
        ),
        (RUN + "measure: test.nll\ntolerance: 1\nminutes: 1", ["expected: is missing"]),
        (
            RUN + "measure: test.nll\nexpected: 1\nminutes: 1",
            ["tolerance: what is measured is compared in one way", "got none"],
        ),
        (
            RUN + "measure: test.nll\nexpected: 1\ntolerance: 1\nat_most: 1\nminutes: 1",
            ["got tolerance and at_most", "fix: give one of"],
        ),
        (
            RUN + "measure: test.nll\nat_most: high\nminutes: 1",
            ["at_most: must be float", "got high", "such as at_most: 1.01"],
        ),
        (RUN + "measure: test.nll\nat_mots: 1\nminutes: 1", ["at_mots: no such key", "'at_most'"]),
        (RUN + "measure: test.nll\nat_most: 1", ["minutes: is missing", "such as minutes: 0.5"]),
        (RUN + "at_most: 1\nminutes: 1", ["measure: is missing"]),
        (
            RUN + "measure: test.nll\nseeds: 3\nat_most: 1\nminutes: 1",
            ["seeds: must be list of int", "got 3"],
        ),
        (
            RUN + "measure: test.nll\nseeds: []\nat_most: 1\nminutes: 1",
            ["seeds: needs a run and at least one seed"],
        ),
        (
            "measure: own_checks.seed\nseeds: [1]\nat_most: 1\nminutes: 1",
            ["seeds: needs a run"],
        ),
        ("measure: test.nll\nat_most: 1\nminutes: 1", ["measure: names neither"]),
        (
            "run: pca\nmeasure: test.nll\nat_most: 1\nminutes: 1",
            ["run: must be settings by name", "got pca"],
        ),
        (
            "run: {seed: 3}\nmeasure: test.nll\nat_most: 1\nminutes: 1",
            ["run: seed: does not belong to a run", "seeds: [3]"],
        ),
        ("- a", ["holds no keys with values"]),
        ("a: [", ["is not valid YAML"]),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_runs(text, says, genbench, own, tmp_path):
    words = own(good=f"{RUN}measure: own_checks.seed\nat_most: 1\nminutes: 1", wrong=text)
    done = genbench(*words, "verify", "good", "wrong")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "; fix: " in done.stderr, (
        done.stderr
    )
    assert all(part in done.stderr for part in ["wrong.yaml", *says]), done.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_recipe_says_what_it_shows_and_where_that_comes_from(genbench, own, tmp_path):
    words = own(bare="")
    (tmp_path / "mine" / "recipe" / "bare.yaml").write_text("# What.\nmeasure: test.nll\n")
    assert (
        "does not say what it shows and where that comes from"
        in genbench(*words, "verify", "bare").stderr
    )


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("nowhere", ["no recipe and no set of recipes has this name", "genbench verify --list"]),
        (SHIPPED[0][:-1], [f"did you mean 'genbench verify {SHIPPED[0]}'?"]),
        (USUAL_SET[:-1], [f"did you mean 'genbench verify {USUAL_SET}'?"]),
        (f"{SHIPPED[0]} epochs=3", ["epochs: is set by the recipe", "device, dataset.root"]),
        (f"{SHIPPED[0]} device=gpu", ["device: must be", "got gpu"]),
        (
            f"{USUAL_SET} dataset.root=here",
            ["dataset.root: no run of these recipes has this setting"],
        ),
        ("--lists", ["genbench verify --list"]),
    ],
)
def test_a_wrong_request_is_refused(args, says, genbench, tmp_path):
    done = genbench("verify", *args.split())
    assert done.returncode == 2 and all(part in done.stderr for part in says), done.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_of_data_goes_to_the_runs_that_read_one(own):
    words = own(
        there="run: {dataset: mnist}\nmeasure: test.nll\nat_most: 1\nminutes: 1",
        no=f"{RUN}measure: test.nll\nat_most: 1\nminutes: 1",
    )
    registry = builtin_registry(words[1])
    recipes, where = read(registry), {"dataset.root": "/data", "device": "cpu"}
    for name, root in (("there", "/data"), ("no", None)):
        (config,) = recipes[name].configs(where, registry)
        assert config["dataset"].get("root") == root and config["device"] == "cpu"


def test_the_list_tells_what_there_is_without_torch(tmp_path):
    code = "import sys; from genbench.cli.main import main\ntry: main(['verify', '--list'])\nfinally: print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.endswith("False\n"), done.stderr
    assert all(name in done.stdout for name in SHIPPED) and USUAL_SET in done.stdout


def test_the_list_tells_what_was_last_run_and_how_that_ended(genbench, own):
    ran = "at_most: 1\nminutes: 1\nlast_run: '2026-11-27'\n"
    words = own(
        good=f"{RUN}measure: own_checks.seed\nmeasured: 1\n{ran}",
        bad=f"{RUN}measure: own_checks.seed\nmeasured: 1.1\n{ran}",
        pair=f"{RUN}measure: own_checks.twice\nmeasured: [1, 1.2]\n{ran.replace('at_most: 1', 'tolerance: 0.1')}",
        new=f"{RUN}measure: own_checks.seed\nat_most: 1\nminutes: 1\n",
    )
    recipes = read(builtin_registry(words[1]))
    records = {
        "good": "2026-11-27: met",
        "bad": "2026-11-27: missed",
        "pair": "2026-11-27: missed",
        "new": "never",
    }
    assert {name: recipes[name].record for name in records} == records
    shown = genbench(*words, "verify", "good", "bad", "new", "--list").stdout
    assert [shown.split().count(word) for word in ("met", "missed", "2026-11-27")] == [
        1,
        1,
        2,
    ] and "\nnever run: new\n" in shown


def test_a_table_is_recorded_in_the_recipes_it_measured(tmp_path):
    (tmp_path / "first.yaml").write_text(
        f"{HEAD}{RUN}measure: test.nll\nexpected: 3\ntolerance: 1\nlast_run: x\nmeasured: 2\nminutes: 1\n"
    )
    (tmp_path / "second.yaml").write_text(
        f"{HEAD}{RUN}measure: own_checks.twice\nrelative: 0.1\nminutes: 1\n"
    )
    numbers = {"tolerance": None, "relative": None, "expected": 3, "error": ""}
    rows = [
        numbers | {"name": "first", "ours": 2.51234567, "tolerance": 1},
        numbers | {"name": "second", "ours": 2.5, "relative": 0.1},
        numbers | {"name": "third", "ours": None, "error": "ValueError"},
    ]
    (tmp_path / "table.json").write_text(
        json.dumps({"date": "2026-11-27T09:28:40+00:00", "recipes": rows})
    )
    script = runpy.run_path(str(CONFIGS.parent / "scripts" / "record_recipes.py"))
    assert script["record"](tmp_path / "table.json", tmp_path) == ["first", "second"]
    first, second = (
        yaml.safe_load((tmp_path / f"{name}.yaml").read_text()) for name in ("first", "second")
    )
    assert (first["last_run"], first["measured"], first["minutes"]) == ("2026-11-27", 2.51235, 1)
    assert (second["last_run"], second["measured"]) == ("2026-11-27", [2.5, 3])


def test_the_page_on_verification_has_every_recipe_where_it_belongs():
    text = (CONFIGS.parent / "docs" / "verification.md").read_text()
    _, _, not_run = text.partition("\n## Not run\n")
    for recipe in read(builtin_registry()).values():
        assert recipe.name in text, f"docs/verification.md does not mention {recipe.name}"
        assert (f"`{recipe.name}`" in not_run.partition("\n## ")[0]) == (
            recipe.record == "never"
        ), recipe.name


def test_tab_offers_recipes_sets_and_where_to_run():
    registry = builtin_registry()

    def offered(*words):
        return candidates(["verify", *words[:-1]], words[-1], registry, COMMANDS)

    assert {f"{name} " for name in [*SHIPPED, USUAL_SET]} | {
        "--list ",
        "device=",
        "dataset.root=",
    } <= {*offered("")}
    assert f"{SHIPPED[0]} " not in offered(SHIPPED[0], "") and "device=cpu " in offered("device=")
    assert offered("--l") == ["--list "] and "verify " in candidates([], "ver", registry, COMMANDS)


def test_recipes_that_ship_are_whole_and_would_run():
    registry = builtin_registry()
    recipes = read(registry)
    assert (
        [*recipes] == SHIPPED and not {*recipes} & {*sets(recipes)} and USUAL_SET in sets(recipes)
    )
    for recipe in recipes.values():
        assert len(recipe.configs(ROOT, registry)) == len(recipe.runs) and recipe.sets
        assert not recipe.calls or callable(locate(recipe.measure, "measure"))
    assert sum(recipe.minutes for recipe in recipes.values() if USUAL_SET in recipe.sets) <= 10


def test_recipes_that_ship_do_not_change_with_the_defaults_of_models():
    registry = builtin_registry()
    off = (
        None,
        0,
        False,
        "none",
        "auto",
        "float32",
        [],
    )  # a default that changes nothing may stay unsaid while it is that
    by_data = {"batch_size", "network", "latent_dim"}  # where auto is not nothing
    for recipe in read(registry).values():
        for said, config in zip(recipe.runs, recipe.configs(ROOT, registry)):
            values = flatten(config)
            known = known_settings(
                registry, config["model"]["name"], config["dataset"]["name"], values
            )
            relied_on = {
                name
                for name, setting in known.items()
                if name not in {*ASIDE, "seed"}
                and (name in by_data or setting.default not in off)
                and setting.in_force(values)
            }
            assert not relied_on - said.keys(), (
                f"{recipe.file} leaves {relied_on - said.keys()} to defaults"
            )
            assert {"epochs", "steps"} & said.keys(), (
                f"{recipe.file} does not say how long its runs are"
            )
            assert "auto" not in [values[name] for name in by_data & relied_on], recipe.file


@pytest.fixture(scope="module")
def exact():
    """A linear VAE of digits with the parameters that are best of all, by Tipping & Bishop 1999 and Lucas et al. 2019."""
    config = config_of(
        "vae",
        "network=mlp",
        "hidden=[]",
        "latent_dim=5",
        "likelihood=gaussian",
        "dataset.dequantize=true",
        "device=cpu",
    )
    data = load_data(config["dataset"], torch.device("cpu"))
    model = build(config, data)
    x = data.train.values().flatten(1).double()
    values, vectors = torch.linalg.eigh(x.T.cov(correction=0))
    values, vectors, s2 = values[-5:], vectors[:, -5:], values[:-5].mean()
    weights = vectors * (values - s2).sqrt()
    towards = weights / values  # the posterior mean is W'(x - m) / values, its variance s2 / values
    with torch.no_grad():
        model.decoder[0].weight.copy_(weights)
        model.decoder[0].bias.copy_(x.mean(0))
        model.encoder[1].weight.copy_(torch.cat([towards.T, torch.zeros_like(towards.T)]))
        model.encoder[1].bias.copy_(torch.cat([-x.mean(0) @ towards, (s2 / values).log()]))
        model.likelihood.log_sigma.copy_((s2.sqrt() - model.likelihood.floor).log())
    return Trained(model, data, {}, Path("here"))


def test_oracles_agree_with_scipy_where_the_optimum_is_known(exact):
    from scipy.stats import multivariate_normal

    x = exact_linear.training_points(exact)
    (weights, offset), s2 = exact_linear.affine_decoder(exact), exact_linear.noise_variance(exact)
    theirs = multivariate_normal(offset, weights @ weights.T + s2 * np.eye(64)).logpdf(x).mean()
    assert exact_linear.gaussian_log_density(x, offset, weights, s2) == pytest.approx(
        theirs, rel=1e-9
    )
    assert exact_linear.linear_bound([exact]) == pytest.approx((theirs, theirs), rel=1e-5)
    assert exact_linear.subspace_angle([exact]) < 1e-3


def test_oracles_see_what_is_not_the_optimum(exact):
    with torch.no_grad():
        exact.model.encoder[1].bias[-1] += 1
        ours, highest = exact_linear.linear_bound([exact])
        # KL(N(0, e v) || N(0, v)) of one dimension
        assert highest - ours == pytest.approx((math.e - 2) / 2, rel=1e-3)
        exact.model.encoder[1].bias[-1] -= 1
        exact.model.decoder[0].weight[0] += 0.01
        assert exact_linear.subspace_angle([exact]) > 0.1
        exact.model.decoder[0].weight[0] -= 0.01


def test_codes_on_the_ring_have_no_distance_to_it():
    rng = np.random.default_rng(1)
    angle, radius = 2 * np.pi * rng.random(10_000), rng.uniform(0.8, 1, 10_000)
    ring = torch.as_tensor(radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1))
    data = SimpleNamespace(splits={"test": SimpleNamespace(values=lambda: ring)})

    def distance(encode):
        return exact_samples.distance_to_ring([SimpleNamespace(encode=encode, data=data)])

    assert distance(lambda x: x) < 5e-4
    # A shift by a adds the mean over directions of its projections' squares, |a|^2 / 2; a scale c, (c - 1)^2 E r^2 / 2.
    assert distance(lambda x: x + torch.tensor([0.6, 0.8])) == pytest.approx(0.5, rel=0.05)
    assert distance(lambda x: 2 * x) == pytest.approx(
        float(ring.square().sum(1).mean()) / 2, rel=0.05
    )


def test_the_gaussian_of_logits_is_that_of_scipy():
    from scipy.stats import logistic, multivariate_normal

    parts = {name: torch.rand(200, 1, 2, 2) for name in ("train", "test")}
    splits = {name: SimpleNamespace(values=lambda x=x: x) for name, x in parts.items()}
    run = SimpleNamespace(data=SimpleNamespace(splits=splits))
    x, test = (
        logistic.ppf(1e-6 + (1 - 2e-6) * part.flatten(1).double().numpy())
        for part in parts.values()
    )
    theirs = multivariate_normal(x.mean(0), np.cov(x.T, bias=True)).logpdf(test).mean()
    assert exact_samples.gaussian_of_logits([run]) == pytest.approx(theirs, rel=1e-9)


def test_bounds_rise_towards_the_exact_likelihood_with_the_draws(exact):
    weights, offset = exact_linear.affine_decoder(exact)
    points = exact.data.splits["test"].values().flatten(1).double().numpy()
    likelihood = exact_linear.gaussian_log_density(
        points, offset, weights, exact_linear.noise_variance(exact)
    )
    # The posterior of the best parameters is that of every training point, so that the bound is exact from one draw on.
    assert exact_samples.bound_200([exact]) == pytest.approx(likelihood, abs=1e-3)
    with torch.no_grad():
        exact.model.encoder[1].bias[5:] -= 2  # a posterior that is too narrow
        few, many = exact_samples.bound_200([exact]), exact_samples.bound_5000([exact])
        exact.model.encoder[1].bias[5:] += 2
    assert few < many - 0.1 < likelihood
    assert exact_samples.gain_in_bound([exact, exact]) == 0


def test_oracles_read_models_as_they_are(tmp_path):
    def runs(*commands):
        words = ("dataset.limit=200", "device=cpu")
        return [
            run(config_of(model, *more, *words), tmp_path / " ".join([model, *more]))
            for model, *more in commands
        ]

    forms = ("full", "tied", "diag", "spherical")
    assert (
        exact_classical.mixture_score_gap(
            runs(*(("gmm", f"covariance={form}", "n_components=3", "epochs=2") for form in forms))
        )
        < 1e-7  # 64 values are whitened in single precision
    )
    ours, theirs = exact_classical.continued_inertia(
        runs(("kmeans", "n_init=1", "epochs=1"), ("kmeans", "n_init=1"))
    )
    assert ours == pytest.approx(theirs, rel=1e-5)
    kept = runs(("pca", "latent_dim=3", "dataset.dequantize=true"))
    for oracle in (exact_linear.projection_error, exact_linear.log_density):
        ours, theirs = oracle(kept)
        assert ours == pytest.approx(theirs, rel=1e-5)
    assert 0.9 < exact_classical.inertia_ratio(runs(("kmeans", "n_components=4", "tol=1"))) < 1.5
    ours, theirs = exact_classical.kernel_density(runs(("kde", "dataset.dequantize=true")))
    assert ours == pytest.approx(theirs, rel=1e-5)
    linear = ("vae", "network=mlp", "hidden=[]", "likelihood=gaussian", "latent_dim=1", "epochs=2")
    ours, closed = exact_linear.estimated_bound(runs(linear))
    assert ours == pytest.approx(closed, rel=0.05)  # a draw for each of 200 points

"""`experiment=NAME`: files that set several settings at once."""

import re

import pytest
import yaml
from helpers.commands import TINY, put_own
from helpers.configs import CONFIGS
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from genbench.cli.help import experiments_help
from genbench.config.choice_files import require_typable
from genbench.config.compose import composed, resolved
from genbench.config.registry import builtin_registry
from genbench.config.request import check_experiment, check_request
from genbench.config.validation import check_config
from genbench.utils.errors import UserError


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


CHOOSES = "# @package _global_\ndefaults: [override /model: vae]\n"


def listed_in(folder) -> str:
    """What `genbench experiments` prints, without a process of its own."""
    return experiments_help(builtin_registry(str(folder)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# What.\nmeasure: test.nll\nminutes: 1\n", "fix: genbench verify mine"),
        ("seed: 3\n", "begin it with the line: # @package _global_"),
        ("# @package _global_\nnope: 3\n", "nope: no such setting"),
        ("# @package _global_\nseed: -3\n", "seed: must be int"),
        ("# @package _global_\ndefaults: [mine]\n", "includes itself (got mine > mine)"),
        (
            "# @package _global_\ndefaults: [override /hydra/launcher: joblib]\n",
            "command line only",
        ),
        ("# @package _global_\ndefaults: [override /model: vea]\n", "fix: model=vae"),
        ("# @package _global_\nseed: [\n", "is damaged"),
        ("# @package _global_\nmodel: vae\n", "fix: choose it in the defaults list"),
        ("# @package _global_\nseed: 3\nseed: 4\n", "the key seed is there twice, again in line 3"),
        ("# @package _global_\nhydra: {run: {dir: x}}\n", "is set on the command line only"),
        ("# @package _global_\nhydra/launcher: joblib\n", "is set on the command line only"),
        ("# @package _global_\nbeta: [1, 2]\n", "beta: must be float >= 0"),
        ("# @package _global_\nbeta: .inf\n", "beta: must be float >= 0"),
        ("# @package _global_\nbeta: {_target_: os.system}\n", "beta._target_: no such setting"),
        ("# @package _global_\nlatent_dim: ${seed}\n", "latent_dim: must be int >= 1"),
        ("# @package _global_\nlatent_dim: ${nope}\n", "experiment: Interpolation key 'nope'"),
        ("# @package _global_\ndefaults: [override model: vae]\n", "chooses a model and"),
        (f"{CHOOSES[:-2]}, override /model: gmm]\n", "chooses a model twice (got gmm)"),
        (f"{CHOOSES[:-2]}, smoke]\n", "fix: put smoke first in the list"),
    ],
    ids=range(20),
)
def test_a_file_that_is_no_experiment_is_refused_in_one_line_by_runs_and_in_lists(
    text, says, tmp_path
):
    put_own(tmp_path, experiment__mine=text)
    registry = builtin_registry(f"{tmp_path}/own")
    for is_sweep in (False, True):
        with pytest.raises(UserError, match=re.escape(says)) as refused:
            check_request(["experiment=mine"], registry, (), is_sweep)
    with pytest.raises(UserError, match=re.escape(str(refused.value))):
        check_experiment("mine", registry)


def test_a_damaged_experiment_is_named_where_experiments_are_listed(genbench, tmp_path):
    put_own(tmp_path, experiment__bad="", experiment__odd="# @package _global_\nmodel: vae\n")
    (tmp_path / "own" / "experiment" / "bad.yaml").write_bytes(b"\xff")
    listed = genbench("experiments", "--config-dir", "own")
    assert listed.returncode == 0 and "  smoke " in listed.stdout
    assert re.search("  bad +cannot be used: .*is no UTF-8 text", listed.stdout)
    assert re.search("  odd +cannot be used: .*choose it in the defaults list", listed.stdout)
    assert genbench("help", "vae", "--config-dir", "own").returncode == 0
    assert genbench("help", "experiment", "--config-dir", "own").stdout == listed.stdout


def test_an_experiment_says_what_it_needs_beside_it_and_why_its_name_does_not_do(tmp_path):
    pictures = "# @package _global_\n# Mine.\ndefaults: [override /dataset: image-folder]\n"
    put_own(tmp_path, experiment__mine=pictures, experiment__1=CHOOSES, experiment__inf=CHOOSES)
    listed = listed_in(tmp_path / "own")
    assert re.search(r"  mine +\(with dataset.root=FOLDER\) Mine.", listed)
    assert re.search("  1 +cannot be used: .*fix: rename the file experiment/1.yaml", listed)
    assert re.search("  inf +cannot be used: .*fix: rename the file experiment/inf.yaml", listed)


NAMES = ["a b", "a$b", "a:b", "a.b", "-x", "3d", "1e", "a+b", "a@b", "a?b*", "%", "x|y"]
BAD_NAMES = ["a,b", "a=b", "{x}", 'q"r', "[x]", "é", "inf", "1", "1e3", "True", "a(b)", "a#b", " a"]


def test_a_file_can_be_chosen_if_hydra_reads_its_name_as_a_text():
    for name in [*NAMES, *BAD_NAMES]:
        try:
            read = OverridesParser.create().parse_override(f"experiment={name}").value()
        except HydraException:
            read = None
        assert (read == name) == (name in NAMES)
        if name in NAMES:
            require_typable("model", name)
        else:
            with pytest.raises(UserError, match=re.escape(f"rename the file model/{name}.yaml")):
                require_typable("model", name)


@pytest.mark.parametrize("group", ["experiment", "model", "dataset"])
def test_a_file_whose_name_hydra_reads_otherwise_is_to_be_renamed(group, genbench, tmp_path):
    for name in ("a,b", "a=b"):
        text = CHOOSES if group == "experiment" else "# @package _global_\n"
        put_own(tmp_path, **{f"{group}__{name}": text})
        advice = f"fix: rename the file {group}/{name}.yaml"
        done = genbench(f"{group}={name}", "--cfg", "job", "--config-dir", "own")
        assert done.returncode == 2 and advice in done.stderr
        assert advice in " ".join(genbench(f"{group}s", "--config-dir", "own").stdout.split())


@pytest.mark.parametrize(
    "text",
    [
        "defaults: [pca, steps]\n",
        "defaults: [steps, pca]\n",
        "defaults: [_self_, steps]\nlr: 1e-2\n",
        "defaults: [steps]\nlr: 1e-2\n",
        "defaults: [steps, pca, override /model: ae]\nlr: 1.e-2\n",
        "defaults: [steps]\ndataset: {limit: 1_000}\nbatch_size: 0x20\n",
    ],
    ids=range(6),
)
def test_an_experiment_of_ones_own_is_read_as_hydra_reads_it(text, tmp_path):
    put_own(
        tmp_path,
        experiment__mine=f"# @package _global_\n{text}",
        experiment__steps=f"{CHOOSES}lr: 1e-3\n",
        experiment__pca="# @package _global_\ndefaults: [override /model: pca]\nseed: 2\n",
    )
    registry = builtin_registry(str(tmp_path / "own"))
    config = composed(["experiment=mine"], registry)
    try:
        wanted = check_config(config, registry)
    except UserError as error:
        with pytest.raises(UserError, match=re.escape(str(error))):
            resolved(["experiment=mine"], registry)
    else:
        assert resolved(["experiment=mine"], registry) == wanted


@pytest.mark.parametrize("name", sorted(f.stem for f in (CONFIGS / "experiment").glob("*.yaml")))
def test_every_experiment_is_as_hydra_composes_it_and_is_listed(name, genbench):
    registry = builtin_registry()
    job = [f"experiment={name}"]
    assert resolved(job, registry) == check_config(composed(job, registry), registry)
    assert re.search(rf"^  {name} +\S", genbench("experiments").stdout, re.M)

"""The command line as a user meets it: what is refused and how, what a run leaves, sweeps and resuming."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from conftest import CONFIGS, MODELS, config_of, defaults_of
from PIL import Image
from runs import differences, forked, outcome

from genbench import experiment
from genbench.cli.main import main
from genbench.config.choice_files import GROUPS
from genbench.config.compose import composed, resolved
from genbench.config.registry import builtin_registry
from genbench.config.resolvers import run_name, unique_name
from genbench.config.validation import check

TINY = ["epochs=2", "dataset.limit=100", "device=cpu", "evaluation=none"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            "model=pca beta=4",
            [
                "model=pca has no setting 'beta'",
                "got beta=4",
                "belongs to: beta-vae, cvae, iwae, vae",
                "latent_dim",
            ],
        ),
        ("model=pca lr=1", ["model=pca has no setting 'lr'", "belongs to: aae, ae, "]),
        ("betta=4", ["did you mean 'beta'"]),
        ("+betta=4", ["did you mean 'beta'"]),
        ("++betta=4", ["did you mean 'beta'"]),
        ("++model=pca ++beta=4", ["model=pca has no setting 'beta'"]),
        ("+beta=4", ["there already", "write beta=4"]),
        ("~beta", ["cannot be removed"]),
        ("beta=x", ["must be float >= 0", "got x"]),
        ("beta=-1", ["must be float >= 0", "got -1"]),
        ("lr=nan", ["must be float > 0"]),
        ("lr=inf", ["must be float > 0"]),
        ("lr=0", ["must be float > 0"]),
        ("seed=-1", ["must be int in [0, "]),
        ("epochs=1.5", ["must be int >= 1"]),
        ("epochs=true", ["must be int >= 1"]),
        ("batch_size=0", ["must be int >= 1"]),
        ("network=mlp hidden=400", ["must be list of int >= 1", "hidden=[400]"]),
        ("network=mlp hidden=[400,0]", ["must be list of int >= 1"]),
        (
            "model=dae corruption=masking level=2",
            ["level: must be float in [0, 1], or float > 1 with corruption=gaussian", "got 2"],
        ),
        ("model=dae corruption=masking level=${lr} lr=2", ["level: must be float in [0, 1]"]),
        ("-m model=dae corruption=gaussian,masking level=2", ["level: must be float in [0, 1]"]),
        ("adam_betas=[0.9]", ["must be list of 2 float in [0, 1)"]),
        ("optimizer=sgd momentum=1", ["must be float in [0, 1)"]),
        (
            "momentum=.9",
            [
                "momentum: has no effect with optimizer=adam (got 0.9)",
                "or set optimizer=sgd or optimizer=rmsprop",
            ],
        ),
        (
            "network=conv hidden=[9]",
            [
                "hidden: has no effect with network=conv (got [9]); fix: leave it out, or set network=mlp"
            ],
        ),
        ("-m network=mlp,conv channels=8", ["channels: has no effect with network=mlp"]),
        (
            "model=wgan constraint=clipping lambda=10",
            ["lambda: has no effect with constraint=clipping"],
        ),
        ("device=gpu", ["auto | cpu | cuda | cuda:N | mps"]),
        ("model=swae prior=rings", ["normal | uniform | ring", "prior=ring"]),
        ("model=vea", ["no such model", "model=vae"]),
        ("dataset=MNIST", ["no such dataset", "dataset=mnist"]),
        ("dataset=FashionMNIST", ["dataset=fashion-mnist"]),
        ("model=Beta_VAE", ["model=beta-vae"]),
        ("learning_rate=1", ["did you mean 'lr'"]),
        ("model=dae learning_rate=1", ["did you mean 'lr'"]),
        ("bs=64", ["did you mean 'batch_size'"]),
        ("n_epochs=3", ["did you mean 'epochs'"]),
        ("z_dim=3", ["did you mean 'latent_dim'"]),
        ("random_state=3", ["did you mean 'seed'"]),
        ("dataset=mnist dataset.root=nowhere", ["dataset.root: no such folder", "nowhere"]),
        (
            "dataset=mnist dataset.root=/",
            ["dataset.root: does not hold MNIST/raw (got /); fix: give the folder above MNIST/raw"],
        ),
        (
            "-m dataset=image-folder dataset.root=/dev/null,/",
            ["dataset.root: is a file, not a folder"],
        ),
        ("hidden=" + "[" * 900 + "]" * 900, ["nested too deeply"]),
        ("dataset=mnits", ["no such dataset", "dataset=mnist"]),
        (
            "dataset=ring dataset.binarize=static",
            ["dataset=ring has no setting", "kmnist, lfw, mnist"],
        ),
        (
            "dataset.binarize=static dataset.dequantize=true",
            ["dataset.dequantize: has no effect with dataset.binarize=static"],
        ),
        ("dataset.dequantize=static", ["must be bool | dynamic", "got static"]),
        ("dataset.val_size=1.5", ["must be int >= 0 | float in (0, 1)"]),
        ("dataset.classes=3", ["must be list of int >= 0 | null"]),
        (
            "dataset=image-folder",
            ["dataset.root: must be given: your pictures", "fix: dataset.root=FOLDER"],
        ),
        ("--multi-run model=vae", ["--multi-run: no such flag", "did you mean '--multirun'"]),
        ("--helpp", ["--helpp: no such flag", "--help"]),
        ("--info nonsense", ["--info/-i: invalid choice"]),
        ("--experimental-rerun x.pickle", ["--experimental-rerun: runs what a pickle holds"]),
        ("--config-name x", ["--config-dir FOLDER"]),
        ("--cfg job -p nope", ["--package: no such part"]),
        ("experiment=nope", ["no such experiment", "choose one of"]),
        ("--model vae", ["--model: settings are written without dashes; fix: model=VALUE"]),
        ("--beta=4", ["--beta=4: settings are written without dashes; fix: beta=VALUE"]),
        ("dataset=image-folder dataset.channels=2", ["must be 1 | 3 | auto", "got 2"]),
        ("dataset=image-folder dataset.channels=true", ["must be 1 | 3 | auto"]),
        ("dataset=image-folder dataset.resize=[8]", ["must be list of 2 int >= 1 | null"]),
        ("dataset.rot=x", ["no such setting"]),
        ("root=x", ["no such setting", "dataset.root"]),
        ("model.class=os.system", ["fixed by configs/model/"]),
        ("model=vae,gan", ["several values make a sweep", "add -m"]),
        ("-m model=vae lr=1e-3,-1", ["lr: must be float > 0", "got -1"]),
        ("-m model=glob(v*) lr=-1", ["lr: must be float > 0"]),
        ("-m beta=interval(0,1)", ["does not support"]),
        ("-m beta=1,2 --cfg job", ["--cfg"]),
        ("beta=${activation}", ["beta: must be float >= 0", "got silu"]),
        ("beta=${nope}", ["beta: Interpolation key 'nope' not found"]),
        ("beta=1" + "0" * 400, ["beta: must be float >= 0"]),
        ("-m model=pca,vae beta=1,2", ["model=pca has no setting 'beta'"]),
        ("hydra.nonsense=1", ["hydra.nonsense"]),
        ("vae", ["neither a command nor a setting", "did you mean 'genbench model=vae'"]),
        (
            "hidden=[100, 50]",
            ["neither a command nor a setting", "a value with spaces needs quotes"],
        ),
        ("modles", ["did you mean 'genbench models'"]),
        ("models vae", ["genbench models"]),
        ("datasets mnist", ["genbench datasets"]),
        ("-m help vae", ["did you mean 'genbench help'"]),
        (
            "help vea",
            [
                "no model, dataset, experiment or setting is called so",
                "did you mean 'genbench help vae'",
            ],
        ),
        ("help binarize", ["did you mean 'genbench help dataset.binarize'"]),
        ("help xyzzy", ["see 'genbench --help'"]),
        ("completion", ["bash, zsh, fish", "genbench completion bash"]),
        ("completion fsh", ["got fsh", "genbench completion fish"]),
        ("models --config-dir", ["--config-dir: names no folder"]),
        ("resume", ["needs the directory of a run or a sweep"]),
        ("resume --config-dir=nowhere x", ["--config-dir: no such folder"]),
        ("resume nowhere", ["is not a run directory"]),
        ("--config-dir nowhere", ["no such folder"]),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(args, says, genbench, tmp_path):
    done = genbench(*args.split())
    assert done.returncode == 2 and re.fullmatch(
        r"genbench: error: [^\n]+: [^\n]+; fix: [^\n]+\n", done.stderr
    ), done.stderr
    assert all(part in done.stderr for part in says), done.stderr
    assert not list(tmp_path.iterdir()), "a refused request leaves nothing behind"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 90_000, "model/mine.yaml: is damaged: it is nested too deeply"),
        ("a: &a [*a]", "model/mine.yaml: is damaged: it is nested too deeply"),
        ("a: \xff", "model/mine.yaml: is damaged: it is no UTF-8 text"),
        ("a: 2020-99-99", "model/mine.yaml: is damaged: month must be in 1..12"),
        (
            "a: !!python/object/apply:os.system [id]",
            "model/mine.yaml: is damaged: it is not valid YAML: could not determine a constructor",
        ),
        ("[1, 2]", "model/mine.yaml: holds no settings by name"),
        ("defaults: [mine]", "model/mine.yaml: includes itself"),
        ("defaults: 3", "model/mine.yaml: defaults: must be a list"),
        ("model: 5", "model/mine.yaml: model: must be NAME: VALUE pairs (got 5)"),
        ("model: {name: mine, class: }", "model/mine.yaml: model.class: must be a text"),
        ("model: {name: mine, class: [a]}", "model/mine.yaml: model.class: must be a text"),
        (
            "hydra: {output_subdir: .hydra}",
            "model/mine.yaml: hydra: is set on the command line only",
        ),
        (
            "# @package hydra\noutput_subdir: .hydra",
            "model/mine.yaml: hydra: is set on the command line only",
        ),
        (
            "defaults: [override /hydra/job_logging: stdout]",
            "model/mine.yaml: hydra: is set on the command line only",
        ),
        (None, "model/mine.yaml: is damaged: it is a pipe"),
    ],
    ids=range(15),
)
def test_damaged_configs_of_ones_own_are_refused_in_one_line(text, says, genbench, tmp_path):
    for name in ("model/mine.yaml", "hydra/launcher/basic.yaml"):
        shutil.rmtree(tmp_path / "own", ignore_errors=True)
        (tmp_path / "own" / name).parent.mkdir(parents=True)
        if text is None:
            os.mkfifo(tmp_path / "own" / name)
        else:
            (tmp_path / "own" / name).write_text(text, encoding="latin-1")
        if name.startswith("model"):
            for words in (["model=mine"], ["-m", "model=mine,vae"]):
                done = genbench(*words, "--config-dir", "own")
                assert done.returncode == 2 and says in done.stderr, words
            require_others_usable(genbench, says)
        elif "damaged: it is n" in says:  # what only Hydra reads
            assert genbench("-m", "seed=1,2", "--config-dir", "own").returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def require_others_usable(genbench, says):
    """A damaged file of a user's own is named where models are listed, and stops nothing else."""
    listed = genbench("models", "--config-dir", "own")
    assert listed.returncode == 0 and "settings: objective" in listed.stdout
    assert "".join(says.split()) in "".join(listed.stdout.split())
    assert genbench("help", "n_components", "--config-dir", "own").returncode == 0
    done = genbench("model=kmeans", "k=3", "--config-dir", "own")
    assert done.returncode == 2 and "did you mean 'n_components'" in done.stderr


def put_own(tmp_path, **texts):
    """Files of a user's own, by name with `__` for a slash, in the folder `own`."""
    for name, text in texts.items():
        file = tmp_path / "own" / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_no_config_of_ones_own_lets_hydra_write_into_a_runs_folder(genbench, tmp_path):
    mine = "# @package _global_\ndefaults: [vae, {/some: thing}]\nmodel: {name: mine}\n"
    put_own(tmp_path, model__mine=mine, some__thing="# @package hydra\noutput_subdir: .hydra\n")
    (tmp_path / "victim").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".hydra").symlink_to("../victim")
    done = genbench("model=mine", "hydra.run.dir=run", *TINY, "--config-dir", "own")
    assert done.returncode == 2 and "hydra.output_subdir: lets Hydra write" in done.stderr
    assert not [*(tmp_path / "victim").iterdir()]


def test_what_configs_of_ones_own_lack_is_named_with_the_file(genbench, tmp_path):
    put_own(tmp_path, model__mine="# @package _global_\nmodel: {name: mine}\n")
    done = genbench("model=mine", "--config-dir", "own")
    assert done.returncode == 2 and "own/model/mine.yaml: model.class: is missing" in done.stderr
    put_own(tmp_path, config="x: 1\n")
    done = genbench("dataset=digits", "--config-dir", "own")
    assert done.returncode == 2 and "own/config.yaml: names no model" in done.stderr


def test_hidden_configs_are_left_out_and_dangling_links_named(genbench, tmp_path):
    put_own(
        tmp_path,
        model__mine="# @package _global_\nmodel: {name: mine, class: my.Model}\n",
        recipe__old="",
    )
    for name in (".#x.yaml", "._mine.yaml"):
        (tmp_path / "own" / "model" / name).write_bytes(b"\xff\x00")
    assert genbench("models", "--config-dir", "own").returncode == 0
    dangling = "old.yaml: is a link to a file that is not there"
    for group, words in {"model": ["model=old"], "recipe": ["verify", "--list"]}.items():
        (tmp_path / "own" / group / "old.yaml").unlink(missing_ok=True)
        (tmp_path / "own" / group / "old.yaml").symlink_to("gone")
        done = genbench(*words, "--config-dir", "own")
        assert done.returncode == 2 and f"own/{group}/{dangling}" in done.stderr
    require_others_usable(genbench, dangling)


def test_files_that_include_one_another_many_times_are_read_once(tmp_path):
    put_own(
        tmp_path,
        **{f"model__b{i}": f"defaults: {[f'b{i + 1}'] * 8}\nx{i}: {i}\n" for i in range(30)},
    )
    model = "model: {name: b30, class: genbench.models.pca.PCA}"
    put_own(tmp_path, model__b30=f"{model}\nlatent_dim: 30\n")
    registry = builtin_registry(str(tmp_path / "own"))
    assert registry.settings("model/b0")["latent_dim"].default == 30


LONG = "a" * 300  # more letters than a name of a file may have


@pytest.mark.parametrize(
    "words",
    [
        "report L",
        "resume L",
        "show L",
        "sample L",
        "--config-dir L models",
        "dataset=mnist dataset.root=L",
    ],
)
def test_a_name_that_no_folder_can_have_is_no_folder(words, genbench):
    done = genbench(*words.replace("L", LONG).split())
    assert done.returncode == 2 and (
        "no such folder" in done.stderr or "is not a run directory" in done.stderr
    )


def test_a_bare_command_says_what_to_type_and_starts_nothing(genbench, tmp_path):
    done = genbench()
    assert done.returncode == 0 and "genbench model=vae beta=4" in done.stdout
    assert "genbench resume RUN_DIR" in done.stdout and not [*tmp_path.iterdir()]


def test_what_hydra_offers_beside_settings_works(genbench, tmp_path, undrawn):
    put_own(tmp_path, experiment__mine="# @package _global_\n# Mine.\nseed: 3\n")
    for part in ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"):
        assert genbench("--info", part, "model=pca").returncode == 0
    assert genbench("--info", "model=pca").returncode == 0
    assert genbench("--hydra-help").returncode == 0
    hydras = yaml.safe_load(genbench("--cfg", "hydra", "--config-dir", "own").stdout)["hydra"]
    assert hydras["sweeper"]["_target_"].endswith("GenbenchSweeper")
    everything = yaml.safe_load(genbench("--cfg", "all", "model=pca", "--resolve").stdout)
    assert everything["model"]["name"] == "pca" and everything["hydra"]["run"]["dir"]
    for i in range(20):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.new("L", (8, 8), 10 * i).save(tmp_path / "pictures" / f"{i}.png")
    words = ["model=kmeans", "n_components=2", "dataset=image-folder", "dataset.root=pictures"]
    words += ["hydra.job.chdir=true", "hydra.verbose=true", "device=cpu", "evaluation=none"]
    for more in (["hydra.run.dir=run"], ["-m", "seed=0,1", "hydra.sweep.dir=sweep"]):
        done = genbench(*words, *more)
        assert done.returncode == 0, done.stderr
    assert len([*tmp_path.glob("*/**/metrics.json")]) == 3 and os.getcwd() == str(tmp_path)


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
    ],
    ids=range(8),
)
def test_a_file_that_is_no_experiment_is_refused_in_one_line(text, says, genbench, tmp_path):
    put_own(tmp_path, experiment__mine=text)
    for sweep in ([], ["-m"]):
        done = genbench(*sweep, "experiment=mine", "--config-dir", "own")
        assert done.returncode == 2 and says in done.stderr, done.stderr


@pytest.mark.parametrize("name", sorted(f.stem for f in (CONFIGS / "experiment").glob("*.yaml")))
def test_every_experiment_is_as_hydra_composes_it_and_is_listed(name, genbench):
    registry = builtin_registry()
    job = [f"experiment={name}"]
    assert resolved(job, registry) == check(composed(job, registry), registry)
    assert re.search(rf"^  {name} +\S", genbench("experiments").stdout, re.M)


def test_a_refused_request_does_not_import_torch(tmp_path):
    code = "import sys; from genbench.cli.main import main\ntry: main({})\nfinally: print('torch' in sys.modules)"
    for args, status in (
        (["beta=x"], 2),
        (["--help"], 0),
        (["models"], 0),
        (["-m", "model=pca,vae", "lr=1"], 2),
        (["dataset.root=/x", "dataset=mnist"], 2),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code.format(args)], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == status and done.stdout.splitlines()[-1] == "False", done


def test_every_setting_is_declared_and_every_default_allowed():
    registry = builtin_registry()
    types = {}
    for group in ("model", "dataset"):
        for name in registry.names(group):
            for setting in registry.settings(f"{group}/{name}").values():
                beside = {c.name: c.value for c in setting.conditions[:1]}
                for value in defaults_of(setting) if not setting.required else ["."]:
                    setting.check(value, beside)
                kinds = {alternative.text for alternative in setting.alternatives} | (
                    {"null"} if setting.required else set()
                )
                known = types.setdefault(setting.name, kinds)
                assert known <= kinds or kinds <= known, (
                    "one type and range everywhere; some models have more choices"
                )
            assert len(registry.about(f"{group}/{name}")) >= 1
    for name in MODELS:
        config_of(name)  # raises for a setting that nothing declares
    for file in CONFIGS.glob("dataset/*.yaml"):
        config_of("pca", dataset=file.stem)


@pytest.mark.parametrize("group", GROUPS)
def test_help_and_lists_tell_every_setting(group, genbench):
    shown, listed = genbench("--help"), genbench(f"{group}s")
    assert shown.returncode == listed.returncode == 0 and genbench("help").stdout == shown.stdout
    registry, text = builtin_registry(), " ".join(shown.stdout.split())
    for name in registry.names(group):
        assert name in shown.stdout and name in listed.stdout
        for setting in registry.settings(f"{group}/{name}").values():
            assert (
                setting.name in listed.stdout and setting.name in text and setting.meaning in text
            )


def test_a_run_leaves_what_the_readme_says_and_resumes(genbench, tmp_path):
    command = [
        sys.executable,
        "-c",
        "from genbench.cli.main import main; main()",
        "model=vae",
        "beta=4",
        "schedule=constant",
        *TINY,
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True
    )  # a process of its own, as a user's
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "outputs").iterdir()
    assert re.fullmatch(
        r"[\d_.-]+_vae_beta-4_schedule-constant_epochs-2_dataset.limit-100", folder.name
    )
    assert (
        f"genbench resume {Path('outputs') / folder.name}" in done.stdout
        and "tensorboard --logdir outputs" in done.stdout
    )
    names = {re.sub(r"\d{6}-\d{6}-[0-9a-f]{64}", "*", p.name) for p in folder.iterdir()}
    assert names == {
        *(
            ".lock",
            "config.yaml",
            "status.json",
            "run.log",
            "metrics.jsonl",
            "metrics.json",
            "checkpoint-*.pt",
        ),
        *(
            "samples.png",
            "samples.gif",
            "reconstructions.png",
            "codes.png",
            "interpolation.png",
            "traversal.png",
        ),
        *("events.out.tfevents.genbench", "projector_config.pbtxt", "projector"),
    }
    found = json.loads((folder / "metrics.json").read_text())
    assert [found[part]["n"] for part in ("train", "validation", "test")] == [100, 180, 360]
    assert yaml.safe_load((folder / "config.yaml").read_text())["beta"] == 4.0
    again = subprocess.run(
        [sys.executable, "-m", "genbench", "resume", str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0 and "is done already" in again.stdout
    longer = genbench("resume", str(folder), "epochs=3")
    assert longer.returncode == 0 and "resuming after epoch 2" in longer.stdout
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3
    other = genbench("model=vae", "beta=5", "schedule=constant", *TINY, f"hydra.run.dir={folder}")
    assert other.returncode == 2 and "beta=4.0" in other.stderr and "beta=5.0" in other.stderr


def test_the_same_command_with_the_runs_directory_goes_on(genbench, tmp_path):
    """Also where Hydra's grammar, not a shell, reads the directory's name."""
    assert genbench("model=pca", "latent_dim=[3]", *TINY).returncode == 2
    args = ["model=ae", "network=mlp", "hidden=[8,8]", *TINY]
    assert genbench(*args).returncode == 0
    (folder,) = (tmp_path / "outputs").iterdir()
    again = genbench(*args, f"hydra.run.dir=outputs/{folder.name}")
    assert again.returncode == 0 and "is done already" in again.stdout, again.stderr


def test_only_the_settings_of_a_run_go_on_in_its_directory(genbench, tmp_path, undrawn):
    folder = tmp_path / "run"
    run = ["model=ae", "schedule=constant", *TINY, f"hydra.run.dir={folder}"]
    assert genbench(*run).returncode == 0
    kept = {p: p.read_bytes() for p in folder.iterdir() if p.is_file()}

    def files(*without, **changed):
        """The run as it was, but for these files."""
        for path, content in kept.items():
            path.write_bytes(content)
        for path in kept:
            if path.name.startswith(without):
                path.unlink()
            if path.stem in changed:
                path.write_text(changed[path.stem])

    for without in (("checkpoint",), ("config",), ("config", "metrics.json")):
        files(*without)
        other = genbench(*run, "lr=0.1")
        assert other.returncode == 2 and (
            "lr=0.1" in other.stderr or "config.yaml" in other.stderr
        ), without
        assert genbench(*run).returncode == 0
    files(config=re.sub("(?m)^lr: .*$", "lr: 0.1", (folder / "config.yaml").read_text()))
    changed = genbench("resume", str(folder), "epochs=3")
    assert changed.returncode == 2 and "is not what the run here was started with" in changed.stderr
    for damaged in ("hello: [", "", "model: {name: ae}"):
        files(config=damaged)
        refused = genbench("resume", str(folder))
        assert refused.returncode == 2 and re.search("is damaged: .*; fix: repeat", refused.stderr)
        assert genbench(*run).returncode == 0 and genbench("resume", str(folder)).returncode == 0
    wrong = genbench("resume", str(folder), "epochs=²")
    assert wrong.returncode == 2 and "epochs: must be int >= 1" in wrong.stderr


def test_numbers_and_curves_that_were_lost_come_back_or_are_missed(genbench, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    genbench("model=ae", "schedule=constant", *TINY, f"hydra.run.dir={folder}")
    numbers = (folder / "metrics.json").read_text()
    (folder / "metrics.json").unlink()
    assert genbench("resume", str(folder)).returncode == 0
    again = json.loads((folder / "metrics.json").read_text())
    assert {**again, "time": None} == {**json.loads(numbers), "time": None}

    os.truncate(folder / "events.out.tfevents.genbench", 1000)
    done = genbench("resume", str(folder), "epochs=3")
    assert done.returncode == 0 and "curves are drawn anew" in done.stdout
    events = EventAccumulator(str(folder))
    events.Reload()
    curve = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    drawn = [(e.step, e.value) for e in events.Scalars("train/loss")]
    assert (
        drawn == [(line["epoch"], pytest.approx(line["train"]["loss"])) for line in curve]
        and len(drawn) == 3
    )

    (folder / "metrics.jsonl").write_bytes(
        b"\xff\xfe" + (folder / "metrics.jsonl").read_bytes()[:-20]
    )
    done = genbench("resume", str(folder), "epochs=4")
    assert done.returncode == 0 and "holds 1 of 3 points" in done.stdout


def test_a_missing_gpu_is_told_and_on_record(genbench, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = genbench("model=pca", "device=cuda:7", "hydra.run.dir=run")
    assert done.returncode == 2 and "device: torch finds no CUDA device" in done.stderr
    assert "go on with" not in done.stdout, "there is nothing to go on with"
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "failed" and "no CUDA device" in status["reason"]


def test_a_run_made_on_a_gpu_goes_on_elsewhere(genbench, tmp_path, undrawn, carded, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    words = ["model=ae", "schedule=constant", *TINY[:2], "evaluation=none", "device=cuda"]
    pick = experiment.pick_device
    with monkeypatch.context() as patch:  # as on a machine that has one
        patch.setattr(experiment, "pick_device", lambda name: pick("cpu"))
        assert genbench(*words, "hydra.run.dir=run").returncode == 0
        assert genbench("-m", *words, "seed=0,1", "hydra.sweep.dir=sweep").returncode == 0
    status = tmp_path / "run" / "status.json"
    for command in (
        ["evaluate", "run", "evaluation=quick", "metrics=parameters"],
        ["resume", "run", "epochs=3"],
    ):
        done = genbench(*command)
        assert (
            done.returncode == 2
            and "device: torch finds no CUDA device" in done.stderr
            and "fix: device=auto" in done.stderr
        )
        assert json.loads(status.read_text())["state"] == "done", "the run is as good as it was"
        assert genbench(*command, "device=auto").returncode == 0
    assert (
        "is done already" in genbench("resume", "run", "epochs=3").stdout
        and genbench("sample", "run", "n=2").returncode == 0
    )
    (job, _) = sorted((tmp_path / "sweep").glob("*/metrics.json"))
    job.unlink()
    assert "no CUDA device" in genbench("resume", "sweep").stderr
    assert genbench("resume", "sweep", "device=cpu").returncode == 0
    assert "device: must be" in genbench("resume", "run", "device=gpu").stderr


def test_the_version_is_genbenchs_own(genbench):
    from genbench import __version__

    assert genbench("--version").stdout == f"genbench {__version__}\n"


def test_damaged_checkpoints_are_noticed(genbench, tmp_path):
    folder = tmp_path / "run"
    args = ["model=ae", "schedule=constant", *TINY, f"hydra.run.dir={folder}"]
    assert genbench(*args).returncode == 0
    newest = max(folder.glob("checkpoint-*.pt"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    done = genbench("resume", str(folder), "epochs=3")
    assert (
        done.returncode == 0
        and "is damaged" in done.stdout
        and "resuming after epoch 1" in done.stdout
    )
    whole = tmp_path / "whole"
    assert (
        genbench(
            "model=ae", "schedule=constant", *TINY[1:], "epochs=3", f"hydra.run.dir={whole}"
        ).returncode
        == 0
    )
    ours, theirs = (max(d.glob("checkpoint-*.pt")) for d in (folder, whole))
    ours, theirs = (torch.load(path, weights_only=True)["model"] for path in (ours, theirs))
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    for path in folder.glob("checkpoint-*.pt"):
        path.write_bytes(b"")
    done = genbench("resume", str(folder), "epochs=4")
    assert done.returncode == 2 and "every checkpoint is damaged" in done.stderr


def test_a_killed_run_goes_on_to_the_same_end(genbench, tmp_path, sketched):
    args = ["model=ae", "epochs=40", "draw_every=20", *TINY[1:]]
    child = forked(lambda: main([*args, "hydra.run.dir=killed"]))
    while len(list((tmp_path / "killed").glob("checkpoint-*.pt"))) < 2:
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    status = json.loads((tmp_path / "killed" / "status.json").read_text())
    assert status["state"] == "running" and 1 <= status["epoch"] < 40
    assert "resuming after epoch" in genbench("resume", "killed").stdout
    assert genbench(*args, "hydra.run.dir=whole").returncode == 0
    assert not differences(outcome(tmp_path / "whole"), outcome(tmp_path / "killed"))


def test_a_loss_that_is_not_finite_stops_the_run(genbench, tmp_path):
    folder = tmp_path / "run"
    done = genbench("model=ae", *TINY, "batch_size=10", "lr=1e30", f"hydra.run.dir={folder}")
    assert done.returncode == 1 and re.search(
        r"error: step \d+: the loss is not finite", done.stderr
    ), done.stderr
    assert json.loads((folder / "status.json").read_text())["state"] == "failed"
    assert "Traceback" not in done.stderr and "Traceback" in (folder / "run.log").read_text()


def test_a_run_that_was_refused_can_be_corrected_in_its_directory(genbench, tmp_path):
    folder = tmp_path / "run"
    done = genbench("model=pca", "latent_dim=100", *TINY, f"hydra.run.dir={folder}")
    assert done.returncode == 2 and "latent_dim" in done.stderr
    done = genbench("model=pca", "latent_dim=10", *TINY, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr


def test_answers_come_as_fast_as_hydra_is_imported(tmp_path):
    def seconds(*command):
        times = []
        for _ in range(4):
            before = os.times()  # of the processor: others may keep the machine busy
            subprocess.run([sys.executable, "-c", *command], cwd=tmp_path, capture_output=True)
            after = os.times()
            times.append(
                after.children_user
                + after.children_system
                - before.children_user
                - before.children_system
            )
        return min(times)

    hydra = seconds("import hydra")
    for args in (
        ["--help"],
        ["model=pca", "beta=4"],
        ["-m", "model=pca,vae", "beta=4,5"],
        ["experiment=plane", "betta=4"],
    ):
        assert seconds(f"from genbench.cli.main import main; main({args})") - hydra < 0.35


def test_a_reader_that_leaves_does_not_stop_the_run(tmp_path):
    asked = "model=pca device=cpu evaluation=none hydra.run.dir=run"
    command = (
        f"'{sys.executable}' -c 'from genbench.cli.main import main; main()' {asked} | head -n 1"
    )
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert (
        done.stderr == ""
        and json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"
    )


def test_a_folder_is_named_by_model_dataset_and_chosen_values():
    assert run_name("vae", ["model=vae", "beta=4", "hydra.sweep.dir=x"]) == "vae_beta-4"
    chosen = ["lr=1e-3", "++hidden=[8,8]", "prior=salt-and-pepper", "dataset=ring"]
    assert run_name("beta-vae", chosen) == "beta-vae_ring_lr-1e-3_hidden-8-8_prior-salt-and-pepper"
    aside = [
        "device=cpu",
        "evaluation=quick",
        "draw_every=2",
        "save_every=3",
        "dataset.root='/some where/cats'",
    ]
    assert run_name("pca", [*aside, "dataset=image-folder"]) == "pca_image-folder"
    assert (
        run_name("pca", aside, named={"dataset.root", "evaluation"})
        == "pca_evaluation-quick_root-cats"
    )


def test_jobs_that_do_not_know_of_each_other_have_names_of_their_own():
    texts = [
        "a/b",
        "a-b",
        "a b",
        "'a b'",
        "../a/b",
        "..",
        ".",
        "-a-b",
        "a-b-",
        "a_b-1",
        "a_b=1",
        "ü",
        "u",
        "[a b]",
        "'[a,b]'",
        "[a,b",
        "100," * 100,
    ]
    texts += ["100," * 100 + "1", "é" * 300, "a\\b", "a\nb", "\udce9"]
    names = [unique_name("vae", [f"tag={text}"]) for text in texts]
    assert len({*names, "vae_tag"}) == len(texts) + 1
    assert all(
        re.fullmatch(r"vae_tag[\w.+-]*", name) and len(name.encode()) <= 80 for name in names
    ), names
    assert unique_name("vae", ["x=a", "y=b"]) != unique_name("vae", ["x=a_y=b"])
    assert all(
        re.fullmatch(r"vae_tag[\w.+-]*", name) and len(name.encode()) <= 80
        for name in (run_name("vae", [f"tag={t}"]) for t in texts)
    )

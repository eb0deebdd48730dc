"""The command line as a user meets it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from helpers.commands import TINY, put_own
from helpers.configs import CONFIGS, MODELS, config_of, defaults_of
from PIL import Image

from genbench import experiment
from genbench.config.choice_files import GROUPS
from genbench.config.compose import hydra_ready
from genbench.config.registry import builtin_registry


def test_a_bare_command_says_what_to_type_and_starts_nothing(genbench, tmp_path):
    done = genbench()
    assert done.returncode == 0 and "genbench model=vae beta=4" in done.stdout
    assert "genbench resume RUN_DIR" in done.stdout and not [*tmp_path.iterdir()]


def test_a_run_that_measures_nothing_imports_no_library_of_measures(tmp_path):
    code = (
        "import sys; from genbench.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print({*sys.modules} & {'sklearn', 'scipy', 'pandas', 'torchvision'})"
    )
    words = ["model=pca", "latent_dim=2", "evaluation=none"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "set()", done


def test_what_hydra_offers_beside_settings_works(genbench, tmp_path):
    put_own(tmp_path, experiment__mine="# @package _global_\n# Mine.\nseed: 3\n")
    for part in (["defaults-tree"], []):  # none stands for all
        assert genbench("--info", *part, "model=pca").returncode == 0
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


@pytest.mark.parametrize(
    ("words", "times"),
    [
        ("model=vae beta=4", 1),
        ("experiment=smoke lr=0.1", 1),
        ("model=vae hydra.run.dir=run", 1),
        ("model=vae hydra.job.name=mine", 2),  # once more beforehand, to look for files of Hydra
    ],
)
def test_a_run_is_composed_once(genbench, monkeypatch, words, times):
    calls = []
    with hydra_ready(builtin_registry()) as (hydra, _):
        loader = type(hydra.config_loader)
    load = loader.load_configuration
    counted = lambda *args, **kwargs: (calls.append(args), load(*args, **kwargs))[1]
    monkeypatch.setattr(loader, "load_configuration", counted)

    def nothing(*arguments, **options):
        yield from ()

    monkeypatch.setattr(experiment, "run_work", nothing)
    assert genbench(*words.split()).returncode == 0 and len(calls) == times
    assert not [*Path().rglob("metrics.jsonl")]  # nothing was trained


def test_every_setting_is_declared_and_every_default_allowed():
    registry = builtin_registry()
    types = {}
    for group in ("model", "dataset"):
        for name in registry.names(group):
            for setting in registry.settings(f"{group}/{name}").values():
                if setting.name == "dataset.path":  # a file, a folder or a name
                    continue
                beside = {c.name: c.value for c in setting.conditions[:1]}
                for value in defaults_of(setting) if not setting.required else ["."]:
                    setting.check(value, beside)
                kinds = {alternative.text for alternative in setting.alternatives} | (
                    {"null"} if setting.required else set()
                )
                if setting.name in (
                    "sampler",
                    "order",
                ):  # of codes or of steps; of one net or of many
                    continue
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


def test_a_missing_gpu_is_told_and_on_record(genbench, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = genbench("model=pca", "device=cuda:7", "hydra.run.dir=run")
    assert done.returncode == 2 and "device: torch finds no CUDA device" in done.stderr
    assert "go on with" not in done.stdout, "there is nothing to go on with"
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "failed" and "no CUDA device" in status["reason"]


def test_a_run_made_on_a_gpu_goes_on_elsewhere(genbench, tmp_path, carded, monkeypatch):
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


def test_a_loss_that_is_not_finite_stops_the_run(genbench, tmp_path):
    folder = tmp_path / "run"
    done = genbench("model=ae", *TINY, "batch_size=10", "lr=1e30", f"hydra.run.dir={folder}")
    assert done.returncode == 1 and re.search(
        r"error: step \d+: the loss is not finite", done.stderr
    ), done.stderr
    assert json.loads((folder / "status.json").read_text())["state"] == "failed"
    assert "Traceback" not in done.stderr and "Traceback" in (folder / "run.log").read_text()


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

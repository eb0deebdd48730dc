"""What `genbench export` writes: programs that run without genbench and agree with the model, weights, a card, samples."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from helpers.configs import FAMILIES, small_config

from genbench import experiment
from genbench.config.registry import builtin_registry
from genbench.experiment import load_run, run
from genbench.export import command, stored
from genbench.export.command import chosen_formats, export
from genbench.export.convert import difference, traced
from genbench.export.draws import record_draws
from genbench.export.programs import Example, programs
from genbench.runs.curve_files import CurveFiles
from genbench.settings.commands import ExportOptions
from genbench.utils.errors import UserError

# Runs every program of every model from its files, in a process that imports nothing of genbench.
READER = """
import json, os, pathlib, sys
import numpy as np, onnxruntime, torch
from safetensors.numpy import load_file
checked = []
for folder in map(pathlib.Path, sys.argv[1:]):
    config = json.loads((folder / "config.json").read_text())
    for name, program in config["programs"].items():
        known = np.load(folder.parent / f"{name}.npz")
        inputs = {one["name"]: known[one["name"]] for one in program["inputs"]}
        for one in program["inputs"]:
            assert str(inputs[one["name"]].dtype) == one["dtype"], (folder, name, one)
            assert [*inputs[one["name"]].shape[1:]] == one["shape"][1:], (folder, name, one)
        session = onnxruntime.InferenceSession(folder / program["files"]["onnx"])
        loaded = torch.export.load(folder / program["files"]["torch"]).module()
        by_torch = loaded(*map(torch.from_numpy, inputs.values())).numpy()
        expected = known["expected"]
        scale = max(1, np.abs(expected).max())
        for got in (session.run(None, inputs)[0], by_torch):
            assert got.shape == expected.shape, (folder, name)
            assert np.abs(got - expected).max() <= 1e-5 * scale, (folder, name)
        checked.append(name)
    weights, known = load_file(folder / "model.safetensors"), np.load(folder.parent / "weights.npz")
    assert weights.keys() == {*known.keys()}
    assert all(np.array_equal(weights[key], known[key]) for key in weights), folder
    # The code of the card, which draws labels as config.json says.
    for one in config["programs"].get("sampler", {}).get("inputs", []):
        if "probabilities" in one:
            one["probabilities"] = [0.0, 1.0 + 1e-6] + [0.0] * (len(one["probabilities"]) - 2)
    (folder / "config.json").write_text(json.dumps(config))
    code = (folder / "README.md").read_text().split("```python\\n")[1].split("```")[0]
    os.chdir(folder)
    known = {}
    exec(code, known)
    if "sampler" in config["programs"]:
        assert known["x"].shape[0] == 16 and np.isfinite(known["x"]).all(), folder
    labels = [value for name, value in known.items() if name.partition("_")[0] == "label"]
    assert all((label == 1).all() for label in labels), folder
assert not any(name.startswith("genbench") for name in sys.modules)
print(len(checked))
"""

STEP_BY_STEP = ("made", "maf")  # whose programs have a step for each value of a point


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder and the config of a small VAE."""
    folder, config = tmp_path_factory.mktemp("runs") / "vae", small_config("vae", "epochs=1")
    run(config, folder)
    return folder, config


def exported(trained, **options):
    """Export a run in its folder."""
    folder, config = trained
    with torch.no_grad():
        return export(config, folder, ExportOptions(**options), builtin_registry())


@pytest.fixture
def no_data(monkeypatch):
    """A machine on which the data cannot be loaded."""

    def lost(*_):
        raise AssertionError("the data were loaded")

    monkeypatch.setattr(experiment, "load_data", lost)


def test_a_run_holds_all_that_its_model_needs(trained, no_data, monkeypatch):
    folder, config = trained
    alone = stored.load_without_data(config, folder, "cpu")
    samples = alone.sample(3, seed=1)
    monkeypatch.undo()
    assert torch.equal(samples, load_run(config, folder, "cpu").sample(3, seed=1))


def test_a_density_of_codes_is_restored_without_the_data(tmp_path, monkeypatch):
    config = small_config("ae", "epochs=1", "sampler=gmm")
    with_data = run(config, tmp_path / "run").sample(3, seed=1)
    monkeypatch.setattr(experiment, "load_data", lambda *_: pytest.fail("the data were loaded"))
    alone = stored.load_without_data(config, tmp_path / "run", "cpu")
    assert torch.equal(alone.sample(3, seed=1), with_data)


def test_weights_samples_and_a_card_need_no_package(trained, no_data):
    folder, _ = trained
    assert exported(trained, formats=["card", "samples"], n=5, samples="png", license="mit") == 0
    target = folder / "export"
    assert len([*(target / "samples").glob("*.png")]) == 5
    header, text = (target / "README.md").read_text().split("---\n")[1:]
    metadata = yaml.safe_load(header)
    assert metadata["license"] == "mit" and metadata["library_name"] == "genbench"
    assert {"genbench", "vae", "digits"} <= {*metadata["tags"]}
    digest = json.loads((folder / "metrics.json").read_text())["data"]["digest"]
    assert digest in text and "hidden=[16]" in text
    exported(trained, formats="samples", n=4, seed=2)  # replaces the files of the export before
    assert [path.name for path in target.iterdir() if path.name.startswith("samples")] == [
        "samples.npz"
    ]
    written = np.load(target / "samples.npz")["samples"]
    alone = stored.load_without_data(trained[1], folder, "cpu")
    assert np.array_equal(written, alone.sample(4, seed=2).numpy())


@pytest.mark.parametrize(
    ("dataset", "path", "kept"),
    [
        ("torchvision", "SVHN", True),
        ("huggingface", "ylecun/mnist", True),
        ("huggingface", "/", False),
        ("table", "/home/me/private.csv", False),
    ],
)
def test_a_published_name_of_the_data_is_kept_and_a_path_is_not(
    dataset, path, kept, trained, tmp_path, monkeypatch
):
    folder, config = trained
    alone = stored.load_without_data(config, folder, "cpu")
    monkeypatch.setattr(command, "load_without_data", lambda *_: alone)
    other = small_config("vae", f"dataset.path={path}", dataset=dataset)
    exported((folder, other), formats="card", to=str(tmp_path))
    header, text = (tmp_path / "README.md").read_text().split("---\n")[1:]
    about = json.loads((tmp_path / "config.json").read_text())["dataset"]
    logged = CurveFiles(tmp_path, other, [], print).loggers.run.settings
    for found in (about.get("path"), logged.get("dataset.path")):
        assert found == (path if kept else None)
    assert logged["dataset"] == about["name"] == dataset and "loader" not in about
    assert (path in yaml.safe_load(header)["tags"]) == kept
    assert (f"dataset.path={path}\n" in text) == kept == (f"on `{path}`" in text)


def test_what_does_not_agree_is_not_shipped(trained, monkeypatch):
    folder, _ = trained
    monkeypatch.setattr(command, "write_torch", lambda *_: difference("it", lambda i: i[0], bad))
    bad = [Example((torch.zeros(2),), torch.tensor([0.0, 2e-5]))]
    with pytest.raises(UserError, match=r"encoder.pt2: differs from the model by 2.0e-05"):
        exported(trained, formats="torch")
    assert not [*(folder / "export").glob("*.pt2")]
    assert json.loads((folder / "export" / "config.json").read_text())["programs"] == {}


def test_differences_are_relative_to_the_largest_value():
    large = Example((), torch.tensor([-500.0, 1.0]))
    assert difference("it", lambda _: [-500.0, 1.004], [large]) < 1e-5
    with pytest.raises(UserError, match="differs"):
        difference("it", lambda _: [-500.0, float("nan")], [large])
    with pytest.raises(UserError, match="returns an array"):
        difference("it", lambda _: [[-500.0, 1.0]], [large])


def test_an_export_replaces_nothing_else(trained, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else than an export"):
        exported(trained, to=str(tmp_path), formats="card")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_formats_without_their_package_are_named(monkeypatch, capsys):
    monkeypatch.setattr(command, "is_installed", lambda *modules: not modules)
    assert chosen_formats(None) == ["torch", "card", "samples"]
    assert capsys.readouterr().out.count("pip install 'genbench[export]'") == 2
    with pytest.raises(UserError, match=r"needs onnx.*onnx.*pip install 'genbench\[export\]'"):
        chosen_formats("onnx")


def test_the_sampler_is_a_function_of_its_draws(trained):
    """For any number of points, also after tracing, and with the samples of the same seed."""
    model = stored.load_without_data(trained[1], trained[0], "cpu").model.eval()
    (sampler,) = [program for program in programs(model) if program.name == "sampler"]
    assert [one.name for one in sampler.inputs] == ["normal"]
    with torch.no_grad():
        again = traced(sampler, sampler.example(5, seed=0)).module()
        for n in (1, 3):
            example = sampler.example(n, seed=2)
            assert torch.equal(example.result, record_draws(model.sample, n, 2, model.device)[1])
            assert torch.allclose(again(*example.inputs), example.result, atol=1e-6)


@pytest.mark.extras
@pytest.mark.parametrize("part", [0, 1])
def test_every_export_agrees_in_a_process_without_genbench(part, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime", "safetensors"):
        pytest.importorskip(package)
    folders = []
    for name in sorted({*FAMILIES, "cvae", "realnvp"})[part::2]:
        dataset = "moons" if name in STEP_BY_STEP else "digits"
        folder, config = tmp_path / name, small_config(name, "epochs=1", dataset=dataset)
        known = run(config, folder)
        exported((folder, config))
        with torch.no_grad():
            for program in programs(known.model.eval()):
                inputs, expected = program.example(4, seed=3)
                if program.name == "sampler":
                    assert torch.equal(expected, known.sample(4, seed=3))
                named = dict(zip([one.name for one in program.inputs], inputs, strict=True))
                np.savez(folder / f"{program.name}.npz", expected=expected, **named)
        weights = {key: value.numpy() for key, value in known.model.state_dict().items()}
        np.savez(folder / "weights.npz", **weights)
        folders.append(str(folder / "export"))
    found = subprocess.run(
        [sys.executable, "-I", "-c", READER, *folders], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) >= 2 * len(folders)


@pytest.mark.extras
@pytest.mark.parametrize(
    ("model", "overrides", "dataset"),
    [
        ("gmm", ["covariance=tied"], "digits"),
        ("vae", ["network=conv", "likelihood=gaussian"], "digits"),
        ("dae", ["sampler=walkback", "chain_steps=3"], "digits"),
        ("pca", ["latent_dim=2", "dataset.standardize=true"], "moons"),
        ("maf", [], "moons"),
    ],
)
def test_other_settings_export_too(model, overrides, dataset, tmp_path):
    pytest.importorskip("onnxruntime")
    config = small_config(model, "epochs=1", *overrides, dataset=dataset)
    run(config, tmp_path / "run")
    assert exported((tmp_path / "run", config), formats="onnx") == 0


def test_programs_with_a_step_for_each_of_many_values_are_left_out(tmp_path, capsys):
    config = small_config("made", "epochs=1", dataset="digits")
    run(config, tmp_path / "run")
    assert exported((tmp_path / "run", config), formats="torch") == 0
    assert "no sampler" in capsys.readouterr().out
    written = json.loads((tmp_path / "run" / "export" / "config.json").read_text())["programs"]
    assert [*written] == ["log_prob"]
    assert exported((tmp_path / "run", config), formats=["torch", "card"]) == 0
    card = (tmp_path / "run" / "export" / "README.md").read_text()
    assert "log_prob.pt2" in card and "sampler" not in card.partition("## Results")[0]


@pytest.mark.extras
def test_the_hub_reads_the_card(trained):
    hub = pytest.importorskip("huggingface_hub")
    exported(trained, formats="card", license="mit")
    card = hub.ModelCard.load(trained[0] / "export" / "README.md")
    assert card.data.license == "mit" and card.data.pipeline_tag is None

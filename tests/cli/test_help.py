"""What a user finds out from the console: pages of help, and what TAB offers, for every model and dataset there is."""

import re
import shlex
import shutil
import subprocess
import sys
from typing import Annotated, Literal

import pytest
from helpers.commands import checked
from helpers.configs import CONFIGS, FAMILIES, MODELS, config_of, defaults_of
from hydra.core.override_parser.overrides_parser import OverridesParser
from pydantic import Field

from genbench.cli.completion import FLAGS_IN_SHELLS, SCRIPTS, candidates
from genbench.cli.flags import FLAGS as PARSED
from genbench.cli.help import name_help, names
from genbench.cli.main import COMMANDS, main
from genbench.config.choice_files import GROUPS
from genbench.config.experiments import experiments, preset_of
from genbench.config.registry import builtin_registry
from genbench.config.validation import ASIDE, check_config, known_settings, title
from genbench.settings.adversarial import GANSettings
from genbench.settings.datasets import VectorSettings
from genbench.settings.fields import (
    AtLeastOne,
    ConditionalDefault,
    Decay,
    Device,
    NonNegative,
    Or,
    only_with,
)
from genbench.settings.setting import Setting, alternatives_of, written
from genbench.utils.imports import locate

DATASETS = sorted(f.stem for f in (CONFIGS / "dataset").glob("*.yaml"))
CHOICES = [("model", m) for m in MODELS] + [("dataset", d) for d in DATASETS]


CATALOGUE = builtin_registry()  # one for all tests, as it keeps what it has read


def offered(line: str) -> list[str]:
    """What the last word of a line may become."""
    *before, word = line.split(" ")
    return candidates(before, word, CATALOGUE, COMMANDS)


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("model", MODELS)
def test_a_models_page_says_what_auto_is_for_this_model(model):
    text = plain(name_help(model, CATALOGUE))
    built = locate(config_of(model)["model"]["class"], "model.class")
    said = dict(
        re.findall(r" (epochs|batch_size|latent_dim)=\S+ [^=]*?; auto is (.*?) int >= 1", text)
    )
    (number,) = re.findall(r"^\d[\d,]*\d", said["batch_size"])
    assert built.default_batch_size == int(number.replace(",", ""))
    # Models that take one pass stop after it; no model that takes one has a number of steps.
    takes_one = CATALOGUE.value(f"model/{model}", "epochs") == 1
    assert takes_one == ("one pass" in said["epochs"]) == ("steps" not in said["epochs"])
    assert ("network=conv" in said["epochs"]) == ("network" in CATALOGUE.settings(f"model/{model}"))
    if "latent_dim" in said:
        assert str(built.default_latent_dim) == said["latent_dim"].split(",")[0]
    assert not [m for m in MODELS if re.search(rf"\b{m}\b", " ".join(said.values()))]


def test_a_gan_is_as_long_as_other_models_on_a_table_and_longer_in_the_plane():
    default = CATALOGUE.settings("model/gan")["steps"].default
    values = {"network": "mlp", "dataset.standardize": True}
    assert default.resolved(values.get) is None
    assert default.resolved((values | {"dataset.standardize": False}).get) == 20000
    assert default.resolved({"network": "conv"}.get) == 8000
    assert GANSettings(dataset=VectorSettings(), network="mlp").steps is None


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_a_page_tells_the_source_and_every_setting_with_its_default(group, choice):
    page = name_help(choice, CATALOGUE)
    text = plain(page)
    assert all(plain(line) in text for line in CATALOGUE.about(f"{group}/{choice}"))
    own, shared = page.split("Settings of every run")
    for setting in CATALOGUE.settings(f"{group}/{choice}").values():
        shown = [f"  {setting.name}={written(default)}" for default in defaults_of(setting)]
        assert any(row in own for row in ([f"  {setting.example}"] if setting.required else shown))
        assert setting.meaning in plain(own) and setting.in_words() in plain(own)
    for setting in CATALOGUE.shared().values():
        assert f"  {setting.name}=" in shared and setting.meaning in plain(shared)
    assert name_help(f"{group}={choice}", CATALOGUE) == page


VARYING = [
    (model, name, value, conditions)
    for model in sorted(FAMILIES)
    for name in known_settings(CATALOGUE, model, "digits")
    if isinstance(default := CATALOGUE.value(f"model/{model}", name), ConditionalDefault)
    for conditions, value in default.cases
    if "signals" not in conditions.values() and "auto" not in conditions.values()
]


@pytest.mark.parametrize(("model", "name", "value", "conditions"), VARYING)
def test_a_default_that_goes_with_another_setting_holds_beside_it_and_what_is_given_wins(
    model, name, value, conditions, genbench
):
    dataset, beside = "digits", []
    for other, condition in conditions.items():
        if other == "dataset.kind":  # what a dataset is, which nobody sets
            dataset = {"images": "digits", "vectors": "ring"}[condition]
        elif other.startswith("dataset."):
            if condition == "true":
                dataset, beside = "ring", [f"{other}={condition}"]
        else:
            assert condition in CATALOGUE.settings(f"model/{model}")[other].words()
            beside = [f"{other}={condition}"]
    config = config_of(model, *beside, dataset=dataset)
    assert written(config[name]) == written(value)
    assert f" {name}=" not in title(config, CATALOGUE) and check_config(config, CATALOGUE) == config
    command = ["--cfg", "job", f"model={model}", f"dataset={dataset}", *beside]
    assert f"{name}: {written(value)}\n" in genbench(*command).stdout
    others = {
        "auto": 7,
        None: 7,
        "mlp": "conv",
        "conv": "mlp",
        "relu": "tanh",
        "leaky-relu": "tanh",
    }
    if value in others:
        given = others[value]
    elif isinstance(value, str):
        words = CATALOGUE.settings(f"model/{model}")[name].words()
        given = next(word for word in words if word != value)
    else:
        given = 3 * value or 7
    own = config_of(model, *beside, f"{name}={given}", dataset=dataset)
    assert own[name] == given
    shown = f"{given:g}" if isinstance(given, float) else given
    assert name in ASIDE or f"{name}={shown}" in title(own, CATALOGUE)
    (row,) = re.findall(
        rf"^  {name}=(\S+.*?)(?=^  \S|^$)", name_help(model, CATALOGUE), re.M | re.S
    )
    assert row.startswith(written(value)) or f"{written(value)} with {other}={condition}" in plain(
        row
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("dataset", "beside"), [("digits", None), ("ring", "vectors|mlp|ring")])
def test_the_defaults_on_a_page_are_those_of_a_composed_run(model, dataset, beside):
    """Those of the plain command stand first, then those with other data and networks."""
    config = config_of(model, dataset=dataset)
    rows = re.findall(r"^  (\w+)=(\S+)(.*?)(?=^  \S|^$)", name_help(model, CATALOGUE), re.M | re.S)
    assert {name for name, *_ in rows} == {
        *CATALOGUE.settings(f"model/{model}"),
        *CATALOGUE.shared(),
    }
    for name, default, text in rows:
        there = beside and re.search(rf"; (\S+) with [^;=]*=[^;=]*\b({beside})\b", plain(text))
        assert written(config[name]) == (there[1] if there else default), name


@pytest.mark.parametrize("name", experiments(CATALOGUE))
def test_completion_and_help_know_each_experiment(name):
    assert f"experiment={name} " in candidates([], "experiment=", CATALOGUE, COMMANDS)
    assert "experiment=" in candidates([], "exp", CATALOGUE, COMMANDS)
    assert f"{name} " in candidates(["help"], name, CATALOGUE, COMMANDS)
    page = plain(name_help(name, CATALOGUE))
    assert page == plain(name_help(f"experiment={name}", CATALOGUE))
    for key, value in preset_of(name, CATALOGUE).items():
        assert f"{key} {written(value)}" in page


@pytest.mark.parametrize("name", names(CATALOGUE))
def test_every_example_is_a_command_that_would_run(name, monkeypatch):
    monkeypatch.setattr(
        "genbench.config.request.require_folders", lambda *args: None
    )  # FOLDER stands for one that is there
    page = name_help(name, CATALOGUE)
    for line in re.findall(r"^  (genbench .*)$", page, re.M):
        assert checked(line, CATALOGUE, COMMANDS), line
    assert name in GROUPS or "\nExample" in page


def test_a_setting_is_told_with_all_who_have_it_and_what_it_is_there():
    pages = {name: plain(name_help(name, CATALOGUE)) for name in names(CATALOGUE)}
    for group, choice in CHOICES:
        for setting in CATALOGUE.settings(f"{group}/{choice}").values():
            page = pages[setting.name]
            assert setting.meaning in page and setting.in_words() in page
            assert all(written(default) in page for default in defaults_of(setting))
            assert re.search(rf"\b{choice}\b|every {group}", page)


ONLY_CONV = Annotated[AtLeastOne, only_with(network="conv")]
ONLY_X_Y = Annotated[int, only_with(a=("x", "y"))]
ABOVE_ONE = Annotated[float, Field(gt=1), only_with(a="x")]


@pytest.mark.parametrize(
    ("annotation", "beside", "says"),
    [
        (NonNegative | Literal["auto"], {}, "float >= 0 | auto"),
        (Annotated[AtLeastOne, Or("auto")], {}, "int >= 1 | auto"),
        (
            Annotated[list[Decay], Field(min_length=2)] | None,
            {},
            "list of 2 float in [0, 1) | null",
        ),
        (list[list[float]], {}, "list of list of float"),
        (Device, {}, "auto | cpu | cuda | cuda:N | mps"),
        (ONLY_CONV, {}, "int >= 1, only with network=conv"),
        (ONLY_CONV, {"network": "conv"}, "int >= 1"),
        (ONLY_X_Y, {}, "int, only with a=x or a=y"),
        (ONLY_X_Y, {"a": "x"}, "int"),
        (int | ABOVE_ONE | Literal["auto"], {}, "int | auto, or float > 1 with a=x"),
    ],
)
def test_what_is_allowed_reads_as_words(annotation, beside, says):
    allowed = tuple(alternatives_of(annotation))
    assert Setting("s", allowed, "", None, "").in_words(beside) == says


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dataset", ["digits", "ring"])
def test_completion_offers_exactly_the_settings_of_the_run(model, dataset):
    run = f"model={model} dataset={dataset} "
    known = {f"{name}=" for name in (*known_settings(CATALOGUE, model, dataset), "experiment")}
    assert {*offered(run)} == known
    assert {*offered(f"{run}++epochs=3 ")} == known - {"epochs="}


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_each_value_that_completion_offers_is_allowed(group, choice):
    parser = OverridesParser.create()
    for name, setting in (CATALOGUE.shared() | CATALOGUE.settings(f"{group}/{choice}")).items():
        found = offered(f"{group}={choice} {name}=")
        assert (found or setting.required) and all(word.endswith(" ") for word in found)
        for override in parser.parse_overrides([word.rstrip() for word in found]):
            others = [{}, *({c.name: c.value} for c in setting.conditions)]
            assert override.key_or_group == name and any(
                _allowed(setting, override.value(), o) for o in others
            ), override


def _allowed(setting, value, others):
    try:
        setting.check(value, others)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("line", "may_become"),
    [
        ("mod", ["model=", "models "]),
        ("dataset=r", ["dataset=ring "]),
        ("-m model=vae,g", ["model=vae,gan", "model=vae,gmm", "model=vae,gmm-sgd"]),
        ("model=beta-vae,v", ["model=beta-vae,vae ", "model=beta-vae,vamp-vae "]),
        ("-m model=vae,vae", []),
        ("-m model=pca,vae late", ["latent_dim="]),
        ("-m model=vae,pca bet", []),
        ("model=nonsense bet", ["beta="]),
        ("dataset=mnist dataset.b", ["dataset.binarize="]),
        ("dataset=ring dataset.b", []),
        ("+beta=", ["+beta=1.0 "]),
        ("dataset.binarize=s", ["dataset.binarize=static "]),
        ("device=cuda:", ["device=cuda:0 "]),
        ("adam_betas=", ["adam_betas=[0.9,0.999] "]),
        ("hidden=[400,", []),
        ("dataset.root=", []),
        ("--cf", ["--cfg "]),
        ("--cfg j", ["job "]),
        ("help swa", ["swae "]),
        ("help vae valid", ["validate_every "]),
        ("models ", []),
        ("completion z", ["zsh "]),
        ("resume run ", ["device=", "epochs=", "jobs=", "steps=", "together="]),
        ("-m mode", ["model="]),
    ],
)
def test_what_a_word_may_become(line, may_become):
    assert offered(line) == may_become


def test_resume_offers_the_runs_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run in ("outputs/a", "outputs/sweep/0_b", "outputs/other", "elsewhere/c"):
        (tmp_path / run).mkdir(parents=True)
        if "other" not in run:
            (tmp_path / run / "config.yaml").touch()
    runs = ["outputs/a ", "outputs/sweep/0_b "]
    assert offered("resume ") == offered("resume out") == offered("resume outputs/") == runs
    assert offered("resume else") == ["elsewhere/c "] and offered("resume x") == []


OWN_MODEL = """
from pydantic import Field
from genbench.model import Model
from genbench.settings.run import RunSettings

class MeanSettings(RunSettings):
    shrink: bool = Field(True, description="towards zero")

class Mean(Model):
    settings: MeanSettings
"""


def test_a_users_own_model_is_helped_and_completed(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "mean.yaml").write_text(
        "# @package _global_\n# The mean image.\nmodel: {name: mean, class: mymean.Mean}\n"
    )
    (tmp_path / "mine" / "mymean.py").write_text(OWN_MODEL)
    monkeypatch.chdir(tmp_path)

    def said(*args):
        with pytest.raises(SystemExit):
            main(list(args))
        return capsys.readouterr().out

    assert "shrink=true" in said("--config-dir", "mine", "help", "mean") and "mean" in said(
        "models", "--config-dir=mine"
    )
    assert said("completion", "--", "--config-dir", "mine", "model=me") == "model=mean \n"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (
        said("completion", "--", "--config-dir=~/mine", "model=mean", "shrink=")
        == "shrink=false \nshrink=true \n"
    )
    assert said("completion", "--", "--config-dir", "mi") == "", "the shell offers folders"


def test_the_flags_that_are_offered_are_hydras_own():
    known = {flag: options for names, options in PARSED.items() for flag in names}
    for flag, words in FLAGS_IN_SHELLS.items():
        assert flag in known and list(words) == known[flag].get("choices", [])


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_scripts_are_what_their_shells_can_read(shell):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    done = subprocess.run([shell, "-n"], input=SCRIPTS[shell], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
def test_bash_completes_after_its_word_breaks(tmp_path):
    """What bash is to put in place of the text since the last `=`, `:` or space, which is all that it replaces."""
    script = f"""
        genbench() {{ {shlex.quote(sys.executable)} -c 'from genbench.cli.main import main; main()' "$@"; }}
        source <(genbench completion bash)
        try() {{ COMP_LINE=$1; COMP_POINT=${{2-${{#1}}}}; _genbench; (IFS='|'; echo "${{#COMPREPLY[@]}}:${{COMPREPLY[*]}}"); }}
        touch 'beta-vae '
        try 'genbench -m model=vae,g'
        try 'genbench device=cuda:'
        try 'genbench mode'
        try 'genbench model=wg --cfg job' 17
        try 'genbench model=pca beta'
        COMP_WORDBREAKS=' '; try 'genbench model=wg'
    """
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "3:vae,gan|vae,gmm|vae,gmm-sgd",
        "1:0 ",
        "2:model=|models ",
        "1:wgan ",
        "0:",
        "1:model=wgan ",
    ]


def test_answers_that_need_no_hydra_do_not_import_it(tmp_path):
    slow = "{'hydra', 'omegaconf', 'rich', 'numpy', 'torch'}"
    code = f"import sys; from genbench.cli.main import main\ntry: main(sys.argv[1:])\nfinally: print(sorted({slow} & {{*sys.modules}}))"
    for args in (
        ["help", "vae"],
        ["--help"],
        ["datasets"],
        ["completion", "--", "model=vae", "b"],
        ["--version"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *args], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]", done


def test_a_default_that_all_have_with_another_setting_is_said_once(genbench):
    network = plain(genbench("help", "network").stdout)
    assert (
        "default conv; mlp with model=linear-ae, sparse-ae; mlp with dataset.kind=vectors"
        in network
    )
    batches = plain(genbench("help", "batch_size").stdout)
    some = re.search(r"auto with (model=[^;]* network=mlp)", batches)
    assert some and "wgan network=mlp" in some[1], "which others have in any case"

"""The settings classes: what they accept and refuse by themselves, and what help and checks read from them."""

import json
import math
import subprocess
import sys
import typing

import pytest
from helpers.configs import defaults
from pydantic import Field, ValidationError

from genbench.config.choice_files import GROUPS
from genbench.config.compose import resolved
from genbench.config.declarations import typed_dataset
from genbench.config.registry import builtin_registry
from genbench.config.request import check_job
from genbench.config.validation import check_config, title
from genbench.settings.adversarial import WGANSettings
from genbench.settings.autoencoders import SparseAESettings, VAESettings
from genbench.settings.base import settings_of
from genbench.settings.builtin import builtin_settings
from genbench.settings.classical import CovarianceSettings, EMSettings
from genbench.settings.commands import COMMAND_OPTIONS
from genbench.settings.datasets import DigitsSettings, SyntheticSettings
from genbench.settings.fields import ConditionalDefault, default_by
from genbench.settings.groups import NetworkSettings
from genbench.settings.names import SYNONYMS, VALUE_SYNONYMS
from genbench.utils.errors import UserError
from genbench.utils.imports import locate

REGISTRY = builtin_registry()
CHOICES = [f"{group}/{name}" for group in GROUPS for name in REGISTRY.names(group)]
CLASSES = sorted(
    {*map(REGISTRY.declared, CHOICES), *COMMAND_OPTIONS.values()},
    key=lambda declared: declared.__name__,
)
ODD = [
    -1,
    0,
    0.5,
    1,
    2,
    70000,
    True,
    "auto",
    "linear",
    "nonsense",
    None,
    [],
    [1],
    [0.5, 0.5],
    math.nan,
]


@pytest.mark.parametrize("declared", CLASSES)
def test_a_class_accepts_what_the_command_line_accepts_and_refuses_what_it_refuses(declared):
    for name, setting in settings_of(declared).items():
        conditions = {c.name: {"true": True}.get(c.value, c.value) for c in setting.conditions[:1]}
        usual = declared.model_validate({**required(declared), **conditions}).values()
        for value in [*ODD, *setting.words()]:
            if value is True and "1" in setting.words():
                continue  # which pydantic takes for the word 1
            try:
                checked = setting.check(value, usual | {name: value})
            except ValueError:
                checked = ValueError
            try:
                given = {**required(declared), **conditions, name: value}
                accepted = declared.model_validate(given).values()[name]
            except ValidationError as error:
                found = error.errors()[0].get("ctx", {}).get("error")
                contradicts_others = str(found).startswith("dataset.")
                accepted = checked if contradicts_others else ValueError
            assert repr(accepted) == repr(checked), (name, value)


def required(declared):
    """Values for the settings that have no default."""
    return {
        name: (setting.words() or ["/"])[0]
        for name, setting in settings_of(declared).items()
        if setting.required
    }


@pytest.mark.parametrize("declared", CLASSES)
def test_every_default_is_allowed(declared):
    for setting in settings_of(declared).values():
        default = setting.default
        some = default.cases if isinstance(default, ConditionalDefault) else [(None, default)]
        for _, value in [] if setting.required else some:
            beside = {c.name: c.value for c in setting.conditions[:1]}
            assert setting.check(value, beside) == value


def test_every_model_and_dataset_of_the_package_has_its_class_without_torch():
    code = (
        "import sys; from genbench.config.registry import builtin_registry;"
        f"r = builtin_registry(); [r.declared(choice) for choice in {CHOICES}];"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done
    assert builtin_settings("mine.VAE") is builtin_settings("genbench.models.mine.Mine") is None


@pytest.mark.parametrize(
    ("declared", "given", "says"),
    [
        (VAESettings, {"latent_dims": 3}, "latent_dims"),
        (VAESettings, {"momentum": 0.5}, "has no effect with optimizer=adam"),
        (VAESettings, {"sigma": 0.5, "likelihood": "bernoulli"}, "set likelihood=gaussian or"),
        (
            DigitsSettings,
            {"binarize": "static", "dequantize": True},
            "no effect with binarize=static",
        ),
    ],
)
def test_a_class_refuses_unknown_names_and_settings_without_effect(declared, given, says):
    with pytest.raises(ValidationError, match=says):
        declared.model_validate(given)


def test_a_default_may_depend_on_another_setting_even_through_a_third():
    images, vectors = (
        WGANSettings(dataset=DigitsSettings()),
        WGANSettings(dataset=SyntheticSettings()),
    )
    assert (images.network, images.batch_size, images.n_critic) == ("conv", 64, 1)
    assert (vectors.network, vectors.batch_size, vectors.n_critic) == ("mlp", "auto", 5)
    assert WGANSettings(network="conv", n_critic=7).n_critic == 7


def test_lambda_is_given_as_users_write_it_or_as_python_does():
    assert SparseAESettings.model_validate({"lambda": 3}).lambda_ == 3.0
    assert SparseAESettings(lambda_=3.0).values()["lambda"] == 3.0


def test_bases_in_an_order_that_loses_a_default_are_refused():
    with pytest.raises(TypeError, match="default of epochs in EMSettings is lost; name EMSettings"):
        type("Mine", (CovarianceSettings, EMSettings), {"__module__": __name__})


def test_a_class_of_a_users_own_inherits_bounds_and_conditional_defaults():
    class Mine(NetworkSettings):
        batch_size: int = Field(default_by("network", mlp=200, conv=100), description="points")

    assert Mine(network="conv").batch_size == 100 and Mine().batch_size == 200
    with pytest.raises(ValidationError, match="activation"):
        Mine(activation="step")


def test_yaml_files_hold_presets_only_of_settings_there_are():
    for group in GROUPS:
        for choice in REGISTRY.names(group):
            known = REGISTRY.settings(f"{group}/{choice}") | REGISTRY.shared()
            for name, setting in known.items():
                value = REGISTRY.value(f"{group}/{choice}", name)
                assert (
                    value is None
                    or isinstance(value, ConditionalDefault)
                    or setting.check(value, {c.name: c.value for c in setting.conditions[:1]})
                    == value
                )


@pytest.mark.parametrize("name", ["digits", "moons", "mnist"])
def test_a_loader_gets_its_settings_as_an_instance_of_its_class(name):
    settings = typed_dataset(defaults(name))
    assert type(settings) is REGISTRY.declared(f"dataset/{name}")
    assert settings.values() == defaults(name)
    with pytest.raises(AttributeError, match="limitt"):
        _ = settings.limitt


def test_a_models_annotation_is_the_class_that_checks_its_settings():
    for name in REGISTRY.names("model"):
        model = locate(REGISTRY.value(f"model/{name}", "model.class"), "model.class")
        assert typing.get_type_hints(model)["settings"] is REGISTRY.declared(f"model/{name}"), name


@pytest.mark.parametrize(
    ("model", "typed", "hint"),
    [
        ("vae", "lr_decay=0.9", "did you mean 'schedule'?"),
        ("vae", "decoder=conv", "did you mean 'network'?"),
        ("vae", "betas=[0.9,0.99]", "did you mean 'adam_betas'?"),
        ("vae", "learning_rates=1", "did you mean 'lr'?"),
        ("vae", "training.lr=1", "did you mean 'lr'?"),
        ("vae", "temperature=1", "'genbench help vae' lists the settings of model=vae"),
        ("gan", "r1=1", "did you mean 'r1_gamma'?"),
        ("vae", "r1_gama=1", "did you mean 'r1_gamma', which belongs to: gan?"),
        ("kmeans", "n_cluster=2", "did you mean 'n_components'?"),
        ("kmeans", "k=2", "did you mean 'n_components'?"),
        ("iwae", "k=2", "did you mean 'draws'?"),
        ("kmeans", "dropout=2", "'genbench help kmeans' lists the settings of model=kmeans"),
        ("vae", "dataset.foo=2", "'genbench help digits' lists the settings of dataset=digits"),
        ("vae", "dataset_lmit=2", "did you mean 'dataset.limit'?"),
        ("vae", "dataset.lmit=2", "did you mean 'dataset.limit'?"),
        ("vae", "likelihood=normal", "such as likelihood=gaussian"),
        ("vae", "likelihood=binominal", "such as likelihood=binomial"),
        ("vae", "likelihood=poisson", "such as likelihood=auto"),
        ("vae", "network=cnn", "such as network=conv"),
        ("vae", "activation=swish", "such as activation=silu"),
        ("vae", "activation=LeakyReLU", "such as activation=leaky-relu"),
        ("vae", "schedule=step", "such as schedule=stages"),
        ("ae", "reconstruction=normal", "such as reconstruction=mse"),
        ("aae", "prior=gaussian", "such as prior=normal"),
        ("gmm", "covariance=diagonal", "such as covariance=diag"),
        ("wgan", "constraint=gp", "such as constraint=penalty"),
        ("autoencoder", "lr=1", "model=ae"),
        ("gna", "lr=1", "model=gan"),
        ("transformer", "lr=1", "choose one of: aae, ae, "),
    ],
)
def test_a_hint_names_what_was_probably_meant_or_says_where_to_look(model, typed, hint):
    with pytest.raises(UserError) as refused:
        check_job([f"model={model}", "dataset=digits", typed], REGISTRY)
    assert refused.value.fix.startswith(hint)


@pytest.mark.parametrize(
    ("dataset", "typed", "says"),
    [
        ("gaussians", "dataset.means=[[0,0]]", "1 mean, 3 scales, 3 weights"),
        ("gaussians", "dataset.weights=[1,1]", "3 means, 3 scales, 2 weights"),
        ("gaussians", "dataset.means=[[0],[1],[2,3]]", "must all have one dimension, or all two"),
        ("image-folder", "dataset.levels=[9,9]", "the first, black, must be below the second"),
    ],
)
def test_settings_that_contradict_one_another_are_refused_before_anything_starts(
    dataset, typed, says, tmp_path
):
    root = [f"dataset.root={tmp_path}"] * (dataset == "image-folder")
    with pytest.raises(UserError, match=says):
        check_job([f"dataset={dataset}", typed, *root], REGISTRY)
    name, _, value = typed.removeprefix("dataset.").partition("=")
    config = resolved([f"dataset={dataset}", *root], REGISTRY)
    with pytest.raises(UserError, match=says):
        check_config(config, REGISTRY, {f"dataset.{name}": json.loads(value)})


def test_names_that_others_use_stand_for_settings_that_exist():
    settings = {name for group in (*GROUPS, "command") for name in settings_in(group)}
    assert {*SYNONYMS} <= {*settings, *REGISTRY.shared(), *GROUPS}
    words = {
        word
        for group in GROUPS
        for choice in REGISTRY.names(group)
        for setting in REGISTRY.settings(f"{group}/{choice}").values()
        for word in (*setting.words(), choice)
    }
    words |= {word for setting in REGISTRY.shared().values() for word in setting.words()}
    assert {*VALUE_SYNONYMS} <= words


def settings_in(group):
    return {
        name for choice in REGISTRY.names(group) for name in REGISTRY.settings(f"{group}/{choice}")
    }


def test_a_title_names_the_folder_where_that_is_the_data(tmp_path):
    """Not where it is only a place for data that have a name."""
    for dataset, named in (("image-folder", ", dataset.root=cats"), ("mnist", "")):
        words = ["model=pca", f"dataset={dataset}", f"dataset.root={tmp_path / 'cats'}"]
        assert title(resolved(words, REGISTRY), REGISTRY) == f"pca on {dataset}{named}"

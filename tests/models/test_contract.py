"""What every model owes the loop, tested on whatever configs/model/ holds."""

import copy
import json
import math
import re
import typing

import pytest
import torch
from helpers.configs import (
    CONFIGS,
    FAMILIES,
    MODELS,
    Nowhere,
    accepts,
    built,
    config_of,
    own_class,
    own_settings,
    small_config,
    suited,
)
from helpers.runs import newest
from pydantic import ValidationError

from genbench.config.declarations import typed
from genbench.data.loading import load_data
from genbench.data.types import Batch, Data, DataSpec, Split
from genbench.experiment import build, run
from genbench.model import supports
from genbench.runs.recorder import Run
from genbench.settings.base import auto_of
from genbench.settings.datasets import DigitsSettings
from genbench.training.calls import alone as alone_
from genbench.training.defaults import resolve_auto
from genbench.training.gradient import GradientModel
from genbench.training.loop import Position, fit_model, fit_work
from genbench.training.objective import means
from genbench.training.stopping import EarlyStopping
from genbench.training.together import together
from genbench.utils.errors import UserError
from genbench.utils.imports import locate
from genbench.utils.rng import generator

CPU = torch.device("cpu")


def trained(config):
    """A model trained as its config says, with its data and the points it logged."""
    data, nowhere = load_data(config["dataset"], CPU), Nowhere()
    model = build(config, data)
    fit_model(model, data, nowhere, typed(config))
    return model, data, nowhere.points


def test_a_model_has_its_settings_as_an_instance_of_its_own_class(model_name):
    config = small_config(model_name)
    model = build(config, load_data(config["dataset"], CPU))
    declared = typing.get_type_hints(type(model))["settings"]
    assert type(model.settings) is declared
    assert type(model.settings.dataset) is DigitsSettings and model.settings.dataset.limit == 130
    with pytest.raises(AttributeError, match="latent_dimm"):
        _ = model.settings.latent_dimm
    with pytest.raises(ValidationError, match="frozen"):
        model.settings.seed = 1
    given = {k: v for k, v in config.items() if v != "auto" and not isinstance(v, dict)}
    values = model.settings.values()
    assert {name: values[name] for name in given} == given
    if "lambda" in config:
        assert model.settings.lambda_ == config["lambda"] == model.weights["lambda"]


def test_training_logs_finite_terms_and_beats_the_start(model_name):
    config = small_config(model_name, "epochs=8")
    model, data, points = trained(config)
    for point in points:
        assert point["validation"] and all(
            math.isfinite(v) for part in point.values() for v in part.values()
        )
    # A model with one objective lowers it; the players of a game need not lower theirs.
    if model.criterion is not None:
        start = build(config, data)
        start.setup(data.train, seed=0, steps=1)
        start.initialise(data.train, seed=0)
        end, begin = (
            points[-1]["validation"][model.criterion],
            means(start, data.splits["validation"], 50, 0)[model.criterion],
        )
        assert not end >= begin  # what has seen no data may have no objective at all


def test_the_same_seed_gives_the_same_model_and_another_seed_another(model_name):
    config = small_config(model_name)
    first, second = (trained(config)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[k], second[k]) for k in first)
    if len(trained(config)[2]) == 1:
        return  # a closed form does not depend on the seed
    other = trained(config | {"seed": 1})[0].state_dict()
    assert any(not torch.equal(first[k], other[k]) for k in first)


def test_watching_does_not_steer(model_name, tmp_path, unrendered):
    plain = trained(small_config(model_name, "epochs=3"))[0].state_dict()
    watched = small_config(
        model_name, "epochs=3", "validate_every=3", "draw_every=1", "save_every=2"
    )
    run(watched, tmp_path)
    found = torch.load(newest(tmp_path), weights_only=True)["model"]
    assert all(torch.equal(plain[k], found[k]) for k in plain)


def test_abilities_have_the_promised_shapes(model_name):
    model, data, _ = trained(small_config(model_name))
    x, y = data.splits["test"].values(slice(0, 7)), data.splits["test"].y[:7]
    model.fit_posthoc(data.train, seed=0)
    given = model.conditioned_on(y)
    with torch.no_grad():
        if supports(model, "encode", "decode"):
            z = given.encode(x)
            assert (
                len(z) == 7
                and given.decode(z).shape == x.shape
                and given.decode(z).dtype == torch.float32
            )
        if supports(model, "codes"):
            assert (
                model.codes(5, generator(0)).shape == (5, model.latent_dim)
                and model.source_of_codes
            )
        if supports(model, "sample"):
            one, same, other = (model.sample(5, generator(seed)) for seed in (0, 0, 1))
            assert (
                one.shape == (5, *data.spec.shape)
                and one.dtype == torch.float32
                and one.isfinite().all()
            )
            assert torch.equal(one, same) and not torch.equal(one, other)
        if supports(model, "log_prob"):
            log_prob = given.log_prob(x)
            assert (
                log_prob.shape == (7,)
                and log_prob.isfinite().all()
                and torch.equal(log_prob, given.log_prob(x))
            )
            assert not model.is_discrete or (log_prob <= 0).all()


def test_runs_on_vectors_without_labels(model_name):
    config = small_config(model_name, dataset="moons")
    if "latent_dim" in config:
        config["latent_dim"] = 1
    data = suited(model_name, load_data(config["dataset"], CPU))
    for name, part in data.splits.items():
        data.splits[name] = type(part)(part.raw, None)
    data = data._replace(spec=data.spec._replace(classes=0))
    model = built(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    assert all(math.isfinite(v) for v in means(model, data.splits["test"], 100, 0).values())


@pytest.mark.parametrize(("size", "widest"), [(1, 1), (2, 2), (3, 2), (13, 6), (40, 20)])
def test_an_encoder_does_not_copy_points_into_codes_of_auto_width(model_name, size, widest):
    config = config_of(model_name, "dataset.standardize=false", dataset="moons")
    if config.get("latent_dim") != "auto":
        pytest.skip("has no latent dimension, or a default of its own")
    made = locate(own_class(model_name), "model.class")
    data = Data("made", {"train": Split(torch.rand(90, size), None)}, DataSpec((size,), False))
    found = resolve_auto(typed(config), made, data).latent_dim
    copies = hasattr(made, "encode") and not hasattr(made, "posterior")
    assert found == min(made.default_latent_dim, widest if copies else size)
    told = auto_of(typing.get_type_hints(made)["settings"], "latent_dim")
    assert ("half the values" in told) == copies


@pytest.mark.parametrize(("dataset", "size"), [("moons", 2), ("digits", 64)])
def test_latent_dim_auto_never_exceeds_the_data(model_name, dataset, size):
    config = config_of(model_name, "device=cpu", dataset=dataset)
    if config.get("latent_dim") != "auto":
        pytest.skip("has no latent dimension, or a default of its own")
    data = load_data(config["dataset"], CPU)
    model = built(config, data)
    assert model.settings.latent_dim == min(model.default_latent_dim, size)
    if supports(model, "encode"):
        encoded = model.conditioned_on(data.train.y[:3]).encode(data.train.values(slice(0, 3)))
        assert encoded.shape == (3, model.settings.latent_dim)


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 37, 53), (1, 28, 28), (4, 64, 9), (3, 64, 64), (2, 15, 33)]
)
def test_convolutions_take_images_of_any_size_and_number_of_channels(model_name, shape):
    config = small_config(model_name)
    if "network" not in config:
        pytest.skip("has no network")
    config = small_config(model_name, "network=conv")
    x, y = torch.rand(6, *shape, generator=generator(0)), torch.arange(6) % 2
    data = Data(
        "made", {"train": Split(x, y), "test": Split(x, y)}, DataSpec(shape, unit=True, classes=2)
    )
    model = build(config, data)
    model.setup(data.train, seed=0, steps=1)
    model.step(Batch(x, y))
    dimension = config.get("latent_dim", math.prod(shape))
    if not supports(model, "decode"):
        return
    z = torch.randn(6, dimension, generator=generator(1))
    assert model.conditioned_on(y).decode(z).shape == x.shape
    if supports(model, "encode"):
        assert model.conditioned_on(y).encode(x).shape == z.shape


def test_batch_size_does_not_change_statistics(model_name):
    one, data, _ = trained(small_config(model_name, "batch_size=37"))
    if one.shuffles:
        pytest.skip("a model that learns from each batch depends on them")
    other = trained(small_config(model_name, "batch_size=130"))[0].state_dict()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, other[name], rtol=1e-8, atol=1e-9)


OPTIONS = {  # beside the defaults, each choice that changes what a loss computes
    "ae": ["reconstruction=bce"],
    "aae": ["prior=uniform"],
    "dae": ["corruption=masking", "corruption=salt-and-pepper", "walkbacks=2"],
    "sparse-ae": ["sparsity=l1"],
    "swae": ["prior=uniform", "prior=ring", "supervision=2.0"],
    "wae": ["prior=ring"],
    "vae": [
        "draws=3",
        "likelihood=bernoulli",
        "likelihood=continuous-bernoulli",
        "likelihood=gaussian",
        "optimizer=rmsprop",
    ],
    "vamp-vae": ["draws=2"],
    "beta-tcvae": ["aggregate=weighted"],
    "gan": [
        "generator_loss=saturating",
        "optimizer=sgd",
        "generator=identity latent_dim=64",
        "r1_gamma=3.0",
        "instance_noise=0.5 r1_gamma=0.5 discriminator_lr=0.01",
    ],
    "wgan": ["constraint=clipping", "schedule=cosine"],
    "made": ["order=random hidden=[16,8]", "likelihood=gaussian"],
    "maf": ["order=random transform=logit"],
}
SHARED_OPTIONS = {
    "network": "conv",
    "annealing": "cyclical",
    "ema": 0.9,
    "norm": "layer",
}  # of every model that has the setting
TOGETHER = [
    pytest.param(name, option, marks=[] if name in FAMILIES else pytest.mark.models)
    for name in MODELS
    if issubclass(locate(own_class(name), "model.class"), GradientModel)
    for shared in [[f"{k}={v}" for k, v in SHARED_OPTIONS.items() if k in own_settings(name)]]
    for option in [None, *OPTIONS.get(name, []), *shared]
]


@pytest.mark.parametrize(("model_name", "option"), TOGETHER)
def test_runs_that_train_together_equal_runs_alone(model_name, option):
    name, _, value = (option or "").partition("=")
    if name in SHARED_OPTIONS and not accepts(model_name, name, value):
        pytest.skip(f"does not take {option}")
    config = small_config(model_name, *(option or "").split())
    data = load_data(config["dataset"], CPU)
    weights = type(build(config, data)).loss_weights
    varied = [
        copy.deepcopy(config)
        | {"seed": i % 2, "lr": config["lr"] * (2 - i % 2), "adam_eps": 1e-3}
        | {name: config[name] * (1 + i) for name in weights}
        for i in range(3)
    ]
    alone, joint = ([build(one, data) for one in varied] for _ in range(2))
    logs = {}
    for kind, models in {"alone": alone, "joint": joint}.items():
        recorders = [Nowhere() for _ in models]
        works = [
            fit_work(model, data, nowhere, model.settings)
            for model, nowhere in zip(models, recorders, strict=True)
        ]
        ended = together(works) if kind == "joint" else [alone_(work) for work in works]
        assert kind == "alone" or [member.error for member in ended] == [None] * 3
        logs[kind] = [nowhere.points for nowhere in recorders]
    for one, other in zip(alone, joint, strict=True):
        for name, value in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-4, atol=1e-4)
        assert_alike(other.training_state(), one.training_state())
        start = build(varied[0], data).state_dict()
        assert any(not torch.equal(p, start[name]) for name, p in one.state_dict().items())
    assert_alike(logs["joint"], logs["alone"])


def assert_alike(found, expected):
    """Equality of nested values, of numbers up to rounding."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_alike(found[name], expected[name])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, (float, torch.Tensor)):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    else:
        assert found == expected


def test_a_finished_run_is_left_alone_and_can_be_made_longer(model_name, tmp_path):
    def files():
        return {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}

    constant = ["schedule=constant"] if "schedule" in small_config(model_name) else []
    run(small_config(model_name, *constant, "epochs=3"), tmp_path)
    before = files()
    assert run(small_config(model_name, *constant, "epochs=3"), tmp_path) is None
    assert files() == before
    longer = run(small_config(model_name, *constant, "epochs=5"), tmp_path)
    once = run(
        small_config(model_name, *constant, "epochs=5"), tmp_path.with_name(tmp_path.name + " once")
    )
    assert (
        longer.metrics["test"] == once.metrics["test"]
        and longer.metrics["cost"] == once.metrics["cost"]
    )


def test_weights_that_are_not_finite_are_never_saved(model_name, tmp_path):
    config = small_config(model_name)
    data = load_data(config["dataset"], CPU)
    model = build(config, data)
    with pytest.raises(UserError, match="is not finite"), Run(tmp_path, config) as record:
        record.start()
        stopping = EarlyStopping(model, data, typed(config))
        record.set_data(data)
        at = Position(of=3, total=12)
        record.restore(at, model, stopping)
        fit_model(model, data, Nowhere(), typed(config))
        record.log(1, {}, 1.0)
        with torch.no_grad():
            next(v for v in model.state_dict().values() if v.is_floating_point()).view(-1)[-1] = (
                math.nan
            )
        record.save(Position(of=3, total=12, epoch=1), model, stopping)
    assert not list(tmp_path.glob("checkpoint-*"))
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "failed"


SHARED = [
    f
    for folder in (".", "evaluation")
    for f in sorted((CONFIGS.parent / "genbench" / folder).glob("*.py"))
]


@pytest.mark.parametrize("module", SHARED, ids=lambda file: file.name)
def test_no_shared_code_names_a_model(module):
    source = module.read_text()
    code = "\n".join(
        line.partition("#")[0] for line in re.sub(r'""".*?"""', "", source, flags=re.S).splitlines()
    )
    code = re.sub(
        r"\b(model|sampler)=[\w,-]+", "", code
    )  # what a user is advised to paste decides nothing
    names = {*MODELS} - {"made", "flow"}  # words of plain English, too
    named = [name for name in names if re.search(rf"\b{re.escape(name)}\b", code, flags=re.I)]
    assert not named and "isinstance(model" not in code

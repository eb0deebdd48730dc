"""Early stopping, clipping, annealing and averaging, each against what it promises."""

import copy
import dataclasses
import math

import pytest
import torch
from helpers.configs import Nowhere, config_of, small_config

from genbench.config.declarations import typed
from genbench.config.registry import builtin_registry
from genbench.config.validation import known_settings, require_one_length
from genbench.data.loading import load_data
from genbench.data.types import Batch, Data, DataSpec, Split
from genbench.experiment import build
from genbench.model import Model
from genbench.settings.groups import AnnealingSettings, AutoencoderSettings, EarlyStoppingSettings
from genbench.settings.run import RunSettings
from genbench.training import calls
from genbench.training.defaults import length
from genbench.training.ensemble import Ensemble
from genbench.training.loop import fit_model
from genbench.training.objective import means
from genbench.training.optim import annealing
from genbench.utils import signals
from genbench.utils.errors import UserError

CPU = torch.device("cpu")


class Scripted(Model):
    """Its weight counts the epochs, its validation loss is read from a script."""

    criterion = "loss"

    def __init__(self, script):
        super().__init__(DataSpec((1,), unit=False), RunSettings())
        self.script = script
        self.register_buffer("weight", torch.zeros(()))

    def step(self, batch):
        return {}

    def end_epoch(self):
        self.weight += 1
        return {}

    def evaluate(self, batch, rng):
        return {"other": torch.tensor(0.0), "loss": torch.tensor(self.script[int(self.weight) - 1])}


def scripted(script, patience, every=1):
    part = Split(torch.zeros(4, 1), None)
    data = Data(
        "made", {"train": part, "validation": part, "test": part}, DataSpec((1,), unit=False)
    )
    settings = EarlyStoppingSettings(
        epochs=len(script), batch_size=4, patience=patience, validate_every=every
    )
    model = Scripted(script)
    return fit_model(model, data, Nowhere(), settings), float(model.weight)


@pytest.mark.parametrize(
    ("script", "patience", "every", "epochs", "kept"),
    [
        (
            [3.0, 2.0, 1.0, 2.0, 3.0, 0.0],
            2,
            1,
            5,
            3,
        ),  # stops before the lowest, which it cannot foresee
        ([3.0, 2.0, 1.0, 2.0, 3.0, 0.0], 3, 1, 6, 6),
        ([3.0, 1.0, 1.0, 1.0, 1.0], 3, 1, 5, 2),  # as good is not better
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 3, 2, 6, 2),  # looked at after epochs 2, 4 and 6
        ([3.0, 2.0, 1.0, 9.0, 9.0, 9.0, 8.0, 9.0, 9.0], 2, 5, 9, 5),  # after epoch 5 alone
        ([3.0, 2.0, 1.0, 2.0, 3.0], None, 1, 5, 5),
    ],
)
def test_training_stops_when_validation_does_not_improve_and_keeps_the_best(
    script, patience, every, epochs, kept
):
    fitted, weight = scripted(script, patience, every)
    assert (fitted.epochs, fitted.kept) == (epochs, kept) and weight == kept


@pytest.mark.parametrize(
    ("n", "given", "batch_size", "epochs"),
    [
        (55_000, {}, 128, 40),  # MNIST: 430 steps an epoch
        (1_257, {}, 128, 400),  # digits: 4,000 steps
        (62, {}, 8, 500),  # of 86 pictures: 4,000 steps, not one an epoch
        (1, {}, 1, 4000),
        (62, {"batch_size": 62}, 62, 4000),
        (62, {"epochs": 3}, 8, 3),
        (100, {"steps": 25, "batch_size": 10}, 10, 3),  # the third epoch is half of one
        (100, {"steps": 25, "batch_size": 10, "epochs": 100}, 10, 3),
    ],
)
def test_epochs_and_batches_follow_the_size_of_the_data(n, given, batch_size, epochs):
    settings = AutoencoderSettings(**given)
    told = length(settings, n)
    assert told == {"batch_size": batch_size, "epochs": epochs}
    assert length(settings.model_copy(update=told), n) == told, "once is enough"


def test_of_epochs_and_steps_the_one_that_is_given_says_how_long_a_run_is():
    registry = builtin_registry()
    own = config_of("vae", dataset="ring")
    assert (own["epochs"], own["steps"]) == (100, None), (
        "the dataset has a length of its own, which steps replace"
    )
    assert (
        length(typed(config_of("vae", "steps=7", "batch_size=5", dataset="ring")), 10)["epochs"]
        == 4
    )
    known = known_settings(registry, "vae", "digits")
    steps = {
        "steps": dataclasses.replace(known["steps"], default=500)
    }  # as if a model had a length of its own
    for given, wanted in (
        ({}, {"steps": 500}),
        ({"epochs": 3}, {"epochs": 3, "steps": None}),
        ({"steps": 3}, {"steps": 3}),
    ):
        config = {"epochs": "auto", "steps": 500} | given
        require_one_length(config, known | steps)
        assert config == {"epochs": "auto"} | wanted
    with pytest.raises(UserError, match=r"steps: epochs=3 says how long the run is \(got 4\)"):
        config_of("vae", "epochs=3", "steps=4")


def test_patience_without_validation_is_refused():
    config = small_config("ae", "patience=2", "dataset.val_size=0")
    data = load_data(config["dataset"], CPU)
    with pytest.raises(UserError, match="patience: needs validation data"):
        fit_model(build(config, data), data, Nowhere(), typed(config))


def stepped(model, *overrides, steps=6):
    """A model after some steps, what each step logged, and the data."""
    config = small_config(model, *overrides, "epochs=3", "dataset.limit=100")
    data = load_data(config["dataset"], CPU)
    model = build(config, data)
    model.setup(data.train, seed=0, steps=steps)
    batches = [batch for _ in range(3) for batch in data.train.batches(50)][:steps]
    return model, batches


@pytest.mark.parametrize("is_together", [False, True])
def test_what_one_objective_makes_of_a_batch_is_not_seen_by_the_next(is_together, monkeypatch):
    """Such as pairs by optimal transport, which would then be those of another loss, too."""
    (model, batches), (other, _) = (stepped("gan", "n_discriminator=1") for _ in range(2))
    given = []

    def coupled(self, objective, batch, noise, learning):
        drawn = self.noise_now(objective, len(batch.x))
        given.append(
            torch.equal(batch.x, batches[0].x)
            and all(torch.equal(noise[name], drawn[name]) for name in drawn | noise)
        )
        return Batch(batch.x + 1, batch.y), {name: value + 1 for name, value in noise.items()}

    monkeypatch.setattr(type(model), "coupled", coupled)
    if is_together:
        Ensemble([model, other]).step([batches[0]] * 2)
    else:
        model.step(batches[0])
    assert given == [True] * len(given) and len(given) == 2 * (1 + is_together)


RATES = [
    ("gan n_discriminator=1", "discriminator"),
    ("gan n_discriminator=1", "generator"),
    ("wgan n_critic=1", "critic"),
    ("wgan n_critic=1", "generator"),
    ("aae", "discriminator"),
    ("aae", "encoder"),
]


@pytest.mark.parametrize(("model", "objective"), RATES)
def test_each_player_moves_at_its_own_rate(model, objective):
    def moved(*rates):
        model_, batches = stepped(
            *model.split(), "optimizer=sgd", "schedule=constant", "lr=0.02", *rates
        )
        before = {n: p.detach().clone() for n, p in model_.parameters_of(objective).items()}
        logged = model_.step(batches[0]) | model_.end_epoch()
        return torch.cat(
            [(p.detach() - before[n]).flatten() for n, p in model_.parameters_of(objective).items()]
        ), logged

    (usual, plain), (twice, own), (thrice, _) = (
        moved(),
        moved(f"{objective}_lr=0.04"),
        moved(f"{objective}_lr=0.06"),
    )
    assert (twice - usual).norm() > 0
    torch.testing.assert_close(
        thrice - twice, twice - usual, rtol=1e-3, atol=1e-6
    )  # the rate times one gradient
    assert (
        own[f"{objective}_lr"].item() == pytest.approx(0.04)
        and f"{objective}_lr" not in plain
        and own["lr"] == plain["lr"]
    )


@pytest.mark.parametrize(("model", "overrides"), [("ae", []), ("gan", ["n_discriminator=1"])])
def test_no_gradient_is_longer_than_the_clip(model, overrides):
    free, batches = stepped(model, *overrides)
    clipped, _ = stepped(model, *overrides, "grad_clip=0.01")
    free.step(batches[0])
    logs = clipped.step(batches[0])
    norms = {
        name: [math.hypot(*(float(p.grad.norm()) for p in m.moved[name])) for m in (free, clipped)]
        for name in free.objectives
    }
    assert all(
        before > 0.011 and after == pytest.approx(0.01, rel=1e-3)
        for before, after in norms.values()
    )
    first, (before, _) = next(
        iter(norms.items())
    )  # a second player meets what the first has become
    assert float(logs[f"{first}_gradient_norm"]) == pytest.approx(before, rel=1e-4)
    for a, b in zip(free.moved[first], clipped.moved[first]):
        assert torch.allclose(a.grad * (0.01 / before), b.grad, atol=1e-6), "the direction stays"


def test_annealing_rises_once_or_again_and_again():
    linear = AnnealingSettings(annealing="linear", annealing_epochs=2)
    assert [annealing(clock, 5, linear) for clock in (0, 5, 10, 15)] == [0.0, 0.5, 1.0, 1.0]
    cyclical = AnnealingSettings(annealing="cyclical", annealing_epochs=4)
    assert [annealing(clock, 5, cyclical) for clock in (0, 5, 10, 15, 19, 20, 25)] == [
        0.0,
        0.5,
        1.0,
        1.0,
        1.0,
        0.0,
        0.5,
    ]


def test_annealed_steps_weigh_the_term_less_and_validation_weighs_it_in_full():
    model, batches = stepped("vae", "beta=4", "annealing=linear", "annealing_epochs=1")
    seen = []
    for batch in batches[:4]:
        logs = model.step(batch)
        seen.append(float((logs["loss"] - logs["nll"]) / logs["kl"]))
    assert seen == [pytest.approx(beta, abs=1e-3) for beta in (0.0, 2.0, 4.0, 4.0)]
    assert float(model.end_epoch()["beta"]) == 4.0
    fresh, _ = stepped("vae", "beta=4", "annealing=linear")
    terms = fresh.evaluate(batches[0], torch.Generator().manual_seed(0))
    assert float(terms["loss"]) == pytest.approx(float(terms["nll"] + 4 * terms["kl"]), rel=1e-6)


def test_samples_come_from_the_average_of_the_generators_weights():
    model, batches = stepped("gan", "ema=0.7", "n_discriminator=1")
    mean = [p.clone() for p in model.generator.parameters()]
    for i, batch in enumerate(batches):
        model.step(batch)
        decay = min(0.7, (1 + i + 1) / (10 + i + 1))
        mean = [
            decay * m + (1 - decay) * p.detach() for m, p in zip(mean, model.generator.parameters())
        ]
    for ours, theirs in zip(model.average.parameters(), mean):
        assert torch.allclose(ours, theirs, atol=1e-6)
    z = model.codes(3, torch.Generator().manual_seed(0))
    assert torch.equal(model.sample(3, torch.Generator().manual_seed(0)), model.average(z))
    assert not torch.allclose(model.average(z), model.generator(z))


def fitted(model, dataset, *overrides):
    """A model that learnt for an epoch of three batches, and what its parameters were after each."""
    if dataset == "moons":
        overrides += ("dataset.standardize=true", "dataset.size=200")
    config = small_config(model, *overrides, "epochs=1", dataset=dataset)
    data = load_data(config["dataset"], CPU)
    model, states = build(config, data), []
    model.setup(data.train, seed=0, steps=9)
    model.initialise(data.train, seed=0)
    for batch in data.train.batches(50):
        states.append({name: p.detach().clone() for name, p in model.named_parameters()})
        model.step(batch)
    states.append({name: p.detach().clone() for name, p in model.named_parameters()})
    model.end_epoch()
    return model, states, data


# One objective, three in turn that share an encoder, buffers from the data, parameters from the data.
AVERAGED = [(name, "digits") for name in ("vae", "aae", "dae", "gmm-sgd")] + [("ae", "moons")]


@pytest.mark.parametrize(("name", "dataset"), AVERAGED)
def test_with_ema_the_parameters_are_averages_of_the_weights_that_steps_move(name, dataset):
    plain, states, _ = fitted(name, dataset)
    model, with_averages, data = fitted(name, dataset, "ema=0.8")
    for name in states[0]:  # the steps are those without averages, bit for bit
        within = "inner." if name.startswith("inner.") else ""
        raw = f"{within}raw_weights.{name.removeprefix(within).replace('.', '/')}"
        for ours, theirs in zip(with_averages[1:], states[1:], strict=True):
            assert torch.equal(ours[raw], theirs[name]), name
        mean = states[0][name].double().numpy()
        for i, state in enumerate(states[1:], 1):
            decay = min(0.8, (1 + i) / (10 + i))
            mean = decay * mean + (1 - decay) * state[name].double().numpy()
            assert with_averages[i][name].numpy() == pytest.approx(mean, rel=1e-5, abs=1e-6)
    assert model.size == plain.size, "an average is no second model"
    # What is measured is what a model without averages measures that has these weights.
    kept = model.state_dict()
    plain.load_state_dict({name: kept[name] for name in plain.state_dict()})
    batch = next(iter(data.splits["test"].batches(20)))
    terms, expected = (m.evaluate(batch, torch.Generator().manual_seed(0)) for m in (model, plain))
    assert terms == expected
    assert torch.equal(model.encode(batch.x), plain.encode(batch.x))


def test_the_average_of_a_generator_does_not_count_twice():
    model, plain = (fitted("gan", "digits", f"ema={ema}")[0] for ema in (0.9, 0))
    assert model.size == plain.size == sum(p.numel() for p in plain.parameters())


def test_early_stopping_sees_and_keeps_the_average():
    config = small_config("ae", "ema=0.9", "lr=0.1", "patience=2", "epochs=60", "dataset.limit=40")
    data, nowhere = load_data(config["dataset"], CPU), Nowhere()
    model = build(config, data)
    fitted = fit_model(model, data, nowhere, typed(config))
    curve = [point["validation"]["loss"] for point in nowhere.points]
    assert fitted.kept == 1 + curve.index(min(curve)) < fitted.epochs < 60
    found = means(model, data.splits["validation"], 50, 0)["loss"]
    assert found == pytest.approx(min(curve), rel=1e-6)


@pytest.mark.parametrize(
    "setting",
    ["gan patience=3", "pca patience=3", "wgan annealing=linear", "gmm ema=0.9", "gmm grad_clip=1"],
)
def test_what_a_model_has_no_use_for_is_refused(genbench, setting):
    done = genbench(*f"model={setting}".split())
    assert done.returncode == 2 and "has no setting" in done.stderr


class Clocked(Scripted):
    """Takes a second of the clock for each step and ten for what is done once; asks to stop in one of the steps."""

    def __init__(self, clock, stop_at=0):
        super().__init__([1.0, 1.0])
        self.clock, self.stop_at = clock, stop_at

    def initialise(self, train, *, seed):
        self.clock.now += 10

    def step(self, batch):
        self.clock.now += 1
        self.stop_at -= 1
        if self.stop_at == 0:
            signals.ask(15)
        return {}

    def evaluate(self, batch, rng):
        self.clock.now += 1000
        return super().evaluate(batch, rng)


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now

    def process_time(self):
        return 2 * self.now  # of two threads


class Slow(Nowhere):
    """A run whose pictures, logs and checkpoints take long; goes on from what it saved."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.saved = clock, None

    def restore(self, at, model, stopping):
        self.clock.now += 1000
        if self.saved is not None:
            at.load_training_state(self.saved)
        return self.saved is not None

    def save(self, at, model, stopping, may_skip=False):
        self.clock.now += 1000
        self.saved = copy.deepcopy(at.training_state())

    def log(self, epoch, point, images_per_second):
        self.clock.now += 1000
        self.points.append(images_per_second)

    def draw(self, epoch, model, data):
        self.clock.now += 1000


@pytest.mark.parametrize("stop_at", [0, 1, 3, 6])
def test_the_time_of_a_fit_is_that_of_learning_alone_over_all_sessions(stop_at, monkeypatch):
    monkeypatch.setattr(signals, "_asked", None)
    clock = Clock()
    monkeypatch.setattr(calls, "time", clock)
    part = Split(torch.zeros(12, 1), None)
    data = Data(
        "made", {"train": part, "validation": part, "test": part}, DataSpec((1,), unit=False)
    )
    settings = RunSettings(epochs=2, batch_size=4, draw_every=1)
    slow = Slow(clock)
    if stop_at:
        with pytest.raises(signals.Interrupted):
            fit_model(Clocked(clock, stop_at), data, slow, settings)
        signals._asked = None
    model = Clocked(clock)
    model.weight += len(slow.points)
    watch = fit_model(model, data, slow, settings).watch
    assert (watch.seconds, watch.cpu_seconds) == (10 + 2 * 3, 2 * (10 + 2 * 3))
    assert slow.points == [4, 4]  # points a second

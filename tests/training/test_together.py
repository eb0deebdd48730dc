"""Runs that are trained together: each is as if it were alone, whatever happens to the others."""

import json
import math
import signal
import warnings
from contextlib import contextmanager

import pytest
import torch
from helpers.configs import MODELS, config_with_all_state, small_config
from helpers.runs import differences, newest, outcome

from genbench.data.loading import LoadedOnce, load_data
from genbench.data.types import Split
from genbench.experiment import build, run, run_work
from genbench.model import Model
from genbench.models.ae import Autoencoder
from genbench.models.dae import DAE
from genbench.models.sparse_ae import SparseAE
from genbench.training.calls import alone
from genbench.training.ensemble import Ensemble
from genbench.training.gradient import GradientModel
from genbench.training.loop import NullRecorder, fit_work
from genbench.training.together import structure_of, together
from genbench.utils import signals
from genbench.utils.errors import UserError

CPU = torch.device("cpu")


def configs(*overrides, model="vae"):
    """Three that differ in the seed, the learning rate and, if the model has one, its weight."""
    varied = ["seed=0", "seed=1", "seed=1 lr=0.002"]
    return [small_config(model, *words.split(), *overrides) for words in varied]


def works(some, folder, **more):
    return [run_work(one, folder / str(i), **more) for i, one in enumerate(some)]


def errors(members):
    return [member.error for member in members]


@pytest.fixture
def joined(monkeypatch):
    """How many members each step had that was made for several."""
    sizes = []
    step = Ensemble.step
    monkeypatch.setattr(
        Ensemble, "step", lambda self, batches: sizes.append(len(batches)) or step(self, batches)
    )
    return sizes


@contextmanager
def stopped_at(count):
    """All are asked to stop when the runs have learnt from so many batches."""
    seen = []
    batches = Split.batches

    def counted(self, size, **more):
        for batch in batches(self, size, **more):
            if more.get("order") is not None:
                seen.append(batch)
                if len(seen) == count:
                    signals.ask(signal.SIGTERM)
            yield batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Split, "batches", counted)
        yield
    signals.forget()


def test_a_run_that_fails_harms_no_other(tmp_path, joined):
    some = configs()
    some[1] = small_config("vae", "seed=1", "lr=1e30")  # its loss is not finite after a step
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        members = together(works(some, tmp_path))
    assert {*joined} == {3, 2}  # with all of them, then without the one that failed
    assert [error is not None for error in errors(members)] == [False, True, False]
    assert isinstance(members[1].error, UserError) and "not finite" in str(members[1].error)
    assert json.loads((tmp_path / "1" / "status.json").read_text())["state"] == "failed"
    for i in (0, 2):
        run(some[i], tmp_path / f"alone {i}")
        one, other = (
            json.loads((tmp_path / f / "metrics.json").read_text()) for f in (f"{i}", f"alone {i}")
        )
        assert one["test"] == pytest.approx(other["test"], rel=1e-4)
    assert str(members[1].error) in (tmp_path / "1" / "run.log").read_text()
    assert "not finite" not in (tmp_path / "0" / "run.log").read_text()


@pytest.mark.parametrize("count", [4, 9, 17])
def test_runs_that_were_stopped_together_go_on_to_the_same_bits(count, tmp_path):
    some = configs("patience=3", "annealing=linear", "annealing_epochs=2")
    assert errors(together(works(some, tmp_path / "whole"))) == [None] * 3
    with stopped_at(count):
        members = together(works(some, tmp_path / "parts"))
    assert all(isinstance(error, signals.Interrupted) for error in errors(members))
    assert errors(together(works(some, tmp_path / "parts"))) == [None] * 3
    for i in range(3):
        one, other = (outcome(tmp_path / name / str(i)) for name in ("whole", "parts"))
        assert differences(one, other) == []


def test_runs_that_stand_at_different_places_come_to_the_same_one(tmp_path, joined):
    some = configs("epochs=6")
    with stopped_at(7), pytest.raises(signals.Interrupted):
        run(some[0], tmp_path / "0")  # which is then two epochs ahead of the others
    assert errors(together(works(some, tmp_path))) == [None] * 3
    assert joined[0] == 2 and 3 in joined
    run(some[0], tmp_path / "alone")
    one, other = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("0", "alone")
    )
    assert one["test"] == pytest.approx(other["test"], rel=1e-4)


def test_a_request_to_stop_ends_the_works_that_have_begun_and_begins_no_other(tmp_path):
    signals.ask(signal.SIGTERM)
    members = together(works(configs(), tmp_path))
    signals.forget()
    assert len(members) == 1 and isinstance(members[0].error, signals.Interrupted)


def test_a_checkpoint_has_the_tensors_of_its_own_run_only(tmp_path):
    some = configs("epochs=2")
    together(works(some, tmp_path))
    run(some[0], tmp_path / "alone")
    sizes = [newest(tmp_path / name).stat().st_size for name in ("0", "alone")]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


def test_runs_share_data_and_time_and_say_how_many_they_were(tmp_path, monkeypatch):
    loads = []
    monkeypatch.setattr(
        "genbench.data.loading.load_data", lambda *which: loads.append(which) or load_data(*which)
    )
    members = together(works(configs(), tmp_path, load=LoadedOnce()))
    assert len(loads) == 1
    found = [json.loads((tmp_path / str(i) / "metrics.json").read_text()) for i in range(3)]
    assert [one["machine"]["together"] for one in found] == ["3"] * 3
    seconds = [one["time"]["fit_seconds"] for one in found]
    whole = max(one["time"]["seconds"] for one in found)
    assert min(seconds) > 0 and sum(seconds) < whole and errors(members) == [None] * 3


@pytest.mark.parametrize("model", MODELS)
def test_weights_and_rates_may_differ_but_not_which_terms_there_are(model):
    """That a weight is zero may be a branch of the loss."""
    config = small_config(model)
    data = load_data(config["dataset"], CPU)
    one = build(config, data)
    if not isinstance(one, GradientModel) or type(one).step is not GradientModel.step:
        assert structure_of(one) is None
        return
    base = structure_of(one)
    for name in (*type(one).loss_weights, "lr", "seed"):
        more = config[name] * 2 if name != "seed" else 1
        assert structure_of(build(config | {name: more}, data)) == base
    for name in type(one).loss_weights:
        if config[name]:
            assert structure_of(build(config | {name: 0.0}, data)) != base
    assert structure_of(build(config | {"weight_decay": 0.5}, data)) != base


def test_a_loss_that_cannot_be_batched_is_trained_one_by_one(tmp_path, monkeypatch, joined):
    """Such as one of a user's own that looks at values."""
    reconstruction = Autoencoder.loss

    def loss(self, batch, *more):
        assert math.isfinite(float(batch.x.sum()))
        return reconstruction(self, batch, *more)

    monkeypatch.setattr(Autoencoder, "loss", loss)
    some = configs(model="ae")
    with pytest.warns(UserWarning, match="3 runs are trained one by one: .*vmap"):
        data = load_data(some[0]["dataset"], CPU)
        models = [build(one, data) for one in some]
        members = together(fit_work(m, data, NullRecorder(), m.settings) for m in models)
    assert errors(members) == [None] * 3 and joined == []
    assert [model.together for model in models] == [1] * 3
    again = build(some[2], data)
    alone(fit_work(again, data, NullRecorder(), again.settings))
    assert all(map(torch.equal, again.state_dict().values(), models[2].state_dict().values()))


def test_memory_that_does_not_suffice_for_all_is_said_with_the_way_out(tmp_path, monkeypatch):
    def step(self, batches):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(Ensemble, "step", step)
    members = together(works(configs(), tmp_path))
    assert {str(error) for error in errors(members)} == {
        "together: the memory does not suffice for so many runs at once (got 3); fix: together=false"
    }


def test_models_that_standardize_their_data_are_trained_together(tmp_path, joined):
    some = [
        small_config(
            "ae", "dataset.standardize=true", "dataset.size=200", f"seed={i}", dataset="moons"
        )
        for i in range(3)
    ]
    assert errors(together(works(some, tmp_path))) == [None] * 3 and {*joined} == {3}
    run(some[1], tmp_path / "alone")
    one, other = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("1", "alone")
    )
    assert one["test"] == pytest.approx(other["test"], rel=1e-4)


@pytest.mark.parametrize("model", ["vae", "wgan"])
def test_runs_on_the_plane_with_all_state_equal_runs_alone(model):
    """A learned sigma is a parameter without a dimension."""
    some = [
        config_with_all_state(
            model, "dataset.size=200", "adam_eps=0.001", f"seed={i}", dataset="moons"
        )
        for i in range(3)
    ]
    data = load_data(some[0]["dataset"], CPU)
    single, joint = ([build(one, data) for one in some] for _ in range(2))
    for one in single:
        alone(fit_work(one, data, NullRecorder(), one.settings))
    ended = together(fit_work(one, data, NullRecorder(), one.settings) for one in joint)
    assert errors(ended) == [None] * 3 and [one.together for one in joint] == [3] * 3
    for one, other in zip(single, joint, strict=True):
        for name, value in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-4, atol=1e-4)


def reads_settings(self, batch, noise, weights):
    z = self.encode(batch.x)
    return self.reconstruction(batch.x, z) + self.settings.lambda_ * z.square().mean(), {}


def depends_on_the_seed(self, batch, noise, weights):
    shift = torch.tensor(float(self.settings.seed))
    return self.reconstruction(batch.x, self.encode(batch.x + shift)), {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"loss": depends_on_the_seed}, "the loss of .* is not pure"),
        ({"after_step": lambda self, objective: setattr(self, "spread", self.spread + 1)}, "anew"),
    ],
)
def test_what_cannot_be_batched_is_found_before_a_step_is_taken(changes, says, monkeypatch, joined):
    for name, method in changes.items():
        monkeypatch.setattr(DAE, name, method)
    some = configs(model="dae")
    data = load_data(some[0]["dataset"], CPU)
    single, joint = ([build(one, data) for one in some] for _ in range(2))
    for one in single:
        alone(fit_work(one, data, NullRecorder(), one.settings))
    with pytest.warns(UserWarning, match=says):
        ended = together(fit_work(one, data, NullRecorder(), one.settings) for one in joint)
    assert errors(ended) == [None] * 3 and joined == []
    for one, other in zip(single, joint, strict=True):
        assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_a_weight_that_a_loss_reads_from_the_settings_is_no_weight_that_may_differ(monkeypatch):
    monkeypatch.setattr(SparseAE, "loss", reads_settings)
    monkeypatch.setattr(SparseAE, "loss_weights", ())
    some = [small_config("sparse-ae", f"lambda={value}") for value in (0.5, 50.0)]
    data = load_data(some[0]["dataset"], CPU)
    one, other = (build(config, data) for config in some)
    assert structure_of(one) != structure_of(other)


def test_a_step_that_fails_alone_fails_one_run(monkeypatch):
    """Where runs cannot be batched, one of them after the other makes its call."""
    reconstruction = Autoencoder.loss

    def loss(self, batch, *more):
        assert math.isfinite(float(batch.x.sum()))  # cannot be batched
        if self.settings.seed == 0 and self.clock == 3:
            raise UserError("seed", "is unlucky", 0)
        return reconstruction(self, batch, *more)

    monkeypatch.setattr(Autoencoder, "loss", loss)
    some = configs(model="ae")
    data = load_data(some[0]["dataset"], CPU)
    models = [build(one, data) for one in some]
    with pytest.warns(UserWarning, match="one by one"):
        ended = together(fit_work(m, data, NullRecorder(), m.settings) for m in models)
    assert [str(error) for error in errors(ended)] == ["seed: is unlucky (got 0)", "None", "None"]


def test_a_call_that_cannot_be_looked_at_fails_in_its_own_run(tmp_path, monkeypatch):
    def within(self, batch):
        if self.settings.seed == 0:
            raise RuntimeError("cannot be looked at")
        return self, batch

    monkeypatch.setattr(Model, "within", within)
    members = together(works(configs(), tmp_path))
    assert [error is None for error in errors(members)] == [False, True, True]
    assert json.loads((tmp_path / "0" / "status.json").read_text())["state"] == "failed"
    assert "cannot be looked at" in (tmp_path / "0" / "run.log").read_text()

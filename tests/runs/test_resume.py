"""A run that is stopped, killed or damaged at any moment goes on, and ends as if nothing had happened."""

import json
import math
import signal

import pytest
import torch
from helpers.configs import MODELS, config_with_all_state, small_config
from helpers.runs import Crashes, differences, newest, outcome, stopped_in

from genbench import experiment
from genbench.experiment import load_run, run
from genbench.figures.renderer import FigureRenderer
from genbench.models.ae import Autoencoder
from genbench.runs import checkpointing, checkpoints
from genbench.runs.recorder import Run
from genbench.stats import transport
from genbench.training import loop, objective
from genbench.utils import signals
from genbench.utils.errors import UserError


@pytest.fixture(autouse=True)
def unasked(monkeypatch):
    """No signal has come when a test begins or ends."""
    monkeypatch.setattr(signals, "_asked", None)


def test_a_run_stopped_at_any_step_ends_byte_identical(model_name, tmp_path):
    config = config_with_all_state(model_name)
    run(config, tmp_path / "whole")
    whole = outcome(tmp_path / "whole")
    steps = 3 * len(whole["curve"])  # fewer than the epochs where the model converges before
    for step in sorted(
        {1, 3, steps // 2 + 1, steps}
    ):  # the first, the last of an epoch, amid one, and the last of all
        folder = tmp_path / str(step)
        assert stopped_in(None, "step", step, config, folder) == step
        run(config, folder)
        assert not differences(whole, outcome(folder)), f"stopped in step {step}"
        assert json.loads((folder / "status.json").read_text())["state"] == "done"


def test_a_run_stopped_amid_its_last_epoch_ends_with_the_same_pictures(
    model_name, tmp_path, coarse
):
    config = config_with_all_state(
        model_name, "dataset.limit=60", "batch_size=20", "draw_every=9", "epochs=2"
    )
    run(config, tmp_path / "whole")
    whole = outcome(tmp_path / "whole")
    last = 3 * len(whole["curve"]) - 1
    assert stopped_in(None, "step", last, config, tmp_path / "parts") == last and last % 3 == 2
    run(config, tmp_path / "parts")
    assert whole["pictures"] and not differences(whole, outcome(tmp_path / "parts"))


STOPS = {  # the method whose n-th call brings a signal, n, and the checkpoint that is then written
    "loading the data": (experiment, "load_data", 1, None),  # there is nothing to keep yet
    "measuring the validation data": (loop, "means_work", 2, "000001-000003"),
    "drawing": (FigureRenderer, "watched", 2, "000003-000003"),
    "writing a checkpoint": (Run, "save", 2, "000002-000000"),
    "fitting a sampler": (Autoencoder, "fit_posthoc", 1, "000004-000000"),
    "measuring the end": (objective, "means_work", 2, "000004-000000"),
    "measuring the card": (transport, "frechet_distance", 1, "000004-000000"),
    "drawing the end": (FigureRenderer, "finished", 1, "000004-000000"),
}


@pytest.mark.parametrize("moment", STOPS)
def test_every_loop_looks_whether_to_stop(moment, tmp_path, unrendered, carded):
    config = config_with_all_state("ae", "sampler=gmm") | {
        "evaluation": "quick" if "card" in moment else "none"
    }
    run(config, tmp_path / "whole")
    where, method, number, reached = STOPS[moment]
    stopped_in(where, method, number, config, tmp_path / "parts", signal.SIGINT)
    kept = [file.name for file in (tmp_path / "parts").glob("checkpoint-*.pt")]
    if reached is None:
        assert not kept
    else:
        assert max(kept).startswith(f"checkpoint-{reached}"), "it did not look in time"
    run(config, tmp_path / "parts")
    assert not differences(outcome(tmp_path / "whole"), outcome(tmp_path / "parts"))


def test_every_loop_over_pictures_looks_between_two(tmp_path, monkeypatch):
    monkeypatch.setattr(signals, "_asked", None)

    def pictures():
        yield "one", torch.zeros(3, 4, 4, dtype=torch.uint8)
        signals.ask(signal.SIGTERM)
        yield "two", torch.zeros(3, 4, 4, dtype=torch.uint8)

    with pytest.raises(signals.Interrupted), Run(tmp_path, config_with_all_state("ae")) as record:
        record.pictures.write(1, pictures(), in_events=False)
    assert (tmp_path / "one.png").exists() and not (tmp_path / "two.png").exists()


@pytest.mark.parametrize(
    "model", ["gmm", *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS)]
)
def test_a_run_killed_within_any_write_ends_byte_identical(model, tmp_path, sketched):
    config = config_with_all_state(model, "epochs=3")
    with Crashes(tmp_path / "run", tmp_path / "killed") as crashes:
        run(config, tmp_path / "run")
    whole = outcome(tmp_path / "run")
    assert len(crashes.made) > 30
    for copy in crashes.made:
        run(config, copy)
        assert not differences(whole, outcome(copy)), copy.name
        assert not list(copy.glob(".*.tmp")), "temporaries are swept"
        assert json.loads((copy / "status.json").read_text())["state"] == "done"


def damage(path, how):
    """Truncate a file, fill it with zeros, or flip one of its bits."""
    content = bytearray(path.read_bytes())
    if how == "truncated":
        content = content[: len(content) // 2]
    elif how == "zeros":
        content = bytes(len(content))
    else:
        content[how // 8] ^= 1 << (how % 8)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run that was stopped with two checkpoints, as files; and how it ends if it is left alone."""
    folder = tmp_path_factory.mktemp("interrupted")
    config = small_config("vae")
    with pytest.MonkeyPatch.context() as patch:
        for some in ("watched", "finished"):
            patch.setattr(FigureRenderer, some, lambda self, model, epoch: iter(()))
        stopped_in(None, "step", 8, config, folder / "parts")
        run(config, folder / "whole")
    return (
        config,
        {p.name: p.read_bytes() for p in (folder / "parts").iterdir() if p.is_file()},
        outcome(folder / "whole"),
    )


@pytest.mark.parametrize("how", ["truncated", "zeros", 0, 12345, -1])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(
    how, interrupted, tmp_path, capsys
):
    config, files, whole = interrupted
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    bad = newest(tmp_path)
    damage(bad, 8 * bad.stat().st_size - 1 if how == -1 else how)
    damaged = bad.read_bytes()
    run(config, tmp_path)
    assert f"{bad.name} is damaged" in capsys.readouterr().out
    assert bad.with_name(f"{bad.name}.damaged").read_bytes() == damaged
    assert not differences(whole, outcome(tmp_path))


def test_a_finished_run_whose_weights_are_damaged_is_not_done_and_not_taken_for_another_epochs(
    tmp_path,
):
    config = small_config("ae", "epochs=3")
    run(config, tmp_path)
    whole = outcome(tmp_path)
    damage(newest(tmp_path), "zeros")
    with pytest.raises(
        UserError,
        match=r"holds no finished run: checkpoint-000003-.* is damaged; fix: bring it back",
    ):
        load_run(
            config, tmp_path, "cpu"
        )  # the checkpoint before is intact, and of other weights than those measured
    assert run(config, tmp_path) is not None and not differences(whole, outcome(tmp_path))
    assert torch.equal(
        next(load_run(config, tmp_path, "cpu").model.parameters()),
        next(iter(whole["model"].values())),
    )


def test_when_all_checkpoints_are_damaged_nothing_starts_over(interrupted, tmp_path):
    config, files, _ = interrupted
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for path in tmp_path.glob("checkpoint-*.pt"):
        damage(path, 100)
    before = {p.name: p.read_bytes() for p in tmp_path.glob("checkpoint-*")}
    for _ in range(2):
        with pytest.raises(UserError, match="every checkpoint is damaged") as refused:
            run(config, tmp_path)
        assert refused.value.code == 2
    assert {p.name: p.read_bytes() for p in tmp_path.glob("checkpoint-*")} == before


class Bomb:
    """A pickle that runs code."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return exec, (f"open({str(self.file)!r}, 'w')",)


def test_a_pickle_that_would_run_code_does_not_even_with_the_right_digest(
    interrupted, tmp_path, capsys
):
    config, files, _ = interrupted
    for name, content in files.items():
        if not name.startswith("checkpoint"):
            (tmp_path / name).write_bytes(content)
    checkpoints._write(tmp_path, "checkpoint-000001-000000", {"model": Bomb(tmp_path / "exploded")})
    with pytest.raises(UserError, match="every checkpoint is damaged") as refused:
        run(config, tmp_path)
    assert (
        not (tmp_path / "exploded").exists()
        and "weights_only" not in str(refused.value) + capsys.readouterr().out
    )


def test_another_runs_checkpoint_is_refused(interrupted, tmp_path):
    config, files, _ = interrupted
    other = tmp_path / "other"
    run(config | {"beta": 7.5, "epochs": 1}, other)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / newest(other).name).write_bytes(newest(other).read_bytes())
    with pytest.raises(UserError, match=r"beta: .*beta=7.5 \(got beta=1.0\)") as refused:
        run(config, folder)
    assert refused.value.code == 2


@pytest.mark.parametrize("name", ["checkpoint-000002-" + 64 * "a" + ".pt", None])
def test_a_checkpoint_of_another_version_is_refused(name, interrupted, tmp_path):
    config, files, _ = interrupted
    for other, content in files.items():
        if not other.startswith("checkpoint"):
            (tmp_path / other).write_bytes(content)
    if name is None:
        checkpoints._write(tmp_path, "checkpoint-000001-000000", {"format": 1, "epoch": 1})
    else:
        (tmp_path / name).write_bytes(b"as it was then")
    with pytest.raises(UserError, match="of another version of genbench") as refused:
        run(config, tmp_path)
    assert refused.value.code == 2


def test_other_data_are_refused(interrupted, tmp_path, monkeypatch):
    config, files, _ = interrupted
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    load_data = experiment.load_data

    def changed(settings, device):
        data = load_data(settings, device)
        return data._replace(digest="other")

    monkeypatch.setattr(experiment, "load_data", changed)
    with pytest.raises(UserError, match="dataset=digits: these are not the data"):
        run(config, tmp_path)


def test_the_digest_of_data_tells_any_change_of_them(monkeypatch):
    from genbench.data import loading, published
    from genbench.data.loading import load_data

    settings = small_config("pca", "dataset.limit=null")["dataset"]
    found = [load_data(settings, torch.device("cpu")).digest for _ in range(2)]
    digits = published.digits

    def changed(kind):
        def loader(s):
            source = digits(s)
            x, y = source.x.clone(), source.y.clone()
            if kind == "pixel":
                x[-1, 0, 3, 3] += 1
            else:
                y[5] = (y[5] + 1) % 10
            return source._replace(x=x, y=y)

        return loader

    for kind in ("pixel", "label"):
        monkeypatch.setattr(loading, "locate", lambda path, key, kind=kind: changed(kind))
        found.append(load_data(settings, torch.device("cpu")).digest)
    assert found[0] == found[1] and len(set(found)) == 3


def test_more_epochs_go_on_as_if_they_had_been_asked_for_at_once(tmp_path):
    every = ["schedule=constant", "validate_every=3", "draw_every=3"]
    run(small_config("ae", "epochs=4", *every), tmp_path / "parts")
    run(small_config("ae", "epochs=7", *every), tmp_path / "parts")
    run(small_config("ae", "epochs=7", *every), tmp_path / "whole")
    assert not differences(outcome(tmp_path / "whole"), outcome(tmp_path / "parts"))
    with pytest.raises(UserError, match="the cosine schedule was laid out for 4 epochs") as refused:
        run(small_config("ae", "schedule=cosine", "epochs=4"), tmp_path / "cosine")
        run(small_config("ae", "schedule=cosine", "epochs=7"), tmp_path / "cosine")
    with pytest.raises(UserError, match=r"the instance noise was laid out for 1 epoch\b"):
        for epochs in (1, 2):
            run(
                small_config("gan", "schedule=constant", "instance_noise=0.1", f"epochs={epochs}"),
                tmp_path / "noise",
            )
    assert refused.value.code == 2


@pytest.mark.parametrize("model", ["ae", "wgan"])
def test_a_run_of_so_many_steps_is_one_of_as_many_epochs_and_may_end_within_one(model, tmp_path):
    def ran(name, *overrides):
        run(config_with_all_state(model, "schedule=constant", *overrides), tmp_path / name)
        return outcome(tmp_path / name)

    by_epochs, by_steps = ran("epochs", "epochs=4"), ran("steps", "epochs=auto", "steps=12")
    assert (by_epochs["final"].pop("auto"), by_steps["final"].pop("auto")) == ({}, {"epochs": 4})
    assert not differences(by_epochs, by_steps)
    partial = ran("partial", "epochs=auto", "steps=11")
    assert partial["final"]["cost"]["steps"] == 11 and len(partial["curve"]) == 4
    assert (
        partial["progress"]["clock"] == 11
        and partial["curve"][2] == by_epochs["curve"][2] != partial["curve"][3]
    )
    for step in (9, 10, 11):
        config = config_with_all_state(model, "schedule=constant", "epochs=auto", "steps=11")
        stopped_in(None, "step", step, config, tmp_path / str(step))
        assert not differences(partial, ran(str(step), "epochs=auto", "steps=11")), (
            f"stopped in step {step}"
        )


def test_a_run_can_be_made_longer_in_steps_unless_it_ended_within_an_epoch(tmp_path):
    def ran(name, *overrides):
        run(small_config("ae", "schedule=constant", *overrides), tmp_path / name)

    ran("parts", "epochs=auto", "steps=6")
    ran("parts", "epochs=auto", "steps=11")
    ran("whole", "epochs=auto", "steps=11")
    assert not differences(outcome(tmp_path / "whole"), outcome(tmp_path / "parts"))
    for length in (["epochs=5"], ["epochs=auto", "steps=13"]):
        with pytest.raises(UserError, match="ends within an epoch, after 11 steps of 3 each"):
            ran("parts", *length)
    quick = ["batch_size=auto", "dataset.limit=60", "patience=1", "lr=0.5", "sampler=prior"]
    ran("auto", "epochs=auto", *quick)
    length = json.loads((tmp_path / "auto" / "status.json").read_text())["length"]
    assert length == {"epochs": 500, "steps": 4000, "steps_per_epoch": 8}
    assert json.loads((tmp_path / "auto" / "metrics.json").read_text())["auto"] == {
        "epochs": 500,
        "batch_size": 8,
    }
    with pytest.raises(UserError, match="holds a run with epochs=500"):
        ran("auto", "epochs=499", *quick)


def test_a_checkpoint_from_a_gpu_goes_on_without_one(interrupted, tmp_path, monkeypatch):
    config, files, whole = interrupted
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    content = torch.load(newest(tmp_path), weights_only=True)
    for path in tmp_path.glob("checkpoint-*.pt"):
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        checkpoints._write(tmp_path, "checkpoint-000002-000002", content)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(newest(tmp_path), weights_only=True)
    run(config, tmp_path)
    assert not differences(whole, outcome(tmp_path))


def test_a_resumed_run_says_if_its_bits_may_differ(interrupted, tmp_path, capsys, monkeypatch):
    config, files, _ = interrupted
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 63)
    run(config, tmp_path)
    assert "63 now" in capsys.readouterr().out


def test_no_checkpoint_holds_a_weight_that_is_not_finite(tmp_path, monkeypatch):
    steps, learn = [], Autoencoder.step

    def spoilt(self, batch):
        steps.append(learn(self, batch))
        if len(steps) == 8:
            with torch.no_grad():
                next(self.parameters()).view(-1)[0] = math.nan
        return steps[-1]

    monkeypatch.setattr(Autoencoder, "step", spoilt)
    with pytest.raises(UserError, match="step 9: the loss is not finite") as refused:
        run(small_config("ae"), tmp_path)
    assert refused.value.code == 1 and len(list(tmp_path.glob("checkpoint-*.pt"))) == 2
    for path in tmp_path.glob("checkpoint-*.pt"):
        assert all(
            v.isfinite().all() for v in torch.load(path, weights_only=True)["model"].values()
        )
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_run_stopped_beside_a_weight_that_is_not_finite_does_not_save_it(tmp_path, monkeypatch):
    steps, learn = [], Autoencoder.step

    def spoilt(self, batch):
        steps.append(learn(self, batch))
        with torch.no_grad():
            next(self.parameters()).view(-1)[0] = math.nan
        signals.ask(signal.SIGTERM)
        return steps[-1]

    monkeypatch.setattr(Autoencoder, "step", spoilt)
    with pytest.raises(UserError, match="is not finite"):
        run(small_config("ae"), tmp_path)
    assert not list(tmp_path.glob("checkpoint-*.pt"))


def test_a_run_of_many_short_epochs_does_not_spend_its_time_on_checkpoints(tmp_path, monkeypatch):
    config = small_config("ae", "epochs=6")
    run(config, tmp_path / "all")
    saved, written = [], checkpointing.write_checkpoint

    def write(folder, epoch, batches, content):
        saved.append(epoch)
        return written(folder, epoch, batches, content)

    monkeypatch.setattr(checkpointing, "write_checkpoint", write)
    monkeypatch.setattr(checkpointing, "SAVING_PAUSE", math.inf)
    monkeypatch.setattr(checkpointing, "ALWAYS_SAVED", 2 * newest(tmp_path / "all").stat().st_size)
    run(config, tmp_path / "few")
    assert saved == [1, 2, 3, 6], "those that a session always has, and the last"
    assert not differences(outcome(tmp_path / "all"), outcome(tmp_path / "few"))

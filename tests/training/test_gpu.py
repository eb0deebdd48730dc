"""What holds on a GPU only. Skipped where there is none."""

import warnings
from contextlib import contextmanager

import pytest
import torch
from helpers.configs import MODELS, built, small_config

from genbench.data.loading import load_data
from genbench.training.calls import alone
from genbench.training.gradient import GradientModel
from genbench.training.loop import NullRecorder, fit_work
from genbench.training.meter import Meter
from genbench.training.together import together

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
GPU = torch.device("cuda")


@contextmanager
def waiting_is_an_error():
    """For the host, within the block."""
    warnings.simplefilter("ignore")  # torch warns that its debug mode is a prototype
    try:
        torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def made(model, *overrides):
    """A model on the GPU, with its data."""
    config = small_config(model, "device=cuda", *overrides)
    data = load_data(config["dataset"], GPU)
    return built(config, data), data


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("model", MODELS)
def test_steps_do_not_wait_for_the_gpu(model, network):
    fresh, data = made(model, "batch_size=20")
    if network == "conv" and not hasattr(fresh.settings, "network"):
        pytest.skip("has no network")
    fresh, data = made(model, "batch_size=20", *["network=conv"] * (network == "conv"))
    if not isinstance(fresh, GradientModel):
        pytest.skip("fits without gradients")
    fresh.setup(data.train, seed=0, steps=100)
    fresh.initialise(data.train, seed=0)
    meter, batches = Meter(), data.train.batches(20, order=1)
    for _, batch in zip(range(2), batches, strict=False):  # what is done once may wait
        meter.add(fresh.step(batch), len(batch.x))
    with warnings.catch_warnings(), waiting_is_an_error():
        for batch in batches:
            meter.add(fresh.step(batch), len(batch.x))
    assert meter.means()


@pytest.mark.parametrize("model", MODELS)
def test_runs_that_train_together_equal_runs_alone_on_a_gpu(model):
    words = [["adam_eps=1e-3", f"seed={i}", f"lr={0.001 * (1 + i % 2)}"] for i in range(3)]
    if not isinstance(made(model)[0], GradientModel):
        pytest.skip("fits without gradients")
    single, joint = ([made(model, *some) for some in words] for _ in range(2))
    for one, data in single:
        alone(fit_work(one, data, NullRecorder(), one.settings))
    ended = together(fit_work(one, data, NullRecorder(), one.settings) for one, data in joint)
    assert [run.error for run in ended] == [None] * 3
    for (one, _), (other, _) in zip(single, joint, strict=True):
        for name, value in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vae", "gan", "wgan"])
def test_cuda_graphs_give_the_same_weights(model):
    plain, compiled = (
        made(model, "adam_eps=1e-3", f"compile={value}") for value in ("false", "true")
    )
    for one, data in (plain, compiled):
        alone(fit_work(one, data, NullRecorder(), one.settings))
    for name, value in plain[0].state_dict().items():
        torch.testing.assert_close(compiled[0].state_dict()[name], value, rtol=1e-3, atol=1e-3)

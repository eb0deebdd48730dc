"""The precision of training steps, and compiling them."""

import pytest
import torch
from helpers.configs import small_config

from genbench.data.loading import load_data
from genbench.experiment import build
from genbench.training import arithmetic, gradient
from genbench.training.loop import NullRecorder, fit_model
from genbench.utils.errors import UserError

CPU = torch.device("cpu")


def trained(*overrides, model="vae"):
    config = small_config(model, "epochs=2", *overrides)
    data = load_data(config["dataset"], CPU)
    fitted = build(config, data)
    fit_model(fitted, data, NullRecorder(), fitted.settings)
    return fitted


def gap(one, other):
    return max(
        float((a - b).abs().max())
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_bf16_trains_weights_of_single_precision_about_as_well():
    exact, rounded = trained(), trained("precision=bf16")
    assert {p.dtype for p in rounded.parameters()} == {torch.float32}
    assert 1e-6 < gap(exact, rounded) < 0.02  # the weights move by up to 6 steps of 1e-3


def test_tf32_changes_nothing_on_a_cpu():
    assert gap(trained(), trained("precision=tf32")) == 0


class Watched(torch.autograd.Function):
    """Notes the precision in which it is computed, and in which its gradient is."""

    seen: list = []

    @staticmethod
    def forward(ctx, x):
        Watched.note()
        return x.clone()

    @staticmethod
    def backward(ctx, upstream):
        Watched.note()
        return upstream

    @staticmethod
    def note():
        products = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        Watched.seen.append((*products, torch.is_autocast_enabled("cpu")))


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_the_precision_holds_for_the_loss_and_its_gradient_and_is_put_back(precision, monkeypatch):
    """On a GPU, float32 also stops torch from rounding in convolutions, as it does by default."""
    rounding, cuda = arithmetic.rounding, torch.device("cuda")
    monkeypatch.setattr(gradient, "rounding", lambda settings, device: rounding(settings, cuda))
    config, data = _made(f"precision={precision}")
    model = build(config, data)
    loss = type(model).loss

    def watched(self, *arguments):
        value, terms = loss(self, *arguments)
        return Watched.apply(value), terms

    monkeypatch.setattr(type(model), "loss", watched)
    Watched.seen = []
    Watched.note()
    model.setup(data.train, seed=0, steps=1)
    model.step(next(data.train.batches(10)))
    Watched.note()
    before, forward, backward, after = Watched.seen
    expected = {"float32": ("highest", False), "tf32": ("high", True), "bf16": before[:2]}
    assert forward[:2] == backward[:2] == expected[precision] and before == after
    assert (forward[2], backward[2]) == (precision == "bf16", False)


def _made(*overrides):
    config = small_config("vae", *overrides)
    return config, load_data(config["dataset"], CPU)


def test_a_model_that_torch_cannot_compile_here_is_refused_with_the_way_out(monkeypatch):
    def compiled(function, **options):
        def fail(*arguments):
            raise RuntimeError("Failed to find C compiler\nmore lines")

        return fail

    monkeypatch.setattr(torch, "compile", compiled)
    with pytest.raises(UserError) as refused:
        trained("compile=true")
    assert str(refused.value) == (
        "compile: torch cannot compile the steps of this model here (RuntimeError: Failed to find "
        "C compiler) (got True); fix: compile=false"
    )


@pytest.mark.parametrize("words", [["annealing=linear"], ["grad_clip=1.0", "precision=bf16"]])
def test_compiled_steps_get_weights_as_tensors_and_keep_no_result_that_is_written_to(
    words, monkeypatch
):
    """What torch makes of a function is stood in for by what CUDA graphs do with its results."""
    held = {}

    def compiled(function, **options):
        def call(name, batch, noise, weights):
            assert all(isinstance(weight, torch.Tensor) for weight in weights.values())
            loss, terms = function(name, batch, noise, weights)
            for term, value in terms.items():
                static = held.setdefault(term, torch.zeros(()))
                static.copy_(value.detach())  # the same memory at every call
                terms[term] = static
            return loss, terms

        return call

    plain = trained(*words)
    monkeypatch.setattr(torch, "compile", compiled)
    assert gap(plain, trained("compile=true", *words)) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vae", "gan", "wgan"])
def test_compiled_steps_are_the_same_up_to_rounding(model):
    words = ["adam_eps=1e-3"] if model != "vae" else []
    assert gap(trained(*words, model=model), trained("compile=true", *words, model=model)) < 1e-4

"""What must hold for whatever comes: damaged bytes, any seed, any name, any array. Hypothesis looks for counterexamples."""

import hashlib
import math
import os
import random
import re
import string
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers.configs import MODELS, Nowhere, config_of, own_class
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from genbench.config.compose import configured
from genbench.config.declarations import typed
from genbench.config.registry import builtin_registry
from genbench.config.resolvers import run_name, unique_name
from genbench.config.validation import known_settings
from genbench.data.splits import order_seed
from genbench.data.types import Data, DataSpec, Split
from genbench.experiment import build
from genbench.model import supports
from genbench.runs import checkpoints
from genbench.training.gradient import GradientModel
from genbench.training.loop import fit_model
from genbench.utils.errors import UserError
from genbench.utils.imports import locate

settings.register_profile("quick", deadline=None, derandomize=True, max_examples=40)
settings.register_profile("long", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file as a run writes it, and its content."""
    content = {
        "weights": torch.randn(50, 50, generator=torch.Generator().manual_seed(0)),
        "clock": 3,
        "names": ["a", "b"],
    }
    path = checkpoints._write(
        tmp_path_factory.mktemp("checkpoint"), "checkpoint-000001-000000", content
    )
    return path, path.read_bytes()


def undamaged(path, content) -> bool:
    """Whether the file would be used with this content."""
    path.write_bytes(content)
    return checkpoints._read(path, CPU) is not None


def test_no_flipped_bit_and_no_truncation_goes_unnoticed(checkpoint):
    path, content = checkpoint
    assert undamaged(path, content)
    rng = random.Random(0)
    for bit in rng.sample(range(8 * len(content)), 1000):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not undamaged(path, damaged), bit
    for length in rng.sample(range(len(content)), 200):
        assert not undamaged(path, content[:length]), length


@given(st.data())
def test_no_corruption_goes_unnoticed(checkpoint, data):
    path, content = checkpoint
    start = data.draw(st.integers(0, len(content)), "where")
    length = data.draw(st.integers(0, len(content) - start), "how much")
    instead = data.draw(st.binary(max_size=100), "instead")
    damaged = content[:start] + instead + content[start + length :]
    assume(damaged != content)
    assert not undamaged(path, damaged)


TENSORS = st.builds(
    lambda shape, kind, seed: (
        torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 9
    ).to(kind),
    st.lists(st.integers(0, 4), max_size=3),
    st.sampled_from([torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool]),
    st.integers(0, 2**32),
)
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.booleans() | st.none()
PLAIN = st.recursive(
    TENSORS | NUMBERS | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def equal(a, b) -> bool:
    """Equality of nested plain values, types included."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b) and a.dtype == b.dtype
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_what_is_written_is_what_is_read(tmp_path_factory, content):
    checkpoints._require_plain(content, "content")
    path = checkpoints._write(tmp_path_factory.mktemp("c"), "checkpoint-000001-000000", content)
    assert equal(checkpoints._read(path, CPU), content)
    assert path.stem.endswith(hashlib.sha256(path.read_bytes()).hexdigest())


def test_what_could_not_be_read_back_is_not_written(tmp_path):
    for value in (object(), {"a": [torch.nn.Linear(1, 1)]}, {1, 2}, torch.float32):
        with pytest.raises(TypeError, match="only tensors, numbers"):
            checkpoints._require_plain({"model": value}, "checkpoint")


@given(
    st.integers(0, 2**63 - 1),
    st.integers(1, 1000),
    st.integers(1, 40),
    st.integers(1, 40),
    st.data(),
)
def test_the_order_of_data_is_a_function_of_seed_and_epoch(seed, epoch, n, size, data):
    part = Split(torch.arange(n).view(n, 1), None)

    def order(size, **more):
        return (
            torch.cat(
                [b.x for b in part.batches(size, order=order_seed(seed, epoch), **more)]
                or [torch.zeros(0, 1)]
            )
            .flatten()
            .tolist()
        )

    whole = order(size)
    assert sorted(whole) == list(range(n)) and order(n) == whole, (
        "every point once, however many at a time"
    )
    skip = data.draw(st.integers(0, math.ceil(n / size)), "skip")
    assert order(size, skip=skip) == whole[skip * size :], (
        "a pass that goes on is the rest of the pass"
    )


@settings(max_examples=25)
@given(st.data())
def test_a_setting_with_one_wrong_letter_is_refused(data):
    registry = builtin_registry()
    model = data.draw(st.sampled_from(["vae", "gmm", "wgan"]), "model")
    known = known_settings(registry, model, "digits")
    name = data.draw(st.sampled_from(sorted(known)), "setting")
    at = data.draw(st.integers(0, len(name) - 1), "where")
    letter = data.draw(st.sampled_from(string.ascii_lowercase + "_"), "letter")
    typo = data.draw(
        st.sampled_from(
            [
                name[:at] + name[at + 1 :],
                name[:at] + letter + name[at + 1 :],
                name[:at] + letter + name[at:],
            ]
        )
    )
    assume(typo not in known and typo not in ("model", "dataset", ""))
    with pytest.raises(UserError) as refused:
        configured({"model": model, typo: known[name].default}, registry)
    assert refused.value.code == 2 and refused.value.fix


VALUES = st.text(max_size=30) | st.sampled_from(
    ["a/b", "a-b", "a b", "../x", "..", ".", "", "4", "[1,2]", "[1-2]", "x" * 300, "é" * 60]
)


@given(VALUES)
@pytest.mark.parametrize(
    "named", [unique_name, partial(run_name, named={"dataset.root"})], ids=["unique", "short"]
)
def test_names_of_folders_stay_in_the_sweep(named, value):
    sweep, name = Path("/outputs/sweep"), named("vae", [f"dataset.root={value}"])
    assert (sweep / name).parent == sweep and os.path.normpath(sweep / name) == str(sweep / name)
    assert name.isprintable() and len(name.encode()) <= 255 and re.fullmatch(r"[\w.+-]+", name)


STATISTICS = [
    name for name in MODELS if not issubclass(locate(own_class(name), "model.class"), GradientModel)
]
ARRAYS = arrays.arrays(
    "float32",
    st.tuples(st.integers(1, 12), st.integers(1, 4)),
    elements=st.floats(-(2.0**60), 2.0**60, width=32) | st.sampled_from([0.0, 1.0, 1.0]),
)


@pytest.mark.parametrize("model", STATISTICS)
@settings(max_examples=20)
@given(points=ARRAYS, batch_size=st.integers(1, 13), k=st.integers(1, 4))
def test_statistics_are_finite_or_refused_on_any_array(model, points, batch_size, k):
    x = torch.from_numpy(points)
    config = config_of(
        model, "epochs=3", f"batch_size={batch_size}", "device=cpu", *_sizes(model, k)
    )
    data = Data(
        "any",
        {"train": Split(x, None), "test": Split(x, None)},
        DataSpec(tuple(x.shape[1:]), unit=False),
    )
    try:
        fitted = build(config, data)
        fit_model(fitted, data, Nowhere(), typed(config))
    except UserError as refused:
        assert refused.fix
        return
    assert all(v.isfinite().all() for v in fitted.state_dict().values() if v.is_floating_point())
    if supports(fitted, "log_prob"):
        assert fitted.log_prob(x).isfinite().all()


def _sizes(model, k):
    own = builtin_registry().settings(f"model/{model}")
    return [f"{name}={k}" for name in ("latent_dim", "n_components") if name in own]

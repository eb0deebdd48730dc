"""Means over batches: exact whatever the sizes and terms, also after a resume, and faults are found."""

import copy
import random

import pytest
import torch

from genbench.data.types import Batch
from genbench.training.meter import STEPS_AT_ONCE, Meter
from genbench.utils.errors import UserError


def steps(count, seed=0):
    """Logs and batches of several sizes; every fifth step has a term more."""
    draw = random.Random(seed)
    for i in range(count):
        n = draw.choice([4, 4, 4, 3]) if i % 7 == 0 else 4
        logs = {"loss": torch.tensor(draw.random())}
        logs |= {"extra": torch.tensor(draw.random(), dtype=torch.float64)} if i % 5 == 4 else {}
        yield logs, Batch(torch.zeros(n, 2), None)


@pytest.mark.parametrize("count", [1, STEPS_AT_ONCE, STEPS_AT_ONCE + 1, 3 * STEPS_AT_ONCE + 7])
def test_means_are_weighted_by_points(count):
    meter = Meter()
    for logs, batch in steps(count):
        meter.add(logs, len(batch.x))
    meter.require_finite(0)
    for name, mean in meter.means().items():
        seen = [(float(logs[name]), len(b.x)) for logs, b in steps(count) if name in logs]
        expected = sum(value * n for value, n in seen) / sum(n for _, n in seen)
        assert mean == pytest.approx(expected, rel=1e-6)
    assert Meter().means() == {} and Meter().require_finite(0) is None


@pytest.mark.parametrize("bad", [0, 3, STEPS_AT_ONCE - 1, STEPS_AT_ONCE, 2 * STEPS_AT_ONCE + 9])
def test_the_first_step_that_is_not_finite_is_named(bad):
    meter = Meter()
    for i, (logs, batch) in enumerate(steps(3 * STEPS_AT_ONCE)):
        value = torch.tensor(float("inf" if i > bad else "nan"))
        meter.add(logs | {"loss": value} if i in (bad, bad + 20) else logs, len(batch.x))
    with pytest.raises(UserError, match=f"step {100 + bad + 1}: the loss is not finite"):
        meter.require_finite(100)


@pytest.mark.parametrize("at", [1, STEPS_AT_ONCE - 1, STEPS_AT_ONCE, 2 * STEPS_AT_ONCE + 3])
def test_a_meter_that_is_saved_between_two_steps_goes_on_to_the_same_bits(at):
    whole, parts = Meter(), Meter()
    for i, (logs, batch) in enumerate(steps(3 * STEPS_AT_ONCE)):
        if i == at:
            state, parts = copy.deepcopy(vars(parts)), Meter()
            vars(parts).update(state)
        whole.add(logs, len(batch.x))
        parts.add(logs, len(batch.x))
    assert whole.means() == parts.means()

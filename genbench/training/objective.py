"""Measures the objective of a trained model on every part of the data. The report card measures
everything else.
"""

from typing import Any

import torch

from genbench.data.types import Data, Split
from genbench.model import Model
from genbench.training import shares
from genbench.training.calls import Call, Calls, alone
from genbench.training.meter import Meter
from genbench.utils.rng import generator


def means(
    model: Model, part: Split, batch_size: int, seed: int, learnt: bool = False
) -> dict[str, float]:
    """Do `means_work` alone."""
    return alone(means_work(model, part, batch_size, seed, learnt=learnt))


def means_work(
    model: Model, part: Split, batch_size: int, seed: int, step: int = 0, learnt: bool = False
) -> Calls[dict[str, float]]:
    """The objective's terms as means over the points of one part, with the same noise at every
    call.

    Unless the model has learnt from this part, the result includes the estimates of `held_out`.
    `step` is how many steps the model has made.
    """
    meter = Meter()
    for i, batch in shares.own_batches(part, batch_size):
        rng = generator(seed, "evaluate", i, device=batch.x.device)
        terms = yield Call(model, batch, (step, 0, i), rng)
        if not learnt:
            with torch.no_grad():
                terms |= model.held_out(batch, rng)
        meter.add(terms, len(batch.x))
    meter.combine()
    return meter.means()


def final(model: Model, data: Data, batch_size: int, seed: int) -> dict[str, dict[str, Any]]:
    """Do `final_work` alone."""
    return alone(final_work(model, data, batch_size, seed))


def final_work(
    model: Model, data: Data, batch_size: int, seed: int, step: int = 0
) -> Calls[dict[str, dict[str, Any]]]:
    """The objective of a finished run by the part of the data, with that part's size `n`.

    `step` is how many steps the model has made.
    """
    measured: dict[str, dict[str, Any]] = {}
    for name, part in data.splits.items():
        if name == "train" and model.stores_training_data:
            continue
        terms = yield from means_work(model, part, batch_size, seed, step, learnt=name == "train")
        measured[name] = {"n": len(part)} | terms
    return measured

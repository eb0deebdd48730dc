"""The objective of a trained model, measured on every part of the data. All else that is measured is the report card's."""

import torch

from genbench.data.types import Data, Split
from genbench.model import Logs, Model
from genbench.utils.rng import generator


@torch.no_grad()
def means(
    model: Model, part: Split, batch_size: int, seed: int, learnt: bool = False
) -> dict[str, float]:
    """The objective's terms over one part, as means over its points, with the same noise at every call; and, unless the
    part was learnt from, what can only be estimated on data that was not."""
    sums: Logs = {}
    for i, batch in enumerate(part.batches(batch_size)):
        rng = generator(seed, "evaluate", i, device=batch.x.device)
        terms = model.evaluate(batch, rng)
        if not learnt:
            terms |= model.held_out(batch, rng)
        for name, value in terms.items():
            sums[name] = sums.get(name, 0) + value * len(batch.x)
    return {name: float(total) / len(part) for name, total in sums.items()}


def final(model: Model, data: Data, batch_size: int, seed: int) -> dict[str, dict]:
    """The objective of a finished run, under the part of the data it was measured on, with that part's size `n`."""
    parts = {
        name: part
        for name, part in data.splits.items()
        if name != "train" or not model.stores_training_data
    }
    return {
        name: {"n": len(part)} | means(model, part, batch_size, seed, learnt=name == "train")
        for name, part in parts.items()
    }

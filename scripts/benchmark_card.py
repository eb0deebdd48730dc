"""Time each measure of the report card, for a model on a dataset.

    python scripts/benchmark_card.py [evaluation=quick] [model=vae dataset=mnist epochs=1 ...]

What several measures need (samples, features, codes, nearest neighbours) is paid for by the first of them. The classifier
that points are compared by is timed apart; it is trained once for a dataset and then kept in the cache folder.
"""

import sys
import time

import torch

from genbench.card import Evaluation, measured, measures
from genbench.cli import builtin_catalogue
from genbench.data import load
from genbench.experiment import build, pick_device
from genbench.metrics import final
from genbench.model import can
from genbench.request import resolved
from genbench.settings import Settings
from genbench.train import Silent, fit


def main() -> None:
    """Train, then print seconds and value of each measure, and their sum."""
    given = [word for word in sys.argv[1:] if not word.startswith("evaluation=")]
    size = next((word.partition("=")[2] for word in sys.argv[1:] if word.startswith("evaluation=")), "full")
    config = resolved(given or ["model=vae", "dataset=mnist", "epochs=1"], builtin_catalogue())
    data = load(config["dataset"], pick_device(config["device"]))
    model, s = build(config, data), Settings(config)
    fit(model, data, Silent(), s)
    model.finish(data.train, seed=s.seed)
    e = Evaluation(model, data, final(model, data, s.batch_size, s.seed), size)
    total, started = 0.0, time.perf_counter()
    name = e.features.name
    print(f"{time.perf_counter() - started:8.2f} s  {name}: trained, or found in the cache")
    with torch.no_grad():
        for m in measures().values():
            if can(model, *m.needs):
                started = time.perf_counter()
                number = measured(m, e)
                seconds = time.perf_counter() - started
                total += seconds
                print(f"{seconds:8.2f} s  {m.name} = {'nothing' if number is None else f'{number.value:.5g}'}", flush=True)
    print(f"{total:8.2f} s  in all, {torch.get_num_threads()} threads, {size}, {len(e.test):,} test points")


if __name__ == "__main__":
    main()

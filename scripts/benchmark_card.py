"""Time each measure of the report card, in CPU seconds: of a model on a dataset, then of real data.

    python scripts/benchmark_card.py                           bundled digits
    python scripts/benchmark_card.py model=vae dataset=ring    any settings of a run

What several measures need (samples, features, codes, nearest neighbours) is paid for by the first
of them. The classifier that points are compared by is timed apart; it is trained once for a dataset
and then kept in the cache folder.
"""

import argparse
import sys
import time
from collections.abc import Callable

import torch

from genbench.config.compose import resolved
from genbench.config.registry import builtin_registry
from genbench.data.loading import load_data
from genbench.evaluation.card import measured
from genbench.evaluation.context import Evaluation
from genbench.evaluation.registry import Measure, measures, measures_of_samples
from genbench.evaluation.yardstick import RealData
from genbench.experiment import build, pick_device
from genbench.model import supports
from genbench.stats.intervals import Measured
from genbench.training.loop import NullRecorder, fit_model
from genbench.training.objective import final
from genbench.utils.errors import UserError


def main() -> None:
    """Train, then print CPU seconds and value of each measure, and their sum."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "settings", nargs="*", default=["model=vae", "epochs=1"], metavar="NAME=VALUE"
    )
    parser.add_argument("--evaluation", choices=("quick", "full"), default="full")
    given = parser.parse_args()
    try:
        config = resolved(given.settings, builtin_registry())
    except UserError as error:
        sys.exit(f"error: {error}")
    size = given.evaluation
    data = load_data(config["dataset"], pick_device(config["device"]))
    model = build(config, data)
    s = model.settings
    fit_model(model, data, NullRecorder(), s)
    model.fit_posthoc(data.train, seed=s.seed)
    e = Evaluation(model, data, final(model, data, s.batch_size, s.seed), size)
    with torch.no_grad():
        spent(lambda: e.features.name, lambda name: f"{name}: trained, or found in the cache")
        total = measure_all("", e, [m for m in measures().values() if supports(model, *m.needs)])
        print(
            f"{total:8.2f} s  in all, {torch.get_num_threads()} threads, {size}, "
            f"{len(e.test):,} test points"
        )
        if supports(model, "sample"):
            total = measure_all("real data, ", RealData(e), measures_of_samples())
            print(f"{total:8.2f} s  in all, once for a dataset")


def measure_all(what: str, e: Evaluation, chosen: list[Measure]) -> float:
    """Measure all of these; returns the CPU seconds."""
    return sum(
        spent(lambda m=m: measured(m, e), lambda number, m=m: f"{what}{m.name} = {shown(number)}")
        for m in chosen
    )


def shown(number: Measured | None) -> str:
    """The value, if there is one."""
    return "nothing" if number is None else f"{number.value:.5g}"


def spent(function: Callable, described: Callable) -> float:
    """Call a function, and print its CPU seconds before what its result is described as."""
    started = time.process_time()
    result = function()
    seconds = time.process_time() - started
    print(f"{seconds:8.2f} s  {described(result)}", flush=True)
    return seconds


if __name__ == "__main__":
    main()

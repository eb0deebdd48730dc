"""What a run took. These numbers depend on the machine and on what else it does."""

from genbench.evaluation.context import Evaluation
from genbench.evaluation.registry import measure
from genbench.stats.intervals import Measured


@measure(group="cost", unit="s", better="lower", headline=True)
def fit_seconds(e: Evaluation) -> Measured | None:
    """Time that the model took to learn: no loading, measuring, drawing or writing; earlier
    sessions included.
    """
    return _time(e, "fit_seconds")


@measure(group="cost", unit="s", better="lower")
def fit_cpu_seconds(e: Evaluation) -> Measured | None:
    """CPU time of the same, of all threads together, on which other work of the machine has less
    influence.
    """
    return _time(e, "fit_cpu_seconds")


@measure(group="cost", unit="points per second", better="higher")
def images_per_second(e: Evaluation) -> Measured | None:
    """Training points visited, each in each epoch, per second of `fit_seconds`."""
    seconds = _time(e, "fit_seconds")
    if seconds is None or seconds.value <= 0:
        return None
    epochs, rest = divmod(
        e.metrics["cost"]["steps"], -(-len(e.data.train) // e.model.settings.batch_size)
    )
    visited = epochs * len(e.data.train) + rest * e.model.settings.batch_size
    return seconds._replace(value=visited / seconds.value)


@measure(group="cost", unit="numbers", better="lower")
def parameters(e: Evaluation) -> Measured:
    """How many numbers the trained model consists of: weights, means, components; of a kernel
    density, the points it keeps.
    """
    return Measured(e.model.size, {}, on="the model")


@measure(group="cost", unit="MiB", better="lower")
def peak_memory(e: Evaluation) -> Measured | None:
    """The most memory that the process has held up to the end of training, the program itself
    included; not that of a GPU.

    Outside Linux, what runs before it in the same sweep have held counts, too.
    """
    return _time(e, "peak_memory")


def _time(e: Evaluation, name: str) -> Measured | None:
    value = e.metrics.get("time", {}).get(name)
    return None if value is None else Measured(value, {"train": len(e.data.train)}, on="train")

"""Replaces `auto` by values that depend on the data: the size of a model and the length of its
training.
"""

import math

from genbench.config.values import Settings
from genbench.data.types import Data
from genbench.model import Model
from genbench.utils.errors import UserError
from genbench.utils.text import counted

# The length of a run with epochs=auto.
EPOCHS, CONV_EPOCHS, LEAST_STEPS = 40, 18, 4_000
# Clusters, or components of a mixture.
COMPONENTS = 10
# About how many batches an epoch has on small data: the batch shrinks rather than the number of
# steps.
BATCHES = 10


def resolved(s: Settings, model_class: type[Model], data: Data) -> Settings:
    """The settings of a model of this class on these data, with every data-dependent `auto`
    replaced.

    Resolving twice changes nothing. UserError for a value above the model's `largest` for these
    data.
    """
    s, points, size = Settings(s), len(data.train), data.spec.size
    largest = model_class.largest(s, points, size)
    if s.get("latent_dim") == "auto":
        bound = largest.get("latent_dim", size)
        s["latent_dim"] = min(model_class.default_latent_dim, size, bound)
    for name, most in largest.items():
        if most < 1:
            what = f"needs more than {counted(points, 'training point')}"
            raise UserError(name, what, fix="more training points")
        if s[name] == "auto":
            s[name] = min(COMPONENTS, most)
        if s[name] > most:
            given = f"{counted(points, 'training point')} of {counted(size, 'value')}"
            raise UserError(
                name, f"must be at most {most:,} with {given}", s[name], f"{name}={most}"
            )
    return Settings(s | length(s, len(data.train), model_class.default_batch_size))


def length(s: Settings, n: int, default_batch_size: int = 128) -> dict[str, int]:
    """`batch_size` and `epochs` (the last may be partial) of a run with these settings on n
    training points.

    With `batch_size=auto` a batch has the model's default size, or the power of two nearest to a
    tenth of the points where that is less. A run ends after `steps` batches where these are set,
    else after `epochs`. With `epochs=auto` these are 40 (18 with convolutions, whose steps take
    longer and achieve more), or as many as it takes to make 4,000 steps, so that a run on few
    points learns as much.
    """
    batch_size = s.batch_size
    if batch_size == "auto":
        batch_size = min(default_batch_size, 2 ** max(0, round(math.log2(n / BATCHES))))
    batches, epochs = math.ceil(n / batch_size), s.epochs
    if s.get("steps") is not None:
        epochs = math.ceil(s.steps / batches)
    elif epochs == "auto":
        usual = CONV_EPOCHS if s.get("network") == "conv" else EPOCHS
        epochs = max(usual, math.ceil(LEAST_STEPS / batches))
    return {"batch_size": batch_size, "epochs": epochs}

"""What `auto` stands for, which depends on the data: the size of a model and the length of its training."""

import math

from genbench.config.settings import Settings
from genbench.data.types import Data
from genbench.model import Model
from genbench.utils.errors import UserError
from genbench.utils.text import counted

EPOCHS, CONV_EPOCHS, LEAST_STEPS = 40, 18, 4_000  # of a run whose length is auto
COMPONENTS = 10  # clusters, or components of a mixture
BATCHES = (
    10  # in an epoch over few data, about: the batch shrinks before the steps of an epoch get fewer
)


def resolved(s: Settings, made: type[Model], data: Data) -> Settings:
    """The settings of a model of this class for these data, with every `auto` that depends on them replaced.

    Doing it again changes nothing. UserError for a value above the model's `largest` for these data.
    """
    s, points, size = Settings(s), len(data.train), data.spec.size
    largest = made.largest(s, points, size)
    if s.get("latent_dim") == "auto":
        s["latent_dim"] = min(made.default_latent_dim, size, largest.get("latent_dim", size))
    for name, most in largest.items():
        if most < 1:
            raise UserError(
                name,
                f"needs more than {counted(points, 'training point')}",
                fix="more training points",
            )
        if s[name] == "auto":
            s[name] = min(COMPONENTS, most)
        if s[name] > most:
            what = f"must be at most {most:,} with {counted(points, 'training point')} of {counted(size, 'value')}"
            raise UserError(name, what, s[name], f"{name}={most}")
    return Settings(s | length(s, len(data.train), made.default_batch_size))


def length(s: Settings, n: int, default_batch_size: int = 128) -> dict[str, int]:
    """`batch_size` and `epochs` (the last may be partial) of a run with these settings on n training points.

    A batch that is `auto` is the model's usual one, or the power of two nearest to a tenth of the points where that is
    less. A run ends after `steps` batches where these are given, else after `epochs`; of which `auto` is 40 (18 of
    convolutions, whose steps take longer and achieve more), or as many as make 4,000 steps, so that a run on few points
    learns as well.
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

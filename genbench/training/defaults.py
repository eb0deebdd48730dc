"""Replaces `auto` by values that depend on the data: the size of a model and the length of its
training.
"""

import math

from genbench.data.types import Data
from genbench.model import Model
from genbench.settings.diffusion import DenoiserSettings
from genbench.settings.fields import is_auto
from genbench.settings.groups import GradientSettings, NetworkSettings
from genbench.settings.run import RunSettings
from genbench.utils.errors import UserError
from genbench.utils.text import counted

# Clusters, or components of a mixture.
COMPONENTS = 10
# About how many batches an epoch has on small data: the batch shrinks rather than the number of
# steps.
BATCHES = 10


def resolve_auto(settings: RunSettings, model_class: type[Model], data: Data) -> RunSettings:
    """The settings of a model of this class on these data, with every data-dependent `auto`
    replaced.

    Resolving twice changes nothing. UserError for a value above the model's `largest` for these
    data.
    """
    points, size = len(data.train), data.spec.size
    largest = model_class.largest(settings, points, size)
    # The names in `largest`, and latent_dim, are fields that not every settings class has.
    found: dict[str, int] = {}
    if is_auto(getattr(settings, "latent_dim", None)):
        bound = largest.get("latent_dim", size)
        widest = _widest_code(model_class, size)
        found["latent_dim"] = min(model_class.default_latent_dim, widest, bound)
    for name, most in largest.items():
        if most < 1:
            what = f"needs more than {counted(points, 'training point')}"
            raise UserError(name, what, fix="more training points")
        value = found.get(name, getattr(settings, name))
        if is_auto(value):
            value = found[name] = min(COMPONENTS, most)
        if value > most:
            given = f"{counted(points, 'training point')} of {counted(size, 'value')}"
            raise UserError(name, f"must be at most {most:,} with {given}", value, f"{name}={most}")
    found |= length(settings, points, model_class)
    settings = settings.model_copy(update=found)
    return settings.model_copy(update=model_class.automatic(settings, points, size))


def _widest_code(model_class: type[Model], size: int) -> int:
    """The most dimensions that latent_dim=auto gives the codes of points of this size.

    Codes that are no distributions have no more than half, in the plane two: what fits into a code
    need not be compressed, and is only copied.
    """
    copies = hasattr(model_class, "encode") and not hasattr(model_class, "posterior")
    return min(size, max(2, size // 2)) if copies else size


def length(settings: RunSettings, n: int, model: Model | type[Model] = Model) -> dict[str, int]:
    """`batch_size` and `epochs` (the last may be partial) of a run of a model with these settings
    on n training points.

    With `batch_size=auto` a batch has the model's default size, or the power of two nearest to a
    tenth of the points where that is less. A run ends after `steps` batches where these are set,
    else after `epochs`. With `epochs=auto` these are the model's default for its network (fewer
    with convolutions, whose steps take longer and achieve more), or as many as it takes to make so
    many steps, so that a run on few points learns as much.
    """
    batch_size, epochs = settings.batch_size, settings.epochs
    if is_auto(batch_size):
        batch_size = min(model.default_batch_size, 2 ** max(0, round(math.log2(n / BATCHES))))
    batches = math.ceil(n / batch_size)
    if isinstance(settings, GradientSettings) and settings.steps is not None:
        epochs = math.ceil(settings.steps / batches)
    elif is_auto(epochs):
        network = "mlp"
        if isinstance(settings, (NetworkSettings, DenoiserSettings)):
            network = settings.network
        least, steps = model.default_lengths[network]
        epochs = max(least, math.ceil(steps / batches))
    return {"batch_size": batch_size, "epochs": epochs}

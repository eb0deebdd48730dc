"""Refuses a model that cannot fit the memory, and names the setting that makes a run too large."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from genbench.data.types import DataSpec
from genbench.model import Model
from genbench.settings.base import settings_of
from genbench.settings.groups import GradientSettings
from genbench.settings.run import RunSettings
from genbench.utils.errors import UserError, lacks_memory
from genbench.utils.memory import require_room

USUAL_SIZE = 100  # what counts as usual of a size that has no number as its default
# Whole numbers on which the size of a model does not depend.
NO_SIZES = {
    *("batch_size", "epochs", "steps", "seed", "validate_every", "save_every", "draw_every"),
    *("patience", "warmup", "annealing_epochs", "chain_steps"),
}
MOMENTS = {"adam": 2, "adamw": 2, "rmsprop": 1, "sgd": 0}  # that an optimiser keeps of a weight


def size_setting(settings: RunSettings, shape: tuple[int, ...]) -> tuple[str, Any]:
    """The setting of a model's size that most exceeds what is usual of it, and its value.

    The size of images, of data of this shape, counts as `dataset.resize`.
    """
    name, value, excess = _most_unusual(settings, shape)
    if excess <= 1 and len(shape) == 3:  # the model is as small as usual, so the images are not
        return "dataset.resize", list(shape[1:])
    return name, value


def _most_unusual(settings: RunSettings, shape: tuple[int, ...]) -> tuple[str, Any, float]:
    """Also how many times larger than usual it is."""
    values = settings.values()
    found = [("batch_size", values["batch_size"], 0.0)]  # of models that have no setting of size
    for name, setting in settings_of(type(settings)).items():
        if name not in NO_SIZES:
            usual = max(1, _largest(setting.default) or USUAL_SIZE)
            found.append((name, values[name], _largest(values[name]) / usual))
    if len(shape) == 3:
        found.append(("dataset.resize", list(shape[1:]), max(shape[1:]) / USUAL_SIZE))
    return max(found, key=lambda one: one[-1])


def data_setting(settings: RunSettings) -> tuple[str, Any]:
    """The setting that most exceeds what is usual of the size of data, and its value; if none
    does, the dataset itself.
    """
    dataset = settings.dataset
    values = {f"dataset.{name}": value for name, value in dataset.values().items()}
    known = settings_of(type(dataset), "dataset.")
    ratios: dict[str, float] = {
        name: _largest(values[name]) / (_largest(known[name].default) or USUAL_SIZE)
        for name in ("dataset.size", "dataset.test_size", "dataset.resize")
        if name in known
    }
    name = max(ratios, key=lambda name: ratios[name], default="")
    return (name, values[name]) if name and ratios[name] > 1 else ("dataset", dataset.name)


def _largest(value: Any) -> int:
    """The largest whole number in a value; 0 if there is none."""
    numbers = value if isinstance(value, list) else [value]
    whole = [n for n in numbers if isinstance(n, int) and not isinstance(n, bool)]
    return max(whole, default=0)


def require_room_for_model(
    make: Callable[..., Model], model_class: type[Model], spec: DataSpec, settings: RunSettings
) -> None:
    """UserError if a model, its gradients and the moments of its optimiser cannot fit the memory.

    The model is built without its numbers, on torch's device `meta`. One of a user's own is not
    measured, as its constructor may do what must not be done twice.
    """
    if not model_class.__module__.startswith("genbench."):
        return
    try:
        with torch.device("meta"):
            model = make(spec, settings)
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        moved = size = math.inf
    else:
        moved = sum(p.nbytes for p in model.parameters() if p.requires_grad)
        size = sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    if isinstance(settings, GradientSettings):
        size += moved * (1 + MOMENTS[settings.optimizer])
    name, value = size_setting(settings, spec.shape)
    require_room(name, "the model, with what training keeps of it,", size, value, smaller(name))


def out_of_memory(
    settings: RunSettings, shape: tuple[int, ...] | None, auto: Mapping[str, Any], see: str
) -> UserError:
    """The error for memory that ran out, about the setting that makes the run too large.

    `shape` is that of a data point, None if the data were not loaded yet; `auto` has what `auto`
    stands for, by the name of the setting; `see` says where to read more.
    """
    if shape is None:
        name, value = data_setting(settings)
        what = "the memory does not suffice for the data"
    else:
        name, value, excess = _most_unusual(settings, shape)
        what = "the memory does not suffice"
        if excess <= 1:
            name, value = "batch_size", settings.batch_size
    return UserError(name, what, auto.get(name, value), f"{smaller(name)}; {see}", code=1)


def smaller(name: str) -> str:
    """How a user makes a run smaller by this setting."""
    if name == "batch_size":
        return "a smaller batch_size or model"
    return "dataset.resize=[64,64], say" if name == "dataset.resize" else f"lower {name}"

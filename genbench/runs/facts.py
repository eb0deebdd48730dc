"""Facts about a run that are neither settings nor measures: its data, model, machine and memory."""

import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from genbench.data.types import Data, DataSpec
from genbench.model import CAPABILITIES, Model, supports
from genbench.utils.errors import UserError


def identity(model: Model, data: Data) -> dict[str, Any]:
    """The part of metrics.json that says what was trained on what.

    It has the digest of the data and what one point is, the model's capabilities, whether the
    terms of its objective are of standardized values, its sampler, and its warnings.
    """
    abilities = [name for name in CAPABILITIES if supports(model, name)]
    about: dict[str, Any] = {"abilities": abilities, "standardized": model.is_standardized}
    if model.invertible:
        about["invertible"] = True
    if "sample" in abilities:
        about["sampler"] = model.sampler
    shape, absent = list(data.spec.shape), list(data.spec.absent)  # as JSON gives them back
    point = data.spec._asdict() | {"shape": shape, "absent": absent}
    known = {"digest": data.digest, "point": point, "labels": list(data.names)}
    if data.layout is not None and data.layout.features:
        known["features"] = data.layout.features
    return {"data": known, "model": about, "remarks": model.warnings()}


def without_points(metrics: dict[str, Any], name: str) -> Data | None:
    """What metrics.json says of the data that a run was trained on, without any point.

    None for a run of an earlier version, which did not write it.
    """
    known = metrics.get("data", {})
    point = known.get("point")
    if point is None:
        return None
    shape, absent = tuple(point["shape"]), tuple(point["absent"])
    spec = DataSpec(**point | {"shape": shape, "absent": absent})
    return Data(name, {}, spec, names=tuple(known["labels"]), digest=known["digest"])


def machine(model: Model) -> dict[str, str]:
    """What the exact bits of a result depend on besides the settings."""
    return {
        "torch": str(torch.__version__),
        "threads": str(torch.get_num_threads()),
        "device": model.device.type,
    }


def require_same_data(digest: str, data: Data, folder: Path) -> None:
    """UserError unless `data` have this digest, with which the run in the folder was started."""
    if digest != data.digest:
        raise UserError(
            f"dataset={data.name}",
            f"these are not the data that the run in {folder} was started with",
            fix="bring the data back, or choose another hydra.run.dir=FOLDER",
        )


def reset_peak_memory() -> None:
    """Forget how much memory earlier runs in this process have held, where the system allows it."""
    with suppress(OSError):  # the file exists on Linux only
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib() -> float:
    """The most memory, in MiB, that the process has held since `reset_peak_memory`.

    Where that is not possible, it is the peak since the process began.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)

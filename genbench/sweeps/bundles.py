"""Which jobs of a sweep are trained together: jobs of gradient models that differ in nothing but
a few numbers, such as beta, the learning rate or the seed.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from genbench.config.declarations import typed
from genbench.settings.base import structure
from genbench.settings.groups import GradientSettings, NetworkSettings

MOST_ON_CPU, MOST_ON_GPU = 16, 64  # jobs in a bundle; more gain little
FEWEST_JOBS = 8  # jobs for each worker where `auto` trains them together on a CPU
# Networks for which batching pays on a CPU: steps of wider ones, or on images, take no less time
# together, as their arithmetic dominates.
WIDEST, PLANE = 64, "vectors"


class Likeness(NamedTuple):
    """The `structure` is the same in jobs that can be trained together. That pays on a CPU, too, if
    they are `small`.
    """

    structure: str
    small: bool


def likeness(config: Mapping[str, Any]) -> Likeness | None:
    """With which jobs a job of these settings can be trained; None if with none."""
    settings = typed(config)
    if not isinstance(settings, GradientSettings):
        return None
    small = (
        isinstance(settings, NetworkSettings)
        and settings.network == "mlp"
        and sum(settings.hidden) <= WIDEST
        and settings.dataset.kind == PLANE
    )
    return Likeness(structure(type(settings), settings.values()), small)


def bundles(
    likenesses: Sequence[Likeness | None], together: bool | str, workers: int, on_gpu: bool
) -> list[list[int]]:
    """The places of jobs in bundles, each of which one of so many workers trains together; a job
    that is trained alone has a bundle of its own.

    `together` is the option of that name: with `auto` a job is trained together with others where
    that was measured to pay. All workers get something to do.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, one in enumerate(likenesses):
        is_chosen = one is not None and (
            together is True or (together == "auto" and (on_gpu or one.small))
        )
        groups.setdefault(one if is_chosen else place, []).append(place)
    found = []
    for group in groups.values():
        if together == "auto" and not on_gpu and len(group) < FEWEST_JOBS * workers:
            found += [[place] for place in group]
            continue
        most = min(MOST_ON_GPU if on_gpu else MOST_ON_CPU, math.ceil(len(group) / workers))
        size = math.ceil(len(group) / math.ceil(len(group) / most))  # about the same for all
        found += [group[start : start + size] for start in range(0, len(group), size)]
    return sorted(found)

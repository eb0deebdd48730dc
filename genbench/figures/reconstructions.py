"""Pictures of points beside what becomes of them when they are encoded and decoded."""

import math

import torch

from genbench.figures import images, plane, vectors, waves
from genbench.figures.canvas import Page
from genbench.figures.scene import Scene
from genbench.model import Model
from genbench.utils import signals

MOST_PROFILES = 6  # points in a picture of vectors
STANDARD = "standard deviations from the mean"


def show_reconstructions(scene: Scene, model: Model) -> torch.Tensor | None:
    return draw_reconstructions(
        scene, *reconstructed(scene, model, 2000 if scene.kind == "plane" else 32)
    )


def reconstructed(scene: Scene, model: Model, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """At most n points [n, *shape], and what becomes of them when they are encoded and decoded."""
    parts, n = [], min(n, len(scene.held_out))
    for start in range(0, n, scene.block):
        signals.check()
        x, given = scene.conditioned(model, min(scene.block, n - start), start)
        parts.append((x, given.decode(given.encode(x))))
    x, again = (torch.cat(some) for some in zip(*parts))
    return x, again


def decoded(scene: Scene, given: Model, z: torch.Tensor) -> torch.Tensor:
    """The points [n, *shape] of codes z [n, d], a block at a time."""
    parts = []
    for part in z.split(scene.block):
        signals.check()
        parts.append(given.decode(part))
    return torch.cat(parts)


def draw_reconstructions(
    scene: Scene, originals: torch.Tensor, again: torch.Tensor
) -> torch.Tensor | None:
    """Points [n, *shape] and their reconstructions."""
    many = f"{len(originals):,} {scene.part}"
    if scene.kind == "images":
        shown = min(len(originals), max(1, images.fitting(originals) // 2))
        columns = min(shown, max(8, math.ceil((2 * shown) ** 0.5)))
        page = scene.page(first_of(shown, len(originals), images.above(len(originals), scene.part)))
        rows = images.pairs(originals[:shown], again[:shown], columns)
        return images.mosaic(rows, page, images.zoom_to(originals, columns))
    if scene.kind == "plane":
        return plane.cloud(
            again,
            scene.plane,
            scene.page(f"{many} {'point' if len(originals) == 1 else 'points'} reconstructed"),
        )
    if scene.kind == "signals":
        shown = len(waves.shown_of(originals))
        page = scene.page(f"the first {shown} {scene.part} signals and their reconstructions")
        return waves.waves(originals, page, again=again)
    if scene.kind == "vectors":
        shown = min(len(originals), MOST_PROFILES)
        page = scene.page(f"the first {shown} {scene.part} points and their reconstructions")
        return draw_profiles(scene, page, {"original": originals, "reconstructed": again})
    return None


def draw_profiles(scene: Scene, page: Page, named: dict[str, torch.Tensor]) -> torch.Tensor | None:
    """The first of vectors [n, D] by name, the n-th of each belonging together."""
    first = {name: standard_units(scene, x[:MOST_PROFILES]) for name, x in named.items()}
    page = page._replace(note=f"{page.note}; in {STANDARD}")
    return vectors.profiles(first, scene.features, page)


def standard_units(scene: Scene, x: torch.Tensor) -> torch.Tensor:
    """Vectors [n, D] in standard deviations from the mean of the held-out data, so that any
    features can share an axis.
    """
    data = scene.held_out.spread(5000).values()
    spread = data.std(0, correction=0)
    return (x - data.mean(0)) / torch.where(spread > 0, spread, 1.0)


def first_of(shown: int, of: int, what: str) -> str:
    """What a picture shows, if it has no room for all."""
    return what if shown == of else f"the first {shown:,} of {what}"

"""Pictures of samples and densities."""

import math
from collections.abc import Callable

import torch

from genbench.figures import curves, images, plane, vectors, waves
from genbench.figures.latent import widest
from genbench.figures.reconstructions import first_of, reconstructed
from genbench.figures.scene import Scene
from genbench.model import Model, loses_information
from genbench.utils.text import counted

MOST_PAIRED = 4  # in a pair plot
MOST_POINTS = 20_000  # in a picture; more are slow to draw and only cover one another


def show_samples(scene: Scene, model: Model) -> torch.Tensor | None:
    rng = scene.rng("samples")
    size, times = {"images": (64, 1), "vectors": (500, 1), "signals": (24, 1)}.get(
        scene.kind, (1000, 5)
    )
    drawn = torch.cat([model.sample(size, rng) for _ in range(times)])
    if scene.kind == "images" and loses_information(model):
        return draw_samples(scene, drawn, again=reconstructed(scene, model, 8))
    return draw_samples(scene, drawn)


def draw_samples(
    scene: Scene,
    samples: torch.Tensor,
    of: str = "",
    again: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor | None:
    """Points [n, *shape] that a model drew; `of` says more of them, such as their class.

    Below images stand a few originals and their reconstructions, if there are any: `again`.
    """
    many = f"{counted(len(samples), 'sample')}{of}"
    shown = samples[: images.fitting(samples) if scene.kind == "images" else MOST_POINTS]
    many = first_of(len(shown), len(samples), many)
    if scene.kind == "images":
        columns = min(len(shown), max(8, math.ceil(len(shown) ** 0.5)))
        rows = [images.Row(some) for some in shown.split(columns)]
        if again is None:
            return images.mosaic(rows, scene.page(many), images.zoom_to(shown, columns))
        heading = images.above(len(again[0]), scene.part)
        rows += images.pairs(*again, columns, heading)
        return images.mosaic(
            rows, scene.page(f"{many}; below: reconstructions"), images.zoom_to(shown, columns)
        )
    if scene.kind == "plane":
        return plane.cloud(shown, scene.plane, scene.page(f"{many} over {scene.plane.backdrop}"))
    if scene.kind == "line":
        return curves.on_the_line(
            scene.points(5000).cpu(), _truth(scene), {"samples": shown}, scene.page(many)
        )
    if scene.kind == "signals":
        return waves.waves(
            shown, scene.page(first_of(len(waves.shown_of(shown)), len(shown), many))
        )
    data = scene.data.train.spread(len(shown)).values()
    features = widest(data.std(0, correction=0), MOST_PAIRED).tolist()
    which = (
        ""
        if len(features) == scene.data.spec.size
        else f"the {len(features)} features of most variance of "
    )
    note = f"{which}{many} and {len(data):,} training points"
    names = [scene.features[i] for i in features]
    return vectors.pair_plot(data, shown, features, names, scene.page(note))


def show_density(scene: Scene, model: Model) -> torch.Tensor | None:
    if model.slow_log_prob or not model.log_prob_kind.startswith("exact"):
        return None  # a bound on a density is none
    device = scene.held_out.device

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        return model.log_prob(x.to(device)).cpu()

    if scene.kind == "plane":
        masses = ", ".join(f"{100 * m:g}" for m in reversed(plane.MASSES))
        return plane.contours(
            log_prob,
            scene.plane,
            scene.page(f"the smallest regions that hold {masses} % of the density"),
        )
    densities: dict[str, Callable[[torch.Tensor], torch.Tensor]]
    densities = {"model": lambda x: log_prob(x).exp(), **_truth(scene)}
    return curves.on_the_line(
        scene.points(5000).cpu(), densities, {}, scene.page("the fitted density over the data")
    )


def show_score(scene: Scene, model: Model) -> torch.Tensor | None:
    device = scene.held_out.device
    return plane.field(
        lambda x: model.score(x.to(device)),
        scene.plane,
        scene.page("the score, the direction in which points get likelier"),
    )


def _truth(scene: Scene) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    density = scene.data.density
    return {} if density is None else {"truth": lambda x: density.log_prob(x).exp()}

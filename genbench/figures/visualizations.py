"""Pictures of what a model returns from `visualizations`: one function per class."""

from collections.abc import Callable

import torch

from genbench.figures import curves, images, mixtures, plane, vectors, waves
from genbench.figures.reconstructions import STANDARD, draw_profiles, standard_units
from genbench.figures.scene import Scene
from genbench.model import Model
from genbench.visualizations import (
    Curves,
    Histograms,
    Images,
    Landscape,
    Memberships,
    MixtureComponents,
    Rows,
    Spectrum,
    Staircase,
    VectorFields,
    Visualization,
)

MOST_COMPONENTS = 64  # in a picture, the heaviest ones


def draw_visualization(scene: Scene, model: Model, shown: Visualization) -> torch.Tensor | None:
    """The picture of a visualization; None where data of this shape have none."""
    return DRAWN_BY[type(shown)](scene, model, shown)


def draw_images(scene: Scene, model: Model, shown: Images) -> torch.Tensor | None:
    """Images in a grid, or vectors as shades."""
    page = scene.page(shown.note)
    if scene.kind == "images":
        return images.image_grid(shown.images, page, shown.captions, shown.signed, wide=600)
    labels = list(shown.captions or (str(i + 1) for i in range(len(shown.images))))
    if scene.kind == "signals" and len(shown.images):
        return waves.waves(shown.images, page, labels)
    if scene.kind == "vectors" and len(shown.images):
        return vectors.loadings(shown.images, labels, scene.features, page, "loading")
    return None


def draw_rows(scene: Scene, model: Model, shown: Rows) -> torch.Tensor | None:
    """A row of images, a line of each profile, or a panel of the plane per name."""
    page = scene.page(shown.note)
    if scene.kind == "images":
        return images.labelled_rows({name: x[:10] for name, x in shown.rows.items()}, page)
    if scene.kind == "signals":
        shown_rows = {name: x[:4] for name, x in shown.rows.items()}
        captions = [name for name, x in shown_rows.items() for _ in x]
        return waves.waves(torch.cat([*shown_rows.values()]), page, captions)
    if scene.kind == "vectors":
        return draw_profiles(scene, page, shown.rows)
    return plane.clouds(shown.rows, scene.plane, page) if scene.kind == "plane" else None


def draw_spectrum(scene: Scene, model: Model, shown: Spectrum) -> torch.Tensor:
    """Shares of the variance, and their running sum."""
    return curves.spectrum(shown.shares, shown.kept, scene.page(shown.note))


def draw_staircase(scene: Scene, model: Model, shown: Staircase) -> torch.Tensor | None:
    """The quantity and its bound against iterations; None before there are two."""
    if len(shown.values) < 2:
        return None
    return curves.staircase(
        shown.values, shown.bounds, (shown.quantity, shown.bound), scene.page(shown.note)
    )


def draw_histograms(scene: Scene, model: Model, shown: Histograms) -> torch.Tensor:
    """A histogram per name."""
    return curves.histograms(shown.panels, scene.page(shown.note))


def draw_components(scene: Scene, model: Model, shown: MixtureComponents) -> torch.Tensor | None:
    """Components in the plane, as images, or as rows of shades."""
    page = scene.page(shown.note)
    if scene.kind == "plane":
        return mixtures.centres(shown.points, shown.weights, shown.covariances, scene.plane, page)
    heaviest = shown.weights.argsort(descending=True)[:MOST_COMPONENTS]
    captions = [f"{shown.label} {k + 1}, {shown.weights[k]:.1%}" for k in heaviest.tolist()]
    if scene.kind == "images":
        return images.image_grid(shown.points[heaviest], page, captions, wide=600)
    if scene.kind == "signals":
        return waves.waves(shown.points[heaviest], page, captions)
    if scene.kind == "vectors":
        values = standard_units(scene, shown.points[heaviest])
        return vectors.loadings(values, captions, scene.features, page, STANDARD)
    return None


def draw_memberships(scene: Scene, model: Model, shown: Memberships) -> torch.Tensor:
    """Points of the plane in blended colours, or shares as shades."""
    page = scene.page(shown.note)
    if scene.kind == "plane":
        return mixtures.blended(shown.x, shown.shares, scene.plane, page)
    points = shown.x[:16] if scene.kind == "images" else None
    return images.shares_of_points(points, shown.shares[:16], page)


def draw_landscape(scene: Scene, model: Model, shown: Landscape) -> torch.Tensor | None:
    """The function as contours over the plane, with data and samples on it."""
    if scene.kind != "plane":
        return None
    device = scene.held_out.device
    clouds = {
        f"{scene.part} data": scene.points(1000),
        "samples": model.sample(1000, scene.rng("landscape")),
    }
    return plane.landscape(
        lambda x: shown.function(x.to(device)),
        shown.label,
        clouds,
        scene.plane,
        scene.page(shown.note),
    )


def draw_fields(scene: Scene, model: Model, shown: VectorFields) -> torch.Tensor | None:
    """Arrows over the plane."""
    if scene.kind != "plane":
        return None
    device = scene.held_out.device
    functions = {n: lambda x, f=f: f(x.to(device)) for n, f in shown.functions.items()}
    return plane.fields(functions, scene.plane, scene.page(shown.note))


def draw_plain_curves(scene: Scene, model: Model, shown: Curves) -> torch.Tensor:
    """Lines against a common axis."""
    page = scene.page(shown.note)
    return curves.plain_curves(shown.at, shown.values, shown.label, shown.quantity, page)


DRAWN_BY: dict[type[Visualization], Callable[..., torch.Tensor | None]] = {
    Images: draw_images,
    Rows: draw_rows,
    Spectrum: draw_spectrum,
    Staircase: draw_staircase,
    Histograms: draw_histograms,
    MixtureComponents: draw_components,
    Memberships: draw_memberships,
    Landscape: draw_landscape,
    VectorFields: draw_fields,
    Curves: draw_plain_curves,
}

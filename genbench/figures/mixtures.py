"""Components of mixtures in the plane: their centres, spreads and shares of the points."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genbench.figures.canvas import CLASSES, ORANGE, Canvas, Page, Style
from genbench.figures.plane import Plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def centres(
    points: torch.Tensor,
    weights: torch.Tensor,
    covariances: torch.Tensor | None,
    plane: Plane,
    page: Page,
) -> torch.Tensor:
    """Centres [K, 2] over the backdrop, each with its number and weight, by size as they weigh;
    with covariances [K, 2, 2] also ellipses of one and two standard deviations.
    """
    canvas = plane.canvas(page)
    axes = plane.on(canvas)
    for k, (point, weight) in enumerate(zip(points.cpu(), weights.cpu())):
        if covariances is not None:
            for deviations in (1, 2):
                outline = ellipse(covariances[k].cpu().numpy(), deviations) + point.numpy()
                axes.plot(*outline.T, color=ORANGE, lw=1.5, alpha=1 / deviations)
        axes.scatter(
            point[0].item(),
            point[1].item(),
            s=20 + 600 * float(weight),
            color=ORANGE,
            alpha=0.8,
            linewidths=0,
        )
    if len(points) <= MOST_NUMBERED:
        annotate(
            axes,
            points,
            [f"{k + 1}: {weight:.0%}" for k, weight in enumerate(weights.tolist())],
            canvas,
        )
    return canvas.picture()


MOST_NUMBERED = 40  # components; the numbers of more would hide one another


def annotate(
    axes: "Axes", points: torch.Tensor, texts: Sequence[str], canvas: Canvas, **style: Any
) -> None:
    """A text beside each point [n, 2], on a patch of the page's ground."""
    patch = {"facecolor": canvas.theme.ground, "alpha": 0.7, "edgecolor": "none", "pad": 0.8}
    look: Style = {
        "xytext": (5, 5),
        "textcoords": "offset points",
        "size": 8,
        "color": canvas.theme.ink,
        "bbox": patch,
    } | style
    for point, text in zip(points.cpu().numpy(), texts):
        axes.annotate(text, (point[0], point[1]), annotation_clip=True, clip_on=True, **look)


def ellipse(covariance: np.ndarray, deviations: float) -> np.ndarray:
    """Points [100, 2] all around a centre at zero, so many standard deviations away from it."""
    angle = np.linspace(0, 2 * np.pi, 100)
    variances, directions = np.linalg.eigh(covariance)
    return (
        deviations
        * np.stack([np.cos(angle), np.sin(angle)], 1)
        * np.sqrt(variances.clip(min=0))
        @ directions.T
    )


def blended(points: torch.Tensor, shares: torch.Tensor, plane: Plane, page: Page) -> torch.Tensor:
    """Points [n, 2] in a colour per component, blended by their shares [n, K]; ten colours, then
    again.

    The number of each component stands at the mean of the points, weighted by their shares in it.
    """
    from matplotlib.colors import to_rgb

    points, shares = points.cpu().double(), shares.cpu().double()
    palette = np.array([to_rgb(CLASSES[k % len(CLASSES)]) for k in range(shares.shape[1])])
    canvas = plane.canvas(page)
    axes = plane.on(canvas, backdrop=False)
    x, y = points.T.numpy()
    axes.scatter(x, y, s=6, c=(shares.numpy() @ palette).clip(0, 1), linewidths=0)
    totals = shares.sum(0)
    if shares.shape[1] <= MOST_NUMBERED:
        filled = [k for k, total in enumerate(totals.tolist()) if total > 0]
        means = (shares.T @ points)[filled] / totals[filled, None]
        annotate(axes, means, [str(k + 1) for k in filled], canvas, size=10, weight="bold")
    return canvas.picture()

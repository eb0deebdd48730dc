"""Data in the plane, and what a model makes of them: points, densities, fields, paths.

Every function turns data into a picture, bytes [height, width, 3]. None knows a model.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genbench.data.density import Density
from genbench.figures.canvas import GREY, ORANGE, Canvas, Page, Style, shades
from genbench.figures.ranges import axis_range, places

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_OBLONG = 4  # how many times longer than high, or higher than long, a drawn plane may be


class Plane:
    """Where two-dimensional data lie: the true density as a shade or, where it is not known, data
    as grey points.
    """

    def __init__(self, x: torch.Tensor, density: Density | None = None) -> None:
        ends = [axis_range(values, margin=0.1) for values in x.T]
        self.low, self.high = (list(some) for some in zip(*ends))
        self.density, self.data = density, x[:2000]

    @property
    def backdrop(self) -> str:
        """What is drawn below everything else."""
        return "the data" if self.density is None else "the true density"

    @cached_property
    def truth(self) -> np.ndarray:
        """The true density on the mesh, relative to its largest value; only where it is known."""
        assert self.density is not None
        return self.relative(self.density.log_prob)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top."""
        return self.low[0], self.high[0], self.low[1], self.high[1]

    @property
    def lengths(self) -> tuple[float, float]:
        """How far this part of the plane reaches across and upwards."""
        return self.high[0] - self.low[0], self.high[1] - self.low[1]

    @property
    def is_to_scale(self) -> bool:
        """Whether both axes have one scale. Of a plane too long and narrow for that, they have not:
        its pictures would be a line, on which matplotlib's enlargement of images never ends.
        """
        return max(self.lengths) <= MOST_OBLONG * min(self.lengths)

    def size(self, side: int) -> tuple[int, int]:
        """Pixels across and upwards of this part of the plane, whose longer side is this long."""
        across, upwards = (length / max(self.lengths) for length in self.lengths)
        least = side // MOST_OBLONG
        return max(round(side * across), least), max(round(side * upwards), least)

    def mesh(self, n: int = 200) -> torch.Tensor:
        """Points [n * n, 2] that cover the plane, row by row from the bottom."""
        first, second = (places(a, b, n) for a, b in zip(self.low, self.high))
        return torch.stack(torch.meshgrid(first, second, indexing="xy"), -1).flatten(0, 1)

    def values(self, function: Callable[[torch.Tensor], torch.Tensor], n: int = 200) -> np.ndarray:
        """A function of points, on the mesh [n, n]."""
        return (
            torch.cat(
                [function(part).detach().flatten().cpu() for part in self.mesh(n).split(4000)]
            )
            .reshape(n, n)
            .numpy()
        )

    def relative(self, log_prob: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
        """A density on the mesh, relative to its largest value there, which may be far from 1.

        It is 0 where it cannot be computed.
        """
        logs = self.values(log_prob).astype(np.float64)
        known = logs[np.isfinite(logs)]
        if not len(known):  # so narrow that it is zero at all points of the mesh
            return np.zeros_like(logs)
        logs = np.where(np.isnan(logs), -np.inf, logs)
        return np.exp(np.minimum(logs - known.max(), 0))

    def canvas(self, page: Page, side: int = 510) -> Canvas:
        """A canvas for one picture of this part of the plane."""
        wide, high = self.size(side)
        return page.canvas(wide + 70, high + 55)

    def on(
        self,
        canvas: Canvas,
        left: float = 50,
        top: float = 4,
        width: int = 510,
        backdrop: bool = True,
    ) -> "Axes":
        """Axes of this part of the plane, `width` pixels wide or high."""
        axes = canvas.axes(left, top, *self.size(width))
        if backdrop and self.density is None:
            x, y = self.data.T.numpy()
            axes.scatter(x, y, s=3, color=canvas.theme.backdrop, linewidths=0)
        elif backdrop:
            shade = self.truth**0.25  # the fourth root shows narrow and wide modes in one picture
            style: Style = {"cmap": shades(canvas.theme), "vmin": 0, "vmax": 1.3 * shade.max()}
            axes.imshow(shade, origin="lower", extent=self.extent, aspect="auto", **style)
        axes.set(xlim=self.extent[:2], ylim=self.extent[2:], xlabel="$x_1$", ylabel="$x_2$")
        if self.is_to_scale:
            axes.set_aspect("equal", adjustable="box")
        return axes


def cloud(points: torch.Tensor, plane: Plane, page: Page) -> torch.Tensor:
    """Points [n, 2] over the backdrop."""
    canvas = plane.canvas(page)
    dots(plane.on(canvas), points)
    return canvas.picture()


def dots(axes: "Axes", points: torch.Tensor, **style: Any) -> None:
    """A cloud of points, or a few marked ones."""
    few = len(points) < 1000
    style = {
        "s": 24 if few else 3,
        "color": ORANGE,
        "alpha": 1 if few else 0.4,
        "linewidths": 0,
        **style,
    }
    x, y = points.detach().cpu().T.numpy()
    axes.scatter(x, y, **style)


def clouds(named: dict[str, torch.Tensor], plane: Plane, page: Page) -> torch.Tensor:
    """A panel of points [n, 2] per name."""
    wide, high = plane.size(250)
    canvas = page.canvas(len(named) * (wide + 70), high + 80)
    for i, (name, points) in enumerate(named.items()):
        axes = plane.on(canvas, 50 + (wide + 70) * i, 20, 250)
        dots(axes, points)
        canvas.heading(axes, name)
    return canvas.picture()


MASSES = (0.99, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1)  # that the regions of a density's contours hold


def contours(log_prob: Callable, plane: Plane, page: Page) -> torch.Tensor:
    """A density in the plane, as the smallest regions that hold given shares of its mass; beside it
    the true one.
    """
    panels = {"model": plane.relative(log_prob)} | (
        {} if plane.density is None else {"truth": plane.truth}
    )
    wide, high = plane.size(330)
    canvas = page.canvas(len(panels) * (wide + 70), high + 60)
    for i, (name, p) in enumerate(panels.items()):
        axes = plane.on(canvas, 50 + (wide + 70) * i, 20, 330, backdrop=False)
        if p.any():
            levels = np.unique([level(p, mass) for mass in MASSES])
            axes.contourf(
                p,
                levels=[*levels, max(p.max(), levels[-1]) * 1.001],
                extent=plane.extent,
                cmap="viridis",
                extend="neither",
            )
        canvas.heading(axes, name if p.any() else f"{name}: too narrow to show")
    return canvas.picture()


def level(p: np.ndarray, mass: float) -> float:
    """The value of a density on an even mesh above which it holds this share of its mass."""
    largest_first = np.sort(p, axis=None)[::-1]
    held = largest_first.cumsum() / largest_first.sum()
    return largest_first[min(int(np.searchsorted(held, mass)), len(held) - 1)]


def landscape(
    function: Callable, label: str, clouds: dict[str, torch.Tensor], plane: Plane, page: Page
) -> torch.Tensor:
    """A function over the plane as filled contours with a scale, and named clouds of points."""
    wide, high = plane.size(500)
    canvas = page.canvas(wide + 150, high + 90)
    axes = plane.on(canvas, width=500, backdrop=False)
    filled = axes.contourf(plane.values(function), levels=20, extent=plane.extent, cmap="cividis")
    for (name, points), colour in zip(clouds.items(), ("white", ORANGE)):
        dots(axes, points, s=4, color=colour, alpha=0.5, label=name)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -45 / high),
        ncols=2,
        fontsize=8,
        markerscale=3,
        facecolor=GREY,
        labelcolor="white",
    )
    bar = canvas.figure.colorbar(filled, cax=canvas.axes(wide + 65, 4, 14, high))
    bar.set_label(label, size=9, color=canvas.theme.ink)
    bar.ax.tick_params(colors=canvas.theme.soft, labelsize=8)
    return canvas.picture()


def field(function: Callable, plane: Plane, page: Page, side: int = 24) -> torch.Tensor:
    """A function that gives each point a direction [n, 2], as arrows; of the longest, only the
    direction is true.
    """
    canvas = plane.canvas(page)
    arrows(plane.on(canvas), function, plane, side)
    return canvas.picture()


def fields(named: dict[str, Callable], plane: Plane, page: Page, side: int = 18) -> torch.Tensor:
    """A panel of arrows per name, as `field` draws them."""
    wide, high = plane.size(250)
    canvas = page.canvas(len(named) * (wide + 70), high + 80)
    for i, (name, function) in enumerate(named.items()):
        axes = plane.on(canvas, 50 + (wide + 70) * i, 20, 250)
        arrows(axes, function, plane, side)
        canvas.heading(axes, name)
    return canvas.picture()


def arrows(axes: "Axes", function: Callable, plane: Plane, side: int) -> None:
    """Arrows on a mesh of so many points a side."""
    points = plane.mesh(side)
    found = function(points).detach().cpu()
    length = found.norm(dim=1)
    # Far from the data, arrows are so long that they would hide all others.
    most = length.quantile(0.8).clamp(min=1e-12)
    found = (found / torch.maximum(length, most)[:, None]).numpy()
    cell = max(plane.high[0] - plane.low[0], plane.high[1] - plane.low[1]) / side
    axes.quiver(
        *points.T.numpy(),
        *found.T,
        color=ORANGE,
        angles="xy",
        scale_units="xy",
        scale=1 / cell,
        width=0.0028,
    )


def draw_paths(
    lines: torch.Tensor, plane: Plane, page: Page, ends: torch.Tensor | None = None
) -> torch.Tensor:
    """Curves [n, steps, 2] over the backdrop, each from a faint end to a strong one; with points
    `ends` [n, 2, 2] that they lead from and to, dotted lines join those to the ends of the
    curves.
    """
    from matplotlib.collections import LineCollection

    canvas = plane.canvas(page)
    axes = plane.on(canvas)
    lines = lines.detach().cpu()
    for line in lines.numpy():
        pieces = np.stack([line[:-1], line[1:]], 1)
        strength = np.linspace(0.3, 1, len(pieces))
        style: Style = {"cmap": shades(canvas.theme, ORANGE), "clim": (0, 1), "lw": 1.5}
        axes.add_collection(LineCollection(list(pieces), array=strength, **style))
    if ends is not None:
        ends = ends.detach().cpu()
        gaps = torch.stack([ends, lines[:, [0, -1]]], 2).flatten(0, 1)
        axes.add_collection(
            LineCollection(list(gaps.numpy()), colors=canvas.theme.ink, lw=1, ls=":")
        )
        x, y = ends.flatten(0, 1).T.numpy()
        axes.scatter(x, y, s=14, color=canvas.theme.ink, linewidths=0, zorder=3)
    return canvas.picture()

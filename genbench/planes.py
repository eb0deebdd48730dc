"""How data on the line and in the plane are drawn, and what a model makes of them: points, densities, fields, paths.

Every function turns data into a picture, bytes [height, width, 3]. None knows a model.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch

from .sheet import BLUE, CLASSES, GREY, INK, ORANGE, SOFT, Sheet


class Plane:
    """Where two-dimensional data lie: the true density as a shade or, where it is not known, data as grey points."""

    def __init__(self, x: torch.Tensor, density=None):
        low, high = x.amin(0), x.amax(0)
        margin = 0.1 * (high - low).clamp(min=1e-6)
        self.low, self.high = (low - margin).tolist(), (high + margin).tolist()
        self.density, self.data = density, x[:2000]

    @property
    def backdrop(self) -> str:
        """What is drawn below everything else."""
        return "the data" if self.density is None else "the true density"

    @cached_property
    def truth(self) -> np.ndarray:
        """The true density on the mesh, relative to its largest value."""
        return self.relative(self.density.log_prob)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top."""
        return self.low[0], self.high[0], self.low[1], self.high[1]

    def mesh(self, n: int = 200) -> torch.Tensor:
        """Points [n * n, 2] that cover the plane, row by row from the bottom."""
        first, second = (torch.linspace(a, b, n) for a, b in zip(self.low, self.high))
        return torch.stack(torch.meshgrid(first, second, indexing="xy"), -1).flatten(0, 1)

    def values(self, function: Callable[[torch.Tensor], torch.Tensor], n: int = 200) -> np.ndarray:
        """A function of points, on the mesh [n, n]."""
        return torch.cat([function(part).detach().flatten().cpu() for part in self.mesh(n).split(4000)]).reshape(n, n).numpy()

    def relative(self, log_prob: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
        """A density on the mesh, relative to its largest value there, however far that is from 1."""
        logs = self.values(log_prob)
        return np.exp(logs - logs.max())

    def on(self, sheet: Sheet, left=50, top=4, width=510, backdrop=True):
        """Axes of this part of the plane."""
        axes = sheet.axes(left, top, width, width)
        if backdrop and self.density is None:
            axes.scatter(*self.data.T.numpy(), s=3, color="#c8c8c8", linewidths=0)
        elif backdrop:
            shade = self.truth**0.25  # the fourth root shows narrow modes and wide ones in one picture
            axes.imshow(shade, origin="lower", extent=self.extent, cmap="Blues", aspect="auto", vmax=1.3 * shade.max())
        axes.set(xlim=self.extent[:2], ylim=self.extent[2:], xlabel="$x_1$", ylabel="$x_2$")
        axes.set_aspect("equal", adjustable="box")
        return axes


def cloud(points: torch.Tensor, plane: Plane, title: str, note: str) -> torch.Tensor:
    """Points [n, 2] over the backdrop."""
    sheet = Sheet(580, 565, title, note)
    dots(plane.on(sheet), points)
    return sheet.picture()


def dots(axes, points: torch.Tensor, **style) -> None:
    """A cloud of points, or a few marked ones."""
    few = len(points) < 1000
    style = {"s": 24 if few else 3, "color": ORANGE, "alpha": 1 if few else 0.4, "linewidths": 0, **style}
    axes.scatter(*points.detach().cpu().T.numpy(), **style)


def clouds(named: dict[str, torch.Tensor], plane: Plane, title: str, note: str) -> torch.Tensor:
    """A panel of points [n, 2] per name."""
    sheet = Sheet(len(named) * 320, 330, title, note)
    for i, (name, points) in enumerate(named.items()):
        axes = plane.on(sheet, 50 + 320 * i, 20, 250)
        dots(axes, points)
        axes.set_title(name, size=9, color=INK)
    return sheet.picture()


MASSES = (0.99, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1)  # that the regions of a density's contours hold


def contours(log_prob: Callable, plane: Plane, title: str, note: str) -> torch.Tensor:
    """A density in the plane, as the smallest regions that hold given shares of its mass; beside it the true one."""
    panels = {"model": plane.relative(log_prob)} | ({} if plane.density is None else {"truth": plane.truth})
    sheet = Sheet(len(panels) * 400, 390, title, note)
    for i, (name, p) in enumerate(panels.items()):
        axes = plane.on(sheet, 50 + 400 * i, 20, 330, backdrop=False)
        levels = np.unique([level(p, mass) for mass in MASSES])
        axes.contourf(p, levels=[*levels, max(p.max(), levels[-1]) * 1.001], extent=plane.extent, cmap="viridis", extend="neither")
        axes.set_title(name, size=9, color=INK)
    return sheet.picture()


def level(p: np.ndarray, mass: float) -> float:
    """The value of the density, given on an even mesh, above which it holds this share of its mass."""
    largest_first = np.sort(p, axis=None)[::-1]
    held = largest_first.cumsum() / largest_first.sum()
    return largest_first[min(np.searchsorted(held, mass), len(held) - 1)]


def landscape(function: Callable, label: str, clouds: dict[str, torch.Tensor], plane: Plane, title: str, note: str) -> torch.Tensor:
    """A function over the plane as filled contours with a scale, and named clouds of points on it."""
    sheet = Sheet(650, 590, title, note)
    axes = plane.on(sheet, width=500, backdrop=False)
    filled = axes.contourf(plane.values(function), levels=20, extent=plane.extent, cmap="cividis")
    for (name, points), colour in zip(clouds.items(), ("white", ORANGE)):
        dots(axes, points, s=4, color=colour, alpha=0.5, label=name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=2, fontsize=8, markerscale=3, facecolor=GREY, labelcolor="white")
    bar = sheet.figure.colorbar(filled, cax=sheet.axes(565, 4, 14, 500))
    bar.set_label(label, size=9, color=INK)
    bar.ax.tick_params(colors=SOFT, labelsize=8)
    return sheet.picture()


def field(function: Callable, plane: Plane, title: str, note: str, side: int = 24) -> torch.Tensor:
    """A function that gives each point a direction [n, 2], as arrows; of the longest, only the direction is true."""
    sheet = Sheet(580, 565, title, note)
    axes = plane.on(sheet)
    points = plane.mesh(side)
    arrows = function(points).detach().cpu()
    length = arrows.norm(dim=1)
    most = length.quantile(0.8).clamp(min=1e-12)  # far from the data arrows are so long that they would hide all others
    arrows = (arrows / torch.maximum(length, most)[:, None]).numpy()
    cell = max(plane.high[0] - plane.low[0], plane.high[1] - plane.low[1]) / side
    axes.quiver(*points.T.numpy(), *arrows.T, color=ORANGE, angles="xy", scale_units="xy", scale=1 / cell, width=0.0028)
    return sheet.picture()


def on_the_line(x: torch.Tensor, curves: dict[str, Callable], points: dict[str, torch.Tensor], title: str, note: str) -> torch.Tensor:
    """One-dimensional data x [n, 1] as a histogram, other points as outlines, densities p(x) as curves."""
    sheet = Sheet(620, 380, title, note)
    axes = sheet.axes(44, 4, 560, 330)
    low, high = x.min().item(), x.max().item()
    margin = 0.1 * max(high - low, 1e-6)
    low, high = low - margin, high + margin
    line = torch.linspace(low, high, 400)[:, None]
    for i, (name, values) in enumerate({"held-out data": x, **points}.items()):
        values = values.detach().cpu().flatten().numpy()
        share = np.full(len(values), 100 / (len(values) * (high - low)))  # so that points out of range count too
        style = {"histtype": "stepfilled", "color": "#cfcfcf"} if i == 0 else {"histtype": "step", "color": ORANGE, "lw": 1.5}
        axes.hist(values, bins=100, range=(low, high), weights=share, label=name, **style)
    for (name, function), (colour, dash) in zip(curves.items(), ((BLUE, "-"), (INK, ":"))):
        axes.plot(line.flatten().numpy(), function(line).detach().cpu().numpy(), dash, color=colour, lw=2, label=name)
    axes.set(xlabel="x", ylabel="density", xlim=(low, high))
    axes.legend(frameon=False, fontsize=8)
    return sheet.picture()


def components(points: torch.Tensor, weights: torch.Tensor, covariances: torch.Tensor | None, plane: Plane, title: str, note: str):
    """Centres [K, 2] over the backdrop, by size as they weigh, with ellipses of one and two standard deviations."""
    sheet = Sheet(580, 565, title, note)
    axes = plane.on(sheet)
    for k, (point, weight) in enumerate(zip(points.cpu(), weights.cpu())):
        if covariances is not None:
            for deviations in (1, 2):
                outline = ellipse(covariances[k].cpu().numpy(), deviations) + point.numpy()
                axes.plot(*outline.T, color=ORANGE, lw=1.5, alpha=1 / deviations)
        axes.scatter(*point.numpy(), s=20 + 600 * float(weight), color=ORANGE, alpha=0.8, linewidths=0)
        if len(points) <= 30:  # or the numbers would hide one another
            axes.annotate(f"{weight:.0%}", point.numpy(), xytext=(5, 5), textcoords="offset points", size=7.5, color=INK)
    return sheet.picture()


def ellipse(covariance: np.ndarray, deviations: float) -> np.ndarray:
    """Points [100, 2] all around a centre at zero, so many standard deviations away from it."""
    angle = np.linspace(0, 2 * np.pi, 100)
    variances, directions = np.linalg.eigh(covariance)
    return deviations * np.stack([np.cos(angle), np.sin(angle)], 1) * np.sqrt(variances.clip(min=0)) @ directions.T


def blended(points: torch.Tensor, shares: torch.Tensor, plane: Plane, title: str, note: str) -> torch.Tensor:
    """Points [n, 2] in a colour per component, blended by their shares [n, K]; ten colours, then again."""
    from matplotlib.colors import to_rgb

    palette = np.array([to_rgb(CLASSES[k % len(CLASSES)]) for k in range(shares.shape[1])])
    sheet = Sheet(580, 565, title, note)
    axes = plane.on(sheet, backdrop=False)
    axes.scatter(*points.cpu().T.numpy(), s=6, c=(shares.cpu().numpy() @ palette).clip(0, 1), linewidths=0)
    return sheet.picture()


def paths(lines: torch.Tensor, plane: Plane, title: str, note: str) -> torch.Tensor:
    """Curves [n, steps, 2] over the backdrop, each from a light end to a dark one."""
    from matplotlib.collections import LineCollection

    sheet = Sheet(580, 565, title, note)
    axes = plane.on(sheet)
    for line in lines.detach().cpu().numpy():
        pieces = np.stack([line[:-1], line[1:]], 1)
        axes.add_collection(LineCollection(pieces, array=np.linspace(0.3, 1, len(pieces)), cmap="Oranges", clim=(0, 1), lw=1.5))
    return sheet.picture()

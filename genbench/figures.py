"""Pictures of a model at work, by what it can do. Each is an array [height, width, 3] of bytes."""

import io
import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch

from .data import Data, Part
from .model import Model, can
from .seeds import generator

BLUE, ORANGE, PALETTE = "#0072B2", "#D55E00", "tab10"  # Okabe & Ito: told apart by colour-blind readers


@torch.no_grad()
def pictures(model: Model, data: Data, seed: int, title: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The name and the picture of everything that this model can show on this data.

    Noise is the same at every call, so that one sees the same samples improve.
    """
    held_out = data.parts.get("validation", data.parts["test"])
    rng = generator(seed, "pictures", device=data.train.raw.device)
    is_image, is_plane = len(data.space.shape) == 3, data.space.shape in ((1,), (2,))
    if is_image and can(model, "sample"):
        yield "samples", tile(model.sample(64, rng), 8)
    if is_plane and can(model, "sample"):
        points = torch.cat([model.sample(1000, rng) for _ in range(5)])
        yield "samples", scatter(points.cpu(), data, f"{title}\n5,000 samples over the true density")
    if can(model, "encode", "decode"):
        x = held_out.values(slice(0, 32 if is_image else 2000))
        again = model.decode(model.encode(x))
        if is_image:
            yield "reconstructions", tile(_above(x, again, 8), 8)
        elif is_plane:
            yield "reconstructions", scatter(again.cpu(), data, f"{title}\n{len(x):,} held-out points reconstructed")
    if can(model, "encode"):
        codes, y = _codes(model, held_out)
        if codes.is_floating_point() and codes.shape[1:] == (2,):
            yield "codes", code_map(codes.cpu(), None if y is None else y.cpu(), f"{title}\ncodes of {len(codes):,} held-out points")


def _codes(model: Model, part: Part, limit: int = 5000):
    batches = [(model.encode(x), y) for x, y in part.first(limit).batches(1000)]
    ys = [y for _, y in batches]
    return torch.cat([z for z, _ in batches]), None if ys[0] is None else torch.cat(ys)


def _above(top: torch.Tensor, bottom: torch.Tensor, columns: int) -> torch.Tensor:
    """Rows of `top` each followed by the matching row of `bottom`."""
    return torch.cat([t for pair in zip(top.split(columns), bottom.split(columns)) for t in pair])


def tile(images: torch.Tensor, columns: int, gap: int = 2, least: int = 400) -> torch.Tensor:
    """Images [n, channels, height, width] in [0, 1] as one picture, enlarged by a whole factor to `least` pixels wide."""
    images = images.detach().float().cpu().clamp(0, 1)
    n, channels, height, width = images.shape
    images = images.expand(n, 3, height, width) if channels == 1 else images
    rows = math.ceil(n / columns)
    zoom = max(1, math.ceil(least / (columns * width)))
    images = images.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
    high, wide = height * zoom + gap, width * zoom + gap
    canvas = torch.full((3, rows * high + gap, columns * wide + gap), 0.5)
    for i, image in enumerate(images):
        top, left = gap + (i // columns) * high, gap + (i % columns) * wide
        canvas[:, top : top + height * zoom, left : left + width * zoom] = image
    return (canvas * 255).round().byte().permute(1, 2, 0)


def scatter(points: torch.Tensor, data: Data, title: str) -> torch.Tensor:
    """Points over the true density in the plane; in one dimension a histogram under the true curve."""
    low, high = (edge.tolist() for edge in _extent(data))
    figure, axes = _axes(title)
    if data.space.shape == (1,):
        line = torch.linspace(low[0], high[0], 400)
        curve = data.density.log_prob(line[:, None]).exp()
        share = np.full(len(points), 100 / (len(points) * (high[0] - low[0])))  # so that samples out of range count too
        axes.hist(points[:, 0].numpy(), bins=100, range=(low[0], high[0]), weights=share, color=ORANGE, alpha=0.6)
        axes.plot(line.numpy(), curve.numpy(), color=BLUE, lw=2)
        axes.set(xlabel="x", ylabel="density")
        return _render(figure)
    if data.density is not None:
        shade = _shade(data.density, tuple(low), tuple(high))
        axes.imshow(shade, origin="lower", extent=(low[0], high[0], low[1], high[1]), cmap="Blues", aspect="auto")
    few = len(points.unique(dim=0)) < 1000  # such as the centres of clusters
    axes.scatter(*points.T.numpy(), s=24 if few else 2, color=ORANGE, alpha=1 if few else 0.4, linewidths=0)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="$x_1$", ylabel="$x_2$")
    axes.set_aspect("equal")
    return _render(figure)


@lru_cache(maxsize=2)  # every picture of a run has the same
def _shade(density, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """The density on a grid of 200 by 200; its fourth root, which shows narrow modes and wide ones in one picture."""
    plane = torch.cartesian_prod(*[torch.linspace(a, b, 200) for a, b in zip(low, high)])
    return (density.log_prob(plane).exp().reshape(200, 200).T ** 0.25).numpy()


def code_map(codes: torch.Tensor, y: torch.Tensor | None, title: str) -> torch.Tensor:
    """Two-dimensional codes, coloured by class where there are labels."""
    figure, axes = _axes(title)
    colours = {"c": BLUE} if y is None else {"c": y.numpy(), "cmap": PALETTE}
    dots = axes.scatter(*codes.T.numpy(), s=24 if len(codes) < 1000 else 5, linewidths=0, **colours)
    if y is not None and len(y.unique()) <= 10:
        axes.legend(*dots.legend_elements(), title="class", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.set(xlabel="$z_1$", ylabel="$z_2$")
    axes.set_aspect("equal", adjustable="datalim")
    return _render(figure)


def _extent(data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.cat([part.first(10_000).values().cpu() for part in data.parts.values()])
    low, high = x.amin(0), x.amax(0)
    margin = 0.1 * (high - low).clamp(min=1e-6)
    return low - margin, high + margin


def _axes(title: str):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _render(figure) -> torch.Tensor:
    figure.canvas.draw()
    return torch.from_numpy(np.array(figure.canvas.buffer_rgba())[..., :3])


def png(picture: torch.Tensor) -> bytes:
    """A picture [height, width, 3] as the bytes of a PNG file."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture.numpy()).save(out, "png")
    return out.getvalue()

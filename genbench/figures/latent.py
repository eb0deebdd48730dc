"""Pictures of codes, and of what lies between and around them."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from genbench.figures import images, plane, vectors, waves
from genbench.figures.reconstructions import decoded, first_of
from genbench.figures.scene import Scene
from genbench.model import Model, supports

FEWEST_CODES = 3  # of which a scatter or a histogram shows anything
MOST_LATENTS = 16  # in a picture
MOST_STEPS = {"images": 50, "plane": 200}  # of a line in a picture, by the kind of the data
MOST_PATHS = 1000  # in a picture of the plane


def encoded(
    scene: Scene, model: Model, limit: int = 5000
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Codes [n, d] of held-out points, and their labels."""
    part = scene.held_out.spread(limit)
    return torch.cat([model.conditioned_on(y).encode(x) for x, y in part.batches(1000)]), part.y


def principal(z: torch.Tensor) -> tuple[Callable[[torch.Tensor], torch.Tensor], list[str]]:
    """A map of codes [n, d] to at most two dimensions, their own or the first two principal
    directions of `z`.
    """
    if z.shape[1] <= 2:
        return lambda codes: codes, [f"$z_{i + 1}$" for i in range(z.shape[1])]
    z = z.cpu().double()  # which Apple's GPUs lack
    mean = z.mean(0)
    _, spread, directions = torch.linalg.svd(z - mean, full_matrices=False)
    shares = spread**2 / spread.square().sum().clamp(min=1e-300)
    names = [
        f"{i} principal direction of the codes ({share:.0%} of their variance)"
        for i, share in zip(("first", "second"), shares)
    ]
    return lambda codes: (codes.cpu().double() - mean) @ directions[:2].T, names


def show_codes(scene: Scene, model: Model) -> torch.Tensor | None:
    if model.latent_dim is None or len(scene.held_out) < FEWEST_CODES:
        return None
    z, y = encoded(scene, model)
    project, names = principal(z)
    drawn = project(model.codes(2000, scene.rng("prior"))) if supports(model, "codes") else None
    note = f"codes of {len(z):,} {scene.part} points"
    if drawn is not None:
        note += f"; grey: 2,000 draws from {model.source_of_codes}"
    return vectors.scatter(project(z), y, scene.data.called, drawn, names, scene.page(note))


def show_interpolation(
    scene: Scene, model: Model, pairs: int = 6, steps: int = 9
) -> torch.Tensor | None:
    if model.latent_dim is None or len(scene.held_out) < 2:
        return None
    x, _, points = interpolated(scene, model, min(pairs, len(scene.held_out) // 2), steps)
    return draw_interpolation(scene, x, points, model.conditional)


def interpolated(
    scene: Scene, model: Model, pairs: int, steps: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pairs of points [n, 2, *shape], straight lines between their codes [n, steps, d], and what
    those are decoded to.
    """
    parts = [
        scene.conditioned(model, min(scene.block, 2 * pairs - start), start)
        for start in range(0, 2 * pairs, scene.block)
    ]
    x, z = (torch.cat(some) for some in zip(*((part, given.encode(part)) for part, given in parts)))
    t = torch.linspace(0, 1, steps, device=z.device)[:, None]
    lines = [(1 - t) * a + t * b for a, b in zip(z[::2], z[1::2])]
    # A conditional model needs one class for all of a line: that of the point it starts at.
    first = [scene.conditioned(model, 1, start=2 * i)[1] for i in range(pairs)]
    points = [decoded(scene, start, line) for start, line in zip(first, lines)]
    return x.unflatten(0, (pairs, 2)), torch.stack(lines), torch.stack(points)


def draw_interpolation(
    scene: Scene, pairs: torch.Tensor, points: torch.Tensor, conditional: bool = False
) -> torch.Tensor | None:
    """What lies [n, steps, *shape] between pairs of points [n, 2, *shape], the ends of which are
    their reconstructions; of a conditional model, whose lines keep the class they start with,
    only the first ends are.
    """
    lines = f"straight lines between the codes of two {scene.part} points"
    points, some = _spread_steps(points, scene.kind)
    lines = f"{some}{lines}"
    if scene.kind == "images":
        steps = points.shape[1]
        last = "end" if conditional else "reconstructed"
        headings = ["original", "reconstructed", *[""] * (steps - 2), last, "original"]
        room = images.fitting(pairs, images.zoom_below(headings, pairs)) // (steps + 2)
        shown = min(len(pairs), max(1, room))
        rows = {
            f"pair {i + 1}": torch.cat([pairs[i, :1], points[i], pairs[i, 1:]])
            for i in range(shown)
        }
        note = _first_lines(shown, len(pairs), lines)
        if conditional:
            note += "; a line keeps the class of its first point"
        return images.labelled_rows(rows, scene.page(note), headings, flanks=1)
    if scene.kind == "plane":
        shown = min(len(pairs), MOST_PATHS)
        note = _first_lines(shown, len(pairs), lines)
        page = scene.page(f"{note}; dotted: from the points to their reconstructions")
        return plane.draw_paths(points[:shown], scene.plane, page, pairs[:shown])
    if scene.kind == "signals":
        captions = [f"pair {i + 1}" for i in range(len(points))]
        return waves.fans(points, scene.page(f"{lines}, from dark to light"), captions)
    return None


def _first_lines(shown: int, of: int, lines: str) -> str:
    """What a picture shows of so many lines: their number is said if it has no room for all."""
    return lines if shown == of else first_of(shown, of, f"{of:,} {lines}")


def _spread_steps(points: torch.Tensor, kind: str) -> tuple[torch.Tensor, str]:
    """What a picture shows of lines of points [n, steps, *shape]: evenly spread steps, the ends
    among them; and how many, if not all.
    """
    steps = points.shape[1]
    most = MOST_STEPS.get(kind, steps)
    if steps <= most:
        return points, ""
    at = torch.linspace(0, steps - 1, most).round().long()
    return points[:, at.to(points.device)], f"{most:,} of {steps:,} steps of "


def usual_codes(scene: Scene, model: Model) -> tuple[torch.Tensor, str]:
    """The codes [n, d] that this model decodes, and whose they are: those it generates from, else
    the data's.
    """
    if supports(model, "codes"):
        return model.codes(5000, scene.rng("usual codes")), model.source_of_codes
    return encoded(scene, model)[0], f"the codes of {scene.part} data"


def show_traversal(scene: Scene, model: Model, steps: int = 9) -> torch.Tensor | None:
    if model.latent_dim is None:
        return None
    cloud, whose = usual_codes(scene, model)
    low, high = torch.quantile(cloud, torch.tensor([0.01, 0.99]).to(cloud), dim=0)
    found = traversed(scene, model, cloud, low, high, steps, MOST_LATENTS)
    return draw_traversal(scene, found, f"the 1st to the 99th percentile of {whose}")


class Traversal(NamedTuple):
    """The numbers of k latents, codes [k, steps, d] that move each of them in turn, what those are
    decoded to, and where the other latents are meanwhile.
    """

    latents: torch.Tensor
    codes: torch.Tensor
    points: torch.Tensor
    others: str


def traversed(
    scene: Scene,
    model: Model,
    cloud: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
    steps: int,
    most: int | None = None,
) -> Traversal:
    """Moves latents from `low` to `high` [d], at most so many, the widest, in order; the others are
    as in the first point or, without an encoder, at the means of the cloud of codes [n, d].
    """
    latents = widest(high - low, most)
    x, given = scene.conditioned(model, 1)
    encoding = supports(model, "encode")
    start = given.encode(x)[0] if encoding else cloud.mean(0)
    codes = start.repeat(len(latents), steps, 1)
    for line, i in zip(codes, latents.tolist()):
        line[:, i] = torch.linspace(low[i].item(), high[i].item(), steps)
    points = torch.stack([decoded(scene, given, line) for line in codes])
    return Traversal(
        latents,
        codes,
        points,
        f"as in the first {scene.part} point" if encoding else "at their means",
    )


def widest(widths: torch.Tensor, most: int | None) -> torch.Tensor:
    """The places of the largest widths, in order."""
    return widths.argsort(descending=True)[:most].sort().values


def draw_traversal(scene: Scene, found: Traversal, reach: str) -> torch.Tensor | None:
    """What the latents do, of many the widest ones, as each is moved over its `reach`."""
    dimensions = found.codes.shape[2]
    points, some = _spread_steps(found.points, scene.kind)
    most = (
        min(MOST_LATENTS, max(1, images.fitting(points) // points.shape[1]))
        if scene.kind == "images"
        else MOST_LATENTS
    )
    chosen = widest((found.codes[:, -1] - found.codes[:, 0]).amax(1), most)
    every = (
        "each latent"
        if len(chosen) == dimensions
        else f"each of the {len(chosen)} widest of {dimensions} latents"
    )
    page = scene.page(f"{some}{every} from {reach}, the others {found.others}")
    if scene.kind == "images":
        return images.labelled_rows(
            {f"z{found.latents[i] + 1}": points[i] for i in chosen.tolist()}, page
        )
    if scene.kind == "signals":
        captions = [f"z{found.latents[i] + 1}, from dark to light" for i in chosen.tolist()]
        return waves.fans(points[chosen], page, captions)
    return plane.draw_paths(points[chosen], scene.plane, page) if scene.kind == "plane" else None


def show_manifold(scene: Scene, model: Model, side: int = 16) -> torch.Tensor | None:
    if model.latent_dim != 2:
        return None
    cloud, whose = usual_codes(scene, model)
    # Quantiles, so that each image stands for the same share of the codes.
    at = torch.linspace(0.5 / side, 1 - 0.5 / side, side).to(cloud)
    first, second = torch.quantile(cloud[:, 0], at), torch.quantile(cloud[:, 1], at).flip(0)
    z = torch.stack(torch.meshgrid(first, second, indexing="xy"), -1).flatten(0, 1)
    points = scene.conditioned(model, 1)[1].decode(z)
    page = scene.page(
        f"decoded from {side} x {side} quantiles of {whose}: "
        "$z_1$ grows to the right, $z_2$ upwards"
    )
    if scene.kind == "images":
        return images.image_grid(points, page, columns=side, wide=900)
    mesh = points.unflatten(0, (side, side))
    return plane.draw_paths(torch.cat([mesh, mesh.transpose(0, 1)]), scene.plane, page)

"""What is shown of a model at work, by what it can do and by what it returns; `plots` and `planes` draw it.

A figure is one function `(viewer, model) -> picture`, or None where it does not apply, listed by `@figure` with the
abilities that it needs. What a model alone can show it returns from `views`, as data of a kind that `VIEWS` can draw.
What can also be asked of a finished run (`generate`) is computed by one function, as arrays, and drawn by another.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from genbench.data.types import Data
from genbench.figures import planes, plots
from genbench.figures.canvas import THEMES, Page
from genbench.model import Model, supports
from genbench.utils import signals
from genbench.utils.rng import generator
from genbench.utils.text import counted

FIGURES: list[tuple[tuple[str, ...], tuple[str, ...], bool, Callable]] = []
Picture = torch.Tensor | None


def figure(*needs: str, of: tuple[str, ...], throughout: bool = False):
    """List a function as a figure of every model with these abilities, on data of these kinds: at the end of the
    training, or `throughout`."""

    def listed(function):
        FIGURES.append((needs, of, throughout, function))
        return function

    return listed


class FigureRenderer:
    """Looks at models trained on one dataset, always at the same points and with the same noise, so that one sees the
    same samples improve.

    `title` says whose pictures these are, `part` which points it looks at, `theme` and `upscaling` how they look.
    """

    def __init__(
        self,
        data: Data,
        seed: int,
        title: str,
        part: str = "",
        theme: str = "light",
        upscaling: str = "bicubic",
    ):
        self.data, self.seed, self.title, self.upscaling = data, seed, title, upscaling
        self.theme = THEMES[theme]
        self.part = part or ("validation" if "validation" in data.splits else "test")
        self.held_out = data.splits[self.part]
        shape = data.spec.shape
        self.kind = (
            "images" if len(shape) == 3 else {(1,): "line", (2,): "plane"}.get(shape, "vectors")
        )
        if self.kind == "plane":
            seen = torch.cat([part.first(10_000).values().cpu() for part in data.splits.values()])
            self.plane = planes.Plane(seen, data.density)

    @torch.no_grad()
    def watched(self, model: Model, epoch: int) -> Iterator[tuple[str, torch.Tensor]]:
        """The name and the picture of what one watches as this model trains."""
        yield from self._figures(model, epoch, throughout=True)

    @torch.no_grad()
    def finished(self, model: Model, epoch: int) -> Iterator[tuple[str, torch.Tensor]]:
        """The name and the picture of everything else that this model can show."""
        yield from self._figures(model, epoch, throughout=False)
        for name, view in model.views(self.points(2000), self.rng("views")).items():
            picture = VIEWS[view.kind](self, model, self.page(view.note), **view.data)
            if picture is not None:
                yield name, picture

    def _figures(
        self, model: Model, epoch: int, throughout: bool
    ) -> Iterator[tuple[str, torch.Tensor]]:
        self.at(epoch)
        for needs, kinds, listed, function in FIGURES:
            if listed == throughout and self.kind in kinds and supports(model, *needs):
                picture = function(self, model)
                if picture is not None:
                    yield function.__name__, picture

    @torch.no_grad()
    def projection(
        self, model: Model, n: int = 1024
    ) -> tuple[torch.Tensor, list[str] | None, torch.Tensor | None] | None:
        """Codes [n, d] of held-out points with their labels and, if they are images, the images; None without codes."""
        if not supports(model, "encode") or model.latent_dim is None:
            return None
        z, y = encoded(self, model, n)
        labels = None if y is None else [self.data.called(label) for label in y.tolist()]
        return z, labels, self.points(n) if self.kind == "images" else None

    def at(self, epoch: int) -> None:
        """Look at a model as it was after so many epochs."""
        self.when = f"after {counted(epoch, 'epoch')}"

    def rng(self, purpose: str) -> torch.Generator:
        """The same noise at every call, for one purpose."""
        return generator(self.seed, "pictures", purpose, device=self.held_out.raw.device)

    def points(self, n: int) -> torch.Tensor:
        """The first n held-out points."""
        return self.held_out.values(slice(0, n))

    def shown(self, model: Model, n: int, start: int = 0):
        """n held-out points from one on, and the model given their labels."""
        at = slice(start, start + n)
        return self.held_out.values(at), model.conditioned_on(
            None if self.held_out.y is None else self.held_out.y[at]
        )

    def page(self, text: str) -> Page:
        """The page of a picture that shows this: what, of which model, and when."""
        return Page(self.title, f"{text}, {self.when}", self.theme, self.upscaling)


# --- samples and densities ------------------------------------------------------------------------------------


@figure("sample", of=("vectors",))
@figure("sample", of=("images", "plane", "line"), throughout=True)
def samples(v: FigureRenderer, model: Model) -> Picture:
    rng = v.rng("samples")
    size, times = {"images": (64, 1), "vectors": (500, 1)}.get(v.kind, (1000, 5))
    drawn = torch.cat([model.sample(size, rng) for _ in range(times)])
    if v.kind == "images" and supports(model, "encode", "decode"):
        return draw_samples(v, drawn, again=reconstructed(v, model, 8))
    return draw_samples(v, drawn)


def draw_samples(
    v: FigureRenderer,
    samples: torch.Tensor,
    of: str = "",
    again: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> Picture:
    """Points [n, *shape] that a model drew; `of` says more of them, such as their class.

    Below images stand a few originals and their reconstructions, if there are any: `again`.
    """
    many = f"{counted(len(samples), 'sample')}{of}"
    if v.kind == "images":
        shown = samples[: plots.fitting(samples)]
        many = _first(len(shown), len(samples), many)
        columns = min(len(shown), max(8, math.ceil(len(shown) ** 0.5)))
        rows = [plots.Row(images) for images in shown.split(columns)]
        if again is None:
            return plots.mosaic(rows, v.page(many), plots.zoom_to(shown, columns))
        heading = f"{len(again[0])} {v.part} images, each above its reconstruction"
        rows += plots.pairs(*again, columns, heading)
        return plots.mosaic(
            rows, v.page(f"{many}; below: reconstructions"), plots.zoom_to(shown, columns)
        )
    if v.kind == "plane":
        return planes.cloud(samples, v.plane, v.page(f"{many} over {v.plane.backdrop}"))
    if v.kind == "line":
        return planes.on_the_line(
            v.points(5000).cpu(), _truth(v), {"samples": samples}, v.page(many)
        )
    data = v.data.train.spread(len(samples)).values()
    features = widest(data.std(0, correction=0), MOST_FEATURES).tolist()
    which = (
        ""
        if len(features) == v.data.spec.size
        else f"the {len(features)} features of most variance of "
    )
    note = f"{which}{many} and {len(data):,} training points"
    return plots.pair_plot(data, samples, features, v.page(note))


MOST_FEATURES = 4  # in a pair plot
BLOCK = 1000  # points that a model is asked about together


def _first(shown: int, of: int, what: str) -> str:
    """What a picture shows, if it has no room for all."""
    return what if shown == of else f"the first {shown:,} of {what}"


@figure("log_prob", of=("plane", "line"))
def density(v: FigureRenderer, model: Model) -> Picture:
    if model.log_prob_kind != "exact":
        return None  # a bound on a density is none
    device = v.held_out.raw.device

    def log_prob(x):
        return model.log_prob(x.to(device)).cpu()

    if v.kind == "plane":
        masses = ", ".join(f"{100 * m:g}" for m in reversed(planes.MASSES))
        return planes.contours(
            log_prob, v.plane, v.page(f"the smallest regions that hold {masses} % of the density")
        )
    curves = {"model": lambda x: log_prob(x).exp(), **_truth(v)}
    return planes.on_the_line(
        v.points(5000).cpu(), curves, {}, v.page("the fitted density over the data")
    )


@figure("score", of=("plane",))
def score(v: FigureRenderer, model: Model) -> Picture:
    device = v.held_out.raw.device
    return planes.field(
        lambda x: model.score(x.to(device)),
        v.plane,
        v.page("the score, the direction in which points get likelier"),
    )


def _truth(v: FigureRenderer) -> dict[str, Callable]:
    return {} if v.data.density is None else {"truth": lambda x: v.data.density.log_prob(x).exp()}


# --- reconstructions and codes --------------------------------------------------------------------------------


@figure("encode", "decode", of=("vectors",))
@figure("encode", "decode", of=("images", "plane"), throughout=True)
def reconstructions(v: FigureRenderer, model: Model) -> Picture:
    return draw_reconstructions(v, *reconstructed(v, model, 2000 if v.kind == "plane" else 32))


def reconstructed(v: FigureRenderer, model: Model, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """At most n points [n, *shape], and what becomes of them when they are encoded and decoded."""
    parts, n = [], min(n, len(v.held_out))
    for start in range(0, n, BLOCK):
        signals.check()
        x, given = v.shown(model, min(BLOCK, n - start), start)
        parts.append((x, given.decode(given.encode(x))))
    x, again = (torch.cat(some) for some in zip(*parts))
    return x, again


def _decoded(given: Model, z: torch.Tensor) -> torch.Tensor:
    """The points [n, *shape] of codes z [n, d], a block at a time."""
    parts = []
    for part in z.split(BLOCK):
        signals.check()
        parts.append(given.decode(part))
    return torch.cat(parts)


def draw_reconstructions(
    v: FigureRenderer, originals: torch.Tensor, again: torch.Tensor
) -> Picture:
    """Points [n, *shape] and their reconstructions."""
    many = f"{len(originals):,} {v.part}"
    if v.kind == "images":
        shown = min(len(originals), max(1, plots.fitting(originals) // 2))
        columns = min(shown, max(8, math.ceil((2 * shown) ** 0.5)))
        page = v.page(
            _first(shown, len(originals), f"{many} images, each above its reconstruction")
        )
        rows = plots.pairs(originals[:shown], again[:shown], columns)
        return plots.mosaic(rows, page, plots.zoom_to(originals, columns))
    if v.kind == "plane":
        return planes.cloud(
            again,
            v.plane,
            v.page(f"{many} {'point' if len(originals) == 1 else 'points'} reconstructed"),
        )
    if v.kind == "vectors":
        page = v.page(
            f"the first {min(len(originals), MOST_PROFILES)} {v.part} points and their reconstructions"
        )
        return _profiles(v, page, original=originals, reconstructed=again)
    return None


def _profiles(v: FigureRenderer, page: Page, **named: torch.Tensor) -> Picture:
    """The first of vectors [n, D] by name, the n-th of each belonging together."""
    first = {name.replace("_", " "): _standard(v, x[:MOST_PROFILES]) for name, x in named.items()}
    return plots.profiles(first, page._replace(note=f"{page.note}; in {STANDARD}"))


def _standard(v: FigureRenderer, x: torch.Tensor) -> torch.Tensor:
    """Vectors [n, D] in standard deviations from the mean of the held-out data, so that any features can share an axis."""
    data = v.held_out.spread(5000).values()
    spread = data.std(0, correction=0)
    return (x - data.mean(0)) / torch.where(spread > 0, spread, 1.0)


MOST_PROFILES = 6  # points in a picture of vectors
STANDARD = "standard deviations from the mean"


def encoded(
    v: FigureRenderer, model: Model, limit: int = 5000
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Codes [n, d] of held-out points, and their labels."""
    part = v.held_out.spread(limit)
    return torch.cat([model.conditioned_on(y).encode(x) for x, y in part.batches(1000)]), part.y


def principal(z: torch.Tensor) -> tuple[Callable[[torch.Tensor], torch.Tensor], list[str]]:
    """A map of codes [n, d] to at most two dimensions, their own or the first two principal directions of `z`."""
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


@figure("encode", of=("images", "plane", "line", "vectors"))
def codes(v: FigureRenderer, model: Model) -> Picture:
    if model.latent_dim is None or len(v.held_out) < FEWEST_CODES:
        return None
    z, y = encoded(v, model)
    project, names = principal(z)
    drawn = project(model.codes(2000, v.rng("prior"))) if supports(model, "codes") else None
    note = f"codes of {len(z):,} {v.part} points{f'; grey: 2,000 draws from {model.source_of_codes}' if drawn is not None else ''}"
    return plots.codes(project(z), y, v.data.called, drawn, names, v.page(note))


@figure("encode", "decode", of=("images", "plane"))
def interpolation(v: FigureRenderer, model: Model, pairs: int = 6, steps: int = 9) -> Picture:
    if model.latent_dim is None or len(v.held_out) < 2:
        return None
    x, _, points = interpolated(v, model, min(pairs, len(v.held_out) // 2), steps)
    return draw_interpolation(v, x, points, model.conditional)


def interpolated(
    v: FigureRenderer, model: Model, pairs: int, steps: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pairs of points [n, 2, *shape], straight lines between their codes [n, steps, d], and what those are decoded to."""
    parts = [
        v.shown(model, min(BLOCK, 2 * pairs - start), start) for start in range(0, 2 * pairs, BLOCK)
    ]
    x, z = (torch.cat(some) for some in zip(*((part, given.encode(part)) for part, given in parts)))
    t = torch.linspace(0, 1, steps, device=z.device)[:, None]
    lines = [(1 - t) * a + t * b for a, b in zip(z[::2], z[1::2])]
    # A conditional model needs one class for all of a line: that of the point it starts at.
    first = [v.shown(model, 1, start=2 * i)[1] for i in range(pairs)]
    points = [_decoded(start, line) for start, line in zip(first, lines)]
    return x.unflatten(0, (pairs, 2)), torch.stack(lines), torch.stack(points)


def draw_interpolation(
    v: FigureRenderer, pairs: torch.Tensor, points: torch.Tensor, conditional: bool = False
) -> Picture:
    """What lies [n, steps, *shape] between pairs of points [n, 2, *shape], the ends of which are their reconstructions;
    of a conditional model, whose lines keep the class they start with, only the first ends are."""
    lines = f"straight lines between the codes of two {v.part} points"
    if v.kind == "images":
        steps = points.shape[1]
        shown = min(len(pairs), max(1, plots.fitting(pairs) // (steps + 2)))
        rows = {
            f"pair {i + 1}": torch.cat([pairs[i, :1], points[i], pairs[i, 1:]])
            for i in range(shown)
        }
        note = _first(shown, len(pairs), f"{len(pairs):,} {lines}") if shown < len(pairs) else lines
        if conditional:
            note += "; a line keeps the class of its first point"
        last = "end" if conditional else "reconstructed"
        headings = ["original", "reconstructed", *[""] * (steps - 2), last, "original"]
        return plots.rows(rows, v.page(note), headings, flanks=1)
    if v.kind == "plane":
        page = v.page(f"{lines}; dotted: from the points to their reconstructions")
        return planes.paths(points, v.plane, page, pairs)
    return None


def usual_codes(v: FigureRenderer, model: Model) -> tuple[torch.Tensor, str]:
    """The codes [n, d] that this model decodes, and whose they are: those it generates from, else the data's."""
    if supports(model, "codes"):
        return model.codes(5000, v.rng("usual codes")), model.source_of_codes
    return encoded(v, model)[0], f"the codes of {v.part} data"


@figure("decode", of=("images", "plane"))
def traversal(v: FigureRenderer, model: Model, steps: int = 9) -> Picture:
    if model.latent_dim is None:
        return None
    cloud, whose = usual_codes(v, model)
    low, high = torch.quantile(cloud, torch.tensor([0.01, 0.99]).to(cloud), dim=0)
    found = traversed(v, model, cloud, low, high, steps, MOST_LATENTS)
    return draw_traversal(v, found, f"the 1st to the 99th percentile of {whose}")


FEWEST_CODES = 3  # of which a scatter or a histogram shows anything
MOST_LATENTS = 16  # in a picture


class Traversal(NamedTuple):
    """The numbers of k latents, codes [k, steps, d] that move each of them in turn, what those are decoded to, and where
    the other latents are meanwhile."""

    latents: torch.Tensor
    codes: torch.Tensor
    points: torch.Tensor
    others: str


def traversed(
    v: FigureRenderer,
    model: Model,
    cloud: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
    steps: int,
    most: int | None = None,
):
    """Moves latents from `low` to `high` [d], at most so many, the widest, in order; the others are as in the first point
    or, without an encoder, at the means of the cloud of codes [n, d]."""
    latents = widest(high - low, most)
    x, given = v.shown(model, 1)
    encoding = supports(model, "encode")
    start = given.encode(x)[0] if encoding else cloud.mean(0)
    codes = start.repeat(len(latents), steps, 1)
    for line, i in zip(codes, latents.tolist()):
        line[:, i] = torch.linspace(low[i].item(), high[i].item(), steps)
    points = torch.stack([_decoded(given, line) for line in codes])
    return Traversal(
        latents, codes, points, f"as in the first {v.part} point" if encoding else "at their means"
    )


def widest(widths: torch.Tensor, most: int | None) -> torch.Tensor:
    """The places of the largest widths, in order."""
    return widths.argsort(descending=True)[:most].sort().values


def draw_traversal(v: FigureRenderer, found: Traversal, reach: str) -> Picture:
    """What the latents do, the widest ones where there are many, as each is moved over its `reach`."""
    _, steps, dimensions = found.codes.shape
    most = (
        min(MOST_LATENTS, max(1, plots.fitting(found.points) // steps))
        if v.kind == "images"
        else MOST_LATENTS
    )
    chosen = widest((found.codes[:, -1] - found.codes[:, 0]).amax(1), most)
    every = (
        "each latent"
        if len(chosen) == dimensions
        else f"each of the {len(chosen)} widest of {dimensions} latents"
    )
    page = v.page(f"{every} from {reach}, the others {found.others}")
    if v.kind == "images":
        return plots.rows(
            {f"z{found.latents[i] + 1}": found.points[i] for i in chosen.tolist()}, page
        )
    return planes.paths(found.points[chosen], v.plane, page) if v.kind == "plane" else None


@figure("decode", of=("images", "plane"))
def manifold(v: FigureRenderer, model: Model, side: int = 16) -> Picture:
    if model.latent_dim != 2:
        return None
    cloud, whose = usual_codes(v, model)
    # Quantiles, so that each image stands for the same share of the codes.
    at = torch.linspace(0.5 / side, 1 - 0.5 / side, side).to(cloud)
    first, second = torch.quantile(cloud[:, 0], at), torch.quantile(cloud[:, 1], at).flip(0)
    z = torch.stack(torch.meshgrid(first, second, indexing="xy"), -1).flatten(0, 1)
    decoded = v.shown(model, 1)[1].decode(z)
    page = v.page(
        f"decoded from {side} x {side} quantiles of {whose}: $z_1$ grows to the right, $z_2$ upwards"
    )
    if v.kind == "images":
        return plots.grid(decoded, page, columns=side, wide=900)
    mesh = decoded.unflatten(0, (side, side))
    return planes.paths(torch.cat([mesh, mesh.transpose(0, 1)]), v.plane, page)


# --- what a model returns -------------------------------------------------------------------------------------


def _images(v, model, page, images, captions=(), signed=False):
    if v.kind == "images":
        return plots.grid(images, page, captions, signed, wide=600)
    if v.kind == "vectors" and len(images):
        labels = list(captions or (str(i + 1) for i in range(len(images))))
        return plots.loadings(images, labels, page, "loading")
    return None


def _rows(v, model, page, **named):
    spaced = {name.replace("_", " "): x for name, x in named.items()}
    if v.kind == "images":
        return plots.rows({name: x[:10] for name, x in spaced.items()}, page)
    if v.kind == "vectors":
        return _profiles(v, page, **named)
    return planes.clouds(spaced, v.plane, page) if v.kind == "plane" else None


def _spectrum(v, model, page, shares, kept):
    return plots.spectrum(shares, kept, page)


def _histograms(v, model, page, **panels):
    return plots.histograms({name.replace("_", " "): panel for name, panel in panels.items()}, page)


def _components(v, model, page, points, weights, covariances=None, called="component"):
    if v.kind == "plane":
        return planes.components(points, weights, covariances, v.plane, page)
    heaviest = weights.argsort(descending=True)[:64]
    captions = [f"{called} {k + 1}, {weights[k]:.1%}" for k in heaviest.tolist()]
    if v.kind == "images":
        return plots.grid(points[heaviest], page, captions, wide=600)
    if v.kind == "vectors":
        return plots.loadings(_standard(v, points[heaviest]), captions, page, STANDARD)
    return None


def _memberships(v, model, page, x, shares):
    if v.kind == "plane":
        return planes.blended(x, shares, v.plane, page)
    return plots.memberships(x[:16] if v.kind == "images" else None, shares[:16], page)


def _landscape(v, model, page, function, label):
    if v.kind != "plane":
        return None
    device = v.held_out.raw.device
    clouds = {f"{v.part} data": v.points(1000), "samples": model.sample(1000, v.rng("landscape"))}
    return planes.landscape(lambda x: function(x.to(device)), label, clouds, v.plane, page)


VIEWS: dict[str, Callable[..., Picture]] = {
    "images": _images,  # images [n, ...], with captions or none, signed or in [0, 1]
    "rows": _rows,  # by name, equally many points each, the n-th of all belonging together
    "spectrum": _spectrum,  # shares [D] of the variance, of which the first `kept` are the model's
    "histograms": _histograms,  # by name, (values, a value that is wanted or None)
    "components": _components,  # points [K, ...] of these weights [K], perhaps covariances [K, D, D], and what one is called
    "memberships": _memberships,  # shares [n, K] of points x [n, ...]
    "landscape": _landscape,  # a function of points that the data and the samples are judged by
}

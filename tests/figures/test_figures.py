"""Figures: that each is drawn where it applies, and that what it shows is true."""

import io

import numpy as np
import pytest
import torch
from helpers.configs import Nowhere, built, config_of, small_config, suited
from PIL import Image

from genbench.config.declarations import typed
from genbench.data.loading import load_data
from genbench.data.types import Data, DataSpec, Split
from genbench.figures import (
    curves,
    latent,
    mixtures,
    plane,
    reconstructions,
    samples,
    vectors,
    visualizations,
    waves,
)
from genbench.figures import images as pictures
from genbench.figures.canvas import CLASSES, DARK, MARGIN, THEMES, Canvas, Page
from genbench.figures.files import animation, png
from genbench.figures.renderer import FigureRenderer
from genbench.model import Model, supports
from genbench.notebook import pictures_of
from genbench.settings.groups import LatentSettings
from genbench.training.loop import fit_model
from genbench.utils.rng import generator
from genbench.visualizations import Distribution, MixtureComponents

pytestmark = pytest.mark.usefixtures("drawn")

CPU = torch.device("cpu")


def trained(config, data):
    model = built(config, data)
    fit_model(model, data, Nowhere(), typed(config))
    model.fit_posthoc(data.train, seed=0)
    return model


def shown(model, data):
    """Everything that is drawn of a model, by name."""
    viewer = FigureRenderer(data, 0, "the title")
    return dict(viewer.watched(model, 1)) | dict(viewer.finished(model, 1))


def made(*shape, labels=True):
    """Random data of any shape."""
    rng = generator(0)

    def part(n):
        return Split(
            torch.rand(n, *shape, generator=rng),
            torch.randint(3, (n,), generator=rng) if labels else None,
        )

    return Data(
        "made",
        {"train": part(60), "validation": part(40), "test": part(10)},
        DataSpec(shape, unit=True, classes=3 if labels else 0),
    )


def one_held_out(data):
    return data._replace(splits=data.splits | {"validation": data.splits["validation"].first(1)})


LINE = ["dataset.means=[[-1.0],[1.0]]", "dataset.scales=[0.2,0.3]", "dataset.weights=[1.0,1.0]"]
FEW = ["dataset.size=400", "dataset.val_size=200", "dataset.test_size=50"]
SPACES = {
    "line": lambda: load_data(
        small_config("pca", *LINE, *FEW, dataset="gaussians")["dataset"], CPU
    ),
    "plane": lambda: load_data(small_config("pca", *FEW, dataset="gaussians")["dataset"], CPU),
    "table": lambda: made(5),
    "images": lambda: made(3, 12, 9, labels=False),
}


RENDERED = ("dae", "gan", "gmm", "pca")  # which together have pictures of all kinds


@pytest.fixture
def bounded(monkeypatch):
    """Fails where something is drawn that the edge of the page would cut off."""
    drawn = Canvas.picture

    def picture(sheet):
        pixels = drawn(sheet)
        box = sheet.figure.get_tightbbox(sheet.figure.canvas.get_renderer())  # inches
        width, height = sheet.figure.get_size_inches()
        assert min(box.x0, box.y0) >= 0 and box.x1 <= width and box.y1 <= height, (
            f"{sheet.said}: {box}"
        )
        return pixels

    monkeypatch.setattr(Canvas, "picture", picture)


@pytest.mark.models
@pytest.mark.parametrize("spec", SPACES)
def test_everything_a_model_can_show_is_drawn(model_name, spec, request):
    request.getfixturevalue("bounded" if model_name in RENDERED else "unrendered")
    data = suited(model_name, SPACES[spec]())
    config = small_config(model_name, "epochs=1")
    if "latent_dim" in config:
        config["latent_dim"] = min(2, data.spec.size)
    model = trained(config, data)
    found = shown(model, data)
    images, plane, vectors = (
        len(data.spec.shape) == 3,
        data.spec.shape == (2,),
        model.latent_dim is not None,
    )
    if supports(model, "sample"):
        assert "samples" in found
    if supports(model, "encode", "decode"):
        assert ("reconstructions" in found) == (spec != "line" and not model.invertible)
        assert ("interpolation" in found) == (
            vectors and (images or plane) and len(data.splits["validation"]) > 1
        )
    if supports(model, "log_prob"):
        drawable = model.log_prob_kind.startswith("exact") and not model.slow_log_prob
        assert ("density" in found) == ((plane or spec == "line") and drawable)
    if vectors and supports(model, "encode"):
        assert "codes" in found
    if model.latent_dim == 2:
        assert ("manifold" in found) == (images or plane)
    if vectors:
        assert ("traversal" in found) == (images or plane)
    if images or spec == "table":
        assert (
            set(model.visualizations(data.splits["test"].values(), generator(0)))
            - {"critic", "discriminator", "field"}
            <= found.keys()
        )
    for name, picture in found.items():
        assert (
            picture.dtype == torch.uint8 and picture.shape[2] == 3 and min(picture.shape[:2]) >= 100
        ), name
        body = picture[60:].flatten(0, 1)
        assert len(body.unique(dim=0)) > 2, f"{name} is empty"


PAGE = Page("title", "note", upscaling="nearest")


def test_each_pixel_of_an_image_is_drawn_as_it_is():
    images = torch.rand(5, 3, 6, 4, generator=generator(1))
    drawn = pictures.paint(images, zoom=2)
    shown = images.permute(0, 2, 3, 1).numpy()
    assert all(np.allclose(drawn[:, i::2, j::2], shown) for i in (0, 1) for j in (0, 1))
    picture = pictures.image_grid(images, PAGE, columns=3)
    zoom = pictures.zoom_to(images, 3)
    seen = {tuple(c) for c in picture.reshape(-1, 3).tolist()}
    wanted = (images * 255).floor().int().permute(0, 2, 3, 1).reshape(-1, 3)
    assert zoom > 1 and all(
        any((r + a, g + b, bl + c) in seen for a in (0, 1) for b in (0, 1) for c in (0, 1))
        for r, g, bl in wanted.tolist()
    )


def test_small_images_are_enlarged_smoothly_through_their_pixels():
    images = torch.rand(2, 1, 6, 4, generator=generator(1))
    drawn = pictures.paint(images, zoom=7, upscaling="bicubic")[..., 0]
    assert drawn.shape == (2, 42, 28)
    assert np.allclose(drawn[:, 3::7, 3::7], images[:, 0].numpy(), atol=1e-6), (
        "the middle of each block is the pixel itself"
    )
    steps, jumps = (np.abs(np.diff(x, axis=2)).max() for x in (drawn, images[:, 0].numpy()))
    assert steps < jumps / 3, "without the edges of blocks"
    flat = torch.full((1, 3, 5, 5), 0.3)
    assert np.allclose(pictures.paint(flat, zoom=4, upscaling="bicubic"), 0.3)


def test_samples_stand_above_images_and_their_reconstructions(monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "mosaic", lambda rows, page, zoom: drawn.append((rows, page)))
    data = made(1, 8, 8)
    viewer, probe = FigureRenderer(data, 0, "title"), Probe(data.spec)
    viewer.at(1)
    probe.sample = lambda n, rng: torch.zeros(n, 1, 8, 8)
    samples.show_samples(viewer, probe)
    ((rows, page),) = drawn
    assert [len(row.images) for row in rows] == [8] * 10 and page.note.startswith(
        "64 samples; below: reconstructions"
    )
    first = data.splits["validation"].values(slice(8))
    assert torch.equal(torch.cat([row.images for row in rows[:8]]), torch.zeros(64, 1, 8, 8))
    assert (
        torch.equal(rows[8].images, first)
        and rows[8].heading == "8 validation images, each above its reconstruction"
    )
    assert torch.equal(probe.asked[0], probe.encode(first)) and rows[9].images.shape == first.shape
    assert rows[8].apart and not rows[9].apart, "the pairs of rows stand apart from the samples"
    assert pictures.above(1, "test") == "1 test image above its reconstruction"


def test_of_an_invertible_model_reconstructions_are_not_drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "mosaic", lambda rows, page, zoom: drawn.append((rows, page)))
    data = made(1, 8, 8)
    viewer, probe = FigureRenderer(data, 0, "title"), Probe(data.spec)
    probe.sample = lambda n, rng: torch.zeros(n, 1, 8, 8)
    probe.invertible = True
    names = {name for name, _ in viewer.watched(probe, 1)}
    names |= {*pictures_of(probe, data, 1)}
    assert "samples" in names and "reconstructions" not in names
    ((rows, page),) = drawn
    assert len(rows) == 8 and "reconstruct" not in page.note and not probe.asked


def lab(colours):
    """sRGB colours "#rrggbb" as CIELAB [n, 3]."""
    from skimage.color import rgb2lab

    return rgb2lab(
        np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours])[None]
    )[0]


def nearest(colours):
    from skimage.color import deltaE_ciede2000

    apart = deltaE_ciede2000(colours[:, None], colours[None])
    return apart[np.triu_indices(len(colours), 1)].min()


def test_ten_classes_can_be_told_by_their_colours_on_any_page():
    assert len(CLASSES) == 10 and nearest(lab(CLASSES)) > 25
    for theme in THEMES.values():
        for colour in CLASSES:
            assert nearest(lab([colour, theme.ground])) > 25
        assert (
            nearest(lab([theme.ink, theme.ground])) > 50
            and nearest(lab([theme.soft, theme.ground])) > 30
        )


def test_signed_images_are_white_at_zero_and_scaled_each_by_itself():
    weights = torch.tensor([[0.0, 2.0], [-2.0, 1.0]])[None, None]
    colours = pictures.paint(torch.cat([weights, 10 * weights]), signed=True)
    assert np.allclose(colours[0], colours[1]) and colours[0, 0, 0].min() > 0.95
    red, blue = colours[0, 0, 1], colours[0, 1, 0]
    assert red[0] > red[2] and blue[2] > blue[0]


def test_contours_hold_the_mass_they_say():
    side = np.linspace(-6, 6, 800)
    x, y = np.meshgrid(side, side)
    p = np.exp(-(x**2 + y**2) / 2) / (2 * np.pi)
    for is_discrete in (
        plane.MASSES
    ):  # the disc that holds a share m of a round Gaussian ends where p = (1 - m) / (2 pi)
        assert plane.level(p, is_discrete) == pytest.approx(
            (1 - is_discrete) / (2 * np.pi), rel=0.02
        )


@pytest.mark.parametrize(
    ("scale", "offset"),
    [
        ((1e30, 1.0), 0.0),  # so oblong that to scale it would have no height
        ((3e38, 3e38), 0.0),  # the range does not fit single precision
        ((1e-3, 1.0), 1e8),  # single precision cannot tell the first values apart
        ((0.0, 1e-43), 0.0),
    ],
)
def test_data_of_any_size_are_drawn(scale, offset, coarse):
    numbers = torch.randn(100, 2, generator=generator(0)) / 5
    x = (numbers.double() * torch.tensor(scale) + offset).float()
    area = plane.Plane(x)
    axes = area.on(area.canvas(PAGE))
    oblong = max(area.lengths) > plane.MOST_OBLONG * min(area.lengths)
    assert (axes.get_aspect() == "auto") == oblong
    lines = x.reshape(10, 5, 2, 2).flatten(1, 2)
    covariance = torch.tensor(scale).double().square().diag()
    drawn = [
        plane.cloud(x, area, PAGE),
        plane.contours(lambda z: z.sum(1), area, PAGE),
        plane.landscape(lambda z: z.sum(1) / 2, "sum", {"data": x}, area, PAGE),
        plane.field(lambda z: -z, area, PAGE),
        plane.draw_paths(lines, area, PAGE),
        mixtures.centres(x[:1], torch.ones(1), covariance[None], area, PAGE),
        curves.on_the_line(x[:, :1], {}, {"samples": x[:, :1]}, PAGE),
        curves.histograms({"x": Distribution(x[:, :1], None)}, PAGE),
        vectors.pair_plot(x, x, [0, 1], ["x1", "x2"], PAGE),
        vectors.profiles({"x": x[:2]}, ["x1", "x2"], PAGE),
        vectors.scatter(x, None, str, None, ["first", "second"], PAGE),
        vectors.scatter(x[:, :1], None, str, x[:, :1], ["first"], PAGE),
    ]
    assert all(len(picture.flatten(0, 1).unique(dim=0)) > 2 for picture in drawn)


@pytest.mark.parametrize("channels", [1, 3])
def test_signals_are_drawn_as_lines(channels):
    x = torch.randn(5, channels, 40)
    captions = [f"${i}" for i in range(5)]
    for picture in (
        waves.waves(x, PAGE, captions),
        waves.waves(x, PAGE, again=x + 1),
        waves.fans(x[:, None].expand(-1, 3, -1, -1), PAGE, captions),
    ):
        assert len(picture.flatten(0, 1).unique(dim=0)) > 2


def test_a_density_too_narrow_for_the_mesh_is_drawn():
    area = plane.Plane(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    assert not area.relative(lambda x: torch.full((len(x),), -torch.inf)).any()
    for log in (-torch.inf, torch.nan):
        plane.contours(lambda x, log=log: torch.full((len(x),), log), area, PAGE)
    spike = area.relative(lambda x: torch.where(x.sum(1) > 2, torch.inf, -x.sum(1)))
    assert spike.max() == 1 and np.isfinite(spike).all()


def test_codes_are_projected_on_their_principal_directions():
    from sklearn.decomposition import PCA

    z = torch.randn(200, 5, generator=generator(2)) * torch.tensor([1.0, 4.0, 0.5, 2.0, 1.0])
    project, names = latent.principal(z)
    theirs = PCA(2).fit(z.numpy())
    assert np.allclose(project(z).abs().numpy(), np.abs(theirs.transform(z.numpy())), atol=1e-4)
    assert [
        f"({share:.0%} of" in name for share, name in zip(theirs.explained_variance_ratio_, names)
    ] == [True, True]


class Probe(Model):
    """Codes of three dimensions; remembers what it was asked to decode."""

    def __init__(self, spec):
        super().__init__(spec, LatentSettings(latent_dim=3))
        self.register_buffer("here", torch.zeros(()))
        self.asked = []

    def encode(self, x):
        return x.flatten(1)[:, :3]

    def decode(self, z):
        self.asked.append(z)
        return torch.rand(len(z), *self.spec.shape)


def test_codes_on_a_line_stand_beside_draws_and_two_of_them_show_nothing(monkeypatch):
    drawn = []
    monkeypatch.setattr(Canvas, "picture", lambda canvas: drawn.append(canvas))
    z = torch.linspace(-1, 1, 100)[:, None]
    vectors.scatter(z, None, str, 5 * z, ["first"], PAGE)
    grey, blue = drawn[-1].figure.axes[0].patches
    assert grey.get_facecolor()[:3] != blue.get_facecolor()[:3]
    assert grey.get_xy()[:, 0].min() == -5 and blue.get_xy()[:, 0].min() == -5, "on one scale"
    config = small_config("ae", "epochs=1")
    data = load_data(config["dataset"], CPU)
    data.splits["validation"] = data.splits["validation"].spread(2)
    assert "codes" not in shown(trained(config, data), data)


def test_a_traversal_moves_one_latent_and_an_interpolation_ends_at_the_codes():
    data = made(1, 8, 8)
    viewer, probe = FigureRenderer(data, 0, "title"), Probe(data.spec)
    viewer.when = ""
    latent.show_traversal(viewer, probe)
    x = data.splits["validation"].values()
    codes = probe.encode(x)
    for i, z in enumerate(probe.asked):
        others = [j for j in range(3) if j != i]
        assert torch.equal(z[:, others], codes[:1, others].expand(9, 2))
        low, high = torch.quantile(codes[:, i], torch.tensor([0.01, 0.99]))
        assert torch.allclose(z[:, i], torch.linspace(low, high, 9))
    probe.asked = []
    latent.show_interpolation(viewer, probe, pairs=2)
    for k, z in enumerate(probe.asked):
        assert torch.allclose(z[0], codes[2 * k]) and torch.allclose(z[-1], codes[2 * k + 1])
        assert torch.allclose(z[4], (z[0] + z[-1]) / 2)


def test_a_manifold_has_the_first_latent_from_left_to_right_and_the_second_from_below():
    data = made(1, 8, 8)
    viewer, probe = FigureRenderer(data, 0, "title"), Probe(data.spec)
    viewer.when, probe.settings = "", LatentSettings(latent_dim=2)
    probe.encode = lambda x: x.flatten(1)[:, :2]
    latent.show_manifold(viewer, probe, side=4)
    z = probe.asked[0].unflatten(0, (4, 4))
    assert (z[:, 1:, 0] > z[:, :-1, 0]).all() and (z[1:, :, 1] < z[:-1, :, 1]).all()
    assert torch.equal(z[0, :, 0], z[3, :, 0]) and torch.equal(z[:, 0, 1], z[:, 3, 1])


def test_ellipses_are_as_long_as_the_standard_deviations():
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    covariance = turn @ np.diag([4.0, 0.25]) @ turn.T
    points = mixtures.ellipse(covariance, deviations=2)
    assert np.allclose(
        np.einsum("ni,ij,nj->n", points, np.linalg.inv(covariance), points), 4
    )  # Mahalanobis distance 2
    longest = points[np.linalg.norm(points, axis=1).argmax()]
    assert np.linalg.norm(longest) == pytest.approx(4, rel=1e-2) and abs(
        longest @ turn[:, 0]
    ) == pytest.approx(4, rel=1e-2)


def test_a_density_of_any_height_is_drawn():
    data = made(2)
    viewer = FigureRenderer(data, 0, "title")
    for height in (-1e6, 0.0, 80.0):
        picture = plane.contours(
            lambda x, h=height: h - 1e6 * (x - 0.5).square().sum(1), viewer.plane, PAGE
        )
        assert len(picture[60:].flatten(0, 1).unique(dim=0)) > 2


def test_long_titles_stay_on_the_page():
    sheet = Canvas(
        300, 100, ", ".join(f"dataset.setting_{i}=0.00{i}" for i in range(12)), "note " * 60
    )
    sheet.picture()
    for text in sheet.figure.texts:
        assert (
            len(text.get_text().split("\n")) > 1
            and text.get_window_extent().x1 <= sheet.width - MARGIN
        )


def viewed(name, *overrides, dataset="digits"):
    config = small_config(name, *overrides, "epochs=1", dataset=dataset)
    data = load_data(config["dataset"], CPU)
    model = trained(config, data)
    x = data.splits["test"].values(slice(0, 20))
    with torch.no_grad():
        return model, x, model.visualizations(x, generator(3))


@pytest.mark.parametrize("classes", [2, 10, 30])
def test_the_page_has_room_for_the_names_of_classes(classes, bounded):
    names = [
        "automobile",
        "a class whose name is the name of a folder, and long",
        *(f"class number {i}" for i in range(28)),
    ]
    z, y = torch.randn(60, 2, generator=generator(4)) * 1e5, torch.arange(60) % classes
    for codes in (z, z[:, :1]):
        vectors.scatter(codes, y, lambda c: names[c], None, ["first", "second"], PAGE)


def test_the_page_has_room_for_numbers_of_any_size(bounded, monkeypatch):
    """And no number is over the label of an axis."""
    pages = []
    monkeypatch.setattr(
        Canvas, "picture", lambda page, draw=Canvas.picture: pages.append(page) or draw(page)
    )
    x = torch.randn(100, 4, generator=generator(5)) * torch.tensor([1, 1e4, 1e-3, 300])
    vectors.pair_plot(x, x, [0, 1, 2, 3], ["alcohol", "x2", "x3", "a $name$"], PAGE)
    vectors.profiles({"original": 1e4 * x[:4]}, [f"name {i}" for i in range(x.shape[1])], PAGE)
    curves.spectrum(torch.tensor([0.5, 0.3, 0.2]), 2, PAGE)
    curves.histograms({"a": Distribution(x), "b": Distribution(x[:, 1], 1e4)}, PAGE)
    curves.on_the_line(1e4 * x[:, :1], {}, {"samples": 1e4 * x[:, :1]}, PAGE)
    for page in pages:
        for axes in page.figure.axes:
            label = axes.yaxis.label.get_window_extent()
            numbers = [tick.get_window_extent() for tick in axes.get_yticklabels()]
            assert not any(label.overlaps(number) for number in numbers), page.said


def test_components_are_numbered_by_whole_numbers(monkeypatch):
    monkeypatch.setattr(Canvas, "picture", lambda page: page)
    for n in (3, 20, 300):
        ticks = curves.spectrum(torch.full((n,), 1 / n), n, PAGE).figure.axes[0].get_xticks()
        assert ticks[0] == 1 and (ticks == ticks.round()).all() and len(ticks) <= 21


def test_every_number_of_a_logarithmic_axis_has_the_colours_of_the_page(monkeypatch):
    monkeypatch.setattr(Canvas, "picture", lambda page: page)
    drawn = curves.histograms({"a": Distribution(torch.rand(20_000))}, PAGE._replace(theme=DARK))
    drawn.agg.draw()
    ticks = [*drawn.figure.axes[0].yaxis.get_minor_ticks()]
    assert ticks and {tick.label1.get_color() for tick in ticks} == {DARK.soft}


@pytest.mark.parametrize("theme", THEMES)
def test_pictures_are_light_or_dark_and_readable(theme):
    viewer = FigureRenderer(made(1, 8, 8), 0, "title", theme=theme)
    viewer.at(1)
    picture = samples.draw_samples(viewer, torch.rand(9, 1, 8, 8))
    ground = torch.tensor([int(THEMES[theme].ground[i : i + 2], 16) for i in (1, 3, 5)])
    assert (picture[0, 0] == ground).all() and (picture[60:][:, 0] == ground).all()
    header = picture[:30].float().mean(2)
    assert (header - ground.float().mean()).abs().max() > 120, "the title stands out"


def test_components_have_the_numbers_that_responsibilities_have(monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        pictures,
        "image_grid",
        lambda images, page, captions, wide: drawn.update(images=images, captions=captions),
    )
    viewer = FigureRenderer(made(1, 8, 8), 0, "title")
    viewer.at(1)
    weights, points = torch.tensor([0.2, 0.5, 0.3]), torch.rand(3, 1, 8, 8)
    visualizations.draw_visualization(viewer, None, MixtureComponents("means", points, weights))
    assert drawn["captions"] == [
        "component 2, 50.0%",
        "component 3, 30.0%",
        "component 1, 20.0%",
    ] and torch.equal(drawn["images"], points[[1, 2, 0]])


def test_vectors_are_drawn_in_the_features_that_vary_most(monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        vectors,
        "pair_plot",
        lambda data, samples, features, names, page: drawn.update(
            features=features, note=page.note
        ),
    )
    x = torch.randn(50, 6, generator=generator(5)) * torch.tensor([1.0, 9.0, 0.0, 5.0, 2.0, 7.0])
    viewer = FigureRenderer(
        Data("made", {"train": Split(x, None), "test": Split(x, None)}, DataSpec((6,), unit=False)),
        0,
        "title",
    )
    viewer.at(1)
    samples.draw_samples(viewer, x)
    assert drawn["features"] == [1, 3, 4, 5]
    assert drawn["note"].startswith(
        "the 4 features of most variance of 50 samples and 50 training points"
    )
    monkeypatch.setattr(vectors, "profiles", lambda named, names, page: drawn.update(named))
    reconstructions.draw_reconstructions(viewer, x, 2 * x)
    means, deviations = x.mean(0), x.std(0, correction=0).clamp(min=1e-9)
    varying = [0, 1, 3, 4, 5]
    for name, values in (("original", x), ("reconstructed", 2 * x)):
        assert torch.allclose(
            drawn[name][:, varying], ((values - means) / deviations)[:6, varying], atol=1e-5
        )
    assert torch.isfinite(drawn["original"]).all(), "also of a feature that is always the same"


def test_interpolations_have_reconstructions_beside_the_originals(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pictures,
        "labelled_rows",
        lambda named, page, headings, flanks: drawn.append((named, page.note, headings, flanks)),
    )
    viewer, pairs, points = (
        FigureRenderer(made(1, 8, 8), 0, "title"),
        torch.rand(2, 2, 1, 8, 8),
        torch.rand(2, 4, 1, 8, 8),
    )
    viewer.at(1)
    for conditional in (False, True):
        latent.draw_interpolation(viewer, pairs, points, conditional)
    (named, note, headings, flanks), (_, other, ends, _) = drawn
    assert (
        headings == ["original", "reconstructed", "", "", "reconstructed", "original"]
        and flanks == 1
    )
    assert all(
        torch.equal(x, torch.cat([pairs[i, :1], points[i], pairs[i, 1:]]))
        for i, x in enumerate(named.values())
    )
    assert (
        "class" not in note and "keeps the class of its first point" in other and ends[-2] == "end"
    )


def test_visualizations_hold_what_the_model_computes():
    model, x, shown = viewed("dae")
    rows = shown["denoising"].rows
    noise = model.noise(x, generator(3))
    assert torch.equal(rows["clean"], x) and torch.equal(rows["corrupted"], x + 0.3 * noise)
    assert torch.equal(rows["reconstructed"], model.decode(model.encode(rows["corrupted"])))
    model, x, shown = viewed("sparse-ae")
    activation, mean = shown["activations"].panels.values()
    assert (
        torch.equal(activation[0], model.encode(x))
        and torch.equal(mean[0], model.encode(x).mean(0))
        and mean[1] == 0.05
    )
    model, x, shown = viewed("gmm")
    assert torch.equal(shown["responsibilities"].shares, model.encode(x))
    model, x, shown = viewed("gan", dataset="moons")
    assert torch.equal(
        shown["discriminator"].function(x), model.discriminator(x).squeeze(1).sigmoid()
    )
    model, x, shown = viewed("wgan", dataset="moons")
    assert torch.equal(shown["critic"].function(x), model.critic(x).squeeze(1))


def test_pca_shows_shares_of_the_variance_and_grows_to_its_reconstruction():
    from sklearn.decomposition import PCA

    config = config_of("pca", "latent_dim=6")
    data = load_data(config["dataset"], CPU)
    model = trained(config, data)
    x = data.splits["validation"].values()
    shown = model.visualizations(x, generator(0))
    theirs = PCA(6).fit(data.train.values().flatten(1).double())
    assert np.allclose(shown["scree"].shares[:6], theirs.explained_variance_ratio_, rtol=1e-6)
    assert shown["components"].captions[0] == f"1: {theirs.explained_variance_ratio_[0]:.1%}"
    grown = shown["growth"].rows
    assert list(grown) == ["original", "first 1", "first 2", "first 4", "first 6"]
    assert torch.allclose(grown["first 6"], model.decode(model.encode(x)))
    z = theirs.transform(x.flatten(1))
    assert np.allclose(
        grown["first 2"].flatten(1), z[:, :2] @ theirs.components_[:2] + theirs.mean_, atol=1e-5
    )
    errors = [((g - x) ** 2).sum() for name, g in grown.items() if name != "original"]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("form", ["full", "tied", "diag", "spherical"])
def test_a_mixtures_ellipses_are_its_covariances(form):
    config = config_of(
        "gmm", f"covariance={form}", "n_components=2", "dataset.limit=500", dataset="moons"
    )
    data = load_data(config["dataset"], CPU)
    model = trained(config, data)
    shown = model.visualizations(data.splits["test"].values(slice(0, 9)), generator(0))[
        "components"
    ].covariances
    stored = model.mixture.covariances
    as_matrices = {
        "full": lambda c: c,
        "tied": lambda c: c.expand(2, 2, 2),
        "diag": torch.diag_embed,
        "spherical": lambda c: c[..., None] * torch.eye(2),
    }
    assert torch.allclose(shown, as_matrices[form](stored), rtol=1e-10, atol=1e-12)


def test_kmeans_tells_the_share_of_points_at_each_centre():
    config = config_of("kmeans", "n_components=4", "dataset.limit=300")
    data = load_data(config["dataset"], CPU)
    model = trained(config, data)
    nearest = model.encode(data.train.values())
    centres = model.visualizations(data.train.values(), generator(0))["centres"]
    shown = centres.weights
    assert centres.label == "centre", "or its number would read as a class"
    assert torch.allclose(shown, torch.bincount(nearest, minlength=4).double() / 300)


def test_a_film_has_its_frames_in_order_and_ends_with_the_last():
    for colours in ([2, 2, 2], [2, 0, 1]):
        frames = [png((torch.ones(4, 4, 1) * torch.tensor(colours) * i).byte()) for i in range(100)]
        encoded, lost = animation(frames, longest=10)
        made = Image.open(io.BytesIO(encoded))
        shades = []
        for i in range(made.n_frames):
            made.seek(i)
            shades.append(made.convert("RGB").getpixel((0, 0))[0])
        assert (
            shades == sorted(shades)
            and abs(shades[-1] - 198) <= 4
            and 10 <= made.n_frames <= 11
            and lost == 0
        )
    broken = [b"%!PS-Adobe-3.0 EPSF-3.0", frames[0][:40], b""]
    assert (
        animation([*broken, *frames[:2], *broken])[1] == 6
        and animation([*frames[:1], *broken]) == (b"", 3)
        and animation([]) == (b"", 0)
    )


def test_a_staircase_goes_from_each_value_to_its_bound_and_up_to_the_next_value(monkeypatch):
    monkeypatch.setattr(Canvas, "picture", lambda page: page)
    values, bounds = (
        torch.tensor(row) for row in ([-9.0, -4, -2, -1.01, -1], [-6.0, -3, -1.5, -1, -1])
    )
    way, points = curves.staircase(values, bounds, ("a", "b"), PAGE).figure.axes[0].lines
    # the last point is nearer to the end than a hundredth of all change
    assert points.get_xydata().tolist() == [[1, -9], [2, -4], [3, -2], [4, pytest.approx(-1.01)]]
    assert way.get_xydata()[:-1].tolist() == [
        [1, -9],
        [2, -6],
        [2, -4],
        [3, -3],
        [3, -2],
        [4, -1.5],
    ]
    assert way.get_xydata()[-1].tolist() == points.get_xydata()[-1].tolist()


def test_many_names_leave_panels_of_profiles_their_room(monkeypatch):
    sheets, x = [], torch.randn(6, 5, generator=generator(0))
    monkeypatch.setattr(Canvas, "picture", lambda sheet: sheets.append(sheet))
    vectors.profiles({f"first {i}": x for i in range(6)}, [f"name {i}" for i in range(5)], PAGE)
    sheets[0].agg.draw()
    panels = [axes.get_position() for axes in sheets[0].figure.axes]
    assert len(panels) == 6 and min(panel.width for panel in panels) > 0.25
    legend = sheets[0].figure.legends[0].get_window_extent(sheets[0].agg.get_renderer())
    lowest = min(axes.get_tightbbox().y0 for axes in sheets[0].figure.axes)
    assert legend.y0 >= 0 and legend.y1 <= lowest and legend.x1 < sheets[0].width

"""What the app does with the model of a run: move through its codes, draw samples, reconstruct."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from genbench.data.types import Split
from genbench.figures import images
from genbench.figures.reconstructions import draw_profiles
from genbench.figures.samples import draw_samples
from genbench.figures.scene import Scene
from genbench.model import Model, loses_information, supports
from genbench.trained import Trained
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MOST_SLIDERS = 12  # latents that one can move
SCALE_POINTS = 2000  # points that the scale of codes and values is estimated from
SIDE = 320  # pixels of the longer side of one image
REACH = 3.0  # standard deviations of a code on either side of its mean
LARGEST_SAMPLE = 400  # points at once
SHOWN_SAMPLES = {
    "images": 64,
    "signals": 24,
    "vectors": 500,
}  # in a picture, by the kind of the data
OTHER_SAMPLES = 1000


class Latent(NamedTuple):
    """A latent that one can move: its place in a code, and the ends and the step of its slider."""

    place: int
    low: float
    high: float
    step: float

    def rounded(self, value: float) -> float:
        """The value at the nearest step, without digits that say nothing."""
        return float(f"{self.step * round(value / self.step):.6g}")


class Explorer:
    """A finished run, as the app shows it. Pictures are Pillow images."""

    def __init__(self, trained: Trained) -> None:
        self.trained, self.data = trained, trained.data
        settings = trained.model.settings
        self.title = f"{settings.model.name} on {self.data.name}"
        look = {"theme": settings.theme, "upscaling": settings.upscaling}
        self.scene = Scene(self.data, settings.seed, self.title, **look)
        self.scene.at(trained.metrics["cost"]["kept_epoch"])
        self._codes: torch.Tensor | None = None

    @property
    def is_of_images(self) -> bool:
        """Whether points are images."""
        return self.scene.kind == "images"

    @property
    def classes(self) -> list[str]:
        """The names of the classes that samples can be drawn of; empty if there is no choice."""
        if not self.trained.model.conditional:
            return []
        return [self.data.called(label) for label in range(self.data.spec.classes)]

    def can(self, *capabilities: str) -> bool:
        """Whether the model has all of these capabilities."""
        return supports(self.trained.model, *capabilities)

    # --- the latent space -------------------------------------------------------------------------

    @property
    def codes(self) -> torch.Tensor:
        """Codes [n, d]: those of training points or, without an encoder, draws from the prior."""
        if self._codes is None:
            model = self.trained.model
            if self.can("encode"):
                self._codes = self._encoded(self.data.train.spread(SCALE_POINTS))
            else:
                rng = generator(0, "app", device=model.device)
                with torch.no_grad():
                    self._codes = model.codes(SCALE_POINTS, rng).cpu()
        return self._codes

    @torch.no_grad()
    def _encoded(self, points: Split) -> torch.Tensor:
        return self.trained.model.conditioned_on(points.y).encode(points.values()).cpu()

    def _given(self, label: int | None) -> Model:
        """The model, of this class if one is chosen."""
        model = self.trained.model
        return model.conditioned_on(
            None if label is None else torch.tensor([label]).to(model.device)
        )

    @property
    def has_latent_space(self) -> bool:
        """Whether codes are vectors that can be decoded."""
        model = self.trained.model
        able = self.can("decode") and (self.can("encode") or self.can("codes"))
        return able and model.latent_dim is not None

    @property
    def can_reconstruct_drawings(self) -> bool:
        """Whether points are images, and the model shows what it loses of them."""
        return self.is_of_images and loses_information(self.trained.model)

    def latents(self) -> list[Latent]:
        """The latents that vary most, at most `MOST_SLIDERS`, in their order in a code."""
        mean, spread = self.codes.mean(0), self.codes.std(0, correction=0)
        widest = spread.argsort(descending=True)[:MOST_SLIDERS].sort().values.tolist()
        return [_latent(i, float(mean[i]), float(spread[i])) for i in widest if spread[i] > 0]

    def start(self, where: str, seed: int) -> list[float]:
        """A code to begin at: the mean of all codes, that of a test point, or one at random."""
        if where == "mean":
            return self.codes.mean(0).tolist()
        if where == "point":
            return self._encoded(self._test_point(seed))[0].tolist()
        place = torch.randint(len(self.codes), (1,), generator=generator(seed, "app"))
        return self.codes[place[0]].tolist()

    @torch.no_grad()
    def decoded(self, code: list[float], label: int | None = None) -> "Picture":
        """The picture of the point of a code."""
        z = torch.tensor([code], device=self.trained.model.device)
        return self.picture(self._given(label).decode(z))

    # --- samples and drawings ---------------------------------------------------------------------

    @torch.no_grad()
    def sampled(self, n: int, seed: int, label: int | None = None) -> "Picture":
        """The picture of samples, the same as from Python with this seed: n images, or as many
        other points as a picture shows.
        """
        kind = self.scene.kind
        n = (
            max(1, min(n, LARGEST_SAMPLE))
            if kind == "images"
            else SHOWN_SAMPLES.get(kind, OTHER_SAMPLES)
        )
        rng = generator(seed, "sample", device=self.trained.model.device)
        samples = self._given(label).sample(n, rng)
        of = "" if label is None else f" of class {self.data.called(label)}"
        drawn = draw_samples(self.scene, samples, of)
        assert drawn is not None  # there is a picture of points of every shape
        return _pillow(drawn.numpy())

    def canvas(self) -> tuple[str, str]:
        """The colours of an empty drawing and of a pen: those of the edges of images, and ink."""
        edges = self.data.train.spread(SCALE_POINTS).values()[..., 0, :].mean()
        low, high = self.value_range()
        is_dark = (float(edges) - low) / (high - low) < 0.5
        return ("#000000", "#ffffff") if is_dark else ("#ffffff", "#000000")

    def value_range(self) -> tuple[float, float]:
        """The values of black and white."""
        if self.data.spec.unit:
            return 0.0, 1.0
        values = self.data.train.spread(SCALE_POINTS).values()
        return float(values.min()), float(values.max())

    def drawing_as_point(self, pixels: np.ndarray) -> torch.Tensor:
        """A drawing [height, width, 3] of bytes as a point [1, *shape], scaled as the data are."""
        from PIL import Image

        channels, height, width = self.data.spec.shape
        picture = Image.fromarray(pixels).convert("L" if channels == 1 else "RGB")
        small = np.asarray(picture.resize((width, height), Image.Resampling.BOX), np.float32) / 255
        small = small[None] if channels == 1 else np.moveaxis(small, 2, 0)
        low, high = self.value_range()
        return torch.from_numpy(low + (high - low) * small)[None]

    @torch.no_grad()
    def reconstructed(
        self, point: torch.Tensor, noise: float, label: int | None = None
    ) -> tuple["Picture", "Picture"]:
        """A point [1, *shape] with noise of this standard deviation, and its reconstruction."""
        low, high = self.value_range()
        drawn = torch.randn(point.shape, generator=generator(0, "app noise"))
        noisy = (point + noise * (high - low) * drawn).clamp(low, high)
        given = self._given(label)
        again = given.decode(given.encode(noisy.to(given.device)))
        return self.picture(noisy, "nearest"), self.picture(again, "nearest")

    def test_point(self, place: int) -> torch.Tensor:
        """The test point [1, *shape] at a place."""
        return self._test_point(place).values().cpu()

    def _test_point(self, place: int) -> Split:
        """The test point at a place, with its label. UserError where there is none."""
        test = self.data.splits["test"]
        if not 0 <= place < len(test):
            what = f"there are {len(test):,} test points, from 0 on"
            raise UserError("number", what, place, "a smaller number")
        return test.at(slice(place, place + 1))

    def picture(self, point: torch.Tensor, upscaling: str = "") -> "Picture":
        """A point [1, *shape] as a picture: an image, a dot among the data, or a profile.

        `upscaling` is how an image is enlarged, by default as in the pictures of the run.
        """
        if self.is_of_images:
            zoom = max(1, SIDE // max(point.shape[-2:]))
            low, high = self.value_range()
            shares = (point - low) / (high - low)
            colours = images.paint(shares, False, zoom, upscaling or self.scene.upscaling)
            return _pillow(images.as_bytes(colours[0]))
        if self.scene.kind == "vectors":
            mean = self.scene.held_out.spread(SCALE_POINTS).values().mean(0, keepdim=True)
            lines = {"mean of the data": mean, "decoded": point}
            drawn = draw_profiles(self.scene, self.scene.page("a decoded code"), lines)
        else:
            drawn = draw_samples(self.scene, point)
        assert drawn is not None
        return _pillow(drawn.numpy())


def _latent(place: int, mean: float, spread: float) -> Latent:
    """A latent with a slider of some 200 steps of a round size."""
    step = 10.0 ** math.floor(math.log10(2 * REACH * spread / 100))
    low, high = (step * round((mean + side * REACH * spread) / step) for side in (-1, 1))
    return Latent(place, float(f"{low:.6g}"), float(f"{high:.6g}"), float(f"{step:.6g}"))


def _pillow(pixels: np.ndarray) -> "Picture":
    from PIL import Image

    return Image.fromarray(pixels)

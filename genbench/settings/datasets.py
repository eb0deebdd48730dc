"""The settings of each dataset, and the groups of settings that datasets share."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from genbench.settings.base import Settings
from genbench.settings.fields import (
    TO_BE_NAMED,
    AtLeastOne,
    AtLeastTwo,
    Count,
    Folder,
    Positive,
    Seed,
    Share,
    only_with,
)
from genbench.utils.errors import UserError
from genbench.utils.memory import require_room
from genbench.utils.text import counted

DataKind = Literal["images", "vectors", "signals"]
ValSize = Annotated[
    Count | Share | Literal["auto"],
    Field(
        description=(
            "training points set aside for validation, or the share of them; auto is those that "
            "were published for it, else 5,000, or a tenth of the points where that is less"
        )
    ),
]
TestSize = Annotated[
    AtLeastOne | Share, Field(description="points held out for the test, or the share of them")
]
Standardize = Annotated[
    bool,
    Field(
        description=(
            "train on values of mean 0 and standard deviation 1 over the training points; points, "
            "samples and densities stay in data units, a bandwidth, reg_covar and the terms of the "
            "objective do not"
        )
    ),
]
# Of a point in the plane while it is drawn: noise, mean and both together in double precision, the
# point in single precision, and its label.
BYTES_OF_DRAW = 64
# Where a density has its modes, and how wide they are: draws must fit single precision.
Coordinate = Annotated[float, Field(ge=-1e30, le=1e30)]
Width = Annotated[float, Field(gt=0, le=1e30)]
OnlyUnlessBinarized = only_with(binarize="none")
HeightAndWidth = Annotated[list[AtLeastOne], Field(min_length=2, max_length=2)]


class DatasetSettings(Settings):
    """What every dataset has."""

    name: str = ""
    loader: str = ""
    kind: DataKind | None = None
    val_size: ValSize = Field("auto")
    limit: AtLeastOne | None = Field(None, description="train on the first N points only")
    labelled: Count | None = Field(
        None,
        description="training points that keep their label, evenly of all classes; null keeps all",
    )
    seed: Seed = Field(
        0, description="seed of the parts and of noise drawn once, apart from the run's seed"
    )


class TestSizeSettings(Settings):
    """Of datasets that are not published with test points of their own."""

    test_size: TestSize = Field(10000)


class ImageSettings(DatasetSettings):
    """Of datasets of images."""

    kind: DataKind | None = "images"
    resize: HeightAndWidth | None = Field(
        None,
        description=(
            "height and width to stretch all images to; null leaves them as they are, which must "
            "then be alike"
        ),
    )
    classes: list[Count] | None = Field(
        None, description="keep only the images with these labels; null keeps all"
    )
    binarize: Literal["none", "static", "dynamic"] = Field(
        "none", description="pixels as one fixed Bernoulli draw, or a fresh draw at each visit"
    )
    dequantize: Annotated[bool | Literal["dynamic"], OnlyUnlessBinarized] = Field(
        False,
        description=(
            "add uniform noise to whole pixel values, which bounds densities; once, or anew at "
            "each visit"
        ),
    )


class PublishedSettings(ImageSettings):
    """Of images that are downloaded as they were published."""

    root: Folder | None = Field(
        None,
        description=(
            "folder that holds MNIST/raw, or the folder of another dataset's published files; null "
            "is a cache folder, filled on first use"
        ),
    )


class EMNISTSettings(PublishedSettings):
    """Of handwritten letters and digits."""

    split: Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"] = Field(
        "balanced",
        description=(
            "which characters, of which classes: digits and letters, balanced or all; bymerge is "
            "byclass with one class for letters whose small and capital forms are alike"
        ),
    )


class VectorSettings(TestSizeSettings, DatasetSettings):
    """Of datasets of vectors, such as tables."""

    kind: DataKind | None = "vectors"
    standardize: Standardize = True
    val_size: ValSize = 0.1
    test_size: TestSize = 0.2


class SyntheticSettings(VectorSettings):
    """Of points drawn from a density that is known."""

    size: AtLeastTwo = Field(55000, description="points drawn for training and validation")
    val_size: ValSize = "auto"
    test_size: TestSize = 10000
    standardize: Standardize = False

    @model_validator(mode="after")
    def check_room(self) -> "SyntheticSettings":
        """The points must fit the memory."""
        for name in ("size", "test_size"):
            points = getattr(self, name)
            if isinstance(points, int):
                fix = f"lower dataset.{name}"
                needed = points * BYTES_OF_DRAW
                require_room(f"dataset.{name}", f"{points:,} points", needed, points, fix)
        return self


class DigitsSettings(TestSizeSettings, ImageSettings):
    """Of scikit-learn's digits."""

    val_size: ValSize = 0.125
    test_size: TestSize = 0.2


class BinarizedMNISTSettings(ImageSettings):
    """Of the fixed binarisation of MNIST."""

    root: Folder = Field(
        TO_BE_NAMED,
        description=(
            "folder above binarized_mnist/, which holds binarized_mnist_train.amat, _valid.amat "
            "and _test.amat"
        ),
    )
    val_size: ValSize = 10000


class LFWSettings(TestSizeSettings, PublishedSettings):
    """Of Labeled Faces in the Wild."""

    val_size: ValSize = 0.1
    test_size: TestSize = 0.2


class MoonsSettings(SyntheticSettings):
    """Of two half-circles."""

    noise: Width = Field(0.1, description="standard deviation of the noise around the half-circles")
    scale: Positive = Field(1.0, description="what points are multiplied by, noise included")
    shift: float = Field(0.0, description="what is then added to both coordinates")


class GaussiansSettings(SyntheticSettings):
    """Of a mixture of Gaussians that the user describes."""

    means: list[list[Coordinate]] = Field(
        [[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]], description="one mean per component"
    )
    scales: list[Width] = Field([0.5, 0.5, 1.0], description="one standard deviation per component")
    weights: list[Positive] = Field(
        [0.4, 0.4, 0.2],
        description="one weight per component; they are normalised to sum to one",
    )

    @model_validator(mode="after")
    def check_components(self) -> "GaussiansSettings":
        """Each component has a mean, a scale and a weight, and all means have one dimension, or all
        two.
        """
        means, scales, weights = len(self.means), len(self.scales), len(self.weights)
        if not means == scales == weights > 0:
            numbers = f"{counted(means, 'mean')}, {counted(scales, 'scale')}"
            what = f"each needs a scale and a weight: {numbers}, {counted(weights, 'weight')}"
            raise UserError("dataset.means", what, fix="give one of each per component")
        if {len(mean) for mean in self.means} not in ({1}, {2}):
            what = "must all have one dimension, or all two"
            raise UserError("dataset.means", what, self.means, "such as [[-1.0], [1.0]]")
        return self

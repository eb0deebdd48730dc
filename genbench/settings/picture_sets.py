"""The settings of datasets of pictures of any size: one's own, and sets that others publish."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from genbench.settings.datasets import (
    DataKind,
    HeightAndWidth,
    ImageSettings,
    TestSize,
    TestSizeSettings,
    ValSize,
)
from genbench.settings.fields import AUTO, TO_BE_NAMED, AlsoCalled, Auto, Folder, FolderOrName
from genbench.utils.errors import UserError

DSPRITES_FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
TorchvisionSet = Literal[
    "CIFAR10",
    "CIFAR100",
    "CLEVRClassification",
    "Caltech101",
    "Caltech256",
    "Country211",
    "DTD",
    "EMNIST",
    "EuroSAT",
    "FER2013",
    "FGVCAircraft",
    "FashionMNIST",
    "Flowers102",
    "Food101",
    "GTSRB",
    "INaturalist",
    "ImageNet",
    "Imagenette",
    "KMNIST",
    "LFWPeople",
    "LSUN",
    "MNIST",
    "Omniglot",
    "OxfordIIITPet",
    "PCAM",
    "Places365",
    "QMNIST",
    "RenderedSST2",
    "SEMEION",
    "STL10",
    "SUN397",
    "SVHN",
    "StanfordCars",
    "USPS",
]


class PictureSettings(TestSizeSettings, ImageSettings):
    """Of pictures of any size and mode."""

    resize: Annotated[HeightAndWidth | None, Auto] = Field(
        AUTO,
        description=(
            "height and width to stretch all pictures to; auto: their own where most have one, up "
            "to 128x128, else the median, up to 64x64; null leaves them, which must then be alike"
        ),
    )
    channels: Literal[1, 3, "auto"] = Field(
        "auto", description="grey or colour; auto is 3 unless all pictures are grey"
    )
    levels: (
        Literal["auto"]
        | Annotated[list[Annotated[int, Field(ge=0, le=65535)]], Field(min_length=2, max_length=2)]
    ) = Field(
        "auto",
        description=(
            "values of 16-bit pictures that are black and white; auto: the least and the largest"
        ),
    )
    skip_bad: bool = Field(
        False,
        description="leave out pictures that cannot be read, and list them, rather than refuse all",
    )
    val_size: ValSize = 0.1
    test_size: TestSize = 0.2

    @model_validator(mode="after")
    def check_levels(self) -> "PictureSettings":
        """Black must be a smaller value than white."""
        if self.levels != "auto" and self.levels[0] >= self.levels[1]:
            what = "the first, black, must be below the second, white"
            raise UserError("dataset.levels", what, self.levels, "dataset.levels=auto")
        return self


class ImageFolderSettings(PictureSettings):
    """Of a user's own pictures."""

    root: Annotated[Folder, AlsoCalled("path")] = Field(
        TO_BE_NAMED,
        description=(
            "your pictures; what it holds, if not train/ and test/, is split by dataset.test_size"
        ),
    )


class CelebASettings(PictureSettings):
    """Of CelebA."""

    root: Folder = Field(
        TO_BE_NAMED,
        description=(
            "folder above celeba/, which holds img_align_celeba/, list_attr_celeba.txt and "
            "list_eval_partition.txt"
        ),
    )
    attribute: str | None = Field(
        None, description="the attribute that is the label, such as Smiling; null leaves none"
    )
    resize: Annotated[HeightAndWidth | None, Auto] = [64, 64]
    val_size: ValSize = "auto"


class DSpritesSettings(TestSizeSettings, ImageSettings):
    """Of dSprites."""

    root: Folder = Field(
        TO_BE_NAMED,
        description=f"folder above dsprites/, which holds {DSPRITES_FILE}",
    )


class TorchvisionSettings(PictureSettings):
    """Of the classification sets of torchvision."""

    path: TorchvisionSet = Field(
        TO_BE_NAMED, description="class of torchvision.datasets, such as SVHN"
    )
    root: Folder | None = Field(
        None,
        description=(
            "the folder that torchvision calls root; null is a cache folder, filled on first use"
        ),
    )
    val_size: ValSize = "auto"


class HuggingFaceSettings(PictureSettings):
    """Of datasets of Hugging Face."""

    kind: DataKind | None = None  # the dataset says it
    path: FolderOrName = Field(
        TO_BE_NAMED,
        description=(
            "name on the Hub, or your folder: saved to disk by the library, or of parquet files, "
            "tables or pictures"
        ),
    )
    config: str | None = Field(None, description="which of its configurations, if it has several")
    image: str = Field("auto", description="column of the images; auto is the first one")
    label: str = Field(
        "auto",
        description="column of the classes; auto takes one that is plain; none has no classes",
    )
    columns: list[str] | None = Field(
        None,
        description="columns of numbers that points consist of; null is all, if there is no image",
    )
    standardize: bool | Literal["auto"] = Field(
        "auto",
        description=(
            "train on values of mean 0 and standard deviation 1, as for tables; auto leaves images "
            "alone"
        ),
    )
    val_size: ValSize = "auto"

"""The settings of a user's own tables and arrays."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from genbench.settings.datasets import (
    Coordinate,
    DataKind,
    ImageSettings,
    TestSize,
    TestSizeSettings,
    VectorSettings,
)
from genbench.settings.fields import TO_BE_NAMED, File
from genbench.utils.errors import UserError

Axes = Annotated[
    Literal["auto", "d", "l", "cl", "lc", "hw", "chw", "hwc"],
    Field(
        description=(
            "axes of a point: d features, or l length, c channels, h height and w width in the "
            "order of the array; auto goes by its shape, and reports it"
        ),
    ),
]


class TableFileSettings(VectorSettings):
    """Of a user's own table, in a file that pandas reads."""

    path: File = Field(
        TO_BE_NAMED,
        description="your table: a file .csv, .tsv, .parquet, .feather or .xlsx",
    )
    header: Literal["auto", "first-row", "none"] = Field(
        "auto",
        description=(
            "where names of columns come from in .csv, .tsv and .xlsx: the first row, or nowhere; "
            "auto goes by what it holds, and reports it"
        ),
    )
    label: str = Field(
        "auto",
        description=(
            "column of the classes, which is no part of the points; auto takes one that is plain, "
            "and reports it; none has no classes"
        ),
    )
    columns: list[str] | None = Field(
        None, description="columns that points consist of; null takes all"
    )
    drop: list[str] = Field([], description="columns to leave out")
    missing: Literal["refuse", "drop", "mean", "median", "most_frequent", "knn"] = Field(
        "refuse",
        description=(
            "missing values: refuse the table, leave such rows out, or fill in the mean, median or "
            "most frequent value of the training points, or the mean of the 5 nearest of them"
        ),
    )


class ArrayLikeSettings(TestSizeSettings, ImageSettings):
    """Of arrays, which hold vectors, signals or images."""

    kind: DataKind | None = None  # the array says it
    axes: Axes = "auto"
    range: Literal["auto"] | Annotated[list[Coordinate], Field(min_length=2, max_length=2)] = Field(
        "auto",
        description=(
            "values of images that are black and white; auto: 0 and 255, 0 and 1, -1 and 1 or, of "
            "others, the least and the largest"
        ),
    )
    standardize: bool | Literal["auto"] = Field(
        "auto",
        description=(
            "train on values of mean 0 and standard deviation 1, as for tables (signals by "
            "channel); auto leaves images alone, and data that are all 0 or 1"
        ),
    )
    test_size: TestSize = 0.2

    @model_validator(mode="after")
    def check_range(self) -> "ArrayLikeSettings":
        """Black must be a smaller value than white."""
        if self.range != "auto" and self.range[0] >= self.range[1]:
            what = "the first, black, must be below the second, white"
            raise UserError("dataset.range", what, self.range, "dataset.range=auto")
        return self


class ArrayFileSettings(ArrayLikeSettings):
    """Of a user's own arrays in a file."""

    path: File = Field(TO_BE_NAMED, description="your arrays: a file .npy, .npz, .pt, .mat or .h5")
    x: str = Field("auto", description="name of the array of training points in the file")
    y: str = Field("auto", description="name of the array of their labels, or none")
    x_test: str = Field(
        "auto",
        description="name of the array of test points, or none: dataset.test_size sets some aside",
    )
    y_test: str = Field("auto", description="name of the array of their labels, or none")


class MemorySettings(ArrayLikeSettings):
    """Of data that were given in Python."""

    axes: Axes = "d"  # as `genbench.fit` sees them
    digest: str = Field("", description="SHA-256 of the data, which genbench.fit computes")

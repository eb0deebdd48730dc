"""The settings of the models that solve or iterate: projections, clusterings, mixtures, kernels."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genbench.settings.fields import AUTO, AtLeastOne, Auto, NonNegative, Positive
from genbench.settings.groups import (
    EarlyStoppingSettings,
    GradientSettings,
    LatentSettings,
    LearningRate,
    SamplerSettings,
    Schedule,
)
from genbench.settings.run import BatchSize, Epochs, RunSettings

Starts = Annotated[
    AtLeastOne, Field(description="starts fitted side by side, of which the best is used")
]
Tolerance = Annotated[
    NonNegative,
    Field(
        description=(
            "stop when an epoch changes the objective by at most this, per value of a data point"
        )
    ),
]

# What `auto` stands for in models that read all points before they change.
SAME_RESULT = "128, or on few data about a tenth of them; the result does not depend on it"
ONE_PASS = "more than this model needs, which is done after one pass"


class ComponentSettings(RunSettings):
    """Of clusterings and mixtures."""

    n_components: Annotated[AtLeastOne, Auto] = Field(
        AUTO,
        description=(
            "number of clusters or mixture components; auto is 10, or as many as there are "
            "training points where they are fewer"
        ),
    )


class CovarianceSettings(RunSettings):
    """Of mixtures of Gaussians."""

    covariance: Literal["full", "diag", "tied", "spherical", "auto"] = Field(
        "auto",
        description=(
            "form of the covariance matrices; auto is full, or diag where components have fewer "
            "training points each than 1.5 times the values of a point"
        ),
    )
    reg_covar: NonNegative | Literal["auto"] = Field(
        "auto",
        description=(
            "added to the variances, in squared data units; auto is 1e-3 for data in [0, 1], where "
            "pixels may be constant, 1e-6 for other data"
        ),
    )


class EMSettings(EarlyStoppingSettings, ComponentSettings):
    """Of models fitted by iterations over all data."""

    autos: ClassVar[Mapping[str, str]] = {"batch_size": SAME_RESULT}

    n_init: Starts = 1
    tol: Tolerance = 1e-4
    bound: bool = Field(
        False,
        description=(
            "also log and draw the bound that each iteration moves: the objective after its second "
            "step, with the assignments or responsibilities of its first"
        ),
    )
    epochs: Epochs = 100  # the most iterations; most fits converge sooner
    batch_size: BatchSize = 1024  # the result does not depend on it


class PCASettings(SamplerSettings, LatentSettings):
    """Of principal components."""

    autos: ClassVar[Mapping[str, str]] = {
        "latent_dim": (
            "16, or where that is less half the values of a point, at least 2, or one less than "
            "the training points"
        ),
        "epochs": ONE_PASS,
        "batch_size": SAME_RESULT,
    }

    epochs: Epochs = 1
    batch_size: BatchSize = 2048


class KMeansSettings(EMSettings):
    """Of k-means by Lloyd's iterations."""

    epochs: Epochs = 300
    n_init: Starts = 3
    tol: Tolerance = 0.0


class GMMSettings(EMSettings, CovarianceSettings):
    """Of mixtures of Gaussians by EM."""

    batch_size: BatchSize = 4096  # sums of full covariances take long to add up


class BMMSettings(EMSettings):
    """Of mixtures of Bernoullis by EM."""

    floor: Annotated[float, Field(ge=1e-6, lt=0.5)] = Field(
        1e-3,
        description=(
            "least probability of a value's being 0 or 1, so that what never occurred in training "
            "stays possible"
        ),
    )


class MiniBatchKMeansSettings(EarlyStoppingSettings, ComponentSettings):
    """Of k-means from batches of points."""

    autos: ClassVar[Mapping[str, str]] = {
        "batch_size": "1,024, or on few data about a tenth of them"
    }


class GradientKMeansSettings(EarlyStoppingSettings, ComponentSettings, GradientSettings):
    """Of k-means by gradient steps."""

    lr: LearningRate = 1e-2
    schedule: Schedule = "linear"  # the fit settles as steps shrink


class GradientGMMSettings(
    EarlyStoppingSettings, CovarianceSettings, ComponentSettings, GradientSettings
):
    """Of mixtures of Gaussians by gradient steps."""

    autos: ClassVar[Mapping[str, str]] = {"batch_size": "512, or on few data about a tenth of them"}

    lr: LearningRate = 1e-2
    schedule: Schedule = "linear"  # the fit settles as steps shrink


class KDESettings(RunSettings):
    """Of kernel density estimates."""

    autos: ClassVar[Mapping[str, str]] = {"epochs": ONE_PASS, "batch_size": SAME_RESULT}

    epochs: Epochs = 1
    batch_size: BatchSize = 1000
    bandwidth: Literal["scott", "silverman", "loo"] | Positive = Field(
        "loo",
        description=(
            "h by a rule of thumb, by the likelihood of left-out training points, or given, in "
            "data units"
        ),
    )

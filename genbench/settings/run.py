"""The settings of every run."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genbench.settings.base import Settings
from genbench.settings.datasets import DatasetSettings
from genbench.settings.fields import AUTO, AtLeastOne, Auto, AutoMeans, Device, MayDiffer, Seed

Epochs = Annotated[
    AtLeastOne,
    Auto,
    AutoMeans("40 (18 with network=conv), or as many as make 4,000 steps"),
    Field(description="passes over the training data, unless the model converges earlier"),
]
BatchSize = Annotated[
    AtLeastOne,
    Auto,
    AutoMeans(
        "128 (64 for gan, pixelcnn and, with network=conv, wgan, which else takes 256; 200 for "
        "wae, 500 for swae, 512 for gmm-sgd, 1,024 for kmeans-minibatch), or on few data about a "
        "tenth of them"
    ),
    Field(description="data points per step"),
]
DEVICE = "where to compute; auto takes a GPU if there is one"


LoggerName = Literal["tensorboard", "mlflow", "wandb", "trackio", "none"]


class ModelChoice(Settings):
    """The chosen model: its name, and the dotted path of its class."""

    name: str = ""
    class_: str = Field("", alias="class")


class RunSettings(Settings):
    """What every run has, whichever its model and dataset."""

    autos: ClassVar[Mapping[str, str]] = {
        "epochs": "40, or as many as make 4,000 steps",
        "batch_size": "128, or on few data about a tenth of them",
    }
    # Those that only say how samples are drawn from what was learnt, so that they can be chosen
    # after training.
    sampling_settings: ClassVar[tuple[str, ...]] = ()

    epochs: Epochs = Field(AUTO)
    batch_size: BatchSize = Field(AUTO)
    seed: Annotated[Seed, MayDiffer()] = Field(
        0, description="seed of initial weights, order of the data and noise"
    )
    device: Device = Field("auto", description=DEVICE)
    validate_every: AtLeastOne = Field(
        1, description="epochs between measurements on the validation data"
    )
    save_every: AtLeastOne = Field(1, description="epochs between checkpoints")
    draw_every: AtLeastOne | None = Field(
        None,
        description=(
            "epochs between pictures; null draws after 1, 2, ..., 10, 20, ..., 100, 200, ..."
        ),
    )
    theme: Literal["light", "dark"] = Field("light", description="background of the pictures")
    upscaling: Literal["bicubic", "nearest"] = Field(
        "bicubic",
        description=(
            "how small images are enlarged in pictures: smoothly, or each pixel as a square"
        ),
    )
    evaluation: Literal["full", "quick", "none"] = Field(
        "full",
        description=(
            "the report card at the end: of up to 10,000 points and as many samples, of 1,000, or "
            "none"
        ),
    )
    logger: LoggerName | list[LoggerName] = Field(
        "tensorboard",
        description=(
            "where curves and pictures are watched; several as [tensorboard,mlflow]; it may change "
            "when a run is resumed"
        ),
    )
    dataset: DatasetSettings = Field(default_factory=DatasetSettings)
    model: ModelChoice = Field(default_factory=ModelChoice)

    @property
    def loggers(self) -> list[str]:
        """The names of the loggers, each once."""
        names = self.logger if isinstance(self.logger, list) else [self.logger]
        return [name for name in dict.fromkeys(names) if name != "none"]

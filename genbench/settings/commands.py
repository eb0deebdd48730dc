"""The options of the commands on a finished run; the docstring of a class is what its help says."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genbench.settings.base import Settings
from genbench.settings.fields import (
    AtLeastOne,
    AtLeastTwo,
    Count,
    Device,
    Folder,
    NonNegative,
    Positive,
    Seed,
    Share,
)
from genbench.settings.groups import AnySampler
from genbench.settings.run import DEVICE


class CommandOptions(Settings):
    """Of commands on the folder of a run or, with a `usual_folder`, of several."""

    usual_folder: ClassVar[str | None] = None  # where the command looks if no folder is named


class OutputOptions(CommandOptions):
    """Of commands that write pictures and arrays."""

    to: Folder | None = Field(
        None,
        description=(
            "where the files go; null is the run's own folder; FILE.csv (or .tsv, .parquet, "
            ".feather, .xlsx) writes points of a table as one"
        ),
    )
    device: Device = Field("auto", description=DEVICE)


class HeldOutOptions(CommandOptions):
    """Of commands that start from points of the run's data."""

    part: Literal["test", "validation", "train"] = Field(
        "test", description="points to take, from the first on"
    )


IF_NULL = "null is the run's own"


class SampleOptions(OutputOptions):
    """Draws points from a finished run's model.

    Arrays: samples [n, ...].
    """

    n: AtLeastOne = Field(64, description="points to draw")
    seed: Seed = Field(
        0, description="seed of the draws, the same as in sample(n, seed) from Python"
    )
    y: Count | None = Field(
        None,
        description=(
            "the class to draw, of a model that depends on it; null draws each as often as it "
            "occurs"
        ),
    )
    guidance: NonNegative | None = Field(
        None, description=f"how far a conditional diffusion model is led to the class; {IF_NULL}"
    )
    sampler: AnySampler | None = Field(
        None, description=f"how noise becomes a sample, of a diffusion model; {IF_NULL}"
    )
    sampling_steps: AtLeastOne | None = Field(
        None, description=f"steps from noise to a sample, of a diffusion model; {IF_NULL}"
    )


class ReconstructOptions(HeldOutOptions, OutputOptions):
    """Encodes points of a finished run's data and decodes them again.

    Arrays: originals [n, ...], reconstructions [n, ...].
    """

    n: AtLeastOne = Field(32, description="points to reconstruct")


class InterpolateOptions(HeldOutOptions, OutputOptions):
    """Decodes straight lines between the codes of two points of a finished run's data.

    Arrays: originals [n, 2, ...], codes [n, steps, d], points [n, steps, ...].
    """

    n: AtLeastOne = Field(8, description="pairs of points")
    steps: AtLeastTwo = Field(10, description="codes on each line, the ends among them")


class TraverseOptions(HeldOutOptions, OutputOptions):
    """Moves one latent of a finished run's model at a time.

    The others stay as in the first point or, without an encoder, at their means.

    Arrays: codes [d, steps, d], points [d, steps, ...].
    """

    steps: AtLeastTwo = Field(9, description="codes along each latent")
    range: Positive = Field(
        3.0, description="standard deviations of the codes on either side of their mean"
    )


class EvaluateOptions(CommandOptions):
    """Measures the report card of a finished run, and adds it to its metrics.json.

    `genbench evaluate --list` shows every measure: what it is, its unit, its direction and its
    source.
    """

    evaluation: Literal["full", "quick"] = Field(
        "full", description="of up to 10,000 points and as many samples, or of 1,000"
    )
    metrics: str | None = Field(
        None, description="measures or groups of them, such as fid,ndb; null is all"
    )
    device: Device | None = Field(None, description=f"{DEVICE}, null is the run's own")
    k: AtLeastOne | None = Field(
        None, description="importance samples of a bound; null is the model's own number"
    )
    points: AtLeastOne | None = Field(
        None,
        description=(
            "test points of a likelihood, all if there are no more; null is 1,000 for a bound, "
            "else as many as count"
        ),
    )
    bins: AtLeastTwo | None = Field(
        None, description="bins of ndb; null is 100, or fewer on small data"
    )
    level: Share | None = Field(
        None, description="significance level of the tests of ndb; null is .05"
    )


Format = Literal["safetensors", "torch", "onnx", "card", "samples"]


class ExportOptions(CommandOptions):
    """Writes a finished run's model as files that other programs read.

    safetensors is model.safetensors, all weights. torch and onnx are the encoder, the decoder, the
    sampler and an exact log_prob, as programs; each is run again from its file and compared with
    the model. card is README.md, for the Hugging Face Hub. config.json describes all of them. The
    data of the run are not needed.
    """

    to: Folder | None = Field(None, description="where the files go; null is RUN/export")
    formats: Format | list[Format] | None = Field(
        None, description="what is written; null is all for which the packages are installed"
    )
    license: str = Field(
        "unknown", description="license on the card, as the Hub names it, such as mit or cc-by-4.0"
    )
    n: AtLeastOne = Field(64, description="samples that are written")
    seed: Seed = Field(0, description="seed of the samples, as in genbench sample")
    samples: Literal["npz", "png"] = Field(
        "npz", description="samples as one array, or of images as a folder of PNG files"
    )


class AppOptions(CommandOptions):
    """Shows finished runs in a browser: their latent space, samples and reconstructions.

    Needs the extra genbench[app]. It listens on this machine only, sends nothing anywhere, and ends
    with Ctrl-C.
    """

    usual_folder: ClassVar[str | None] = "outputs"

    browser: bool = Field(True, description="whether to open the page in a browser")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="port to listen on; null is the first free one from 7860 on"
    )
    host: str = Field(
        "127.0.0.1",
        description="address to listen on; 0.0.0.0 lets everybody in who can reach this machine",
    )


COMMAND_OPTIONS: dict[str, type[CommandOptions]] = {
    "app": AppOptions,
    "evaluate": EvaluateOptions,
    "export": ExportOptions,
    "interpolate": InterpolateOptions,
    "reconstruct": ReconstructOptions,
    "sample": SampleOptions,
    "traverse": TraverseOptions,
}

"""The settings of diffusion models and flows, which share one class."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from genbench.settings.fields import (
    AUTO,
    AtLeastOne,
    Auto,
    AutoMeans,
    Count,
    NonNegative,
    Positive,
    Share,
    Without,
    default_by,
    only_with,
    steps_by,
)
from genbench.settings.groups import (
    Activation,
    AnySampler,
    Ema,
    GradientSettings,
    LearningRate,
    Network,
    OfCodes,
    Schedule,
    Steps,
)
from genbench.settings.run import BatchSize, RunSettings

ONLY_CONV = only_with(network="conv")
ONLY_VE = only_with(path="ve")
HalfOpen = Annotated[float, Field(ge=0, lt=1)]


class DenoiserSettings(RunSettings):
    """Of networks from noisy points to points."""

    network: Network = default_by("dataset.kind", vectors="mlp", images="conv", signals="mlp")
    width: Annotated[AtLeastOne, only_with(network="mlp")] = Field(
        256, description="features of the residual stream"
    )
    depth: AtLeastOne = Field(
        default_by("network", mlp=3, conv=1),
        description="residual blocks, with network=conv at each level of the U-Net",
    )
    channels: Annotated[AtLeastOne, ONLY_CONV] = Field(
        24, description="channels of the first level; each further one doubles them"
    )
    patch: Annotated[AtLeastOne, Auto, AutoMeans("2 where both sides are at least 16, or 1")] = (
        Field(AUTO, description="side of the patches of an image that are one pixel to the network")
    )
    attention: Annotated[bool, ONLY_CONV] = Field(
        False, description="let all places of the smallest level look at one another"
    )
    activation: Activation = "silu"


class DiffusionSettings(DenoiserSettings, GradientSettings):
    """Of diffusion models and flows."""

    sampling_settings: ClassVar[tuple[str, ...]] = (
        *("sampler", "sampling_steps", "grid", "grid_power", "eta", "churn"),
        *("langevin_rate", "langevin_steps", "guidance", "clamp"),
    )
    autos: ClassVar[Mapping[str, str]] = {
        "epochs": (
            "as many as steps takes or, with steps=null, 40, or as many as make 4,000 steps (6, or "
            "as many as make 2,000 steps, with network=conv)"
        )
    }

    steps: Steps = steps_by(mlp=10000, conv=None)
    # Of convolutions many small steps achieve more in the same time.
    batch_size: BatchSize = default_by("network", mlp="auto", conv=32)
    lr: LearningRate = default_by("network", mlp=1e-3, conv=2e-3)
    ema: Ema = 0.999
    schedule: Schedule = "cosine"
    path: Literal["vp-linear", "vp-cosine", "ve", "rectified"] = Field(
        "rectified",
        description=(
            "how data turn into noise: at constant variance, by a linear or a cosine schedule; by "
            "noise that grows without bound; or along straight lines"
        ),
    )
    sigma_min: Annotated[Positive, ONLY_VE] = Field(
        0.004, description="least noise, in standard deviations of the data"
    )
    sigma_max: Annotated[Positive, ONLY_VE] = Field(
        160.0, description="most noise, in standard deviations of the data"
    )
    prediction: Literal["eps", "x0", "v", "velocity"] = Field(
        "velocity",
        description="what the network predicts: the noise, the data, or a mixture of both",
    )
    weighting: Literal["simple", "min-snr"] = Field(
        "simple",
        description=(
            "weight of errors: that of the prediction's own square, or min(snr, 5) for squared "
            "errors of the data"
        ),
    )
    times: Literal["uniform", "log-uniform", "log-normal", "logit-normal"] = Field(
        "uniform",
        description="distribution of the times, or with path=ve levels of noise, of training",
    )
    coupling: Literal["independent", "ot", "sinkhorn"] = Field(
        "independent",
        description=(
            "pairs of data and noise in a batch: at random, by optimal transport, or by draws from "
            "an entropic plan; within each class if conditional"
        ),
    )
    coupling_entropy: Annotated[Positive, only_with(coupling="sinkhorn")] = Field(
        0.05, description="weight of the plan's entropy, over the mean squared distance"
    )
    source: Literal["normal", "eight-gaussians"] = Field(
        "normal", description="what noise is drawn from: N(0, I), or a ring of Gaussians"
    )
    reflow: HalfOpen = Field(
        0.0,
        description=(
            "share of the run, at its end, in which noise is paired with what the flow learnt "
            "until then makes of it, which straightens its paths"
        ),
    )
    conditional: bool = Field(False, description="learn the density of each class")
    label_dropout: Annotated[Share, only_with(conditional="true")] = Field(
        0.1, description="share of points whose label is hidden, so that guidance is possible"
    )
    guidance: Annotated[NonNegative, only_with(conditional="true")] = Field(
        1.0,
        description=(
            "how far samples are led from those without a label, at 0, past those of their "
            "class, at 1 (Ho & Salimans 2022, arXiv:2207.12598)"
        ),
    )
    sampler: Annotated[AnySampler, Without(*get_args(OfCodes), "walkback")] = Field(
        "heun",
        description=(
            "how noise becomes a sample: random steps (ancestral, ddim with eta, langevin with "
            "path=ve), or the probability flow by Euler's, Heun's or an adaptive method"
        ),
    )
    sampling_steps: Annotated[
        AtLeastOne, only_with(sampler=("ancestral", "ddim", "euler", "heun", "langevin"))
    ] = Field(20, description="steps from noise to a sample, or levels of noise of langevin")
    grid: Literal["uniform", "power", "geometric"] = Field(
        default_by("path", rectified="uniform", ve="power"),
        description="how the times of these steps are spread",
    )
    grid_power: Annotated[Positive, only_with(grid="power")] = Field(
        7.0, description="power of the times whose spread is even (Karras et al. 2022, equation 5)"
    )
    eta: Annotated[NonNegative, only_with(sampler="ddim")] = Field(
        0.0, description="share of ancestral noise in a step"
    )
    churn: Annotated[NonNegative, only_with(sampler="heun")] = Field(
        0.0, description="noise added over all steps (S_churn of Karras et al. 2022), with path=ve"
    )
    langevin_rate: Annotated[Positive, only_with(sampler="langevin")] = Field(
        0.1, description="step size over the squared level of the noise"
    )
    langevin_steps: Annotated[AtLeastOne, only_with(sampler="langevin")] = Field(
        5, description="steps at each level of noise"
    )
    clamp: bool = Field(
        True, description="keep estimates of data in [0, 1], while sampling, where the data are"
    )
    likelihood_steps: Count = Field(
        default_by("dataset.kind", vectors=24, images=0, signals=0),
        description=(
            "steps of the probability flow by which log p(x) and codes are computed, each of four "
            "evaluations and as many traces; 0 does without both"
        ),
    )

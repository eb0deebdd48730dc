"""The settings of models whose likelihood is exact in one pass: autoregressive models and flows."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genbench.settings.fields import AtLeastOne, AtLeastTwo, only_with
from genbench.settings.groups import (
    Activation,
    EarlyStoppingSettings,
    GradientSettings,
    LearningRate,
    Schedule,
    Steps,
)

HiddenWidths = Annotated[
    list[AtLeastOne],
    Field(description="widths of the hidden layers; [] makes what is computed linear"),
]
BY_LEVELS = only_with(likelihood=("auto", "logistic-mixture"))


class MADESettings(EarlyStoppingSettings, GradientSettings):
    """Of masked autoencoders."""

    lr: LearningRate = 3e-3
    schedule: Schedule = "linear"
    hidden: HiddenWidths = [500]
    activation: Activation = "relu"
    order: Literal["natural", "random"] = Field(
        "natural",
        description=(
            "order in which a value depends on those before it: as they are stored, or one that "
            "the seed draws"
        ),
    )
    likelihood: Literal["auto", "bernoulli", "binomial", "continuous-bernoulli", "gaussian"] = (
        Field(
            "auto",
            description=(
                "distribution of a value given those before it; auto is bernoulli for binary data, "
                "binomial for digits, whose pixels count 16 dots, continuous-bernoulli for other "
                "data in [0, 1], gaussian for the rest"
            ),
        )
    )


class PixelCNNSettings(EarlyStoppingSettings, GradientSettings):
    """Of PixelCNNs."""

    autos: ClassVar[Mapping[str, str]] = {
        "epochs": (
            "as many as steps takes or, with steps=null, 40, or as many as make 4,000 steps"
        ),
        "batch_size": "64, or on few data about a tenth of them",
    }

    steps: Steps = 2000
    lr: LearningRate = 2e-3
    schedule: Schedule = "linear"
    layers: AtLeastOne = Field(5, description="layers of masked convolutions")
    features: AtLeastOne = Field(16, description="features of each pixel in a layer")
    kernel_size: AtLeastOne = Field(
        3,
        description=(
            "side of the kernels in pixels, of which those after the pixel are left out; an even "
            "one counts as the next odd one, and the first layer's is 7"
        ),
    )
    likelihood: Literal[
        "auto", "bernoulli", "binomial", "continuous-bernoulli", "gaussian", "logistic-mixture"
    ] = Field(
        "auto",
        description=(
            "distribution of a value given those before it; auto is bernoulli for binary data, "
            "logistic-mixture for the levels of other pixels, continuous-bernoulli for other data "
            "in [0, 1], gaussian for the rest"
        ),
    )
    levels: Annotated[AtLeastTwo | Literal["auto"], BY_LEVELS] = Field(
        "auto",
        description=(
            "levels that a value can have, from 0 to 1; auto is 17 for digits, whose pixels count "
            "16 dots, and 256, as pixels of 8 bits have, for other data"
        ),
    )
    logistics: Annotated[AtLeastOne, BY_LEVELS] = Field(
        5, description="logistic distributions that are mixed to that of a value's level"
    )


class FlowSettings(EarlyStoppingSettings, GradientSettings):
    """Of normalising flows."""

    lr: LearningRate = 3e-3
    schedule: Schedule = "linear"
    layers: AtLeastOne = Field(5, description="invertible layers, one after the other")
    hidden: HiddenWidths = [128, 128]
    activation: Activation = "relu"
    transform: Literal["auto", "none", "logit"] = Field(
        "auto",
        description=(
            "what is done to data in [0, 1] first: nothing, or logit(1e-6 + (1 - 2e-6) x); "
            "densities stay those of the data. auto is logit for dequantised pixels, none for "
            "other data"
        ),
    )


class RealNVPSettings(FlowSettings):
    """Of flows of affine couplings."""

    layers: AtLeastOne = Field(6, description="invertible layers, one after the other")


class MAFSettings(FlowSettings):
    """Of masked autoregressive flows."""

    order: Literal["reversed", "random"] = Field(
        "reversed",
        description=(
            "order of the values in a layer: that in which they are stored and its reverse in "
            "turn, or one for each layer that the seed draws"
        ),
    )

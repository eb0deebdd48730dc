"""The settings of models whose likelihood is exact in one pass: autoregressive models and flows."""

from typing import Annotated, Literal

from pydantic import Field

from genbench.settings.fields import AtLeastOne
from genbench.settings.groups import (
    Activation,
    EarlyStoppingSettings,
    GradientSettings,
    LearningRate,
    Schedule,
)

HiddenWidths = Annotated[
    list[AtLeastOne],
    Field(description="widths of the hidden layers; [] makes what is computed linear"),
]


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

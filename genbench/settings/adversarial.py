"""The settings of a generator and its discriminator or critic."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genbench.settings.fields import (
    AtLeastOne,
    MayDiffer,
    NonNegative,
    OwnRate,
    Positive,
    Weight,
    default_by,
    only_with,
    steps_by,
)
from genbench.settings.groups import (
    Activation,
    AdamBetas,
    Ema,
    GradientSettings,
    Hidden,
    LatentSettings,
    LearningRate,
    NetworkSettings,
    Schedule,
    Steps,
)
from genbench.settings.run import BatchSize

GeneratorEma = Annotated[Ema, only_with(generator="network")]
HalfShare = Annotated[float, Field(ge=0, lt=0.5)]


class AdversarialSettings(LatentSettings, NetworkSettings, GradientSettings):
    """Of a generator that learns against another network."""

    hidden: Hidden = [256, 256]
    generator: Literal["network", "identity"] = Field(
        "network",
        description=(
            "samples by a network, or the codes N(0, I) themselves (for data of as many "
            "dimensions), so that only the discriminator or critic learns"
        ),
    )
    ema: GeneratorEma = 0.0
    generator_lr: Annotated[
        Annotated[Positive, only_with(generator="network")] | None, MayDiffer()
    ] = Field(None, description="learning rate of the generator; null is lr")
    schedule: Schedule = "linear"  # without it the players circle around their balance to the end


class GANSettings(AdversarialSettings):
    """Of generative adversarial networks.

    Smaller steps and a weaker penalty in the plane, where the modes of a density are narrow.
    """

    autos: ClassVar[Mapping[str, str]] = {
        "epochs": (
            "as many as steps takes or, with steps=null, 40 (18 with network=conv), or as "
            "many as make 4,000 steps"
        ),
        "batch_size": "64, or on few data about a tenth of them",
    }

    steps: Steps = steps_by(mlp=20000, conv=8000)
    lr: LearningRate = default_by("network", mlp=1e-3, conv=2e-3)
    ema: GeneratorEma = 0.999
    adam_betas: AdamBetas = [0.5, 0.999]
    activation: Activation = "leaky-relu"
    generator_loss: Literal["non-saturating", "saturating"] = Field(
        "non-saturating", description="minimise -log D(G(z)), or log(1 - D(G(z)))"
    )
    label_smoothing: HalfShare = Field(
        0.0,
        description=(
            "the discriminator's target for data is one minus this, 0.1 in Salimans et al. 2016 "
            "(arXiv:1606.03498)"
        ),
    )
    fake_label_smoothing: HalfShare = Field(
        0.0, description="the discriminator's target for samples; above 0, smoothing is two-sided"
    )
    instance_noise: NonNegative = Field(
        0.0,
        description=(
            "standard deviation, in data units, of Gaussian noise on all that the discriminator "
            "sees; it falls linearly to zero over the run (arXiv:1701.04862)"
        ),
    )
    r1_gamma: Weight = Field(
        default_by("network", mlp=0.1, conv=1.0),
        description=(
            "weight gamma of the penalty gamma / 2 E ||grad D(x)||^2 on data, D before its sigmoid "
            "(Mescheder et al. 2018, arXiv:1801.04406)"
        ),
    )
    discriminator_lr: OwnRate = Field(
        None, description="learning rate of the discriminator; null is lr"
    )
    n_discriminator: AtLeastOne = Field(
        1, description="steps of the discriminator per step of the generator"
    )


class WGANSettings(AdversarialSettings):
    """Of Wasserstein GANs."""

    autos: ClassVar[Mapping[str, str]] = {
        "epochs": GANSettings.autos["epochs"],
        "batch_size": "256, or on few data about a tenth of them",
    }

    hidden: Hidden = [128, 128, 128]
    steps: Steps = default_by("network", mlp=None, conv=4000)
    lr: LearningRate = 2e-3
    adam_betas: AdamBetas = [0.0, 0.9]
    ema: GeneratorEma = 0.995
    batch_size: BatchSize = default_by("network", mlp="auto", conv=64)
    # Leaky for convolutions, as Radford et al. 2016 advise, arXiv:1511.06434.
    activation: Activation = default_by("network", mlp="relu", conv="leaky-relu")
    constraint: Literal["penalty", "clipping"] = Field(
        "penalty",
        description=(
            "how the critic is kept Lipschitz; clipping is there to compare, as it leaves critics "
            "too simple for most data"
        ),
    )
    lambda_: Annotated[Weight, only_with(constraint="penalty")] = Field(
        1.0,
        alias="lambda",
        description="weight of the gradient penalty; 10 as published is too stiff for narrow modes",
    )
    clip: Annotated[Positive, only_with(constraint="clipping")] = Field(
        0.1,
        description=(
            "bound on the critic's weights; 0.01 as published leaves a critic of these widths "
            "nearly flat"
        ),
    )
    critic_lr: OwnRate = Field(None, description="learning rate of the critic; null is lr")
    n_critic: AtLeastOne = Field(
        default_by("network", mlp=5, conv=1),
        description="steps of the critic per step of the generator",
    )

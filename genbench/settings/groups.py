"""The groups of settings that models share; a model's class inherits those that it needs."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genbench.settings.fields import (
    AUTO,
    AtLeastOne,
    Auto,
    AutoMeans,
    Count,
    Decay,
    MayDiffer,
    NonNegative,
    Positive,
    Without,
    default_by,
    only_with,
)
from genbench.settings.run import RunSettings

Steps = Annotated[
    AtLeastOne | None,
    Field(
        description=(
            "length of the run in batches, in place of epochs; with null, epochs sets the length"
        )
    ),
]
LearningRate = Annotated[Positive, MayDiffer(), Field(description="learning rate")]
Schedule = Annotated[
    Literal["constant", "linear", "cosine", "stages"],
    Field(
        description=(
            "how the learning rate falls over the run: not at all, to zero linearly or as a "
            "half cosine, or at given epochs"
        )
    ),
]
AdamBetas = Annotated[
    list[Decay],
    Field(
        min_length=2,
        max_length=2,
        description="decay of adam's and adamw's first and second moments",
    ),
]
Network = Annotated[
    Literal["mlp", "conv"],
    Field(
        description=(
            "fully connected layers, or, for images and signals, convolutions and one such layer "
            "(this layer alone below 8x8, or a length of 8)"
        )
    ),
]
Hidden = Annotated[
    list[AtLeastOne],
    only_with(network="mlp"),
    Field(
        description=(
            "widths of the hidden layers of the encoder, reversed in the decoder; [] is linear"
        )
    ),
]
Activation = Annotated[
    Literal["relu", "leaky-relu", "elu", "silu", "tanh", "sigmoid"],
    Field(description="activation function between layers"),
]
LatentDim = Annotated[
    AtLeastOne,
    Auto,
    AutoMeans(
        "16 (8 for swae and wae), or what the data allow where that is less: their own dimension "
        "and, for pca, one less than the training points"
    ),
    Field(description="dimension of the code z"),
]
OfCodes = Literal["prior", "gaussian", "gmm", "kde", "flow"]
OfSteps = Literal["ancestral", "ddim", "euler", "heun", "adaptive"]
AnySampler = Literal[OfCodes, "langevin", "walkback", OfSteps]
OF_DIFFUSION = Without("ancestral", "ddim", "euler", "heun", "adaptive")
Sampler = Annotated[
    AnySampler,
    Without("langevin", "walkback", *OF_DIFFUSION.words),  # for models that decode no codes
    Field(
        description=(
            "what codes are drawn from to generate: the prior that training leads them to (else "
            "N(0, I)), or a density fitted to the codes of the training data"
        )
    ),
]
Ema = Annotated[
    Decay,
    Field(
        description=(
            "decay of the average of the weights over the steps, with which the model is measured "
            "and used (of a GAN, the generator's alone); 0 uses the weights themselves"
        )
    ),
]
ONLY_ADAM = only_with(optimizer=("adam", "adamw"))


class GradientSettings(RunSettings):
    """Of models that learn by gradient steps."""

    steps: Steps = None
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = Field(
        "adam", description="rule of the gradient step"
    )
    lr: LearningRate = 1e-3
    momentum: Annotated[Decay, only_with(optimizer=("sgd", "rmsprop"))] = Field(
        0.0, description="share of the last step that is kept"
    )
    centered: Annotated[bool, only_with(optimizer="rmsprop")] = Field(
        False,
        description=(
            "divide by the standard deviation of the gradient rather than by the root of its "
            "second moment"
        ),
    )
    adam_betas: AdamBetas = [0.9, 0.999]
    adam_eps: Annotated[Positive, ONLY_ADAM] = Field(
        1e-8, description="added to the root of the second moment"
    )
    adam_start: Annotated[NonNegative, ONLY_ADAM] = Field(
        0.0, description="what second moments start from; above 0, first steps are short"
    )
    weight_decay: NonNegative = Field(
        0.0,
        description=(
            "on all that is learnt (a learned sigma too); decoupled in adamw, an L2 penalty in the "
            "others"
        ),
    )
    grad_clip: Positive | None = Field(
        None,
        description="largest norm of a step's gradient, over all the parameters that it moves",
    )
    schedule: Schedule = "constant"
    stages: Annotated[list[list[float]], only_with(schedule="stages")] = Field(
        [],
        description=(
            "pairs [epoch, factor]: after so many epochs lr is multiplied by the factor, until the "
            "next"
        ),
    )
    warmup: Count = Field(0, description="steps over which the learning rate rises from zero")
    ema: Ema = 0.0
    precision: Literal["float32", "tf32", "bf16"] = Field(
        "float32",
        description=(
            "arithmetic of training steps: single precision; on a GPU, products that round their "
            "factors to 10 bits; or bfloat16 where torch holds that to be enough. Weights and "
            "measures stay in single precision"
        ),
    )
    compile: bool = Field(
        False,
        description=(
            "let torch compile the loss, which takes up to a minute and makes steps faster; on a "
            "CPU it needs a C++ compiler"
        ),
    )


class NetworkSettings(RunSettings):
    """Of models with networks."""

    autos: ClassVar[Mapping[str, str]] = {
        "epochs": "40 (18 with network=conv), or as many as make 4,000 steps"
    }

    network: Network = default_by("dataset.kind", vectors="mlp", images="conv", signals="conv")
    hidden: Hidden = [400]
    channels: Annotated[AtLeastOne, only_with(network="conv")] = Field(
        16,
        description="channels after the first halving of the image; each further one doubles them",
    )
    dense: Annotated[Count, only_with(network="conv")] = Field(
        128,
        description=(
            "width of the fully connected layer between convolutions and code; 0 leaves it out"
        ),
    )
    activation: Activation = "silu"
    norm: Literal["none", "layer"] = Field(
        "none",
        description=(
            "what is done before activations: nothing, or each point's layer is brought to mean 0 "
            "and variance 1, then scaled by what is learnt (Ba et al. 2016, arXiv:1607.06450)"
        ),
    )
    init_std: Positive | Literal["auto"] = Field(
        "auto",
        description=(
            "standard deviation of initial weights, with biases 0 (0.02 in Radford et al. 2016); "
            "auto draws both as torch does, evenly within one over the root of a layer's inputs"
        ),
    )


class LatentSettings(RunSettings):
    """Of models with codes that are vectors."""

    autos: ClassVar[Mapping[str, str]] = {"latent_dim": "16, or the dimension of the data if less"}

    latent_dim: LatentDim = Field(AUTO)


class SamplerSettings(LatentSettings):
    """Of models that draw codes from a prior, or from a density fitted to the codes of the
    training data.
    """

    sampler: Sampler = "prior"
    sampler_components: Annotated[AtLeastOne, only_with(sampler="gmm")] = Field(
        10,
        description=(
            "the most components of the mixture that is fitted to the codes, which has no more "
            "than there are training points"
        ),
    )


class EarlyStoppingSettings(RunSettings):
    """Of models that can stop once validation no longer improves."""

    patience: AtLeastOne | None = Field(
        None,
        description=(
            "stop when so many epochs have not lowered the objective on the validation data, and "
            "keep the best weights; null goes on"
        ),
    )


class AnnealingSettings(RunSettings):
    """Of models whose loss has a weight that may rise."""

    annealing: Literal["none", "linear", "cyclical"] = Field(
        "none",
        description=(
            "how the weight beta or lambda rises from zero to its value: not at all, once, or "
            "again and again"
        ),
    )
    annealing_epochs: Annotated[AtLeastOne, only_with(annealing=("linear", "cyclical"))] = Field(
        10, description="epochs of the rise, or of a cycle, whose first half is the rise"
    )


class PriorSettings(RunSettings):
    """Of models that lead codes to a prior that can be chosen."""

    prior: Literal["normal", "uniform", "ring"] = Field(
        "normal",
        description="N(0, I), the cube [-1, 1]^d, or the shell of radius 0.8 to 1",
    )


class ReconstructionSettings(RunSettings):
    """Of autoencoders without a likelihood."""

    reconstruction: Literal["mse", "bce", "bce+l1"] = Field(
        "mse",
        description=(
            "squared error, cross-entropy for data in [0, 1], or that and the absolute error; "
            "summed over the values of a point"
        ),
    )


class EncoderDecoderSettings(
    ReconstructionSettings, SamplerSettings, NetworkSettings, GradientSettings
):
    """Of models with an encoder and a decoder, and without a likelihood."""

    autos: ClassVar[Mapping[str, str]] = {"latent_dim": "16, or half the values of a point if less"}


# Bases that others inherit already are named for the order of the settings in files and help.
class AutoencoderSettings(
    EncoderDecoderSettings,
    EarlyStoppingSettings,
    LatentSettings,
    NetworkSettings,
    GradientSettings,
):
    """Of autoencoders."""

    lr: LearningRate = 2e-3
    schedule: Schedule = "linear"
    sampler: Sampler = (
        "gmm"  # training leads codes to no prior, so that draws from one decode to nothing
    )

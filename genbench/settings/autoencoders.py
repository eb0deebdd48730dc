"""The settings of each autoencoder, variational ones included."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genbench.settings.fields import (
    AUTO,
    AtLeastOne,
    Auto,
    Count,
    OwnRate,
    Positive,
    Share,
    Weight,
    Without,
    only_with,
)
from genbench.settings.groups import (
    OF_DIFFUSION,
    AdamBetas,
    AnnealingSettings,
    AnySampler,
    AutoencoderSettings,
    EarlyStoppingSettings,
    EncoderDecoderSettings,
    GradientSettings,
    Hidden,
    LatentDim,
    LatentSettings,
    LearningRate,
    Network,
    NetworkSettings,
    PriorSettings,
    Sampler,
    SamplerSettings,
    Schedule,
)


class DAESettings(AutoencoderSettings):
    """Of denoising autoencoders."""

    latent_dim: LatentDim = 64
    corruption: Literal["gaussian", "masking", "salt-and-pepper"] = Field(
        "gaussian", description="added noise, values set to 0, values set to 0 or 1"
    )
    level: (
        Annotated[float, Field(ge=0, le=1)]
        | Annotated[float, Field(gt=1), only_with(corruption="gaussian")]
    ) = Field(
        0.3,
        description=(
            "standard deviation of gaussian corruption, share of values that the others corrupt"
        ),
    )
    walkbacks: Count = Field(
        0,
        description=(
            "times that a reconstruction is corrupted anew and brought back to the point, in "
            "training"
        ),
    )
    sampler: Annotated[AnySampler, OF_DIFFUSION] = Field(
        "gmm",
        description=(
            "what samples come from: codes drawn from N(0, I) or from a density fitted to those of "
            "the training data, or chains of Langevin dynamics or of corrupting and reconstructing"
        ),
    )
    chain_steps: Annotated[AtLeastOne, only_with(sampler=("langevin", "walkback"))] = Field(
        200, description="steps from noise to a sample"
    )
    langevin_rate: Annotated[Positive, only_with(sampler="langevin")] = Field(
        0.1, description="step size over level squared"
    )
    denoise: Annotated[bool, only_with(sampler=("langevin", "walkback"))] = Field(
        True,
        description="end a chain with a reconstruction, which leaves the corruption out",
    )


class SparseAESettings(AnnealingSettings, AutoencoderSettings):
    """Of sparse autoencoders."""

    latent_dim: LatentDim = 100
    network: Network = "mlp"
    hidden: Hidden = []
    sparsity: Literal["kl", "l1"] = Field(
        "kl",
        description=(
            "KL(rho || mean activation) of sigmoid units, or the sum of rectified activations"
        ),
    )
    rho: Annotated[Share, only_with(sparsity="kl")] = Field(
        0.05, description="wanted mean activation of a unit"
    )
    lambda_: Weight = Field(1.0, alias="lambda", description="weight of the sparsity penalty")


class SupervisedAESettings(AnnealingSettings, AutoencoderSettings):
    """Of autoencoders with a classifier of the code."""

    lambda_: Weight = Field(
        1.0, alias="lambda", description="weight of the cross-entropy, in nats a point"
    )


class SWAESettings(PriorSettings, AnnealingSettings, AutoencoderSettings):
    """Of sliced-Wasserstein autoencoders."""

    autos: ClassVar[Mapping[str, str]] = {
        "batch_size": "500, or on few data about a tenth of them",
        "latent_dim": "8, or half the values of a point where that is less, at least 2",
    }

    sampler: Sampler = "prior"
    projections: AtLeastOne = Field(50, description="random directions per step")
    lambda_: Weight = Field(
        10.0, alias="lambda", description="weight of the squared sliced Wasserstein distance"
    )
    supervision: Weight = Field(
        0.0,
        description=(
            "weight of the same distance between the codes of each class and its part of the "
            "prior; a few labels will do, see dataset.labelled"
        ),
    )


class WAESettings(PriorSettings, AnnealingSettings, AutoencoderSettings):
    """Of Wasserstein autoencoders."""

    autos: ClassVar[Mapping[str, str]] = {
        "batch_size": "200, or on few data about a tenth of them",
        "latent_dim": "8, or half the values of a point where that is less, at least 2",
    }

    sampler: Sampler = "prior"
    lambda_: Weight = Field(
        10.0, alias="lambda", description="weight of the squared kernel distance"
    )


class AAESettings(
    EncoderDecoderSettings,
    PriorSettings,
    SamplerSettings,
    LatentSettings,
    NetworkSettings,
    GradientSettings,
):
    """Of adversarial autoencoders."""

    adam_betas: AdamBetas = [0.5, 0.999]
    discriminator_lr: OwnRate = Field(
        None, description="learning rate of the discriminator; null is lr"
    )
    encoder_lr: OwnRate = Field(
        None,
        description="learning rate of the encoder's steps against the discriminator; null is lr",
    )
    discriminator_hidden: list[AtLeastOne] = Field(
        [256, 256], description="widths of the hidden layers of the discriminator of codes"
    )


class VAESettings(
    AnnealingSettings,
    EarlyStoppingSettings,
    SamplerSettings,
    LatentSettings,
    NetworkSettings,
    GradientSettings,
):
    """Of variational autoencoders, also conditional and importance-weighted ones."""

    lr: LearningRate = 2e-3
    schedule: Schedule = "linear"  # samples gain from small last steps
    objective: Literal["elbo", "iwae"] = Field(
        "elbo",
        description="evidence lower bound, or the tighter importance-weighted bound over all draws",
    )
    draws: AtLeastOne = Field(1, description="draws of z for each data point at every step")
    beta: Annotated[Weight, only_with(objective="elbo")] = Field(
        1.0, description="weight of the KL term"
    )
    likelihood: Literal["auto", "bernoulli", "binomial", "continuous-bernoulli", "gaussian"] = (
        Field(
            "auto",
            description=(
                "p(x|z); auto is bernoulli for data in [0, 1] (binomial for digits, whose pixels "
                "count 16 dots), gaussian for other data"
            ),
        )
    )
    sigma: Annotated[Positive | Literal["learned"], only_with(likelihood=("gaussian", "auto"))] = (
        Field("learned", description="standard deviation of the gaussian likelihood")
    )


class CVAESettings(VAESettings):
    """Of conditional variational autoencoders."""


class VampVAESettings(VAESettings):
    """Of VAEs whose prior is a mixture of posteriors."""

    pseudo_inputs: Annotated[AtLeastOne, Auto] = Field(
        AUTO,
        description=(
            "pseudo-inputs, whose posteriors are mixed to the prior; auto is 100, or as many as "
            "there are training points where they are fewer"
        ),
    )


class BetaTCVAESettings(VAESettings):
    """Of VAEs with a weight on the total correlation."""

    objective: Annotated[Literal["elbo", "iwae"], Without("iwae")] = Field(
        "elbo", description="evidence lower bound, whose KL term is decomposed"
    )
    alpha: Weight = Field(1.0, description="weight of the mutual information of codes and points")
    beta: Weight = Field(6.0, description="weight of the total correlation of codes")
    gamma: Weight = Field(1.0, description="weight of the KL terms of single dimensions")
    aggregate: Literal["stratified", "weighted"] = Field(
        "stratified",
        description=(
            "how the distribution of all codes is estimated from a batch: without bias, or with "
            "equal weights of all its points"
        ),
    )

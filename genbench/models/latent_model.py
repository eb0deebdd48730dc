"""The base of models that encode to vectors: where codes come from when they generate.

A model that was trained without a prior can still generate, once a density is fitted to the codes
of its training data (Ghosh et al. 2020, arXiv:1903.12436, section 4). Such a density is a model
like any other, trained by the same loop.
"""

from collections.abc import Callable

import torch

from genbench.data.types import Data, DataSpec, Split
from genbench.model import Model, available_if
from genbench.models.build import blank_model
from genbench.models.diffusion import Diffusion
from genbench.models.gmm import GMM
from genbench.models.kde import KDE
from genbench.settings.classical import GMMSettings, KDESettings
from genbench.settings.datasets import VectorSettings
from genbench.settings.diffusion import DiffusionSettings
from genbench.settings.groups import PriorSettings, SamplerSettings
from genbench.training import ranks, shares
from genbench.training.loop import NullRecorder, fit_model
from genbench.utils.errors import UserError

FLOW_STEPS = 4000  # of a flow of codes


def blank_mixture(spec: DataSpec, seed: int, components: int) -> Model:
    """A mixture of Gaussians of codes, before it is fitted."""
    # Codes have no fixed scale, so it adds next to nothing to its variances.
    settings = GMMSettings(
        seed=seed, n_components=components, tol=1e-3, covariance="full", reg_covar=1e-6
    )
    return GMM(spec, settings)


def blank_gaussian(spec: DataSpec, seed: int, components: int) -> Model:
    """A mixture with one component."""
    return blank_mixture(spec, seed, 1)


def blank_kernels(spec: DataSpec, seed: int, components: int) -> Model:
    """A kernel density estimate of codes, before it is fitted."""
    return KDE(spec, KDESettings(seed=seed, bandwidth="loo"))


def blank_flow(spec: DataSpec, seed: int, components: int) -> Model:
    """A flow from noise to codes, before it is trained: latent diffusion (Rombach et al. 2022,
    arXiv:2112.10752) of vectors.
    """
    settings = DiffusionSettings(
        seed=seed,
        network="mlp",
        steps=FLOW_STEPS,
        batch_size=256,
        dataset=VectorSettings(standardize=True),
    )
    return blank_model(Diffusion, settings, spec, torch.device("cpu"))


# By the name of the sampler: makes the model that is fitted to codes.
DENSITIES: dict[str, Callable[[DataSpec, int, int], Model]] = {
    "gaussian": blank_gaussian,
    "gmm": blank_mixture,
    "kde": blank_kernels,
    "flow": blank_flow,
}


def draw_prior(kind: str, n: int, d: int, rng: torch.Generator) -> torch.Tensor:
    """n codes [n, d] from a prior.

    `normal` is N(0, I), `uniform` the cube [-1, 1]^d, `ring` the points at distance 0.8 to 1 from
    the origin, spread evenly over directions and distances.
    """
    if kind == "uniform":
        return 2 * torch.rand((n, d), generator=rng, device=rng.device) - 1
    z = torch.randn((n, d), generator=rng, device=rng.device)
    if kind == "normal":
        return z
    radius = 0.8 + 0.2 * torch.rand((n, 1), generator=rng, device=rng.device)
    return radius * z / z.norm(dim=1, keepdim=True)


class LatentModel(Model):
    """Encodes to vectors, decodes them, and generates by decoding codes, which the setting
    `sampler` says how to draw.

    `prior` draws them from the prior of the training objective (N(0, I) if it has none). The other
    samplers draw them from a density that `fit_posthoc` fits to the codes of the training data.
    """

    settings: SamplerSettings

    def __init__(self, spec: DataSpec, settings: SamplerSettings) -> None:
        super().__init__(spec, settings)
        self.density: Model | None = None

    @property
    def latent_dim(self) -> int:
        """The dimension of the codes."""
        return self.settings.latent_dim

    def prior(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n codes [n, latent_dim] from the prior."""
        settings = self.settings
        kind = settings.prior if isinstance(settings, PriorSettings) else "normal"
        return draw_prior(kind, n, self.latent_dim, rng)

    def draws_codes(self) -> bool:
        """Whether codes can be drawn yet."""
        return self.settings.sampler == "prior" or self.density is not None

    @available_if(draws_codes)
    def codes(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n codes [n, latent_dim] to generate from."""
        if self.density is None:
            return self.prior(n, rng)
        return self.density.sample(n, rng)

    @property
    def source_of_codes(self) -> str:
        """Where `codes` come from, in words."""
        if self.settings.sampler == "prior":
            return "the prior"
        return f"the density ({self.settings.sampler}) fitted to the training codes"

    @property
    def adds_noise(self) -> bool:
        """Whether `sample_from_latent` adds the noise of a likelihood."""
        return False

    @property
    def sampler(self) -> str:
        """What samples are drawn from, in a word or two."""
        return f"{self.settings.sampler} + noise" if self.adds_noise else self.settings.sampler

    def sample_from_latent(self, z: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Points [n, *shape] for codes z [n, latent_dim]: draws, or means if draws would only be
        noisier.
        """
        return self.decode(z)

    @available_if(draws_codes)
    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n generated points [n, *shape]."""
        return self.sample_from_latent(self.codes(n, rng), rng)

    def fit_posthoc(self, train: Split, *, seed: int) -> None:
        if self.settings.sampler not in DENSITIES:
            return
        with torch.no_grad():
            batches = shares.own_batches(train, 1000)
            codes = [self.conditioned_on(batch.y).encode(batch.x) for _, batch in batches]
            z = ranks.gather_points(torch.cat(codes) if codes else None)
        data = Data("codes", {"train": Split(z, None)}, DataSpec((self.latent_dim,), unit=False))
        density = self.blank_density(seed, min(self.settings.sampler_components, len(z))).to(
            z.device
        )
        try:
            fit_model(density, data, NullRecorder(), density.settings)
        except UserError as error:
            what = f"cannot be fitted to the codes: {error}"
            raise UserError(
                f"sampler={self.settings.sampler}", what, fix="another sampler"
            ) from error
        self.density = density

    def blank_density(self, seed: int, components: int) -> Model:
        """The density that the settings name, before it is fitted; if it is a mixture, with this
        many components.
        """
        spec = DataSpec((self.latent_dim,), unit=False)
        return DENSITIES[self.settings.sampler](spec, seed, components)

    def for_inference(self) -> Model:
        if self.density is not None:
            self.density = self.density.for_inference()
        return self

    def posthoc_state(self) -> dict[str, torch.Tensor]:
        return {} if self.density is None else self.density.state_dict()

    def load_posthoc_state(self, state: dict) -> None:
        if state:
            # the first dimension is that of the starts
            components = state["log_weights"].shape[1] if "log_weights" in state else 1
            self.density = self.blank_density(self.settings.seed, components).to(self.device)
            self.density.load_state_dict(state)

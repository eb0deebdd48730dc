"""What the models that encode to vectors share: where codes come from when they generate.

A model whose codes were never led towards a prior still generates once a density is fitted to the codes of its training
data (Ghosh et al. 2020, arXiv:1903.12436, section 4). Such a density is a model like any other, trained by the same loop.
"""

import torch

from genbench.config.settings import Settings
from genbench.data.types import Data, DataSpec, Split
from genbench.model import Model, available_if
from genbench.models.gmm import GMM
from genbench.models.kde import KDE
from genbench.training.loop import Silent, fit
from genbench.utils.errors import UserError

DENSITIES = {  # by the name of the sampler: the model that is fitted to codes, and its settings
    "gaussian": (GMM, {"n_components": 1}),
    "gmm": (GMM, {}),
    "kde": (KDE, {}),
}
# Codes have no fixed scale, so the mixture adds next to nothing to its variances.
USUAL = {
    "epochs": 100,
    "batch_size": 4096,
    "n_init": 1,
    "tol": 1e-3,
    "covariance": "full",
    "reg_covar": 1e-6,
    "bandwidth": "loo",
}
USUAL |= {"validate_every": 1, "save_every": 1}


def draw_prior(kind: str, n: int, d: int, rng: torch.Generator) -> torch.Tensor:
    """n codes [n, d] from a prior.

    `normal` is N(0, I), `uniform` the cube [-1, 1]^d, `ring` the points at distance 0.8 to 1 from the origin, spread
    evenly over directions and distances.
    """
    if kind == "uniform":
        return 2 * torch.rand((n, d), generator=rng, device=rng.device) - 1
    z = torch.randn((n, d), generator=rng, device=rng.device)
    if kind == "normal":
        return z
    radius = 0.8 + 0.2 * torch.rand((n, 1), generator=rng, device=rng.device)
    return radius * z / z.norm(dim=1, keepdim=True)


class LatentModel(Model):
    """Encodes to vectors and decodes them; generates from codes that its setting `sampler` says how to draw.

    `prior` draws from what training led codes towards (N(0, I) where it led them nowhere); the others from a density
    that `fit_posthoc` fits to the codes of the training data.
    """

    def __init__(self, spec, s):
        super().__init__(spec, s)
        self.density: Model | None = None

    def prior(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n codes [n, latent_dim] from the prior."""
        return draw_prior(self.s.get("prior", "normal"), n, self.s.latent_dim, rng)

    def draws_codes(self) -> bool:
        """Whether there is something to draw codes from, yet."""
        return self.s.sampler == "prior" or self.density is not None

    @available_if(draws_codes)
    def codes(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n codes [n, latent_dim] to generate from."""
        return self.prior(n, rng) if self.density is None else self.density.sample(n, rng)

    @property
    def source_of_codes(self) -> str:
        """Where `codes` come from, in words."""
        return (
            "the prior"
            if self.s.sampler == "prior"
            else f"the density ({self.s.sampler}) fitted to the training codes"
        )

    adds_noise = False  # whether `sample_from_latent` adds the noise of a likelihood

    @property
    def sampler(self) -> str:
        """What samples are drawn from, in a word or two."""
        return self.s.sampler + " + noise" * self.adds_noise

    def sample_from_latent(self, z: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Data [n, *shape] given codes z [n, latent_dim]: a draw, or the mean where a draw would only be a noisier picture."""
        return self.decode(z)

    @available_if(draws_codes)
    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n generated points [n, *shape]."""
        return self.sample_from_latent(self.codes(n, rng), rng)

    def fit_posthoc(self, train, *, seed):
        if self.s.sampler in DENSITIES:
            with torch.no_grad():
                z = torch.cat([self.conditioned_on(y).encode(x) for x, y in train.batches(1000)])
            data = Data(
                "codes", {"train": Split(z, None)}, DataSpec((self.s.latent_dim,), unit=False)
            )
            density = self.blank_density(seed, min(self.s.sampler_components, len(z))).to(z.device)
            try:
                fit(density, data, Silent(), density.s)
            except UserError as error:
                raise UserError(
                    f"sampler={self.s.sampler}",
                    f"cannot be fitted to the codes: {error}",
                    fix="another sampler",
                ) from error
            self.density = density

    def blank_density(self, seed: int, components: int) -> Model:
        """The density that the settings name, before it is fitted; a mixture of so many components."""
        made, own = DENSITIES[self.s.sampler]
        settings = USUAL | {"n_components": components, "seed": seed} | own
        return made(DataSpec((self.s.latent_dim,), unit=False), Settings(settings))

    def posthoc_state(self):
        return {} if self.density is None else self.density.state_dict()

    def load_posthoc_state(self, state):
        if state:
            components = (
                state["log_weights"].shape[1] if "log_weights" in state else 1
            )  # after the start
            self.density = self.blank_density(self.s.seed, components).to(self.device)
            self.density.load_state_dict(state)

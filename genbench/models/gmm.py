"""Gaussian mixture by expectation-maximisation (Dempster, Laird & Rubin 1977) or by gradient
descent.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from genbench.data.types import Batch, DataSpec, Split
from genbench.models.covariances import FORMS
from genbench.models.gaussians import Gaussians
from genbench.models.mixture import EMMixture, Mixture
from genbench.settings.classical import GMMSettings, GradientGMMSettings
from genbench.settings.run import RunSettings
from genbench.stats.clustering import starting_rows
from genbench.training.gradient import GradientModel, LossAndTerms, LossNoise, LossWeights
from genbench.utils.rng import generator
from genbench.visualizations import MixtureComponents, Visualization

# Training points of a component, per value of a point, from which auto takes a full covariance.
# With fewer than one it is singular, and with few more it has learnt the points by heart.
FULL_FROM = 1.5


class GaussianMixture(Mixture):
    """A mixture of Gaussians in the form that `covariance` names."""

    settings: GMMSettings | GradientGMMSettings

    @classmethod
    def automatic(cls, settings: RunSettings, points: int, size: int) -> dict[str, Any]:
        found = super().automatic(settings, points, size)
        assert isinstance(settings, GMMSettings | GradientGMMSettings)
        if settings.covariance == "auto":
            enough = points >= FULL_FROM * int(settings.n_components) * size
            found["covariance"] = "full" if enough else "diag"
        return found

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        k, d = self.settings.n_components, self.spec.size
        return {
            "log_weights": (k,),
            "means": (k, d),
            "factors": FORMS[self.settings.covariance].shape(k, d),
        }

    def components(self, **parameters: torch.Tensor) -> Gaussians:
        auto = 1e-3 if self.spec.unit else 1e-6
        reg_covar = auto if self.settings.reg_covar == "auto" else self.settings.reg_covar
        form = FORMS[self.settings.covariance].suited(self.spec.size)
        return form(**parameters, reg_covar=reg_covar)

    @property
    def gaussians(self) -> Gaussians:
        """The mixture, as the Gaussians that `components` builds."""
        mixture = self.mixture
        assert isinstance(mixture, Gaussians)
        return mixture

    def warnings(self) -> list[str]:
        gaussians = self.gaussians
        flat = (gaussians.left <= 2 * gaussians.reg_covar).any(-1).flatten()
        if not flat.any():
            return super().warnings()
        what = f"{int(flat.sum())} of {flat.numel()} covariances are singular or nearly so"
        if flat.numel() == 1:
            what = "the covariance is singular or nearly so"
        kept = f"reg_covar={gaussians.reg_covar:g}"
        text = f"{what}; the log_prob depends on {kept}, so compare only runs that share it"
        return [*super().warnings(), text]

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        shown = super().visualizations(x, rng)
        if self.spec.size <= 3:  # where ellipses can be drawn
            k, d, gaussians = self.settings.n_components, self.spec.size, self.gaussians
            axes = torch.eye(d).to(gaussians.means).repeat(k, 1)
            component = torch.arange(k, device=axes.device).repeat_interleave(d)
            roots = gaussians.colour(axes, component).unflatten(0, (k, d))
            components = shown["components"]
            assert isinstance(components, MixtureComponents)
            shown["components"] = replace(components, covariances=roots.mT @ roots)
        return shown


class GMM(GaussianMixture, EMMixture):
    """Maximises mean log sum_k pi_k N(x; mu_k, Sigma_k) by EM."""

    settings: GMMSettings
    splits_batches = True


class GradientGMM(GaussianMixture, GradientModel):
    """Maximises mean log p(x) - reg_covar / 2 sum_k pi_k tr Sigma_k^-1 by its gradient, with pi
    fixed in the second term.

    It has the same optima as EM: setting the gradient to zero shows that the second term adds
    reg_covar to the variances, as the M-step does. Its traces are estimated with random signs
    (Hutchinson 1990), which is exact for diagonal and spherical covariances.

    pi is the softmax of logits. Standard deviations and the diagonals of Cholesky factors are the
    softplus of parameters. The other entries of a factor are learnt in units of their row's
    diagonal over the root of D, so that one learning rate suits wide and narrow directions, and few
    and many dimensions.
    """

    settings: GradientGMMSettings
    splits_batches = True

    probes = 16  # random vectors of signs per step
    # The linear algebra of a step takes long, and hardly longer for more points.
    default_batch_size = 512

    def __init__(self, spec: DataSpec, settings: GradientGMMSettings) -> None:
        super().__init__(spec, settings)
        self.logits, self.means, self.free = (
            nn.Parameter(torch.randn(shape)) for shape in self.shapes.values()
        )

    @property
    def mixture(self) -> Gaussians:
        mixture = self.components(
            log_weights=self.logits.log_softmax(0), means=self.means, factors=self.free
        )
        return replace(mixture, factors=mixture.constrained(self.free))

    @torch.no_grad()
    def initialise(self, train: Split, *, seed: int) -> None:
        x = starting_rows(train, self.settings.n_components)
        begin = self.start(x, generator(seed, "start", 0, device=x.device))
        assert isinstance(begin, Gaussians)
        self.logits.copy_(begin.log_weights)
        self.means.copy_(begin.means)
        self.free.copy_(begin.freed(begin.factors))

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        shape = (self.probes, self.spec.size)
        bits = torch.randint(2, shape, generator=rng, device=rng.device)
        return {"signs": 2 * bits.float() - 1}

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        mixture = self.gaussians
        nll = -mixture.joint(batch.x.flatten(1)).logsumexp(1).mean()
        centred = replace(mixture, means=torch.zeros_like(mixture.means))
        traces = centred.mahalanobis(centred.prepared(noise["signs"]))[0].mean(0)
        return nll + mixture.reg_covar / 2 * mixture.weights.detach().to(traces) @ traces, {
            "nll": nll
        }

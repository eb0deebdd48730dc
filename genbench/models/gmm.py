"""Gaussian mixture by expectation-maximisation (Dempster, Laird & Rubin 1977) or by gradient descent."""

from dataclasses import replace

import torch
from torch import nn

from genbench.models.gaussians import FORMS
from genbench.models.mixture import EMMixture, Mixture
from genbench.training.em import rows
from genbench.training.gradient import GradientModel
from genbench.utils.rng import generator


class GaussianMixture(Mixture):
    """A mixture of Gaussians in the form that `covariance` names."""

    @property
    def shapes(self):
        k, d = self.s.n_components, self.spec.size
        return {
            "log_weights": (k,),
            "means": (k, d),
            "factors": FORMS[self.s.covariance].shape(k, d),
        }

    def components(self, **parameters):
        auto = 1e-3 if self.spec.unit else 1e-6
        return FORMS[self.s.covariance](
            **parameters, reg_covar=auto if self.s.reg_covar == "auto" else self.s.reg_covar
        )

    def warnings(self):
        flat = (self.mixture.left <= 2 * self.mixture.reg_covar).any(-1).flatten()
        of = (
            f"{int(flat.sum())} of {flat.numel()} covariances"
            if flat.numel() > 1
            else "the covariance"
        )
        by = f"reg_covar={self.mixture.reg_covar:g}"
        return super().warnings() + [
            f"{of} would be singular or nearly so without {by}, on which log p(x) then depends"
        ] * bool(flat.any())

    def views(self, x, rng):
        views = super().views(x, rng)
        if self.spec.size <= 3:  # where ellipses can be drawn
            k, d, mixture = self.s.n_components, self.spec.size, self.mixture
            axes = torch.eye(d).to(mixture.means).repeat(k, 1)
            roots = mixture.colour(
                axes, torch.arange(k, device=axes.device).repeat_interleave(d)
            ).unflatten(0, (k, d))
            views["components"].data["covariances"] = roots.mT @ roots
        return views


class GMM(GaussianMixture, EMMixture):
    """Maximises mean log sum_k pi_k N(x; mu_k, Sigma_k) by EM."""


class GradientGMM(GaussianMixture, GradientModel):
    """Maximises mean log p(x) - reg_covar / 2 sum_k pi_k tr Sigma_k^-1 by its gradient, with pi held fixed in the second term.

    It rests where EM does: the second term is what makes an M-step add reg_covar to the variances, as setting the gradient
    to zero shows. Its traces are estimated with random signs (Hutchinson 1990), which is exact for diag and spherical.

    pi is the softmax of logits. Standard deviations, and the diagonals of Cholesky factors, are the softplus of what is
    learnt; the other entries of a factor are learnt in units of their row's diagonal over the root of D. So one learning
    rate suits wide and narrow directions, and few dimensions and many.
    """

    probes = 16  # random vectors of signs per step
    default_batch_size = (
        512  # the linear algebra of a step takes long, and hardly longer for more points
    )

    def __init__(self, spec, s):
        super().__init__(spec, s)
        self.logits, self.means, self.free = (
            nn.Parameter(torch.randn(shape)) for shape in self.shapes.values()
        )

    @property
    def mixture(self):
        mixture = self.components(
            log_weights=self.logits.log_softmax(0), means=self.means, factors=self.free
        )
        return replace(mixture, factors=mixture.constrained(self.free))

    @torch.no_grad()
    def initialise(self, train, *, seed):
        x = rows(train.values())
        found = self.start(x, generator(seed, "start", 0, device=x.device))
        self.logits.copy_(found.log_weights)
        self.means.copy_(found.means)
        self.free.copy_(found.freed(found.factors))

    def draw_noise(self, objective, n, rng):
        return {
            "signs": torch.randint(
                2, (self.probes, self.spec.size), generator=rng, device=rng.device
            ).float()
            * 2
            - 1
        }

    def loss(self, batch, noise, weights):
        mixture = self.mixture
        nll = -mixture.joint(batch.x.flatten(1)).logsumexp(1).mean()
        centred = replace(mixture, means=torch.zeros_like(mixture.means))
        traces = centred.mahalanobis(noise["signs"])[0].mean(0)
        return nll + mixture.reg_covar / 2 * mixture.weights.detach() @ traces, {"nll": nll}

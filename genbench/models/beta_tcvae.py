"""VAE whose KL term is decomposed, with a weight on the total correlation (Chen et al. 2018,
arXiv:1802.04942).
"""

import math

import torch

from genbench.data.types import Batch, DataSpec, Split
from genbench.models.vae import VAE
from genbench.nn.likelihoods import gaussian_kl
from genbench.settings.autoencoders import BetaTCVAESettings
from genbench.training import shares
from genbench.training.gradient import LossAndTerms, LossNoise, LossWeights


class BetaTCVAE(VAE):
    """Minimises E_q[-log p(x|z)] + alpha I(z; x) + beta TC(z) + gamma sum_j KL(q(z_j) || p(z_j)).

    q(z) is the mean of q(z|x) over the training points, I the mutual information of z and a
    training point, and TC = KL(q(z) || prod_j q(z_j)) the total correlation (equation 2 of the
    paper). With all three weights at 1 the terms add up to the KL term of a VAE.
    """

    settings: BetaTCVAESettings
    splits_batches = True

    loss_weights = ("alpha", "beta", "gamma")
    train_size: torch.Tensor  # how many training points there are

    def __init__(self, spec: DataSpec, settings: BetaTCVAESettings) -> None:
        super().__init__(spec, settings)
        self.register_buffer("train_size", torch.ones(()))

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        super().setup(train, seed=seed, steps=steps)
        self.train_size.fill_(len(train))

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        mu, logvar = self.posterior(batch.x)
        z = mu + noise["eps"] * (logvar / 2).exp()  # [k, n, d]
        nll, kl = self.nll(batch.x, z).mean(), gaussian_kl(mu, logvar).mean()
        information, correlation, dimension_wise = self.kl_terms(z, mu, logvar)
        loss = nll + weights["alpha"] * information + weights["beta"] * correlation
        return loss + weights["gamma"] * dimension_wise, {
            "nll": nll,
            "kl": kl,
            "negative_elbo": nll + kl,
            "mutual_information": information,
            "total_correlation": correlation,
            "dimension_wise_kl": dimension_wise,
        }

    def kl_terms(
        self, z: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Estimates of the mutual information, the total correlation and the sum of the KL
        divergences of single dimensions, in nats, from draws z [k, n, d] of the posteriors
        N(mu, exp(logvar)) [n, d] of the points of a batch.

        The three add up to the mean of log q(z|x) - log p(z), however q(z) is estimated.
        """
        z = shares.whole_batch(z.transpose(0, 1))  # [n, k, d]
        mu, logvar = shares.whole_batch(mu), shares.whole_batch(logvar)
        log_conditional = log_normal(z, mu[:, None], logvar[:, None]).sum(-1)
        # log w_ij q(z_i|x_j) of each dimension: [n, k, n, d]
        log_q = log_normal(z[:, :, None], mu, logvar)
        log_weights = self.log_batch_weights(len(z))[:, None]
        log_joint = (log_q.sum(-1) + log_weights).logsumexp(-1)
        log_marginals = (log_q + log_weights[..., None]).logsumexp(-2).sum(-1)
        log_prior = log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(-1)
        return (
            (log_conditional - log_joint).mean(),
            (log_joint - log_marginals).mean(),
            (log_marginals - log_prior).mean(),
        )

    def log_batch_weights(self, n: int) -> torch.Tensor:
        """log w [n, n] such that sum_j w_ij q(z|x_j) over the points x_j of a batch estimates q(z)
        at a draw z from q(z|x_i).

        `stratified` gives 1/N to the point itself, one of N in the data, and an equal part of the
        rest to each other point. It is unbiased, and exact if the batch holds all points: the mean
        of the estimator in appendix C.2 of the paper over which of the others gets the odd weight.
        `weighted` gives all of them 1/(N n) (appendix C.1), which underestimates log q(z).
        """
        size = self.train_size
        if self.settings.aggregate == "weighted":
            return -(size.log() + math.log(n)).expand(n, n)
        others = ((size - 1) / (size * max(1, n - 1))).log()
        own = torch.eye(n, dtype=torch.bool, device=size.device)
        return torch.where(own, -size.log(), others)


def log_normal(z: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """log N(z; mu, exp(logvar)) elementwise, in nats."""
    return -0.5 * ((z - mu).square() * (-logvar).exp() + logvar + math.log(2 * math.pi))

"""Principal component analysis, also as a density (Tipping & Bishop 1999, doi:10.1111/1467-9868.00196)."""

import math

import torch

from genbench.model import View, available_if
from genbench.models.latent_model import LatentModel
from genbench.nn.likelihoods import per_point


class PCA(LatentModel):
    """Minimises E||x - W W'x||^2 over W'W = I: the top eigenvectors of the covariance, from one pass over the data.

    As probabilistic PCA it is the Gaussian N(mean, W (L - s2 I) W' + s2 I), s2 the mean of the eigenvalues that are
    left out; with none left out it is the maximum-likelihood Gaussian. Where that Gaussian is flat (its least variance
    is zero) it has no density.
    """

    criterion = "squared_error"
    few = False  # fewer points than values in each

    @classmethod
    def largest(cls, s, points, size):
        return super().largest(s, points, size) | {
            "latent_dim": min(points - 1, size)
        }  # centred points span no more

    def __init__(self, spec, s):
        super().__init__(spec, s)
        d = spec.size
        for name, shape in {
            "mean": (d,),
            "components": (s.latent_dim, d),
            "eigenvalues": (d,),
        }.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("solved", torch.tensor(False))
        self.forget()

    def forget(self) -> None:
        """Start a pass: no points seen."""
        self.seen: list[torch.Tensor] = []
        self.count, self.running_mean, self.scatter = 0, 0.0, 0.0

    @property
    def converged(self) -> bool:
        """Whether a pass over the data was made: the solution is exact, and another would not change it."""
        return bool(self.solved)

    def setup(self, train, *, seed, steps):
        self.few = len(train) < self.spec.size

    def step(self, batch):
        x = batch.x.flatten(1).to(self.mean)
        if (
            self.few
        ):  # the points take less room than their covariance, and their singular values less time
            self.seen.append(x)
            return {}
        # Centred sums merged pairwise (Chan et al. 1979): no cancellation, whatever the data's offset.
        n, total, mean = len(x), self.count + len(x), x.mean(0)
        shift, centred = mean - self.running_mean, x - mean
        self.scatter = (
            self.scatter + centred.T @ centred + shift.outer(shift) * (self.count * n / total)
        )
        self.running_mean = self.running_mean + shift * (n / total)
        self.count = total
        return {}

    def end_epoch(self):
        if self.few:
            x = torch.cat(self.seen)
            self.mean.copy_(x.mean(0))
            _, singular, vectors = torch.linalg.svd(x - self.mean, full_matrices=False)
            self.eigenvalues.zero_()[: len(singular)] = singular.square() / len(x)
        else:
            values, vectors = torch.linalg.eigh(self.scatter / self.count)
            self.mean.copy_(self.running_mean)
            self.eigenvalues.copy_(values.flip(0).clamp(min=0))
            vectors = vectors.flip(1).T
        top = vectors[: self.s.latent_dim]
        largest = top.gather(1, top.abs().argmax(1, keepdim=True))
        self.components.copy_(
            top * largest.sign()
        )  # the sign is arbitrary: make the largest entry positive
        self.solved.fill_(True)
        self.forget()
        return {"explained_variance": self.explained_variance}

    def training_state(self):
        return {
            "seen": self.seen,
            "count": self.count,
            "running_mean": self.running_mean,
            "scatter": self.scatter,
        }

    def load_training_state(self, state):
        vars(self).update(state)

    @property
    def explained_variance(self) -> torch.Tensor:
        """The components' share of the total variance; all of it where there is none."""
        left = self.eigenvalues[self.s.latent_dim :].sum()
        return 1 - left / self.eigenvalues.sum() if left > 0 else torch.ones_like(left)

    @property
    def noise(self) -> torch.Tensor:
        """s2, the maximum-likelihood variance of what the components leave out; zero if that is nothing."""
        left = self.eigenvalues[self.s.latent_dim :]
        return left.mean() if len(left) else left.sum()

    def has_density(self) -> bool:
        """Whether the least variance of the Gaussian is above rounding error."""
        least = self.noise if self.s.latent_dim < self.spec.size else self.eigenvalues[-1]
        return bool(least > 1e-12 * self.eigenvalues[0])

    def evaluate(self, batch, rng):
        error = per_point((batch.x - self.decode(self.encode(batch.x))) ** 2).mean()
        return {"squared_error": error} | (
            {"nll": -self.log_prob(batch.x).mean()} if self.has_density() else {}
        )

    def encode(self, x):
        """z = W'(x - mean): [n, *shape] -> [n, latent_dim]."""
        return ((x.flatten(1).to(self.mean) - self.mean) @ self.components.T).float()

    def decode(self, z):
        """mean + W z: [n, latent_dim] -> [n, *shape]."""
        return (self.mean + z.to(self.mean) @ self.components).float().unflatten(1, self.spec.shape)

    @available_if(has_density)
    def log_prob(self, x):
        """Exact log density [n] of data [n, *shape], in nats."""
        q, d = self.s.latent_dim, self.spec.size
        centred = x.flatten(1).to(self.mean) - self.mean
        z = centred @ self.components.T
        kept = self.eigenvalues[:q]
        mahalanobis, log_det = (z**2 / kept).sum(1), kept.log().sum()
        if q < d:
            mahalanobis = mahalanobis + (centred - z @ self.components).square().sum(1) / self.noise
            log_det = log_det + (d - q) * self.noise.log()
        return -0.5 * (mahalanobis + log_det + d * math.log(2 * math.pi))

    def prior(self, n, rng):
        """n codes [n, latent_dim] of the Gaussian that the codes of its draws have, apart from their noise."""
        z = torch.randn(n, self.s.latent_dim, generator=rng, device=rng.device)
        return z * (self.eigenvalues[: self.s.latent_dim] - self.noise).clamp(min=0).sqrt()

    adds_noise = True

    def sample_from_latent(self, z, rng):
        noise = torch.randn(len(z), *self.spec.shape, generator=rng, device=rng.device)
        return self.decode(z) + self.noise.sqrt().float() * noise

    def views(self, x, rng):
        shares, kept = (
            self.eigenvalues / self.eigenvalues.sum().clamp(min=1e-300),
            self.s.latent_dim,
        )
        images = self.components.float().unflatten(1, self.spec.shape)[:40]
        captions = [f"{i + 1}: {share:.1%}" for i, share in enumerate(shares[: len(images)])]
        z, counts = self.encode(x), sorted({min(2**i, kept) for i in range(kept.bit_length() + 1)})
        grown = {
            f"first {k}": self.decode(z * (torch.arange(kept, device=z.device) < k)) for k in counts
        }
        return {
            "components": View(
                "images",
                "components, with their share of the variance",
                {"images": images, "captions": captions, "signed": True},
            ),
            "scree": View(
                "spectrum",
                f"the {kept} components explain {self.explained_variance:.1%} of the variance",
                {"shares": shares, "kept": kept},
            ),
            "growth": View(
                "rows",
                "held-out points from growing numbers of components",
                {"original": x, **grown},
            ),
        }

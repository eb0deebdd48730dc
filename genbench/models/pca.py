"""Principal component analysis, also as a density (Tipping & Bishop 1999,
doi:10.1111/1467-9868.00196).
"""

import math
from dataclasses import dataclass

import torch

from genbench.data.types import Batch, DataSpec, Split
from genbench.model import Logs, available_if
from genbench.models.latent_model import LatentModel
from genbench.settings.classical import PCASettings
from genbench.settings.run import RunSettings
from genbench.stats.clustering import SINGLE_FROM, distance_rows
from genbench.stats.products import add_squares, in_cache, mirrored, wide
from genbench.training import ranks, shares
from genbench.training.processes import is_first
from genbench.visualizations import Images, Rows, Spectrum, Visualization

RESOLVED = 1e-5  # variances above this share of the largest are right in single precision


@dataclass
class Moments:
    """How many points there are, their mean [D], and the sum of their squares around it [D, D], of
    which only the values below the diagonal are complete.
    """

    count: int = 0
    running_mean: torch.Tensor | float = 0.0
    scatter: torch.Tensor | float = 0.0

    def add(self, x: torch.Tensor) -> None:
        """Add rows [n, D]."""
        # Centred sums merged pairwise (Chan et al. 1979): no cancellation, however far the data are
        # from zero.
        n, total, mean = len(x), self.count + len(x), x.mean(0)
        shift = wide(mean) - self.running_mean
        if not isinstance(self.scatter, torch.Tensor):
            self.scatter = shift.new_zeros(len(shift), len(shift))
        for part in in_cache(x, x.shape[1]):
            columns = part.new_empty(x.shape[1], len(part))
            add_squares(self.scatter, torch.sub(part.T, mean[:, None], out=columns))
        self.scatter.addr_(shift, shift, alpha=self.count * n / total)
        self.running_mean = self.running_mean + shift * (n / total)
        self.count = total

    def combine(self) -> None:
        """Add the points of the other processes of the run."""
        mean, scatter = torch.as_tensor(self.running_mean), torch.as_tensor(self.scatter)
        total = {"count": torch.tensor(float(self.count)), "total": self.count * mean}
        found = ranks.add_up(total if self.count else {})
        self.running_mean = found["total"] / found["count"].to(found["total"])
        if self.count:
            shift = mean - self.running_mean
            scatter = scatter.addr(shift, shift, alpha=self.count)
        self.scatter = ranks.add_up({"scatter": scatter} if self.count else {})["scatter"]
        self.count = int(found["count"])


class PCA(LatentModel):
    """Minimises E||x - W W'x||^2 over W'W = I: the top eigenvectors of the covariance, in one
    epoch.

    As probabilistic PCA it is the Gaussian N(mean, W (L - s2 I) W' + s2 I), where s2 is the mean of
    the eigenvalues that are left out; if none is, it is the maximum-likelihood Gaussian. If the
    smallest variance of that Gaussian is zero, it has no density.
    """

    settings: PCASettings
    splits_batches = True

    criterion = "squared_error"
    shuffles = False
    few = False  # whether there are fewer points than values in each
    mean: torch.Tensor  # [D]
    components: torch.Tensor  # [latent_dim, D]
    eigenvalues: torch.Tensor  # [D]
    solved: torch.Tensor
    points: Split  # what it learns from

    @classmethod
    def largest(cls, settings: RunSettings, points: int, size: int) -> dict[str, int]:
        # centred points span no more dimensions
        return super().largest(settings, points, size) | {"latent_dim": min(points - 1, size)}

    def __init__(self, spec: DataSpec, settings: PCASettings) -> None:
        super().__init__(spec, settings)
        d = spec.size
        self.register_buffer("mean", torch.zeros(d, dtype=torch.float64))
        self.register_buffer("components", torch.zeros(settings.latent_dim, d, dtype=torch.float64))
        self.register_buffer("eigenvalues", torch.zeros(d, dtype=torch.float64))
        self.register_buffer("solved", torch.tensor(False))
        self.forget()

    def forget(self) -> None:
        """Start an epoch, with no points seen."""
        self.seen: list[torch.Tensor] = []
        self.moments = Moments()

    @property
    def converged(self) -> bool:
        """Whether an epoch has ended: the solution is exact, so another would not change it."""
        return bool(self.solved)

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        self.few, self.points = len(train) < self.spec.size, train

    def step(self, batch: Batch) -> Logs:
        if not len(batch.x):
            return {}
        if self.few:  # the points need less memory than their covariance, and their SVD less time
            self.seen.append(batch.x.flatten(1).to(self.mean))
        else:
            self.moments.add(distance_rows(batch.x))
        return {}

    def combine(self) -> None:
        if self.few:
            self.seen = [ranks.gather_points(torch.cat(self.seen) if self.seen else None)]
        else:
            self.moments.combine()

    def end_epoch(self) -> Logs:
        if self.few:
            x = torch.cat(self.seen)
            self.mean.copy_(x.mean(0))
            _, singular, vectors = torch.linalg.svd(x - self.mean, full_matrices=False)
            self.eigenvalues.zero_()[: len(singular)] = singular.square() / len(x)
        else:
            vectors = self.diagonalise(self.moments)
            is_single = self.spec.size >= SINGLE_FROM
            if is_single and self.least_variance < RESOLVED * self.eigenvalues[0]:
                vectors = self.diagonalise(self.exact_moments())
        top = vectors[: self.settings.latent_dim]
        largest = top.gather(1, top.abs().argmax(1, keepdim=True))
        # the sign is arbitrary: make the largest entry positive
        self.components.copy_(top * largest.sign())
        self.solved.fill_(True)
        self.forget()
        return {"explained_variance": self.explained_variance}

    def exact_moments(self) -> "Moments":
        """The moments of all points once more, in double precision."""
        moments = Moments()
        for _, batch in shares.own_batches(self.points, self.settings.batch_size):
            moments.add(wide(batch.x.flatten(1)))
        if ranks.several():
            moments.combine()
        return moments

    def diagonalise(self, moments: "Moments") -> torch.Tensor:
        """Set mean and eigenvalues from the moments; returns the eigenvectors as rows [D, D]."""
        covariance = mirrored(torch.as_tensor(moments.scatter)) / moments.count
        values, vectors = torch.linalg.eigh(covariance)
        self.mean.copy_(torch.as_tensor(moments.running_mean))
        self.eigenvalues.copy_(values.flip(0).clamp(min=0))
        return vectors.flip(1).T

    def training_state(self) -> dict:
        return {"seen": self.seen, **vars(self.moments)}

    def load_training_state(self, state: dict) -> None:
        if is_first():  # to whose points the other processes add theirs
            self.seen = state["seen"]
            self.moments = Moments(**{name: state[name] for name in vars(self.moments)})

    @property
    def explained_variance(self) -> torch.Tensor:
        """The share of the total variance that the components have; 1 if there is no variance."""
        left = self.eigenvalues[self.settings.latent_dim :].sum()
        return 1 - left / self.eigenvalues.sum() if left > 0 else torch.ones_like(left)

    @property
    def noise(self) -> torch.Tensor:
        """s2, the maximum-likelihood variance of what the components leave out; zero if they leave
        out nothing.
        """
        left = self.eigenvalues[self.settings.latent_dim :]
        return left.mean() if len(left) else left.sum()

    @property
    def least_variance(self) -> torch.Tensor:
        """The smallest variance of the Gaussian in any direction."""
        return self.noise if self.settings.latent_dim < self.spec.size else self.eigenvalues[-1]

    def has_density(self) -> bool:
        """Whether the smallest variance of the Gaussian is above rounding error."""
        return bool(self.least_variance > 1e-12 * self.eigenvalues[0])

    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        z, squared_error = self.project(batch.x)
        terms = {"squared_error": squared_error.mean()}
        if self.has_density():
            terms["nll"] = -self.log_density(z, squared_error).mean()
        return terms

    def project(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The codes [n, latent_dim] of data [n, *shape], and the squared length [n] of what they
        leave out.
        """
        codes, errors = [], []
        for part in in_cache(x.flatten(1), 4 * self.spec.size):
            centred = part.to(self.mean) - self.mean
            codes.append(centred @ self.components.T)
            errors.append((centred - codes[-1] @ self.components).square().sum(1))
        return torch.cat(codes), torch.cat(errors)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """z = W'(x - mean): [n, *shape] -> [n, latent_dim]."""
        return ((x.flatten(1).to(self.mean) - self.mean) @ self.components.T).float()

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """mean + W z: [n, latent_dim] -> [n, *shape]."""
        return (self.mean + z.to(self.mean) @ self.components).float().unflatten(1, self.spec.shape)

    @available_if(has_density)
    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Exact log density [n] of data [n, *shape], in nats."""
        return self.log_density(*self.project(x))

    def log_density(self, z: torch.Tensor, squared_error: torch.Tensor) -> torch.Tensor:
        """Log density [n], in nats, of points with codes z [n, latent_dim], which leave out
        `squared_error` [n].
        """
        q, d = self.settings.latent_dim, self.spec.size
        kept = self.eigenvalues[:q]
        mahalanobis, log_det = (z**2 / kept).sum(1), kept.log().sum()
        if q < d:
            mahalanobis = mahalanobis + squared_error / self.noise
            log_det = log_det + (d - q) * self.noise.log()
        return -0.5 * (mahalanobis + log_det + d * math.log(2 * math.pi))

    def prior(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n codes [n, latent_dim] from the Gaussian of probabilistic PCA, without its noise."""
        z = torch.randn(n, self.settings.latent_dim, generator=rng, device=rng.device)
        return z * (self.eigenvalues[: self.settings.latent_dim] - self.noise).clamp(min=0).sqrt()

    @property
    def adds_noise(self) -> bool:
        return True

    def sample_from_latent(self, z: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        noise = torch.randn(z.shape[0], *self.spec.shape, generator=rng, device=rng.device)
        return self.decode(z) + self.noise.sqrt().float() * noise

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        kept = self.settings.latent_dim
        shares = self.eigenvalues / self.eigenvalues.sum().clamp(min=1e-300)
        images = self.components.float().unflatten(1, self.spec.shape)[:40]
        captions = [f"{i + 1}: {share:.1%}" for i, share in enumerate(shares[: len(images)])]
        z, counts = self.encode(x), sorted({min(2**i, kept) for i in range(kept.bit_length() + 1)})
        grown = {
            f"first {k}": self.decode(z * (torch.arange(kept, device=z.device) < k)) for k in counts
        }
        explained = f"the {kept} components explain {self.explained_variance:.1%} of the variance"
        note = "held-out points from growing numbers of components"
        return {
            "components": Images(
                "components, with their share of the variance", images, captions, signed=True
            ),
            "scree": Spectrum(explained, shares, kept),
            "growth": Rows(note, {"original": x} | grown),
        }

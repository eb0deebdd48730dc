"""Gaussian mixture model by expectation-maximisation (Dempster, Laird & Rubin 1977)."""

import math

import torch

from ..em import EM
from ..errors import UserError
from ..model import View
from .kmeans import memberships, plus_plus, squared_distances

WARM_START = 20  # iterations of k-means before EM begins
NEGLIGIBLE = 1e-30  # responsibilities below this count as zero


class GMM(EM):
    """Maximises mean log sum_k pi_k N(x; mu_k, Sigma_k). E: r_ik; M: pi_k, mu_k, Sigma_k from the r-weighted moments.

    Moments are taken around the old means and shifted, which loses no precision where covariances are small.
    """

    criterion = "nll"

    def __init__(self, space, s):
        super().__init__(space, s)
        k, d = s.n_components, space.size
        self.form = FORMS[s.covariance]
        self.reg_covar = s.reg_covar if s.reg_covar != "auto" else 1e-3 if space.unit else 1e-6
        shapes = {"weights": (k,), "means": (k, d), "covariances": self.form.shape(k, d)}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(s.n_init, *shape, dtype=torch.float64))

    def begin(self, start, x, rng):
        centres = plus_plus(x, self.s.n_components, rng)
        for _ in range(WARM_START):
            member = memberships(squared_distances(x, centres))
            counts = member.sum(0)[:, None]
            centres = torch.where(counts > 0, member.T @ x / counts.clamp(min=1), centres)
        self.means[start] = centres
        sums = None
        for part in x.split(self.s.batch_size):
            new = self.moments(start, part, memberships(squared_distances(part, centres)))
            sums = new if sums is None else {name: sums[name] + new[name] for name in sums}
        self.maximise(start, sums, len(x))

    def moments(self, start: int, x: torch.Tensor, r: torch.Tensor) -> dict[str, torch.Tensor]:
        """Sums over points x [n, D] weighted by r [n, K], around the current means."""
        means = self.means[start]
        return {"counts": r.sum(0), "shifts": r.T @ x - r.sum(0)[:, None] * means, "scatter": self.form.scatter(x, r, means)}

    def expect(self, start, x):
        joint = self.joint(start, x)
        total = joint.logsumexp(1)
        r = (joint - total[:, None]).exp()
        r[r < NEGLIGIBLE] = 0  # far below rounding error in any sum; as denormal numbers they would slow products tenfold
        return {"objective": -total.sum(), **self.moments(start, x, r)}

    def maximise(self, start, sums, n):
        counts = sums["counts"] + 10 * torch.finfo(sums["counts"].dtype).eps  # a component without points stays where it is
        shift = sums["shifts"] / counts[:, None]
        covariances = self.form.estimate(sums["scatter"], counts, shift) + self.reg_covar * self.form.identity(shift)
        self.weights[start] = counts / counts.sum()
        self.means[start] += shift
        self.covariances[start] = covariances

    def joint(self, start: int, x: torch.Tensor) -> torch.Tensor:
        """log pi_k + log N(x; mu_k, Sigma_k), [n, K]."""
        squared, log_det = self.form.mahalanobis(x, self.means[start], self.covariances[start])
        return self.weights[start].log() - 0.5 * (squared + log_det + x.shape[1] * math.log(2 * math.pi))

    def evaluate(self, batch, rng):
        return {"nll": -self.log_prob(batch.x).mean()}

    def log_prob(self, x):
        """Exact log density [n] of data [n, *shape], in nats."""
        return self.joint(self.best, self.flat(x)).logsumexp(1)

    def encode(self, x):
        """Responsibilities [n, K]: the probability of each component given the point."""
        return self.joint(self.best, self.flat(x)).softmax(1).float()

    def decode(self, r):
        """The mean [n, *shape] that responsibilities [n, K] expect."""
        return (r.to(self.means) @ self.means[self.best]).float().unflatten(1, self.space.shape)

    def sample(self, n, rng):
        """n draws [n, *shape]."""
        # Components by inverse distribution function: the same noise gives similar samples as the fit moves on.
        edges = self.weights[self.best].cumsum(0)
        u = torch.rand(n, generator=rng, device=rng.device, dtype=edges.dtype)
        z = torch.searchsorted(edges, u * edges[-1]).clamp(max=self.s.n_components - 1)
        eps = torch.randn(n, self.space.size, generator=rng, device=rng.device).to(edges)
        x = self.means[self.best][z] + self.form.colour(eps, z, self.covariances[self.best])
        return x.float().unflatten(1, self.space.shape)

    def views(self, x, rng):
        components = {"points": self.means[self.best].float().unflatten(1, self.space.shape), "weights": self.weights[self.best]}
        if self.space.size <= 3:  # where ellipses can be drawn
            axes = torch.eye(self.space.size).to(self.means).repeat(self.s.n_components, 1)
            owner = torch.arange(self.s.n_components, device=axes.device).repeat_interleave(self.space.size)
            roots = self.form.colour(axes, owner, self.covariances[self.best]).unflatten(0, (self.s.n_components, -1))
            components["covariances"] = roots.mT @ roots
        memberships = {"x": x, "shares": self.encode(x)}
        return {
            "components": View("components", "means, with the weights of the components", components),
            "responsibilities": View("memberships", "the components' responsibilities for held-out points", memberships),
        }


def cholesky(covariance: torch.Tensor) -> torch.Tensor:
    """The lower Cholesky factor of covariances [..., D, D]; UserError naming the first singular component."""
    factor, info = torch.linalg.cholesky_ex(covariance)
    if info.any():
        k = int(info.reshape(-1).nonzero()[0])
        raise UserError("reg_covar", f"the covariance of component {k} is singular", fix="raise reg_covar or lower n_components", code=1)
    return factor


def whiten(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Points x [n, D] as columns [D, n] of unit covariance, given the Cholesky factor of their covariance."""
    return torch.linalg.solve_triangular(factor, x.T, upper=False)


class Full:
    """A covariance matrix per component: [K, D, D]."""

    @staticmethod
    def shape(k, d):
        return k, d, d

    @staticmethod
    def identity(means):
        return torch.eye(means.shape[1]).to(means)

    @staticmethod
    def mahalanobis(x, means, covariances):
        """(x - mu)' Sigma^-1 (x - mu) [n, K] and log det Sigma [K]."""
        factors = cholesky(covariances)
        squared = [whiten(x - mean, factor).square().sum(0) for mean, factor in zip(means, factors)]
        return torch.stack(squared, 1), 2 * factors.diagonal(dim1=1, dim2=2).log().sum(1)

    @staticmethod
    def scatter(x, r, means):
        found = []
        for weight, mean in zip(r.T, means):
            own = weight > 0  # in many dimensions that leaves each component its own points only
            centred = x[own] - mean
            found.append((centred * weight[own, None]).T @ centred)
        return torch.stack(found)

    @staticmethod
    def estimate(scatter, counts, shift):
        return scatter / counts[:, None, None] - shift[:, :, None] * shift[:, None, :]

    @staticmethod
    def colour(eps, z, covariances):
        """Noise eps [n, D] given the covariance of its component z [n]."""
        factors, out = cholesky(covariances), torch.empty_like(eps)
        for k, factor in enumerate(factors):
            out[z == k] = eps[z == k] @ factor.T
        return out


class Tied:
    """One covariance matrix that all components share: [D, D]."""

    identity = Full.identity

    @staticmethod
    def shape(k, d):
        return d, d

    @staticmethod
    def mahalanobis(x, means, covariance):
        factor = cholesky(covariance)
        return squared_distances(whiten(x, factor).T, whiten(means, factor).T), 2 * factor.diagonal().log().sum()

    @staticmethod
    def scatter(x, r, means):
        return Full.scatter(x, r, means).sum(0)

    @staticmethod
    def estimate(scatter, counts, shift):
        return (scatter - (shift * counts[:, None]).T @ shift) / counts.sum()

    @staticmethod
    def colour(eps, z, covariance):
        return eps @ cholesky(covariance).T


class Diagonal:
    """A variance per component and dimension: [K, D]."""

    @staticmethod
    def shape(k, d):
        return k, d

    @staticmethod
    def identity(means):
        return torch.ones_like(means)

    @staticmethod
    def mahalanobis(x, means, variances):
        Diagonal.require_positive(variances)
        squared = [((x - mean).square() / variance).sum(1) for mean, variance in zip(means, variances)]
        return torch.stack(squared, 1), variances.log().sum(1)

    @staticmethod
    def require_positive(variances):
        bad = (variances <= 0).flatten(1).any(1)
        if bad.any():
            k = int(bad.nonzero()[0])
            raise UserError("reg_covar", f"the variance of component {k} is zero", fix="raise reg_covar or lower n_components", code=1)

    @staticmethod
    def scatter(x, r, means):
        return torch.stack([weight @ (x - mean).square() for weight, mean in zip(r.T, means)])

    @staticmethod
    def estimate(scatter, counts, shift):
        return scatter / counts[:, None] - shift.square()

    @staticmethod
    def colour(eps, z, variances):
        return eps * variances[z].sqrt()


class Spherical:
    """One variance per component: [K, 1]."""

    identity = staticmethod(lambda means: 1.0)
    mahalanobis = staticmethod(lambda x, means, variances: Diagonal.mahalanobis(x, means, variances.expand_as(means)))
    scatter = Diagonal.scatter
    colour = Diagonal.colour

    @staticmethod
    def shape(k, d):
        return k, 1

    @staticmethod
    def estimate(scatter, counts, shift):
        return Diagonal.estimate(scatter, counts, shift).mean(1, keepdim=True)


FORMS = {"full": Full, "tied": Tied, "diag": Diagonal, "spherical": Spherical}

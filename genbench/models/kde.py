"""Kernel density estimation with a Gaussian kernel (Rosenblatt 1956; Parzen 1962)."""

import math
from collections.abc import Iterator

import torch

from genbench.model import Model
from genbench.models.kmeans import squared_distances
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

CHUNK = 1024  # training points, and points whose density is asked for, that are looked at together
LEFT_OUT = 1000  # training points whose likelihood chooses the bandwidth


class KDE(Model):
    """p(x) = mean over training points x_i of N(x; x_i, h^2 I).

    The bandwidth h, one for all dimensions, is a number, or by the rule of `scott`, N^(-1/(D+4)) s, or `silverman`,
    (N (D+2) / 4)^(-1/(D+4)) s, with s^2 the mean variance of a dimension; or, by `loo`, it maximises the mean
    log-likelihood of training points, of at most 1,000 drawn from them, each under the density of all the others (Duin
    1976). Points are kept as they came, bytes as bytes. Distances are computed in double precision, as narrow kernels
    need, a chunk at a time; only `leave_one_out` keeps them, in single precision: 4 bytes for each pair of points.
    """

    criterion = "nll"
    stores_training_data = True

    def __init__(self, spec, s):
        super().__init__(spec, s)
        self.register_buffer("points", torch.zeros(0, *spec.shape))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("bandwidth", torch.zeros((), dtype=torch.float64))

    @property
    def converged(self) -> bool:
        """Whether the bandwidth is chosen, for good."""
        return bool(self.bandwidth > 0)

    def setup(self, train, *, seed, steps):
        if train.noise is not None:
            key = f"dataset.{train.noise.setting}"
            raise UserError(
                key,
                "kernels need points that stay where they are",
                "dynamic",
                f"{key}={train.noise.once}",
            )
        if len(train) < 2:
            raise UserError(
                "dataset.limit", "a bandwidth needs two points at least", len(train), "more points"
            )
        self.seed = seed

    def initialise(self, train, *, seed):
        self.points, self.scale = train.raw, self.scale.new_tensor(train.scale)

    def step(self, batch):
        return {}

    def end_epoch(self):
        n, d = len(self.points), self.spec.size
        if isinstance(self.s.bandwidth, float):
            h = self.s.bandwidth
        else:
            mean = sum(x.sum(0) for x in self.chunks()) / n
            spread = (sum((x - mean).square().sum() for x in self.chunks()) / ((n - 1) * d)).sqrt()
            factor = n if self.s.bandwidth != "silverman" else n * (d + 2) / 4
            h = float(spread) * factor ** (-1 / (d + 4))
            if not h > 0:
                raise UserError(
                    "bandwidth",
                    "all training points are the same",
                    self.s.bandwidth,
                    "a number, such as bandwidth=0.1",
                )
            if self.s.bandwidth == "loo":
                h = self.leave_one_out(h)
        self.bandwidth.fill_(h)
        return {"bandwidth": self.bandwidth}

    def leave_one_out(self, guess: float) -> float:
        """The bandwidth under which left-out training points are likeliest, from a thousandth to 10 times a guess."""
        from scipy.optimize import minimize_scalar

        n, d = len(self.points), self.spec.size
        order = torch.randperm(n, generator=generator(self.seed, "left out"))[:LEFT_OUT].to(
            self.points.device
        )
        x, chunks = self.rows(self.points[order]), []
        for i, part in enumerate(self.chunks()):
            signals.check()
            squared = squared_distances(x, part)
            place = order - i * CHUNK
            here = ((place >= 0) & (place < len(part))).nonzero().flatten()
            squared[here, place[here]] = math.inf  # a point is left out of its own density
            # Only differences from the least distance of a chunk enter an exponential, and single precision suffices for
            # them: where their rounding could matter, the exponential is nearly zero.
            least = squared.amin(1, keepdim=True).clamp(max=torch.finfo(squared.dtype).max)
            chunks.append((least.squeeze(1), ((squared - least) / guess**2).float()))

        def loss(log_h: float) -> float:
            signals.check()
            h = math.exp(log_h)
            total = torch.full((len(x),), -math.inf).to(x)
            for least, more in chunks:
                kernels = (more * (-0.5 * (guess / h) ** 2)).exp_().sum(1)
                total = torch.logaddexp(total, kernels.to(x).log() - least / (2 * h * h))
            return float(d * log_h - total.mean())

        low, high = math.log(guess / 1000), math.log(10 * guess)
        found = float(
            minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4}).x
        )
        if found - low < 0.01:
            fix = "a number, such as bandwidth=0.1, or dataset.dequantize=true where values are whole numbers"
            raise UserError(
                "bandwidth",
                "training points that occur twice draw it to zero",
                self.s.bandwidth,
                fix,
            )
        return math.exp(found)

    def rows(self, raw: torch.Tensor) -> torch.Tensor:
        """Points as they were kept, as data [n, D] in double precision, to which narrow kernels owe their digits."""
        return raw.flatten(1).to(self.scale) * self.scale

    def chunks(self) -> Iterator[torch.Tensor]:
        """All training points, `CHUNK` at a time, as `rows` gives them."""
        return map(self.rows, self.points.split(CHUNK))

    def evaluate(self, batch, rng):
        return {"nll": -self.log_prob(batch.x).mean()}

    def log_prob(self, x):
        """Exact log density [n] of data [n, *shape], in nats."""
        kernels = torch.cat(
            [self.log_kernels(part.to(self.scale)) for part in x.flatten(1).split(CHUNK)]
        )
        return (
            kernels
            - math.log(len(self.points))
            - self.spec.size * (self.bandwidth.log() + 0.5 * math.log(2 * math.pi))
        )

    def log_kernels(self, x: torch.Tensor) -> torch.Tensor:
        """log sum_i exp(-||x - x_i||^2 / 2 h^2) [n] of rows x [n, D]."""
        total = torch.full((len(x),), -math.inf).to(x)
        for part in self.chunks():
            signals.check()
            total = torch.logaddexp(
                total, squared_distances(x, part).div_(-2 * self.bandwidth**2).logsumexp(1)
            )
        return total

    def sample(self, n, rng):
        """n draws [n, *shape]: training points with noise of the bandwidth added."""
        chosen = torch.randint(len(self.points), (n,), generator=rng, device=rng.device)
        noise = torch.randn(n, self.spec.size, generator=rng, device=rng.device)
        return (
            (self.rows(self.points[chosen]) + self.bandwidth * noise)
            .float()
            .unflatten(1, self.spec.shape)
        )

    def _load_from_state_dict(self, state_dict, prefix, *args):
        self.points = torch.empty_like(
            state_dict[f"{prefix}points"], device=self.points.device
        )  # only a fit knows how many there are
        super()._load_from_state_dict(state_dict, prefix, *args)

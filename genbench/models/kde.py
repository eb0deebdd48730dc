"""Kernel density estimation with a Gaussian kernel (Rosenblatt 1956; Parzen 1962)."""

import math
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import torch

from genbench.data.lazy import LazyArray
from genbench.data.prepared import fits
from genbench.data.types import Batch, DataSpec, Split
from genbench.model import Logs, Model
from genbench.settings.classical import KDESettings
from genbench.stats.clustering import squared_distances
from genbench.training import ranks, shares
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.rng import generator
from genbench.utils.tracing import is_traced

KERNELS_AT_ONCE = (
    1024  # how many training points, and how many query points, are processed together
)
LEFT_OUT = 1000  # how many training points' likelihoods choose the bandwidth


class KDE(Model):
    """p(x) = mean over training points x_i of N(x; x_i, h^2 I).

    The bandwidth h is the same for all dimensions. It is a number; or N^(-1/(D+4)) s with `scott`,
    or (N (D+2) / 4)^(-1/(D+4)) s with `silverman`, where s^2 is the mean variance of a dimension.
    With `loo` it maximises the mean log-likelihood of at most 1,000 training points, each under the
    density of all the others (Duin 1976).

    Points are kept as they are stored, bytes as bytes. Distances are computed in double precision,
    which narrow kernels need, a chunk at a time. Only `leave_one_out` keeps them, in single
    precision: 4 bytes for each pair of points.
    """

    settings: KDESettings
    splits_batches = True

    criterion = "nll"
    shuffles = False
    stores_training_data = True
    points: torch.Tensor  # [N, *shape], as stored
    scale: torch.Tensor  # what values of `points` are multiplied by
    bandwidth: torch.Tensor  # h; zero until it is chosen

    def __init__(self, spec: DataSpec, settings: KDESettings) -> None:
        super().__init__(spec, settings)
        self.register_buffer("points", torch.zeros(0, *spec.shape))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("bandwidth", torch.zeros((), dtype=torch.float64))

    @property
    def converged(self) -> bool:
        """Whether the bandwidth has been chosen."""
        return bool(self.bandwidth > 0)

    def setup(self, train: Split, *, seed: int, steps: int) -> None:
        if train.noise is not None:
            key = f"dataset.{train.noise.setting}"
            raise UserError(
                key,
                "kernels need the same points in every epoch",
                "dynamic",
                f"{key}={train.noise.once}",
            )
        if len(train) < 2:
            raise UserError(
                "dataset.limit", "a bandwidth needs two points at least", len(train), "more points"
            )
        if isinstance(train.raw, LazyArray) and not fits(train.raw.nbytes):
            what = f"kde keeps its {len(train):,} training points, which take much of the memory"
            fix = "such as dataset.limit=10000, or let data take more of it by GENBENCH_MEMORY=0.5"
            raise UserError("dataset.limit", what, fix=fix)
        self.seed = seed

    def initialise(self, train: Split, *, seed: int) -> None:
        raw = train.raw[:] if isinstance(train.raw, LazyArray) else train.raw
        self.points, self.scale = raw, self.scale.new_tensor(train.scale)

    def step(self, batch: Batch) -> Logs:
        return {}

    def end_epoch(self) -> Logs:
        n, d = len(self.points), self.spec.size
        if isinstance(self.settings.bandwidth, float):
            h = self.settings.bandwidth
        else:
            mean = self.total(lambda x: x.sum(0), torch.zeros(d)) / n
            squares = self.total(lambda x: (x - mean).square().sum(), torch.zeros(()))
            spread = (squares / ((n - 1) * d)).sqrt()
            factor = n if self.settings.bandwidth != "silverman" else n * (d + 2) / 4
            h = float(spread) * factor ** (-1 / (d + 4))
            if not h > 0:
                raise UserError(
                    "bandwidth",
                    "all training points are the same",
                    self.settings.bandwidth,
                    "a number, such as bandwidth=0.1",
                )
            if self.settings.bandwidth == "loo":
                h = self.leave_one_out(h)
        self.bandwidth.fill_(h)
        return {"bandwidth": self.bandwidth}

    def total(
        self, function: Callable[[torch.Tensor], torch.Tensor], zero: torch.Tensor
    ) -> torch.Tensor:
        """The sum of a function of rows over all chunks, of which each process computes some."""
        total = sum(map(function, shares.dealt(self.chunks())), zero.to(self.scale))
        return ranks.add_up({"total": torch.as_tensor(total)})["total"]

    def leave_one_out(self, guess: float) -> float:
        """The bandwidth under which left-out training points are likeliest, between .001 and 10
        times a guess.
        """
        from scipy.optimize import minimize_scalar

        n, d = len(self.points), self.spec.size
        order = torch.randperm(n, generator=generator(self.seed, "left out"))[:LEFT_OUT].to(
            self.points.device
        )
        x, chunks = self.rows(self.points[order]), []
        for i, part in shares.dealt(enumerate(self.chunks())):
            signals.check()
            squared = squared_distances(x, part)
            place = order - i * KERNELS_AT_ONCE
            here = ((place >= 0) & (place < len(part))).nonzero().flatten()
            squared[here, place[here]] = math.inf  # a point is left out of its own density
            # Only differences from the least distance of a chunk enter an exponential, and single
            # precision suffices for them: where their rounding could matter, the exponential is
            # nearly zero.
            least = squared.amin(1, keepdim=True).clamp(max=torch.finfo(squared.dtype).max)
            chunks.append((least.squeeze(1), ((squared - least) / guess**2).float()))

        def loss(log_h: float) -> float:
            signals.check()
            h = math.exp(log_h)
            total = torch.full((len(x),), -math.inf).to(x)
            for least, more in chunks:
                kernels = (more * (-0.5 * (guess / h) ** 2)).exp_().sum(1)
                total = torch.logaddexp(total, kernels.to(x).log() - least / (2 * h * h))
            total = reduce(torch.logaddexp, ranks.gather_points(total[None]).unbind())
            return float(d * log_h - total.mean())

        low, high = math.log(guess / 1000), math.log(10 * guess)
        optimum = minimize_scalar(
            loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4}
        )
        log_h = float(optimum.x)
        if log_h - low < 0.01:
            fix = (
                "bandwidth=0.1, for example, or dataset.dequantize=true if values are whole numbers"
            )
            raise UserError(
                "bandwidth",
                "repeated training points lead it to zero",
                self.settings.bandwidth,
                fix,
            )
        return math.exp(log_h)

    def rows(self, raw: torch.Tensor) -> torch.Tensor:
        """Stored points as data [n, D] in double precision, which narrow kernels need."""
        return raw.flatten(1).to(self.scale) * self.scale

    def chunks(self) -> Iterator[torch.Tensor]:
        """All training points as `rows` returns them, `CHUNK` at a time."""
        return map(self.rows, self.points.split(KERNELS_AT_ONCE))

    def evaluate(self, batch: Batch, rng: torch.Generator) -> Logs:
        return {"nll": -self.log_prob(batch.x).mean()}

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Exact log density [n] of data [n, *shape], in nats."""
        rows = x.flatten(1)
        parts = (rows,) if is_traced() else rows.split(KERNELS_AT_ONCE)
        kernels = torch.cat([self.log_kernels(part.to(self.scale)) for part in parts])
        return (
            kernels
            - math.log(len(self.points))
            - self.spec.size * (self.bandwidth.log() + 0.5 * math.log(2 * math.pi))
        )

    def log_kernels(self, x: torch.Tensor) -> torch.Tensor:
        """log sum_i exp(-||x - x_i||^2 / 2 h^2) [n] of rows x [n, D]."""
        parts = []
        for chunk in self.chunks():
            signals.check()
            parts.append(squared_distances(x, chunk).div_(-2 * self.bandwidth**2).logsumexp(1))
        return torch.stack(parts).logsumexp(0) if is_traced() else reduce(torch.logaddexp, parts)

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n draws [n, *shape]: training points with noise of the bandwidth added."""
        chosen = torch.randint(len(self.points), (n,), generator=rng, device=rng.device)
        noise = torch.randn(n, self.spec.size, generator=rng, device=rng.device)
        return (
            (self.rows(self.points[chosen]) + self.bandwidth * noise)
            .float()
            .unflatten(1, self.spec.shape)
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # The number of points is only known from what is loaded.
        stored = state_dict[f"{prefix}points"]
        self.points = torch.empty_like(stored, device=self.points.device)
        super()._load_from_state_dict(state_dict, prefix, *args)

"""Expectation-maximisation from several starts at once, for models whose one iteration is one pass over the data."""

import torch

from genbench.model import Model
from genbench.utils.errors import UserError
from genbench.utils.rng import generator

Sums = dict[str, torch.Tensor]


def rows(x: torch.Tensor) -> torch.Tensor:
    """Data [n, *shape] as rows [n, D] in double precision, which only Apple's GPUs lack."""
    return x.flatten(1).to(torch.float32 if x.device.type == "mps" else torch.float64)


def add(sums: Sums, more: Sums) -> Sums:
    """Sums over some points and over more of them, by name."""
    return {name: sums[name] + value if name in sums else value for name, value in more.items()}


class EM(Model):
    """`n_init` starts advance side by side, each until a pass changes its objective by at most `tol` per value of a
    point (so that one tolerance serves the plane and images alike). A pass measures the objective of the parameters
    that it begins with.

    A subclass keeps its parameters as buffers whose first dimension is the start, and says::

        begin(start, x, rng)      where a start begins, given all points x [N, D]
        expect(start, x)          sums of one batch x [n, D]: "objective" (lower is better) and what maximise needs
        maximise(start, sums, n)  new parameters from the sums over all n points
    Whatever the fitted model does, it does with the start that is `best`. Batch size does not change the result.
    """

    criterion = "objective"
    until_converged = True

    def __init__(self, spec, s):
        super().__init__(spec, s)
        self.register_buffer(
            "objective",
            torch.full((s.n_init,), torch.finfo(torch.float32).max, dtype=torch.float64),
        )
        self.register_buffer("settled", torch.zeros(s.n_init, dtype=torch.bool))
        self.sums: dict[int, Sums] = {}
        self.seen = 0

    @property
    def best(self) -> int:
        """The start with the lowest objective."""
        return int(self.objective.argmin())

    @property
    def size(self) -> int:
        """How many numbers the best start consists of."""
        return sum(
            t[self.best].numel()
            for t in self.buffers()
            if t is not self.objective and t is not self.settled
        )

    @property
    def converged(self) -> bool:
        """Whether every start has settled."""
        return bool(self.settled.all())

    def setup(self, train, *, seed, steps):
        if train.noise is not None:
            key = f"dataset.{train.noise.setting}"
            raise UserError(
                key, "EM needs the same data at every pass", "dynamic", f"{key}={train.noise.once}"
            )

    def initialise(self, train, *, seed):
        x = rows(train.values())
        for start in range(self.s.n_init):
            self.init_params(start, x, generator(seed, "start", start, device=x.device))

    def step(self, batch):
        x = rows(batch.x)
        self.seen += len(x)
        for start in (~self.settled).nonzero().flatten().tolist():
            self.sums[start] = self.merge_stats(self.sums.get(start, {}), self.e_step(start, x))
        return {}

    def end_epoch(self):
        for start, sums in self.sums.items():
            objective = sums.pop("objective") / self.seen
            rounding = 1e-12 * objective.abs()  # batches add up in another order at each pass
            self.settled[start] = bool(
                (self.objective[start] - objective).abs() <= self.s.tol * self.spec.size + rounding
            )
            self.objective[start] = objective
            self.m_step(start, sums, self.seen)
        self.sums, self.seen = {}, 0
        return {self.criterion: self.objective.min()}

    def training_state(self):
        return {"sums": self.sums, "seen": self.seen}

    def load_training_state(self, state):
        self.sums, self.seen = state["sums"], state["seen"]

    def init_params(self, start: int, x: torch.Tensor, rng: torch.Generator) -> None:
        """Set the start's first parameters."""
        raise NotImplementedError

    def e_step(self, start: int, x: torch.Tensor) -> Sums:
        """Sums over a batch."""
        raise NotImplementedError

    def merge_stats(self, sums: Sums, more: Sums) -> Sums:
        """The sums over some points, none at first, and over more of them."""
        return add(sums, more)

    def m_step(self, start: int, sums: Sums, n: int) -> None:
        """Parameters from the sums over all points."""
        raise NotImplementedError

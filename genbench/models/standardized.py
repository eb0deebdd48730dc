"""A model that learns standardized values, and takes and returns values in the units of the data."""

import functools

import torch

from genbench.data.preprocessing import moments
from genbench.data.types import Batch, Split
from genbench.model import Model, View

TAKE_POINTS = (
    "encode",
    "posterior",
    "classify",
    "log_prob",
    "score",
)  # capabilities whose first argument is points
RETURN_POINTS = ("decode", "emit", "sample")
SAME = (
    "criterion",
    "until_converged",
    "stores_training_data",
    "log_prob_kind",
    "conditional",
    "is_discrete",
    "bounded",
)  # facts of a model that do not change


class Standardized(Model):
    """Any model, trained on (x - mean) / deviation with the mean and the standard deviation of each value of a training
    point; a value that is constant is divided by 1.

    Points that go in and come out are in data units, log p(x) and the score contain the derivative of the division, and
    codes and the terms of the objective are those of the standardized values.
    """

    def __init__(self, spec, s, made: type[Model]):
        super().__init__(spec, s)
        self.register_buffer("mean", torch.zeros(spec.shape, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(spec.shape, dtype=torch.float64))
        self.inner = made(spec._replace(unit=False, trials=None), s)
        self.labelled: tuple[
            Model, ...
        ] = ()  # the inner model for labels at hand, which `conditioned_on` sets
        for name in SAME:
            setattr(self, name, getattr(self.inner, name))

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            inner = super().__getattr__("inner")
        found = getattr((*self.labelled, inner)[0], name)
        if name not in TAKE_POINTS + RETURN_POINTS:
            return found

        @functools.wraps(
            found
        )  # with its signature, which says whether it takes a number of importance samples
        def in_data_units(x, *args, **kwargs):
            y = found(self.standard(x) if name in TAKE_POINTS else x, *args, **kwargs)
            if name in RETURN_POINTS:
                return self.restored(y)
            if name == "log_prob":
                return y - self.deviation.log().sum().to(y)
            return y / self.deviation.to(y) if name == "score" else y

        return in_data_units

    def standard(self, x: torch.Tensor) -> torch.Tensor:
        """Standardized values [n, *shape] of points [n, *shape]."""
        return ((x.to(self.mean) - self.mean) / self.deviation).float()

    def restored(self, x: torch.Tensor) -> torch.Tensor:
        """Points [n, *shape] of standardized values [n, *shape]."""
        return (x.to(self.mean) * self.deviation + self.mean).float()

    def part(self, train: Split) -> Split:
        """Training points, standardized."""
        return Split(self.standard(train.values()), train.y)

    def setup(self, train, *, seed, steps):
        mean, deviation = moments(train.values().to(self.mean))
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self.inner.setup(self.part(train), seed=seed, steps=steps)

    def initialise(self, train, *, seed):
        self.inner.initialise(self.part(train), seed=seed)

    def step(self, batch):
        return self.inner.step(Batch(self.standard(batch.x), batch.y))

    def end_epoch(self):
        return self.inner.end_epoch()

    def evaluate(self, batch, rng):
        return self.inner.evaluate(Batch(self.standard(batch.x), batch.y), rng)

    def held_out(self, batch, rng):
        return self.inner.held_out(Batch(self.standard(batch.x), batch.y), rng)

    def fit_posthoc(self, train, *, seed):
        self.inner.fit_posthoc(self.part(train), seed=seed)

    def posthoc_state(self):
        return self.inner.posthoc_state()

    def load_posthoc_state(self, state):
        self.inner.load_posthoc_state(state)

    def warnings(self):
        return self.inner.warnings()

    def training_state(self):
        return self.inner.training_state()

    def load_training_state(self, state):
        self.inner.load_training_state(state)

    def conditioned_on(self, y):
        found = self.inner.conditioned_on(y)
        if found is self.inner:
            return self
        other = self.__class__.__new__(self.__class__)
        other.__dict__.update(self.__dict__)
        other.__dict__["labelled"] = (found,)
        return other

    def views(self, x, rng):
        return {
            name: self.restored_view(view)
            for name, view in self.inner.views(self.standard(x), rng).items()
        }

    def restored_view(self, view: View) -> View:
        """What the inner model shows, in data units where it consists of points; signed images, which are directions, stay."""
        data = dict(view.data)
        if view.kind == "rows":
            data = {name: self.restored(points) for name, points in data.items()}
        for name in {"components": ["points"], "memberships": ["x"]}.get(view.kind, []):
            data[name] = self.restored(data[name])
        if "covariances" in data:
            data["covariances"] = data["covariances"] * self.deviation.outer(self.deviation).to(
                data["covariances"]
            )
        if view.kind == "landscape":
            data["function"] = lambda x, inner=view.data["function"]: inner(self.standard(x))
        return view._replace(data=data)

    @property
    def converged(self) -> bool:
        """Whether the inner model has."""
        return self.inner.converged

    @property
    def latent_dim(self) -> int | None:
        """That of the inner model."""
        return self.inner.latent_dim

    @property
    def size(self) -> int:
        """That of the inner model."""
        return self.inner.size

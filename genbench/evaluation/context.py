"""What measures are computed from: a model beside data, and what several measures need of both."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast

import torch

from genbench.data.types import Data, Split
from genbench.evaluation.by_shares import computed
from genbench.evaluation.features import Features, features_of
from genbench.model import Model, supports
from genbench.stats import neighbours
from genbench.stats.intervals import Measured, Parts, around, mean, parts
from genbench.utils import signals
from genbench.utils.rng import generator

MOST = {"full": 10_000, "quick": 1000}  # points, and as many samples, that a measure looks at
VALUES = 2**26  # numbers held at once of points in their own shape: 256 MiB
RESAMPLES, FEW = 200, 10  # of the points, where looking at them again takes long
FEW_TEST = 10  # points; of fewer, nothing about samples is measured
K = 5  # the neighbour at which balls end

T = TypeVar("T")
Draw = Callable[[torch.Tensor], torch.Tensor]  # as many of these points [n, ...], drawn from them


class Asked(NamedTuple):
    """What `genbench evaluate` can ask for beyond the size of a card; None is the measure's own
    number.

    `k` importance samples of a bound on `points` test points; the `bins` of `ndb`, and the `level`
    of its tests.
    """

    k: int | None = None
    points: int | None = None
    bins: int | None = None
    level: float | None = None


USUAL = Asked()


class Unmeasurable(Exception):
    """There is too little, or nothing finite, to measure."""


def needed(value: T | None) -> T:
    """The value. Unmeasurable without one."""
    if value is None:
        raise Unmeasurable
    return value


class Evaluation:
    """A model beside the data that it is measured on, and what several measures need of both, made
    once.

    `metrics` holds what a run knows already: its objective by part of the data, `cost` and `time`.
    `size` says how many points count, and `asked` what else was asked for. `block` points are
    looked at together, which changes no number beyond rounding. All tensors are on the CPU.
    """

    real = False  # whether training points are in place of samples

    def __init__(
        self,
        model: Model,
        data: Data,
        metrics: dict[str, dict],
        size: str = "full",
        block: int = 1000,
        asked: Asked = USUAL,
    ) -> None:
        self.model, self.data, self.metrics = model, data, metrics
        self.size, self.block, self.asked = size, block, asked
        self.images = len(data.spec.shape) == 3
        self.labelled = data.train.y is not None and data.spec.classes > 1
        self.vectors = supports(model, "encode") and model.latent_dim is not None
        self.broken: dict[str, None] = {}  # what turned out not to be finite, in words
        self._made: dict[Callable, object] = {}
        self._of_data: dict[Callable, object] = {}

    def once(self, function: Callable[["Evaluation"], T], of_data: bool = False) -> T:
        """What the function makes of this evaluation, made at the first call; `of_data` says that
        the model plays no part.
        """
        made = self._of_data if of_data else self._made
        if function not in made:
            made[function] = function(self)
        return cast(T, made[function])

    @cached_property
    def most(self) -> int:
        """How many points at most, fewer where a point has many values."""
        return max(100, min(MOST[self.size], VALUES // self.data.spec.size))

    @cached_property
    def test(self) -> Split:
        """The test points that count, evenly spread over all."""
        return self.data.splits["test"].spread(self.most)

    def rng(self, *purpose: str) -> torch.Generator:
        """The same noise at every evaluation, for one purpose."""
        seed, device = self.model.settings.seed, self.data.train.device
        return generator(seed, "card", *purpose, device=device)

    def need(self, met: bool) -> None:
        """Unmeasurable unless this holds."""
        if not met:
            raise Unmeasurable

    # --- points, as rows of values or of features -------------------------------------------------

    @cached_property
    def x(self) -> torch.Tensor:
        """The test points [n, *shape]."""
        return drawn_points(self.test)

    @cached_property
    def samples(self) -> torch.Tensor:
        """As many samples [n, *shape] as test points count. Unmeasurable where these are too few to
        compare with.
        """
        self.need(len(self.test) >= FEW_TEST)
        return self._whole(self.draw(len(self.test), "samples"), "samples")

    def draw(self, n: int, *purpose: str) -> list[torch.Tensor]:
        """n samples, in parts."""
        rng = self.rng(*purpose)
        return [self.model.sample(min(1000, n - start), rng) for start in self._steps(n)]

    @property
    def unseen(self) -> torch.Tensor:
        """What is compared with training points: the samples."""
        return self.samples

    @cached_property
    def train(self) -> torch.Tensor:
        """Training points [n, *shape], at most twice as many as test points may count."""
        return drawn_points(self.data.train.spread(2 * self.most))

    @cached_property
    def features(self) -> Features:
        """What points are compared by."""
        return features_of(self.data)

    @cached_property
    def values(self) -> Features:
        """Points as rows of values, those of a table standardized."""
        return Features(self.data.moments)

    @cached_property
    def classes(self) -> torch.Tensor:
        """The classes [k] that the data have and the features tell apart, in ascending order."""
        labels = [part.y.cpu() for part in self.data.splits.values() if part.y is not None]
        found = torch.cat([torch.empty(0, dtype=torch.long), *labels]).unique()
        return found[(found >= 0) & (found < self.features.classes)]

    @cached_property
    def test_features(self) -> torch.Tensor:
        """Features of the test points [n, d]."""
        return self.features(self.x)

    @cached_property
    def sample_features(self) -> torch.Tensor:
        """Features of the samples [n, d]."""
        return self._whole([self.features(self.samples)], "features of samples")

    @cached_property
    def neighbours(self) -> Parts:
        """Precision, recall, density and coverage of the samples, by the K-th neighbours in
        features: of all, and of parts.
        """
        return parts(self.beside_test(neighbours.prdc), self.test_features, self.sample_features)

    def beside_test(self, statistic: Callable[..., T]) -> Callable[..., T]:
        """A statistic of test points and of others by `radii` of the former, which are computed
        once for all of them.
        """
        self.need(len(self.test) > K)
        return lambda test, others: statistic(
            test, others, K, self.test_radii if test is self.test_features else None
        )

    @cached_property
    def test_radii(self) -> torch.Tensor:
        """The distance [n] from each test point to its K-th nearest other, in features."""
        return neighbours.radii(self.test_features, K)

    # --- codes and what they decode to ------------------------------------------------------------

    @cached_property
    def reconstructions(self) -> torch.Tensor:
        """decode(encode(x)) [n, *shape] of the test points."""
        return self.reconstructed(self.test)

    def reconstructed(self, part: Split) -> torch.Tensor:
        """decode(encode(x)) [n, *shape] of the points of a part."""
        batches = part.batches(self.block)
        found = [computed(self.model, "reconstruct", batch) for batch in batches]
        return self._whole(found, "reconstructions")

    @cached_property
    def codes(self) -> torch.Tensor:
        """Codes of the test points: [n, d], or [n] if they are numbers of clusters."""
        return self.encoded(self.test)

    @cached_property
    def train_codes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes of labelled training points, at most as many as test points may be, and their
        labels.
        """
        labels = needed(self.data.train.y)
        part = self.data.train.at((labels >= 0).nonzero().flatten()).spread(MOST[self.size])
        y = needed(part.y)
        self.need(len(part) > K and len(y.unique()) > 1)
        return self.encoded(part), y.cpu()

    @property
    def test_labels(self) -> torch.Tensor:
        """The labels [n] of the test points. Unmeasurable without labels."""
        return needed(self.test.y).cpu()

    def encoded(self, part: Split) -> torch.Tensor:
        """The codes of the points of a part: [n, d], or [n] if they are numbers of clusters."""
        found = [computed(self.model, "encode", batch) for batch in part.batches(self.block)]
        return self._whole(found, "codes")

    @cached_property
    def draws(self) -> torch.Tensor:
        """Points [n, *shape] decoded from codes that the model would generate from, without noise
        of their own.
        """
        rng, part, found = self.rng("draws"), self.test.spread(5000), []
        for start in self._steps(len(part)):
            labels = needed(part.y) if self.model.conditional else None
            y = None if labels is None else labels[start : start + 1000]
            found.append(
                self.model.conditioned_on(y).decode(
                    self.model.codes(min(1000, len(part) - start), rng)
                )
            )
        return self._whole(found, "decoded draws")

    def _steps(self, n: int) -> Iterator[int]:
        for start in range(
            0, n, 1000
        ):  # whatever the block, as noise is drawn for so many at a time
            signals.check()
            yield start

    def _whole(self, found: list[torch.Tensor], what: str) -> torch.Tensor:
        whole = torch.cat([part.cpu() for part in found])
        bad = int((~whole.isfinite()).flatten(1).any(1).sum()) if whole.dim() > 1 else 0
        if bad:
            self.broken[f"{bad:,} of {len(whole):,} {what} are not finite"] = None
        self.need(len(whole) > 0 and not bad)
        return whole

    # --- numbers with intervals -------------------------------------------------------------------

    def mean(self, values: torch.Tensor, n: dict[str, int] | None = None, **more: Any) -> Measured:
        """The mean of a value per point [n]; `n` are the sizes of what they are of, where that is
        not test points alone.
        """
        return mean(values, n or {"test": len(values)}, **more)

    def resampled(
        self,
        statistic: Callable[[Draw], float | torch.Tensor],
        n: dict[str, int],
        times: int = RESAMPLES,
        **more: Any,
    ) -> Measured:
        """A statistic of points and its spread over resampled points (bootstrap, Efron 1979).

        It is given a function `of(points)` to ask for each set of points [n, ...] that it looks at.
        """
        rng, found = generator(self.model.settings.seed, "bootstrap"), []

        def resample(points: torch.Tensor) -> torch.Tensor:
            return points[torch.randint(len(points), (len(points),), generator=rng)]

        for _ in range(times):
            signals.check()
            found.append(float(statistic(resample)))
        deviation = float(torch.tensor(found).double().std())
        return around(float(statistic(lambda points: points)), deviation, times, n, more)


def drawn_points(part: Split) -> torch.Tensor:
    """The points of a part [n, *shape] on the CPU, with one draw of their noise."""
    return torch.cat([x.cpu() for x, _ in part.batches(1000)])

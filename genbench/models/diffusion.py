"""Diffusion models and flows: a network learns to undo noise at every level.

One class holds them all. They differ in the path from data to noise, in what the network predicts,
in the way back, and in how data are paired with noise; see `genbench.diffusion`.
"""

import copy
from functools import partial

import torch
from torch import nn

from genbench.data.preprocessing import summed
from genbench.data.types import Batch, DataSpec, Split
from genbench.diffusion import views
from genbench.diffusion.agreement import require_choices_that_agree
from genbench.diffusion.couplings import paired
from genbench.diffusion.networks import DENOISERS
from genbench.diffusion.ode import log_density_change, runge_kutta
from genbench.diffusion.paths import PATHS
from genbench.diffusion.predictions import PREDICTIONS, WEIGHTINGS, Denoised
from genbench.diffusion.samplers import SAMPLERS, Options, Process, Start
from genbench.diffusion.sources import NOISES
from genbench.diffusion.times import (
    TRAINING_TIMES,
    likelihood_times,
    sampling_times,
    stratified,
)
from genbench.model import Model, available_if
from genbench.nn.likelihoods import per_point
from genbench.settings.diffusion import DiffusionSettings
from genbench.training.gradient import (
    GradientModel,
    LossAndTerms,
    LossNoise,
    LossWeights,
    Objective,
)
from genbench.utils.rng import generator
from genbench.visualizations import DataUnits, Visualization

MOST_EXACT = 16  # values of a point up to which traces are computed, not estimated


class Diffusion(GradientModel):
    """Minimises E ||f(x_t, t) - target||^2 over points x, noise eps and times t, where x_t =
    alpha(t) x + sigma(t) eps and the target is eps, x, or a mixture of both.

    Points are brought to mean zero and variance one first, by one mean and one deviation for all
    values. Samples are noise that is led back, by a random process or by the ordinary differential
    equation of the same densities, which also gives codes and log p(x).
    """

    settings: DiffusionSettings
    default_lengths = {**Model.default_lengths, "conv": (6, 2000)}
    splits_batches = True
    invertible = True
    slow_log_prob = True
    objectives = {"model": Objective(parameters="network.")}

    y: torch.Tensor | None = None  # the labels of the current points, set by `conditioned_on`
    mean: torch.Tensor  # of all values of the training data
    deviation: torch.Tensor
    frequencies: torch.Tensor  # [classes]

    def __init__(self, spec: DataSpec, settings: DiffusionSettings) -> None:
        super().__init__(spec, settings)
        self.classes = spec.classes if settings.conditional else 0
        require_choices_that_agree(spec, settings)
        self.conditional = settings.conditional
        self.splits_batches = settings.coupling == "independent"
        self.path = PATHS[settings.path](settings.sigma_min, settings.sigma_max)
        self.prediction = PREDICTIONS[settings.prediction]
        self.source = NOISES[settings.source](spec)
        self.network = DENOISERS[settings.network](spec, settings, self.classes)
        if settings.reflow:
            self.teacher = copy.deepcopy(self.network).requires_grad_(False)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("frequencies", torch.zeros(self.classes))
        flow = "by the probability flow"
        exact = spec.size <= MOST_EXACT
        self.log_prob_kind = f"exact, {flow}" if exact else f"estimate {flow}, 1 probe"

    def initialise(self, train: Split, *, seed: int) -> None:
        if self.settings.source == "normal":  # other sources have a scale of their own
            mean, deviation = summed(train, torch.float64).moments
            variance = deviation.square().mean() + (mean - mean.mean()).square().mean()
            self.mean.copy_(mean.mean())
            self.deviation.copy_(variance.sqrt())
        if self.classes:
            y = train.y
            assert y is not None  # the data have classes
            counts = torch.bincount(y[y >= 0], minlength=self.classes)
            self.frequencies.copy_(counts / counts.sum())

    def draw_noise(self, objective: str, n: int, rng: torch.Generator) -> LossNoise:
        u = stratified(n, rng)
        noise = {
            "t": TRAINING_TIMES[self.settings.times](u, self.path),
            "eps": self.source.draw(n, rng),
        }
        if self.settings.coupling != "independent":
            noise["pairs"] = torch.rand(n, generator=rng, device=rng.device)
        if self.classes:
            noise["hidden"] = torch.rand(n, generator=rng, device=rng.device)
        return noise

    @torch.no_grad()
    def coupled(
        self, objective: str, batch: Batch, noise: LossNoise, learning: bool
    ) -> tuple[Batch, LossNoise]:
        if learning and self.settings.reflow and self.clock >= self.reflow_start:
            return self.reflowed(batch, noise), noise
        if self.settings.coupling == "independent":
            return batch, noise
        x, eps, y = self.standard(batch.x), noise["eps"], batch.y if self.classes else None
        entropy = self.settings.coupling_entropy
        order = paired(self.settings.coupling, x, eps, noise["pairs"], entropy, y)
        return batch, {**noise, "eps": eps[order]}

    @property
    def reflow_start(self) -> int:
        """The step from which on the flow learns from itself."""
        return round(self.steps * (1 - self.settings.reflow))

    def reflowed(self, batch: Batch, noise: LossNoise) -> Batch:
        """What the flow that was learnt until `reflow_start` makes of the noise, in place of data
        (Liu et al. 2023, arXiv:2209.03003, algorithm 1).
        """
        if self.clock == self.reflow_start:
            for kept, now in zip(self.teacher.parameters(), self.network.parameters()):
                kept.copy_(now)
        y = self.known(batch.y)
        process = Process(self.path, partial(self.denoised_by, self.teacher, y))
        x = self.led_back(process, noise["eps"], self.rng)
        return Batch(self.restored(x), batch.y)

    def loss(self, batch: Batch, noise: LossNoise, weights: LossWeights) -> LossAndTerms:
        x, eps, t = self.standard(batch.x), noise["eps"], noise["t"]
        at = self.path.at(t).like(x)
        x_t = at.alpha * x + at.sigma * eps
        y = self.known(batch.y)
        if y is not None:
            y = torch.where(noise["hidden"] < self.settings.label_dropout, self.classes, y)
        output = self.output(self.network, x_t, t, y)
        errors = per_point((output - self.prediction.target(x, eps, at)).square())
        gain = self.prediction.gain(at).reshape(-1)
        weight = WEIGHTINGS[self.settings.weighting](self.path.at(t), gain)
        return (weight * errors).mean(), {"denoising": (gain**2 * errors).mean()}

    def standard(self, x: torch.Tensor) -> torch.Tensor:
        """Points [n, *shape] as the network sees them, of mean zero and variance one."""
        return (x - self.mean) / self.deviation

    def restored(self, x: torch.Tensor) -> torch.Tensor:
        """What `standard` was given."""
        return x * self.deviation + self.mean

    def known(self, y: torch.Tensor | None) -> torch.Tensor | None:
        """Labels [n] for the network: `classes` in place of a hidden one; None without classes."""
        if not self.classes or y is None:
            return None
        return torch.where(y < 0, self.classes, y)

    def output(
        self, network: nn.Module, x_t: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None
    ) -> torch.Tensor:
        """What a network predicts for noisy points x_t [n, *shape] at times t [n], or [1] for all,
        which saves it the same work for each.
        """
        scale = self.path.at(t).like(x_t).scale
        return network(x_t / scale, self.path.condition(t), y)

    def denoised_by(
        self, network: nn.Module, y: torch.Tensor | None, x_t: torch.Tensor, t: torch.Tensor
    ) -> Denoised:
        """What a network estimates of x and eps for noisy points at times t and with labels y, both
        [n], or [1] for all.
        """
        none = None if not self.classes else torch.full_like(t, self.classes, dtype=torch.long)
        guidance = self.settings.guidance
        if y is None or not self.classes:
            output = self.output(network, x_t, t, none)
        else:
            output = self.output(network, x_t, t, y)
            if guidance != 1:
                free = self.output(network, x_t, t, none)
                output = free + guidance * (output - free)
        return self.prediction.denoised(output, x_t, self.path.at(t).like(x_t))

    @property
    def process(self) -> Process:
        """The learnt process, for points of the current labels."""
        return Process(self.path, partial(self.denoised_by, self.network, self.known(self.y)))

    def conditioned_on(self, y: torch.Tensor | None) -> "Diffusion":
        if y is None or not self.classes:
            return self
        other = copy.copy(self)  # with the same weights
        other.y = y
        return other

    @property
    def sampler(self) -> str:
        """How samples are drawn."""
        s = self.settings
        return s.sampler if s.sampler == "adaptive" else f"{s.sampler}, {s.sampling_steps} steps"

    def led_back(self, process: Process, eps: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Standardized points [n, *shape] from noise, by the chosen sampler."""
        led, x, times = self.start(process, eps, rng)
        return led(x, times)

    def start(self, process: Process, eps: torch.Tensor, rng: torch.Generator) -> Start:
        """The chosen sampler, and the points and times that it begins with."""
        s = self.settings
        require_choices_that_agree(self.spec, s)  # which may be other ones since training
        options = Options(s.eta, s.churn, s.langevin_rate, s.langevin_steps)
        times = sampling_times(self.path, s.grid, s.sampling_steps, s.grid_power)
        scale = self.path.at(torch.tensor(self.path.last)).scale.to(eps)
        return partial(SAMPLERS[s.sampler], process, rng=rng, o=options), scale * eps, times

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """n draws [n, *shape]; without labels, of classes with their frequency in the training
        data.
        """
        if self.classes and self.y is None:
            y = torch.multinomial(self.frequencies, n, replacement=True, generator=rng)
            return self.conditioned_on(y).sample(n, rng)
        process = self.process
        if self.settings.clamp and self.spec.unit:
            low, high = (self.standard(torch.tensor(v, device=self.device)) for v in (0.0, 1.0))
            process = process.within(low, high)
        x = self.restored(self.led_back(process, self.source.draw(n, rng), rng))
        return x.clamp(0, 1) if self.spec.unit else x

    def score(self, x: torch.Tensor, t: float | None = None) -> torch.Tensor:
        """The gradient [n, *shape] of log p_t at points x [n, *shape] of the path, in data units;
        at its first time, where noise is negligible, without t.
        """
        now = self.path.first if t is None else t
        return self.process.score(self.standard(x), now) / self.deviation

    def has_flow(self) -> bool:
        """Whether codes and densities are computed."""
        return self.settings.likelihood_steps > 0

    def flow_times(self) -> list[float]:
        """The times through which codes and densities are computed."""
        grid_power = self.settings.grid_power if self.settings.path == "ve" else 2.0
        return likelihood_times(self.path, self.settings.likelihood_steps, grid_power)

    @available_if(has_flow)
    def log_prob(self, x: torch.Tensor, k: int = 1) -> torch.Tensor:
        """log p(x) [n] of data [n, *shape], in nats, by the probability flow.

        Its divergence is exact for points of at most 16 values, else the mean over k probes of an
        estimate that is right on average. The probes are the same at every call.
        """
        probes = None
        if self.spec.size > MOST_EXACT:
            rng = generator(self.settings.seed, "log_prob", device=x.device)
            signs = torch.randint(2, (k, *x.shape), generator=rng, device=rng.device)
            probes = 2.0 * signs - 1
        times = self.flow_times()
        end, change = log_density_change(self.process.velocity, self.standard(x), times, probes)
        scale = self.path.at(torch.tensor(times[-1])).scale.to(end)
        jacobian = self.spec.size * (self.deviation * scale).log()
        return self.source.log_prob(end / scale) + change - jacobian

    @available_if(has_flow)
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The noise [n, D] that the probability flow makes of points x [n, *shape]."""
        times = self.flow_times()
        (end,) = runge_kutta(self._slope, (self.standard(x),), times)
        return (end / self.path.at(torch.tensor(times[-1])).scale.to(end)).flatten(1)

    @available_if(has_flow)
    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The points [n, *shape] that noise z [n, D] turns into."""
        times = self.flow_times()[::-1]
        start = z.unflatten(1, self.spec.shape) * self.path.at(torch.tensor(times[0])).scale.to(z)
        return self.restored(runge_kutta(self._slope, (start,), times)[0])

    def _slope(self, state: tuple[torch.Tensor, ...], t: float) -> tuple[torch.Tensor, ...]:
        return (self.process.velocity(state[0], t),)

    def visualizations(self, x: torch.Tensor, rng: torch.Generator) -> dict[str, Visualization]:
        process, x = self.process, self.standard(x)
        shown = self.source.draw(10 if len(self.spec.shape) == 3 else 1000, rng)
        start = self.start(process, shown, rng)
        eps = self.source.draw(len(x), rng)
        units = DataUnits(self.restored, self.standard, self.deviation)
        pictures = views.pictures(process, start, x, eps)
        return {name: picture.in_units(units) for name, picture in pictures.items()}

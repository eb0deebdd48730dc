"""One experiment from its settings to its numbers: load the data, build the model, train, measure."""

import itertools
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral
from pathlib import Path

import torch

from genbench.config.settings import Settings
from genbench.data.loading import load
from genbench.data.types import Data
from genbench.evaluation.card import evaluated, merged
from genbench.evaluation.context import USUAL, Asked
from genbench.evaluation.registry import Watch
from genbench.model import Model, supports
from genbench.models.standardized import Standardized
from genbench.runs.checkpoints import Unusable, read_checkpoint, read_finished, taken
from genbench.runs.curves import curve_end, validation_curve
from genbench.runs.directory import Record, read_metrics
from genbench.runs.lock import Lock
from genbench.runs.progress import Display
from genbench.runs.recorder import Run, identity, machine, refuse
from genbench.training.defaults import resolved
from genbench.training.loop import fit, is_drawn
from genbench.training.objective import final
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.files import write_json
from genbench.utils.imports import locate
from genbench.utils.rng import fold, generator
from genbench.utils.text import counted, quoted


@dataclass(frozen=True, repr=False)
class Trained:
    """A trained model with what it was trained on, and what was measured: the content of metrics.json.

    Arrays go in and tensors come out, on the CPU. UserError, a ValueError, for arrays that do not fit the model
    and for what it cannot do.
    """

    model: Model
    data: Data
    metrics: dict[str, dict]
    folder: Path
    _draws: Iterator[int] = field(
        default_factory=itertools.count, init=False, compare=False
    )  # how often `sample` had no seed

    def __repr__(self) -> str:
        able = ", ".join(name for name in ABILITIES if supports(self.model, name))
        return f"<{self.model.s.model['name']} on {self.data.name}, in {self.folder}: {able}>"

    def encode(self, x, y=None) -> torch.Tensor:
        """The codes [n, latent_dim] of points x [n, *shape], scaled as the data are; of clusters, their numbers [n], and
        of mixtures the probability of each component [n, K].

        A conditional model needs the labels y [n] of the points, here as in the others.
        """
        return self._ask("encode", self._points(x), y=y)

    def decode(self, z, y=None) -> torch.Tensor:
        """The points [n, *shape] of codes z, which are as `encode` gives them."""
        z, width = torch.as_tensor(z), self.model.latent_dim
        if width is not None and z.shape != (len(z), width):
            raise UserError(
                "decode",
                f"codes have the shape {_shape('n', width)}",
                _shape(*z.shape),
                "reshape them",
            )
        return self._ask(
            "decode", z.long() if z.dim() == 1 else z.float(), y=y
        )  # numbers of clusters are no vectors

    def log_prob(self, x, y=None) -> torch.Tensor:
        """The log probability or density [n] of points x [n, *shape], in nats; `model.log_prob_kind` says whether it is
        exact or which bound."""
        return self._ask("log_prob", self._points(x), y=y)

    def score(self, x) -> torch.Tensor:
        """The gradient of the log density [n, *shape] at points x [n, *shape]."""
        return self._ask("score", self._points(x))

    def sample(self, n: int = 64, seed: int | None = None, y=None) -> torch.Tensor:
        """n draws [n, *shape]; of a conditional model of the wanted class y, a label or n of them.

        The same seed gives the same draws again. Without one, each call gives new draws; a script that is run again makes
        the same calls, and gets the same.
        """
        if not isinstance(n, Integral) or n < 0:
            raise UserError("n", "is a number of points to draw", n, "such as n=64")
        at = ("sample", seed) if seed is not None else ("call", next(self._draws))
        return self._ask(
            "sample", int(n), y=y, rng=generator(at[1], at[0], device=self.model.device)
        )

    def _ask(
        self, ability: str, points: torch.Tensor | int, y=None, rng: torch.Generator | None = None
    ) -> torch.Tensor:
        """What the ability makes of points or codes, or so many draws of it: `BLOCK` at a time, as all may not fit memory."""
        n = points if rng is not None else len(points)
        if y is not None:
            y = torch.as_tensor(y).reshape(-1)
            if not self.model.conditional:
                raise UserError("y", "this model does not depend on labels", fix="leave it out")
            if y.is_floating_point() or not (
                len(y) and y.min() >= 0 and y.max() < self.data.spec.classes
            ):
                raise UserError(
                    "y",
                    f"labels are whole numbers from 0 to {self.data.spec.classes - 1}",
                    y.tolist(),
                    "such as y=0",
                )
            unseen = sorted({*y.tolist()} & {*self.data.spec.absent})
            if unseen and ability == "sample":
                there = [
                    label
                    for label in range(self.data.spec.classes)
                    if label not in self.data.spec.absent
                ]
                raise UserError(
                    "y", "no training point has this label", unseen[0], f"such as y={there[0]}"
                )
            if len(y) not in (1, n):
                raise UserError(
                    "y",
                    f"there is one label for all {n} points, or one for each",
                    len(y),
                    "such as y=0",
                )
        elif self.model.conditional and ability in ("encode", "decode"):
            raise UserError(
                "y", f"{ability} needs the labels of the points", fix=f"{ability}(..., y=labels)"
            )
        if not supports(self.model, ability):
            has = [name for name in ABILITIES if supports(self.model, name)]
            raise UserError(
                self.folder.name, f"this model cannot {ability}", fix=f"it can {', '.join(has)}"
            )
        found, device = [], self.model.device
        with torch.no_grad():
            for start in range(0, max(n, 1), BLOCK):
                signals.check()
                block = slice(start, min(start + BLOCK, n))
                given = y if y is None else (y if len(y) == 1 else y[block]).to(device)
                args = (block.stop - start, rng) if rng is not None else (points[block].to(device),)
                found.append(getattr(self.model.conditioned_on(given), ability)(*args).cpu())
        return torch.cat(found)

    def _points(self, x) -> torch.Tensor:
        x, spec = torch.as_tensor(x).float(), self.data.spec
        if x.shape[1:] != spec.shape:
            raise UserError(
                "points",
                f"they have the shape {_shape('n', *spec.shape)}",
                _shape(*x.shape),
                "reshape them",
            )
        if not x.isfinite().all():
            raise UserError(
                "points", "their values are numbers", "some that are not finite", "clean them"
            )
        # A model of any real values takes its own samples, which may leave [0, 1]; but whole numbers beyond it are pixels
        # as they were stored.
        beyond = spec.unit and len(x) and not (x.min() >= 0 and x.max() <= 1)
        if beyond and (self.model.bounded or bool((x == x.round()).all())):
            raise UserError(
                "points", "their values lie in [0, 1]", f"{x.min():g} to {x.max():g}", "scale them"
            )
        return x


BLOCK = 1000  # points that a model is asked about together
ABILITIES = ("encode", "decode", "sample", "log_prob", "score")


def _shape(*sizes) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def run(
    config: dict,
    folder: Path,
    resume: str = "",
    title: str = "",
    display: Display | None = None,
    device: str | None = None,
) -> Trained | None:
    """Run (or resume) the experiment that `config` describes in `folder`.

    `resume` is the command that would go on with it, which the run tells its user; `title` is for its pictures;
    `display` shows how the run goes on; `device` is where to compute, if not where the settings say.
    Returns None if the folder holds the finished run already. Raises UserError for whatever a user can mend.
    """
    s = Settings(config)
    with Run(folder, config, resume, title, display) as record:
        if record.record.done:
            record.display.echo(f"{record.title} is done already: {folder}")
            return None
        at = pick_device(device or s.device)
        record.start()
        data = load(s.dataset, at)
        record.loaded(data)
        model = build(config, data)
        s = model.s
        record.resolved(s)
        fitted = fit(model, data, record, s)
        if model.converged:
            record.echo(
                f"converged after {counted(fitted.epochs, 'epoch')}: another would change nothing"
            )
        elif fitted.kept < fitted.epochs:
            record.echo(
                f"kept the weights after {counted(fitted.kept, 'epoch')}, which did best on the validation data"
            )
        for remark in model.warnings():
            record.echo(f"warning: {remark}")
        with fitted.watch.running():
            model.fit_posthoc(data.train, seed=s.seed)
        record.keep(model.posthoc_state())
        cost = {
            "epochs": fitted.epochs,
            "steps": fitted.steps,
            "kept_epoch": fitted.kept,
            "parameters": model.size,
        }
        cost |= {
            "criterion": model.criterion,
            "criterion_contains": list(getattr(model, "loss_weights", ())),
        }
        curve = validation_curve(record.folder, model.criterion) if model.criterion else {}
        whole = curve.keys() >= {
            *range(s.validate_every, fitted.epochs + 1, s.validate_every)
        }  # else points were lost
        cost |= curve_end(curve) if whole else {}
        cost = {"cost": cost, "time": record.fitted(fitted.watch), "machine": machine(model)}
        found = final(model, data, s.batch_size, s.seed) | cost | identity(model, data)
        found = record.measured(
            found | evaluated(model, data, found, s.evaluation, watch=record.measuring)
        )
        record.show(fitted.kept, model, data, drawn=is_drawn(fitted.kept, s))
        record.finish(found)
        return Trained(model, data, found, record.folder)


def load_run(config: dict, folder: Path, device: str) -> Trained:
    """The model of a finished run as it was measured. UserError if its weights or numbers are lost or another run's, or the
    data are others."""
    record = Record(folder, config)
    if not record.done:
        raise UserError(
            str(folder),
            "holds no finished run, or a damaged one",
            fix=f"genbench resume {quoted(folder)}",
        )
    path, finished, metrics = record.last, record.status.get("finished"), read_metrics(folder)
    data = load(config["dataset"], pick_device(device))
    model = build(config, data)
    try:
        content = read_checkpoint(path, config, data.digest, model.device)
    except Unusable as error:
        refuse(error, config, data)
    taken(path, content["stopping"]["best"].get("weights", content["model"]), model.load_state_dict)
    _finish(model, data, config["seed"], folder / finished if finished else None)
    return Trained(model, data, metrics, folder)


def _finish(model: Model, data: Data, seed: int, path: Path | None) -> None:
    """Give a trained model what was fitted once training was over, or where that is lost, fit it anew to the same bits."""
    state = None if path is None else read_finished(path, model.device)
    if state is not None:
        with suppress(Unusable):
            return taken(path, state, model.load_posthoc_state)
    model.fit_posthoc(data.train, seed=seed)


def evaluate(
    config: dict,
    folder: Path,
    size: str,
    names: Collection[str] = (),
    asked: Asked = USUAL,
    watch: Watch | None = None,
    device: str | None = None,
) -> dict[str, list]:
    """Measure the report card of a finished run anew, or only what these names choose, and add it to its metrics.json.

    `device` is where to compute, if not where the run was trained.

    Returns what was measured: see `evaluated`. UserError as `load_run` and `evaluated`.
    """
    lock = Lock(folder)
    lock.take()
    try:
        lock.sign()
        run = load_run(config, folder, device or config["device"])
        made = evaluated(run.model, run.data, run.metrics, size, names, asked, watch)
        kept = {
            name: merged(run.metrics.get(name, []), made[name])
            for name in ("card", "real_data")
            if name in made
        }
        known = identity(run.model, run.data)  # which runs of earlier versions lack
        write_json(folder / "metrics.json", run.metrics | known | made | kept)
        return made
    finally:
        lock.release()


def build(config: dict, data: Data) -> Model:
    """The model that the settings describe, for this data, on its device; its initial weights are a function of the seed."""
    made = locate(config["model"]["class"], "model.class")
    if not (isinstance(made, type) and issubclass(made, Model)):
        raise UserError(
            "model.class",
            "is not a genbench Model",
            config["model"]["class"],
            "derive it from genbench.model.Model",
        )
    s = resolved(Settings(config), made, data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(s.seed, "weights"))
        model = (partial(Standardized, inner_class=made) if s.dataset.get("standardize") else made)(
            data.spec, s
        )
    device = data.train.raw.device
    return (model.float() if device.type == "mps" else model).to(
        device
    )  # mps knows no double precision


def pick_device(name: str) -> torch.device:
    """The device by its name; `auto` is a GPU if there is one. UserError if this machine lacks it."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        has = f"{torch.cuda.device_count()} CUDA devices" if cuda else "no CUDA device"
        raise UserError("device", f"torch finds {has} on this machine", name, "device=auto")
    if device.type == "mps" and not mps:
        raise UserError("device", "torch finds no Apple GPU on this machine", name, "device=auto")
    return device

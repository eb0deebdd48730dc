"""One experiment, from settings to numbers: load the data, build the model, train, measure."""

from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from genbench.config.declarations import typed
from genbench.data.loading import load_data
from genbench.data.types import Data, RawDataset
from genbench.evaluation.by_shares import dismiss, serve_first
from genbench.evaluation.card import evaluated, merged_cards
from genbench.evaluation.context import USUAL, Asked
from genbench.evaluation.registry import Watch
from genbench.model import Model
from genbench.models.build import build_model
from genbench.runs.checkpointing import raise_unusable
from genbench.runs.checkpoints import Unusable, read_checkpoint, read_finished, taken
from genbench.runs.curves import curve_end, validation_curve
from genbench.runs.directory import Record, read_metrics
from genbench.runs.facts import identity, machine
from genbench.runs.progress import Display
from genbench.runs.recorder import Run
from genbench.settings.run import RunSettings
from genbench.trained import Trained
from genbench.training import ranks
from genbench.training.calls import Calls, alone
from genbench.training.loop import Fitted, NullRecorder, fit_work, is_drawn
from genbench.training.objective import final_work
from genbench.training.processes import is_first, process_count
from genbench.training.stopping import Prune
from genbench.utils import torchrun
from genbench.utils.errors import UserError
from genbench.utils.files import write_json
from genbench.utils.imports import locate
from genbench.utils.lock import Lock
from genbench.utils.text import counted


def run(config: dict, folder: Path, *arguments: Any, **options: Any) -> Trained | None:
    """Do `run_work` alone."""
    return alone(run_work(config, folder, *arguments, **options))


def run_work(
    config: dict,
    folder: Path,
    resume: str = "",
    title: str = "",
    display: Display | None = None,
    device: str | None = None,
    load: Callable[[dict, torch.device], Data] | None = None,
    prune: Prune | None = None,
) -> Calls[Trained | None]:
    """Run, or resume, the experiment that `config` describes in `folder`.

    `resume` is the command that would continue it, which the run prints; `title` is shown in its
    pictures; `display` shows its progress; `device` is where to compute, if not where the settings
    say; `load` loads the data, if not `load_data`; `prune` says after each epoch why to end the run
    early, if a search wants that. Returns None if the folder holds the finished run. UserError for
    what the user can fix, and Pruned for a run that was ended.
    """
    if not is_first():
        return (yield from _followed(config, folder, device))
    with Run(folder, config, resume, title, display, prune) as recorder:
        if ranks.same(recorder.record.done):
            recorder.display.echo(f"{recorder.title} is done already: {folder}")
            return None
        chosen = pick_device(device or config["device"])
        recorder.start()
        data = _loaded(config, chosen, load or load_data)
        recorder.set_data(data)
        model = build(config, data)
        settings = model.settings
        recorder.set_resolved(settings)
        fitted = yield from fit_work(model, data, recorder, settings)
        _report_end(recorder, model, fitted)
        with fitted.watch.running():
            model.fit_posthoc(data.train, seed=settings.seed)
        recorder.save_posthoc(model.posthoc_state())
        metrics: dict[str, Any] = yield from final_work(
            model, data, settings.batch_size, settings.seed, fitted.steps
        )
        metrics["cost"] = _cost(model, fitted, recorder.folder, settings)
        metrics["time"] = recorder.training_cost(fitted)
        counts = {"together": str(model.together), "processes": str(process_count())}
        metrics["machine"] = machine(model) | counts
        metrics |= identity(model, data)
        metrics |= evaluated(
            model, data, metrics, settings.evaluation, watch=recorder.show_measuring
        )
        dismiss()
        metrics = recorder.save_metrics(metrics)
        recorder.draw_final(fitted.kept, model, data, drawn=is_drawn(fitted.kept, settings))
        recorder.finish(metrics)
        ranks.same(metrics)
        return Trained(model, data, metrics, recorder.folder)


def _followed(config: dict, folder: Path, device: str | None) -> Calls[Trained | None]:
    """The part of `run_work` that every process but the first has in a run over several."""
    if ranks.same(False):
        return None
    data = _loaded(config, pick_device(device or config["device"]), load_data)
    model = build(config, data)
    settings = model.settings
    fitted = yield from fit_work(model, data, NullRecorder(), settings)
    model.fit_posthoc(data.train, seed=settings.seed)
    yield from final_work(model, data, settings.batch_size, settings.seed, fitted.steps)
    serve_first(model)
    return Trained(model, data, ranks.same({}), folder)


def _loaded(config: dict, device: torch.device, load: Callable[[dict, torch.device], Data]) -> Data:
    """The data. UserError if the processes of a run do not have the same."""
    with ranks.first_on_each_machine(torchrun.local_rank()):
        data = load(config["dataset"], device)
    if ranks.same(data.digest) != data.digest:
        what = "is not the same on all machines"
        raise UserError(f"dataset={data.name}", what, fix="copy it anew", code=1)
    return data


def _report_end(recorder: Run, model: Model, fitted: Fitted) -> None:
    """Say why training ended early, which weights were kept, and what the model remarks."""
    if model.converged:
        epochs = counted(fitted.epochs, "epoch")
        recorder.echo(f"converged after {epochs}: another would change nothing")
    elif fitted.kept < fitted.epochs:
        epochs = counted(fitted.kept, "epoch")
        recorder.echo(f"kept the weights after {epochs}, which did best on the validation data")
    for remark in model.warnings():
        recorder.echo(f"remark: {remark}")


def _cost(model: Model, fitted: Fitted, folder: Path, settings: RunSettings) -> dict[str, Any]:
    """What training took, and how the validation curve ended, for metrics.json."""
    cost: dict[str, Any] = {
        "epochs": fitted.epochs,
        "steps": fitted.steps,
        "kept_epoch": fitted.kept,
        "parameters": model.size,
        "criterion": model.criterion,
        "criterion_contains": list(getattr(model, "loss_weights", ())),
    }
    curve = validation_curve(folder, model.criterion) if model.criterion else {}
    validated = range(settings.validate_every, fitted.epochs + 1, settings.validate_every)
    if curve.keys() >= {*validated}:  # a damaged file may have lost points
        cost |= curve_end(curve)
    return cost


def load_run(config: dict, folder: Path, device: str, given: RawDataset | None = None) -> Trained:
    """The model of a finished run with the weights that were measured; `given` are its data, where
    these are in memory.

    UserError if its weights or numbers are lost or another run's, or if the data have changed.
    """
    record = Record(folder, config)
    record.require_done()
    metrics, posthoc = read_metrics(folder), record.status.get("finished")
    data = load_data(config["dataset"], pick_device(device), given)
    model = build(config, data)
    load_weights(model, record, data)
    _load_posthoc(model, data, config["seed"], folder / posthoc if posthoc else None)
    return Trained(model, data, metrics, folder)


def load_weights(model: Model, record: Record, data: Data) -> None:
    """Load the weights that were measured. UserError if they are lost, or the data have changed."""
    path = record.last_checkpoint
    assert path is not None  # a run that is done has one
    try:
        content = read_checkpoint(path, record.config, data.digest, model.device)
    except Unusable as error:
        raise_unusable(error, record.config, data)
    weights = content["stopping"]["best"].get("weights", content["model"])
    taken(path, weights, model.load_state_dict)


def _load_posthoc(model: Model, data: Data, seed: int, path: Path | None) -> None:
    """Load what was fitted after training. Where that is lost, fit it again to the same bits."""
    state = None if path is None else read_finished(path, model.device)
    if path is not None and state is not None:
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
    """Measure the report card of a finished run again, and add it to its metrics.json.

    `names` are the measures to take, by default all of this `size`; `device` is where to compute,
    if not where the run was trained. Returns what was measured, as `evaluated`. Raises UserError as
    `load_run` and `evaluated` do.
    """
    lock = Lock(folder)
    lock.acquire()
    try:
        lock.write_owner()
        trained = load_run(config, folder, device or config["device"])
        measured = evaluated(
            trained.model, trained.data, trained.metrics, size, names, asked, watch
        )
        cards = {
            name: merged_cards(trained.metrics.get(name, []), measured[name])
            for name in ("card", "real_data")
            if name in measured
        }
        # Runs of earlier versions lack some of the identity.
        known = identity(trained.model, trained.data)
        write_json(folder / "metrics.json", trained.metrics | known | measured | cards)
        return measured
    finally:
        lock.release()


def build(config: dict, data: Data) -> Model:
    """The model that the settings describe, for this data and on its device.

    The initial weights are a function of the seed.
    """
    return build_model(model_class(config), typed(config), data)


def model_class(config: dict) -> type[Model]:
    """The class that the settings name; UserError if it is no model."""
    chosen = locate(config["model"]["class"], "model.class")
    if not (isinstance(chosen, type) and issubclass(chosen, Model)):
        what, fix = "is not a genbench Model", "derive it from genbench.model.Model"
        raise UserError("model.class", what, config["model"]["class"], fix)
    return chosen


def pick_device(name: str) -> torch.device:
    """The device of this name; `auto` is a GPU if there is one. UserError if there is none."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if ranks.several():
        return _own_device(name)
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        has = f"{torch.cuda.device_count()} CUDA devices" if cuda else "no CUDA device"
        raise UserError("device", f"torch finds {has} on this machine", name, "device=auto")
    if device.type == "mps" and not mps:
        raise UserError("device", "torch finds no Apple GPU on this machine", name, "device=auto")
    return device


def _own_device(name: str) -> torch.device:
    """The device of this process in a run over several: on each machine, the n-th has the n-th GPU.

    UserError if there are fewer GPUs than processes.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise UserError("device", "each process has a device of its own", name, "device=auto")
    if name == "cpu":
        return torch.device(name)
    has, place = torch.cuda.device_count(), torchrun.local_rank()
    if place >= has:
        fix = f"--nproc-per-node={has}, or device=cpu" if has else "device=cpu"
        raise UserError("device", f"torch finds {has} GPUs, one for each process", name, fix)
    torch.cuda.set_device(place)
    return torch.device("cuda", place)

"""genbench from Python: data and settings in, a trained model back.

import genbench
vae = genbench.fit(X, y, model="vae", beta=4)
vae.sample(16), vae.metrics["test"], vae.plot("reconstructions")
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from genbench.config.compose import configured
from genbench.config.declarations import typed_dataset
from genbench.config.registry import Registry, builtin_registry
from genbench.config.request import require_data
from genbench.config.resolvers import run_name
from genbench.config.saved import recorded
from genbench.data.arrays import in_memory
from genbench.data.layout import ArrayLayout
from genbench.data.loading import load_data
from genbench.data.memory import IN_MEMORY_NAME, given_digest
from genbench.data.summary import report_given
from genbench.data.types import RawDataset
from genbench.experiment import load_run
from genbench.export.stored import load_without_data
from genbench.report.command import write_all
from genbench.runs.directory import Record
from genbench.runs.progress import Display
from genbench.settings.setting import written
from genbench.sweeps.combinations import combinations, is_listed, run_combinations
from genbench.sweeps.launch import execute, run_title
from genbench.trained import Trained
from genbench.utils.console import PipeSafeConsole
from genbench.utils.errors import UserError
from genbench.utils.lock import Lock


def fit(
    X: Any = None,
    y: Any = None,
    model: str | None = None,
    dataset: str | None = None,
    *,
    X_test: Any = None,
    y_test: Any = None,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Trained:
    """Train a model on your own data, or on a dataset as `genbench model=... NAME=VALUE ...` does.

    X is an array of NumPy or a tensor [n, ...], a table of pandas or a dataset of torch; y are the
    labels [n] of any type, or None. Without `X_test`, some of the points are set aside for the test
    (`dataset__test_size`). Without X, `dataset` names the data.

    Settings are keywords: `beta=4`, `lambda_=10` for `lambda`, which is a word of Python, and
    `dataset__classes=[3, 8]` for `dataset.classes`. Files are kept in `folder`, by default a new
    one in outputs/. If it holds this run already, the run is resumed or, if finished, loaded.
    `quiet` prints nothing. UserError, a ValueError, for what the command line would refuse.
    """
    if isinstance(X, str):  # a model and a dataset, as earlier versions had them first
        if model is not None or (y is not None and dataset is not None):
            what = "is the name of a model, and another model or dataset is given"
            raise UserError("X", what, X, "give points, or name each once")
        X, y, model, dataset = None, None, X, dataset if y is None else y
    registry = _registry(config_dir)
    named, given = _settings(settings, X, y, X_test, y_test, model, dataset)
    config = configured(named, registry)
    if given is None:
        require_data(named, config["dataset"]["name"], registry)
    if folder is None:
        own = {name: value for name, value in named.items() if name not in ("model", "dataset")}
        words = [f"{name}={written(value)}" for name, value in own.items() if _is_chosen(name)]
        words += [f"dataset={named['dataset']}"] * bool(named["dataset"] and given is None)
        folder = _new_folder(run_name(config["model"]["name"], words))
    folder = Path(folder).expanduser()
    options: dict[str, Any] = {}
    if given is not None:
        _require_same_data(folder, config)
        options |= {"load": partial(_load, given), "resume": _same_call(folder)}
        if not quiet:
            report_given(typed_dataset(config["dataset"]), given)
    if quiet:
        options["display"] = _silent(run_title(config, folder, registry))
    found = execute(config, folder.resolve(), registry, **options)
    return _own_form(found or load_run(config, folder, config["device"], given))


def load(
    folder: str | Path,
    X: Any = None,
    y: Any = None,
    *,
    X_test: Any = None,
    y_test: Any = None,
    config_dir: str | Path | None = None,
    device: str = "auto",
) -> Trained:
    """The trained model of a finished run's folder, on a device of this machine.

    No file holds data that were given to `fit`. Give them again to have results in their form, and
    pictures; without them the model takes and returns tensors of what it sees.
    """
    registry = _registry(config_dir)
    registry.let_import()
    config = recorded(Path(folder), registry)
    given = None
    if X is None and config["dataset"]["name"] == IN_MEMORY_NAME:
        return load_without_data(config, Path(folder), device)
    if X is not None:
        of = config["dataset"]
        chosen = {f"dataset.{n}": of[n] for n in ("axes", "range", "standardize") if n in of}
        given = _given(X, y, X_test, y_test, chosen)
        if given_digest(given) != of.get("digest"):
            what = f"these are not the data that the run in {folder} learnt from"
            raise UserError("X", what, fix="give the same points and labels in the same order")
    return _own_form(load_run(config, Path(folder), device, given))


def sweep(
    X: Any = None,
    y: Any = None,
    model: str | Iterable[str] | None = None,
    dataset: str | None = None,
    *,
    X_test: Any = None,
    y_test: Any = None,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = True,
    **settings: Any,
) -> pd.DataFrame:
    """Train a model for every combination of the values that settings list.

    `sweep(X, model=["vae", "gmm"], beta=[1, 2, 4])` trains a VAE three times and a mixture once: a
    setting that only some of the models have is left out of the runs of others. Returns a row for
    each run: its settings, its state, its numbers by the names of metrics.json, and its folder.
    Runs lie in `folder`, by default a new one in outputs/, with a report on all of them. The same
    call with the same folder runs what is not done yet. A value that is itself a list, such as
    `hidden`, is given in another one: `hidden=[[400], [100, 100]]`. The rest is as in `fit`.
    """
    registry = _registry(config_dir)
    named, given = _settings(settings, X, y, X_test, y_test, model, dataset)
    named["dataset"] = named["dataset"] or registry.default_choice("dataset")
    listed = [name for name, value in named.items() if is_listed(value) and _is_chosen(name)]
    runs = combinations(named, listed, registry)
    place = Path(folder or _new_folder("sweep")).expanduser().resolve()
    load = None if given is None else partial(_load, given)
    lock = Lock(place, "folder")
    lock.acquire()
    try:
        lock.write_owner()
        table = run_combinations(
            runs, listed, place, registry, load, _silent if quiet else lambda title: None
        )
        if (table["state"] == "done").any():
            write_all([place], place, registry, is_shown=not quiet)
    finally:
        lock.release()
    return table


def _registry(config_dir: str | Path | None) -> Registry:
    return builtin_registry(None if config_dir is None else str(config_dir))


def _settings(
    settings: dict[str, Any],
    X: Any,
    y: Any,
    X_test: Any,
    y_test: Any,
    model: Any,
    dataset: str | None,
) -> tuple[dict[str, Any], RawDataset | None]:
    """The settings by dotted name, and the data in memory, if there are any."""
    named = {name.rstrip("_").replace("__", "."): _plain(value) for name, value in settings.items()}
    named = {"model": model, "dataset": dataset} | named
    if X is None:
        if any(part is not None for part in (y, X_test, y_test)):
            raise UserError("X", "is missing, and labels or test points are given", fix="give X")
        return named, None
    if dataset not in (None, IN_MEMORY_NAME):
        raise UserError("dataset", "X is given already", dataset, "give X or a dataset")
    given = _given(X, y, X_test, y_test, named)
    axes = given.layout.axes if isinstance(given.layout, ArrayLayout) else "d"
    facts = {"dataset": IN_MEMORY_NAME, "dataset.axes": axes, "dataset.digest": given_digest(given)}
    return named | facts, given


def _given(X: Any, y: Any, X_test: Any, y_test: Any, named: dict[str, Any]) -> RawDataset:
    """Data in memory as a dataset, read as these settings say."""
    seen = named.get("dataset.range", "auto")
    found = in_memory(
        X,
        y,
        X_test,
        y_test,
        axes=named.get("dataset.axes", "auto"),
        value_range=None if seen == "auto" else tuple(seen),
        raw=named.get("dataset.standardize") is False,
    )
    for name, points, labels in (("y", found.x, found.y), ("y_test", found.test_x, found.test_y)):
        if points is not None and labels is not None and len(points) != len(labels):
            what = f"there are {len(points):,} points and {len(labels):,} labels"
            raise UserError(name, what, fix="give each point its label")
    return found


def _require_same_data(folder: Path, config: dict) -> None:
    """UserError if the folder holds a run on other data."""
    before = Record(folder, config).settings().get("dataset", {})
    if before.get("digest") not in (None, config["dataset"]["digest"]):
        what = f"{folder} holds a run on other data"
        raise UserError("folder", what, fix="choose another, or give the same X and y")


def _same_call(folder: Path) -> str:
    """How a run on data in memory goes on."""
    return f"the same call of genbench.fit with folder={str(folder)!r}"


def _load(given: RawDataset, settings: Any, device: Any) -> Any:
    return load_data(settings, device, given)


def _own_form(trained: Trained) -> Trained:
    """A model that takes and returns points in the form of the user's own data."""
    return replace(trained, layout=trained.data.layout)


def _is_chosen(name: str) -> bool:
    """Whether a setting was chosen by the user, rather than read from the data."""
    return name not in ("dataset", "dataset.axes", "dataset.digest", "dataset.range")


def _new_folder(name: str) -> Path:
    return Path("outputs") / f"{datetime.now():%Y-%m-%d_%H-%M-%S.%f}_{name}"


def _silent(title: str) -> Display:
    """The progress of a run that prints nothing."""
    return Display(title, PipeSafeConsole(quiet=True))


def _plain(value: Any) -> Any:
    """A value as YAML would give it: text for a path, Python's own number for NumPy's."""
    if isinstance(value, Path):
        return str(value)
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value

"""genbench from Python: settings by keyword, a trained model back.

import genbench
vae = genbench.fit(model="vae", beta=4)
vae.sample(16), vae.metrics["test"]
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from genbench.config.compose import configured
from genbench.config.registry import builtin_registry
from genbench.config.request import require_data
from genbench.config.resolvers import run_name
from genbench.config.saved import recorded
from genbench.experiment import load_run
from genbench.settings.setting import written
from genbench.sweeps.launch import execute
from genbench.trained import Trained


def fit(
    model: str | None = None,
    dataset: str | None = None,
    *,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    **settings: Any,
) -> Trained:
    """Run an experiment as `genbench model=... NAME=VALUE ...` does; return a `Trained`.

    Settings are keywords: `beta=4`, `lambda_=10` for `lambda`, which is a word of Python, and
    `dataset__classes=[3, 8]` for `dataset.classes`. Files are kept in `folder`, by default a new
    one in outputs/. If it holds this run already, the run is resumed or, if finished, loaded.
    UserError, a ValueError, for what the command line would refuse.
    """
    named = {name.rstrip("_").replace("__", "."): _plain(value) for name, value in settings.items()}
    registry = builtin_registry(None if config_dir is None else str(config_dir))
    config = configured({"model": model, "dataset": dataset} | named, registry)
    require_data(named, config["dataset"]["name"], registry)
    if folder is None:
        words = [f"{name}={written(value)}" for name, value in named.items()] + [
            f"dataset={dataset}"
        ] * bool(dataset)
        folder = (
            Path("outputs")
            / f"{datetime.now():%Y-%m-%d_%H-%M-%S.%f}_{run_name(config['model']['name'], words)}"
        )
    folder = Path(folder).expanduser()
    return execute(config, folder.resolve(), registry) or load_run(config, folder, config["device"])


def _plain(value: Any) -> Any:
    """A value as YAML would give it: text for a path, Python's own number for NumPy's."""
    return (
        str(value) if isinstance(value, Path) else value.item() if hasattr(value, "item") else value
    )


def load(folder: str | Path, config_dir: str | Path | None = None, device: str = "auto") -> Trained:
    """The trained model of a finished run's folder, on a device of this machine."""
    registry = builtin_registry(None if config_dir is None else str(config_dir))
    registry.let_import()
    return load_run(recorded(Path(folder), registry), Path(folder), device)

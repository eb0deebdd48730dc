"""genbench from Python: settings by keyword, a trained model back.

import genbench
vae = genbench.fit(model="vae", beta=4)
vae.sample(16), vae.metrics["test"]
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from .cli import builtin_catalogue
from .errors import UserError
from .experiment import Trained, load_run
from .launch import execute, run_name
from .request import composed, recorded
from .settings import GROUPS, check, known_settings


def fit(
    model: str | None = None,
    dataset: str | None = None,
    *,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    **settings,
) -> Trained:
    """Run an experiment, as `genbench model=... dataset=... NAME=VALUE ...` does; returns a `Trained`.

    Settings are keywords: `beta=4`, `lambda_=10` for `lambda`, a word of Python, and `dataset__classes=[3, 8]` for
    `dataset.classes`. Files are kept in `folder`, by default a new one in outputs/; if that holds the run already, it
    goes on or, if it is finished, is loaded. UserError, a ValueError, for what the command line would refuse.
    """
    named = {name.rstrip("_").replace("__", "."): _plain(value) for name, value in settings.items()}
    catalogue = builtin_catalogue(config_dir and str(config_dir))
    chosen = {group: choice or catalogue.default_choice(group) for group, choice in zip(GROUPS, (model, dataset))}
    for group, choice in chosen.items():
        if choice not in catalogue.names(group):
            raise UserError(group, f"no such {group}", choice, f"choose one of: {', '.join(catalogue.names(group))}")
    config = composed([f"{group}={choice}" for group, choice in chosen.items()], catalogue)
    # Composed without what is given, so that values keep their types; the defaults that go with it come from here.
    defaults = {name: setting.default for name, setting in known_settings(catalogue, **chosen, values=named).items()}
    config = check(config, catalogue, defaults | named)
    if folder is None:
        words = [f"{name}={value}" for name, value in named.items()] + [f"dataset={dataset}"] * bool(dataset)
        folder = Path("outputs") / f"{datetime.now():%Y-%m-%d_%H-%M-%S.%f}_{run_name(chosen['model'], words)}"
    return execute(config, Path(folder).resolve(), catalogue) or load_run(config, Path(folder), config["device"])


def _plain(value: Any) -> Any:
    """A value as YAML would give it: text for a path, Python's own number for NumPy's."""
    return str(value) if isinstance(value, Path) else value.item() if hasattr(value, "item") else value


def load(folder: str | Path, config_dir: str | Path | None = None, device: str = "auto") -> Trained:
    """The trained model of a finished run's folder, on a device of this machine."""
    catalogue = builtin_catalogue(config_dir and str(config_dir))
    catalogue.let_import()
    return load_run(check(recorded(Path(folder), catalogue), catalogue), Path(folder), device)

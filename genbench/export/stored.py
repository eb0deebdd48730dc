"""The model of a finished run from the files in its folder alone, without the data."""

from pathlib import Path

from genbench.config.declarations import typed
from genbench.experiment import load_run, load_weights, model_class, pick_device
from genbench.models.build import blank_model
from genbench.runs.checkpoints import read_finished, taken
from genbench.runs.directory import Record, read_metrics
from genbench.runs.facts import without_points
from genbench.trained import Trained


def load_without_data(config: dict, folder: Path, device: str) -> Trained:
    """The model of a finished run, from what its folder holds; its `data` have no points.

    The data are still loaded if the folder alone is not enough: in a run of an earlier version, or
    if what was fitted after training is lost. UserError as `load_run`.
    """
    record = Record(folder, config)
    record.require_done()
    metrics, posthoc = read_metrics(folder), record.status.get("finished")
    data = without_points(metrics, config["dataset"]["name"])
    path = None if posthoc is None else folder / posthoc
    state = None if path is None else read_finished(path, pick_device(device))
    if data is None or (path is not None and state is None):
        return load_run(config, folder, device)
    resolved = config | {name: v for name, v in metrics["auto"].items() if name in config}
    model = blank_model(model_class(config), typed(resolved), data.spec, pick_device(device))
    load_weights(model, record, data)
    if path is not None and state is not None:
        taken(path, state, model.load_posthoc_state)
    return Trained(model, data, metrics, folder)

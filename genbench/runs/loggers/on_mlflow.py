"""Curves, settings and pictures in MLflow, at its tracking URI; needs genbench[mlflow]."""

import io
import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from PIL import Image

from genbench.runs.loggers.interface import Logger, tags

MLFLOW_EXPERIMENT = "genbench"  # unless MLFLOW_EXPERIMENT_NAME says otherwise
MLFLOW_TAG = "genbench.key"  # the tag by which a run is found again
LONGEST_VALUE = 6000  # characters of a setting that MLflow keeps


class MLflow(Logger):
    """A run of MLflow for each run, found again by its tag. Its store knows what it has."""

    name = "mlflow"

    def open(self, epoch: int, mark: dict[str, Any]) -> int:
        import mlflow  # takes two seconds
        from mlflow.environment_variables import MLFLOW_EXPERIMENT_NAME

        for noisy in ("mlflow", "alembic"):  # which say that a new store is made
            logging.getLogger(noisy).setLevel(logging.WARNING)
        self.ended = False

        self.client = mlflow.MlflowClient()
        name = MLFLOW_EXPERIMENT_NAME.get() or MLFLOW_EXPERIMENT
        experiment = self.client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self.client.create_experiment(name)
        key = self.run.key
        found = self.client.search_runs([number], f"tags.`{MLFLOW_TAG}` = '{key}'")
        if found:
            self.id = found[0].info.run_id
            self.client.update_run(self.id, status="RUNNING")
        else:
            labels = {MLFLOW_TAG: key, "genbench.folder": str(self.run.folder)}
            created = self.client.create_run(number, tags=labels, run_name=self.run.title)
            self.id = created.info.run_id
        known = {} if not found else found[0].data.params
        for setting, value in self.run.settings.items():
            if _name(setting) not in known:
                self.client.log_param(self.id, _name(setting), str(value)[:LONGEST_VALUE])
        # Of each curve, as a crash may have come between two of them.
        curves = {} if not found else found[0].data.metrics
        self.last = {
            curve: max(one.step for one in self.client.get_metric_history(self.id, curve))
            for curve in curves
        }
        return 0  # `_log` leaves out what is there

    def point(self, point: Mapping[str, Any]) -> None:
        self._log(tags(point), point["epoch"])

    def final(self, values: Mapping[str, Any], epoch: int) -> None:
        self._log({k: v for k, v in values.items() if v is not None}, epoch)
        self.client.set_terminated(self.id)
        self.ended = True

    def close(self) -> None:
        if not self.ended:
            self.client.set_terminated(self.id, status="KILLED")  # until it is resumed

    def _log(self, values: Mapping[str, float], epoch: int) -> None:
        """Add one point to each curve that lacks it."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        new = {_name(k): v for k, v in values.items() if epoch > self.last.get(_name(k), 0)}
        metrics = [Metric(name, float(value), now, epoch) for name, value in new.items()]
        self.client.log_batch(self.id, metrics=metrics, synchronous=True)
        self.last |= dict.fromkeys(new, epoch)

    def picture(self, tag: str, png: bytes, shape: tuple[int, int], epoch: int) -> None:
        # A file of the same name is replaced, so that no epoch has two.
        image = Image.open(io.BytesIO(png), formats=["PNG"])
        path = f"{tag.partition('/')[0]}/{epoch:06}.png"
        self.client.log_image(self.id, image, artifact_file=path)


def _name(text: str) -> str:
    """A name with nothing but characters that MLflow allows."""
    return re.sub(r"[^\w\-. /:]", "_", text)[:250]

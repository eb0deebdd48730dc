"""Early stopping on the validation data."""

from collections.abc import Callable
from typing import Any

from genbench.data.types import Data
from genbench.model import Model
from genbench.settings.groups import EarlyStoppingSettings
from genbench.settings.run import RunSettings
from genbench.utils.errors import UserError

# Why to end a run after an epoch of so many, with these terms by part of the data; "" goes on.
Prune = Callable[[int, int, dict[str, dict[str, float]]], str]


class EarlyStopping:
    """Keeps the weights with the lowest objective on the validation data, and says when training
    should end.

    It looks every `validate_every` epochs; without `patience` it never does. UserError if the model
    has no objective that falls, or there are no validation data.
    """

    def __init__(self, model: Model, data: Data, settings: RunSettings) -> None:
        self.patience = settings.patience if isinstance(settings, EarlyStoppingSettings) else None
        self.every, self.criterion = settings.validate_every, model.criterion
        self.latest = 0
        self.best: dict[str, Any] = {}  # the epoch, value and weights, once there are some
        if self.patience is None:
            return
        if self.criterion is None:
            what = "this model has no objective that falls"
            raise UserError("patience", what, self.patience, "patience=null")
        if "validation" not in data.splits:
            fix = "dataset.val_size=1000, or patience=null"
            raise UserError("patience", "needs validation data", self.patience, fix)

    def watch(self, epoch: int, model: Model, point: dict[str, dict[str, float]]) -> None:
        """Look at the validation terms of an epoch, if it is time to."""
        if self.patience is None or self.criterion is None or epoch % self.every:
            return
        self.latest, value = epoch, point["validation"][self.criterion]
        if not self.best or value < self.best["value"]:
            weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            self.best = {"epoch": epoch, "value": value, "weights": weights}

    @property
    def due(self) -> bool:
        """Whether `patience` epochs have gone by since the best one."""
        if self.patience is None or not self.best:
            return False
        return self.latest - self.best["epoch"] >= self.patience

    def take_best(self, model: Model) -> int | None:
        """Give the model its best weights if they were kept, and return their epoch."""
        if self.best:
            model.load_state_dict(self.best["weights"])
        return self.best.get("epoch")

    def training_state(self) -> dict[str, Any]:
        """What resuming needs: tensors, numbers, strings and dicts."""
        return {"latest": self.latest, "best": self.best}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore what `training_state` returned."""
        self.latest, self.best = state["latest"], state["best"]

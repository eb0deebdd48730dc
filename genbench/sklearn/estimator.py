"""What all estimators are: parameters, fitting, and how they are pickled."""

import math
import re
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from genbench.data.types import DataSpec
from genbench.experiment import pick_device
from genbench.model import Model
from genbench.sklearn.fitting import (
    Points,
    SavedModel,
    dataset_settings,
    fit_points,
    settings_for,
)
from genbench.sklearn.names import registry
from genbench.sklearn.parameters import BY_DATA, EstimatorParameter
from genbench.trained import in_blocks
from genbench.utils.errors import UserError

FLOATS = (np.float64, np.float32)
LARGEST_SEED = 2**31 - 1
FILLED_UP_TO = 64  # points
ROWS_AT_ONCE = 16 * FILLED_UP_TO  # so that the last block is filled up, too


class Estimator(BaseEstimator):
    """A model of genbench with the parameters of its settings.

    A subclass, which `generate` makes, has a constructor with all of them.
    """

    model_name: ClassVar[str]  # what genbench calls the model
    model_class: ClassVar[type[Model]]
    parameters: ClassVar[Sequence[EstimatorParameter]]
    attributes: ClassVar[dict[str, tuple[str, str]]] = {}  # set by `fit`: what each is
    needs_labels: ClassVar[bool] = False
    is_binary: ClassVar[bool] = False

    model_: Model
    n_features_in_: int

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.needs_labels
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")  # `lambda_` is a parameter, although it ends like a result

    def fit(self, X: Any, y: Any = None) -> "Estimator":
        """Fit the model to the points.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The points to learn from.
        y : array-like of shape (n_samples,), default=None
            Class labels, which models that do not learn from labels ignore.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        options = {"dtype": FLOATS, "ensure_min_samples": 2}
        supervised = getattr(self, "supervision", 0) and y is not None
        if self.needs_labels or supervised:
            X, y = validate_data(self, X, y, **options)
            check_classification_targets(y)
            self.classes_, y = np.unique(y, return_inverse=True)
            labels = torch.from_numpy(y.astype(np.int64))
        else:
            X, labels = validate_data(self, X, **options), None
        try:
            self._fit(X, labels)
        except UserError as error:
            raise self._renamed(error) from None
        return self

    def _fit(self, X: np.ndarray, labels: torch.Tensor | None) -> None:
        seed = self._seed()
        shape = self._image_shape(X)
        standardize = getattr(self, "standardize", False)
        if standardize == BY_DATA:
            standardize = shape is None
        given = {
            p.setting.name: (p.setting, getattr(self, p.name))
            for p in self.parameters
            if p.setting is not None
        }
        given["seed"] = (given["seed"][0], seed)
        dataset = dataset_settings(shape, bool(standardize))
        settings = settings_for(self.model_name, given, dataset, registry())
        validation = getattr(self, "validation_fraction", 0.1)
        if not 0 < validation < 1:
            text = f"validation_fraction is a share between 0 and 1, not {validation}"
            raise ValueError(text)
        x = self._as_tensor(X, shape or (X.shape[1],))
        unit = not standardize and bool(((x >= 0) & (x <= 1)).all())
        classes = 0 if labels is None else len(self.classes_)
        binary = unit and bool(((x == 0) | (x == 1)).all())
        trials = 1 if self.is_binary or binary else None
        spec = DataSpec(tuple(x.shape[1:]), unit, trials, classes=classes)
        device = pick_device(settings.device)
        points = Points(x.to(device), None if labels is None else labels.to(device), spec)
        self.model_, self.n_iter_ = fit_points(
            self.model_class,
            settings,
            points,
            validation=validation,
            verbose=self.verbose,
        )
        for text in self.model_.warnings():
            warnings.warn(self._in_parameters(text), ConvergenceWarning, stacklevel=3)
        self._after_fit(x)

    def _after_fit(self, x: torch.Tensor) -> None:
        """Set attributes that need the training points [n, *shape]."""

    def _seed(self) -> int:
        """The seed of the run: the same whole number, or one that the state draws."""
        if isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(LARGEST_SEED))

    def _image_shape(self, X: np.ndarray) -> tuple[int, ...] | None:
        """The shape of one picture; None for other data. ValueError if the columns do not fit."""
        shape = getattr(self, "image_shape", None)
        if shape is None:
            return None
        shape = tuple(int(side) for side in shape)
        if len(shape) != 3 or math.prod(shape) != X.shape[1]:
            raise ValueError(
                f"image_shape: channels, height and width make {X.shape[1]} values, as many as X "
                f"has columns (got {shape})"
            )
        return shape

    def _as_tensor(self, X: np.ndarray, shape: Sequence[int]) -> torch.Tensor:
        """Rows as points [n, *shape] in single precision."""
        if self.is_binary:
            if self.binarize is not None:
                X = np.greater(X, self.binarize)
            elif not np.isin(X, (0, 1)).all():
                raise ValueError(
                    "binarize: X holds other values than 0 and 1, which a mixture of Bernoullis "
                    "needs (got None); set a threshold, such as binarize=0.5"
                )
        with np.errstate(over="ignore"):
            x = torch.from_numpy(np.array(X, dtype=np.float32, order="C"))
        if not x.isfinite().all():
            raise ValueError("X contains values that are too large for single precision")
        return x.reshape(len(x), *shape)

    def _points(self, X: Any) -> tuple[torch.Tensor, np.dtype]:
        """Rows as the fitted model takes them, and the precision in which they came."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=FLOATS)
        return self._as_tensor(X, self.model_.spec.shape), X.dtype

    def _call(
        self, method: str, points: torch.Tensor, y: torch.Tensor | None = None, **options: Any
    ) -> np.ndarray:
        """What a method of the model returns for points or codes [n, ...].

        Few points are filled up to a multiple of `FILLED_UP_TO`: products of few rows are summed in
        another order, by which the last digits of a point's result would depend on the others.
        """
        n = len(points)
        filled = torch.arange(-(-n // FILLED_UP_TO) * FILLED_UP_TO) % max(n, 1)
        labels = y if y is None or len(y) == 1 else y[filled]
        options = {"labels": labels, "at_once": ROWS_AT_ONCE, **options}
        found = in_blocks(self.model_, method, points[filled], **options)
        return found[:n].numpy()

    # --- messages ---------------------------------------------------------------------------------

    def _renamed(self, error: UserError) -> UserError:
        """The error with the names of parameters in place of those of settings."""
        key, what, fix = map(self._in_parameters, (f"{error.key}=", error.what, error.fix))
        return UserError(key.removesuffix("="), what, error.got, fix, error.code)

    def _in_parameters(self, text: str) -> str:
        """A text about settings with the names of parameters."""
        for parameter in self.parameters:
            setting = parameter.setting
            if setting is not None and setting.name != parameter.name:
                # Others, such as `epochs`, are also words of English.
                end = r"\b" if "_" in setting.name else "(?==)"
                text = re.sub(rf"\b{re.escape(setting.name)}{end}", parameter.name, text)
        return re.sub(r"=null\b", "=None", text)

    # --- pickling ---------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "model_" in state:
            state = state | {"model_": SavedModel.of(self.model_class, self.model_)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.get("model_")
        if isinstance(saved, SavedModel):
            state = state | {"model_": saved.model()}
        super().__setstate__(state)

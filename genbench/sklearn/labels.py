"""What models that learn from labels can do: predict them, or depend on them."""

from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin

from genbench.sklearn.docstrings import numpydoc
from genbench.sklearn.methods import CoderMixin, LikelihoodMixin, SamplerMixin


class ClassesMixin(ClassifierMixin, CoderMixin):
    """Predicts the labels that it was fitted to."""

    attributes = {"classes_": ("ndarray of shape (n_classes,)", "the labels, in order")}

    @numpydoc(
        "probabilities", "ndarray of shape (n_samples, n_classes)", "in the order of `classes_`"
    )
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, given each point."""
        x, dtype = self._points(X)
        return self._call("classify", x).astype(dtype, copy=False)

    @numpydoc("y", "ndarray of shape (n_samples,)", "labels, as in `classes_`")
    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each point."""
        indices = self.predict_proba(X).argmax(1)
        return self.classes_[indices]


class ConditionalMixin(CoderMixin, LikelihoodMixin, SamplerMixin):
    """Depends on the class of a point."""

    attributes = {"classes_": ("ndarray of shape (n_classes,)", "the labels, in order")}

    @numpydoc(
        "X_new",
        "ndarray of shape (n_samples, n_codes)",
        "the means of the distributions of codes",
        y=(
            "array-like of shape (n_samples,), default=None",
            "their classes; None takes those that `predict` returns",
        ),
    )
    def transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Turn points into codes, which do not describe the class."""
        x, dtype = self._points(X)
        labels = self._probable(x) if y is None else self._labels(y, len(x))
        return self._call("encode", x, labels).astype(dtype, copy=False)

    @numpydoc(
        "X_original",
        "ndarray of shape (n_samples, n_features)",
        "the points, in the units of the data",
        X=("array-like of shape (n_samples, n_codes)", "codes, as `transform` returns them"),
        y=("array-like of shape (n_samples,) or a single class", "the classes of the points"),
    )
    def inverse_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Turn codes into points of given classes."""
        codes, dtype = self._codes(X)
        if y is None:
            raise ValueError("inverse_transform needs the classes: inverse_transform(codes, y)")
        labels = self._labels(y, len(codes))
        found = self._call("decode", codes, labels)
        return found.reshape(len(codes), -1).astype(dtype, copy=False)

    @numpydoc("y", "ndarray of shape (n_samples,)", "labels, as in `classes_`")
    def predict(self, X: Any) -> np.ndarray:
        """The class under which each point is most probable."""
        indices = self._probable(self._points(X)[0])
        return self.classes_[indices.numpy()]

    @numpydoc(
        "X",
        "ndarray of shape (n_samples, n_features)",
        "the points, in the units of the data",
        y=(
            "array-like of shape (n_samples,) or a single class, default=None",
            "the classes to draw; None draws each as often as it occurs",
        ),
    )
    def sample(self, n_samples: int = 1, random_state: Any = None, y: Any = None) -> np.ndarray:
        """Draw new points from the fitted model."""
        return self._sampled(
            n_samples, random_state, None if y is None else self._labels(y, n_samples)
        )

    def _probable(self, x: torch.Tensor) -> torch.Tensor:
        """The index [n] of the class under which each point is most probable."""
        model: Any = self.model_
        log_frequencies = model.frequencies.cpu().log().numpy()
        joint = [
            self._log_prob(x, torch.tensor([c])) + log_frequencies[c]
            for c in range(len(self.classes_))
        ]
        return torch.from_numpy(np.stack(joint, 1).argmax(1))

    def _labels(self, y: Any, n: int) -> torch.Tensor:
        """Classes as indices, one for each of n points or one for all. ValueError for others."""
        y = np.atleast_1d(np.asarray(y))
        known, unknown = self.classes_.tolist(), ~np.isin(y, self.classes_)
        if y.ndim != 1 or len(y) not in (1, n):
            raise ValueError(f"y: there is one class for all {n} points, or one for each")
        if unknown.any():
            raise ValueError(
                f"y: {y[unknown].tolist()[0]!r} is no class of the data, which are {known}"
            )
        return torch.from_numpy(np.searchsorted(self.classes_, y).astype(np.int64))

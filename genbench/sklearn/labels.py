"""What models that learn from labels can do: predict them, or depend on them."""

from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin

from genbench.sklearn.methods import CoderMixin, LikelihoodMixin, SamplerMixin


class ClassesMixin(ClassifierMixin, CoderMixin):
    """Predicts the labels that it was fitted to."""

    attributes = {"classes_": ("ndarray of shape (n_classes,)", "the labels, in order")}

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, given each point.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The points.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        x, dtype = self._points(X)
        return self._call("classify", x).astype(dtype, copy=False)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each point.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The points.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels, as in `classes_`.
        """
        indices = self.predict_proba(X).argmax(1)
        return self.classes_[indices]


class ConditionalMixin(CoderMixin, LikelihoodMixin, SamplerMixin):
    """Depends on the class of a point."""

    attributes = {"classes_": ("ndarray of shape (n_classes,)", "the labels, in order")}

    def transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Turn points into codes, which do not describe the class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The points.
        y : array-like of shape (n_samples,), default=None
            Their classes; None takes those that `predict` returns.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_codes)
            The means of the distributions of codes.
        """
        x, dtype = self._points(X)
        labels = self._probable(x) if y is None else self._labels(y, len(x))
        return self._call("encode", x, labels).astype(dtype, copy=False)

    def inverse_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Turn codes into points of given classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_codes)
            Codes, as `transform` returns them.
        y : array-like of shape (n_samples,) or a single class
            The classes of the points.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            The points, in the units of the data.
        """
        codes, dtype = self._codes(X)
        if y is None:
            raise ValueError("inverse_transform needs the classes: inverse_transform(codes, y)")
        labels = self._labels(y, len(codes))
        found = self._call("decode", codes, labels)
        return found.reshape(len(codes), -1).astype(dtype, copy=False)

    def predict(self, X: Any) -> np.ndarray:
        """The class under which each point is most probable.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The points.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels, as in `classes_`.
        """
        indices = self._probable(self._points(X)[0])
        return self.classes_[indices.numpy()]

    def sample(self, n_samples: int = 1, random_state: Any = None, y: Any = None) -> np.ndarray:
        """Draw new points from the fitted model.

        Parameters
        ----------
        n_samples : int, default=1
            How many points to draw.
        random_state : int, RandomState instance or None, default=None
            The same whole number draws the same points; None draws new ones at every call.
        y : array-like of shape (n_samples,) or a single class, default=None
            The classes to draw; None draws each as often as it occurs.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The points, in the units of the data.
        """
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

"""What clusterings, mixtures and principal components show of themselves once they are fitted."""

from typing import Any

import numpy as np
import torch
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    DensityMixin,
    TransformerMixin,
)

from genbench.data.types import Batch
from genbench.sklearn.docstrings import SCORE, numpydoc
from genbench.sklearn.estimator import Estimator
from genbench.sklearn.methods import CoderMixin, LikelihoodMixin
from genbench.trained import in_blocks


class ComponentsMixin(DensityMixin, CoderMixin, LikelihoodMixin):
    """A mixture, whose codes are the probabilities of its components."""

    attributes = {
        "weights_": ("ndarray of shape (n_components,)", "weights of the components"),
        "means_": ("ndarray of shape (n_components, n_features)", "means of the components"),
    }

    score = LikelihoodMixin.score

    @numpydoc(
        "probabilities",
        "ndarray of shape (n_samples, n_components)",
        "they sum to one for each point",
    )
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each component, given each point."""
        return CoderMixin.transform(self, X)

    @numpydoc("labels", "ndarray of shape (n_samples,)", "indices of components")
    def predict(self, X: Any) -> np.ndarray:
        """The most probable component of each point."""
        return self.predict_proba(X).argmax(1)

    @numpydoc("labels", "ndarray of shape (n_samples,)", "indices of components")
    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit the model, and return the most probable component of each point."""
        return self.fit(X, y).predict(X)

    def _after_fit(self, x: torch.Tensor) -> None:
        model: Any = self.model_
        weights = model.mixture.weights.detach()
        self.weights_ = weights.cpu().double().numpy()
        self.means_ = self._call("decode", torch.eye(len(weights))).reshape(len(weights), -1)

    @property
    def _n_codes(self) -> int:
        return int(self.model_.settings.values()["n_components"])


class CentresMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, Estimator):
    """A clustering, which has a centre for each cluster."""

    attributes = {
        "cluster_centers_": ("ndarray of shape (n_clusters, n_features)", "centres"),
        "labels_": ("ndarray of shape (n_samples,)", "the cluster of each point of `fit`"),
        "inertia_": ("float", "sum of squared distances of these points to their centres"),
    }

    @numpydoc("labels", "ndarray of shape (n_samples,)", "indices of the nearest centres")
    def predict(self, X: Any) -> np.ndarray:
        """The cluster of each point."""
        return self._call("encode", self._points(X)[0])

    @numpydoc(
        "X_new",
        "ndarray of shape (n_samples, n_clusters)",
        "distances, of standardized points if `standardize` is True",
    )
    def transform(self, X: Any) -> np.ndarray:
        """The distance of each point to each centre."""
        x, dtype = self._points(X)
        return self._squared_distances(x).sqrt().numpy().astype(dtype, copy=False)

    @numpydoc(*SCORE)
    def score(self, X: Any, y: Any = None) -> float:
        """The negative sum of squared distances to the nearest centres."""
        return -float(self._squared_distances(self._points(X)[0]).amin(1).sum())

    def _squared_distances(self, x: torch.Tensor) -> torch.Tensor:
        inner, batch = self.model_.within(Batch(x, None))
        return in_blocks(inner, "distances", batch.x).clamp(min=0)

    def _after_fit(self, x: torch.Tensor) -> None:
        self.labels_ = self._call("encode", x)
        centres = torch.arange(self._n_features_out)
        self.cluster_centers_ = self._call("decode", centres).reshape(len(centres), -1)
        self.inertia_ = float(self._squared_distances(x).amin(1).sum())

    @property
    def _n_features_out(self) -> int:
        return int(self.model_.settings.values()["n_components"])


class PrincipalMixin(CoderMixin, LikelihoodMixin):
    """Principal components, with the attributes of scikit-learn's PCA."""

    attributes = {
        "components_": (
            "ndarray of shape (n_components, n_features)",
            "directions of largest variance, of standardized points if `standardize` is True",
        ),
        "explained_variance_": ("ndarray of shape (n_components,)", "variances along them"),
        "explained_variance_ratio_": (
            "ndarray of shape (n_components,)",
            "these variances as shares of the total",
        ),
        "noise_variance_": ("float", "mean variance along all other directions"),
        "mean_": ("ndarray of shape (n_features,)", "mean of the points"),
        "n_components_": ("int", "number of components"),
    }

    def _after_fit(self, x: torch.Tensor) -> None:
        pca: Any = self.model_.within(Batch(x[:1], None))[0]
        variances = pca.eigenvalues.double().cpu().numpy()
        kept = len(pca.components)
        n = len(x)
        self.components_ = pca.components.double().cpu().numpy()
        self.explained_variance_ = variances[:kept] * (n / (n - 1))
        total = variances.sum()
        self.explained_variance_ratio_ = variances[:kept] / (total if total > 0 else 1.0)
        self.noise_variance_ = float(pca.noise) * n / (n - 1)
        self.mean_ = self._call("decode", torch.zeros(1, kept)).reshape(-1)
        self.n_components_ = kept

"""What estimators can do besides fitting: a mixin for each capability of a model."""

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted

from genbench.model import supports
from genbench.sklearn.docstrings import SCORE, numpydoc
from genbench.sklearn.estimator import FLOATS, LARGEST_SEED, Estimator
from genbench.trained import in_blocks
from genbench.utils.rng import generator


def able_to(*capabilities: str) -> Callable[[Estimator], bool]:
    """Whether the fitted model has these capabilities; before it is fitted, it may."""

    def check(estimator: Estimator) -> bool:
        return not hasattr(estimator, "model_") or supports(estimator.model_, *capabilities)

    return check


class SamplerMixin(Estimator):
    """Draws new points."""

    @available_if(able_to("sample"))
    @numpydoc(
        "X", "ndarray of shape (n_samples, n_features)", "the points, in the units of the data"
    )
    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draw new points from the fitted model."""
        return self._sampled(n_samples, random_state)

    def _sampled(
        self, n_samples: int, random_state: Any, labels: torch.Tensor | None = None
    ) -> np.ndarray:
        check_is_fitted(self)
        if isinstance(random_state, (int, np.integer)):
            seed = int(random_state)
        else:
            seed = int(check_random_state(random_state).randint(LARGEST_SEED))
        rng = generator(seed, "sample", device=self.model_.device)
        x = in_blocks(self.model_, "sample", None, n=int(n_samples), labels=labels, rng=rng)
        return x.flatten(1).numpy()


class DecoderMixin(Estimator):
    """Turns codes into points."""

    @available_if(able_to("decode"))
    @numpydoc(
        "X_original",
        "ndarray of shape (n_samples, n_features)",
        "the points, in the units of the data",
        X=("array-like of shape (n_samples, n_codes)", "codes, as `transform` returns them"),
    )
    def inverse_transform(self, X: Any) -> np.ndarray:
        """Turn codes into points."""
        codes, dtype = self._codes(X)
        return self._call("decode", codes).reshape(len(codes), -1).astype(dtype, copy=False)

    def _codes(self, X: Any) -> tuple[torch.Tensor, np.dtype]:
        """Codes as the model takes them, and their precision. ValueError for another width."""
        check_is_fitted(self)
        X = check_array(X, dtype=FLOATS)
        width = self._n_codes
        if X.shape[1] != width:
            raise ValueError(f"X has {X.shape[1]} columns, but codes have {width}")
        return torch.from_numpy(np.array(X, dtype=np.float32)), X.dtype

    @property
    def _n_codes(self) -> int:
        model = self.model_
        # Codes of an invertible model are as large as points.
        return int(model.latent_dim or (model.spec.size if model.invertible else 0))


class CoderMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DecoderMixin):
    """Turns points into codes and back."""

    @numpydoc(
        "X_new",
        "ndarray of shape (n_samples, n_codes)",
        "the codes; of a distribution of codes, its mean",
    )
    def transform(self, X: Any) -> np.ndarray:
        """Turn points into codes."""
        x, dtype = self._points(X)
        return self._call("encode", x).astype(dtype, copy=False)

    @property
    def _n_features_out(self) -> int:
        return self._n_codes


class ReconstructionMixin(Estimator):
    """Scores points by how well they are reconstructed, where a model has no likelihood."""

    @numpydoc("score", "float", "the higher, the better; 0 is perfect")
    def score(self, X: Any, y: Any = None) -> float:
        """The negative mean squared error of reconstructions, summed over the values of a point."""
        x, _ = self._points(X)
        again = self._call("decode", torch.from_numpy(self._call("encode", x)))
        return -float(np.square(again - x.numpy()).reshape(len(x), -1).sum(1).mean())


class LikelihoodMixin(Estimator):
    """Scores points by their likelihood."""

    @available_if(able_to("log_prob"))
    @numpydoc(
        "log_prob",
        "ndarray of shape (n_samples,)",
        "the log density, or log probability of binary data; of models with latent variables a "
        "lower bound by importance sampling",
    )
    def score_samples(self, X: Any) -> np.ndarray:
        """The log-likelihood of each point, in nats and in the units of the data."""
        x, dtype = self._points(X)
        return self._log_prob(x).astype(dtype, copy=False)

    def _log_prob(self, x: torch.Tensor, y: torch.Tensor | None = None) -> np.ndarray:
        """The log-likelihood of points [n, *shape], independent of which others are asked about."""
        is_bound = "shared_draws" in signature(self.model_.log_prob).parameters
        options = {"shared_draws": True} if is_bound else {}
        return self._call("log_prob", x, y, **options)

    @available_if(able_to("log_prob"))
    @numpydoc(*SCORE)
    def score(self, X: Any, y: Any = None) -> float:
        """The mean log-likelihood of the points, as in `score_samples`."""
        return float(np.mean(self.score_samples(X), dtype=np.float64))


class KernelDensityMixin(DensityMixin, LikelihoodMixin):
    """A density and nothing else."""

    @numpydoc(*SCORE)
    def score(self, X: Any, y: Any = None) -> float:
        """The total log-likelihood of the points, as in scikit-learn."""
        return float(np.sum(self.score_samples(X), dtype=np.float64))

"""Fills in missing values of tables, by scikit-learn's imputers fitted to the training points."""

from collections.abc import Callable

import numpy as np
import torch

from genbench.data.columns import Columns

Filler = Callable[[torch.Tensor], torch.Tensor]
NEIGHBOURS = 5


def imputer(missing: str, columns: Columns) -> Callable[[torch.Tensor], Filler]:
    """What learns from training points [n, D] how to fill in points [m, D] with NaN.

    `missing` is a strategy of scikit-learn's SimpleImputer, or `knn`. A missing category becomes
    the most frequent one, of all training points or of the nearest ones, for which features are
    compared in standard deviations.
    """

    def fitted(train: torch.Tensor) -> Filler:
        x = train.double().numpy()
        deviation = np.nanstd(x, axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        fill = _knn(x / scale) if missing == "knn" else _simple(x / scale, missing, columns)

        def filled(points: torch.Tensor) -> torch.Tensor:
            values = points.double().numpy()
            lacking = np.isnan(values)
            if not lacking.any():
                return points
            complete = fill(values / scale) * scale
            _choose_categories(complete, lacking, columns)
            return torch.from_numpy(np.where(lacking, complete, values)).float()

        return filled

    return fitted


def _knn(x: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.impute import KNNImputer  # takes .8 s, which complete tables need not

    return KNNImputer(n_neighbors=NEIGHBOURS, keep_empty_features=True).fit(x).transform


def _simple(x: np.ndarray, strategy: str, columns: Columns) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.impute import SimpleImputer  # takes .8 s, which complete tables need not

    of_numbers = np.zeros(x.shape[1], dtype=bool)
    for column, at in zip(columns.columns, columns.groups):
        of_numbers[at] = column.categories is None
    # Of the features of a category, the mean says how frequent it is.
    parts = {
        name: SimpleImputer(strategy=name, keep_empty_features=True).fit(x)
        for name in (strategy, "mean")
    }

    def fill(values: np.ndarray) -> np.ndarray:
        return np.where(
            of_numbers, parts[strategy].transform(values), parts["mean"].transform(values)
        )

    return fill


def _choose_categories(values: np.ndarray, lacking: np.ndarray, columns: Columns) -> None:
    """Make features of a category that was missing those of the likeliest one, in place."""
    for column, at in zip(columns.columns, columns.groups):
        if column.categories is None or len(column.categories) < 2:
            continue
        rows = lacking[:, at].any(1)
        features = values[rows, at]
        if len(column.categories) == 2:
            values[rows, at] = features > 0.5
        else:
            values[rows, at] = np.eye(len(column.categories))[features.argmax(1)]

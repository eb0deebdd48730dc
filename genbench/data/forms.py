"""Results in the form of what went in: tables of pandas, arrays of NumPy or tensors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from genbench.data.columns import Columns
from genbench.data.layout import ArrayLayout, Form, Layout
from genbench.utils.errors import UserError


def in_form_of(given: Any, result: torch.Tensor, names: Sequence[str]) -> Any:
    """A result [n] or [n, d] about n points or codes: a column or a table with their index, if they
    were in one, else an array or a tensor as they were. `names` are those of the columns.
    """
    if isinstance(given, torch.Tensor):
        return result
    array = result.numpy()
    if not isinstance(given, (pd.DataFrame, pd.Series)):
        return array
    if array.ndim == 1:
        return pd.Series(array, index=given.index, name=names[0])
    return pd.DataFrame(array, index=given.index, columns=list(names))


def as_points(layout: Layout, given: Any, points: torch.Tensor) -> Any:
    """Points [n, *shape] as a user has them, with the index of the codes that they are of."""
    found = layout.restored(points)
    has_index = isinstance(given, (pd.DataFrame, pd.Series))
    return found.set_index(given.index) if has_index and isinstance(found, pd.DataFrame) else found


def as_gradients(layout: Layout, given: Any, gradients: torch.Tensor) -> Any:
    """Derivatives by points [n, *shape], as derivatives by what a user has."""
    if isinstance(layout, Columns):
        return in_form_of(given, gradients, layout.features)
    if not isinstance(layout, ArrayLayout):
        return gradients
    form = Form(is_tensor=layout.form.is_tensor)
    return replace(layout, low=0.0, high=1 / (layout.high - layout.low), form=form).restored(
        gradients
    )


def as_codes(given: Any) -> torch.Tensor:
    """Codes of any form as a tensor."""
    if isinstance(given, (pd.DataFrame, pd.Series)):
        given = given.to_numpy()
    return given if isinstance(given, torch.Tensor) else torch.from_numpy(np.array(given))


def class_numbers(y: Any, names: Sequence[str]) -> Any:
    """Labels as a user has them, as the numbers of these classes. Whole numbers are the classes'
    numbers where no name is a number. UserError for labels that are no names otherwise.
    """
    values = np.asarray(y.cpu() if isinstance(y, torch.Tensor) else y)
    if not names:
        return y
    texts = [_text(value) for value in values.reshape(-1).tolist()]
    unknown = [text for text in texts if text not in names]
    if unknown:
        if values.dtype.kind in "iufb" and not any(map(_is_number, names)):
            return y
        raise UserError("y", "is no class of the data", unknown[0], f"one of {', '.join(names)}")
    numbers = [names.index(text) for text in texts]
    return torch.tensor(numbers).reshape(values.shape)


def _text(value: Any) -> str:
    """The name of a class whose label this is: 3 for 3.0."""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

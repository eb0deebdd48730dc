"""Arrays and tables in memory become points, and points become what was given."""

import numpy as np
import pandas as pd
import pytest
import torch

from genbench.data.arrays import in_memory
from genbench.data.forms import class_numbers
from genbench.utils.errors import UserError

RNG = np.random.default_rng(0)
ARRAYS = {
    "vectors": RNG.random((20, 5)),
    "truth": RNG.random((20, 5)) > 0.5,
    "signals": RNG.standard_normal((20, 3, 64)).astype(">f4"),
    "channels-last signals": RNG.standard_normal((20, 64, 3)),
    "grey bytes": RNG.integers(0, 256, (20, 8, 6), dtype=np.uint8),
    "colours last": RNG.integers(0, 256, (20, 8, 6, 3), dtype=np.uint8),
    "colours first": RNG.uniform(-1, 1, (20, 3, 8, 6)),
    "sixteen bits": RNG.integers(0, 60000, (20, 8, 6), dtype=np.uint16),
    "tensor": torch.from_numpy(RNG.random((20, 4))),
}
SHAPES = {
    "vectors": (5,),
    "truth": (5,),
    "signals": (3, 64),
    "channels-last signals": (3, 64),
    "grey bytes": (1, 8, 6),
    "colours last": (3, 8, 6),
    "colours first": (3, 8, 6),
    "sixteen bits": (1, 8, 6),
    "tensor": (4,),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(name):
    given = ARRAYS[name]
    source = in_memory(given)
    points = source.x.float() * source.scale
    assert tuple(points.shape[1:]) == SHAPES[name]
    assert not source.unit or (points.min() >= 0 and points.max() <= 1)
    back = source.layout.restored(points)
    assert type(back) is type(given)
    assert str(back.dtype).removeprefix("torch.") == str(given.dtype).strip(">").replace(
        "f4", "float32"
    ).removeprefix("torch.")
    np.testing.assert_allclose(np.asarray(back), np.asarray(given), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(source.layout.points(given), points, rtol=1e-6, atol=1e-6)


def table():
    kind = pd.Categorical(["b", "a", "b", "c"] * 5, categories=["c", "b", "a", "never"])
    return pd.DataFrame(
        {
            "size (cm)": np.round(RNG.random(20), 2),
            "count": RNG.integers(0, 9, 20).astype("uint8"),
            "colour": ["red", "blue"] * 10,
            "kind": kind,
            "whole": [True, False, True, True] * 5,
            "same": "always",
        }
    )


def test_a_table_comes_back_with_names_types_and_categories():
    given = table()
    source = in_memory(given, given["colour"])
    features = ["size (cm)", "count", "colour=red", "kind=c", "kind=b", "kind=a", "whole=True"]
    assert source.layout.features == features
    assert source.names == ("blue", "red") and source.y.tolist() == [1, 0] * 10
    pd.testing.assert_frame_equal(source.layout.to_table(source.x), given)
    blurred = source.x + 0.3 * torch.rand(source.x.shape)
    assert source.layout.to_table(blurred)["kind"].equals(given["kind"])


def test_items_of_a_dataset_of_torch_are_points_and_labels():
    x, y = torch.rand(6, 1, 8, 8), torch.tensor([2, 0, 1, 2, 0, 1])
    source = in_memory(torch.utils.data.TensorDataset(x, y))
    assert torch.equal(source.x, x) and torch.equal(source.y, y) and source.names == ()


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (table().assign(count=[*range(19), None]), None, "'count' 1; first in row 19"),
        (table().assign(colour=[*map(str, range(19)), "x"]), None, "numbers in 19 rows, but in row 19"),
        (table().assign(name=[f"n{i}" for i in range(20)]), None, "'name' has 20 different values"),
        (table().assign(day=pd.date_range("2020", periods=20)), None, "'day' holds dates"),
        (RNG.random((20, 5, 8, 8)), None, "cannot be guessed of an array"),
        (RNG.random((20, 5)), RNG.random(20), "no classes"),
        (RNG.random((20, 5)), [*"ab" * 9, None, "b"], "first point 18"),
        (RNG.random((20, 5)), [0, 1], "their labels 2"),
        (np.array([["a", "b"]] * 3), None, "no numbers"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(x, y, words):
    with pytest.raises(UserError, match=words):
        in_memory(x, y)


def test_texts_that_are_numbers_are_numbers_in_all_tables(capsys):
    given = pd.DataFrame({"a": ["1.5", 2, "3"], "b": [1, 2, 3], "zero": ["0"] * 3}, dtype=object)
    source = in_memory(given, test_x=given[:2])
    assert source.x.tolist() == [[1.5, 1], [2, 2], [3, 3]]
    assert torch.equal(source.test_x, source.x[:2])
    assert "become numbers in a, zero" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"column 'a': holds numbers in the data.*'red'"):
        source.layout.points(given.assign(a="red"))


def test_a_column_that_varies_only_in_the_test_points_is_refused_for_that():
    given = pd.DataFrame({"a": [1.5, 2, 3], "b": [5, 5, 5]})
    with pytest.raises(UserError, match=r"column 'b': is 5 in all the data.*row 1.*\(got 6\)"):
        in_memory(given, test_x=given.assign(b=[5, 6, 5]))


def test_labels_are_read_as_the_names_of_classes_if_those_are_numbers():
    names = ("1", "2", "3")
    assert class_numbers([1, 2], names).tolist() == [0, 1]
    with pytest.raises(UserError, match=r"no class of the data \(got 0\); fix: one of 1, 2, 3"):
        class_numbers([0, 1, 2], names)
    assert class_numbers([0, 1], ("cat", "dog")) == [0, 1]


@pytest.mark.parametrize("kind", ["table", "array", "tensor", "whole"])
def test_columns_that_single_precision_rounds_are_warned_of(kind, capsys):
    times = np.stack([RNG.random(20), 1.7e9 + np.arange(20)], axis=1)
    given = {
        "table": pd.DataFrame(times, columns=["a", "time"]),
        "array": times,
        "tensor": torch.from_numpy(times),
        "whole": times.astype(int),
    }[kind]
    in_memory(given)
    name = "column 'time'" if kind == "table" else "column 1, counted from 0,"
    assert f"warning: {name} has values of 1.7e+09" in capsys.readouterr().out
    in_memory(np.float32(times))
    assert not capsys.readouterr().out

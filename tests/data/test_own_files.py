"""Tables and arrays in a user's own files: what is inferred of them, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.configs import config_of
from scipy.io import savemat
from sklearn.impute import KNNImputer, SimpleImputer

from genbench.config.array_choice import inferred_kind
from genbench.config.declarations import typed_dataset
from genbench.data.array_file import array_file
from genbench.data.fitting import standardizes
from genbench.data.loading import load_data
from genbench.data.table_file import table_file
from genbench.settings.own_data import ArrayFileSettings, TableFileSettings
from genbench.utils.errors import UserError

RNG = np.random.default_rng(0)
CPU = torch.device("cpu")
X = RNG.random((40, 3)).round(3)
KIND = [*"aab" * 13, "b"]


def load(dataset, path, **settings):
    words = [f"dataset.{name}={value}" for name, value in {"path": path, **settings}.items()]
    return load_data(config_of("pca", *words, dataset=dataset)["dataset"], CPU)


def all_points(data):
    return torch.cat([split.values() for split in data.splits.values()])


def frame():
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=KIND)


def semicolons(file):
    frame().to_csv(file, sep=";", decimal=",", index=False)


def with_index(file):
    frame().to_csv(file)


WRITERS = {
    "comma.csv": lambda file: frame().to_csv(file, index=False),
    "semicolon.csv": semicolons,
    "tab.tsv": lambda file: frame().to_csv(file, sep="\t", index=False),
    "index.csv": with_index,
    "binary.parquet": lambda file: frame().to_parquet(file),
    "binary.feather": lambda file: frame().to_feather(file),
    "sheet.xlsx": lambda file: frame().to_excel(file, index=False),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_is_the_same_in_every_format(name, tmp_path):
    for package in {".xlsx": ["openpyxl"], ".parquet": ["pyarrow"], ".feather": ["pyarrow"]}.get(
        name[name.index(".") :], []
    ):
        pytest.importorskip(package)
    WRITERS[name](tmp_path / name)
    data = load("table", tmp_path / name)
    assert data.names == ("a", "b") and data.layout.names == ["a", "b", "c"]
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 28,
        "validation": 4,
        "test": 8,
    }
    expected = {tuple(row) for row in X.astype(np.float32).tolist()}
    assert {tuple(row) for row in all_points(data).tolist()} == expected
    table = data.layout.to_table(data.train.values(), data.train.y)
    merged = table.merge(frame(), on=["a", "b", "c"], suffixes=("", "_given"))
    assert len(merged) == 28 and (merged["kind"] == merged["kind_given"]).all()
    assert list(table.columns) == ["a", "b", "c", "kind"]


def test_columns_are_chosen_by_name_and_the_label_may_be_data(tmp_path):
    file = tmp_path / "t.csv"
    frame().to_csv(file, index=False)
    data = load("table", file, label="none", drop="[b]")
    assert data.layout.features == ["a", "c", "kind=b"] and data.spec.classes == 0
    assert load("table", file, columns="[c,a]").layout.names == ["c", "a"]


def test_what_is_assumed_of_a_header_is_said_with_the_way_out(tmp_path, capsys):
    file = tmp_path / "t.csv"
    texts = {
        "below a header, 2 features": "a,b\n1,2\n3,5\n4,4\n",
        "without a header (dataset.header=first-row if it has one), 2 features": "1,2\n3,5\n4,4\n",
        "below a header of numbers (dataset.header=none makes it data), 2": "0,1\n.5,2\n3,5\n4,4\n",
    }
    for said, text in texts.items():
        file.write_text(text)
        table_file(TableFileSettings(path=str(file), label="none"))
        assert f"t.csv: 3 rows {said}" in capsys.readouterr().out
    table_file(TableFileSettings(path=str(file), label="none", header="none"))
    assert "t.csv: 4 rows without a header, 2 features" in capsys.readouterr().out


def test_texts_that_are_numbers_are_no_categories(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    texts = frame().astype({"a": str, "b": str})
    texts.to_parquet(tmp_path / "t.parquet")
    source = table_file(TableFileSettings(path=str(tmp_path / "t.parquet")))
    assert source.layout.features == ["a", "b", "c"] and source.names == ("a", "b")
    assert "texts that are all numbers become numbers in a, b" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("columns", "settings", "classes"),
    [
        ({"x": np.arange(600) % 30, "y": np.arange(600) // 20}, {}, 0),  # coordinates
        ({"a": np.arange(9000) % 7, "target": np.arange(9000) % 2000}, {}, 0),
        ({"a": np.arange(90) % 7, "target": np.arange(90) % 3}, {}, 3),
        ({"a": np.arange(90) % 7, "target": [*"abc" * 30]}, {}, 3),
        ({"a": np.arange(90) % 7, "b": -np.arange(90), "y": [*"abc" * 30]}, {"drop": ["y"]}, 0),
    ],
)
def test_a_column_is_taken_for_the_label_only_if_it_is_plain(columns, settings, classes, tmp_path):
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    source = table_file(TableFileSettings(path=str(tmp_path / "t.csv"), **settings))
    assert (0 if source.y is None else len(source.y.unique())) == classes
    left_out = int(classes > 0) + len(settings)
    assert len(source.layout.names) == len(columns) - left_out


@pytest.mark.parametrize("missing", ["mean", "median", "most_frequent", "knn"])
def test_missing_values_are_filled_in_from_the_training_points(missing, tmp_path):
    holes, file = frame(), tmp_path / "t.csv"
    holes.loc[::6, "b"] = np.nan
    holes.to_csv(file, index=False)
    data = load("table", file, missing=missing)
    whole = pd.read_csv(file)[["a", "b", "c"]].to_numpy()
    given = {row[0]: row for row in whole}
    train = np.stack([given[round(float(a), 3)] for a in data.train.values()[:, 0]])
    scale = np.nanstd(train, axis=0)
    imputer = KNNImputer() if missing == "knn" else SimpleImputer(strategy=missing)
    imputer.fit(train / scale)
    for split in data.splits.values():
        rows = np.stack([given[round(float(a), 3)] for a in split.values()[:, 0]])
        expected = imputer.transform(rows / scale) * scale
        np.testing.assert_allclose(split.values().numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        (lambda t: t.assign(b=[None, *X[1:, 1]]), {}, "'b' 1; first in row 0.*dataset.missing"),
        (lambda t: t.assign(b=[np.inf, *X[1:, 1]]), {}, "'b' is infinite in row 0"),
        (lambda t: t.assign(b=[*X[:-1, 1], "?"]), {}, "row 39, counted from 0, the text '?'"),
        (lambda t: t, {"label": "sort"}, "no such column"),
        (lambda t: t, {"label": "a"}, "are no classes"),
        (lambda t: t, {"drop": "[d]"}, "no such column"),
        (lambda t: t.assign(b=None), {"missing": "mean"}, "column 'b' has no values"),
        (lambda t: t.assign(kind=[None, *KIND[1:]]), {"label": "kind"}, "first point 0"),
    ],
)
def test_tables_that_do_not_fit_are_refused_with_the_place(change, settings, words, tmp_path):
    change(frame()).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=words.replace("?", r"\?")):
        load("table", tmp_path / "t.csv", **settings)


IMAGES = RNG.integers(0, 256, (30, 12, 10), dtype=np.uint8)
SIGNALS = RNG.standard_normal((30, 2, 40)).astype(np.float32)
LABELS = np.arange(30) % 3


def arrays(tmp_path):
    """Files of arrays by name, each with the kind of its points and their shape."""
    np.save(tmp_path / "v.npy", RNG.random((30, 4)))
    np.savez(tmp_path / "i.npz", x=IMAGES, y=LABELS)
    np.savez_compressed(
        tmp_path / "k.npz", x_train=IMAGES[:20], y_train=LABELS[:20], x_test=IMAGES[20:], y_test=LABELS[20:]
    )  # fmt: skip
    np.savez(tmp_path / "s.npz", data=SIGNALS, target=[*"abc" * 10], other=LABELS)
    torch.save({"x": torch.from_numpy(SIGNALS).transpose(1, 2)}, tmp_path / "t.pt")
    savemat(tmp_path / "m.mat", {"X": IMAGES.transpose(1, 2, 0)[:, :, None], "y": LABELS[:, None]})
    return {
        "v.npy": ("vectors", (4,), 0),
        "i.npz": ("images", (1, 12, 10), 3),
        "k.npz": ("images", (1, 12, 10), 3),
        "s.npz": ("signals", (2, 40), 3),
        "t.pt": ("signals", (2, 40), 0),
        "m.mat": ("images", (1, 12, 10), 3),
    }


def test_labels_of_the_training_points_alone_are_left_out_with_the_reason(tmp_path, capsys):
    path = str(tmp_path / "a.npz")
    np.savez(path, x=X[:30], y=np.arange(30) % 3, x_test=X[30:])
    assert array_file(ArrayFileSettings(path=path)).y is None
    assert "no classes, because 'y' labels only a part of the points" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"dataset\.y: has no counterpart: the test points have"):
        array_file(ArrayFileSettings(path=path, y="y"))
    assert array_file(ArrayFileSettings(path=path, y="y", x_test="none")).y is not None


def test_arrays_are_known_by_their_names_and_shapes(tmp_path, monkeypatch):
    for name, (kind, shape, classes) in arrays(tmp_path).items():
        values = {"dataset.path": str(tmp_path / name)}
        assert inferred_kind("genbench.data.array_file.array_file", values) == kind
        config = config_of("vae", f"dataset.path={tmp_path / name}", dataset="array")
        assert config["dataset"]["kind"] == kind
        assert config["network"] == ("mlp" if kind == "vectors" else "conv")
        data = load("array", tmp_path / name)
        assert (data.spec.shape, data.spec.classes) == (shape, classes), name
        if kind == "images":
            assert len(data.splits["test"]) == (10 if name == "k.npz" else 6)
            assert all_points(data).max() == IMAGES.max() / 255


@pytest.mark.parametrize("name", ["v.npy", "i.npz", "k.npz", "s.npz", "t.pt"])
def test_arrays_that_stay_in_their_file_are_the_same_data(name, tmp_path, monkeypatch):
    arrays(tmp_path)
    in_memory = load("array", tmp_path / name)
    monkeypatch.setenv("GENBENCH_MEMORY", "0")
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    in_file = load("array", tmp_path / name)
    assert not isinstance(in_file.train.raw, torch.Tensor)
    for part, split in in_memory.splits.items():
        assert torch.equal(split.values(), in_file.splits[part].values())


def test_settings_of_images_are_refused_for_other_arrays(tmp_path):
    arrays(tmp_path)
    for settings in ({"binarize": "static"}, {"dequantize": "true"}, {"range": "[0,2]"}):
        (name,) = settings
        with pytest.raises(UserError, match=f"dataset.{name}: "):
            load("array", tmp_path / "v.npy", **settings)


def test_a_column_that_single_precision_rounds_is_warned_of(tmp_path, capsys):
    frame().assign(a=1e9 + X[:, 0]).to_csv(tmp_path / "t.csv", index=False)
    load("table", tmp_path / "t.csv")
    assert "warning: column 'a' has values of 1e+09" in capsys.readouterr().out


def test_a_model_sees_standardized_values_unless_they_are_images_or_binary(tmp_path):
    arrays(tmp_path)
    np.save(tmp_path / "b.npy", RNG.random((30, 4)) > 0.5)
    for name, expected in (("v.npy", True), ("s.npz", True), ("i.npz", False), ("b.npy", False)):
        data = load("array", tmp_path / name)
        config = config_of("vae", f"dataset.path={tmp_path / name}", dataset="array")
        assert standardizes(typed_dataset(config["dataset"]), data.spec) == expected

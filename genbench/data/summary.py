"""One line about data that a user gave: what was inferred of them, and what says otherwise."""

from collections.abc import Sequence
from pathlib import Path

from genbench.config.array_axes import named_axes
from genbench.config.array_choice import Chosen
from genbench.data.columns import Columns, LabelColumn
from genbench.data.fitting import NETWORKS_OF_KINDS, standardizes, usual_likelihood
from genbench.data.labels import Classes
from genbench.data.layout import ArrayLayout
from genbench.data.types import DataSpec, RawDataset
from genbench.settings.datasets import DatasetSettings
from genbench.settings.own_data import ArrayFileSettings, TableFileSettings
from genbench.utils.console import echo
from genbench.utils.text import counted


def report_table(
    s: TableFileSettings,
    header: str,
    columns: Columns,
    rows: int,
    classes: Classes | None,
    label: LabelColumn | None,
) -> None:
    """Print what was inferred of a table; `header` is as in `ReadTable`."""
    features = counted(len(columns.features), "feature")
    named = (
        f"{counted(rows, 'row')}{header}, {features} of {counted(len(columns.columns), 'column')}"
    )
    if classes is not None and label is not None:
        named += f", {len(classes.values)} classes in column '{label.name}'"
        named += " (dataset.label=none makes it data)" * (s.label == "auto")
    else:
        named += ", no classes (dataset.label=COLUMN)" * (s.label == "auto")
    scale = "standardized" if s.standardize else "not standardized"
    fitting = f"{scale}, gaussian likelihood, network=mlp"
    echo(f"{Path(s.path).name}: {named}{_constant(columns)}; {fitting}")


def _features(columns: Columns) -> str:
    """How many features a table has, of how many columns."""
    features = counted(len(columns.features), "feature")
    return f"{features} of {counted(len(columns.columns), 'column')}"


def _constant(columns: Columns) -> str:
    """The columns that are no features, if there are any."""
    names = [str(column.name) for column in columns.columns if not column.features]
    return f"; the same in all rows: {', '.join(names[:5])}" * bool(names)


def report_given(s: DatasetSettings, source: RawDataset) -> None:
    """Print what was inferred of data that were given in Python."""
    layout, spec = source.layout, DataSpec(source.x.shape[1:], source.unit, source.trials)
    kind, constant = "vectors", ""
    if isinstance(layout, Columns):
        words = [f"{counted(len(source.x), 'row')}, {_features(layout)}"]
        texts = [str(one.name) for one in layout.columns if len(one.categories or ()) > 1]
        words += [f"categories in {', '.join(texts[:5])}"] * bool(texts)
        constant = _constant(layout)
    else:
        assert isinstance(layout, ArrayLayout)
        kind, size = layout.kind, "x".join(map(str, spec.shape))
        words = [f"{len(source.x):,} {kind} {named_axes(layout.axes)} of {size}"]
        if kind == "images":
            words.append(f"values from {layout.low:g} (black) to {layout.high:g} (white)")
    classes = "no classes" if source.y is None else f"{len(source.y.unique())} classes in y"
    is_scaled = standardizes(s, spec)
    fitting = ["standardized"] * is_scaled
    fitting.append(f"{'gaussian' if is_scaled else usual_likelihood(spec)} likelihood")
    fitting.append(f"network={NETWORKS_OF_KINDS[kind]}")
    echo(f"X: {', '.join([*words, classes])}{constant}; {', '.join(fitting)}")


def report_arrays(s: ArrayFileSettings, chosen: Chosen, source: RawDataset) -> None:
    """Print what was inferred of the arrays in a file."""
    layout, spec = source.layout, DataSpec(source.x.shape[1:], source.unit, source.trials)
    assert isinstance(layout, ArrayLayout)
    size = "x".join(map(str, spec.shape))
    words = [f"{len(source.x):,} {chosen.kind} {named_axes(chosen.axes)} of {size}"]
    words[0] += f" in '{chosen.names['x']}'" if len(chosen.names) > 1 or chosen.others else ""
    if chosen.is_last:
        words.append("points counted along the last axis")
    if source.test_x is not None:
        words.append(f"{len(source.test_x):,} test points in '{chosen.names['x_test']}'")
    if source.y is not None:
        words.append(f"{len(source.y.unique())} classes in '{chosen.names['y']}'")
    if chosen.unpaired is not None:
        words.append(f"no classes, because '{chosen.unpaired}' labels only a part of the points")
    if layout.kind == "images":
        words.append(f"values from {layout.low:g} (black) to {layout.high:g} (white)")
    elif standardizes(s, spec):
        words.append("standardized")
    if chosen.others:
        words.append(f"not used: {', '.join(chosen.others[:5])}")
    likelihood = "gaussian" if standardizes(s, spec) else usual_likelihood(spec)
    network = NETWORKS_OF_KINDS[layout.kind]
    echo(f"{Path(s.path).name}: {', '.join(words)}; {likelihood} likelihood, network={network}")


def report_pictures(place: str, how: Sequence[str], source: RawDataset) -> None:
    """Print what was inferred of pictures in a place; `how` as in `Pictures`."""
    spec = DataSpec(source.x.shape[1:], source.unit, source.trials)
    channels, height, width = spec.shape
    count = len(source.x) + (0 if source.test_x is None else len(source.test_x))
    mode = "grey" if channels == 1 else "colour"
    words = [f"{count:,} {mode} pictures of {height}x{width}", *how]
    words.append(f"{round(1 / source.scale) + 1:,} levels")
    classes = "no classes" if source.y is None else f"{len(source.y.unique()):,} classes"
    words.append(classes)
    likelihood, network = usual_likelihood(spec), NETWORKS_OF_KINDS["images"]
    echo(f"{place}: {', '.join(words)}; {likelihood} likelihood, network={network}")

"""Points of a command as the table that they came from, in a file that `to=FILE.csv` names.

Nothing here imports torch, as folders are checked before a run is loaded.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.settings.commands import OutputOptions, SampleOptions
from genbench.utils.errors import UserError
from genbench.utils.imports import imported_extra

if TYPE_CHECKING:
    import torch

    from genbench.figures.scene import Scene
    from genbench.trained import Trained

WRITERS: dict[str, tuple[str, Callable[[Any, io.BytesIO], None]]] = {  # by ending: package, writer
    ".csv": ("", lambda table, out: table.to_csv(out, index=False)),
    ".tsv": ("", lambda table, out: table.to_csv(out, index=False, sep="\t")),
    ".parquet": ("pyarrow", lambda table, out: table.to_parquet(out)),
    ".feather": ("pyarrow", lambda table, out: table.to_feather(out)),
    ".xlsx": ("openpyxl", lambda table, out: table.to_excel(out, index=False)),
}
ARRAYS_OF_POINTS = ("samples", "reconstructions", "points")  # arrays of points that a model makes


def file_of_table(to: str | None) -> Path | None:
    """The file that `to` names, if it is one of a table rather than a folder."""
    return Path(to) if to is not None and Path(to).suffix.lower() in WRITERS else None


def folder_of(to: str | None, folder: Path) -> Path:
    """The folder that a command writes into: of `to`, or the run's own."""
    file = file_of_table(to)
    return file.parent if file is not None else Path(to) if to is not None else folder


def table_content(
    file: Path,
    arrays: "dict[str, torch.Tensor]",
    trained: "Trained",
    scene: "Scene",
    options: OutputOptions,
) -> bytes:
    """The points that a command made as the content of a table's file.

    UserError for data that are no table.
    """
    to_table = getattr(trained.data.layout, "to_table", None)
    if to_table is None:
        what = "the data of this run are no table"
        raise UserError("to", what, file, "a folder, to=FOLDER, for arrays")
    name = next(name for name in ARRAYS_OF_POINTS if name in arrays)
    points = arrays[name].flatten(0, -2)
    labels = None
    if isinstance(options, SampleOptions) and options.y is not None:
        labels = points.new_full((len(points),), options.y).long()
    if name == "reconstructions" and scene.held_out.y is not None:
        labels = scene.held_out.y[: len(points)]
    package, write = WRITERS[file.suffix.lower()]
    if package:
        imported_extra(package, file.suffix)
    out = io.BytesIO()
    write(to_table(points, labels), out)
    return out.getvalue()

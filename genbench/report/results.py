"""A report from Python: the same files as of the command, and its table as one of pandas."""

import io
from pathlib import Path

import pandas as pd

from genbench.config.registry import builtin_registry
from genbench.report.command import write_all
from genbench.report.export import as_csv
from genbench.report.own_files import require_own_pages
from genbench.utils.errors import UserError


def table_of(
    *folders: str | Path,
    to: str | Path | None = None,
    config_dir: str | Path | None = None,
    quiet: bool = False,
) -> pd.DataFrame:
    """Compare the runs in some folders, as `genbench report` does, and print the comparison.

    The files of the report go to the folder `to`, by default the first of the folders. Returns the
    content of report.csv: a row for each setting, with the mean of every number over the seeds.
    `quiet` prints nothing. UserError where there are no runs.
    """
    paths = [Path(folder).expanduser() for folder in folders]
    missing = [str(path) for path in paths if not path.is_dir()]
    if missing or not paths:
        what = "no such folder" if missing else "needs the folders of runs or sweeps"
        fix = 'such as genbench.report("outputs")'
        raise UserError("report", what, missing[0] if missing else None, fix)
    place = paths[0] if to is None else Path(to).expanduser()
    require_own_pages(place)
    registry = builtin_registry(None if config_dir is None else str(config_dir))
    made = write_all(paths, place, registry, is_shown=not quiet)
    return pd.read_csv(io.StringIO(as_csv(made)))

"""`genbench report`: some runs as a table, as charts and as one page that needs nothing else.

In the folder that was given, or of several in a new one:
    report.html             the page
    report.csv, report.md   the table, with every setting and number
    report_NAME.svg         the charts
    report_files.json       the list of these files, which protects a user's own

A report is made in this order: `load` reads the files of runs, `rows` averages over seeds, `table`
puts rows into a section for each dataset, `charts` draws, and `html`, `export` and `terminal` show
the result.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.config.registry import Registry
from genbench.report.load import FILES, Reasons
from genbench.report.own_files import OPTION, require_own_pages, write_own
from genbench.report.words import slug
from genbench.settings.names import nearest
from genbench.utils.console import echo
from genbench.utils.errors import UserError, report
from genbench.utils.files import make_folder, within
from genbench.utils.text import quoted

if TYPE_CHECKING:
    from genbench.report.table import Report


ONLY = f"the only option is {OPTION}=FOLDER"


def report_command(words: list[str], registry: Registry) -> int:
    """Report on the runs in the folders that the words name, and return the exit status.

    Raises UserError where there are no runs, before anything heavy is imported.
    """
    paths, target = [], None
    for word in words:
        name, equals, value = word.partition("=")
        if name == OPTION and equals:
            if not value:
                fix = f"write {OPTION}=FOLDER, or leave it out"
                raise UserError(OPTION, "names no folder", word, fix)
            target = Path(value).expanduser()
        elif equals and not os.path.lexists(word):
            raise _no_option(name, value)
        elif not os.path.isdir(word):
            fix = f"give folders of runs or sweeps, and {OPTION}=FOLDER for the report"
            raise UserError("report", "no such folder", word, fix)
        else:
            paths.append(Path(word))
    if not paths:
        fix = "genbench report outputs"
        raise UserError("report", "needs the folders of runs or sweeps", fix=fix)
    for path in paths:
        if not within(path, FILES):
            fix = "give folders of runs or sweeps, such as outputs"
            raise UserError(quoted(path), "holds no runs", fix=fix)
    usual = Path("outputs", f"{datetime.now():%Y-%m-%d_%H-%M-%S.%f}_report")
    folder = target or (paths[0] if len(paths) == 1 else usual)
    require_own_pages(folder)
    write_all(paths, folder, registry)
    return 0


def _no_option(name: str, value: str) -> UserError:
    """The error for an option that there is not: the nearest that a report has, or the only one."""
    near = nearest(name, [OPTION])
    fix = f"did you mean {OPTION}={value or 'FOLDER'}?" if near else f"leave it out; {ONLY}"
    return UserError("report", "no such option", name, fix)


def write_report(folder: Path, registry: Registry, reasons: Reasons | None = None) -> None:
    """Report on the runs below a sweep's folder, in it.

    The sweep goes on where the report cannot be written, as its runs are on record. `reasons` are
    those of runs that failed, as the sweep knows them.
    """
    try:
        write_all([folder], folder, registry, reasons)
    except UserError as error:
        report(error)


def write_all(
    paths: list[Path],
    folder: Path,
    registry: Registry,
    reasons: Reasons | None = None,
    is_shown: bool = True,
) -> "Report":
    """Write all files of a report on the runs in these folders, print it if it `is_shown`, and
    return it.
    """
    make_folder(folder, f"choose another {OPTION}=FOLDER")
    from genbench.report.charts import charts  # these import pandas and torch
    from genbench.report.export import as_csv, as_markdown
    from genbench.report.html import Chart, page
    from genbench.report.table import compared
    from genbench.report.terminal import show_report

    made = compared(paths, registry, reasons)
    drawn = {slug(name): canvas for name, canvas in charts(made)}
    charted = {
        name: Chart(canvas.svg(), canvas.said, canvas.width) for name, canvas in drawn.items()
    }
    files = {f"report_{name}.svg": chart.svg for name, chart in charted.items()}
    files |= {
        "report.csv": as_csv(made).encode(),
        "report.md": as_markdown(made).encode(),
        "report.html": page(made, charted.values()).encode(),
    }
    if is_shown:
        show_report(made)
    write_own(folder, files)
    if is_shown:
        echo(f"report: {quoted(folder / 'report.html')}")
    return made

"""sweep_summary.json: the jobs of a sweep, and the settings in which they differ."""

import os
from pathlib import Path

from genbench.utils.errors import UserError
from genbench.utils.files import read_json_or_empty, set_aside, write_json
from genbench.utils.schema import JOB, fault

SUMMARY = "sweep_summary.json"
Launcher = dict[str, str | int]  # its name, and those of its settings that `resume` needs
SearchRecord = dict[str, str | int | list[str] | None]  # the options of a search


def is_sweep(folder: Path) -> bool:
    """Whether a folder holds a sweep, rather than one run."""
    return os.path.exists(folder / SUMMARY) and not os.path.exists(folder / "config.yaml")


def require_no_run(folder: Path) -> None:
    """UserError if a folder for a sweep is that of a run, as no command would find the sweep."""
    if os.path.lexists(folder / "config.yaml"):
        fix = "choose another hydra.sweep.dir=FOLDER"
        raise UserError(str(folder), "is the folder of a run", fix=fix)


def recorded_launcher(folder: Path) -> Launcher:
    """The launcher of the sweep in a folder; empty if the summary has none, or not in this form."""
    form = {"launcher": {str: (str, int, bool)}}
    return read_json_or_empty(folder / SUMMARY, form).get("launcher", {})


def recorded_search(folder: Path) -> SearchRecord:
    """The options of the search in a folder; empty if there is none, or not in this form."""
    form = {"search": {str: (str, int, [str], None)}}
    return read_json_or_empty(folder / SUMMARY, form).get("search", {})


def write_summary(
    folder: Path,
    command: list[str],
    launcher: Launcher,
    jobs: list[dict],
    search: SearchRecord | None = None,
) -> None:
    """Write the summary of a sweep if it says something new. CannotWrite if there is no room.

    A file of this name that is no such summary is set aside, as it may be a user's own.
    """
    file, searched = folder / SUMMARY, {"search": search} if search else {}
    summary = {"command": command, "launcher": launcher, **searched, "jobs": jobs}
    before = read_json_or_empty(file, {"command": [str], "jobs": list})
    if before == summary:
        return
    if not before and os.path.lexists(file):
        set_aside(file)
    write_json(file, summary)


def swept(folder: Path) -> set[str]:
    """The settings in which the jobs of a sweep differ, for the folder of one of its jobs.

    Empty for the folder of any other run.
    """
    summary = folder.absolute().parent / SUMMARY
    return differing([job["overrides"] for job in jobs(summary, {"overrides": [str]})])


def jobs(summary: Path, form: dict = JOB) -> list[dict]:
    """The jobs in the summary of a sweep that have this form, in their order."""
    listed = read_json_or_empty(summary, {"jobs": list}).get("jobs", [])
    return [job for job in listed if not fault(job, form)]


def is_collected(folder: Path) -> bool:
    """Whether the summary of a sweep lists no unfinished job, or cannot be written."""
    listed = jobs(folder / SUMMARY, {"state": str})
    return all(job["state"] in ("done", "pruned") for job in listed) or not os.access(
        folder, os.W_OK
    )


def differing(jobs: list[list[str]]) -> set[str]:
    """The settings in which the overrides of some jobs differ."""
    common = set.intersection(*map(set, jobs)) if jobs else set()
    return {
        word.lstrip("+~").partition("=")[0]
        for words in jobs
        for word in words
        if word not in common
    }

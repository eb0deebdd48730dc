"""Commands for runs that are there already: go on with them, show them, measure them, use them."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from genbench.cli.flags import require_one_process
from genbench.cli.table_output import folder_of
from genbench.config.choice_files import GROUPS
from genbench.config.data_folders import require_not_in_memory
from genbench.config.registry import Registry
from genbench.config.saved import given, options, recorded, require_once
from genbench.runs.compatibility import LENGTH, WATCHING
from genbench.runs.directory import Record, read_metrics
from genbench.runs.sweep_summary import is_sweep
from genbench.settings.commands import (
    AppOptions,
    EvaluateOptions,
    ExportOptions,
    OutputOptions,
)
from genbench.utils.errors import UserError
from genbench.utils.files.folders import require_writable
from genbench.utils.text import quoted

# Modules that import torch, pandas or Hydra are imported by the command that needs them.


def _resume(words: list[str], registry: Registry) -> int:
    if not words:
        raise UserError(
            "resume", "needs the directory of a run or a sweep", fix="genbench resume outputs/RUN"
        )
    from genbench.sweeps.command import resume_sweep
    from genbench.sweeps.launchers import split_options

    folder, changes, device = (
        Path(words[0]),
        [word for word in words[1:] if not word.startswith("device=")],
        None,
    )
    require_once(word.partition("=")[0] for word in words[1:])
    for word in words[1:]:
        if word not in changes:
            device = registry.shared()["device"].check(word.partition("=")[2], {})
    _require_writable(folder)
    if is_sweep(folder):
        require_one_process("resume", "a sweep")
        settings, launcher = split_options(changes)
        if settings:
            raise UserError(
                settings[0],
                "a sweep is resumed as it is",
                fix=f"repeat its command with {settings[0]}",
            )
        return resume_sweep(folder, registry, device, launcher)
    config = recorded(folder, registry)
    for change in changes:
        key, _, value = change.partition("=")
        if key in WATCHING:
            config[key] = registry.shared()[key].check(given(key, value), {})
            continue
        if key not in LENGTH or key not in config:
            raise UserError(
                key,
                "only epochs, steps, device or logger may change when a run is resumed",
                change,
                "start a new run",
            )
        config |= {"epochs": "auto", "steps": None} if "steps" in config else {}
        config[key] = given(key, value)
    from genbench.sweeps.launch import execute

    if not Record(folder, config).done:
        fix = "repeat the call of genbench.fit, with the same folder"
        require_not_in_memory(config["dataset"]["loader"], fix)
    execute(config, folder, registry, device=device)
    return 0


def _require_writable(folder: Path) -> None:
    """UserError for a run that a command would change, in a folder that cannot be written."""
    copy = f"cp -r {quoted(folder)} COPY"
    require_writable(folder, f"copy it to where you can write, and use the copy: {copy}")


def _generate(command: str, words: list[str], registry: Registry) -> int:
    """A command of `generate`, for a run's folder and options."""

    folder, chosen = options(command, words, registry)
    assert isinstance(chosen, OutputOptions)
    config = recorded(folder, registry)
    require_writable(folder_of(chosen.to, folder), "choose another folder: to=FOLDER")
    from genbench.cli.generate import generate

    return generate(command, config, folder, chosen, registry)


def _export(words: list[str], registry: Registry) -> int:
    """Write a finished run's model as files that other programs read."""
    folder, chosen = options("export", words, registry)
    assert isinstance(chosen, ExportOptions)
    config = recorded(folder, registry)
    require_writable(Path(chosen.to) if chosen.to else folder, "choose another folder: to=FOLDER")
    from genbench.export.command import export

    return export(config, folder, chosen, registry)


def _report(words: list[str], registry: Registry) -> int:
    from genbench.report.command import report_command

    return report_command(words, registry)


def _evaluate(words: list[str], registry: Registry) -> int:
    """Measure the card of a finished run; `--list` shows all measures."""
    if words == ["--list"]:
        from genbench.evaluation.registry import measures
        from genbench.runs.summary import show_measures
        from genbench.utils.console import PipeSafeConsole

        show_measures(PipeSafeConsole(highlight=False), measures().values())
        return 0

    folder, chosen = options("evaluate", words, registry)
    assert isinstance(chosen, EvaluateOptions)
    config = recorded(folder, registry)
    _require_writable(folder)
    registry.let_import()
    from genbench.evaluation.context import Asked
    from genbench.experiment import evaluate
    from genbench.runs.progress import MeasuringDisplay
    from genbench.runs.summary import show_card

    names = [name for name in (chosen.metrics or "").split(",") if name]
    asked = Asked(chosen.k, chosen.points, chosen.bins, chosen.level)
    with MeasuringDisplay() as display:
        made = evaluate(
            config, folder, chosen.evaluation, names, asked, display.measuring, chosen.device
        )
    show_card(display.console, made)
    display.console.print(f"saved in {quoted(folder / 'metrics.json')}", markup=False)
    return 0


def _folder(words: list[str], command: str, needs: str, example: str) -> Path:
    """The one folder that a command is given."""
    if len(words) != 1:
        raise UserError(command, needs, " ".join(words) or None, f"genbench {command} {example}")
    return Path(words[0])


def _show(words: list[str], registry: Registry) -> int:
    """Print all numbers of a finished run as they were measured."""
    from genbench.report.load import printable
    from genbench.runs.summary import show_run
    from genbench.sweeps.launch import run_title
    from genbench.utils.console import PipeSafeConsole

    folder = _folder(words, "show", "needs the directory of one finished run", "outputs/RUN")
    if is_sweep(folder):
        raise UserError(
            "show",
            "shows one run, and this is a sweep",
            str(folder),
            f"genbench report {quoted(folder)}",
        )
    try:
        config = recorded(folder, registry)
        Record(folder, config).require_unchanged()
        named = run_title(config, folder, registry)
    except UserError as error:
        if error.key not in GROUPS:
            raise
        named = (
            folder.resolve().name
        )  # the numbers are there even where nothing declares the model any more
    state = Record(folder, {}).state or "not on record"
    if state != "done" and not os.path.lexists(folder / "metrics.json"):
        raise UserError(
            str(folder),
            f"has no numbers to show, as the run is {state}",
            fix=f"genbench resume {quoted(folder)}",
        )
    found = printable(read_metrics(folder))
    show_run(PipeSafeConsole(highlight=False, soft_wrap=True), named, found, state)
    return 0


def _list(words: list[str], registry: Registry) -> int:
    """List the runs in a folder."""
    from genbench.report.listing import list_command

    return list_command(words)


def _compare(words: list[str], registry: Registry) -> int:
    """Print how a few runs differ."""
    from genbench.report.comparison import compare_command

    return compare_command(words, registry)


def _app(words: list[str], registry: Registry) -> int:
    """Show runs in a browser."""
    folder, chosen = options("app", words, registry)
    assert isinstance(chosen, AppOptions)
    if not folder.is_dir():
        raise UserError("app", "no such folder", str(folder), "genbench app FOLDER")
    from genbench.app.command import app_command

    return app_command(folder, chosen, registry)


def _status(words: list[str], registry: Registry) -> int:
    """Show how the jobs of a sweep go on."""
    from genbench.sweeps.status import show_status

    show_status(_folder(words, "status", "needs the folder of one sweep", "outputs/SWEEP"))
    return 0


def _verify(words: list[str], registry: Registry) -> int:
    from genbench.verification.command import verify

    return verify(words, registry)


RUN_COMMANDS: dict[str, Callable[[list[str], Registry], int]] = {
    "resume": _resume,
    **{
        command: partial(_generate, command)
        for command in ("sample", "reconstruct", "interpolate", "traverse")
    },
    "export": _export,
    "report": _report,
    "show": _show,
    "ls": _list,
    "compare": _compare,
    "app": _app,
    "status": _status,
    "evaluate": _evaluate,
    "verify": _verify,
}

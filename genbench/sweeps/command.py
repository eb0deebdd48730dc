"""The command that runs a sweep, and the one that goes on with a sweep from its folder."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genbench.config.compose import CONFIG_NAME, hydra_ready, sweep_folder
from genbench.config.overrides import check_hydras_words, hydra_value, is_hydras, without_hydras
from genbench.config.registry import Registry
from genbench.config.request import check_request
from genbench.report.own_files import require_own_pages
from genbench.runs.sweep_summary import SUMMARY, recorded_launcher, recorded_search, require_no_run
from genbench.sweeps.goals import search_goals
from genbench.sweeps.launchers import chosen_again, launcher_words, split_options
from genbench.sweeps.pruning import pruner_of
from genbench.sweeps.search_space import search_space
from genbench.sweeps.search_words import (
    OURS,
    SEARCHING,
    chosen_sweeper,
    search_words,
    searched_again,
    with_objective_renamed,
)
from genbench.sweeps.study import require_optuna
from genbench.utils import signals
from genbench.utils.errors import UserError
from genbench.utils.files import read_json_or_empty, require_regular


def sweep_command(
    words: list[str],
    registry: Registry,
    commands: Iterable[str] = (),
    device: str | None = None,
) -> int:
    """Run the jobs that these overrides list values for; returns the exit status.

    `commands` are words that would have been a command of their own. `device` is where to compute,
    if not where the jobs say. UserError, before any job starts, if one of them cannot run.
    """
    sweeper = chosen_sweeper(words)
    if sweeper == SEARCHING:
        require_optuna()
        words = with_objective_renamed(words, registry)
    words, options = split_options(words)
    if sweeper == SEARCHING and options.get("wait") is False:
        what = "must be true for a search, whose trials depend on earlier ones"
        raise UserError("wait", what, "false", "leave it out")
    words += [*launcher_words(words, options), *search_words(words, options)]
    check_hydras_words(words)
    settings, objective = without_hydras(words), options.get("optimize")
    if sweeper == SEARCHING:
        space = search_space(settings, registry, commands)
        pruner_of(options, search_goals(options, space, registry))
        jobs, objective = [space.overrides(space.corners()[0])], None
    elif sweeper == OURS:
        jobs = check_request(settings, registry, commands, is_sweep=True)
    else:
        return _with_another_sweeper(words, settings, objective, registry, device)
    from genbench.sweeps.job import JobTask  # late: a refusal needs no tables and progress bars

    task = JobTask(tuple(settings), objective=objective, device=device)
    # What a folder's name refers to has the values of the first job. A sweep's list of values is
    # no config: settings that only some models have would be refused.
    first = [*jobs[0]] if jobs else []
    hydras = [word for word in words if is_hydras(word)]
    with hydra_ready(registry) as (hydra, own):
        overrides = ["hydra.mode=MULTIRUN", *own, *hydras, *first]
        return hydra.multirun(CONFIG_NAME, task, overrides).status


def _with_another_sweeper(
    words: list[str],
    settings: Iterable[str],
    objective: str | None,
    registry: Registry,
    device: str | None,
) -> int:
    """Let another sweeper choose and run the jobs, and read from their folders how they ended."""
    from genbench.sweeps.job import JobTask
    from genbench.sweeps.sweep import Sweep

    folder = sweep_folder(words, registry)
    task = JobTask(tuple(settings), objective=objective, device=device)
    sweep = Sweep(words, [], folder, registry)
    require_no_run(folder)
    require_own_pages(folder, "hydra.sweep.dir")
    require_regular(folder, "hydra.sweep.dir")
    with sweep.locked():
        sweep.save()
        overrides = [*words, f"hydra.sweep.dir={hydra_value(str(folder))}"]
        try:
            with hydra_ready(registry) as (hydra, own), signals.raising():
                hydra.multirun(CONFIG_NAME, task, ["hydra.mode=MULTIRUN", *own, *overrides])
        finally:
            sweep.gather()
            sweep.save()
            sweep.show_state()
        sweep.draw()
    return sweep.status


def resume_sweep(
    folder: Path,
    registry: Registry,
    device: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Repeat the command that a sweep's folder holds, with the launcher that it had; returns the
    exit status.

    As the folder may be somebody else's, the command may name settings and no code. `options`, such
    as `jobs`, replace those of the command.
    """
    fix = f"repeat the sweep's own command with hydra.sweep.dir={folder}"
    words = read_json_or_empty(folder / SUMMARY, {"command": [str]}).get("command")
    if words is None:
        raise UserError(str(folder / SUMMARY), "is damaged", fix=fix)
    for word in words:
        is_setting = re.match(r"(\+\+)?[\w.]+=", word) and not is_hydras(word)
        if not is_setting or re.search(r"\$\{.*:", word, re.DOTALL):
            raise UserError(str(folder / SUMMARY), "holds more than plain settings", word, fix)
    place = f"hydra.sweep.dir={hydra_value(str(folder.absolute()))}"
    launcher = chosen_again(recorded_launcher(folder))
    launcher += searched_again(recorded_search(folder), options or {})
    changed = [f"{name}={value}" for name, value in (options or {}).items()]
    return sweep_command([*words, *launcher, *changed, place], registry, device=device)

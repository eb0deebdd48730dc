"""What a sweep knows of launchers: their settings, how to choose one again, and their failures."""

import os
import re
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor
from multiprocessing import TimeoutError as WaitedTooLong
from typing import Any

from omegaconf import DictConfig

from genbench.config.overrides import parsed
from genbench.runs.sweep_summary import Launcher
from genbench.settings.sweep import SWEEP_OPTIONS
from genbench.utils.errors import UserError

OURS = "genbench"
WITHOUT_FILES = ("basic", OURS)  # launchers that write no files themselves
# The settings of launchers with which `genbench resume` chooses them again: numbers or words.
RECORDED = {OURS: ("jobs", "threads", "together"), "basic": (), "joblib": ("n_jobs",)}


def split_options(words: Iterable[str]) -> tuple[list[str], dict[str, Any]]:
    """The words without the options of a sweep, such as `jobs=2`, and these options, checked."""
    kept: list[str] = []
    given: dict[str, str] = {}
    options: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.strip().lstrip("+")  # as elsewhere, + and ++ may come first
        if name not in SWEEP_OPTIONS or not equals:
            kept.append(word)
            continue
        if name in given:
            raise UserError(name, f"is given twice, as {given[name]} and as {word}", fix="give one")
        given[name] = word
        (override,) = parsed([word])
        if override.is_sweep_override():
            raise UserError(name, "holds for all jobs of a sweep", value, "give one value")
        options[name] = SWEEP_OPTIONS[name].check(override.value(), {})
    return kept, options


def launcher_words(words: list[str], options: dict[str, Any]) -> list[str]:
    """The words by which Hydra gets these options. UserError if another launcher is chosen."""
    chosen = [word.partition("=")[2] for word in words if re.match(r"\+*hydra/launcher=", word)]
    names = [name for name in RECORDED[OURS] if name in options]
    if chosen and chosen[-1] != OURS and names:
        own = "hydra.launcher.n_jobs=N" if chosen[-1] == "joblib" else "the launcher's own settings"
        what = f"is an option of hydra/launcher={OURS}"
        fix = f"leave it out and use {own}, or leave out hydra/launcher"
        raise UserError(names[0], what, f"hydra/launcher={chosen[-1]}", fix)
    return [f"hydra.launcher.{name}={options[name]}" for name in names]


def checked_launcher(config: DictConfig) -> Launcher:
    """The launcher of a composed config with its checked settings, as the summary has it."""
    name = config.hydra.runtime.choices["hydra/launcher"]
    settings = config.hydra.launcher
    launcher: Launcher = {"name": name}
    for key in RECORDED.get(name, ()):
        launcher[key] = settings[key]
    if name == OURS:
        launcher["jobs"] = SWEEP_OPTIONS["jobs"].check(launcher["jobs"], {})
        launcher["threads"] = thread_count(launcher["threads"])
        launcher["together"] = SWEEP_OPTIONS["together"].check(launcher["together"], {})
    if name == "joblib" and launcher["n_jobs"] == 0:
        fix = "give at least 1, or -1 for one job per core"
        raise UserError("hydra.launcher.n_jobs", "asks for no job at once", 0, fix)
    return launcher


def thread_count(asked: Any) -> int:
    """How many threads a job uses. It does not depend on how many jobs run at once, as the last
    digits of results depend on it.
    """
    asked = SWEEP_OPTIONS["threads"].check(asked, {})
    if isinstance(asked, int):
        return asked
    set_by_user = os.environ.get("OMP_NUM_THREADS", "")
    return int(set_by_user) if re.fullmatch(r"[1-9]\d{0,2}", set_by_user) else 1


def chosen_again(launcher: Launcher) -> list[str]:
    """The words that choose the launcher which a summary names. It may be somebody else's, so
    nothing is taken from it but known names and plain values.
    """
    name = launcher.get("name")
    if not isinstance(name, str) or name not in RECORDED:
        return []
    words = [f"hydra/launcher={name}"]
    for key in RECORDED[name]:
        value = launcher.get(key)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if value == "auto" or is_number or (key == "together" and isinstance(value, bool)):
            words.append(f"hydra.launcher.{key}={value}")
    return words


def launcher_failure(error: Exception, config: DictConfig, resume: str) -> UserError:
    """What the user reads where a launcher, not a job, has failed."""
    name = config.hydra.runtime.choices["hydra/launcher"]
    if isinstance(error, BrokenExecutor):
        what = "one of its processes was killed, and with it all jobs that were running"
        fix = f"if the memory was used up, run fewer jobs at once; go on with: {resume}"
        return UserError(f"hydra/launcher={name}", what, fix=fix, code=1)
    if isinstance(error, (TimeoutError, WaitedTooLong)):
        what, got = "was too short for a job", config.hydra.launcher.get("timeout")
        fix = f"leave it out; go on with: {resume}"
        return UserError("hydra.launcher.timeout", what, got, fix, code=1)
    text = f"{type(error).__name__}: {error}"
    fix = f"correct its settings, or leave it out; go on with: {resume}"
    return UserError(f"hydra/launcher={name}", text, fix=fix, code=1)

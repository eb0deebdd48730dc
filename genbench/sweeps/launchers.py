"""What a sweep knows of launchers: their settings, how to choose one again, and their failures."""

import os
import re
import shutil
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor
from importlib.util import find_spec
from multiprocessing import TimeoutError as WaitedTooLong
from typing import Any

from omegaconf import DictConfig

from genbench.config.overrides import parsed
from genbench.runs.sweep_summary import Launcher
from genbench.settings.sweep import SWEEP_OPTIONS
from genbench.utils.errors import UserError

OURS = "genbench"
WITHOUT_FILES = ("basic", OURS, "joblib", "ray")  # launchers that write no files into the sweep
COMMON = ("jobs", "threads", "together")  # options that all launchers of genbench have
_SLURM = (
    *("partition", "account", "qos", "constraint", "timeout_min", "mem_gb", "cpus_per_task"),
    *("gpus_per_node", "signal_delay_s"),
)
# The settings of launchers with which `genbench resume` chooses them again: numbers or words.
RECORDED: dict[str, tuple[str, ...]] = {
    OURS: COMMON,
    "basic": (),
    "joblib": COMMON,
    "ray": COMMON,
    "submitit_local": COMMON,
    "submitit_slurm": (*COMMON, *_SLURM),
}
PLUGIN = "hydra_plugins.genbench_launcher."  # the module of our launchers
LIBRARIES = {  # the package of an engine, and the extra that installs it
    "ray": ("ray", "ray"),
    "submitit_local": ("submitit", "slurm"),
    "submitit_slurm": ("submitit", "slurm"),
}
DETACHED = ("submitit_local", "submitit_slurm")  # whose jobs outlive the command
UNRECORDED = "unrecorded"  # what the summary calls the names of settings that it does not hold
WORD = r"[A-Za-z0-9][\w.:@+-]*"  # a value of a setting that a summary may choose again


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
    launcher = chosen[-1] if chosen else OURS
    names = [name for name in (*COMMON, "wait") if name in options]
    if launcher == "basic" and names:
        what = f"is an option of hydra/launcher={OURS} and those of other engines"
        fix = "leave it out, or leave out hydra/launcher"
        raise UserError(names[0], what, f"hydra/launcher={launcher}", fix)
    if options.get("wait") is False and launcher in (OURS, "joblib", "ray"):
        what = f"must be true with hydra/launcher={launcher}, whose jobs end with the command"
        fix = f"choose hydra/launcher={' or hydra/launcher='.join(DETACHED)}"
        raise UserError("wait", what, "false", fix)
    given = [name for name in names if name != "wait" or launcher not in (OURS, "joblib", "ray")]
    return [f"hydra.launcher.{name}={options[name]}" for name in given]


def checked_launcher(config: DictConfig) -> Launcher:
    """The launcher of a composed config with its checked settings, as the summary has it."""
    name = config.hydra.runtime.choices["hydra/launcher"]
    settings = config.hydra.launcher
    launcher: Launcher = {"name": name}
    if name == "basic" or not str(settings.get("_target_")).startswith(PLUGIN):
        return launcher
    for key in RECORDED.get(name, COMMON):
        value = settings.get(key)
        if isinstance(value, (str, int)):
            launcher[key] = value
    if settings.get("n_jobs") is not None:  # as joblib calls them; -1 is as many as there are cores
        launcher["jobs"] = "auto" if settings.n_jobs == -1 else settings.n_jobs
    launcher["jobs"] = SWEEP_OPTIONS["jobs"].check(launcher["jobs"], {})
    launcher["threads"] = thread_count(launcher["threads"])
    launcher["together"] = SWEEP_OPTIONS["together"].check(launcher["together"], {})
    if given := [word for word in config.hydra.overrides.hydra if not _is_recorded(word, launcher)]:
        launcher[UNRECORDED] = ", ".join(sorted(word.partition("=")[0] for word in given))
    return launcher


def _is_recorded(word: str, launcher: Launcher) -> bool:
    """Whether `resume` chooses again what a word to Hydra has chosen, if it is of the launcher."""
    key = word.partition("=")[0].lstrip("+")
    name = key.removeprefix("hydra.launcher.")
    if name == key or name in ("wait", "n_jobs"):
        return True
    value = launcher.get(name)
    return value is not None and (not isinstance(value, str) or bool(re.fullmatch(WORD, value)))


def require_library(name: str) -> None:
    """UserError if a launcher's engine is not installed or not here, before anything is written."""
    package, extra = LIBRARIES.get(name, ("joblib", ""))
    if find_spec(package) is None:
        fix = f"pip install 'genbench[{extra}]'"
        raise UserError(f"hydra/launcher={name}", f"needs the package {package}", fix=fix)
    if name == "submitit_slurm" and shutil.which("srun") is None:
        fix = "start it on a machine of the cluster"
        raise UserError(f"hydra/launcher={name}", "finds no srun, which comes with Slurm", fix=fix)


def waits(config: DictConfig) -> bool:
    """Whether the launcher of a composed config waits for its jobs."""
    asked = config.hydra.launcher.get("wait")
    return bool(SWEEP_OPTIONS["wait"].check(True if asked is None else asked, {}))


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
    nothing is taken from it but known names and plain values. UserError if the launcher had others.
    """
    name = launcher.get("name")
    if lost := launcher.get(UNRECORDED):
        what = "was given for this sweep, and no summary holds it, as it may be a command"
        fix = "repeat the sweep's own command with hydra.sweep.dir=SWEEP"
        raise UserError(str(lost), what, fix=fix)
    if not isinstance(name, str) or name not in RECORDED:
        return []
    words = [f"hydra/launcher={name}"]
    for key in RECORDED[name]:
        value = launcher.get(key)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        is_word = isinstance(value, str) and re.fullmatch(WORD, value) is not None
        if is_word or is_number or (key == "together" and isinstance(value, bool)):
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

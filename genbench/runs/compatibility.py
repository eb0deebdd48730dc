"""Whether a run may continue with other settings: they are the same, or ask for more epochs."""

from typing import Any

from genbench.config.choice_files import FIXED, GROUPS
from genbench.config.values import flatten
from genbench.utils.errors import UserError
from genbench.utils.text import counted

LENGTH = ("epochs", "steps")  # the settings that may grow
WATCHING = ("logger",)  # what may change, as no result depends on it
LENGTH_FREE = ("constant", "stages")  # schedules that do not depend on the length of the run


def require_same(before: dict, now: dict, length: dict) -> None:
    """UserError naming the first setting in which these configs differ, and both values.

    A run may become longer. `length` has its `epochs`, `steps` and `steps_per_epoch` before, and is
    empty where these are lost. Only a setting of the program is ever advised: the folder may be
    somebody else's, and name code to run.
    """
    a, b = flatten(before), flatten(now)
    for group in GROUPS:  # another model has other settings, too, which would be named instead
        old, new = a.get(f"{group}.name"), b.get(f"{group}.name")
        if old != new and isinstance(old, str) and isinstance(new, str):
            what = f"this directory holds a run with {group}={old}"
            fix = "choose another hydra.run.dir=FOLDER"
            raise UserError(group, what, f"{group}={new}", fix)
    for name in sorted(a.keys() | b.keys()):
        old, new = a.get(name), b.get(name)
        if old == new or name in WATCHING:
            continue
        if name in FIXED or name not in b or name not in a:
            origin = "was started by another version of genbench or its configs, or was changed"
            what = f"the run in this directory {origin}: it has {name}"
            raise UserError(name, what, old, "choose another hydra.run.dir=FOLDER")
        if name not in LENGTH:
            raise _difference(name, f"this directory holds a run with {name}={old}", old, new)
    if any(before.get(name) != now.get(name) for name in LENGTH):
        _require_longer(before, now, length)


def _require_longer(before: dict, now: dict, length: dict) -> None:
    name = "epochs" if now.get("steps") is None else "steps"
    old, new = length.get(name, before.get(name)), now[name]
    steps, per_epoch = length.get("steps", 0), length.get("steps_per_epoch", 1)
    if not (isinstance(old, int) and isinstance(new, int) and new >= old):
        raise _difference(name, f"this directory holds a run with {name}={old}", old, new)
    if new == old and (name == "steps" or steps % per_epoch == 0):
        return
    planned = ""
    if now.get("instance_noise"):
        planned = "instance noise"
    elif now.get("schedule", "constant") not in LENGTH_FREE:
        planned = f"{now['schedule']} schedule"
    if planned:
        what = f"the {planned} was laid out for {counted(old, name[:-1])}"
        raise _difference(name, what, old, new)
    if steps % per_epoch:
        end = f"ends within an epoch, after {steps} steps of {per_epoch} each"
        asked = now.get("steps") or new * per_epoch
        raise _difference("steps", f"this directory holds a run that {end}", steps, asked)


def _difference(name: str, what: str, old: Any, new: Any) -> UserError:
    fix = f"use {name}={old}, or start a new run with another hydra.run.dir=FOLDER"
    return UserError(name, what, f"{name}={new}", fix)

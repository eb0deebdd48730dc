"""The forms of a run's files, and a check that names the place where a value differs from its form.

Readers check a file once and rely on its form afterwards. A form is one of these:
    int, str, ...           a type; True and False are no numbers
    None                    None
    [form]                  a list whose items have the form
    {name: form, ...}       a dict with these names and maybe others; `Maybe(form)` is optional
    {str: form}             a dict with any names, or with those for which a function is true
    (form, form)            either form
    a function              a value for which it is true
"""

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

# Ends `of` of a likelihood where samples come from another density: a note, as the quantity is the
# same with any sampler.
OF_THE_PRIOR = ", with the prior for its codes"
# What a number is of that is not of the data in their own units.
STANDARDIZED_VALUES = "standardized values"


class Maybe(NamedTuple):
    """The form of a name that may be left out."""

    form: Any


def fault(value: Any, form: Any, where: str = "it") -> str:
    """Where a value differs from a form, in words; empty if it does not."""
    if isinstance(form, Maybe):
        form = form.form
    if isinstance(form, tuple):
        faults = [fault(value, one, where) for one in form]
        wrong = all(faults)
        inside = [
            what
            for one, what in zip(form, faults)
            if isinstance(one, (dict, list)) and isinstance(value, type(one))
        ]
        if wrong and inside:
            return inside[0]
    elif isinstance(form, list):
        if isinstance(value, list):
            return next(
                (
                    what
                    for i, item in enumerate(value)
                    if (what := fault(item, form[0], f"{where}[{i}]"))
                ),
                "",
            )
        wrong = True
    elif isinstance(form, dict):
        if isinstance(value, dict):
            return next(filter(None, _faults(value, form, where)), "")
        wrong = True
    elif isinstance(form, type):
        wrong = not isinstance(value, form) or (isinstance(value, bool) and form in (int, float))
    else:
        wrong = value is not None if form is None else not form(value)
    return f"{where} is {_brief(value)}" if wrong else ""


def _faults(value: dict, form: dict, where: str) -> Iterator[str]:
    inside = "" if where == "it" else f"{where}."
    for name, one in form.items():
        if callable(name):
            yield from (f"{where} has the name {_brief(key)}" for key in value if fault(key, name))
            yield from (
                fault(item, one, f"{inside}{key}") for key, item in value.items() if key not in form
            )
        elif name in value:
            yield fault(value[name], one, f"{inside}{name}")
        elif not isinstance(one, Maybe):
            yield f"{inside}{name} is missing"


def _brief(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = "a number of too many digits"
    return text if len(text) <= 40 else f"{text[:40]}..."


# --- forms that several files have in common ------------------------------------------------------


def is_finite_number(value: Any) -> bool:
    """A finite number, with room for sums; whole numbers in JSON have no bound."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) < 1e300
        and math.isfinite(value)
    )


def whole(value: Any) -> bool:
    """A count."""
    return isinstance(value, int) and is_finite_number(value) and value >= 0


def positive(value: Any) -> bool:
    """A count that is not zero."""
    return whole(value) and value > 0


def component(value: Any) -> bool:
    """The name of a file in a folder: it leads nowhere else, and every file system accepts it."""
    return (
        isinstance(value, str)
        and value not in ("", ".", "..")
        and not {"/", "\0"} & {*value}
        and len(value.encode()) <= 255
    )


NUMBERS: dict[Any, Any] = {
    str: (is_finite_number, None)
}  # by their names; None for what was not finite
PART = {"n": Maybe(whole), **NUMBERS}  # what was measured on a part of the data
STATUS = {
    "state": str,
    "config": Maybe((str, None)),
    "reason": Maybe(str),
    "epoch": Maybe(whole),
    "step": Maybe(whole),
    "length": Maybe({str: positive}),
    "epochs": Maybe((int, str, None)),
    "steps": Maybe((int, str, None)),
    "checkpoint": Maybe((component, None)),
    "finished": Maybe((component, None)),
}
JOB = {"directory": component}  # of a sweep
FINDING = {"kind": str, "text": str, "setting": str}
ENTRY = {  # of a report card
    **{name: str for name in ("name", "group", "on", "of", "unit")},
    "value": is_finite_number,
    "low": (is_finite_number, None),
    "high": (is_finite_number, None),
    "n": {str: whole},
    "better": (str, None),
    "features": (str, None),
    "total": Maybe(
        (is_finite_number, None)
    ),  # what a count is out of; earlier versions wrote it into `of`
}
METRICS = {
    **{part: Maybe(PART) for part in ("train", "validation", "test")},
    "cost": {
        **{name: whole for name in ("epochs", "steps", "kept_epoch", "parameters")},
        "criterion": (str, None),
        "criterion_contains": [str],
        "late_fall": Maybe((is_finite_number, None)),
        "late_rise": Maybe((is_finite_number, None)),
        "lowest_epoch": Maybe((whole, None)),
    },
    "time": NUMBERS,
    "machine": Maybe({str: str}),
    "data": Maybe(
        {
            "digest": (str, None),
            "point": Maybe(
                {
                    "shape": [whole],
                    "unit": bool,
                    "trials": (whole, None),
                    "cell": is_finite_number,
                    "classes": whole,
                    "absent": [whole],
                }
            ),
            "labels": Maybe([str]),
            "features": Maybe([str]),
        }
    ),
    "model": Maybe(
        {
            "abilities": [str],
            "sampler": Maybe((str, None)),
            "standardized": Maybe(bool),
            "invertible": Maybe(bool),
        }
    ),
    "auto": Maybe({str: (is_finite_number, str, None)}),
    "card": Maybe([ENTRY]),
    "real_data": Maybe([ENTRY]),
    "diagnosis": Maybe([(str, FINDING)]),
    "remarks": Maybe([str]),
}


def is_unknown(entry: dict) -> bool:
    """Whether the interval of a share holds all shares, so that the number says nothing."""
    is_share = entry["unit"].startswith("share") and entry["low"] is not None
    return is_share and entry["low"] <= 0 and entry["high"] >= 1


def of_terms(found: dict) -> str:
    """What the terms of an objective in a metrics.json are of, if not the data in their units."""
    return f" on {STANDARDIZED_VALUES}" * bool(found.get("model", {}).get("standardized"))


def total_of(entry: dict) -> float | None:
    """The largest value that an entry of a card can have, if the entry counts something.

    Earlier versions wrote it into `of`, as "of 10".
    """
    old = re.fullmatch(r"of (\d+)", entry["of"])
    return int(old[1]) if old else entry.get("total")


def kind_of(entry: dict) -> str:
    """What two entries must also agree in to be compared: `of`, without an earlier total."""
    return "" if re.fullmatch(r"of \d+", entry["of"]) else entry["of"]


def least_shown(unit: str, better: str | None) -> float:
    """The least value of a measure that people are shown, and that is compared.

    The estimate of a share, the lower the better, may fall below 0 by chance, which is no better
    than 0. Files keep it as it was measured.
    """
    return 0.0 if better == "lower" and unit.startswith("share") else -math.inf


def point(value: Any) -> bool:
    """A line of metrics.jsonl: an epoch, and numbers by part of the data."""
    if fault(value, {"epoch": positive}):
        return False
    return not fault(
        {name: numbers for name, numbers in value.items() if name != "epoch"}, {str: NUMBERS}
    )


def undotted(name: Any) -> bool:
    """The name of a setting; a dot in it would stand for a setting within another."""
    return isinstance(name, str) and "." not in name


SETTINGS: dict = {}
SETTINGS[undotted] = (None, bool, int, float, str, [(None, bool, int, float, str, list)], SETTINGS)
CONFIG = {"model": {"name": str}, "dataset": {"name": str}, "epochs": (int, str, None), **SETTINGS}

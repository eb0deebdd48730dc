"""The files of models and datasets: their names, what each must say, and how it is read."""

import os
import re
from pathlib import Path
from typing import Any

from genbench.config.values import Loader
from genbench.settings.names import nearest_value
from genbench.utils.errors import UserError
from genbench.utils.files.opening import Unreadable
from genbench.utils.files.parsing import parse_yaml
from genbench.utils.files.reading import MOST_YAML, read_text

GROUPS = ("model", "dataset")  # what a run is chosen from; a model's presets win over a dataset's
CODE = {"model": "class", "dataset": "loader"}  # what names the code of each
EXAMPLES = {
    group: f"such as {group}: {{name: mine, {part}: my_module.{part.title()}}}"
    for group, part in CODE.items()
}
PLACES = ("dataset.root", "dataset.path")  # where data lie
# Keys that a YAML file sets, and no user.
FIXED = {
    "model.name",
    "model.class",
    "dataset.name",
    "dataset.loader",
    "dataset.kind",
}


def read_choice(file: Path, by_user: bool) -> tuple[dict[str, Any], list[str]]:
    """What a file of settings holds, and the lines of the comment at its head.

    UserError for a file that cannot be read, that names a choice or its code by something other
    than text, or that is a user's own and has settings of Hydra, or lacks the line for Hydra.
    """
    try:
        text = read_text(Path(os.path.realpath(file)), MOST_YAML)  # a link is allowed here
        content = parse_yaml(text, file, Loader) or {}
    except Unreadable as error:
        raise UserError(str(file), error.what, fix="correct the file") from error
    if not isinstance(content, dict):
        raise UserError(
            str(file), "holds no settings by name", fix="write NAME: VALUE in each line"
        )
    _check_fixed(file, content)
    if by_user:
        require_no_hydra(file, text, content)
        if file.parent.name in GROUPS:
            require_global(file, text)
    return content, _head(text)


def require_global(file: Path, text: str) -> None:
    """UserError where a file lacks the line without which Hydra puts its settings elsewhere."""
    if not re.search(r"(?m)^#\s*@package\s+_global_\s*$", text):
        what = "does not say that its settings are those of the run"
        raise UserError(str(file), what, fix="begin it with the line: # @package _global_")


def no_choice(group: str, value: Any, choices: list[str]) -> UserError:
    """The error for a choice that is not there: the nearest one, or all."""
    near = nearest_value(str(value), choices)
    fix = f"{group}={near}" if near else f"choose one of: {', '.join(choices)}"
    if near and near.lower() == str(value).lower():
        require_typable(group, near)
    return UserError(group, f"no such {group}", value, fix)


def require_typable(group: str, choice: str) -> None:
    """UserError about a file whose name Hydra does not read as a text in `GROUP=NAME`: it takes
    "a,b" for two values, "a=b" for a mistake and "inf" for a number.
    """
    try:
        float(choice)
        is_number = True
    except ValueError:
        is_number = False
    is_text = not is_number and choice.lower() not in ("true", "false", "null")
    if not is_text or not re.fullmatch(r"[\w.+@$%*?|:-]+( +[\w.+@$%*?|:-]+)*", choice, re.ASCII):
        raise UserError(
            group,
            "a file with this name cannot be chosen, as Hydra does not read it as a text",
            choice,
            f"rename the file {group}/{choice}.yaml, such as to my-{group}.yaml",
        )


def _head(text: str) -> list[str]:
    """The lines of the comment at the head of a YAML file, without the line that is for Hydra."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line[2:])
    return lines


def _check_fixed(file: Path, content: dict[str, Any]) -> None:
    """UserError where a file's name of a model or dataset, or of its code, is no text."""
    for group in GROUPS:
        node = content.get(group, {})
        if not isinstance(node, dict):
            raise UserError(f"{file}: {group}", "must be NAME: VALUE pairs", node, EXAMPLES[group])
        for name in sorted(FIXED):
            of, _, part = name.partition(".")
            if of == group and part in node and not (isinstance(node[part], str) and node[part]):
                raise UserError(f"{file}: {name}", "must be a text", node[part], EXAMPLES[group])


def require_no_hydra(file: Path, text: str, content: dict[str, Any]) -> None:
    """UserError where a user's own file has settings of Hydra, which might write through links in
    a run's folder.
    """
    listed = content.get("defaults")
    entries = [
        str(key)
        for entry in (listed if isinstance(listed, list) else [])
        for key in (entry if isinstance(entry, dict) else [entry])
    ]
    package = re.search(r"(?m)^#\s*@package\s+hydra\b", text)
    if (
        package
        or any(re.match(r"hydra([./]|$)", str(key)) for key in content)
        or any(re.search(r"(^|[\s/@])hydra\b", entry) for entry in entries)
    ):
        raise UserError(
            f"{file}: hydra",
            "is set on the command line only",
            fix="remove it from the file, and write it in the command: hydra.run.dir=FOLDER",
        )

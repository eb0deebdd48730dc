"""Ready experiments: the files of settings that `experiment=NAME` stands for.

Such a file is Hydra's: it begins with `# @package _global_`, its defaults list chooses a model and
a dataset by `override /model: NAME`, and may name other experiments that it builds on.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genbench.config.choice_files import GROUPS, no_choice, require_global, require_no_hydra
from genbench.config.registry import Registry
from genbench.config.values import Loader, flatten
from genbench.utils.errors import UserError
from genbench.utils.files import MOST_YAML, Unreadable, parse_yaml, read_text

EXPERIMENT = "experiment"
SELF = "_self_"  # where the file itself comes among those that it builds on


def experiments(registry: Registry) -> list[str]:
    """The names of the experiments, without recipes in the same folder.

    Damaged files are among them, so that those who use one learn what is wrong with it.
    """
    return [name for name in registry.names(EXPERIMENT) if not _holds_recipe(name, registry)]


def _holds_recipe(name: str, registry: Registry) -> bool:
    try:
        return is_recipe(_text(registry.file(f"{EXPERIMENT}/{name}")))
    except UserError:
        return False


def with_experiment(given: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """What is given by dotted name, after what the experiment among it sets. UserError for a bad
    file.
    """
    name = given.get(EXPERIMENT)
    preset = {} if name is None else preset_of(name, registry)
    return preset | {key: value for key, value in given.items() if key != EXPERIMENT}


def preset_of(name: Any, registry: Registry, within: tuple[str, ...] = ()) -> dict[str, Any]:
    """What an experiment sets, by dotted name; the model and dataset that it chooses are among it.

    As in Hydra, the last value of a setting counts, and a choice in the file itself more than those
    that it builds on. `within` are the experiments that build on it. UserError if there is none of
    this name.
    """
    names = registry.names(EXPERIMENT)
    if name not in names:
        raise no_choice(EXPERIMENT, name, names)
    file = registry.file(f"{EXPERIMENT}/{name}")
    if name in within:
        chain = " > ".join([*within, name])
        raise UserError(str(file), "includes itself", chain, "correct its defaults list")
    content = _content(name, file)
    listed = content.pop("defaults", None) or []
    listed = listed if isinstance(listed, list) else [listed]
    choices, values = _chosen(listed, file), dict[str, Any]()
    for entry in listed if SELF in listed else [*listed, SELF]:
        if entry == SELF:
            values |= flatten(content)
        elif isinstance(entry, str):
            values |= preset_of(entry, registry, (*within, name))
    return values | choices


def _content(name: str, file: Path) -> dict[str, Any]:
    """What the file of an experiment holds. UserError where that is no experiment."""
    text = _text(file)
    try:
        content = parse_yaml(text, file, Loader) or {}
    except Unreadable as error:
        raise UserError(str(file), error.what, fix="correct the file") from error
    if is_recipe(text):
        raise UserError(str(file), "is a recipe, not an experiment", fix=f"genbench verify {name}")
    require_global(file, text)
    if not isinstance(content, dict):
        raise UserError(
            str(file), "holds no settings by name", fix="write NAME: VALUE in each line"
        )
    require_no_hydra(file, text, content)
    for group in GROUPS:
        if group in content and not isinstance(content[group], dict):
            fix = f"choose it in the defaults list: defaults: [override /{group}: NAME]"
            raise UserError(f"{file}: {group}", "is no setting", content[group], fix)
    return content


def _text(file: Path) -> str:
    """The text of an experiment's file, which may be a link."""
    try:
        return read_text(Path(os.path.realpath(file)), MOST_YAML)
    except Unreadable as error:
        raise UserError(str(file), error.what, fix="correct the file") from error


def _chosen(listed: list[Any], file: Path) -> dict[str, Any]:
    """The model and dataset that the entries of a defaults list choose. UserError for entries that
    Hydra would refuse, or read in another way.
    """
    choices: dict[str, Any] = {}
    for entry in listed:
        if isinstance(entry, str):
            if entry != SELF and choices:
                what = "a choice comes before an experiment to build on"
                raise UserError(f"{file}: defaults", what, entry, f"put {entry} first in the list")
            continue
        key, choice = next(iter(entry.items())) if isinstance(entry, dict) and entry else ("", "")
        group = str(key).removeprefix("override /")
        if group not in GROUPS or group == key or len(entry) > 1:
            raise UserError(
                f"{file}: defaults",
                "an experiment chooses a model and a dataset, and may build on others",
                entry,
                "such as defaults: [override /model: vae, override /dataset: mnist]",
            )
        if group in choices:
            what = f"chooses a {group} twice"
            raise UserError(f"{file}: defaults", what, choice, "leave one of them out")
        choices[group] = choice
    if listed.count(SELF) > 1:
        raise UserError(f"{file}: defaults", f"has {SELF} twice", fix="leave one of them out")
    return choices


def is_recipe(text: str) -> bool:
    """Whether a file says what `genbench verify` measures, as files in experiment/ did earlier."""
    return re.search(r"(?m)^(measure|ours):", text) is not None
